//! Networks: addresses by the bits that they share, a million of them in flat memory.
//!
//! ```text
//! body   version u8 │ per family and length, ascending: family u8 (4, 6) │ length u8 │ count u32 │ prefixes, sorted,
//!                     each of as many bytes as its length needs
//! ```
//! An IPv4 address takes four bytes of a pack, and six in memory with the list on which it stands.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    super::keys::{BadBody, MAX_KEYS},
    groups::Groups,
};

/// The form of the body that this code writes and reads.
const VERSION: u8 = 1;
/// Bytes before the prefixes of one length.
const HEAD: usize = 6;
/// The shortest prefix of IPv4 that may be listed: registries give nobody more.
pub const MIN_FOUR: u8 = 8;
/// The shortest prefix of IPv6 that may be listed: the largest block that one operator holds.
pub const MIN_SIX: u8 = 19;

/// A network, or one address as the smallest of them. IPv4 in the clothes of IPv6 is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    pub(super) address: IpAddr,
    pub(super) length: u8,
}

impl Prefix {
    /// Takes an address and how many of its bits count. The others are cleared.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let (address, length) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), four @ IpAddr::V4(_)) => (four, length.checked_sub(96)?),
            (_, same) => (same, length),
        };
        (length <= bits(address)).then(|| Self { address: masked(address, length), length })
    }

    /// Takes one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: bits(address) }
    }

    /// Reads an address or a network such as `203.0.113.0/24`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address = address.parse().ok()?;
        match length {
            Some(length) => Self::new(address, length.parse().ok()?),
            None => Some(Self::of(address)),
        }
    }

    /// Tells whether all of another network lies in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.length <= other.length
            && masked(other.address, self.length) == self.address
    }

    /// Tells whether it is wider than any one operator's network.
    #[must_use]
    pub fn is_too_wide(&self) -> bool {
        self.length < if self.address.is_ipv4() { MIN_FOUR } else { MIN_SIX }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length == bits(self.address) {
            true => self.address.fmt(f),
            false => write!(f, "{}/{}", self.address, self.length),
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(four) => Ipv4Addr::from_bits(four.to_bits() & mask_four(length)).into(),
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & mask_six(length)).into(),
    }
}

fn mask_four(length: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0)
}

fn mask_six(length: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0)
}

/// Networks and the lists on which they stand, by length, the longest first.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    four: Vec<Row<u32>>,
    six: Vec<Row<u128>>,
}

/// The networks of one length.
#[derive(Debug)]
struct Row<T> {
    length: u8,
    prefixes: Box<[T]>,
    groups: Box<[u16]>,
}

impl Prefixes {
    /// Takes networks, each with the list on which it stands.
    pub(super) fn new(mut entries: Vec<(Prefix, u16)>, groups: &mut Groups) -> Self {
        entries.sort_unstable_by_key(|(p, set)| (p.address.is_ipv6(), u8::MAX - p.length, p.address, *set));
        entries.dedup();
        let mut found = Self::default();
        for same in entries
            .chunk_by(|(a, _), (b, _)| a.length == b.length && a.address.is_ipv4() == b.address.is_ipv4())
        {
            let Some((first, _)) = same.first() else { continue };
            let length = first.length;
            match first.address {
                IpAddr::V4(_) => found.four.push(row(same, length, groups, four_bits)),
                IpAddr::V6(_) => found.six.push(row(same, length, groups, six_bits)),
            }
        }
        found
    }

    /// Offers the networks in which an address lies, the longest first, until one is taken.
    pub(super) fn first<R>(
        &self,
        address: IpAddr,
        mut take: impl FnMut(Prefix, u16) -> Option<R>,
    ) -> Option<R> {
        match address.to_canonical() {
            IpAddr::V4(four) => self.four.iter().find_map(|row| {
                let masked = four.to_bits() & mask_four(row.length);
                let address = Ipv4Addr::from_bits(masked).into();
                take(Prefix { address, length: row.length }, row.group(&masked)?)
            }),
            IpAddr::V6(six) => self.six.iter().find_map(|row| {
                let masked = six.to_bits() & mask_six(row.length);
                let address = Ipv6Addr::from_bits(masked).into();
                take(Prefix { address, length: row.length }, row.group(&masked)?)
            }),
        }
    }

    /// Tells whether a network lies in one of these.
    pub(super) fn cover(&self, asked: &Prefix) -> bool {
        self.first(asked.address, |found, _| (found.length <= asked.length).then_some(())).is_some()
    }

    pub(super) fn len(&self) -> usize {
        let four = self.four.iter().map(|row| row.prefixes.len());
        four.chain(self.six.iter().map(|row| row.prefixes.len())).sum()
    }

