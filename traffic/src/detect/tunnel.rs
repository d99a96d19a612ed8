//! Data in DNS questions: many different names below one domain, long, and made of what no person chose.
//!
//! Look-ups of antivirus and of block lists are names that no person chose either, but short: a digest or an address. Those that are
//! longer stand under `known` in the policy. Not seen: a tunnel slower than the window, one that uses many domains, DNS over TLS or
//! HTTPS.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use khien_core::{
    Untrusted,
    detection::{Pattern, TrafficSubject},
    event::Application,
    policy::{Network, network::is_shared},
    traffic::{Dns, Ends},
};

use super::{
    domain,
    seen::{facts, service},
    table::Table,
};

/// Pairs of host and domain that are remembered.
const MAX_PAIRS: usize = 4_096;
/// The least bits that a character carries, in tenths: digits four in hex, five in base32.
const LEAST_ENTROPY: u64 = 30;
/// How many characters differ from those at the same place of the name before, in percent. In data nearly all do, in numbered names
/// (`host-0117`) few, however long these are.
const LEAST_CHANGE: u64 = 50;
/// With questions of types that carry much, names may be this short: what an idle tunnel asks.
const SHORT: u64 = 16;
/// CNAME, NULL, MX, TXT, KEY, and the private type of iodine: answers of these carry what one likes.
const ODD_TYPES: [u16; 6] = [5, 10, 15, 16, 25, 65_399];
/// The longest of these: a client's number at the list, not data.
const MAX_LIST_LABEL: usize = 32;
/// Labels between an address and the domain of the list that is asked about it.
const MAX_LIST_LABELS: usize = 3;
/// Letters without case, digits, `-`, `_`, and all the rest.
const CLASSES: usize = 39;

/// Finds tunnels.
#[derive(Debug)]
pub(super) struct Tunnels {
    pairs: Table<(IpAddr, Vec<u8>), Asked>,
}

impl Tunnels {
    pub(super) fn new() -> Self {
        Self { pairs: Table::new(MAX_PAIRS) }
    }

    /// Returns how many entries made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.pairs.take_evicted()
    }

    /// Takes a DNS message.
    pub(super) fn see(
        &mut self,
        policy: &Network,
        at: i64,
        ends: &Ends,
        dns: &Dns,
    ) -> Option<TrafficSubject> {
        let (rule, name) = (policy.dns_tunnel, dns.query.raw());
        let (before, domain) = domain::split(name);
        if dns.answer || before.is_empty() || is_shared(ends.server.ip()) || policy.is_known_name(name) {
            return None;
        }
        if domain.to_ascii_lowercase().ends_with(b".arpa") || is_address(before) {
            return None;
        }
        let key = (ends.client.ip(), domain.to_ascii_lowercase());
        let asked = self.pairs.entry(&key, || Asked::since(at));
        if at.saturating_sub(asked.since) > i64::from(rule.seconds.get()) * 1_000 {
            *asked = Asked::since(at);
        }
        asked.note(before, dns.query_type, rule.names.get() as usize);
        let what = asked.judge(at, rule.names.get().into(), rule.length.get().into())?;
        self.pairs.remove(&key);
        Some(TrafficSubject {
            what,
            client: ends.client.ip(),
            server: Some(ends.server.ip()),
            service: service(ends),
            name: Some(Untrusted::new(key.1)),
            flows: vec![facts(ends, Application::Dns, Some(dns.query.clone()))],
        })
    }
}

/// What one host asked for below one domain.
#[derive(Debug)]
struct Asked {
    since: i64,
    names: HashSet<u64>,
    /// Characters before the domain, of names that were new.
    length: u64,
    /// Questions, and those of odd types.
    questions: u64,
    odd: u64,
    characters: [u32; CLASSES],
    /// The newest name, and how many characters were not those at the same place of the one before.
    before: Vec<u8>,
    changed: u64,
}

impl Asked {
    fn since(at: i64) -> Self {
        Self {
            since: at,
            names: HashSet::new(),
            length: 0,
            questions: 0,
            odd: 0,
            characters: [0; CLASSES],
            before: Vec::new(),
            changed: 0,
        }
    }

    fn note(&mut self, before: &[u8], kind: u16, most: usize) {
        self.questions += 1;
        self.odd += u64::from(ODD_TYPES.contains(&kind));
        let mut hasher = DefaultHasher::new();
        before.hash(&mut hasher);
        if self.names.len() >= most.saturating_mul(2) || !self.names.insert(hasher.finish()) {
            return;
        }
        self.length += before.len() as u64;
        let same = before.iter().zip(&self.before).filter(|(a, b)| a.eq_ignore_ascii_case(b)).count();
        self.changed += (before.len() - same) as u64;
        self.before = before.to_vec();
        for byte in before.iter().filter(|b| **b != b'.') {
            let class = &mut self.characters[class(*byte)];
            *class = class.saturating_add(1);
        }
    }

    fn judge(&self, now: i64, least: u64, long: u64) -> Option<Pattern> {
        let names = self.names.len() as u64;
        if names < least {
            return None;
        }
        let (length, entropy_tenths) = (self.length / names, self.entropy_tenths());
        let odd_types_percent = self.odd * 100 / self.questions.max(1);
        let carries = length >= long || (odd_types_percent >= 50 && length >= SHORT);
        let is_data = entropy_tenths >= LEAST_ENTROPY && self.changed * 100 >= self.length * LEAST_CHANGE;
        (carries && is_data).then(|| Pattern::DnsTunnel {
            names,
            length,
            entropy_tenths,
            bytes: self.length,
            odd_types_percent,
            seconds: (now.saturating_sub(self.since).max(0).unsigned_abs()).div_ceil(1_000).max(1),
        })
    }

    /// Returns how many bits one character carries, in tenths (Shannon).
    fn entropy_tenths(&self) -> u64 {
        let all: f64 = self.characters.iter().map(|n| f64::from(*n)).sum();
        let of = |n: &u32| {
            let share = f64::from(*n) / all;
            -share * share.log2()
        };
        let bits: f64 = self.characters.iter().filter(|n| **n > 0).map(of).sum();
        (bits * 10.0) as u64
    }
}

fn class(byte: u8) -> usize {
    match byte.to_ascii_lowercase() {
        b @ b'a'..=b'z' => usize::from(b - b'a'),
        b @ b'0'..=b'9' => 26 + usize::from(b - b'0'),
        b'-' => 36,
        b'_' => 37,
        _ => 38,
    }
}

/// Tells whether a name begins with an address backwards, as block lists are asked: `4.3.2.1.list`, or 32 digits of hex.
fn is_address(before: &[u8]) -> bool {
    let labels: Vec<&[u8]> = before.split(|b| *b == b'.').collect();
    let is_number = |l: &&[u8]| !l.is_empty() && l.len() <= 3 && l.iter().all(u8::is_ascii_digit);
    let is_digit = |l: &&[u8]| l.len() == 1 && l.iter().all(u8::is_ascii_hexdigit);
    let begins = |count: usize, fits: &dyn Fn(&&[u8]) -> bool| {
        let is_short = labels.iter().skip(count).all(|label| label.len() <= MAX_LIST_LABEL);
        (count..=count + MAX_LIST_LABELS).contains(&labels.len())
            && labels.iter().take(count).all(fits)
            && is_short
    };
    begins(4, &is_number) || begins(32, &is_digit)
}
