//! The rule pack: only what the team signed, and never an older one.

use khien_core::{
    Sha256, Timestamp,
    api::PackState,
    asset::Health,
    bundle::{FORM_PIECE, Form, NetworkLists, Pack, Release},
    protocol::{Heartbeat, HeartbeatReply},
    signature::{Purpose, Signed},
};
use reqwest::{Method, StatusCode};

use crate::common::Team;

fn pack(version: u64) -> String {
    let pack = Pack {
        version,
        created: Timestamp::UNIX_EPOCH,
        rules: vec![],
        sources: vec![],
        domains: vec![],
        sets: vec![],
        network: NetworkLists::default(),
        policy: None,
    };
    serde_json::to_string(&pack).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_offered_the_newest_pack_that_an_operator_signed() {
    let team = Team::start();
    let (thu, client) = (team.operator(), team.speak(&team.agent("web-1").await));
    let signed = |version| Signed::new(pack(version), Purpose::Pack, &team.signing_key());
    client.bad(StatusCode::NOT_FOUND, Method::GET, "/v1/agent/pack", &()).await;

    let state: PackState = thu.good(Method::PUT, "/v1/pack", &signed(2)).await;
    let again: PackState = thu.good(Method::PUT, "/v1/pack", &signed(2)).await;

    assert_eq!((state.version, state.sha256), (2, again.sha256));
    thu.bad(StatusCode::CONFLICT, Method::PUT, "/v1/pack", &signed(1)).await;
    let got: Signed = client.good(Method::GET, "/v1/agent/pack", &()).await;
    assert_eq!(got, signed(2));
    let beat = Heartbeat { health: Health::default() };
    let reply: HeartbeatReply = client.good(Method::POST, "/v1/agent/heartbeat", &beat).await;
    assert_eq!(reply.pack, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_without_a_good_signature_is_refused() {
    let team = Team::start();
    let thu = team.operator();
    let good = Signed::new(pack(1), Purpose::Pack, &team.signing_key());
    let unsigned = Signed { signatures: vec![], ..good.clone() };
    let altered = Signed { body: pack(9), ..good.clone() };
    let for_another_purpose = Signed::new(pack(1), Purpose::Mandate, &team.signing_key());
    let by_nobody = Signed::new(pack(1), Purpose::Pack, &ed25519_dalek::SigningKey::from_bytes(&[9; 32]));

    for bad in [unsigned, altered, for_another_purpose, by_nobody] {
        thu.bad(StatusCode::FORBIDDEN, Method::PUT, "/v1/pack", &bad).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiled_form_comes_back_in_pieces_and_goes_with_its_pack() {
    let team = Team::start();
    let (thu, client) = (team.operator(), team.speak(&team.agent("web-1").await));
    let bytes: Vec<u8> = (0..FORM_PIECE + 5).map(|n| n as u8).collect();
    let name = Sha256::of(&bytes);
    let (put, get) = (format!("/v1/compiled/{name}"), format!("/v1/agent/compiled/{name}"));
    client.bad(StatusCode::NOT_FOUND, Method::GET, &get, &()).await;

    assert_eq!(thu.raw(Method::PUT, &put, bytes.clone()).await.unwrap().0, StatusCode::OK);
    let _: PackState = thu.good(Method::PUT, "/v1/pack", &released(1, &bytes, &team)).await;

    let first = client.raw(Method::GET, &get, vec![]).await.unwrap().1;
    let rest = client.raw(Method::GET, &format!("{get}?offset={FORM_PIECE}"), vec![]).await.unwrap().1;
    let end = client.raw(Method::GET, &format!("{get}?offset={}", bytes.len()), vec![]).await.unwrap();
    assert_eq!((first.len(), [first, rest].concat()), (FORM_PIECE, bytes));
    assert_eq!(end, (StatusCode::OK, vec![]));

    let _: PackState = thu.good(Method::PUT, "/v1/pack", &released(2, b"other", &team)).await;
    client.bad(StatusCode::NOT_FOUND, Method::GET, &get, &()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiled_form_is_taken_from_operators_only_and_under_its_own_name() {
    let team = Team::start();
    let (thu, client) = (team.operator(), team.speak(&team.agent("web-1").await));
    let path = format!("/v1/compiled/{}", Sha256::of(b"code"));

    let by_agent = client.raw(Method::PUT, &path, b"code".to_vec()).await.unwrap().0;
    let other = thu.raw(Method::PUT, &path, b"evil".to_vec()).await.unwrap().0;
    let no_name = thu.raw(Method::PUT, "/v1/compiled/..%2f..%2fca.pem", b"code".to_vec()).await.unwrap().0;

    assert_eq!(by_agent, StatusCode::FORBIDDEN);
    assert_eq!(other, StatusCode::CONFLICT);
    assert_eq!(no_name, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn compiled_forms_of_pushes_that_came_to_nothing_give_way_and_that_of_the_pack_stays() {
    let team = Team::start();
    let (thu, client) = (team.operator(), team.speak(&team.agent("web-1").await));
    let name = |bytes: &[u8]| Sha256::of(bytes);
    let put = async |bytes: &[u8]| {
        let path = format!("/v1/compiled/{}", name(bytes));
        thu.raw(Method::PUT, &path, bytes.to_vec()).await.unwrap().0
    };
    let there = async |bytes: &[u8]| {
        let path = format!("/v1/agent/compiled/{}", name(bytes));
        client.raw(Method::GET, &path, vec![]).await.unwrap().0 == StatusCode::OK
    };
    put(b"of the pack").await;
    let _: PackState = thu.good(Method::PUT, "/v1/pack", &released(1, b"of the pack", &team)).await;

    for n in 0..40_u8 {
        assert_eq!(put(&[n]).await, StatusCode::OK);
    }

    let mut kept = 0;
    for n in 0..40_u8 {
        kept += u8::from(there(&[n]).await);
    }
    assert_eq!(kept, 15, "the disk is not filled");
    assert!(there(b"of the pack").await && there(&[39]).await);
}

fn released(version: u64, bytes: &[u8], team: &Team) -> Signed {
    let pack: Pack = serde_json::from_str(&pack(version)).unwrap();
    let size = bytes.len() as u64;
    let (origin, sha256) = (pack.origin(), Sha256::of(bytes));
    let form = Form { engine: "e".to_owned(), features: vec![], origin, sha256, size, inflated: size };
    let body = Release { pack, forms: vec![form] }.body().unwrap();
    Signed::new(body, Purpose::Pack, &team.signing_key())
}
