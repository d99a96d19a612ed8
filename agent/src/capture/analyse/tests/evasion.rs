//! Packets that say one thing to the sensor and another to the host, on a real wire between two interfaces.

use khien_core::detection::Pattern;

use super::*;
use crate::capture::ring::tests::{make_pair, send};

const CLIENT: [u8; 4] = [10, 77, 0, 5];
const SERVER: [u8; 4] = [203, 0, 113, 7];
const TEXT: &[u8] = b"GET /kit.sh HTTP/1.1\r\n";
const DECOY: &[u8] = b"GET /cat.sh HTTP/1.1\r\n";

#[test]
fn copies_that_contradict_are_an_alert_and_copies_that_say_the_same_are_none() {
    for (copy, is_told) in [(DECOY, true), (TEXT, false)] {
        in_namespace(move || {
            if make_pair() {
                running(sent_again(copy, is_told));
            }
        });
    }
}

/// Sends a request, the same bytes again three times, and at the end what is found in any case.
async fn sent_again(copy: &'static [u8], is_told: bool) {
    let config = NetConfig { interfaces: vec!["pair1".to_owned()], ..NetConfig::default() };
    let mut rig = Rig::of(config).await;
    open_flow();
    send("pair0", &segment(CLIENT, 0x18, 1_001, TEXT));
    for _ in 0..3 {
        send("pair0", &segment(CLIENT, 0x18, 1_001, copy));
    }
    let rest = [b"Host: c2.evil.example\r\n\r\n", MARK].concat();
    send("pair0", &segment(CLIENT, 0x18, 1_001 + TEXT.len() as u32, &rest));

    let mut told = Vec::new();
    // Which of them is told first depends on who owns the flow, which is asked meanwhile.
    for _ in 0..if is_told { 3 } else { 2 } {
        let Report::Detection(found) = rig.report().await else { panic!("another report") };
        told.push(*found);
    }
    rig.stop().await;
    told.sort_by(|a, b| a.rule.cmp(&b.rule));

    let rules: Vec<_> = told.iter().map(|found| found.rule.as_str()).collect();
    let expected = ["khien.net.evasion", "test.list", "test.mark"];
    assert_eq!(rules, if is_told { &expected[..] } else { &expected[1..] });
    if let (true, Subject::Traffic(subject)) = (is_told, &told[0].subject) {
        let Pattern::Evasion { copies: 3, pieces: 0, resets: 0, .. } = subject.what else {
            panic!("{subject:?}")
        };
        assert_eq!((subject.client, subject.server), (CLIENT.into(), Some(SERVER.into())));
        assert_eq!(subject.flows[0].interface, "pair1".into());
    }
    assert!(rig.reports.try_recv().is_err(), "and nothing else");
    let doubts = rig.meter.health(0).wires[0].uncertain;
    assert_eq!(doubts.conflicts, if is_told { 3 } else { 0 }, "{doubts:?}");
}

fn open_flow() {
    send("pair0", &segment(CLIENT, 0x02, 1_000, b""));
    send("pair0", &segment(SERVER, 0x12, 5_000, b""));
}

/// Makes a frame with a TCP segment of one of the two.
pub(super) fn segment(from: [u8; 4], flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
    let (to, ports) = if from == CLIENT { (SERVER, [40_000u16, 80]) } else { (CLIENT, [80, 40_000]) };
    let ack: u32 = if flags & 0x10 == 0 { 0 } else { if from == CLIENT { 5_001 } else { 1_001 } };
    let length = u16::try_from(40 + payload.len()).unwrap();
    let mut ip = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 1, 0x40, 0, 64, 6, 0, 0], &from, &to].concat();
    let sum = sum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let ports = ports.map(u16::to_be_bytes).concat();
    let numbers = [seq.to_be_bytes(), ack.to_be_bytes()].concat();
    let mut tcp = [&ports[..], &numbers, &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0], payload].concat();
    let carried = u16::try_from(tcp.len()).unwrap().to_be_bytes();
    let sum = self::sum(&[&from[..], &to, &[0, 6], &carried, &tcp].concat());
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &ip, &tcp].concat()
}

/// The checksum of RFC 1071.
fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
