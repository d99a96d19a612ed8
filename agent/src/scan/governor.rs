//! How much of the host scanning may take. Pure: callers pass the time, what was used, and what the kernel says.
//!
//! While nobody else waits, a scan is never held back. While others wait for a processor, a disk or memory, the agent
//! and its workers live on an allowance: five percent of one processor, saved up for at most a minute.

use std::time::{Duration, Instant};

/// Of one processor, while others wait.
const SHARE: f64 = 0.05;
/// For so long the allowance is saved up, and for so long a debt is remembered.
const MINUTE: f64 = 60.0;
/// In this percentage of the last ten seconds somebody waited: others need the host.
const WAITED: f32 = 10.0;

/// However much was used, scans go on for a second when they have waited so long: a host that is kept busy on purpose
/// must not end them.
const LONGEST: Duration = Duration::from_secs(19);

/// Keeps the account.
#[derive(Debug)]
pub(crate) struct Governor {
    /// Seconds of one processor that may still be used.
    left: f64,
    last: Option<Instant>,
    /// Since when scans wait.
    shut: Option<Instant>,
}

impl Default for Governor {
    fn default() -> Self {
        Self { left: SHARE * MINUTE, last: None, shut: None }
    }
}

impl Governor {
    /// Takes note of the processor time that the agent and its workers have used since the last call, and tells whether
    /// scans may go on. `waited` is how much of the last ten seconds, in percent, somebody waited; none where the
    /// kernel does not tell, which counts as waiting.
    pub(crate) fn may_go_on(&mut self, spent: Duration, now: Instant, waited: Option<f32>) -> bool {
        let before = self.last.replace(now).unwrap_or(now);
        let earned = now.saturating_duration_since(before).as_secs_f64() * SHARE;
        let most = SHARE * MINUTE;
        self.left = (self.left + earned - spent.as_secs_f64()).clamp(-most, most);
        if waited.is_some_and(|percent| percent < WAITED) {
            self.left = self.left.max(0.0);
        }
        let long_enough = self.shut.is_some_and(|at| now.saturating_duration_since(at) >= LONGEST);
        let open = self.left >= 0.0 || long_enough;
        self.shut = if open { None } else { self.shut.or(Some(now)) };
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Plays an hour in which the agent uses `always` of each second, and all of it when it may scan; returns the share
    /// of scans.
    fn share(always: Duration, waited: Option<f32>) -> f64 {
        let (mut governor, begun, mut spent, mut scans) = (Governor::default(), Instant::now(), always, 0);
        for second in 0..3_600 {
            let open = governor.may_go_on(spent, begun + SECOND * second, waited);
            spent = if open { SECOND } else { always };
            scans += u32::from(open);
        }
        f64::from(scans) / 3_600.0
    }

    #[test]
    fn on_a_busy_host_scanning_takes_a_twentieth_of_a_processor_and_never_stops() {
        let busy = share(Duration::ZERO, Some(80.0));

        assert!((0.045..=0.056).contains(&busy), "{busy}");
        assert!((share(Duration::ZERO, None) - busy).abs() < f64::EPSILON);
        assert!(share(SECOND / 2, Some(80.0)) >= 0.045, "traffic alone uses more than the allowance");
    }

    #[test]
    fn on_an_idle_host_nothing_is_held_back() {
        assert!((share(SECOND, Some(0.0)) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_short_burst_is_never_held_back() {
        let (mut governor, now) = (Governor::default(), Instant::now());

        assert!(governor.may_go_on(SECOND * 2, now, Some(80.0)));
        assert!(!governor.may_go_on(SECOND * 4, now + SECOND, Some(80.0)));
    }

    #[test]
    fn when_the_host_is_free_again_old_debts_are_forgotten() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        assert!(!governor.may_go_on(SECOND * 100, now, Some(80.0)));

        assert!(governor.may_go_on(SECOND, now + SECOND, Some(1.0)));
        assert!(governor.may_go_on(Duration::ZERO, now + SECOND * 2, Some(80.0)));
    }
}
