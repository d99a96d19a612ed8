//! Follows conversations: puts TCP streams together, tells what they carry, and cuts out what is to be scanned.
//!
//! Pure: takes packets and the time since capture began, returns effects. Never scans, never reports.
//!
//! Known limits: checksums and hop limits are not judged, so a peer who can make the host drop what the sensor takes
//! may hide behind that; compressed and encrypted content is not opened; the application is told by its first bytes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use khien_core::{
    Untrusted,
    event::{Application, Direction, FlowFacts, Transport},
};

use crate::decode::{Datagram, Packet, Segment, dns};
use conversation::Conversation;

mod conversation;
pub(crate) mod once;
mod stream;
mod window;

/// How long new bytes wait for more before they are scanned.
pub(crate) const QUIET: Duration = Duration::from_millis(100);
/// How long a hole is waited for, at least; twice as long at most.
const HOLE: Duration = Duration::from_secs(1);
/// How long an ended conversation is remembered, for late copies of its segments.
const LINGER: Duration = Duration::from_secs(5);
/// How long a conversation may say nothing before it is forgotten.
const IDLE: Duration = Duration::from_secs(120);
/// The most bytes of a name that are kept.
const MAX_NAME: usize = 255;
/// The most bytes of a URL that are kept.
const MAX_URL: usize = 2048;
const DNS_PORT: u16 = 53;

/// What the table may hold; the conversation that was quiet for longest goes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Conversations.
    pub(crate) flows: usize,
    /// Bytes of all of them.
    pub(crate) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 16_384, bytes: 32 << 20 }
    }
}

/// Names a conversation; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlowId(u64);

/// What one report may stand for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// One exchange of a conversation: a request and its answer.
    Exchange(FlowId, u64),
    /// One question of one socket.
    Question(SocketAddr, SocketAddr, Untrusted),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Scan bytes of a stream.
    Scan(Job),
    /// Look whether the name in the facts is listed.
    Named(Origin, FlowFacts),
}

/// Bytes to scan, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// What a hit is counted for.
    pub(crate) origin: Origin,
    /// The flow as it is known now.
    pub(crate) facts: FlowFacts,
    /// Where the bytes begin in the stream.
    pub(crate) offset: u64,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// What could not be followed, since the last time it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Conversations that were forgotten to make room.
    pub(crate) evicted: u64,
    /// Bytes of streams that never came by.
    pub(crate) missing: u64,
}

/// The conversations of all interfaces.
#[derive(Debug)]
pub(crate) struct Table {
    interfaces: Vec<Untrusted>,
    limits: Limits,
    flows: HashMap<Key, Entry>,
    /// By last use.
    order: BTreeMap<u64, Key>,
    uses: u64,
    flows_seen: u64,
    bytes: usize,
    waits: BinaryHeap<Reverse<(Duration, Wait)>>,
    counts: Counts,
}

/// The two ends on one interface, the smaller first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    interface: usize,
    low: SocketAddr,
    high: SocketAddr,
}

