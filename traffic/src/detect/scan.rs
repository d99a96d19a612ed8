//! Scans: one client tries one port of many servers, or many ports of one server, and mostly gets no answer.
//!
//! Judged when flows are told, since only then it is known whether they were answered. What counts is when they began.

use std::{collections::HashMap, hash::Hash, net::IpAddr};

use khien_core::{
    detection::{MAX_FLOWS, Pattern, TrafficSubject},
    event::{FlowFacts, Transport},
    net::Service,
    policy::Network,
    traffic::{Ends, Flow},
};

use super::{
    seen::{facts_of, is_backward, is_unanswered, ms, service},
    table::Table,
};

/// Clients with a port, or with a server, that are remembered. A scan keeps its entry in use, so that thousands of others do not
/// push it out.
const MAX_SPREADS: usize = 2_048;
/// Services of which one host uses hundreds of strangers, in a page or an outgoing queue: so many times as many servers.
const STRANGERS: [u16; 3] = [25, 80, 443];
const STRANGERS_TIMES: usize = 4;
/// Who resolves names or sets clocks asks servers outside that nobody chose.
const NOT_CHOSEN: [u16; 2] = [53, 123];

/// Finds scans.
#[derive(Debug)]
pub(super) struct Scans {
    horizontal: Table<(IpAddr, Service), Spread<IpAddr>>,
    vertical: Table<(IpAddr, IpAddr), Spread<Service>>,
}

/// When it is a scan.
struct Bounds {
    count: usize,
    span_ms: i64,
    unanswered_percent: u32,
}

/// What was found: how many, and some of them with the client's ports.
struct Found<T> {
    count: u64,
    unanswered_percent: u64,
    examples: Vec<(T, u16)>,
}

impl<T: Copy> Found<T> {
    /// Returns the flow that completed it, and others like it.
    fn flows(&self, ends: &Ends, flow: &Flow, set: impl Fn(&mut FlowFacts, T)) -> Vec<FlowFacts> {
        let other = |(what, port): &(T, u16)| {
            let mut facts = FlowFacts { name: None, process: None, ..facts_of(ends, flow) };
            facts.client.set_port(*port);
            set(&mut facts, *what);
            facts
        };
        [facts_of(ends, flow)].into_iter().chain(self.examples.iter().map(other)).take(MAX_FLOWS).collect()
    }
}

impl Scans {
    pub(super) fn new() -> Self {
        Self { horizontal: Table::new(MAX_SPREADS), vertical: Table::new(MAX_SPREADS) }
    }

    /// Returns how many entries made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.horizontal.take_evicted() + self.vertical.take_evicted()
    }

    /// Takes a flow that was told.
    pub(super) fn see(&mut self, policy: &Network, ends: &Ends, flow: &Flow) -> [Option<TrafficSubject>; 2] {
        if policy.is_trusted(ends.client.ip()) || is_backward(ends) {
            return [None, None];
        }
        [self.across(policy, ends, flow), self.along(policy, ends, flow)]
    }

    fn across(&mut self, policy: &Network, ends: &Ends, flow: &Flow) -> Option<TrafficSubject> {
        let (client, service, rule) = (ends.client.ip(), service(ends)?, policy.horizontal_scan);
        if !rule.on || !(rule.from_outside || policy.is_home(client)) {
            return None;
        }
        let bounds = Bounds {
            count: rule.servers.get() as usize * weight(service, policy.is_home(ends.server.ip()))?,
            span_ms: i64::from(rule.seconds.get()) * 1_000,
            unanswered_percent: rule.unanswered_percent.get(),
        };
        let tried = Try::of(ends, flow);
        let spread = spread(&mut self.horizontal, &(client, service), tried)?;
        let found = spread.note(ends.server.ip(), tried, &bounds)?;
        let flows = found.flows(ends, flow, |facts, other| facts.server.set_ip(other));
        self.horizontal.remove(&(client, service));
        let what = Pattern::HorizontalScan {
            servers: found.count,
            unanswered_percent: found.unanswered_percent,
            seconds: rule.seconds.get().into(),
        };
        Some(TrafficSubject { what, client, server: None, service: Some(service), name: None, flows })
    }

    fn along(&mut self, policy: &Network, ends: &Ends, flow: &Flow) -> Option<TrafficSubject> {
        let (client, server, rule) = (ends.client.ip(), ends.server.ip(), policy.vertical_scan);
        if !rule.on || !(rule.from_outside || policy.is_home(client)) {
            return None;
        }
        let bounds = Bounds {
            count: rule.ports.get() as usize,
            span_ms: i64::from(rule.seconds.get()) * 1_000,
            unanswered_percent: rule.unanswered_percent.get(),
        };
        let tried = Try::of(ends, flow);
        let spread = spread(&mut self.vertical, &(client, server), tried)?;
        let found = spread.note(service(ends)?, tried, &bounds)?;
        let flows = found.flows(ends, flow, |facts, other: Service| {
            facts.server.set_port(other.port);
            facts.transport = other.transport;
        });
        self.vertical.remove(&(client, server));
        let what = Pattern::VerticalScan {
            ports: found.count,
            unanswered_percent: found.unanswered_percent,
            seconds: rule.seconds.get().into(),
        };
        Some(TrafficSubject { what, client, server: Some(server), service: None, name: None, flows })
    }
}

