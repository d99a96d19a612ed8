//! Replays hand-made frames through decoding and following.

use khien_core::{
    Untrusted,
    event::{Application, Direction},
};
use proptest::prelude::*;

use super::*;
use crate::decode::{
    Link, packet,
    sample::{Carried, Frame, client_hello, dns_query, tcp, tcp_with, udp},
};

const MARK: &[u8] = concat!("<?php ev", "al($_POST['khien']);?>").as_bytes();
const SYN: u8 = 2;
const FIN: u8 = 1;
const ACK: u8 = 16;
const ENDS: [(&str, &str); 2] =
    [("192.0.2.1:40000", "198.51.100.2:80"), ("[2001:db8::1]:40000", "[2001:db8::2]:80")];

#[test]
fn a_request_and_its_answer_are_one_hit_each() {
    for (client, server) in ENDS {
        let mut wire = Wire::new(client, server);
        wire.open();
        wire.say(&request("/up.php", MARK));
        wire.answer(&answer(MARK));
        wire.close();

        let hits = wire.hits();

        assert_eq!(hits.len(), 2, "{hits:?}");
        for (facts, direction) in hits.iter().zip([Direction::ToServer, Direction::ToClient]) {
            assert_eq!(facts.direction, direction);
            assert_eq!((facts.client.to_string(), facts.server.to_string()), (client.into(), server.into()));
            assert_eq!(facts.application, Application::Http);
            assert_eq!(facts.name, Some(Untrusted::from("web.example")));
            assert_eq!(facts.url, Some(Untrusted::from("http://web.example/up.php")));
            assert_eq!(facts.interface, Untrusted::from("eth0"));
        }
    }
}

#[test]
fn a_match_that_is_split_over_segments_out_of_order_and_tagged_is_one_hit() {
    for (client, server) in ENDS {
        let mut wire = Wire::new(client, server);
        wire.tags = vec![0x88a8, 0x8100];
        wire.open();
        let request = request("/up.php", MARK);
        let parts: Vec<_> = request.chunks(9).enumerate().collect();
        for (i, part) in parts.iter().rev().chain(parts.iter().take(2)) {
            wire.send(true, &tcp(1001 + u32::try_from(i * 9).unwrap(), part));
        }
        wire.wait(QUIET);

        assert_eq!(wire.hits().len(), 1);
    }
}

#[test]
fn a_match_on_the_edge_of_every_window_is_found_once() {
    for at in [16 << 10, 32 << 10, 128 << 10, 256 << 10, (256 << 10) + (60 << 10)] {
        let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
        wire.open();
        let mut body = vec![b'.'; at - 10];
        body.extend_from_slice(MARK);
        body.extend_from_slice(&[b'.'; 50_000]);
        for part in body.chunks(1400) {
            wire.answer(part);
        }
        wire.close();

        assert_eq!(wire.hits().len(), 1, "{at}");
    }
}

#[test]
fn a_hit_does_not_wait_for_the_end() {
    let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
    wire.open();
    wire.say(&request("/up.php", MARK));
    assert_eq!(wire.hits().len(), 0);

    wire.wait(QUIET);

    assert_eq!(wire.hits().len(), 1);
}

#[test]
fn each_request_of_one_connection_is_reported_with_its_own_url() {
    let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
    wire.open();
    for path in ["/a", "/b"] {
        wire.say(&request(path, MARK));
        wire.answer(&answer(b"ok"));
    }
    wire.close();

    let urls: Vec<_> = wire.hits().iter().map(|f| f.url.clone().unwrap().to_string()).collect();
    assert_eq!(urls, ["http://web.example/a", "http://web.example/b"]);
}

#[test]
fn a_conversation_is_picked_up_in_its_middle() {
    let mut wire = Wire::new("198.51.100.2:80", "192.0.2.1:40000");
    wire.say(MARK);
    wire.wait(QUIET);

    let hits = wire.hits();
    assert_eq!(hits.len(), 1);
    assert_eq!((hits[0].server.port(), hits[0].direction), (80, Direction::ToClient));
}

#[test]
fn a_hole_is_passed_after_its_time_and_counted() {
    let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
    wire.open();
    wire.send(true, &tcp(1101, MARK));
    wire.wait(QUIET);
    assert_eq!(wire.hits().len(), 0);

    // The hole is noticed, and given up when it is still there the next time.
    wire.wait(HOLE);
    wire.wait(HOLE);
    wire.wait(QUIET);

    assert_eq!(wire.hits().len(), 1);
    assert_eq!(wire.table.take_counts(), Counts { evicted: 0, missing: 100 });
}

#[test]
fn new_connections_between_the_same_ports_are_told_apart() {
    let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
    for first in [1000, 900_000_000] {
        wire.next = [first, first];
        wire.open();
        wire.say(&request("/x", MARK));
        wire.answer(&answer(b"ok"));
        wire.close();
    }

    assert_eq!(wire.hits().len(), 2);
}

#[test]
fn a_forged_reset_or_syn_does_not_hide_what_follows() {
    let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
    wire.open();
    wire.say(b"hello, this is no request ");
    wire.send(true, &tcp_with(4, 1001, 0, b""));
    wire.send(true, &tcp_with(SYN, 77, 0, b""));
    wire.say(MARK);
    wire.wait(QUIET);

    assert_eq!(wire.hits().len(), 1);
}

