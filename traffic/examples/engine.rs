//! Says how many packets the engine takes in a second of processor time: `cargo run --release -p khien-traffic --example engine`.
//!
//! Frames are made in memory: connections with five HTTP exchanges each, many at a time, answers in segments of 1,400
//! bytes, an acknowledgement for every second one, and a DNS question before each. Records are written as NDJSON to nowhere.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement, not the room"
)]

use std::{fs, io};

use khien_core::{Timestamp, Untrusted, traffic::Record};
use khien_traffic::{
    decode::{Frame, Link},
    flow::{Engine, Limits},
    sink::{Job, Sink},
};

const FLOWS: u32 = 20_000;
/// Connections at the same time.
const TOGETHER: usize = 200;
const EXCHANGES: u32 = 5;
const ANSWER: usize = 8 * 1400;

#[derive(Default)]
struct Written {
    records: u64,
    jobs: u64,
}

impl Sink for Written {
    fn record(&mut self, record: Record) {
        self.records += 1;
        serde_json::to_writer(io::sink(), &record).unwrap();
    }

    fn scan(&mut self, job: Job) {
        self.jobs += u64::from(!job.bytes.is_empty());
    }
}

fn main() {
    for (name, scan) in [("records", false), ("records and streams to scan", true)] {
        measure(name, Limits { scan, files: scan, ..Limits::default() });
    }
}

fn measure(name: &str, limits: Limits) {
    let mut engine = Engine::new(vec![Untrusted::from("file")], limits);
    let mut sink = Written::default();
    let (mut spent, mut packets, mut bytes) = (0, 0u64, 0u64);
    let mut at = Timestamp::UNIX_EPOCH;
    for first in (0..FLOWS).step_by(TOGETHER) {
        let talks: Vec<_> = (first..first + TOGETHER as u32).map(talk).collect();
        let longest = talks.iter().map(Vec::len).max().unwrap();
        let began = processor_time();
        for step in 0..longest {
            at = at.checked_add(std::time::Duration::from_micros(600)).unwrap();
            for frame in talks.iter().filter_map(|talk| talk.get(step)) {
                let length = u32::try_from(frame.len()).unwrap();
                engine.take(
                    &Frame { interface: 0, link: Link::Ethernet, at, vlan: None, bytes: frame, length },
                    &mut sink,
                );
                packets += 1;
                bytes += frame.len() as u64;
            }
        }
        spent += processor_time() - began;
    }
    engine.finish(&mut sink);
    let each = spent / packets;
    println!(
        "{name}: {packets} packets of {} bytes, {} records, {} jobs: {each} ns a packet, {} packets a second, {} MiB resident",
        bytes / packets,
        sink.records,
        sink.jobs,
        1_000_000_000 / each,
        resident() >> 20
    );
}

/// All frames of one connection.
fn talk(number: u32) -> Vec<Vec<u8>> {
    let mut side = Sides { number, next: [1000, 5000], out: Vec::new() };
    side.dns();
    side.tcp(true, 0x02, b"");
    side.next[0] += 1;
    side.tcp(false, 0x12, b"");
    side.next[1] += 1;
    side.tcp(true, 0x10, b"");
    for exchange in 0..EXCHANGES {
        let request = format!(
            "GET /page/{number}/{exchange} HTTP/1.1\r\nHost: web{}.example\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
            number % 100
        );
        side.tcp(true, 0x18, request.as_bytes());
        let head = format!(
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: {ANSWER}\r\n\r\n"
        );
        let answer = [head.as_bytes(), &vec![b'.'; ANSWER]].concat();
        for (i, part) in answer.chunks(1400).enumerate() {
            side.tcp(false, 0x10, part);
            if i % 2 == 1 {
                side.tcp(true, 0x10, b"");
            }
        }
    }
    side.tcp(true, 0x11, b"");
    side.tcp(false, 0x11, b"");
    side.out
}

struct Sides {
    number: u32,
    next: [u32; 2],
    out: Vec<Vec<u8>>,
}

impl Sides {
    fn tcp(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let (mine, other) = if from_client { (0, 1) } else { (1, 0) };
        let mut rest = [self.next[mine].to_be_bytes(), self.next[other].to_be_bytes()].concat();
        rest.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        rest.extend_from_slice(payload);
        self.next[mine] += u32::try_from(payload.len()).unwrap();
        self.frame(from_client, (6, 80), &rest);
    }

    fn dns(&mut self) {
        let name = format!("web{}", self.number % 100);
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, u8::try_from(name.len()).unwrap()];
        query.extend_from_slice(name.as_bytes());
        query.extend_from_slice(b"\x07example\0\0\x01\0\x01");
        let length = u16::try_from(query.len() + 8).unwrap().to_be_bytes();
        self.frame(true, (17, 53), &[&length[..], &[0, 0], &query].concat());
        query[2] |= 0x80;
        self.frame(false, (17, 53), &[&length[..], &[0, 0], &query].concat());
    }

    fn frame(&mut self, from_client: bool, (protocol, port): (u8, u16), rest: &[u8]) {
        let client = ([[10, 0, 0, 0], (self.number / 50_000 + 1).to_be_bytes()], self.number % 50_000 + 1024);
        let client_ip = [client.0[0][0], 0, 0, client.0[1][3]];
        let ports = [u16::try_from(client.1).unwrap().to_be_bytes(), port.to_be_bytes()];
        let (from, to) = if from_client { (0, 1) } else { (1, 0) };
        let ips = [client_ip, [192, 0, 2, 1]];
        let length = u16::try_from(24 + rest.len()).unwrap().to_be_bytes();
        let mut out = vec![2; 12];
        out.extend_from_slice(&[8, 0, 0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0]);
        out.extend_from_slice(&ips[from]);
        out.extend_from_slice(&ips[to]);
        out.extend_from_slice(&ports[from]);
        out.extend_from_slice(&ports[to]);
        out.extend_from_slice(rest);
        self.out.push(out);
    }
}

/// Nanoseconds of processor time of this thread.
fn processor_time() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
