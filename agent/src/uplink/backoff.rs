//! How long to wait before the hub is tried again: shortly at first, then ever longer, and never all agents at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(60);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Forgets the failures: a session stood.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns how long to wait: between half and all of 0.2 s, 0.4 s, … 60 s, as `dice` falls.
    pub(crate) fn next(&mut self, dice: u32) -> Duration {
        let whole = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        whole / 2 + (whole / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_quick_and_the_wait_is_bounded() {
        let mut backoff = Backoff::default();

        assert!(backoff.next(u32::MAX) <= FIRST);
        for _ in 0..100 {
            assert!(backoff.next(u32::MAX) <= LONGEST);
        }
        assert!(backoff.next(0) >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next(u32::MAX) <= FIRST);
    }
}
