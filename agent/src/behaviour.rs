//! Judges what is done to files, not what is in them: web roots and mass encryption.
//!
//! ```text
//! activity::Heard ─► web, ransom (pure) ─► verdicts ─► tally, telling ─► reports
//!                       └─► queue ─► look (at most so many a second) ─► facts ─┘
//! ```
//! It only looks: it opens files for reading, changes none but the canaries that the agent was told to plant, and stops no
//! process. What was missed is said in the coverage.

mod actor;
pub(crate) mod canary;
mod config;
mod content;
mod hand;
mod judge;
mod look;
mod names;
mod pages;
mod queue;
mod ransom;
mod roots;
#[cfg(test)]
mod sample;
mod settle;
mod tally;
mod telling;
mod verdict;
mod web;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use khien_core::{
    Timestamp,
    asset::{Coverage, Sensor, Sight},
    conduct::Conduct,
    detection::{ConductSubject, Detection, Subject},
    protocol::Report,
    reason::Reason,
};
use khien_scan::users::Users;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use self::{
    canary::Canaries,
    judge::{Judge, Seen},
    queue::Waiting,
    roots::Roots,
    verdict::Verdict,
};
use crate::{activity::Heard, health::Meter};

/// How often what waits is looked after.
const TICK: Duration = Duration::from_millis(250);
/// Files looked at in one tick, so at most 1,000 a second.
const LOOKS: usize = 250;
/// Batches of looks at once; a file system that hangs holds one.
const BATCHES: usize = 4;
/// Ticks from one search for web roots to the next: a minute.
const SEARCH_EVERY: u32 = 240;
/// Ticks after which what was missed is told: a minute.
const TELL_EVERY: u32 = 240;
/// Ticks from one look at the coverage to the next: two seconds.
const COVER_EVERY: u32 = 8;
/// What the coverage calls it.
const SCOPE: &str = "web, ransom";
/// Activities taken at once.
const GROUP: usize = 1_024;

/// What the detectors are tied to.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) meter: Arc<Meter>,
    /// The version of the loaded pack; 0 is none.
    pub(crate) pack: Arc<AtomicU64>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Judges until told to stop, or until nothing is told any more.
pub(crate) async fn run(mut heard: Heard, watched: Vec<PathBuf>, canaries: Canaries, mut links: Links) {
    let mut shutdown = links.shutdown.clone();
    let mut part = Part::new(watched, canaries, &mut links).await;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut group = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = told_to_stop(&mut shutdown) => return,
            _ = ticks.tick() => part.tick(&heard, &links).await,
            Some(seen) = part.looks.join_next() => part.saw(seen, &links).await,
            more = heard.queue.recv_many(&mut group, GROUP) => {
                if more == 0 {
                    return;
                }
                for activity in group.drain(..) {
                    let told = part.judge.heard(&activity, Timestamp::now());
                    tell(told, &links).await;
                }
            }
        }
    }
}

async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// The state of the part.
struct Part {
    judge: Judge,
    watched: Vec<PathBuf>,
    users: Arc<Users>,
    looks: JoinSet<Vec<Seen>>,
    searches: JoinSet<Roots>,
    ticks: u32,
    /// Since it was last told, and since when.
    missed: u64,
    since: Timestamp,
}

impl Part {
    async fn new(watched: Vec<PathBuf>, canaries: Canaries, links: &mut Links) -> Self {
        let Canaries { known, touched } = canaries;
        let (users, now) = (Arc::<Users>::default(), Timestamp::now());
        let mut judge = Judge::new(watched.clone(), known);
        tell(touched.into_iter().filter_map(|path| judge.was_touched(path, now)).collect(), links).await;
        let mut part = Self {
            judge,
            watched,
            users,
            looks: JoinSet::new(),
            searches: JoinSet::new(),
            ticks: 0,
            missed: 0,
            since: now,
        };
        part.search();
        if let Some(Ok(roots)) = part.searches.join_next().await {
            part.found(roots).await;
        }
        part
    }

