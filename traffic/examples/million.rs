//! Opens a million TCP connections and says what each takes: `cargo run --release -p khien-traffic --example million`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement, not the room"
)]

use std::fs;

use khien_core::{Timestamp, Untrusted};
use khien_traffic::{
    decode::{Frame, Link},
    flow::{Engine, Limits},
    sink::Sink,
};

const FLOWS: u32 = 1_000_000;

struct Nobody;

impl Sink for Nobody {}

fn main() {
    let limits = Limits { flows: 1 << 20, ..Limits::default() };
    let mut engine = Engine::new(vec![Untrusted::from("file")], limits);
    let before = resident();

    for number in 0..FLOWS {
        // Asked and answered, so that it is a connection that lives.
        for (from_client, flags) in [(true, 0x02), (false, 0x12)] {
            let bytes = packet(number, from_client, flags);
            let at = Timestamp::UNIX_EPOCH;
            let frame = Frame { interface: 0, link: Link::Ip, at, vlan: None, bytes: &bytes, length: 40 };
            engine.take(&frame, &mut Nobody);
        }
    }

    let bytes = resident() - before;
    println!("{} flows, {} bytes each, resident", engine.flows(), bytes / u64::from(FLOWS));
    assert_eq!(engine.flows(), FLOWS as usize);
    assert!(bytes / u64::from(FLOWS) < 400);
}

fn packet(number: u32, from_client: bool, flags: u8) -> [u8; 40] {
    let client = (number / 50_000 + 0x0a00_0001).to_be_bytes();
    let port = u16::try_from(number % 50_000 + 1024).unwrap().to_be_bytes();
    let (server, web) = ([192, 0, 2, 1], [0, 80]);
    let mut out = [0; 40];
    out[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    let (from, to) = if from_client { (12, 16) } else { (16, 12) };
    out[from..from + 4].copy_from_slice(&client);
    out[to..to + 4].copy_from_slice(&server);
    let (from, to) = if from_client { (20, 22) } else { (22, 20) };
    out[from..from + 2].copy_from_slice(&port);
    out[to..to + 2].copy_from_slice(&web);
    out[31] = u8::from(!from_client);
    out[32..34].copy_from_slice(&[0x50, flags]);
    out
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
