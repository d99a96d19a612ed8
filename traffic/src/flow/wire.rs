//! Two ends of hand-made frames, and what the engine made of what they sent.

use std::collections::HashSet;

use khien_core::{
    Timestamp, Untrusted,
    event::{Application, FlowFacts},
    traffic::{Ends, Flow, Record, What},
};

use super::{Engine, Limits};
use crate::{
    decode::{
        self, Link,
        sample::{Carried, Frame, tcp_with},
    },
    sink::{Content, Evasion, Job, Named, Sink},
};

pub(super) const MARK: &[u8] = concat!("<?php ev", "al($_POST['khien']);?>").as_bytes();
pub(super) const SYN: u8 = 2;
pub(super) const FIN: u8 = 1;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;
/// A server that speaks nothing known, so that its streams are scanned as they are.
pub(super) const ENDS: [(&str, &str); 2] =
    [("192.0.2.1:40000", "198.51.100.2:7000"), ("[2001:db8::1]:40000", "[2001:db8::2]:7000")];

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) opened: Vec<Ends>,
    pub(super) asked: Vec<Ends>,
    pub(super) named: Vec<Named>,
    pub(super) records: Vec<Record>,
    pub(super) jobs: Vec<Job>,
    pub(super) contents: Vec<Content>,
    /// Bytes without which no rule matches.
    pub(super) needed: Option<&'static [u8]>,
    pub(super) signs: Vec<Evasion>,
}

impl Sink for Told {
    fn opened(&mut self, ends: &Ends, _: Timestamp) {
        self.opened.push(ends.clone());
    }

    fn asked(&mut self, ends: &Ends, _: Timestamp) {
        self.asked.push(ends.clone());
    }

    fn named(&mut self, named: Named) {
        self.named.push(named);
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn wants(&mut self, bytes: &[u8]) -> bool {
        self.needed.is_none_or(|needed| bytes.windows(needed.len()).any(|w| w == needed))
    }

    fn scan(&mut self, job: Job) {
        self.jobs.push(job);
    }

    fn content(&mut self, content: Content) {
        self.contents.push(content);
    }

    fn evaded(&mut self, sign: Evasion) {
        self.signs.push(sign);
    }
}

impl Told {
    pub(super) fn flows(&self) -> Vec<&Flow> {
        self.records
            .iter()
            .filter_map(|record| match &record.what {
                What::Flow(flow) => Some(&**flow),
                _ => None,
            })
            .collect()
    }
}

/// Two ends.
pub(super) struct Wire {
    ends: [String; 2],
    pub(super) tags: Vec<u16>,
    /// The next number of each end.
    pub(super) next: [u32; 2],
    pub(super) hops: u8,
    /// In milliseconds.
    now: i64,
    pub(super) engine: Engine,
    pub(super) told: Told,
}

impl Wire {
    pub(super) fn new((client, server): (&str, &str)) -> Self {
        Self::with((client, server), Limits::default())
    }

    pub(super) fn with((client, server): (&str, &str), limits: Limits) -> Self {
        Self {
            ends: [client.to_owned(), server.to_owned()],
            tags: Vec::new(),
            next: [1000, 5000],
            hops: 64,
            now: 0,
            engine: Engine::new(vec![Untrusted::from("eth0")], limits),
            told: Told::default(),
        }
    }

    /// Has the next frames go between other ends, who have said nothing yet.
    pub(super) fn between(&mut self, (client, server): (&str, &str)) {
        (self.ends, self.next) = ([client.to_owned(), server.to_owned()], [1000, 5000]);
    }

    pub(super) fn frame(&self, is_client: bool, carried: &Carried) -> Vec<u8> {
        let (from, to) = if is_client { (0, 1) } else { (1, 0) };
        let frame = Frame::new(&self.ends[from], &self.ends[to]).tags(&self.tags).hops(self.hops);
        frame.summed().bytes(carried)
    }

    pub(super) fn send(&mut self, is_client: bool, carried: &Carried) {
        let frame = self.frame(is_client, carried);
        self.put(&frame);
    }

    /// Puts a whole frame on the wire.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let at = self.at();
        let length = u32::try_from(bytes.len()).unwrap();
        let frame = decode::Frame { interface: 0, link: Link::Ethernet, at, vlan: None, bytes, length };
        self.engine.take(&frame, &mut self.told);
    }

    pub(super) fn open(&mut self) {
        self.send(true, &tcp_with(SYN, self.next[0], 0, b""));
        let ack = self.next[0].wrapping_add(1);
        self.send(false, &tcp_with(SYN | ACK, self.next[1], ack, b""));
        self.next = self.next.map(|next| next.wrapping_add(1));
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.speak(true, bytes);
    }

    pub(super) fn answer(&mut self, bytes: &[u8]) {
        self.speak(false, bytes);
    }

    fn speak(&mut self, is_client: bool, bytes: &[u8]) {
        let (mine, other) = if is_client { (0, 1) } else { (1, 0) };
        self.send(is_client, &tcp_with(ACK, self.next[mine], self.next[other], bytes));
        self.next[mine] = self.next[mine].wrapping_add(u32::try_from(bytes.len()).unwrap());
    }

    pub(super) fn close(&mut self) {
        self.send(true, &tcp_with(FIN | ACK, self.next[0], self.next[1], b""));
        self.send(false, &tcp_with(FIN | ACK, self.next[1], self.next[0], b""));
    }

    pub(super) fn wait(&mut self, milliseconds: i64) {
        self.now += milliseconds;
        let at = self.at();
        self.engine.tick(at, &mut self.told);
    }

    pub(super) fn finish(&mut self) {
        self.engine.finish(&mut self.told);
    }

    pub(super) fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(1_795_000_000_000 + self.now).unwrap()
    }

    /// Scans as the agent would: each finding once for its exchange and direction.
    pub(super) fn hits(&self) -> Vec<FlowFacts> {
        let mut once = HashSet::new();
        let is_hit = |job: &&Job| job.bytes.windows(MARK.len()).any(|w| w == MARK);
        let jobs = self.told.jobs.iter().filter(is_hit);
        jobs.filter(|job| once.insert((job.origin, job.facts.direction)))
            .map(|job| job.facts.clone())
            .collect()
    }

    pub(super) fn names(&self) -> Vec<(String, Application)> {
        let named = |n: &Named| Some((n.facts.name.as_ref()?.to_string(), n.facts.application));
        self.told.named.iter().filter_map(named).collect()
    }

    /// Returns everything that was to be scanned one way, each byte where it stood.
    pub(super) fn scanned(&self, is_client: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for job in self.told.jobs.iter().filter(|j| (j.facts.direction as usize == 0) == is_client) {
            let from = usize::try_from(job.offset).unwrap();
            out.resize(out.len().max(from + job.bytes.len()), 0);
            out[from..from + job.bytes.len()].copy_from_slice(&job.bytes);
        }
        out
    }
}
