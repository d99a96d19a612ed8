//! Packets between two hosts say one thing to a sensor and another to the host.
//!
//! ```text
//! pair of hosts ─► copies + pieces that contradict ≥ times, or resets nobody obeys ≥ resets ─► finding, counts begin anew
//! ```
//! Who sends such packets may forge their source: a finding names two hosts between which they went, not who sent them.

use std::{collections::VecDeque, net::IpAddr};

use khien_core::{
    detection::{MAX_FLOWS, Pattern, TrafficSubject},
    event::FlowFacts,
    policy::network,
};

use super::{seen::ms, table::Table};
use crate::sink::{Evasion, Trick};

/// Pairs of hosts that are watched at a time.
const MAX_PAIRS: usize = 4_096;

/// What was seen between pairs of hosts.
#[derive(Debug)]
pub(super) struct Evasions {
    pairs: Table<(IpAddr, IpAddr), Pair>,
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
