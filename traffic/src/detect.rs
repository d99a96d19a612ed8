//! What traffic does that looks like an attack, told by how it goes and not by what it carries.
//!
//! Each detector is a small state machine over flows that begin ([`Detectors::opened`]) and records that are complete
//! ([`Detectors::see`]), with thresholds from policy and tables of a fixed size. What it learnt over days can be kept
//! ([`Detectors::export`]). docs/NETWORK.md says what fires each, and what fires it wrongly.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use khien_core::{
    RuleId, Timestamp,
    detection::{Subject, TrafficSubject, builtin},
    policy::Network,
    traffic::{Ends, Flow, Record, What},
};

use crate::{flow::once::Once, sink::Evasion};
use seen::ms;
use table::Table;

mod beacon;
mod domain;
mod evasion;
mod first;
mod login;
mod outward;
mod resolved;
mod scan;
mod seen;
mod state;
mod table;
mod tunnel;
mod zone;

/// Findings that are remembered, so that each is told once in a while.
const REMEMBERED: usize = 16_384;
/// Findings of one detector about one client while one is held: a camera that tries the whole Internet is one story, not a
/// thousand.
const MAX_OF_ONE: u32 = 16;
/// Findings of packets that are sent past a sensor, while one is held: their sources can be forged at will.
const MAX_FORGED: u32 = 64;
/// Clients whose findings are counted.
const MAX_COUNTED: usize = 4_096;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The detector, or the list's rule.
    pub rule: RuleId,
    /// When, by the clock of the capture.
    pub at: Timestamp,
    /// What, and where.
    pub subject: Subject,
}

/// The detectors of traffic.
#[derive(Debug)]
pub struct Detectors {
    policy: Network,
    scans: scan::Scans,
    logins: login::Logins,
    beacons: beacon::Beacons,
    outward: outward::Outward,
    tunnels: tunnel::Tunnels,
    firsts: first::Firsts,
    evasions: evasion::Evasions,
    spread: evasion::Spread,
    resolved: resolved::Resolved,
    told: Once<Told>,
    /// How often each detector spoke of each client, and since when.
    counted: Table<(&'static str, IpAddr), (i64, u32)>,
}

/// What was told, by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Told(u64);

impl Detectors {
    /// Makes detectors that know nothing yet.
    #[must_use]
    pub fn new(policy: &Network) -> Self {
        Self {
            policy: policy.clone(),
            scans: scan::Scans::new(),
            logins: login::Logins::new(),
            beacons: beacon::Beacons::new(),
            outward: outward::Outward::new(),
            tunnels: tunnel::Tunnels::new(),
            firsts: first::Firsts::new(),
            evasions: evasion::Evasions::new(),
            spread: evasion::Spread::new(),
            resolved: resolved::Resolved::new(),
            told: Once::new(REMEMBERED),
            counted: Table::new(MAX_COUNTED),
        }
    }

    /// Takes over another policy; what was learnt stays.
    pub fn set_policy(&mut self, policy: &Network) {
        self.policy = policy.clone();
    }

    /// Forgets what it saw of late, by a clock that was set back since; what was learnt over days stays.
    pub fn set_back(&mut self) {
        self.scans = scan::Scans::new();
        self.logins = login::Logins::new();
        self.beacons = beacon::Beacons::new();
        self.tunnels = tunnel::Tunnels::new();
        self.evasions = evasion::Evasions::new();
        self.spread = evasion::Spread::new();
        self.told = Once::new(REMEMBERED);
        self.counted = Table::new(MAX_COUNTED);
    }

    /// Returns the policy.
    #[must_use]
    pub fn policy(&self) -> &Network {
        &self.policy
    }

    /// Takes a flow that begins, once its client sent something.
    pub fn opened(&mut self, ends: &Ends, at: Timestamp, out: &mut Vec<Finding>) {
        if self.policy.zones.is_empty() || is_foreign_inside(&self.policy, ends) {
            return;
        }
        let found = zone::not_allowed(&self.policy, ends);
        self.tell(builtin::NET_NOT_ALLOWED, at, found, out);
        if self.policy.east_west.on {
            let found = zone::east_west(&self.policy, ends);
            self.tell(builtin::NET_EAST_WEST, at, found, out);
        }
    }

    /// Takes a sign that somebody sends packets past the sensor.
    pub fn evaded(&mut self, sign: &Evasion, out: &mut Vec<Finding>) {
        if self.policy.evasion.on && !self.policy.is_trusted(sign.client) {
            let found = self.evasions.see(self.policy.evasion, sign);
            self.tell(builtin::NET_EVASION, sign.at, found, out);
        }
    }

    /// Takes a record that is complete.
    pub fn see(&mut self, record: &Record, out: &mut Vec<Finding>) {
        if is_foreign_inside(&self.policy, &record.ends) {
            return;
        }
        if let What::Dns(dns) = &record.what {
            self.resolved.see(&self.policy, ms(record.at), &record.ends, dns);
        }
        let (at, ends, policy) = (record.at, &record.ends, &self.policy);
        match &record.what {
            What::Flow(flow) => self.see_flow(at, ends, flow, out),
            What::Dns(dns) if policy.dns_tunnel.on => {
                let found = self.tunnels.see(policy, ms(at), ends, dns);
                self.tell(builtin::NET_DNS_TUNNEL, at, found, out);
            }
            What::Http(http) if policy.brute_force.on && !policy.is_trusted(ends.client.ip()) => {
                let found = self.logins.see_http(policy.brute_force, ms(at), ends, http);
                self.tell(builtin::NET_BRUTE_FORCE, at, found, out);
            }
            What::Dns(_) | What::Http(_) | What::Tls(_) | What::Smtp(_) | What::File(_) => {}
        }
    }

