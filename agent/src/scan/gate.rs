//! Holds scans back: when others need the host and the allowance is used up, and when the sysadmin asked for a pause. Both
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
    policy::{Budget, Policy},
    reason::Reason,
};
use khien_scan::Pool;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::info;

use super::{
    governor::Governor,
    host::{Counters, Host, Short},
    usage::Usage,
};
use crate::{
    health::Meter,
    pause::{self, Wish},
};

/// How often the account is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// For so long it stays said that scans were held back.
const SAID: Duration = Duration::from_secs(60);
/// Under these names the team sees why.
const PAUSE: &str = "pace";
const PROCESSORS: &str = "processors";
const DISK: &str = "disk";
const MEMORY: &str = "memory-pressure";

/// The loaded pack's policy as it changes.
type Policies = watch::Receiver<Option<Arc<Policy>>>;

/// Opens and closes the gate.
pub(crate) struct Keeper {
    pool: Arc<Pool>,
    meter: Arc<Meter>,
    /// Where the sysadmin's wish for a pause lies.
    home: PathBuf,
    policy: Policies,
    usage: Usage,
    host: Host,
    governor: Governor,
    /// What others needed at the last look.
    short: Short,
    /// By name: until when it stays said that scans wait, or waited.
    said: HashMap<&'static str, Instant>,
}

impl Keeper {
    /// Makes one; the gate is open.
    pub(crate) fn new(pool: Arc<Pool>, meter: Arc<Meter>, home: &Path, policy: Policies) -> Self {
        let (usage, host, governor) = (Usage::default(), Host::default(), Governor::default());
        let (home, short, said) = (home.to_owned(), Short::default(), HashMap::new());
        Self { pool, meter, home, policy, usage, host, governor, short, said }
    }

