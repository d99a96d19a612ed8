//! Judges what is done to files, not what is in them: web roots and mass encryption.
//!
//! ```text
//! activity::Heard ─► web, ransom (pure) ─► verdicts ─► tally, telling ─► reports
//!                       └─► queue ─► look (at most so many a second) ─► facts ─┘
//! ```
//! It only looks: it opens files for reading, changes none but the canaries that the agent was told to plant, and stops no
//! process. What was missed is said in the coverage; after it the web roots are searched and the canaries looked at again.
//!
//! Looks take little memory: each judges what it reads and lets it go (at most 1 MiB a file, so four at once for
//! [`BATCHES`]); of a file only [`verdict::Facts`] come back, for at most [`LOOKS`] × [`BATCHES`] files at a time.

mod actor;
pub(crate) mod canary;
mod config;
mod content;
mod hand;
mod judge;
mod look;
mod lost;
mod lru;
mod names;
mod notes;
mod pages;
mod pairs;
mod queue;
mod ransom;
mod roots;
#[cfg(test)]
mod sample;
mod settle;
mod structure;
mod tally;
mod telling;
mod tools;
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
    Timestamp, Untrusted,
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
    lost::{Interval, Lost},
    queue::Waiting,
    roots::Roots,
    tools::Tools,
    verdict::Verdict,
};
use crate::{
    activity::{Activity, Heard, Notice},
    health::Meter,
};

