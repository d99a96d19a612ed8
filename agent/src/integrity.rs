//! Keeps an eye on the files that the policy names: what they were is on the agent's disk, what differs is told.
//!
//! ```text
//! policy of the pack ─┐
//! activities heard ───┼─► keeper (baseline, packages) ─► pending ─► spool ─► baseline
//! every ten minutes ──┘
//! ```
//! Reads only. A first look makes the baseline and tells nothing; a change made while no agent ran is found at the start
//! and told as such. What is heard of a change makes it known within seconds and tells who made it; the walk finds what
//! nobody heard.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use khien_core::{
    Timestamp, Untrusted,
    asset::{Coverage, Sensor, Sight},
    policy::Policy,
    protocol::Report,
    reason::Reason,
};
use khien_scan::users::Users;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    activity::{Activity, Change, Heard, Notice, Observed},
    health::Meter,
    spool::{Spool, SpoolError},
    watch::gaps::Gaps,
};
use keeper::{Keeper, Occasion};
use who::Who;

mod diff;
mod gaps;
mod keeper;
mod locks;
mod packages;
mod pending;
mod place;
mod store;
mod survey;
mod weight;
mod who;

/// Of what the policy names as a whole; what is less of it in one respect has a scope of its own.
const SCOPE: &str = "policy";
/// Where dpkg keeps its database.
const DPKG: &str = "/var/lib/dpkg";
/// How often it is looked whether waiting changes are due.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// How long the start waits for a pack before it says that it has none.
const FIRST_PACK: Duration = Duration::from_secs(2);
/// The most activities that are taken at once.
const GROUP: usize = 4_096;
/// At least this long lies between two walks that were asked for by what was heard.
const BETWEEN_WALKS: Duration = Duration::from_secs(10);

/// What it needs of the other parts.
pub(crate) struct Links {
    /// The file of the baseline.
    pub(crate) file: PathBuf,
    /// From one walk to the next.
    pub(crate) every: Duration,
    /// Whether an agent ran here before: then a missing baseline is a loss.
    pub(crate) ran_before: bool,
    /// What is to be kept an eye on.
    pub(crate) policy: watch::Receiver<Option<Arc<Policy>>>,
    /// What is heard of changes.
    pub(crate) heard: Heard,
    /// Where to say of which paths it wants to hear.
    pub(crate) observed: Arc<Observed>,
    /// Where what differs is told.
    pub(crate) spool: Spool,
    /// Where is told what is seen.
    pub(crate) meter: Arc<Meter>,
    /// The version of the loaded pack.
    pub(crate) pack: Arc<AtomicU64>,
    /// The word to stop.
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Runs until told to stop.
///
/// # Errors
/// When the baseline cannot be read or written, or the spool is gone: then the agent must not look whole.
pub(crate) async fn run(mut links: Links) -> anyhow::Result<()> {
    let mut shutdown = links.shutdown.clone();
    let policy = tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
        policy = first(&mut links.policy, &links.meter) => policy?,
    };
    let mut watcher = Watcher::open(links, policy).await?;
    watcher.begin().await?;
    loop {
        let step = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => break,
            step = watcher.next() => step,
        };
        watcher.take(step).await?;
    }
    watcher.tell(true).await
}

/// Waits for the first policy; if none comes soon, says that nothing is kept an eye on.
async fn first(
    policy: &mut watch::Receiver<Option<Arc<Policy>>>,
    meter: &Meter,
) -> anyhow::Result<Arc<Policy>> {
    if tokio::time::timeout(FIRST_PACK, policy.wait_for(Option::is_some)).await.is_err() {
        cover(meter, SCOPE, Sight::Blind, Some(Reason::NoPack));
    }
    let policy = policy.wait_for(Option::is_some).await.context("no more packs come")?;
    policy.clone().context("the policy is there")
}

impl Links {
    /// Asks to hear of what the policy names.
    fn observe(&self, policy: &Policy) {
        let places = policy.places().into_iter().map(PathBuf::from).collect();
        self.observed.set("integrity", places);
    }
}