/// Says how many times as many servers it takes; nothing for what is never a scan.
fn weight(service: Service, is_inside: bool) -> Option<usize> {
    let port = service.port;
    match is_inside {
        true => Some(1),
        false if NOT_CHOSEN.contains(&port) && (service.transport == Transport::Udp || port == 53) => None,
        false if STRANGERS.contains(&port) => Some(STRANGERS_TIMES),
        false => Some(1),
    }
}

/// Returns what a client tried of late. Nothing is remembered before something gives no answer: most clients never get so far.
fn spread<'t, K: Hash + Eq + Clone, T>(
    table: &'t mut Table<K, Spread<T>>,
    key: &K,
    tried: Try,
) -> Option<&'t mut Spread<T>> {
    (!tried.answered || table.contains(key)).then(|| table.entry(key, Spread::default))
}

/// What one client tried of late.
#[derive(Debug)]
struct Spread<T> {
    tried: HashMap<T, Try>,
}

impl<T> Default for Spread<T> {
    fn default() -> Self {
        Self { tried: HashMap::new() }
    }
}

#[derive(Debug, Clone, Copy)]
struct Try {
    at: i64,
    /// The client's port.
    port: u16,
    answered: bool,
}

impl Try {
    fn of(ends: &Ends, flow: &Flow) -> Self {
        Self { at: ms(flow.first), port: ends.client.port(), answered: !is_unanswered(ends, flow) }
    }
}

impl<T: Copy + Hash + Eq> Spread<T> {
    /// Keeps the newer half, answered or not: the part that gave no answer stays true.
    fn keep_newest(&mut self, count: usize) {
        let mut times: Vec<i64> = self.tried.values().map(|t| t.at).collect();
        let middle = times.len() / 2;
        let cut = *times.select_nth_unstable(middle).1;
        let mut room = count;
        self.tried.retain(|_, t| {
            let is_kept = t.at > cut || t.at == cut && room > 0;
            room -= usize::from(t.at == cut && is_kept);
            is_kept
        });
    }

    /// Notes a try; tells when it is a scan.
    fn note(&mut self, what: T, now: Try, bounds: &Bounds) -> Option<Found<T>> {
        let answered = now.answered || self.tried.get(&what).is_some_and(|before| before.answered);
        // As many as can be needed are kept; a client that is busy and answered gives up its oldest below.
        self.tried.insert(what, Try { answered, ..now });
        if self.tried.len() < bounds.count {
            return None;
        }
        let newest = self.tried.values().map(|t| t.at).max()?;
        self.tried.retain(|_, t| newest.saturating_sub(t.at) < bounds.span_ms);
        if self.tried.len() > 2 * bounds.count {
            self.keep_newest(bounds.count);
        }
        let unanswered = self.tried.values().filter(|t| !t.answered).count();
        let count = self.tried.len();
        let is_scan = count >= bounds.count && unanswered * 100 >= count * bounds.unanswered_percent as usize;
        is_scan.then(|| Found {
            count: count as u64,
            unanswered_percent: (unanswered * 100 / count) as u64,
            examples: self
                .tried
                .iter()
                .filter(|(other, t)| **other != what && !t.answered)
                .map(|(other, t)| (*other, t.port))
                .take(MAX_FLOWS - 1)
                .collect(),
        })
    }
}
