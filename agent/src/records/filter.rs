//! What tells of a block without reading it that some keys are not in it: a Bloom filter (Bloom, CACM 13/7, 1970), and its sum.
//!
//! A key that was put in is always found. Of others about one in two hundred is: then the block is read for nothing. A filter
//! that was damaged says of every key that it may be there. Pure.

use khien_core::Sha256;

use super::keys::Keys;

/// Bits for each key.
const BITS: usize = 12;
/// Bits that are set for a key.
const PROBES: u32 = 7;
/// The fewest bytes: among fewer places two hashes fall on the same ones too often.
const LEAST: usize = 8;
/// The bytes of the sum at the end.
const SUM: usize = 4;

/// Makes the filter of some keys.
pub(super) fn of(keys: &Keys) -> Vec<u8> {
    let mut bits = vec![0; (keys.len() * BITS).div_ceil(8).max(LEAST)];
    for key in keys.iter() {
        for place in places(key, bits.len()) {
            bits[place / 8] |= 1 << (place % 8);
        }
    }
    let sum = sum(&bits);
    bits.extend_from_slice(&sum);
    bits
}

/// Tells whether a key may be in a filter.
pub(super) fn may_have(filter: &[u8], key: u64) -> bool {
    match filter.split_last_chunk::<SUM>() {
        Some((bits, said)) if !bits.is_empty() && sum(bits) == *said => {
            places(key, bits.len()).all(|place| bits[place / 8] & 1 << (place % 8) != 0)
        }
        _ => true,
    }
}

/// Returns which bits a key sets in so many bytes: two hashes make all (Kirsch and Mitzenmacher, ESA 2006).
fn places(key: u64, bytes: usize) -> impl Iterator<Item = usize> {
    // The lower half, and the upper one made odd.
    let (first, step) = (key as u32, (key >> 32) as u32 | 1);
    let bits = bytes as u64 * 8;
    // A hash of 32 bits is spread over them without a division.
    (0..PROBES).map(move |n| {
        let hash = u64::from(first.wrapping_add(step.wrapping_mul(n)));
        usize::try_from((hash * bits) >> 32).unwrap_or(0)
    })
}

fn sum(bits: &[u8]) -> [u8; SUM] {
    let Sha256([a, b, c, d, ..]) = Sha256::of(bits);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> u64 {
        u64::from_le_bytes(Sha256::of(&n.to_le_bytes()).0[..8].try_into().unwrap())
    }

    #[test]
    fn every_key_is_found_and_of_others_few() {
        for many in [0, 1, 10, 5_000] {
            let filter = of(&(0..many).map(key).collect());

            assert!((0..many).all(|n| may_have(&filter, key(n))), "{many}");
            let found = (1 << 32..(1 << 32) + 10_000).filter(|n| may_have(&filter, key(*n))).count();
            assert!(found <= 200, "{found} of 10,000 beside {many}");
        }
    }

    #[test]
    fn a_damaged_filter_keeps_nothing_back() {
        let filter = of(&(0..100).map(key).collect());
        let absent = (1 << 32..).map(key).find(|key| !may_have(&filter, *key)).unwrap();
        for place in 0..filter.len() {
            let mut damaged = filter.clone();
            damaged[place] ^= 1;
            assert!(may_have(&damaged, absent), "{place}");
        }

        assert!(may_have(&[], absent) && may_have(&filter[..3], absent));
    }
}
