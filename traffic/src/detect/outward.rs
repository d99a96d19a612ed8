//! Much sent outside: more to one server in an hour than the host sends outside at that hour of the day.
//!
//! What is usual is learnt by the hour, so that the backup of each night is one finding at most, the first. It rises fast and falls
//! slowly, so that the larger backup of each Sunday is none either. Who takes months to raise it little by little is not seen.

use std::net::IpAddr;

use khien_core::{
    detection::{Pattern, TrafficSubject},
    policy::Network,
    traffic::{Ends, Flow, FlowEnd},
};

use super::{
    seen::{facts_of, is_backward, ms, service},
    table::Table,
};

/// Hosts whose usual is remembered: those of a large agency.
pub(super) const MAX_HOSTS: usize = 4_096;
/// Pairs of host and server of the current hour.
const MAX_PAIRS: usize = 8_192;
/// Flows that go on and were told in part.
const MAX_PARTS: usize = 8_192;
const HOUR_MS: i64 = 3_600_000;
/// Hours of the day are those of Vietnam.
const OFFSET_MS: i64 = 7 * HOUR_MS;
pub(super) const HOURS: usize = 24;

/// Finds what is sent outside beyond what is usual.
#[derive(Debug)]
pub(super) struct Outward {
    pub(super) hosts: Table<IpAddr, Host>,
    pairs: Table<(IpAddr, IpAddr), Hour>,
    parts: Table<u64, u64>,
}

/// What a host sends outside.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// By hour of the day, in KiB; nothing for an hour that was not lived yet.
    pub(super) usual: [Option<u32>; HOURS],
    pub(super) now: Hour,
}

/// What was sent in one hour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hour {
    /// Which, counted from 1970.
    pub(super) hour: i64,
    pub(super) bytes: u64,
}

impl Hour {
    fn of(at_ms: i64) -> i64 {
        at_ms.saturating_add(OFFSET_MS).div_euclid(HOUR_MS)
    }

    fn add(&mut self, hour: i64, bytes: u64) {
        // A clock that was far ahead and was set right begins anew.
        if hour > self.hour || hour.saturating_add(HOURS as i64) < self.hour {
            *self = Self { hour, bytes: 0 };
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Outward {
    pub(super) fn new() -> Self {
        Self { hosts: Table::new(MAX_HOSTS), pairs: Table::new(MAX_PAIRS), parts: Table::new(MAX_PARTS) }
    }

    /// Returns how many entries made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.hosts.take_evicted() + self.pairs.take_evicted() + self.parts.take_evicted()
    }

    /// Takes a flow that was told, whole or in part.
    pub(super) fn see(
        &mut self,
        policy: &Network,
        ends: &Ends,
        flow: &Flow,
        is_known: bool,
    ) -> Option<TrafficSubject> {
        let (client, server) = (ends.client.ip(), ends.server.ip());
        if !policy.is_home(client) || policy.is_home(server) || is_backward(ends) {
            return None;
        }
        let sent = self.news(ends.flow, flow);
        if is_known {
            return None;
        }
        let (hour, rule) = (Hour::of(ms(flow.last)), policy.exfiltration);
        let host = self.hosts.entry(&client, Host::default);
        host.add(hour, sent);
        let usual = host.usual_at(hour);
        let pair = self.pairs.entry(&(client, server), Hour::default);
        pair.add(hour, sent);
        let bytes = pair.bytes;
        let least = u64::from(rule.megabytes.get()) * 1_000_000;
        let most = usual.map_or(0, |usual| usual.saturating_mul(rule.times_usual.get().into()));
        (bytes >= least && bytes > most).then(|| TrafficSubject {
            what: Pattern::Exfiltration { bytes, usual },
            client,
            server: Some(server),
            service: service(ends),
            name: flow.name.clone(),
            flows: vec![facts_of(ends, flow)],
        })
    }

    /// Returns what a flow sent since it was told last.
    fn news(&mut self, number: u64, flow: &Flow) -> u64 {
        let sent = flow.to_server.payload;
        let before = match flow.ended {
            FlowEnd::Ongoing => std::mem::replace(self.parts.entry(&number, || 0), sent),
            _ => self.parts.remove(&number).unwrap_or(0),
        };
        sent.saturating_sub(before)
    }
}

impl Host {
    /// Counts bytes of an hour; when a new one begins, those before it become a part of what is usual.
    fn add(&mut self, hour: i64, bytes: u64) {
        if self.now.hour > 0 && hour > self.now.hour {
            self.learn(self.now.hour, self.now.bytes);
            // Hours of silence count too, but no more than a day of them.
            for quiet in (self.now.hour + 1..hour).take(HOURS) {
                self.learn(quiet, 0);
            }
        }
        self.now.add(hour, bytes);
    }

    fn learn(&mut self, hour: i64, bytes: u64) {
        let sent = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        let Some(slot) = self.usual.get_mut(slot(hour)) else { return };
        *slot = Some(match *slot {
            None => sent,
            Some(usual) if sent > usual => usual + (sent - usual).div_ceil(2),
            Some(usual) => usual - (usual - sent) / 20,
        });
    }

    /// Returns what is sent around an hour of the day, in bytes: a backup is not always on time.
    fn usual_at(&self, hour: i64) -> Option<u64> {
        let around = [hour - 1, hour, hour + 1];
        let most = around.iter().filter_map(|h| *self.usual.get(slot(*h))?).max();
        most.map(|kib| u64::from(kib) << 10)
    }
}

fn slot(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(HOURS as i64)).unwrap_or(0)
}