    /// Tells whether policy knows the server of a flow: by its address, or by a name that stands for that address.
    fn is_known(&self, ends: &Ends, flow: &Flow) -> bool {
        let server = ends.server.ip();
        let is_named = flow.name.as_ref().is_some_and(|name| self.policy.is_known_name(name.raw()));
        self.policy.is_known(server, None) || is_named && self.resolved.has(server, ms(flow.first))
    }

    fn see_flow(&mut self, at: Timestamp, ends: &Ends, flow: &Flow, out: &mut Vec<Finding>) {
        let is_known = self.is_known(ends, flow);
        let policy = &self.policy;
        let [horizontal, vertical] = self.scans.see(policy, ends, flow);
        let logs_in = policy.brute_force.on && !policy.is_trusted(ends.client.ip());
        let found = [
            (builtin::NET_SCAN_HORIZONTAL, horizontal),
            (builtin::NET_SCAN_VERTICAL, vertical),
            (builtin::NET_BRUTE_FORCE, when(logs_in, || self.logins.see(policy.brute_force, ends, flow))),
            (builtin::NET_BEACON, when(policy.beacon.on, || self.beacons.see(policy, ends, flow, is_known))),
            (
                builtin::NET_EXFILTRATION,
                when(policy.exfiltration.on, || self.outward.see(policy, ends, flow, is_known)),
            ),
            (
                builtin::NET_FIRST_SEEN,
                when(policy.first_seen.on, || self.firsts.see(policy, ends, flow, is_known)),
            ),
            (builtin::NET_EAST_WEST, when(policy.east_west.on, || zone::east_west_told(policy, ends, flow))),
        ];
        for (rule, found) in found {
            self.tell(rule, at, found, out);
        }
    }

    /// Tells a finding unless the same was told a while ago, or too much about its client.
    fn tell(
        &mut self,
        rule: &'static str,
        at: Timestamp,
        found: Option<TrafficSubject>,
        out: &mut Vec<Finding>,
    ) {
        let Some(subject) = found else { return };
        let Ok(id) = rule.parse() else { return };
        let now = ms(at);
        let hold = u64::from(self.policy.hold_minutes.get()) * 60_000;
        let since_epoch = Duration::from_millis(now.max(0).unsigned_abs());
        let (who, most) = match rule {
            builtin::NET_EVASION => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), MAX_FORGED),
            _ => (subject.client, MAX_OF_ONE),
        };
        let (since, count) = self.counted.entry(&(rule, who), || (now, 0));
        if now.saturating_sub(*since).unsigned_abs() > hold {
            (*since, *count) = (now, 0);
        }
        let key = told(rule, &subject);
        let subject = if *count < most {
            let is_new = self.told.is_new(key, since_epoch, Duration::from_millis(hold));
            *count += u32::from(is_new);
            is_new.then_some(subject)
        } else if rule == builtin::NET_EVASION && !self.told.has(&key, since_epoch) {
            self.spread.see(key, (*since, now), subject)
        } else {
            // What is too much now was told to nobody, and may be later.
            None
        };
        out.extend(subject.map(|subject| Finding { rule: id, at, subject: Subject::Traffic(subject) }));
    }

    /// Writes what was learnt over days, so that it outlives a restart.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        state::write(&self.firsts, &self.outward)
    }

    /// Takes over what was learnt before. Returns false, and forgets nothing, if it cannot be read.
    pub fn import(&mut self, bytes: &[u8]) -> bool {
        let Some((firsts, outward)) = state::read(bytes) else { return false };
        (self.firsts, self.outward) = (firsts, outward);
        true
    }
}

impl Detectors {
    /// Returns how many entries the tables gave up to make room since this was asked last: what these would have become is not
    /// known.
    pub fn take_forgotten(&mut self) -> u64 {
        self.scans.take_evicted()
            + self.logins.take_evicted()
            + self.beacons.take_evicted()
            + self.outward.take_evicted()
            + self.tunnels.take_evicted()
            + self.evasions.take_evicted()
            + self.firsts.places.take_evicted()
            + self.counted.take_evicted()
            + self.resolved.take_evicted()
    }
}

/// Tells whether a flow came out of a tunnel that is not between ends of home, or ends that policy names. Anybody can send a packet
/// that looks like one, with whatever inside, to a host that knows of no tunnel.
fn is_foreign_inside(policy: &Network, ends: &Ends) -> bool {
    let is_ours = |end: IpAddr| policy.is_home(end) || policy.is_trusted(end) || policy.is_known(end, None);
    ends.tunnel.as_ref().is_some_and(|tunnel| !is_ours(tunnel.from) || !is_ours(tunnel.to))
}

fn when(is_on: bool, see: impl FnOnce() -> Option<TrafficSubject>) -> Option<TrafficSubject> {
    if is_on { see() } else { None }
}

/// Shortens what tells a finding from others: the detector, who, with whom, which service. A named place may have many addresses.
fn told(rule: &str, subject: &TrafficSubject) -> Told {
    let server = subject.server.filter(|_| subject.name.is_none());
    let mut hasher = DefaultHasher::new();
    (rule, subject.client, server, subject.service, &subject.name).hash(&mut hasher);
    Told(hasher.finish())
}

#[cfg(test)]
mod tests;