#[derive(Debug)]
struct Entry {
    conversation: Conversation,
    used: u64,
    seen: Duration,
    bytes: usize,
    armed: [bool; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wait {
    key: Key,
    flow: FlowId,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Quiet,
    Hole,
    Ended,
}

impl Table {
    /// Makes an empty table for these interfaces.
    pub(crate) fn new(interfaces: Vec<Untrusted>, limits: Limits) -> Self {
        Self {
            interfaces,
            limits,
            flows: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            flows_seen: 0,
            bytes: 0,
            waits: BinaryHeap::new(),
            counts: Counts::default(),
        }
    }

    /// Takes a packet that was seen on an interface.
    pub(crate) fn handle(&mut self, interface: usize, packet: &Packet<'_>, now: Duration) -> Vec<Effect> {
        let mut out = Vec::new();
        match packet {
            Packet::Tcp(segment) => self.segment(interface, segment, now, &mut out),
            Packet::Udp(datagram) => out.extend(self.question(interface, datagram)),
        }
        out
    }

    /// Does what waited for this time.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let mut out = Vec::new();
        while let Some(Reverse((at, wait))) = self.waits.peek().copied()
            && at <= now
        {
            self.waits.pop();
            self.awake(wait, now, &mut out);
        }
        while let Some((_, &key)) = self.order.first_key_value()
            && self.flows.get(&key).is_none_or(|e| now.saturating_sub(e.seen) >= IDLE)
        {
            self.forget(key, &mut out);
        }
        out
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub(crate) fn next_wait(&self) -> Option<Duration> {
        self.waits.peek().map(|Reverse((at, _))| *at)
    }

    /// Ends every conversation.
    #[cfg(test)]
    pub(crate) fn finish(&mut self) -> Vec<Effect> {
        let mut out = Vec::new();
        while let Some((_, &key)) = self.order.first_key_value() {
            self.forget(key, &mut out);
        }
        out
    }

    /// Returns what could not be followed since the last call.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    fn segment(&mut self, interface: usize, segment: &Segment<'_>, now: Duration, out: &mut Vec<Effect>) {
        let key = Key::of(interface, segment.source, segment.destination);
        if self.flows.get(&key).is_some_and(|e| e.conversation.is_replaced_by(segment)) {
            self.forget(key, out);
        }
        let speaks = !segment.payload.is_empty() || segment.flags.syn;
        if !self.flows.contains_key(&key)
            && (!speaks || segment.flags.rst || !self.open(key, segment, now, out))
        {
            return;
        }
        if let Some(entry) = self.flows.get_mut(&key) {
            entry.conversation.handle(segment, out);
            self.order.remove(&entry.used);
            self.uses += 1;
            (entry.used, entry.seen) = (self.uses, now);
            self.order.insert(self.uses, key);
        }
        self.settle(key, now);
        while self.bytes > self.limits.bytes {
            let Some((_, &oldest)) = self.order.first_key_value() else { break };
            self.counts.evicted += 1;
            self.forget(oldest, out);
        }
    }

    /// Makes room for a new conversation and begins it; without its interface there is none.
    fn open(&mut self, key: Key, segment: &Segment<'_>, now: Duration, out: &mut Vec<Effect>) -> bool {
        let Some(interface) = self.interfaces.get(key.interface).cloned() else { return false };
        if self.flows.len() >= self.limits.flows
            && let Some((_, &oldest)) = self.order.first_key_value()
        {
            self.counts.evicted += 1;
            self.forget(oldest, out);
        }
        self.flows_seen += 1;
        self.uses += 1;
        let conversation = Conversation::new(FlowId(self.flows_seen), interface, segment);
        let entry = Entry { conversation, used: self.uses, seen: now, bytes: 0, armed: [false; 3] };
        self.order.insert(self.uses, key);
        self.flows.insert(key, entry);
        true
    }

    /// Counts what a conversation holds now and sets its clocks.
    fn settle(&mut self, key: Key, now: Duration) {
        let Some(entry) = self.flows.get_mut(&key) else { return };
        let held = entry.conversation.held();
        self.bytes = self.bytes - entry.bytes + held;
        entry.bytes = held;
        self.counts.missing += entry.conversation.take_missing();
        let wanted = [
            (Kind::Quiet, entry.conversation.is_fresh(), QUIET),
            (Kind::Hole, entry.conversation.has_hole(), HOLE),
            (Kind::Ended, entry.conversation.has_ended(), LINGER),
        ];
        for (kind, is_wanted, after) in wanted {
            if is_wanted && !std::mem::replace(&mut entry.armed[kind as usize], true) {
                let wait = Wait { key, flow: entry.conversation.id(), kind };
                self.waits.push(Reverse((now.saturating_add(after), wait)));
            }
        }
    }

    fn awake(&mut self, wait: Wait, now: Duration, out: &mut Vec<Effect>) {
        let Some(entry) = self.flows.get_mut(&wait.key).filter(|e| e.conversation.id() == wait.flow) else {
            return;
        };
        entry.armed[wait.kind as usize] = false;
        match wait.kind {
            Kind::Quiet => entry.conversation.quiet(out),
            Kind::Hole => entry.conversation.pass_old_holes(out),
            Kind::Ended if now.saturating_sub(entry.seen) >= LINGER => self.forget(wait.key, out),
            Kind::Ended => {}
        }
        self.settle(wait.key, now);
    }

    fn forget(&mut self, key: Key, out: &mut Vec<Effect>) {
        let Some(mut entry) = self.flows.remove(&key) else { return };
        self.order.remove(&entry.used);
        self.bytes -= entry.bytes;
        entry.conversation.finish(out);
        self.counts.missing += entry.conversation.take_missing();
    }

    fn question(&self, interface: usize, datagram: &Datagram<'_>) -> Option<Effect> {
        let (from, to) = (datagram.source, datagram.destination);
        if from.port() != DNS_PORT && to.port() != DNS_PORT {
            return None;
        }
        let question = dns::question(datagram.payload)?;
        let (client, server, direction) = match question.is_answer {
            true => (to, from, Direction::ToClient),
            false => (from, to, Direction::ToServer),
        };
        let name = Untrusted::cut(&question.name, MAX_NAME);
        let facts = FlowFacts {
            transport: Transport::Udp,
            client,
            server,
            direction,
            interface: self.interfaces.get(interface)?.clone(),
            application: Application::Dns,
            name: Some(name.clone()),
            url: None,
        };
        Some(Effect::Named(Origin::Question(client, server, name), facts))
    }
}

impl Key {
    fn of(interface: usize, a: SocketAddr, b: SocketAddr) -> Self {
        Self { interface, low: a.min(b), high: a.max(b) }
    }
}

#[cfg(test)]
mod tests;