#[test]
fn names_are_told_from_dns_tls_and_http() {
    let mut wire = Wire::new("192.0.2.1:5000", "192.0.2.53:53");
    wire.send(true, &udp(&dns_query("c2.evil.example")));
    assert_eq!(wire.names(), [("c2.evil.example".to_owned(), Application::Dns)]);

    let mut wire = Wire::new("[2001:db8::1]:5000", "[2001:db8::53]:53");
    wire.open();
    let query = dns_query("c2.evil.example");
    wire.say(&[0, u8::try_from(query.len()).unwrap()]);
    wire.say(&query);
    assert_eq!(wire.names(), [("c2.evil.example".to_owned(), Application::Dns)]);

    let mut wire = Wire::new("[2001:db8::1]:5000", "[2001:db8::2]:443");
    wire.open();
    client_hello("c2.evil.example").chunks(20).for_each(|part| wire.say(part));
    wire.wait(QUIET);
    assert_eq!(wire.names(), [("c2.evil.example".to_owned(), Application::Tls)]);

    let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
    wire.open();
    request("/", b"").chunks(5).for_each(|part| wire.say(part));
    assert_eq!(wire.names(), [("web.example".to_owned(), Application::Http)]);
}

#[test]
fn the_table_stays_within_its_limits_and_scans_what_it_forgets() {
    let limits = Limits { flows: 10, bytes: 100_000 };
    let mut table = Table::new(vec![Untrusted::from("eth0")], limits);
    let mut scans = 0;
    for port in 1024..2024 {
        let frame = Frame::new(&format!("192.0.2.1:{port}"), "192.0.2.2:80").bytes(&tcp(1, &[b'x'; 3000]));
        let Ok(packet) = packet(Link::Ethernet, &frame) else { panic!() };
        scans += table.handle(0, &packet, Duration::ZERO).len();
        assert!(table.flows.len() <= limits.flows && table.bytes <= limits.bytes);
        assert_eq!(table.flows.len(), table.order.len());
    }

    assert_eq!(table.take_counts().evicted, 990);
    assert_eq!(scans + table.finish().len(), 1000);
    assert_eq!((table.bytes, table.flows.len(), table.order.len()), (0, 0, 0));
}

#[test]
fn quiet_conversations_are_forgotten() {
    let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
    wire.open();
    wire.say(b"x");

    wire.wait(IDLE);

    assert!(wire.table.flows.is_empty());
}

proptest! {
    #[test]
    fn any_segments_are_followed_without_harm(
        segments in prop::collection::vec((any::<bool>(), any::<u8>(), 0u32..5000, 0usize..3000, 0u64..3000, any::<u8>()), 0..80)
    ) {
        let mut wire = Wire::new(ENDS[0].0, ENDS[0].1);
        for (is_client, flags, seq, length, wait, fill) in segments {
            wire.send(is_client, &tcp_with(flags & 0x17, seq, seq, &vec![fill; length]));
            wire.wait(Duration::from_millis(wait));
        }
        wire.effects.extend(wire.table.finish());
        prop_assert_eq!(wire.table.bytes, 0);
    }
}

/// Two ends and what the table made of what they sent.
struct Wire {
    ends: [String; 2],
    tags: Vec<u16>,
    next: [u32; 2],
    now: Duration,
    table: Table,
    effects: Vec<Effect>,
}

impl Wire {
    fn new(client: &str, server: &str) -> Self {
        Self {
            ends: [client.to_owned(), server.to_owned()],
            tags: Vec::new(),
            next: [1000, 5000],
            now: Duration::ZERO,
            table: Table::new(vec![Untrusted::from("eth0")], Limits::default()),
            effects: Vec::new(),
        }
    }

    fn send(&mut self, is_client: bool, carried: &Carried) {
        let (from, to) = if is_client { (0, 1) } else { (1, 0) };
        let frame = Frame::new(&self.ends[from], &self.ends[to]).tags(&self.tags).bytes(carried);
        let packet = packet(Link::Ethernet, &frame).unwrap();
        self.effects.extend(self.table.handle(0, &packet, self.now));
    }

    fn open(&mut self) {
        self.send(true, &tcp_with(SYN, self.next[0], 0, b""));
        self.send(false, &tcp_with(SYN | ACK, self.next[1], self.next[0] + 1, b""));
        self.next = [self.next[0] + 1, self.next[1] + 1];
    }

    fn say(&mut self, bytes: &[u8]) {
        self.send(true, &tcp_with(ACK, self.next[0], self.next[1], bytes));
        self.next[0] += u32::try_from(bytes.len()).unwrap();
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.send(false, &tcp_with(ACK, self.next[1], self.next[0], bytes));
        self.next[1] += u32::try_from(bytes.len()).unwrap();
    }

    fn close(&mut self) {
        self.send(true, &tcp_with(FIN | ACK, self.next[0], self.next[1], b""));
        self.send(false, &tcp_with(FIN | ACK, self.next[1], self.next[0], b""));
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.effects.extend(self.table.tick(self.now));
    }

    /// Scans as the agent would: each finding once for its exchange and direction.
    fn hits(&self) -> Vec<FlowFacts> {
        let mut once = once::Once::new(1000);
        let mut hits = Vec::new();
        for effect in &self.effects {
            let Effect::Scan(job) = effect else { continue };
            let is_hit = job.bytes.windows(MARK.len()).any(|w| w == MARK);
            if is_hit && once.is_new((job.origin.clone(), job.facts.direction), self.now, Duration::MAX) {
                hits.push(job.facts.clone());
            }
        }
        hits
    }

    fn names(&self) -> Vec<(String, Application)> {
        let named = |e: &Effect| match e {
            Effect::Named(_, facts) => Some((facts.name.as_ref()?.to_string(), facts.application)),
            Effect::Scan(_) => None,
        };
        self.effects.iter().filter_map(named).collect()
    }
}

fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: web.example\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