/// What happens next.
enum Step {
    Walk,
    Tell,
    Follow,
    Heard(Vec<Activity>),
    /// Not all was heard.
    Blind,
}

struct Watcher {
    links: Links,
    /// Away while it works in a thread of its own.
    keeper: Option<Keeper>,
    users: Users,
    /// Mounts that are left out.
    mounts: Gaps,
    walks: tokio::time::Interval,
    tells: tokio::time::Interval,
    /// Whether what was heard asks for a walk.
    asked: bool,
    /// Whether changes that were made while no agent ran are still to be told.
    unwatched: bool,
    walked: Option<Instant>,
}

impl Watcher {
    async fn open(links: Links, policy: Arc<Policy>) -> anyhow::Result<Self> {
        links.observe(&policy);
        let (file, now) = (links.file.clone(), Timestamp::now());
        let opened =
            tokio::task::spawn_blocking(move || Keeper::open(&file, Path::new(DPKG), policy)).await?;
        let (keeper, aside) = opened.context("cannot open the baseline of files")?;
        if aside || (links.ran_before && keeper.since().is_none()) {
            let report = Report::Blind {
                scope: "integrity".into(),
                cause: Reason::BaselineLost,
                from: now,
                until: now,
                lost: None,
            };
            links.spool.append(vec![report], now).await?;
        }
        let mut walks = interval(links.every);
        walks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tells = interval(TELL_EVERY);
        tells.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            mounts: Gaps::of(Sensor::Integrity, Arc::clone(&links.meter)),
            links,
            keeper: Some(keeper),
            users: Users::default(),
            walks,
            tells,
            asked: false,
            unwatched: false,
            walked: None,
        })
    }

    /// Takes the first look; what differs from an earlier life's baseline was done while nobody watched.
    async fn begin(&mut self) -> anyhow::Result<()> {
        let first = self.keeper.as_ref().is_some_and(|k| k.since().is_none());
        self.walks.reset();
        self.walk(!first).await?;
        match self.keeper.as_ref().and_then(Keeper::state) {
            Some(state) if first => tracing::info!(files = state.files, "the baseline of files is made"),
            Some(state) => tracing::info!(files = state.files, since = %state.since, "files are compared"),
            None => {}
        }
        Ok(())
    }

    async fn next(&mut self) -> Step {
        let has_pending = self.keeper.as_ref().is_some_and(Keeper::has_pending);
        tokio::select! {
            changed = self.links.policy.changed() => match changed {
                Ok(()) => Step::Follow,
                Err(_) => std::future::pending().await,
            },
            _ = self.walks.tick() => Step::Walk,
            _ = self.tells.tick(), if has_pending || self.asked => Step::Tell,
            Some(notice) = self.links.heard.next() => match notice {
                Notice::Happened(first) => Step::Heard(self.more_after(first)),
                Notice::Blind(_) => Step::Blind,
            },
        }
    }

    /// Takes what waits behind the first activity.
    fn more_after(&mut self, first: Activity) -> Vec<Activity> {
        let mut all = vec![first];
        while all.len() < GROUP
            && let Ok(more) = self.links.heard.queue.try_recv()
        {
            all.push(more);
        }
        all
    }

    async fn take(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Walk => self.walk(false).await?,
            Step::Follow => {
                let policy = self.links.policy.borrow_and_update().clone();
                if let Some(policy) = policy {
                    self.links.observe(&policy);
                    self.work(|keeper| keeper.follow(policy)).await?;
                }
                self.walk(false).await?;
            }
            Step::Heard(activities) => self.hear(activities).await?,
            Step::Blind => self.asked = true,
            Step::Tell => {}
        }
        let rested = self.walked.is_none_or(|at| at.elapsed() >= BETWEEN_WALKS);
        if self.asked && rested {
            self.walk(false).await?;
        }
        self.tell(false).await
    }

    async fn walk(&mut self, unwatched: bool) -> anyhow::Result<()> {
        let stop = self.links.shutdown.clone();
        self.asked = false;
        let unwatched = unwatched || self.unwatched;
        let walked = self.work(move |keeper| keeper.walk(unwatched, &|| *stop.borrow())).await?;
        self.walked = Some(Instant::now());
        walked.context("cannot keep the baseline of files")?;
        // What was left for later is told first.
        self.asked |= self.leaves_changes();
        self.unwatched = unwatched && self.leaves_changes();
        self.state();
        Ok(())
    }

    /// Looks at the paths of which something was heard, each once. What was missed, a walk finds.
    async fn hear(&mut self, activities: Vec<Activity>) -> anyhow::Result<()> {
        let makers = makers(activities);
        let due = self.work(move |keeper| heard(keeper, makers)).await?;
        self.asked |= due.context("cannot keep the baseline of files")? || self.leaves_changes();
        Ok(())
    }

    /// Tells the changes that are due, and only then makes them the baseline.
    async fn tell(&mut self, all: bool) -> anyhow::Result<()> {
        let batch =
            self.work(move |keeper| keeper.due(all)).await?.context("cannot keep the baseline of files")?;
        if batch.items.is_empty() {
            return Ok(());
        }
        let pack = self.links.pack.load(Ordering::Relaxed);
        let reports = batch
            .detections(pack, &self.users)
            .into_iter()
            .map(|found| Report::Detection(found.into()))
            .collect();
        match self.links.spool.append(reports, Timestamp::now()).await {
            Ok(()) => {
                let settled = self.work(move |keeper| keeper.settle(&batch)).await?;
                settled.context("cannot keep the baseline of files")?;
            }
            Err(error @ SpoolError::Closed) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "changes of files could not be told, they are told later");
                self.work(move |keeper| keeper.untold(batch)).await?;
            }
        }
        self.state();
        Ok(())
    }

    /// States what is seen.
    fn state(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        self.mounts.mounts(&keeper.gaps().mounts.iter().collect::<Vec<_>>());
        if let Some(state) = keeper.state() {
            self.links.meter.keeps(state);
        }
        for (scope, less) in keeper.gaps().told() {
            match less {
                None if scope == SCOPE => cover(&self.links.meter, scope, Sight::Full, None),
                None => self.links.meter.uncover(Sensor::Integrity, &Untrusted::from(scope)),
                less => cover(&self.links.meter, scope, Sight::Reduced, less),
            }
        }
    }

    /// Tells whether more changed than can be told at once.
    fn leaves_changes(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.gaps().waiting > 0)
    }

    /// Works with the keeper in a thread that may block.
    async fn work<T: Send + 'static>(
        &mut self,
        what: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let mut keeper = self.keeper.take().context("the baseline of files is in use")?;
        let (keeper, done) = tokio::task::spawn_blocking(move || {
            let done = what(&mut keeper);
            (keeper, done)
        })
        .await?;
        self.keeper = Some(keeper);
        Ok(done)
    }
}

