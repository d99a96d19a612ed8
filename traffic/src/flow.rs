//! Follows flows: puts pieces and streams together, opens tunnels, tells what flows carry, and cuts out what is to be scanned.
//!
//! ```text
//! Frame ─► decode ─► pieces ─► tunnel ─► Table: one look-up ─► Entry (small, every flow)
//!                                                                └─► Stream ─► Talk (large, while it is of use) ─► Sink
//! ```
//! Pure: takes frames and the time of the capture. Never scans, never reports. Policies, limits and what they leave unseen
//! stand in `docs/NETWORK.md`.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use khien_core::{
    Timestamp, Untrusted,
    event::{Direction, Transport},
    traffic::FlowEnd,
};

use crate::{
    application::{Said, Wants, quic},
    decode::{Around, Datagram, Frame, Message, Segment},
    sink::Sink,
};
pub use counts::Counts;
pub(crate) use datagram::is_server;
use entry::{Class, Entry};
use fragments::Fragments;
use key::{From, Key, Seed};
pub use limits::{Checksums, Limits};
use scene::Scene;
#[cfg(test)]
use sweep::QUIET;
use sweep::Wait;
use table::{ALONE, SEALED, TALKING, Table};

mod counts;
mod datagram;
mod entry;
mod fragments;
mod history;
mod index;
mod key;
mod limits;
pub mod once;
mod packet;
mod pieces;
mod scene;
mod segment;
mod stream;
mod sweep;
mod table;
mod talk;
mod unsure;
mod window;

/// How long a flow goes on before it is told for the first time, and between two times.
const INTERIM: i64 = 300 * SECOND;
const SECOND: i64 = 1000 * MILLISECOND;
const MILLISECOND: i64 = 1_000_000;

/// A flow that holds more than such a part of the memory goes first when all hold too much.
const GREEDY: usize = 8;
/// The order in which flows go when room is needed: what is over, what never began, what anybody can begin with one packet, and
/// then the open connection that was quiet for longest.
const LEAST_WANTED: [Class; 4] = [Class::Ended, Class::Opening, Class::Message, Class::Datagram];
const CLASSES: [Class; 5] = [Class::Ended, Class::Opening, Class::Message, Class::Datagram, Class::Open];

impl Class {
    /// Returns how long a flow of this class may usually say nothing before it is forgotten, in nanoseconds.
    const fn idle(self) -> i64 {
        match self {
            // For late copies of its segments.
            Self::Ended => 5 * SECOND,
            Self::Opening | Self::Datagram => 60 * SECOND,
            Self::Message => 30 * SECOND,
            Self::Open => 300 * SECOND,
        }
    }
}

/// Follows the flows of all interfaces.
#[derive(Debug)]
pub struct Engine {
    interfaces: Vec<Untrusted>,
    limits: Limits,
    seed: Seed,
    left_out: Vec<SocketAddr>,
    /// How long an answer to who opens a connection is waited for, in nanoseconds.
    answer_within: i64,
    table: Table,
    fragments: Fragments,
    /// The latest time that a frame or the caller told, in nanoseconds; goes back only with
    /// [`set_back`](Self::set_back).
    now: i64,
    /// When old flows are looked for again.
    sweep_at: i64,
    /// The number of the last flow that began.
    numbers: Arc<AtomicU64>,
    /// Memory that flows hold beside their slots.
    held: usize,
    waits: BinaryHeap<Reverse<(i64, Wait)>>,
    said: Vec<Said>,
    counts: Counts,
    quic: quic::Budget,
}

/// How a packet was seen.
#[derive(Debug)]
struct Seen {
    at: i64,
    interface: u16,
    around: Around,
    /// How many frames brought it, and their bytes on the wire.
    frames: u64,
    bytes: u64,
    hops: u8,
}

impl Engine {
    /// Takes the names of the interfaces anew, as one was described that was not known at the start.
    pub fn name(&mut self, interfaces: Vec<Untrusted>) {
        self.interfaces = interfaces;
    }

