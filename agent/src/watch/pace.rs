//! How fast a walk over everything may go. It takes from the host only what the host does not need. Pure: callers pass
//! what the kernel says.

use std::time::{Duration, Instant};

/// Of one processor, in percent, while nobody else waits for a processor or a disk.
const IDLE: u32 = 50;
/// While others wait.
const BUSY: u32 = 5;
/// Where the kernel does not tell (before Linux 4.20, or without pressure information).
const UNKNOWN: u32 = 20;
/// In this percentage of the last ten seconds somebody waited: others need the host.
const WAITED: f32 = 10.0;
/// How often the kernel is asked.
const ASK: Duration = Duration::from_secs(1);
/// Shorter rests are saved up.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest rest: one slow file must not stop the walk.
const LONGEST: Duration = Duration::from_secs(10);

/// Tells when to rest.
#[derive(Debug, Default)]
pub(super) struct Pace {
    owed: Duration,
    asked: Option<Instant>,
    share: u32,
}

impl Pace {
    /// Takes note of work that took so long, and returns how long to rest before more. `waited` is asked now and then
    /// for how much of the last ten seconds, in percent, somebody waited.
    pub(super) fn worked(
        &mut self,
        took: Duration,
        now: Instant,
        waited: impl Fn() -> Option<f32>,
    ) -> Duration {
        if self.asked.is_none_or(|at| now.duration_since(at) >= ASK) {
            self.asked = Some(now);
            self.share = match waited() {
                None => UNKNOWN,
                Some(percent) if percent >= WAITED => BUSY,
                Some(_) => IDLE,
            };
        }
        self.owed = LONGEST.min(self.owed + took * (100 - self.share) / self.share);
        if self.owed < SHORTEST { Duration::ZERO } else { std::mem::take(&mut self.owed) }
    }
}

/// Asks the kernel how much of the last ten seconds, in percent, somebody waited for a processor, a disk or memory.
pub(crate) fn waited() -> Option<f32> {
    let read = |what| std::fs::read_to_string(format!("/proc/pressure/{what}")).ok();
    ["cpu", "io", "memory"].into_iter().filter_map(|what| some_avg10(&read(what)?)).reduce(f32::max)
}

/// `some avg10=1.23 avg60=… avg300=… total=…`
fn some_avg10(text: &str) -> Option<f32> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_works_half_the_time_on_an_idle_host_and_a_twentieth_on_a_busy_one() {
        let rest = |waited| Pace::default().worked(Duration::from_millis(100), Instant::now(), || waited);

        assert_eq!(rest(Some(0.5)), Duration::from_millis(100));
        assert_eq!(rest(Some(50.0)), Duration::from_millis(1_900));
        assert_eq!(rest(None), Duration::from_millis(400));
    }

    #[test]
    fn short_rests_are_saved_up_and_long_ones_are_bounded() {
        let (mut pace, now) = (Pace::default(), Instant::now());

        let rests: Vec<_> =
            (0..10).map(|_| pace.worked(Duration::from_millis(2), now, || Some(0.0))).collect();

        assert_eq!(rests.iter().sum::<Duration>(), Duration::from_millis(20));
        assert_eq!(rests.iter().filter(|r| r.is_zero()).count(), 8);
        assert_eq!(pace.worked(Duration::from_secs(3_600), now, || None), LONGEST);
    }

    #[test]
    fn the_kernels_words_are_read() {
        let text = "some avg10=12.34 avg60=1.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00\n";

        assert_eq!(some_avg10(text), Some(12.34));
        assert_eq!(some_avg10("nothing"), None);
    }
}
