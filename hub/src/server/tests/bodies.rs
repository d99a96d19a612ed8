//! Many large bodies at once: memory stays within its bounds, and who is within theirs gets through.

use std::time::Duration;

use axum::http::StatusCode;

use super::served::{Served, until};
use crate::limits::{Limits, Memory};

fn limits(agents: Memory) -> Limits {
    Limits { agents, ..Limits::default() }
}

fn memory(wire: usize, wire_share: usize) -> Memory {
    Memory { wire, wire_share, ..Limits::default().agents }
}

#[tokio::test]
async fn large_bodies_beyond_the_memory_are_refused_and_others_get_through() {
    let served = Served::start(limits(memory(320 << 10, 128 << 10))).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let agent = served.agent().await;
        slow.push(served.client(Some(&agent)).begins(100 << 10));
    }
    let held = || served.hub.agents.free_wire() <= 120 << 10;
    until("two bodies have come in part", held).await;
    let (third, operator) = (served.agent().await, served.operator());
    let client = served.client(Some(&third));

    let refused = client.begins(128 << 10).answered().await;

    assert_eq!((refused.status, refused.again), (StatusCode::SERVICE_UNAVAILABLE, Some(2)));
    assert_eq!(client.beats().await.status, StatusCode::OK);
    let team = served.client(Some(&operator));
    assert_eq!(team.post("/v1/tokens", r#"{"agency":"A","hours":1}"#).await.status, StatusCode::OK);
    for body in slow {
        assert_eq!(body.ends().await.status, StatusCode::BAD_REQUEST);
    }
    until("all memory is back", || served.hub.agents.free_wire() == 320 << 10).await;
    assert_eq!(client.sends(1, 100).await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_agent_has_its_share_of_memory_and_no_more() {
    let served = Served::start(limits(memory(1 << 20, 128 << 10))).await;
    let (captured, other) = (served.agent().await, served.agent().await);
    let client = served.client(Some(&captured));
    let slow = client.begins(100 << 10);
    until("a body has come in part", || served.hub.agents.free_wire() < 1 << 20).await;

    let refused = client.begins(100 << 10).answered().await;

    assert_eq!((refused.status, refused.again), (StatusCode::TOO_MANY_REQUESTS, Some(2)));
    assert_eq!(served.client(Some(&other)).sends(1, 100).await.status, StatusCode::OK);
    slow.ends().await;
}

#[tokio::test]
async fn one_agent_has_so_many_requests_under_way_and_no_more() {
    let served = Served::start(Limits { under_way: 2, ..Limits::default() }).await;
    let (captured, other) = (served.agent().await, served.agent().await);
    let client = served.client(Some(&captured));
    let slow = [client.begins(1), client.begins(1)];
    until("two requests are under way", || served.hub.under_way.of(captured.agent) == 2).await;

    let refused = client.beats().await;

    assert_eq!((refused.status, refused.again), (StatusCode::TOO_MANY_REQUESTS, Some(1)));
    assert_eq!(served.client(Some(&other)).beats().await.status, StatusCode::OK);
    for body in slow {
        body.ends().await;
    }
    until("the answers are taken", || served.hub.under_way.of(captured.agent) == 0).await;
    assert_eq!(client.beats().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_stands_still_is_refused_and_gives_its_memory_back() {
    let served = Served::start(Limits { step: Duration::from_millis(200), ..Limits::default() }).await;
    let agent = served.agent().await;
    let all = served.hub.agents.free_wire();

    let slow = served.client(Some(&agent)).begins(100 << 10).answered().await;

    assert_eq!((slow.status, &slow.body["code"]), (StatusCode::BAD_REQUEST, &"body_too_slow".into()));
    until("all memory is back", || served.hub.agents.free_wire() == all).await;
}

#[tokio::test]
async fn a_request_that_its_sender_cuts_gives_everything_back() {
    let served = Served::start(Limits::default()).await;
    let agent = served.agent().await;
    let all = served.hub.agents.free_wire();
    let slow = served.client(Some(&agent)).begins(100 << 10);
    until("it is under way", || served.hub.under_way.of(agent.agent) == 1).await;

    slow.cut();

    until("its place is free", || served.hub.under_way.of(agent.agent) == 0).await;
    assert_eq!(served.hub.agents.free_wire(), all);
}
