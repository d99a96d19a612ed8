//! What costs the hub much: so many uploads, captures and exports of an operator at once, each to its end.

use std::{io::Write, sync::Arc, time::Duration};

use axum::http::StatusCode;
use khien_core::{
    AlertId, IncidentId, Nonce, Sha256, Timestamp,
    api::{BringEvidence, OpenIncident},
    seal::{SEED, Sealer},
};

use super::served::{Client, Served, until};
use crate::{
    incidents,
    limits::{Jobs, Limits},
};

/// More than a connection takes ahead of who reads it: an export of it goes on until it is read.
const LARGE: usize = 8 << 20;

fn limits(jobs: Jobs) -> Limits {
    Limits { jobs, patience: Duration::from_millis(10), ..Limits::default() }
}

fn sealed(served: &Served, plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), &served.hub.evidence_key.public(), &[9; SEED]).unwrap();
    sealer.write_all(plain).unwrap();
    sealer.finish().unwrap().0
}

async fn incident(served: &Served) -> IncidentId {
    assert_eq!(served.client(Some(&served.agent().await)).sends(1, 1).await.status, StatusCode::OK);
    let open = OpenIncident { title: None, alerts: vec![AlertId(1)] };
    let opened = served.hub.store.write(move |tx| incidents::open(tx, &open, "thu", Timestamp::now()));
    opened.await.unwrap().id
}

/// Brings bytes as evidence, and returns the path under which they are exported.
async fn bring(served: &Served, thu: &Client, incident: IncidentId, plain: &[u8]) -> String {
    let (upload, mut sent) = (Nonce([1; 16]), 0);
    for piece in sealed(served, plain).chunks(1 << 20) {
        let said = thu.put(&format!("/v1/uploads/{upload}?offset={sent}"), piece.to_vec()).await;
        assert_eq!(said.status, StatusCode::OK, "{said:?}");
        sent += piece.len();
    }
    let (sha256, at) = (Sha256::of(plain), Timestamp::now());
    let wanted = BringEvidence { upload, name: "đĩa.img".into(), sha256, at };
    let path = format!("/v1/incidents/{incident}/evidence");
    let said = thu.post(&path, serde_json::to_vec(&wanted).unwrap()).await;
    assert_eq!(said.status, StatusCode::OK, "{said:?}");
    format!("/v1/evidence/{sha256}?incident={incident}")
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_over_the_bound_are_refused_with_the_next_step_until_one_ends() {
    let served = Served::start(limits(Jobs { per_operator: 2, all: 8 })).await;
    let thu = served.client(Some(&served.operator()));
    let incident = incident(&served).await;
    let path = bring(&served, &thu, incident, &vec![7; LARGE]).await;
    let held = [thu.opens(&path).await, thu.opens(&path).await];
    assert!(held.iter().all(|answer| answer.status() == StatusCode::OK));

    let capture = format!("/v1/incidents/{incident}/captures");
    let scanned = serde_json::json!({
        "capture": { "name": "a.pcap", "sha256": Sha256::of(b"a") }, "findings": [],
    });
    let wanted = BringEvidence {
        upload: Nonce([2; 16]),
        name: "x".into(),
        sha256: Sha256::of(b"x"),
        at: Timestamp::now(),
    };
    let refused = [
        thu.put(&format!("/v1/uploads/{}?offset=0", Nonce([2; 16])), sealed(&served, b"x")).await,
        thu.post(&format!("/v1/incidents/{incident}/evidence"), serde_json::to_vec(&wanted).unwrap()).await,
        thu.post(&capture, scanned.to_string()).await,
    ];

    for said in &refused {
        let of = (said.status, said.body["code"].as_str(), said.body["args"]["limit"].as_u64());
        assert_eq!(of, (StatusCode::TOO_MANY_REQUESTS, Some("own_transfers"), Some(2)), "{said:?}");
    }
    assert_eq!(thu.opens(&path).await.status(), StatusCode::TOO_MANY_REQUESTS);
    let [read, cut] = held;
    assert_eq!(read.bytes().await.unwrap().len(), LARGE);
    drop(cut);
    until("both have ended", || served.hub.jobs.free() == 8).await;
    assert_eq!(thu.opens(&path).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_sender_hung_up_goes_on_to_its_end_behind_its_lock() {
    let served = Served::start(Limits::default()).await;
    let thu = served.client(Some(&served.operator()));
    let incident = incident(&served).await;
    let (upload, bytes) = (Nonce([1; 16]), sealed(&served, b"an image of a disk"));
    let path = format!("/v1/uploads/{upload}?offset=0");
    assert_eq!(thu.put(&path, bytes).await.status, StatusCode::OK);
    let (sha256, at) = (Sha256::of(b"an image of a disk"), Timestamp::now());
    let wanted = serde_json::to_vec(&BringEvidence { upload, name: "x".into(), sha256, at }).unwrap();
    // The store is at work on something else, so that what was brought cannot be recorded yet.
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (inside, is_inside) = tokio::sync::oneshot::channel();
    let busy = Arc::clone(&served.hub);
    let work = tokio::spawn(async move {
        let wait = busy.store.write(move |_| {
            inside.send(()).ok();
            Ok(gone.recv().ok())
        });
        wait.await.unwrap()
    });
    is_inside.await.unwrap();

    let (client, to) = (thu.clone(), format!("/v1/incidents/{incident}/evidence"));
    let body = wanted.clone();
    let bring = tokio::spawn(async move { client.post(&to, body).await });
    let place = served.evidence_file(&sha256);
    until("its bytes are in their place", || place.exists()).await;
    bring.abort();
    assert!(bring.await.unwrap_err().is_cancelled());

    let piece = thu.put(&format!("/v1/uploads/{upload}?offset=0"), sealed(&served, b"other")).await;
    assert_eq!((piece.status, piece.body["code"].as_str()), (StatusCode::CONFLICT, Some("evidence_busy")));
    go.send(()).unwrap();
    work.await.unwrap();
    until("nobody works on it", || served.hub.uploads.at_work() == 0).await;
    let kept = served.hub.store.read(move |tx| Ok(tx.evidence_of(incident)?)).await.unwrap();
    assert_eq!(kept.iter().map(|e| e.sha256).collect::<Vec<_>>(), [sha256]);
}
