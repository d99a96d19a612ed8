//! A million fixed-width keys in flat memory: the sorted tails of the keys behind an index of their first bytes.
//!
//! ```text
//! body   version u8 │ prefix bytes u8 │ count u32 │ one u16 per prefix: its keys │ tails, sorted, fixed width
//! ```
//! A key is the first twelve bytes of a digest: 96 bits, so that a million of them fit into one signed pack. That a
//! file by chance shares a key with one of a million entries happens once in 10^22 files.

use std::cmp::Ordering;

use sha2::Digest as _;

/// Bytes kept of a digest.
pub const KEY: usize = 12;
/// The most keys of one set.
pub const MAX_KEYS: usize = 4_000_000;
/// Keys of one prefix among which a walk is quicker than a search; four times what digests give.
const CROWD: usize = 64;
/// The form of the body that this code writes and reads.
const VERSION: u8 = 1;
/// Bytes of the body before the index.
const HEAD: usize = 6;

/// One key: the beginning of a digest.
pub type Key = [u8; KEY];

/// Why a set's body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// It is shorter than its own head, index or count says, or longer.
    #[error("the set's length does not fit its count")]
    Length,
    /// A form that this program does not know.
    #[error("the set has form {0}, only form {VERSION} is known")]
    Version(u8),
    /// More keys than one set may have.
    #[error("the set has {0} keys, at most {MAX_KEYS} are allowed")]
    TooMany(usize),
    /// The keys are not in ascending order, so that a search would miss some.
    #[error("the set's keys are not sorted")]
    Unsorted,
    /// Not base64.
    #[error("the set is not base64")]
    Encoding,
}

