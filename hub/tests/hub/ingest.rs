//! What comes from agents: kept once, in order, within limits.

use khien_core::{
    Nonce, Sha256,
    protocol::{Ack, Batch, MAX_BODY, MAX_INFLATED, MAX_RECORD, MAX_RECORDS},
};
use reqwest::{Method, StatusCode};

use crate::common::{self, Client, Team};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_kept_once_however_often_it_comes() {
    let team = Team::start();
    let agent = team.agent("web-1").await;
    let client = team.speak(&agent);
    let batch = common::batch(1, 1, &[common::found("/srv/a.php", b"a"), common::found("/srv/b.php", b"b")]);

    for _ in 0..3 {
        let (status, answer) = client.send(&batch).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(serde_json::from_value::<Ack>(answer).unwrap().mark.seq, 2);
    }

    let alerts = team.alerts().await;
    assert_eq!(alerts.len(), 2);
    assert!(alerts.iter().all(|a| a.count == 1 && a.agency == "Sở Y tế" && a.agent == agent.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_refused_and_the_answer_says_where_the_lane_ends() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;

    let (status, answer) = client.send(&common::batch(1, 3, &[common::found("/srv/c.php", b"c")])).await;

    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer["error"].is_string());
    assert_eq!(serde_json::from_value::<Ack>(answer).unwrap().mark.seq, 1);
    assert_eq!(team.alerts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contents_under_one_number_are_an_alert() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;

    client.report(1, 1, &[common::found("/srv/a.php", b"altered")]).await;

    let alerts = team.alerts().await;
    assert_eq!(alerts.len(), 2);
    assert_eq!(alerts[0].rule.as_str(), "khien.event.fork");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_makes_no_sense_does_not_stop_its_lane() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let good = serde_json::to_string(&common::found("/srv/a.php", b"a")).unwrap();
    let deep = "[".repeat(100_000);
    let texts = ["", "nonsense", "{\"report\":\"from_the_future\"}", deep.as_str(), good.as_str()];
    let records = (1..).zip(texts).map(|(seq, text)| common::record(seq, text.to_owned())).collect();

    let (status, answer) = client.send(&Batch { epoch: Nonce([1; 16]), records }).await;

    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(serde_json::from_value::<Ack>(answer).unwrap().mark.seq, 5);
    assert_eq!(team.alerts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_fit_its_hash_is_an_alert() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let mut batch = common::batch(1, 1, &[common::found("/srv/a.php", b"a")]);
    batch.records[0].hash = Sha256::of(b"something else");

    let (status, _) = client.send(&batch).await;

    assert_eq!(status, StatusCode::OK);
    assert!(team.alerts().await.iter().any(|a| a.rule.as_str() == "khien.event.fork"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_a_limit_is_refused_and_the_hub_stays_up() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let refused =
        async |client: &Client, body: Vec<u8>| client.raw(Method::POST, "/v1/agent/batch", body).await;
    let squeezed = |body: &[u8]| zstd::bulk::compress(body, 3).unwrap();
    let of = |records| squeezed(&serde_json::to_vec(&Batch { epoch: Nonce([1; 16]), records }).unwrap());

    let bomb = squeezed(&vec![b' '; MAX_INFLATED + 1]);
    let many = of((1..=MAX_RECORDS as u64 + 1).map(|seq| common::record(seq, String::new())).collect());
    let large = of(vec![common::record(1, "x".repeat(MAX_RECORD + 1))]);
    let deep = squeezed("[".repeat(1 << 20).as_bytes());
    let unordered = of([2, 1].map(|seq| common::record(seq, String::new())).to_vec());

    // The peer may see the refusal, or the connection closed before all was sent.
    let oversize = refused(&client, vec![b' '; MAX_BODY + 1]).await;
    assert!(oversize.map_or(true, |(status, _)| status == StatusCode::PAYLOAD_TOO_LARGE));
    for body in [bomb, many, large] {
        assert_eq!(refused(&client, body).await.unwrap().0, StatusCode::PAYLOAD_TOO_LARGE);
    }
    for body in [deep, unordered, b"\x28\xb5\x2f\xfdnot zstd".to_vec(), b"{".to_vec()] {
        assert_eq!(refused(&client, body).await.unwrap().0, StatusCode::BAD_REQUEST);
    }
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    assert_eq!(team.alerts().await.len(), 1);
}