    /// Makes an engine for these interfaces; a frame names its one by its place.
    #[must_use]
    pub fn new(interfaces: Vec<Untrusted>, limits: Limits) -> Self {
        Self {
            interfaces,
            limits,
            seed: Seed(limits.seed),
            left_out: Vec::new(),
            answer_within: Class::Opening.idle(),
            table: Table::new(),
            fragments: Fragments::default(),
            now: i64::MIN,
            sweep_at: i64::MIN,
            numbers: Arc::default(),
            held: 0,
            waits: BinaryHeap::new(),
            said: Vec::new(),
            counts: Counts::default(),
            quic: quic::Budget::default(),
        }
    }

    /// Numbers flows by a counter that others go on with: no two flows of all engines that have it share a number.
    pub fn number_by(&mut self, counter: Arc<AtomicU64>) {
        self.numbers = counter;
    }

    /// Leaves out TCP from and to these ends from now on: the agent's own way to its hub. They are counted.
    pub fn leave_out(&mut self, ends: Vec<SocketAddr>) {
        self.left_out = ends;
    }

    /// Waits so long, from the last try on, for an answer to who opens a TCP connection; then the flow is told as one that
    /// nobody answered.
    pub fn await_answers(&mut self, seconds: u32) {
        self.answer_within = i64::from(seconds) * SECOND;
    }

    /// Takes a frame.
    pub fn take(&mut self, frame: &Frame<'_>, sink: &mut impl Sink) {
        self.frame(frame, sink);
    }

    /// Begins anew at an earlier time: the clock of the capture was set back. Every flow is told as it is and ends; one that
    /// goes on is picked up again.
    pub fn set_back(&mut self, now: Timestamp, sink: &mut impl Sink) {
        self.finish(sink);
        self.now = nanoseconds(now);
        self.sweep_at = i64::MIN;
    }

    /// Forgets every flow and tells of none, after a failure in the middle of one. Numbers of flows go on: no flow is taken for
    /// one of before.
    pub fn begin_anew(&mut self) {
        let begun = Self::new(std::mem::take(&mut self.interfaces), self.limits);
        *self = Self {
            left_out: std::mem::take(&mut self.left_out),
            answer_within: self.answer_within,
            numbers: Arc::clone(&self.numbers),
            counts: std::mem::take(&mut self.counts),
            ..begun
        };
    }

    /// Returns what was seen and what could not be followed since the last call.
    pub fn take_counts(&mut self) -> Counts {
        let pieces = std::mem::take(&mut self.fragments.counts);
        let mut counts = std::mem::take(&mut self.counts);
        counts.add_pieces(pieces);
        counts
    }

    /// Returns how many flows there are now.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// Returns how many bytes flows hold now beside their slots, roughly.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes a TCP segment.
    fn segment(&mut self, segment: &Segment<'_>, seen: &Seen, sink: &mut dyn Sink) {
        if self.left_out.contains(&segment.source) || self.left_out.contains(&segment.destination) {
            self.counts.left_out += 1;
            return;
        }
        let (key, from) = Key::of_ports(Transport::Tcp, segment.source, segment.destination);
        let (key, hash) = self.place(key, seen);
        let mut found = self.table.find(&key, hash);
        if let Some(slot) = found
            && self.table[slot].is_replaced_by(from, segment)
        {
            self.forget(slot, FlowEnd::Closed, sink);
            found = None;
        }
        let slot = match found {
            Some(slot) => slot,
            None if segment::opens(segment) => {
                let client = (segment::client(from, segment), segment.flags.syn);
                self.open(key, hash, client, (seen, sink))
            }
            None => {
                self.counts.unclaimed += 1;
                return;
            }
        };
        let direction = self.count(slot, from, seen, sink);
        if !segment.flags.rst {
            // A host resets what it knows nothing of: that asks for nothing.
            self.ask(slot, direction, seen, sink);
        }
        let mut scene = self.scene(slot, seen.at, sink);
        segment::handle(&mut scene, direction, segment);
        self.settle(slot, sink);
    }

