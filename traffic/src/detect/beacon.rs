//! Calls at regular times: how an implant asks its control server for orders.
//!
//! What is measured is how far the intervals between calls stray from the usual one, whether they stray to one side, and how alike
//! the sizes are; medians, so that a lost or an extra call changes little. Not seen: calls within one long connection, calls to
//! hosts of home, and intervals of more than about an hour.

use std::{collections::VecDeque, net::IpAddr};

use khien_core::{
    Untrusted,
    detection::{Pattern, TrafficSubject},
    net::Service,
    policy::{Network, network::Beacon as Rule},
    traffic::{Ends, Flow, FlowEnd},
};

use super::{
    domain,
    seen::{facts_of, is_backward, is_chatter, ms, service},
    table::Table,
};

/// Pairs of client and place that are remembered, by name, domain and address; most are called a few times only.
const MAX_PAIRS: [usize; 3] = [8_192, 4_096, 4_096];
/// Calls that are remembered of a pair: what policy can ask for.
const MAX_CALLS: usize = 64;
/// Connections that begin so close together are one call: programs open several at once.
const BURST_MS: i64 = 1_000;
/// What calls more often than this is a program at work, not one that waits for orders.
const LEAST_PERIOD_MS: i64 = 2_000;
/// After such a pause it begins anew.
const PAUSE_MS: i64 = 4 * 3_600_000;
/// How many calls come before it is judged again.
const JUDGED_EVERY: usize = 4;

/// Finds beacons.
#[derive(Debug)]
pub(super) struct Beacons {
    /// By name, by registered domain, and by address, each apart: who asks for another name with each call does not push out the rest.
    pairs: [Table<Pair, Calls>; 3],
}

type Pair = (IpAddr, Place, u16);

/// Whom a host calls: a name where one was asked for, since that is what stays; the domain, below which a name may be another one
/// with each call; and the address, at which any name may be said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Name(Vec<u8>),
    Address(IpAddr),
}

impl Place {
    fn all(name: Option<&[u8]>, address: IpAddr) -> [Option<Self>; 3] {
        let name = name.map(<[u8]>::to_ascii_lowercase);
        let above = name.as_deref().map(domain::registered).filter(|above| name.as_ref() != Some(above));
        [name.map(Self::Name), above.map(Self::Name), Some(Self::Address(address))]
    }
}

impl Beacons {
    pub(super) fn new() -> Self {
        Self { pairs: MAX_PAIRS.map(Table::new) }
    }

    /// Returns how many entries made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.pairs.iter_mut().map(Table::take_evicted).sum()
    }

    /// Takes a flow that was told, and whether policy knows the place.
    pub(super) fn see(
        &mut self,
        policy: &Network,
        ends: &Ends,
        flow: &Flow,
        is_known: bool,
    ) -> Option<TrafficSubject> {
        let (client, server, name) = (ends.client.ip(), ends.server.ip(), flow.name.as_ref());
        let leaves = policy.is_home(client) && !policy.is_home(server);
        if !leaves || flow.ended == FlowEnd::Ongoing || is_chatter(ends) || is_backward(ends) || is_known {
            return None;
        }
        let places = Place::all(name.map(Untrusted::raw), server);
        let keys = places.map(|place| Some((client, place?, ends.server.port())));
        let mut what = None;
        for (table, key) in self.pairs.iter_mut().zip(&keys) {
            let Some(key) = key else { continue };
            let calls = table.entry(key, Calls::default);
            calls.note(ms(flow.first), flow.to_server.payload);
            what = what.or_else(|| calls.judge(policy.beacon));
        }
        let what = what?;
        // One story: the others begin anew.
        for (table, key) in self.pairs.iter_mut().zip(&keys) {
            key.as_ref().and_then(|key| table.remove(key));
        }
        let service: Option<Service> = service(ends);
        let flows = vec![facts_of(ends, flow)];
        Some(TrafficSubject { what, client, server: Some(server), service, name: name.cloned(), flows })
    }
}