/// A sorted set of keys. It takes ten bytes a key at a million keys, and a look-up touches two or three cache lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// How many leading bytes of a key the index stands for.
    prefix: usize,
    /// Where the keys of each prefix begin, and at the end how many there are.
    starts: Box<[u32]>,
    tails: Box<[u8]>,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Keys {
    /// Sorts keys into a set. Keys beyond [`MAX_KEYS`] are left out.
    #[must_use]
    pub fn new(mut keys: Vec<Key>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(MAX_KEYS);
        let prefix = match keys.len() {
            0..256 => 0,
            256..65_536 => 1,
            _ => 2,
        };
        let mut counts = vec![0_u32; places(prefix)];
        let mut tails = Vec::with_capacity(keys.len() * (KEY - prefix));
        for key in &keys {
            counts[place(key, prefix)] += 1;
            tails.extend_from_slice(&key[prefix..]);
        }
        Self { prefix, starts: starts(&counts), tails: tails.into_boxed_slice() }
    }

    /// Tells whether a key is in the set.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.position(key).is_some()
    }

    /// Returns the place of a key among the sorted ones, if it is in the set.
    #[must_use]
    pub fn position(&self, key: &Key) -> Option<usize> {
        let width = KEY - self.prefix;
        let at = place(key, self.prefix);
        let (first, end) = (*self.starts.get(at)? as usize, *self.starts.get(at + 1)? as usize);
        let (tails, wanted) = (self.tails.get(first * width..end * width)?, &key[self.prefix..]);
        let near = tails.len() / width;
        if near > CROWD {
            return searched(tails, wanted).map(|at| first + at);
        }
        // Digests spread evenly, so the next byte tells where to begin: one cache line instead of three.
        let mut at = usize::from(wanted[0]) * near / 256;
        let of = |at: usize| tails.get(at * width..(at + 1) * width);
        while at > 0 && of(at).is_some_and(|tail| tail > wanted) {
            at -= 1;
        }
        while of(at).is_some_and(|tail| tail < wanted) {
            at += 1;
        }
        (of(at) == Some(wanted)).then_some(first + at)
    }

    /// Returns the keys in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Key> {
        let width = KEY - self.prefix;
        let mut begin = 0;
        self.tails.chunks_exact(width).enumerate().map(move |(at, tail)| {
            // The index says how many keys share the first bytes; they are the number of its place.
            while self.starts.get(begin + 1).is_some_and(|end| *end as usize <= at) {
                begin += 1;
            }
            let mut key = [0; KEY];
            let first = u16::try_from(begin).unwrap_or(u16::MAX).to_be_bytes();
            key[..self.prefix].copy_from_slice(&first[2 - self.prefix..]);
            key[self.prefix..].copy_from_slice(tail);
            key
        })
    }

    /// Returns how many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tails.len() / (KEY - self.prefix)
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    /// Returns the memory the set takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.tails.len() + self.starts.len() * size_of::<u32>()
    }

    /// Writes the set as it is shipped, or nothing if more than 65 535 keys share their first bytes, which digests
    /// never do.
    #[must_use]
    pub fn body(&self) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(HEAD + 2 * self.starts.len() + self.tails.len());
        body.extend([VERSION, u8::try_from(self.prefix).ok()?]);
        body.extend(u32::try_from(self.len()).ok()?.to_le_bytes());
        if self.prefix > 0 {
            for pair in self.starts.windows(2) {
                body.extend(u16::try_from(pair[1] - pair[0]).ok()?.to_le_bytes());
            }
        }
        body.extend_from_slice(&self.tails);
        Some(body)
    }

    /// Reads a set as it was shipped.
    ///
    /// # Errors
    /// [`BadBody`].
    pub fn read(body: &[u8]) -> Result<Self, BadBody> {
        let (head, rest) = body.split_first_chunk::<HEAD>().ok_or(BadBody::Length)?;
        let [version, prefix, count @ ..] = *head;
        if version != VERSION {
            return Err(BadBody::Version(version));
        }
        let (prefix, count) = (usize::from(prefix), u32::from_le_bytes(count) as usize);
        if prefix > 2 || count > MAX_KEYS {
            return Err(if prefix > 2 { BadBody::Length } else { BadBody::TooMany(count) });
        }
        let indexed = if prefix > 0 { 2 * places(prefix) } else { 0 };
        let (index, tails) = rest.split_at_checked(indexed).ok_or(BadBody::Length)?;
        let counts = match prefix {
            0 => vec![u32::try_from(count).unwrap_or(u32::MAX)],
            _ => index.chunks_exact(2).map(|c| u32::from(u16::from_le_bytes([c[0], c[1]]))).collect(),
        };
        let set = Self { prefix, starts: starts(&counts), tails: tails.into() };
        let counted = set.starts.last().is_some_and(|n| *n as usize == count);
        match counted && tails.len() == count * (KEY - prefix) {
            true if set.is_sorted() => Ok(set),
            true => Err(BadBody::Unsorted),
            false => Err(BadBody::Length),
        }
    }

    fn is_sorted(&self) -> bool {
        let width = KEY - self.prefix;
        let ascends = |part: &[u8]| part.chunks_exact(width).is_sorted_by(|a, b| a < b);
        let place = |at: u32| at as usize * width;
        self.starts.windows(2).all(|pair| self.tails.get(place(pair[0])..place(pair[1])).is_some_and(ascends))
    }
}