    /// Takes a UDP datagram.
    fn datagram(&mut self, datagram: &Datagram<'_>, seen: &Seen, sink: &mut dyn Sink) {
        let (key, from) = Key::of_ports(Transport::Udp, datagram.source, datagram.destination);
        let (key, hash) = self.place(key, seen);
        let slot = match self.table.find(&key, hash) {
            Some(slot) => slot,
            None => self.open(key, hash, (datagram::client(from, datagram), false), (seen, sink)),
        };
        let direction = self.count(slot, from, seen, sink);
        self.ask(slot, direction, seen, sink);
        let mut scene = self.scene(slot, seen.at, sink);
        datagram::handle(&mut scene, direction, datagram);
        self.settle(slot, sink);
    }

    /// Takes an ICMP message.
    fn message(&mut self, message: &Message, seen: &Seen, sink: &mut dyn Sink) {
        let (key, from) = Key::of_message(message);
        let (key, hash) = self.place(key, seen);
        let slot = match self.table.find(&key, hash) {
            Some(slot) => slot,
            None => self.open(key, hash, (from, false), (seen, sink)),
        };
        let direction = self.count(slot, from, seen, sink);
        self.ask(slot, direction, seen, sink);
        let entry = &mut self.table[slot];
        entry.side(direction).stream.count(message.length);
        entry.was_answered |= direction == Direction::ToClient;
        self.settle(slot, sink);
    }

    fn place(&self, key: Key, seen: &Seen) -> (Key, u64) {
        let around = if seen.around.is_empty() { 0 } else { self.seed.around(&seen.around) };
        let key = key.seen(seen.interface, around);
        (key, key.hash(self.seed))
    }

    /// Makes room for a new flow and begins it.
    fn open(
        &mut self,
        key: Key,
        hash: u64,
        (client, saw_syn): (From, bool),
        (seen, sink): (&Seen, &mut dyn Sink),
    ) -> u32 {
        if self.table.len() >= self.limits.flows.clamp(1, limits::MOST_FLOWS) {
            self.evict(sink);
        }
        self.counts.flows += 1;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut entry = Entry::new(key, number, client, seen.at);
        entry.around = (!seen.around.is_empty()).then(|| Box::new(seen.around.clone()));
        entry.seen = self.now;
        entry.saw_syn = saw_syn;
        sink.opened(&entry.ends(&self.interfaces[usize::from(seen.interface)]), timestamp(seen.at));
        self.table.insert(entry, hash)
    }

    /// Forgets the flow that is wanted least.
    fn evict(&mut self, sink: &mut dyn Sink) {
        let mut by_class = LEAST_WANTED.into_iter().filter_map(|class| self.table.oldest(class as usize));
        if let Some(slot) = by_class.next().or_else(|| self.table.oldest(Class::Open as usize)) {
            // Of what is over nothing is lost.
            self.counts.evicted += u64::from(!self.table[slot].has_ended());
            self.forget(slot, FlowEnd::Evicted, sink);
        }
    }

    /// Counts a packet for its flow and returns which way it went.
    fn count(&mut self, slot: u32, from: From, seen: &Seen, sink: &mut dyn Sink) -> Direction {
        let entry = &mut self.table[slot];
        let direction = entry.direction(from);
        entry.count(direction, seen.frames, seen.bytes);
        entry.seen = self.now;
        entry.last = entry.last.max(seen.at);
        if entry.hops_changed(direction, seen.hops) {
            self.counts.hops_changed += 1;
        }
        if seen.at.saturating_sub(entry.told) >= INTERIM {
            entry.told = seen.at;
            self.scene(slot, seen.at, sink).flow(FlowEnd::Ongoing);
        }
        direction
    }

    /// Tells a flow once its client sent something.
    fn ask(&mut self, slot: u32, direction: Direction, seen: &Seen, sink: &mut dyn Sink) {
        let entry = &mut self.table[slot];
        if direction == Direction::ToServer && !std::mem::replace(&mut entry.has_asked, true) {
            sink.asked(&entry.ends(&self.interfaces[usize::from(seen.interface)]), timestamp(seen.at));
        }
    }

