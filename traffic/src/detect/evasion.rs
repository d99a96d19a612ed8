//! Packets between two hosts say one thing to a sensor and another to the host.
//!
//! ```text
//! pair of hosts ─► copies + pieces that contradict ≥ times, or resets nobody obeys ≥ resets ─► finding, counts begin anew
//! ```
//! Who sends such packets may forge their source: a finding names two hosts between which they went, not who sent them. Of more
//! pairs than are told each by itself it is told how many there are ([`Spread`]).

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use khien_core::{
    detection::{MAX_FLOWS, Pattern, TrafficSubject},
    event::FlowFacts,
    policy::network,
};

use super::{REMEMBERED, Told, seen::ms, table::Table};
use crate::{
    flow::once::Once,
    sink::{Evasion, Trick},
};

/// Pairs of hosts that are watched at a time.
const MAX_PAIRS: usize = 4_096;

/// What was seen between pairs of hosts.
#[derive(Debug)]
pub(super) struct Evasions {
    pairs: Table<(IpAddr, IpAddr), Pair>,
}

/// The pairs that are more than are told each by itself, since some moment.
#[derive(Debug)]
pub(super) struct Spread {
    /// In milliseconds.
    since: i64,
    seen: Once<Told>,
    pairs: u64,
    /// Of how many it was told last.
    told: u64,
}

/// What was seen between two hosts since some moment.
#[derive(Debug, Default)]
struct Pair {
    /// In milliseconds.
    since: i64,
    copies: u64,
    pieces: u64,
    resets: u64,
    /// Some of the flows, the newest first.
    flows: VecDeque<FlowFacts>,
}

impl Evasions {
    /// Begins with none.
    pub(super) fn new() -> Self {
        Self { pairs: Table::new(MAX_PAIRS) }
    }

    /// Takes a sign, and returns what it completes.
    pub(super) fn see(&mut self, policy: network::Evasion, sign: &Evasion) -> Option<TrafficSubject> {
        let now = ms(sign.at);
        let begun = || Pair { since: now, ..Pair::default() };
        let pair = self.pairs.entry(&(sign.client, sign.server), begun);
        let seconds = now.saturating_sub(pair.since).unsigned_abs() / 1_000;
        if seconds >= policy.seconds.get().into() {
            *pair = begun();
        }
        pair.count(sign);
        let is_much = pair.copies + pair.pieces >= policy.times.get().into()
            || pair.resets >= policy.resets.get().into();
        is_much.then(|| {
            let Pair { since, copies, pieces, resets, flows } = std::mem::replace(pair, begun());
            let seconds = now.saturating_sub(since).unsigned_abs().div_ceil(1_000).max(1);
            TrafficSubject {
                what: Pattern::Evasion { copies, pieces, resets, seconds },
                client: sign.client,
                server: Some(sign.server),
                service: None,
                name: None,
                flows: flows.into(),
            }
        })
    }

    /// Returns how many pairs made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.pairs.take_evicted()
    }
}

impl Spread {
    /// Begins with none.
    pub(super) fn new() -> Self {
        Self { since: 0, seen: Once::new(REMEMBERED), pairs: 0, told: 0 }
    }

    /// Takes a finding about one of them, and returns what is to be told: for the first pair, and each time there are twice as many.
    /// Of more than are remembered those that come again count again.
    pub(super) fn see(
        &mut self,
        pair: Told,
        (since, now): (i64, i64),
        found: TrafficSubject,
    ) -> Option<TrafficSubject> {
        if self.since != since {
            *self = Self { since, ..Self::new() };
        }
        self.pairs += u64::from(self.seen.is_new(pair, Duration::ZERO, Duration::MAX));
        let is_due = self.pairs.is_power_of_two() && self.told < self.pairs;
        is_due.then(|| {
            self.told = self.pairs;
            let seconds = now.saturating_sub(since).unsigned_abs().div_ceil(1_000).max(1);
            TrafficSubject { what: Pattern::EvasionSpread { pairs: self.pairs, seconds }, ..found }
        })
    }
}

impl Pair {
    fn count(&mut self, sign: &Evasion) {
        match sign.trick {
            Trick::Copy => self.copies += 1,
            Trick::Piece => self.pieces += 1,
            Trick::Reset => self.resets += 1,
        }
        let Some(flow) = &sign.flow else { return };
        let is_it = |known: &FlowFacts| (known.client, known.server) == (flow.client, flow.server);
        if !self.flows.iter().any(is_it) {
            self.flows.truncate(MAX_FLOWS - 1);
            self.flows.push_front((**flow).clone());
        }
    }
}
