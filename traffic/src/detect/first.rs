//! Who speaks to whom for the first time: servers have few peers outside, always the same.
//!
//! A zone's peers are learnt for some days in silence; then each new one is told once, and known from there on. A peer is the
//! registered domain that was asked for, or the address where no name was: hosts of large providers change addresses all day.

use std::{collections::BTreeMap, net::IpAddr};

use khien_core::{
    Sha256,
    detection::{Pattern, TrafficSubject},
    policy::{GroupName, Network},
    traffic::{Ends, Flow},
};

use super::{
    domain,
    seen::{facts_of, is_backward, is_chatter, is_mutual, ms, service},
    table::Table,
};

/// Places that are known to all zones; a province's servers know some thousands.
pub(super) const MAX_PLACES: usize = 32_768;
/// The year 2000: a host that believes it is earlier has not set its clock yet, and learning would be over as soon as it does.
const CLOCK_IS_SET: i64 = 946_684_800_000;
const DAY_MS: i64 = 86_400_000;

/// Finds first conversations.
#[derive(Debug)]
pub(super) struct Firsts {
    /// When each zone began to learn.
    pub(super) since: BTreeMap<GroupName, i64>,
    /// Which zone knows which places, by digest.
    pub(super) places: Table<(GroupName, u64), ()>,
    /// How many places each zone knows.
    known: BTreeMap<GroupName, u64>,
}

impl Firsts {
    pub(super) fn new() -> Self {
        Self { since: BTreeMap::new(), places: Table::new(MAX_PLACES), known: BTreeMap::new() }
    }

    /// Takes a flow that was told, and whether policy knows the place.
    pub(super) fn see(
        &mut self,
        policy: &Network,
        ends: &Ends,
        flow: &Flow,
        is_known: bool,
    ) -> Option<TrafficSubject> {
        let (client, server) = (ends.client.ip(), ends.server.ip());
        let zone = policy.zone_of(client).filter(|zone| zone.first_seen)?;
        let is_usual = is_known || policy.is_home(server) || is_chatter(ends);
        if is_usual || is_backward(ends) || !is_mutual(ends, flow) {
            return None;
        }
        let name = flow.name.as_ref();
        let at = ms(flow.first);
        if at < CLOCK_IS_SET {
            return None;
        }
        // A clock that was ahead must not put off the end of learning.
        let since = self.since.entry(zone.name.clone()).or_insert(at);
        *since = at.min(*since);
        let since = *since;
        let place = match name {
            Some(name) => digest(&domain::registered(name.raw())),
            None => digest(&octets(server)),
        };
        let key = (zone.name.clone(), place);
        let is_new = self.learn(&key);
        let is_learning = at.saturating_sub(since) < i64::from(policy.first_seen.learn_days.get()) * DAY_MS;
        (is_new && !is_learning).then(|| TrafficSubject {
            what: Pattern::FirstSeen { zone: zone.name.clone(), known: self.known(&zone.name) },
            client,
            server: Some(server),
            service: service(ends),
            name: name.cloned(),
            flows: vec![facts_of(ends, flow)],
        })
    }

    /// Notes a place; tells whether its zone did not know it.
    pub(super) fn learn(&mut self, key: &(GroupName, u64)) -> bool {
        let is_new = !self.places.contains(key);
        if is_new {
            if let Some((zone, _)) = self.places.next_out()
                && let Some(count) = self.known.get_mut(zone)
            {
                *count = count.saturating_sub(1);
            }
            *self.known.entry(key.0.clone()).or_default() += 1;
        }
        self.places.entry(key, || ());
        is_new
    }

    fn known(&self, zone: &GroupName) -> u64 {
        self.known.get(zone).copied().unwrap_or(0)
    }
}

/// Shortens a place; the same on every host and in every version, since it is kept.
fn digest(place: &[u8]) -> u64 {
    let Sha256(bytes) = Sha256::of(place);
    bytes.iter().take(8).fold(0, |all, b| all << 8 | u64::from(*b))
}

/// Returns an address as 16 bytes, IPv4 in IPv6 clothes.
pub(super) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_places_a_zone_knows_is_counted_as_they_come_and_go() {
        let (mut firsts, zones) =
            (Firsts::new(), ["a", "b"].map(|name| GroupName::try_from(name.to_owned()).unwrap()));
        let counted = |firsts: &Firsts| {
            zones
                .each_ref()
                .map(|zone| firsts.places.iter().filter(|((of, _), ())| of == zone).count() as u64)
        };
        for n in 0..MAX_PLACES as u64 + 500 {
            let zone = zones[usize::from(n % 3 == 0)].clone();
            firsts.learn(&(zone, n / 2));
            if n % 4_096 == 0 {
                assert_eq!(zones.each_ref().map(|zone| firsts.known(zone)), counted(&firsts));
            }
        }
        for n in 0..MAX_PLACES as u64 {
            firsts.learn(&(zones[0].clone(), 1 << 40 | n));
        }
        assert_eq!(zones.each_ref().map(|zone| firsts.known(zone)), [MAX_PLACES as u64, 0]);
        assert_eq!(counted(&firsts), [MAX_PLACES as u64, 0]);
    }
}