    /// Looks after what waits.
    async fn tick(&mut self, heard: &Heard, links: &Links) {
        let now = Timestamp::now();
        self.ticks = self.ticks.wrapping_add(1);
        self.missed += heard.missed() + self.judge.missed();
        if self.looks.len() < BATCHES {
            let due = self.judge.due(now, LOOKS);
            if !due.is_empty() {
                let users = Arc::clone(&self.users);
                self.looks.spawn_blocking(move || due.into_iter().map(|w| see(w, &users)).collect());
            }
        }
        tell(self.judge.tick(now), links).await;
        if let Some(Ok(roots)) = self.searches.try_join_next() {
            self.found(roots).await;
        }
        if self.searches.is_empty() && (self.ticks.is_multiple_of(SEARCH_EVERY) || self.judge.wants_search())
        {
            self.search();
        }
        if self.ticks.is_multiple_of(TELL_EVERY) && self.missed > 0 {
            self.tell_missed(now, links).await;
        }
        if self.ticks % COVER_EVERY == 1 {
            cover(&links.meter, self.missed);
        }
    }

    /// What was missed is an interval with a number; the content of the files is scanned all the same.
    async fn tell_missed(&mut self, now: Timestamp, links: &Links) {
        let count = std::mem::take(&mut self.missed);
        let cause = Reason::ActivitiesMissed { count };
        let from = std::mem::replace(&mut self.since, now);
        let report = Report::Blind { scope: SCOPE.into(), cause, from, until: now, lost: Some(count) };
        let _ = links.reports.send(report).await;
    }

    async fn saw(&mut self, seen: Result<Vec<Seen>, tokio::task::JoinError>, links: &Links) {
        match seen {
            Ok(all) => {
                for seen in all {
                    tell(self.judge.saw(&seen, Timestamp::now()), links).await;
                }
            }
            Err(e) => warn!(%e, "looking at files ended without a result"),
        }
    }

    /// Looks for web roots, off the runtime.
    fn search(&mut self) {
        let watched = self.watched.clone();
        self.searches.spawn_blocking(move || Roots::find(&watched));
    }

    async fn found(&mut self, roots: Roots) {
        if self.judge.roots() == &roots {
            return;
        }
        info!(roots = roots.count(), "web roots are known");
        let (sitemaps, users) = (roots.clone(), Arc::clone(&self.users));
        let counted = tokio::task::spawn_blocking(move || {
            let all = sitemaps.sitemaps().into_iter();
            all.filter_map(|path| Some((look::at(&path, verdict::Ask::Sitemap, &users)?.pages, path)))
                .collect()
        });
        self.judge.knows(roots, counted.await.unwrap_or_default());
    }
}

fn see(waiting: Waiting, users: &Users) -> Seen {
    let facts = look::at(&waiting.activity.path, waiting.ask, users);
    Seen { activity: waiting.activity, facts }
}

async fn tell(verdicts: Vec<Verdict>, links: &Links) {
    for verdict in verdicts {
        let Ok(rule) = verdict.behaviour.deed.rule().parse() else { continue };
        let subject = ConductSubject {
            path: verdict.path,
            what: Conduct::Behaviour(verdict.behaviour),
            file: verdict.file,
            sha256: verdict.sha256,
            process: verdict.process,
            diff: None,
        };
        let pack = links.pack.load(Ordering::Relaxed);
        let detection = Detection { rule, at: Timestamp::now(), pack, subject: Subject::Conduct(subject) };
        // The receiver is gone only when the agent stops.
        let _ = links.reports.send(Report::Detection(detection.into())).await;
    }
}

/// States what is seen: less where the kernel does not tell who writes, and when activities were missed.
fn cover(meter: &Meter, missed: u64) {
    let files = meter.health(0).coverage.into_iter().filter(|c| c.sensor == Sensor::File);
    let blurred = files.filter(|c| c.backend != "fanotify").find_map(|c| c.reason);
    let reason = match missed {
        0 => blurred,
        count => Some(Reason::ActivitiesMissed { count }),
    };
    let sight = if reason.is_some() { Sight::Reduced } else { Sight::Full };
    let (scope, backend) = (SCOPE.into(), "activity".to_owned());
    meter.cover(Coverage { sensor: Sensor::Behaviour, scope, backend, sight, reason });
}

#[cfg(test)]
mod tests;