/// Returns each path of which something was heard, and who did it.
fn makers(activities: Vec<Activity>) -> BTreeMap<PathBuf, Who> {
    let mut makers = BTreeMap::<PathBuf, Who>::new();
    for Activity { path, change, process, .. } in activities {
        let who = Who::of(&change, process.as_deref().cloned());
        if let Change::MovedIn { from: Some(from) } = &change {
            makers.entry(named(from)).or_default().and_then(who.clone());
        }
        makers.entry(named(&path)).or_default().and_then(who);
    }
    makers
}

fn heard(keeper: &mut Keeper, makers: BTreeMap<PathBuf, Who>) -> Result<bool, store::StoreError> {
    let mut walk = false;
    keeper.leave_out();
    for (path, who) in makers {
        if keeper.names(&path) {
            walk |= keeper.heard(&path, &Occasion { who, unwatched: false })?;
        }
    }
    Ok(walk)
}

fn named(path: &Untrusted) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(path.raw())).to_owned()
}

fn cover(meter: &Meter, scope: &str, sight: Sight, reason: Option<Reason>) {
    let backend = "baseline".to_owned();
    meter.cover(Coverage {
        sensor: Sensor::Integrity,
        scope: Untrusted::from(scope),
        backend,
        sight,
        reason,
    });
}