    /// Counts what a flow holds now, sets its clocks, and makes room if all hold too much.
    fn settle(&mut self, slot: u32, sink: &mut dyn Sink) {
        self.table.touch(slot);
        let entry = &mut self.table[slot];
        // Nobody waits at a hole of a flow that is only counted on: what is missing there is known when the flow is over.
        if entry.talk.is_some() {
            let missing = entry.missing();
            let more = missing.saturating_sub(entry.counted.missing);
            self.counts.missing = self.counts.missing.saturating_add(more);
            entry.counted.missing = entry.counted.missing.max(missing);
        }
        if entry.talk.is_none() && entry.counted.held == 0 {
            return;
        }
        let held = entry.held();
        self.held = self.held - entry.counted.held + held;
        entry.counted.held = held;
        let list = entry.talk.as_ref().map(|talk| match entry.is_mutual() {
            _ if talk.is_sealed() => SEALED,
            true => TALKING,
            false => ALONE,
        });
        self.table.set_talking(slot, list);
        self.arm(slot);
        // Few that hold much must not hush the many that hold little.
        let mut greedy = (held > self.limits.bytes / GREEDY).then_some(slot);
        while self.held > self.limits.bytes
            && let Some(victim) = greedy.take().or_else(|| self.least_talking())
        {
            // Of what is encrypted nothing is lost.
            self.counts.hushed += u64::from(!self.table[victim].is_sealed());
            self.hush(victim, sink);
        }
    }

    /// Returns the flow whose content is given up first.
    fn least_talking(&self) -> Option<u32> {
        [SEALED, ALONE, TALKING].into_iter().find_map(|list| self.table.oldest(list))
    }

    /// Returns how long a flow of a class may say nothing.
    fn idle(&self, class: Class) -> i64 {
        match class {
            Class::Opening => self.answer_within,
            _ => class.idle(),
        }
    }

    /// Drops what a flow holds beside its slot, after all that is left of it was given out.
    fn hush(&mut self, slot: u32, sink: &mut dyn Sink) {
        if let Some(mut talk) = self.table[slot].talk.take() {
            // Who is not watched any more is not scanned for that.
            self.table[slot].is_deaf |= talk.is_sealed();
            let mut scene = self.scene(slot, self.now, sink);
            talk.finish(&mut scene);
        }
        self.held -= std::mem::take(&mut self.table[slot].counted.held);
        self.table.set_talking(slot, None);
    }

    fn forget(&mut self, slot: u32, why: FlowEnd, sink: &mut dyn Sink) {
        self.hush(slot, sink);
        let missing = self.table[slot].missing().saturating_sub(self.table[slot].counted.missing);
        self.counts.missing = self.counts.missing.saturating_add(missing);
        let end = self.table[slot].end(why);
        self.scene(slot, self.now, sink).flow(end);
        self.table.remove(slot);
    }

    /// Takes a flow in hand.
    fn scene<'a>(&'a mut self, slot: u32, at: i64, sink: &'a mut dyn Sink) -> Scene<'a> {
        let entry = &mut self.table[slot];
        Scene {
            interface: &self.interfaces[usize::from(entry.key.interface())],
            entry,
            sink,
            said: &mut self.said,
            at: timestamp(at),
            wants: Wants { bodies: self.limits.scan, files: self.limits.files },
            seed: self.seed,
            counts: &mut self.counts,
            quic: &mut self.quic,
        }
    }
}

/// Returns a moment in nanoseconds since 1970; years before 1678 and after 2261 end there.
fn nanoseconds(at: Timestamp) -> i64 {
    at.as_second().saturating_mul(SECOND).saturating_add(i64::from(at.subsec_nanosecond()))
}

/// Returns a moment from nanoseconds since 1970.
fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod astray;
#[cfg(test)]
mod decoys;
#[cfg(test)]
mod evasion;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod late;
#[cfg(test)]
mod pipelined;
#[cfg(test)]
mod sealed;
#[cfg(test)]
mod signs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unanswered;
#[cfg(test)]
mod understood;
#[cfg(test)]
mod wire;
