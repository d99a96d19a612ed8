//! When what happens is left to gather before it is read. Pure: callers pass the time.
//!
//! To be woken costs the watch more than an event does. While processes that it knows change file upon file, it reads at
//! most once in [`REST`], in a storm in [`LONG_REST`], and the kernel joins meanwhile what one process does to one name. A
//! process that it does not know may live for a moment only, and only in that moment it can be asked who it is: so after one
//! each event is read at once.
//!
//! ```text
//! each read at once ── ROW reads of known processes, one soon after the other ──► once in REST
//!         ▲                                                                            │
//!         └── a stranger: for a while · nothing happened for a moment ◄────────────────┘
//! ```

use std::time::{Duration, Instant};

/// From one read to the next, while much happens.
const REST: Duration = Duration::from_micros(500);
/// The same in a storm: whoever is told of it is woken less often too.
const LONG_REST: Duration = Duration::from_millis(2);
/// A read of so many bytes, some twenty events, is one of a storm.
const STORM: usize = 2 << 10;
/// So many reads, one soon after the other, are much.
const ROW: u32 = 8;
/// A read that comes so long after the one before begins a new row.
const APART: Duration = Duration::from_millis(10);
/// After a stranger each event is read at once for so long: another one may follow.
const STRANGE: Duration = Duration::from_millis(50);

/// What was read lately.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// When the last read began.
    last: Option<Instant>,
    /// When one last brought a process that was not known.
    stranger: Option<Instant>,
    /// The bytes that the last one brought.
    length: usize,
    row: u32,
}

impl Gather {
    /// Returns for how long what waits is left to gather.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        let last = self.last.filter(|_| self.row >= ROW);
        let rest = if self.length < STORM { REST } else { LONG_REST };
        last.map_or(Duration::ZERO, |last| rest.saturating_sub(now.duration_since(last)))
    }

    /// Takes note of a read that began then and brought so many bytes, and whether a process among them was not known.
    pub(super) fn read(&mut self, began: Instant, length: usize, stranger: bool) {
        self.length = length;
        if stranger {
            self.stranger = Some(began);
        }
        let within =
            |since: Option<Instant>, time| since.is_some_and(|since| began.duration_since(since) < time);
        let goes_on = within(self.last, APART) && !within(self.stranger, STRANGE);
        self.row = if goes_on { self.row.saturating_add(1) } else { 0 };
        self.last = Some(began);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_micros(40);

    #[test]
    fn file_upon_file_by_known_processes_is_left_to_gather() {
        let (mut gather, begun) = (Gather::default(), Instant::now());

        let last = row(&mut gather, begun);

        assert_eq!(gather.rest(last + STEP), REST - STEP);
        assert_eq!(gather.rest(last + REST), Duration::ZERO, "what comes later is read at once");
    }

    #[test]
    fn a_storm_gathers_for_longer_and_a_stranger_ends_that() {
        let (mut gather, begun) = (Gather::default(), Instant::now());
        let last = row(&mut gather, begun);

        gather.read(last, STORM, false);
        assert_eq!(gather.rest(last), LONG_REST);

        gather.read(last, STORM, true);
        assert_eq!(gather.rest(last), Duration::ZERO);
    }

    #[test]
    fn a_few_events_and_those_far_from_one_another_are_read_at_once() {
        let (mut gather, begun) = (Gather::default(), Instant::now());
        (0..ROW).for_each(|n| gather.read(begun + STEP * n, 100, false));
        assert_eq!(gather.rest(begun + STEP * ROW), Duration::ZERO);

        let last = row(&mut gather, begun + APART);
        gather.read(last + APART, 100, false);

        assert_eq!(gather.rest(last + APART), Duration::ZERO);
    }

    #[test]
    fn after_a_stranger_all_is_read_at_once_for_a_while() {
        let (mut gather, begun) = (Gather::default(), Instant::now());
        let last = row(&mut gather, begun);

        gather.read(last, 100, true);
        let strange = row(&mut gather, last);

        assert_eq!(gather.rest(strange), Duration::ZERO);
        let later = row(&mut gather, last + STRANGE);
        assert_eq!(gather.rest(later), REST);
    }

    /// Reads on and on, and returns when the last one began.
    fn row(gather: &mut Gather, begun: Instant) -> Instant {
        let times = (0..=ROW).map(|n| begun + STEP * n);
        times.inspect(|at| gather.read(*at, 100, false)).last().unwrap()
    }
}
