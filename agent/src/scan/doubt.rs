//! What throws doubt on file times: who hides in memory or changes what every program loads may answer for the kernel,
//! and a clock that was set back gives a changed file the time that it had.

use std::time::{Duration, Instant, SystemTime};

use khien_core::{RuleId, protocol::Report};

/// What a host reports on which nothing can be trusted that a program of it says.
const HIDING: [&str; 5] = [
    "khien.process.",
    "khien.integrity.preload",
    "khien.integrity.kernel",
    "khien.integrity.pam",
    "khien.integrity.ours",
];
/// However often it is reported: to scan everything again costs the host.
const REST: Duration = Duration::from_secs(6 * 3_600);
/// A clock that is corrected by less was not set back.
const CORRECTION: Duration = Duration::from_secs(60);

/// Whether what is reported throws doubt, and when something last did. Pure: callers pass the time.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    last: Option<Instant>,
}

impl Doubt {
    /// Tells whether one of these reports throws doubt on what file times say, for the first time in six hours.
    pub(crate) fn is_thrown(&mut self, reports: &[Report], now: Instant) -> bool {
        let rests = self.last.is_some_and(|at| now.saturating_duration_since(at) < REST);
        let is_thrown = !rests && reports.iter().any(hides);
        if is_thrown {
            self.last = Some(now);
        }
        is_thrown
    }
}

fn hides(report: &Report) -> bool {
    let Report::Detection(detection) = report else { return false };
    is_hiding(&detection.rule)
}

fn is_hiding(rule: &RuleId) -> bool {
    HIDING.iter().any(|prefix| rule.as_str().starts_with(prefix))
}

/// The clock of the host beside one that cannot be set.
#[derive(Debug)]
pub(crate) struct Clocks {
    wall: SystemTime,
    steady: Instant,
}

impl Clocks {
    /// Remembers what both say now.
    pub(crate) fn new(wall: SystemTime, steady: Instant) -> Self {
        Self { wall, steady }
    }

    /// Tells whether the clock of the host was set back since the last time this was asked.
    pub(crate) fn were_set_back(&mut self, wall: SystemTime, steady: Instant) -> bool {
        let before = std::mem::replace(self, Self::new(wall, steady));
        let passed = steady.saturating_duration_since(before.steady);
        before
            .wall
            .checked_add(passed)
            .is_some_and(|expected| expected.duration_since(wall).is_ok_and(|behind| behind > CORRECTION))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn who_hides_or_is_loaded_by_all_is_doubted_and_a_web_shell_is_not() {
        for rule in ["khien.process.memfd", "khien.integrity.preload", "khien.integrity.kernel"] {
            assert!(is_hiding(&rule.parse().unwrap()), "{rule}");
        }
        for rule in ["khien.web.late_script", "khien.integrity.cron", "khien.sensor.blind"] {
            assert!(!is_hiding(&rule.parse().unwrap()), "{rule}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_is_told_once_and_one_that_is_corrected_or_runs_ahead_is_not() {
        let (wall, steady) = (UNIX_EPOCH + CORRECTION * 1_000, Instant::now());
        let mut clocks = Clocks::new(wall, steady);
        let mut after =
            |walls: Duration, steadies: Duration| clocks.were_set_back(wall + walls, steady + steadies);

        assert!(!after(CORRECTION, CORRECTION), "both went on");
        assert!(!after(CORRECTION + CORRECTION / 2, CORRECTION * 2), "corrected by half a minute");
        assert!(!after(CORRECTION * 100, CORRECTION * 3), "set ahead, or the host slept");
        assert!(after(CORRECTION * 4, CORRECTION * 4), "set back to what it was");
        assert!(!after(CORRECTION * 5, CORRECTION * 5), "that was told");
    }
}
