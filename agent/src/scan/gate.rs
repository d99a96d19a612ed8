//! Holds scans back: when the host is busy and the allowance is used up, and when the sysadmin asked for a pause. Both
//! are said at once; what waits is scanned afterwards.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp, Untrusted,
    asset::{Coverage, Sensor, Sight},
    reason::Reason,
};
use khien_scan::Pool;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::governor::Governor;
use crate::{health::Meter, pause, watch::pace};

/// How often the account is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// For so long it stays said that scans were held back.
const SAID: Duration = Duration::from_secs(60);
/// Under this name the team sees it.
const SCOPE: &str = "pace";

/// Opens and closes the gate.
pub(crate) struct Keeper {
    pool: Arc<Pool>,
    meter: Arc<Meter>,
    /// Where the sysadmin's wish for a pause lies.
    home: PathBuf,
    governor: Governor,
    /// By process: the clock ticks that it had used when it was last looked at.
    used: HashMap<u32, u64>,
    /// Until when it stays said that scans wait, or waited.
    said: Option<Instant>,
}

impl Keeper {
    /// Makes one; the gate is open.
    pub(crate) fn new(pool: Arc<Pool>, meter: Arc<Meter>, home: &Path) -> Self {
        Self {
            pool,
            meter,
            home: home.to_owned(),
            governor: Governor::default(),
            used: HashMap::new(),
            said: None,
        }
    }

    /// Sets the gate each second until told to stop: true lets scans through.
    pub(crate) async fn run(mut self, gate: watch::Sender<bool>, mut shutdown: watch::Receiver<bool>) {
        let mut beat = interval(LOOK);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = beat.tick() => {
                    let open = self.look(Instant::now(), Timestamp::now());
                    gate.send_if_modified(|was| std::mem::replace(was, open) != open);
                }
            }
        }
    }

    fn look(&mut self, now: Instant, clock: Timestamp) -> bool {
        let spent = self.spent();
        let has_allowance = self.governor.may_go_on(spent, now, pace::waited());
        let paused = pause::until(&self.home).filter(|until| *until > clock);
        let reason = match paused {
            Some(until) => Some(Reason::PausedBySysadmin { until }),
            None if !has_allowance => Some(Reason::HostBusy),
            None => None,
        };
        let open = reason.is_none();
        self.say(reason, now);
        open
    }

    /// Returns the processor time that this process and the workers used since the last look. What a new worker needs
    /// to read its rules is not counted: nothing is scanned without it.
    fn spent(&mut self) -> Duration {
        let all = std::iter::once(std::process::id()).chain(self.pool.pids());
        let now: HashMap<u32, u64> = all.filter_map(|pid| Some((pid, ticks(pid)?))).collect();
        let more = |(pid, ticks): (&u32, &u64)| Some(ticks.saturating_sub(*self.used.get(pid)?));
        let spent: u64 = now.iter().filter_map(more).sum();
        self.used = now;
        Duration::from_millis(spent.saturating_mul(1_000) / rustix::param::clock_ticks_per_second().max(1))
    }

    /// Says why scans wait. A host that is busy now and then is not said to be so each second anew.
    fn say(&mut self, reason: Option<Reason>, now: Instant) {
        match reason {
            Some(reason) => {
                let paused = matches!(reason, Reason::PausedBySysadmin { .. });
                let sight = if paused { Sight::Blind } else { Sight::Reduced };
                self.said = Some(if paused { now } else { now + SAID });
                self.meter.cover(Coverage {
                    sensor: Sensor::Scan,
                    scope: Untrusted::from(SCOPE),
                    backend: "governor".to_owned(),
                    sight,
                    reason: Some(reason),
                });
            }
            None if self.said.is_some_and(|until| until <= now) => {
                self.said = None;
                self.meter.uncover(Sensor::Scan, &Untrusted::from(SCOPE));
            }
            None => {}
        }
    }
}

/// Reads user and system time of a process from `/proc/PID/stat`, in clock ticks: fields 14 and 15 of proc(5).
fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_process_uses_is_counted_once() {
        let (mut keeper, _) = keeper(tempfile::tempdir().unwrap().path());
        assert_eq!(keeper.spent(), Duration::ZERO, "what was used before the first look");
        let (begun, mut spent) = (Instant::now(), Duration::ZERO);
        while spent < Duration::from_millis(30) {
            assert!(begun.elapsed() < Duration::from_secs(20), "working hard, yet no time was used");
            std::hint::black_box((0..100_000u64).sum::<u64>());
            spent += keeper.spent();
        }
    }

    #[test]
    fn a_pause_shuts_the_gate_and_is_said_and_its_end_opens_it() {
        let home = tempfile::tempdir().unwrap();
        let (mut keeper, meter) = keeper(home.path());
        let clock: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let until: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let said = || meter.health(0).coverage.into_iter().find(|c| c.scope.raw() == SCOPE.as_bytes());

        pause::set(home.path(), until).unwrap();
        assert!(!keeper.look(Instant::now(), clock));
        assert_eq!(said().unwrap().reason, Some(Reason::PausedBySysadmin { until }));

        assert!(keeper.look(Instant::now(), until));
        assert_eq!(said(), None);
    }

    fn keeper(home: &Path) -> (Keeper, Arc<Meter>) {
        let meter = Arc::new(Meter::default());
        let pool = Arc::new(Pool::start(Arc::clone(&meter) as _));
        (Keeper::new(pool, Arc::clone(&meter), home), meter)
    }
}
