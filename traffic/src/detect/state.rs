//! What detectors learnt over days, as bytes that outlive a restart: who knows whom, and what is usual.
//!
//! ```text
//! "KND1"
//! u16 zones   × (u8 length, name, i64 since)
//! u32 places  × (u16 zone, u64 digest), the first to be forgotten first
//! u32 hosts   × (16 address, i64 hour, u64 bytes, u32 hours that are known, 24 × u32 KiB)
//! ```
//! All numbers are little-endian.

use std::net::{IpAddr, Ipv6Addr};

use khien_core::policy::{GroupName, network::MAX_ZONES};

use super::{
    first::{Firsts, MAX_PLACES, octets},
    outward::{HOURS, Host, Hour, MAX_HOSTS, Outward},
};

const MAGIC: &[u8; 4] = b"KND1";
/// Zones that are kept: those of policy, and some that it no longer names.
const MAX_KEPT: usize = 2 * MAX_ZONES;

/// Writes what was learnt.
pub(super) fn write(firsts: &Firsts, outward: &Outward) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let zones: Vec<_> = firsts.since.iter().take(MAX_KEPT).collect();
    out.extend(u16::try_from(zones.len()).unwrap_or(u16::MAX).to_le_bytes());
    for (name, since) in &zones {
        let name = name.as_str().as_bytes();
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend(name);
        out.extend(since.to_le_bytes());
    }
    let index = |name: &GroupName| u16::try_from(zones.iter().position(|(n, _)| *n == name)?).ok();
    let places: Vec<_> =
        firsts.places.iter().filter_map(|((zone, digest), ())| Some((index(zone)?, *digest))).collect();
    out.extend(u32::try_from(places.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (zone, digest) in places {
        out.extend(zone.to_le_bytes());
        out.extend(digest.to_le_bytes());
    }
    out.extend(u32::try_from(outward.hosts.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (address, host) in outward.hosts.iter() {
        out.extend(octets(*address));
        out.extend(host.now.hour.to_le_bytes());
        out.extend(host.now.bytes.to_le_bytes());
        let known = host
            .usual
            .iter()
            .enumerate()
            .filter(|(_, u)| u.is_some())
            .fold(0_u32, |all, (h, _)| all | 1 << h);
        out.extend(known.to_le_bytes());
        for usual in host.usual {
            out.extend(usual.unwrap_or(0).to_le_bytes());
        }
    }
    out
}

/// Reads what was learnt; nothing if it is not whole.
pub(super) fn read(bytes: &[u8]) -> Option<(Firsts, Outward)> {
    let mut from = Cursor(bytes);
    (from.take::<4>()? == *MAGIC).then_some(())?;
    let (mut firsts, mut outward) = (Firsts::new(), Outward::new());
    let count = from.u16()?;
    let mut zones = Vec::new();
    for _ in 0..count.min(u16::try_from(MAX_KEPT).unwrap_or(u16::MAX)) {
        let [length] = from.take()?;
        let name = std::str::from_utf8(from.slice(length.into())?).ok()?;
        let name = GroupName::try_from(name.to_owned()).ok()?;
        firsts.since.insert(name.clone(), i64::from_le_bytes(from.take()?));
        zones.push(name);
    }
    for _ in 0..within(from.u32()?, MAX_PLACES)? {
        let zone = zones.get(usize::from(from.u16()?))?.clone();
        firsts.learn(&(zone, u64::from_le_bytes(from.take()?)));
    }
    for _ in 0..within(from.u32()?, MAX_HOSTS)? {
        let (address, host) = host(&mut from)?;
        *outward.hosts.entry(&address, Host::default) = host;
    }
    from.0.is_empty().then_some((firsts, outward))
}

fn host(from: &mut Cursor<'_>) -> Option<(IpAddr, Host)> {
    let address = IpAddr::V6(Ipv6Addr::from(from.take::<16>()?)).to_canonical();
    // An hour beyond any clock would never end.
    let hour = i64::from_le_bytes(from.take()?).clamp(0, MAX_HOUR);
    let now = Hour { hour, bytes: u64::from_le_bytes(from.take()?) };
    let known = from.u32()?;
    let mut usual = [None; HOURS];
    for (hour, slot) in usual.iter_mut().enumerate() {
        let kib = from.u32()?;
        *slot = (known >> hour & 1 == 1).then_some(kib);
    }
    Some((address, Host { usual, now }))
}

/// The year 9999 in hours.
const MAX_HOUR: i64 = 70_389_000;

fn within(count: u32, most: usize) -> Option<usize> {
    usize::try_from(count).ok().filter(|count| *count <= most)
}

struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn slice(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
}
