//! Hostile frames: what a peer can make the hub do by HTTP/2 alone ends with the connection, and others go on.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::served::{Identity, Served};
use crate::limits::Limits;

/// How a client begins HTTP/2: the fixed words and empty settings.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://h/` in HPACK.
const GET: &[u8] = &[0x82, 0x87, 0x84, 0x41, 0x01, b'h'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

async fn read_frame(io: &mut TlsStream<TcpStream>) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    io.read_exact(&mut head).await?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    io.read_exact(&mut payload).await?;
    Ok((head[3], payload))
}

/// Reads the settings with which the hub begins.
pub(super) async fn settings(io: &mut TlsStream<TcpStream>) -> BTreeMap<u16, u32> {
    loop {
        let (kind, payload) = read_frame(io).await.unwrap();
        if kind == SETTINGS && !payload.is_empty() {
            let one =
                |s: &[u8]| (u16::from_be_bytes([s[0], s[1]]), u32::from_be_bytes([s[2], s[3], s[4], s[5]]));
            return payload.chunks_exact(6).map(one).collect();
        }
    }
}

/// Sends frames until the hub ends the connection; returns how many bytes it took, and whether it said why.
async fn until_it_ends(
    served: &Served,
    who: Option<&Identity>,
    mut next: impl FnMut(u32) -> Option<Vec<u8>>,
) -> (usize, bool) {
    let (mut reader, mut writer) = {
        let mut io = served.tls(1, who).await.unwrap();
        io.write_all(PREFACE).await.unwrap();
        tokio::io::split(io)
    };
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all).await;
        all
    });
    let mut sent = 0;
    for n in 0.. {
        let Some(frame) = next(n) else { break };
        if reading.is_finished() || writer.write_all(&frame).await.is_err() {
            break;
        }
        sent += frame.len();
    }
    let _ = writer.flush().await;
    let all = reading.await.unwrap();
    (sent, goes_away(&all))
}

fn goes_away(mut bytes: &[u8]) -> bool {
    while let [a, b, c, kind, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == GO_AWAY {
            return true;
        }
        bytes = rest.get(5 + length..).unwrap_or_default();
    }
    false
}

async fn still_serves(served: &Served) {
    let agent = served.agent().await;
    assert_eq!(served.client(Some(&agent)).beats().await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_and_resetting_streams_ends_the_connection() {
    let served = Served::start(Limits::default()).await;
    let captured = served.agent().await;

    let (_, said) = until_it_ends(&served, Some(&captured), |n| {
        let stream = 2 * n + 1;
        let mut frames = frame(HEADERS, END_STREAM | END_HEADERS, stream, GET);
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        (n < 100_000).then_some(frames)
    })
    .await;

    assert!(said);
    still_serves(&served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_without_end_ends_the_connection() {
    let served = Served::start(Limits::default()).await;
    let captured = served.agent().await;
    // One name and value, told over and over from the table: each byte stands for 40.
    let first = [GET, &[0x40, 1, b'x', 1, b'y']].concat();

    let (sent, _) = until_it_ends(&served, Some(&captured), |n| match n {
        0 => Some(frame(HEADERS, END_STREAM, 1, &first)),
        _ => (n < 100_000).then(|| frame(CONTINUATION, 0, 1, &[0xbe; 1_000])),
    })
    .await;

    assert!(sent < 4 << 20, "{sent} bytes of one head were taken");
    still_serves(&served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_continuations_without_end_end_the_connection() {
    let served = Served::start(Limits::default()).await;

    let (sent, _) = until_it_ends(&served, None, |n| match n {
        0 => Some(frame(HEADERS, END_STREAM, 1, GET)),
        _ => (n < 1_000_000).then(|| frame(CONTINUATION, 0, 1, &[]).repeat(100)),
    })
    .await;

    assert!(sent < 4 << 20, "{sent} bytes of empty frames were taken");
    still_serves(&served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_whose_answers_nobody_reads_end_no_other_connection() {
    let served = Served::start(Limits::default()).await;
    let captured = served.agent().await;
    let mut io = served.tls(1, Some(&captured)).await.unwrap();
    io.write_all(PREFACE).await.unwrap();

    for _ in 0..1_000 {
        io.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
    }

    still_serves(&served).await;
}
