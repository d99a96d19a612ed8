//! Digests of the segments that were handed on last, to tell when a later copy says something else.
//!
//! A later copy is held against the digests of those segments that it covers wholly, and against the first bytes of all. One
//! that is cut smaller and differs only farther in is not told.

use super::key::Seed;

/// So many segments are remembered.
const REMEMBERED: usize = 4;
/// The first bytes of each, as they were.
const HEAD: usize = 48;

/// The last segments of one direction.
#[derive(Debug, Default)]
pub(super) struct History {
    marks: [Mark; REMEMBERED],
    at: u8,
}

/// One segment, by where it begins in the stream.
#[derive(Debug, Clone, Copy)]
struct Mark {
    offset: u64,
    length: u32,
    digest: u64,
    head: [u8; HEAD],
}

impl Default for Mark {
    fn default() -> Self {
        Self { offset: 0, length: 0, digest: 0, head: [0; HEAD] }
    }
}

impl History {
    /// Remembers bytes that were handed on.
    pub(super) fn add(&mut self, seed: Seed, offset: u64, bytes: &[u8]) {
        let at = usize::from(self.at) % REMEMBERED;
        let mark = &mut self.marks[at];
        // A segment is far shorter than four gigabytes; one that is not is never equal to what is remembered of it.
        (mark.offset, mark.length, mark.digest) = (offset, bytes.len() as u32, digest(seed, bytes));
        let length = bytes.len().min(HEAD);
        mark.head[..length].copy_from_slice(&bytes[..length]);
        self.at = self.at.wrapping_add(1);
    }

    /// Tells whether bytes that begin at `offset` say something else than those that were handed on.
    pub(super) fn differs(&self, seed: Seed, offset: u64, bytes: &[u8]) -> bool {
        self.marks.iter().filter(|mark| mark.length > 0).any(|mark| {
            let from = mark.offset.checked_sub(offset).and_then(|from| usize::try_from(from).ok());
            let again = from.and_then(|from| bytes.get(from..)?.get(..mark.length as usize));
            again.is_some_and(|again| digest(seed, again) != mark.digest) || mark.begins_else(offset, bytes)
        })
    }
}

impl Mark {
    /// Tells whether bytes that begin at `offset` contradict the first ones of this segment.
    fn begins_else(&self, offset: u64, bytes: &[u8]) -> bool {
        let head = &self.head[..HEAD.min(self.length as usize)];
        let from = self.offset.max(offset);
        let rest =
            |start: u64, all: &'_ [u8]| usize::try_from(from - start).map_or(all.len(), |n| n.min(all.len()));
        let (mine, theirs) = (&head[rest(self.offset, head)..], &bytes[rest(offset, bytes)..]);
        mine.iter().zip(theirs).any(|(a, b)| a != b)
    }
}

/// A keyed digest: fast, and not to be foreseen without the key.
fn digest(seed: Seed, bytes: &[u8]) -> u64 {
    let [mut one, mut two] = seed.0;
    one ^= bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<32>();
    for chunk in chunks {
        let (words, _) = chunk.as_chunks::<8>();
        let word = |i: usize| u64::from_le_bytes(words[i]);
        one = mixed(one ^ word(0), word(1) ^ SALT[0]);
        two = mixed(two ^ word(2), word(3) ^ SALT[1]);
    }
    for part in rest.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        one = mixed(one ^ u64::from_le_bytes(word), SALT[2]);
    }
    mixed(one ^ SALT[0], two ^ SALT[2])
}

/// Odd numbers without a pattern.
const SALT: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7];

fn mixed(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // Both halves of it.
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed([3, 4]);

    #[test]
    fn a_copy_is_no_difference_and_one_other_bit_is() {
        let mut history = History::default();
        let bytes: Vec<u8> = (0..200).collect();
        history.add(SEED, 1000, &bytes);

        assert!(!history.differs(SEED, 1000, &bytes));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(history.differs(SEED, 1000, &other), "{at}");
        }
    }

    #[test]
    fn a_longer_copy_is_held_against_what_it_covers() {
        let mut history = History::default();
        history.add(SEED, 10, b"abc");
        history.add(SEED, 13, b"def");

        assert!(!history.differs(SEED, 8, b"--abcdef--"));
        assert!(history.differs(SEED, 8, b"--abcdEf--"));
        assert!(history.differs(SEED, 11, b"XX"), "cut smaller");
        assert!(!history.differs(SEED, 11, b"bc"));
        assert!(!history.differs(SEED, 16, b"what was not there"));
    }

    #[test]
    fn a_copy_that_is_cut_smaller_is_held_against_the_first_bytes_alone() {
        let mut history = History::default();
        history.add(SEED, 0, &[b'a'; 100]);

        assert!(history.differs(SEED, 40, &[b'X'; 20]));
        assert!(!history.differs(SEED, 48, &[b'X'; 20]), "farther in: not told");
    }
}
