//! The rule pack: only what the team signed, and never an older one.

use khien_core::{
    Timestamp,
    api::PackState,
    asset::Health,
    bundle::Pack,
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