/// The newest calls of a pair.
#[derive(Debug, Default)]
struct Calls {
    /// When each began, and what it sent; by time.
    calls: VecDeque<(i64, u64)>,
    /// When the first began, which may be longer ago than what is kept.
    since: i64,
    /// How many there were.
    count: usize,
}

impl Calls {
    fn note(&mut self, at: i64, sent: u64) {
        if self.calls.back().is_none_or(|(last, _)| at.saturating_sub(*last) > PAUSE_MS) {
            *self = Self { since: at, ..Self::default() };
        }
        let place = self.calls.iter().rposition(|(t, _)| *t <= at).map_or(0, |p| p + 1);
        let near = [place.wrapping_sub(1), place];
        let near =
            near.into_iter().find(|i| self.calls.get(*i).is_some_and(|(t, _)| (at - t).abs() < BURST_MS));
        if let Some((_, before)) = near.and_then(|i| self.calls.get_mut(i)) {
            *before = (*before).max(sent);
            return;
        }
        self.calls.insert(place, (at, sent));
        self.count += 1;
        self.since = self.since.min(at);
        if self.calls.len() > MAX_CALLS {
            self.calls.pop_front();
        }
    }

    /// Says what it is if it is a beacon.
    fn judge(&self, rule: Rule) -> Option<Pattern> {
        let times = rule.times.get() as usize;
        let is_due = self.count >= times && (self.count - times).is_multiple_of(JUDGED_EVERY);
        let took = self.calls.back()?.0.saturating_sub(self.since);
        if !is_due || took < i64::from(rule.seconds.get()) * 1_000 {
            return None;
        }
        let intervals =
            self.calls.iter().zip(self.calls.iter().skip(1)).map(|(a, b)| (b.0 - a.0).unsigned_abs());
        let intervals = Spread::of(intervals.collect())?;
        let sizes = Spread::of(self.calls.iter().map(|(_, sent)| *sent).collect())?;
        let jitter_percent = intervals.strays_percent();
        let score =
            (2 * (100 - jitter_percent) + (100 - intervals.skew_percent()) + (100 - sizes.strays_percent()))
                / 4;
        let is_one = intervals.median >= LEAST_PERIOD_MS.unsigned_abs()
            && jitter_percent <= rule.jitter_percent.get().into()
            && score >= rule.score.get().into();
        is_one.then(|| Pattern::Beacon {
            times: self.count as u64,
            period_ms: intervals.median,
            jitter_percent,
            bytes: sizes.median,
            seconds: took.unsigned_abs() / 1_000,
            score,
        })
    }
}

/// How far numbers lie apart.
struct Spread {
    quarter: u64,
    median: u64,
    three_quarters: u64,
    /// The median of how far each is from the median.
    strays: u64,
}

impl Spread {
    fn of(mut numbers: Vec<u64>) -> Option<Self> {
        numbers.sort_unstable();
        let at = |part: usize| numbers.get((numbers.len().checked_sub(1)? * part) / 4).copied();
        let (quarter, median, three_quarters) = (at(1)?, at(2)?, at(3)?);
        let mut off: Vec<u64> = numbers.iter().map(|n| n.abs_diff(median)).collect();
        off.sort_unstable();
        Some(Self { quarter, median, three_quarters, strays: *off.get((off.len() - 1) / 2)? })
    }

    /// How far they stray, in percent of the median; never more than 100.
    fn strays_percent(&self) -> u64 {
        (self.strays.saturating_mul(100) / self.median.max(1)).min(100)
    }

    /// How much more they stray to one side than to the other (Bowley), in percent.
    fn skew_percent(&self) -> u64 {
        let [low, high] = [self.median - self.quarter, self.three_quarters - self.median];
        (low.abs_diff(high).saturating_mul(100)).checked_div(low + high).unwrap_or(0)
    }
}