/// Searches the tails of one prefix by halves.
fn searched(tails: &[u8], wanted: &[u8]) -> Option<usize> {
    let width = wanted.len();
    let (mut low, mut high) = (0, tails.len() / width);
    while low < high {
        let middle = low.midpoint(high);
        match tails[middle * width..(middle + 1) * width].cmp(wanted) {
            Ordering::Equal => return Some(middle),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    None
}

/// Returns the key of a digest of any kind.
#[must_use]
pub fn key(digest: &[u8]) -> Option<Key> {
    digest.first_chunk::<KEY>().copied()
}

/// Returns the key of a text: a name, a URL, a fingerprint.
#[must_use]
pub fn key_of_text(text: &[u8]) -> Key {
    // Here and not by `khien_core::Sha256`, which is built for size: this is done for every name on the wire.
    let digest = sha2::Sha256::digest(text);
    let mut short = [0; KEY];
    short.copy_from_slice(&digest[..KEY]);
    short
}

fn places(prefix: usize) -> usize {
    1 << (8 * prefix)
}

fn place(key: &Key, prefix: usize) -> usize {
    match prefix {
        0 => 0,
        1 => usize::from(key[0]),
        _ => usize::from(u16::from_be_bytes([key[0], key[1]])),
    }
}

fn starts(counts: &[u32]) -> Box<[u32]> {
    let mut sum = 0_u32;
    let ends = counts.iter().map(|n| {
        sum = sum.saturating_add(*n);
        sum
    });
    std::iter::once(0).chain(ends).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else_at_every_size() {
        for count in [0, 1, 255, 256, 5_000, 70_000] {
            let set = Keys::new((0..count).map(of).collect());

            assert_eq!(set.len(), count as usize);
            assert!((0..count).all(|n| set.contains(&of(n))), "{count}");
            assert!((count..count + 1_000).all(|n| !set.contains(&of(n))), "{count}");
        }
    }

    #[test]
    fn keys_come_out_in_the_order_of_their_places() {
        for count in [0, 1, 255, 256, 5_000, 70_000] {
            let mut keys: Vec<Key> = (0..count).map(of).collect();
            let set = Keys::new(keys.clone());
            keys.sort_unstable();

            assert!(set.iter().eq(keys.iter().copied()), "{count}");
            assert!(keys.iter().enumerate().all(|(at, key)| set.position(key) == Some(at)), "{count}");
        }
    }

    #[test]
    fn a_set_that_was_shipped_is_the_same_set() {
        for count in [0, 1, 300, 70_000] {
            let set = Keys::new((0..count).map(of).collect());

            assert_eq!(Keys::read(&set.body().unwrap()), Ok(set));
        }
    }

    #[test]
    fn a_million_keys_take_ten_bytes_each_and_fit_into_a_pack() {
        let set = Keys::new((0..1_000_000).map(of).collect());

        assert_eq!(set.len(), 1_000_000);
        assert!(set.memory() < 10_300_000, "{}", set.memory());
        let shipped = data_encoding::BASE64_NOPAD.encode_len(set.body().unwrap().len());
        assert!(shipped < khien_core::bundle::MAX_PACK - (1 << 20), "{shipped}");
    }

    #[test]
    fn a_body_that_lies_about_its_count_or_order_is_refused() {
        let good = Keys::new((0..300).map(of).collect()).body().unwrap();
        let mut unsorted = Keys::new((0..3).map(of).collect()).body().unwrap();
        unsorted[HEAD..].rotate_left(KEY);
        let mut many = good.clone();
        many[2..6].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut wide = good.clone();
        wide[1] = 7;

        assert_eq!(Keys::read(&good[..good.len() - 1]), Err(BadBody::Length));
        assert_eq!(Keys::read(&[]), Err(BadBody::Length));
        assert_eq!(Keys::read(&[9; 40]), Err(BadBody::Version(9)));
        assert_eq!(Keys::read(&many), Err(BadBody::TooMany(u32::MAX as usize)));
        assert_eq!(Keys::read(&wide), Err(BadBody::Length));
        assert_eq!(Keys::read(&unsorted), Err(BadBody::Unsorted));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read_as_a_set(bytes: Vec<u8>) {
            let _ = Keys::read(&bytes).map(|set| set.contains(&[0; KEY]));
        }

        #[test]
        fn keys_that_share_beginnings_are_told_apart(tails in prop::collection::vec(any::<[u8; 2]>(), 0..600)) {
            let with = |t: &[u8; 2]| { let mut key = [7; KEY]; key[10..].copy_from_slice(t); key };
            let set = Keys::new(tails.iter().map(with).collect());

            prop_assert!(tails.iter().all(|t| set.contains(&with(t))));
            prop_assert!(!set.contains(&[6; KEY]));
            prop_assert_eq!(Keys::read(&set.body().unwrap()), Ok(set));
        }
    }

    fn of(n: u32) -> Key {
        key(&khien_core::Sha256::of(&n.to_le_bytes()).0).unwrap()
    }
}