/// How often what waits is looked after.
const TICK: Duration = Duration::from_millis(250);
/// Files looked at in one tick, so at most 1,000 a second.
const LOOKS: usize = 250;
/// Batches of looks at once; a file system that hangs holds one.
const BATCHES: usize = 4;
/// Ticks from one search for web roots to the next: a minute.
const SEARCH_EVERY: u32 = 240;
/// Ticks from one look at the canaries to the next: a minute. Who writes through another name of one is not heard.
const CANARIES_EVERY: u32 = 240;
/// Ticks between two searches that were asked for by what happened: two seconds.
const SEARCH_GAP: u32 = 8;
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
    loop {
        tokio::select! {
            biased;
            () = told_to_stop(&mut shutdown) => return,
            _ = ticks.tick() => part.tick(&heard, &links).await,
            Some(seen) = part.looks.join_next() => part.saw(seen, &links).await,
            notice = heard.next() => match notice {
                None => return,
                Some(Notice::Blind(since)) => part.blind(since),
                Some(Notice::Happened(first)) => {
                    part.hear(&first, &links).await;
                    for _ in 1..GROUP {
                        let Ok(more) = heard.queue.try_recv() else { break };
                        part.hear(&more, &links).await;
                    }
                }
            },
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
    tools: Tools,
    watched: Vec<PathBuf>,
    users: Arc<Users>,
    looks: JoinSet<Vec<Seen>>,
    searches: JoinSet<(Roots, Sitemaps)>,
    ticks: u32,
    lost: Lost,
    /// Whether web roots are to be searched before the next time, and when they were last.
    search_soon: bool,
    searched: u32,
}

/// How many pages each sitemap lists.
type Sitemaps = Vec<(u64, Untrusted)>;

impl Part {
    async fn new(watched: Vec<PathBuf>, canaries: Canaries, links: &mut Links) -> Self {
        let Canaries { known, touched } = canaries;
        let (users, now) = (Arc::<Users>::default(), Timestamp::now());
        let mut judge = Judge::new(watched.clone(), known);
        tell(touched.into_iter().filter_map(|path| judge.was_touched(path, now)).collect(), links).await;
        let mut part = Self {
            judge,
            tools: Tools::default(),
            watched,
            users,
            looks: JoinSet::new(),
            searches: JoinSet::new(),
            ticks: 0,
            lost: Lost::default(),
            search_soon: false,
            searched: 0,
        };
        part.search();
        if let Some(Ok((roots, sitemaps))) = part.searches.join_next().await {
            part.found(roots, sitemaps);
        }
        part
    }

    /// Judges what happened, by whose hand.
    async fn hear(&mut self, activity: &Activity, links: &Links) {
        let hand = hand::of(activity.process.as_deref(), |path| self.tools.is_the_systems(path));
        tell(self.judge.heard(activity, hand, Timestamp::now()), links).await;
    }

    /// Not all was heard since this time: it is said, and what can be looked at again is.
    fn blind(&mut self, since: Timestamp) {
        let now = Timestamp::now();
        self.lost.more(since, 0, now);
        self.search_soon = true;
        self.judge.look_at_canaries(now);
    }

    /// Looks after what waits.
    async fn tick(&mut self, heard: &Heard, links: &Links) {
        let now = Timestamp::now();
        self.ticks = self.ticks.wrapping_add(1);
        let missed = heard.missed() + self.judge.missed();
        if missed > 0 {
            self.lost.more(now, missed, now);
        }
        if self.ticks.is_multiple_of(CANARIES_EVERY) {
            self.judge.look_at_canaries(now);
        }
        if self.looks.len() < BATCHES {
            let due = self.judge.due(now, LOOKS);
            if !due.is_empty() {
                let users = Arc::clone(&self.users);
                self.looks.spawn_blocking(move || due.into_iter().map(|w| see(w, &users)).collect());
            }
        }
        tell(self.judge.tick(now), links).await;
        if let Some(Ok((roots, sitemaps))) = self.searches.try_join_next() {
            self.found(roots, sitemaps);
        }
        self.search_soon |= self.judge.wants_search();
        let since = self.ticks.wrapping_sub(self.searched);
        let is_due = since >= SEARCH_EVERY || (self.search_soon && since >= SEARCH_GAP);
        if is_due && self.searches.is_empty() {
            self.search();
        }
        if let Some(interval) = self.lost.due(now) {
            tell_lost(interval, links).await;
        }
        if self.ticks % COVER_EVERY == 1 {
            self.cover(&links.meter);
        }
    }

    /// States what is seen: less where activities were lost, where the kernel does not tell who writes, and where not all
    /// folders could be searched for web roots.
    fn cover(&self, meter: &Meter) {
        let files = meter.health(0).coverage.into_iter().filter(|c| c.sensor == Sensor::File);
        let blurred = || files.filter(|c| c.backend != "fanotify").find_map(|c| c.reason);
        let limit = roots::MAX_FOLDERS as u64;
        let cut = self.judge.roots().are_cut().then_some(Reason::RootsBeyondLimit { limit });
        let reason = self.lost.reason().or_else(blurred).or(cut);
        let sight = if reason.is_some() { Sight::Reduced } else { Sight::Full };
        let (scope, backend) = (SCOPE.into(), "activity".to_owned());
        meter.cover(Coverage { sensor: Sensor::Behaviour, scope, backend, sight, reason });
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

    /// Looks for web roots, and into the sitemaps of new ones, off the runtime.
    fn search(&mut self) {
        (self.search_soon, self.searched) = (false, self.ticks);
        let (watched, known) = (self.watched.clone(), self.judge.roots().clone());
        let users = Arc::clone(&self.users);
        self.searches.spawn_blocking(move || {
            let roots = Roots::find(&watched);
            let new = roots.but(&known).sitemaps().into_iter();
            let count = |path| Some((look::at(&path, verdict::Ask::Sitemap, &users)?.pages?, path));
            let sitemaps = new.filter_map(count).collect();
            (roots, sitemaps)
        });
    }

    fn found(&mut self, roots: Roots, sitemaps: Sitemaps) {
        if self.judge.roots() != &roots {
            info!(roots = roots.count(), "web roots are known");
            self.judge.knows(roots, sitemaps);
        }
    }
}

/// What was lost is an interval with a number; the content of the files is scanned all the same.
async fn tell_lost(Interval { from, until, count }: Interval, links: &Links) {
    let cause = Reason::ActivitiesMissed { count };
    let report = Report::Blind { scope: SCOPE.into(), cause, from, until, lost: Some(count) };
    let _ = links.reports.send(report).await;
}

fn see(waiting: Waiting, users: &Users) -> Seen {
    let Waiting { activity, hand, ask } = waiting;
    let facts = look::at(&activity.path, ask, users);
    Seen { activity, hand, ask, facts }
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

#[cfg(test)]
mod tests;
