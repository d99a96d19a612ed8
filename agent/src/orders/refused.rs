//! Keeps refusals from flooding the team: a captured hub could send bad orders without end.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use khien_core::Sha256;

/// For this long the same order is not reported again.
const QUIET: Duration = Duration::from_secs(600);
/// The most different orders that are reported in that time.
const MAX_TOLD: usize = 64;

/// Which refusals were reported lately.
#[derive(Debug, Default)]
pub(super) struct Told {
    lately: HashMap<Sha256, Instant>,
    unsaid: u64,
}

impl Told {
    /// Returns whether a refusal may be reported now, and with it how many others were not.
    pub(super) fn may_tell(&mut self, order: Sha256, now: Instant) -> Option<u64> {
        self.lately.retain(|_, told| now.duration_since(*told) < QUIET);
        if self.lately.contains_key(&order) {
            return None;
        }
        if self.lately.len() >= MAX_TOLD {
            self.unsaid += 1;
            return None;
        }
        self.lately.insert(order, now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_is_told_once_in_ten_minutes() {
        let (mut told, now) = (Told::default(), Instant::now());
        let order = Sha256::of(b"one");

        assert_eq!(told.may_tell(order, now), Some(0));
        for _ in 0..100 {
            assert_eq!(told.may_tell(order, now), None);
        }
        assert_eq!(told.may_tell(order, now + QUIET), Some(0));
    }

    #[test]
    fn a_flood_of_different_refusals_is_counted() {
        let (mut told, now) = (Told::default(), Instant::now());

        let said =
            (0..10_000_u32).filter(|n| told.may_tell(Sha256::of(&n.to_be_bytes()), now).is_some()).count();

        assert_eq!(said, MAX_TOLD);
        assert_eq!(told.may_tell(Sha256::of(b"later"), now + QUIET), Some(10_000 - MAX_TOLD as u64));
    }
}
