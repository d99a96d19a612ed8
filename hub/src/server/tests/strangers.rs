//! Whoever is neither agent nor operator has little room, one request at a time, and little time.

use std::{io, time::Duration};

use axum::http::StatusCode;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    abuse::{PREFACE, settings},
    served::Served,
};
use crate::limits::{Limits, MAX_STREAMS};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(200);
/// The setting of HTTP/2 that says how many streams there may be.
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// Reads what comes until the other side closes.
async fn is_closed(mut io: impl AsyncReadExt + Unpin) -> bool {
    let mut rest = Vec::new();
    match io.read_to_end(&mut rest).await {
        Ok(_) => true,
        Err(e) => matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof),
    }
}

#[tokio::test]
async fn two_hundred_and_fifty_six_strangers_are_all_and_an_agent_still_comes_in() {
    let served = Served::start(Limits { stranger: LONG, ..Limits::default() }).await;
    let agent = served.agent().await;
    let mut inside = Vec::new();
    for from in 1..=4 {
        for _ in 0..64 {
            let mut stranger = served.tls(from, None).await.unwrap();
            stranger.write_all(PREFACE).await.unwrap();
            assert_eq!(settings(&mut stranger).await[&MAX_CONCURRENT_STREAMS], 1);
            inside.push(stranger);
        }
    }

    // Four addresses are at their own bound, a fifth finds the bound of all.
    let more = (1..=5).map(async |from| is_closed(served.tls(from, None).await.unwrap()).await);
    assert_eq!(join_all(more).await, [true; 5]);
    assert_eq!(inside.len(), 256);
    assert_eq!(served.client(Some(&agent)).beats().await.status, StatusCode::OK);
    drop(inside.pop());
    let mut again = loop {
        let mut it = served.tls(5, None).await.unwrap();
        if it.write_all(PREFACE).await.is_ok() && it.read_u8().await.is_ok() {
            break it;
        }
    };
    assert!(again.write_all(&[0]).await.is_ok());
}

#[tokio::test]
async fn strangers_over_the_bound_of_their_address_wait_and_come_in_when_another_leaves() {
    let served =
        Served::start(Limits { strangers_per_address: 1, handshake: LONG, ..Limits::default() }).await;
    let mut first = served.tls(1, None).await.unwrap();
    first.write_all(PREFACE).await.unwrap();
    settings(&mut first).await;
    let mut next = [served.tls(1, None).await.unwrap(), served.tls(1, None).await.unwrap()];
    for it in &mut next {
        it.write_all(PREFACE).await.unwrap();
    }

    drop(first);

    // Whichever comes in first leaves room for the other.
    let [a, b] = next;
    let come_in = async |mut it| {
        settings(&mut it).await;
    };
    tokio::join!(come_in(a), come_in(b));
}

#[tokio::test]
async fn a_certificate_of_a_key_that_is_not_admitted_is_a_strangers() {
    let served = Served::start(Limits { strangers: 0, ..Limits::default() }).await;
    let (revoked, agent) = (served.certified(), served.agent().await);

    assert!(is_closed(served.tls(1, Some(&revoked)).await.unwrap()).await);
    let mut admitted = served.tls(1, Some(&agent)).await.unwrap();
    admitted.write_all(PREFACE).await.unwrap();
    assert_eq!(settings(&mut admitted).await[&MAX_CONCURRENT_STREAMS], MAX_STREAMS);
}

#[tokio::test]
async fn a_strangers_connection_ends_after_its_time_and_an_agents_does_not() {
    let served = Served::start(Limits { stranger: SHORT, ..Limits::default() }).await;
    let agent = served.agent().await;
    let client = served.client(Some(&agent));
    assert_eq!(client.beats().await.status, StatusCode::OK);

    let mut stranger = served.tls(1, None).await.unwrap();
    // Its time may be over already.
    stranger.write_all(PREFACE).await.ok();

    assert!(is_closed(stranger).await);
    assert_eq!(client.beats().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_cut() {
    let served = Served::start(Limits { handshake: SHORT, ..Limits::default() }).await;

    assert!(is_closed(served.tcp(1).await.unwrap()).await);
}

#[tokio::test]
async fn an_address_that_knocks_and_waits_takes_nobody_elses_room() {
    let served =
        Served::start(Limits { handshakes_per_address: 2, handshake: LONG, ..Limits::default() }).await;
    let agent = served.agent().await;
    let waiting = [served.tcp(2).await.unwrap(), served.tcp(2).await.unwrap()];

    assert!(is_closed(served.tcp(2).await.unwrap()).await);
    assert!(served.tls(1, Some(&agent)).await.is_ok());
    drop(waiting);
}

#[tokio::test]
async fn handshakes_at_a_time_are_counted_over_all_addresses() {
    let served = Served::start(Limits { handshakes: 2, handshake: LONG, ..Limits::default() }).await;
    let waiting = [served.tcp(2).await.unwrap(), served.tcp(3).await.unwrap()];

    assert!(is_closed(served.tcp(4).await.unwrap()).await);
    drop(waiting);
}

#[tokio::test]
async fn one_key_has_so_many_connections_and_no_more() {
    let served = Served::start(Limits { per_agent: 2, ..Limits::default() }).await;
    let (captured, other) = (served.agent().await, served.agent().await);
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut it = served.tls(1, Some(&captured)).await.unwrap();
        it.write_all(PREFACE).await.unwrap();
        settings(&mut it).await;
        inside.push(it);
    }

    assert!(is_closed(served.tls(1, Some(&captured)).await.unwrap()).await);
    assert_eq!(served.client(Some(&other)).beats().await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_to_join_has_at_most_sixteen_kib() {
    let served = Served::start(Limits::default()).await;
    let stranger = served.client(None);

    let large = stranger.post("/v1/enroll", vec![b' '; (16 << 10) + 1]).await;
    let bomb = zstd::bulk::compress(&vec![b' '; (16 << 10) + 1], 3).unwrap();
    let bomb = stranger.post("/v1/enroll", bomb).await;
    let fits = stranger.post("/v1/enroll", vec![b' '; 16 << 10]).await;

    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(bomb.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(fits.status, StatusCode::BAD_REQUEST);
}