    /// Sets the gate each second until told to stop: true lets scans through.
    pub(crate) async fn run(mut self, gate: watch::Sender<bool>, mut shutdown: watch::Receiver<bool>) {
        let mut beat = interval(LOOK);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = beat.tick() => {
                    let open = self.look(Counters::now(), Instant::now(), Timestamp::now());
                    gate.send_if_modified(|was| std::mem::replace(was, open) != open);
                }
            }
        }
    }

    fn look(&mut self, counters: Option<Counters>, now: Instant, clock: Timestamp) -> bool {
        let budget = self.policy.borrow().as_ref().map(|policy| policy.budget).unwrap_or_default();
        let used = self.usage.since(std::iter::once(std::process::id()).chain(self.pool.pids()));
        let short = self.host.look(counters, &used, now);
        self.others_need(short, &budget);
        let verdict = self.governor.judge(&budget, &used, short, now);
        let (percent, megabytes) = (budget.cpu_percent.get(), budget.io_mb_per_second.get());
        let paused = match pause::wish(&self.home, clock) {
            Some(Wish { until, cut: true }) => Some(Reason::PauseCut { until }),
            Some(Wish { until, cut: false }) => Some(Reason::PausedBySysadmin { until }),
            None => None,
        };
        let open = verdict.open && paused.is_none();
        let used_up = verdict.used_up;
        self.say(PAUSE, paused, now);
        self.say(PROCESSORS, used_up.processors.then_some(Reason::HostBusy { percent }), now);
        self.say(DISK, used_up.disk.then_some(Reason::DiskBusy { megabytes }), now);
        self.say(MEMORY, used_up.memory.then_some(Reason::MemoryShort), now);
        open
    }

    /// Has the walks and the workers know what others need.
    fn others_need(&mut self, short: Short, budget: &Budget) {
        self.meter.others_need(short.of_anything().then_some(budget.cpu_percent.get()));
        self.pool.save_memory(short.memory);
        self.pool.others_need_processors(short.processors);
        if short != self.short {
            info!(?short, host = %self.host, "what others need of the host changed");
            self.short = short;
        }
    }

    /// Says why scans wait. A host that is busy now and then is not said to be so each second anew.
    fn say(&mut self, scope: &'static str, reason: Option<Reason>, now: Instant) {
        match reason {
            Some(reason) => {
                let sight = if scope == PAUSE { Sight::Blind } else { Sight::Reduced };
                let until = if scope == PAUSE { now } else { now + SAID };
                if self.said.insert(scope, until).is_none() {
                    info!(%reason, "scans are held back");
                }
                self.meter.cover(Coverage {
                    sensor: Sensor::Scan,
                    scope: Untrusted::from(scope),
                    backend: "governor".to_owned(),
                    sight,
                    reason: Some(reason),
                });
            }
            None if self.said.get(scope).is_some_and(|until| *until <= now) => {
                self.said.remove(scope);
                self.meter.uncover(Sensor::Scan, &Untrusted::from(scope));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use khien_core::{policy::Within, time};

    use super::{super::host::tests::Played, *};

    #[test]
    fn a_pause_shuts_the_gate_and_is_said_and_its_end_opens_it() {
        let home = tempfile::tempdir().unwrap();
        let mut site = Site::new(home.path());
        let (clock, idle) = (Timestamp::now(), Played::idle(2.0));
        let until = time::after(clock, time::SignedDuration::from_mins(10));
        let look = |site: &mut Site, clock| site.keeper.look(Some(idle.counters()), Instant::now(), clock);

        pause::set(home.path(), until).unwrap();
        assert!(!look(&mut site, clock));
        assert_eq!(site.said(PAUSE), Some(Reason::PausedBySysadmin { until }));

        assert!(look(&mut site, until));
        assert_eq!(site.said(PAUSE), None);

        pause::set(home.path(), "2099-01-01T00:00:00Z".parse().unwrap()).unwrap();
        assert!(!look(&mut site, clock));
        assert!(matches!(site.said(PAUSE), Some(Reason::PauseCut { .. })), "{:?}", site.said(PAUSE));
    }

    #[test]
    fn what_others_need_slows_walks_by_the_packs_policy_until_they_need_it_no_more() {
        let home = tempfile::tempdir().unwrap();
        let mut site = Site::new(home.path());
        let budget = Budget { cpu_percent: Within::new(7).unwrap(), ..Budget::default() };
        let (begun, mut played) = (Instant::now(), Played::idle(2.0));
        let mut play = |site: &mut Site, seconds: std::ops::Range<u32>, load: fn(&mut Played)| {
            for second in seconds {
                load(&mut played);
                site.keeper.look(Some(played.counters()), begun + LOOK * second, Timestamp::now());
            }
        };
        site.policy.send_replace(Some(Arc::new(Policy { budget, ..Policy::default() })));

        play(&mut site, 0..20, |host| host.second(2.0, 0.9));
        assert_eq!(site.meter.percent_while_busy(), Some(7));

        play(&mut site, 20..80, |host| host.second(0.1, 0.0));
        assert_eq!(site.meter.percent_while_busy(), None);
    }

    #[test]
    fn a_budget_that_is_used_up_is_said_by_its_name_for_a_minute() {
        let home = tempfile::tempdir().unwrap();
        let (mut site, now) = (Site::new(home.path()), Instant::now());
        let reasons = [
            (PROCESSORS, Reason::HostBusy { percent: 5 }),
            (DISK, Reason::DiskBusy { megabytes: 5 }),
            (MEMORY, Reason::MemoryShort),
        ];
        for (scope, reason) in &reasons {
            site.keeper.say(scope, Some(reason.clone()), now);
        }

        for (scope, reason) in &reasons {
            site.keeper.say(scope, None, now + SAID - LOOK);
            assert_eq!(site.said(scope).as_ref(), Some(reason));
            site.keeper.say(scope, None, now + SAID);
            assert_eq!(site.said(scope), None);
        }
    }

    struct Site {
        keeper: Keeper,
        meter: Arc<Meter>,
        policy: watch::Sender<Option<Arc<Policy>>>,
    }

    impl Site {
        fn new(home: &Path) -> Self {
            let (meter, policy) = (Arc::new(Meter::default()), watch::Sender::new(None));
            let pool = Arc::new(Pool::start(Arc::clone(&meter) as _));
            let keeper = Keeper::new(pool, Arc::clone(&meter), home, policy.subscribe());
            Self { keeper, meter, policy }
        }

        fn said(&self, scope: &str) -> Option<Reason> {
            let all = self.meter.health(0).coverage;
            all.into_iter().find(|c| c.scope.raw() == scope.as_bytes())?.reason
        }
    }
}
