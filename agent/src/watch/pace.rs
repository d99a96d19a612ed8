//! How fast a walk over everything may go, and how threads and workers that are in no haste give way. A walk takes from the
//! host only what the host does not need: what others need is judged in `scan::host`. Pure but for giving way.

use std::{fs, time::Duration};

use rustix::process::{Pid, getpriority_pgrp, setpriority_pgrp, setpriority_process};

/// Of its time, in percent, while others do not need the host.
const IDLE: u32 = 50;
/// How much a thread that is in no haste gives way to others: beside one that does not, it gets a tenth of a processor.
const NICE: i32 = 10;
/// How much a scan worker gives way: beside a program that does not, it gets a quarter of a processor, and its scans have
/// three times as long (`Pool::others_need_processors`). At 10 it got a fiftieth beside six busy sessions, with which 40 MB take
/// longer than they may, and at 19 or `SCHED_IDLE` next to nothing: a file that is not scanned is what an attacker wants.
/// From it the kernel derives how long a thread waits for disks (best effort, 5 of 7).
const WORKER_NICE: i32 = 5;
/// Shorter rests are saved up.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest rest: one slow file must not stop the walk.
const LONGEST: Duration = Duration::from_secs(10);

/// Tells when to rest.
#[derive(Debug, Default)]
pub(super) struct Pace {
    owed: Duration,
}

impl Pace {
    /// Takes note of work that took so long, and returns how long to rest before more. `busy` is the percentage of its time
    /// that a walk may work because others need the host; none if they do not.
    pub(super) fn worked(&mut self, took: Duration, busy: Option<u32>) -> Duration {
        let percent = busy.map_or(IDLE, |percent| percent.clamp(1, IDLE));
        let owed = took.saturating_mul(100 - percent) / percent;
        self.owed = LONGEST.min(self.owed.saturating_add(owed));
        if self.owed < SHORTEST { Duration::ZERO } else { std::mem::take(&mut self.owed) }
    }
}

/// Has the calling thread give way to all others. Not being allowed to is no reason not to work.
pub(super) fn give_way() {
    let _ = setpriority_process(Some(rustix::thread::gettid()), NICE);
}

/// Has a scan worker, which leads a session of its own, give way to all others: each of its threads, and the whole session
/// where the kernel shares the processors among sessions first (autogroup).
pub(crate) fn worker_gives_way(pid: u32) {
    let Some(session) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if getpriority_pgrp(Some(session)).is_ok_and(|nice| nice < WORKER_NICE) {
        let _ = setpriority_pgrp(Some(session), WORKER_NICE);
    }
    let _ = fs::write(format!("/proc/{pid}/autogroup"), WORKER_NICE.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_works_half_the_time_on_an_idle_host_and_as_the_policy_says_on_a_busy_one() {
        let rest = |busy| Pace::default().worked(Duration::from_millis(100), busy);

        assert_eq!(rest(None), Duration::from_millis(100));
        assert_eq!(rest(Some(5)), Duration::from_millis(1_900));
        assert_eq!(rest(Some(100)), rest(None), "never more than on an idle host");
    }

    #[test]
    fn short_rests_are_saved_up_and_long_ones_are_bounded() {
        let mut pace = Pace::default();

        let rests: Vec<_> = (0..10).map(|_| pace.worked(Duration::from_millis(2), None)).collect();

        assert_eq!(rests.iter().sum::<Duration>(), Duration::from_millis(20));
        assert_eq!(rests.iter().filter(|r| r.is_zero()).count(), 8);
        assert_eq!(pace.worked(Duration::MAX, Some(5)), LONGEST);
    }
}
