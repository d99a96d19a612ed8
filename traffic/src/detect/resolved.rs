//! Where known names are, by what resolvers answered: a name that a client says by itself proves nothing.
//!
//! Believed is an answer from port 53 of a resolver of home, a public one, or one that policy names as known or trusted, to a question
//! that was seen in the same flow. Anybody else may answer whatever he likes, also the resolver that a host itself chose to ask.

use std::net::IpAddr;

use khien_core::{
    Untrusted,
    policy::Network,
    traffic::{Dns, Ends},
};

use super::table::Table;

/// Addresses of known names that are remembered.
const MAX_RESOLVED: usize = 8_192;
/// Questions for known names that wait for an answer.
const MAX_ASKED: usize = 4_096;
/// How long an answer is believed: clients keep addresses longer than their time to live says.
const BELIEVED_MS: i64 = 24 * 3_600_000;
const DNS_PORT: u16 = 53;

/// Addresses that known names were resolved to, and when last.
#[derive(Debug)]
pub(super) struct Resolved {
    addresses: Table<IpAddr, i64>,
    /// Flow, number of the message, name in small letters.
    asked: Table<(u64, u16, Vec<u8>), ()>,
}

impl Resolved {
    pub(super) fn new() -> Self {
        Self { addresses: Table::new(MAX_RESOLVED), asked: Table::new(MAX_ASKED) }
    }

    /// Takes a DNS message.
    pub(super) fn see(&mut self, policy: &Network, at: i64, ends: &Ends, dns: &Dns) {
        let is_believed = ends.server.port() == DNS_PORT && policy.is_resolver(ends.server.ip());
        if !is_believed || !policy.is_known_name(dns.query.raw()) {
            return;
        }
        let key = (ends.flow, dns.id, dns.query.raw().to_ascii_lowercase());
        if !dns.answer {
            self.asked.entry(&key, || ());
            return;
        }
        if !self.asked.contains(&key) {
            return;
        }
        let address = |answer: &Untrusted| std::str::from_utf8(answer.raw()).ok()?.parse::<IpAddr>().ok();
        for address in dns.answers.iter().filter_map(address) {
            let last = self.addresses.entry(&address, || at);
            *last = at.max(*last);
        }
    }

    /// Tells whether a known name was lately resolved to an address.
    pub(super) fn has(&self, address: IpAddr, now: i64) -> bool {
        self.addresses.get(&address).is_some_and(|at| now.saturating_sub(*at) <= BELIEVED_MS)
    }

    /// Returns how many entries made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.addresses.take_evicted() + self.asked.take_evicted()
    }
}