    pub(super) fn memory(&self) -> usize {
        let four = self.four.iter().map(|row| row.prefixes.len() * (size_of::<u32>() + size_of::<u16>()));
        let six = self.six.iter().map(|row| row.prefixes.len() * (size_of::<u128>() + size_of::<u16>()));
        four.chain(six).sum()
    }
}

impl<T: Ord> Row<T> {
    fn group(&self, masked: &T) -> Option<u16> {
        self.groups.get(self.prefixes.binary_search(masked).ok()?).copied()
    }
}

fn row<T>(
    entries: &[(Prefix, u16)],
    length: u8,
    groups: &mut Groups,
    bits: fn(&Prefix) -> Option<T>,
) -> Row<T> {
    let mut prefixes = Vec::with_capacity(entries.len());
    let mut of = Vec::with_capacity(entries.len());
    for same in entries.chunk_by(|(a, _), (b, _)| a == b) {
        let Some(prefix) = same.first().and_then(|(p, _)| bits(p)) else { continue };
        prefixes.push(prefix);
        of.push(groups.of(same.iter().map(|(_, set)| *set)));
    }
    Row { length, prefixes: prefixes.into_boxed_slice(), groups: of.into_boxed_slice() }
}

fn four_bits(prefix: &Prefix) -> Option<u32> {
    let IpAddr::V4(four) = prefix.address else { return None };
    Some(four.to_bits())
}

fn six_bits(prefix: &Prefix) -> Option<u128> {
    let IpAddr::V6(six) = prefix.address else { return None };
    Some(six.to_bits())
}

/// Writes networks as they are shipped.
#[must_use]
pub fn body(mut prefixes: Vec<Prefix>) -> Vec<u8> {
    let family = |p: &Prefix| (p.address.is_ipv6(), p.length);
    prefixes.sort_unstable_by_key(|p| (family(p), p.address));
    prefixes.dedup();
    prefixes.truncate(MAX_KEYS);
    let mut body = vec![VERSION];
    for same in prefixes.chunk_by(|a, b| family(a) == family(b)) {
        let Some(first) = same.first() else { continue };
        let count = u32::try_from(same.len()).unwrap_or(u32::MAX);
        body.extend([if first.address.is_ipv4() { 4 } else { 6 }, first.length]);
        body.extend(count.to_le_bytes());
        for prefix in same {
            let width = usize::from(first.length.div_ceil(8));
            match prefix.address {
                IpAddr::V4(four) => body.extend(&four.octets()[..width]),
                IpAddr::V6(six) => body.extend(&six.octets()[..width]),
            }
        }
    }
    body
}

/// Networks as they came, and how many were too wide to be listed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shipped {
    /// Those that may be listed.
    pub prefixes: Vec<Prefix>,
    /// How many were left out.
    pub refused: usize,
}

/// Reads networks as they were shipped.
///
/// # Errors
/// [`BadBody`].
pub fn read(body: &[u8]) -> Result<Shipped, BadBody> {
    let (version, mut rest) = body.split_first().ok_or(BadBody::Length)?;
    if *version != VERSION {
        return Err(BadBody::Version(*version));
    }
    let mut found = Shipped::default();
    let mut last = (0, 0);
    while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
        let [family, length, count @ ..] = *head;
        let count = u32::from_le_bytes(count) as usize;
        let most = if family == 4 { 32 } else { 128 };
        if !matches!(family, 4 | 6) || length > most {
            return Err(BadBody::Length);
        }
        if (family, length) <= last {
            return Err(BadBody::Unsorted);
        }
        last = (family, length);
        if count > MAX_KEYS - found.prefixes.len() {
            return Err(BadBody::TooMany(count));
        }
        let width = usize::from(length.div_ceil(8));
        let (prefixes, after) = after.split_at_checked(count * width).ok_or(BadBody::Length)?;
        rest = after;
        if length < if family == 4 { MIN_FOUR } else { MIN_SIX } {
            found.refused = found.refused.saturating_add(count);
            continue;
        }
        let sorted = prefixes.chunks_exact(width).is_sorted_by(|a, b| a < b);
        let read =
            prefixes.chunks_exact(width).map(|p| prefix(family, length, p)).collect::<Option<Vec<_>>>();
        match read {
            Some(read) if sorted => found.prefixes.extend(read),
            _ => return Err(BadBody::Unsorted),
        }
    }
    if rest.is_empty() { Ok(found) } else { Err(BadBody::Length) }
}

/// Reads one prefix; bits beyond its length make it none.
fn prefix(family: u8, length: u8, bytes: &[u8]) -> Option<Prefix> {
    let mut octets = [0; 16];
    octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let [a, b, c, d, ..] = octets;
    let address: IpAddr = match family {
        4 => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from(octets).into(),
    };
    let prefix = Prefix::new(address, length)?;
    (prefix.address == address).then_some(prefix)
}

#[cfg(test)]
mod tests;
