//! Which remembered files a walk reads again though they are as they were. Pure: callers pass the time.
//!
//! Size, times and inode can lie: after a write past the file system, with a clock that was set back, through a mapping
//! in a memory file system, under a kernel that hides a change. So each walk reads a part of what is remembered, the next
//! one the part behind it, until all was read and it begins anew.
//!
//! ```text
//!  0 ──────┬───────────┬─────────────────────── 2³²   the hash of a file, under a key that is drawn at the start:
//!          │ this walk │ the next one                 nobody outside knows when a file has its turn
//! ```

use std::{
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

/// In so many walks all is read again, where that takes no longer than it may.
pub(super) const WALKS: u64 = 64;
/// What reading again may take of a walk, of which there is one an hour: a twentieth. Where it takes longer the next
/// part is smaller.
const MOST: Duration = Duration::from_secs(180);
/// The smallest part is this one of the largest, so that there is an end.
const SMALLEST: u64 = 64;
/// How many values a hash has.
const RING: u64 = 1 << 32;

/// The part of one walk.
#[derive(Debug)]
pub(super) struct Part {
    key: RandomState,
    from: u64,
    width: u64,
    widest: u64,
}

impl Part {
    /// Takes one of so many parts for each walk; 0 takes none.
    pub(super) fn one_of(walks: u64) -> Self {
        let widest = if walks == 0 { 0 } else { RING.div_ceil(walks) };
        Self { key: RandomState::new(), from: 0, width: widest, widest }
    }

    /// Tells whether a file belongs to it.
    pub(super) fn has(&self, file: &impl Hash) -> bool {
        let at = self.key.hash_one(file) % RING;
        (at + RING - self.from) % RING < self.width
    }

    /// Goes on to the next one.
    pub(super) fn next(&mut self) {
        self.from = (self.from + self.width) % RING;
    }

    /// Takes note of how long it took to read this one, and makes the next one as large as there is time for.
    pub(super) fn took(&mut self, spent: Duration) {
        let wide = u128::from(self.width) * MOST.as_millis() / spent.as_millis().max(1);
        let smallest = self.widest.div_ceil(SMALLEST);
        self.width = u64::try_from(wide).unwrap_or(u64::MAX).clamp(smallest, self.widest);
    }

    /// Returns in how many walks all is read again, if the parts stay as they are.
    pub(super) fn walks(&self) -> u64 {
        if self.width == 0 { 0 } else { RING.div_ceil(self.width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_turn_once_in_so_many_walks_and_again_in_the_next() {
        let mut part = Part::one_of(WALKS);
        for _ in 0..2 {
            let mut turns = vec![0; 5_000];
            for _ in 0..WALKS {
                (0u64..).zip(&mut turns).for_each(|(file, turns)| *turns += u32::from(part.has(&file)));
                part.next();
            }

            assert!(turns.iter().all(|turns| *turns == 1));
        }
        assert_eq!(part.walks(), WALKS);
    }

    #[test]
    fn when_a_file_has_its_turn_is_not_known_from_outside() {
        let turns = || {
            let part = Part::one_of(2);
            (0..1_000u64).filter(|file| part.has(file)).collect::<Vec<_>>()
        };

        assert_ne!(turns(), turns());
    }

    #[test]
    fn a_part_that_takes_long_is_followed_by_smaller_ones_and_all_files_have_their_turn_all_the_same() {
        let mut part = Part::one_of(WALKS);
        part.took(MOST * 10);
        assert!((WALKS * 10..=WALKS * 10 + 1).contains(&part.walks()), "{}", part.walks());

        let (mut walks, mut left): (u64, Vec<u64>) = (0, (0..1_000).collect());
        while !left.is_empty() {
            left.retain(|file| !part.has(file));
            part.next();
            walks += 1;
            // Half of the time that it may take.
            part.took(MOST / 2);
        }
        assert!(walks <= WALKS + 8, "{walks}");

        part.took(Duration::MAX);
        assert_eq!(part.walks(), WALKS * SMALLEST);
        part.took(Duration::ZERO);
        assert_eq!(part.walks(), WALKS, "never more than that");
    }

    #[test]
    fn none_of_no_walks_is_read() {
        let part = Part::one_of(0);

        assert!((0..1_000u64).all(|file| !part.has(&file)));
        assert_eq!(part.walks(), 0);
    }
}
