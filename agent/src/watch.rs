//! Watches folders: says which files changed and, where the kernel tells, who changed them.
//!
//! ```text
//! fanotify (all file systems of the folders) ─┐
//! notify   (where fanotify does not work) ────┼─► sink: watched? ─► events ─► scan::files
//! walker   (moved trees, after blindness) ────┘        │ written to and open: a little later
//!             ▲                                        │
//!             └── no room: walked again ◄──────────────┘
//! mapped   (files that a process has mapped to write to) ─► sink
//! survey   (everything, without haste) ─► clean as it was? ─► calm ─► scan::files, when nothing else waits
//! ordered  (what an operator ordered, anywhere) ───────────► calm
//!             └── changed, and no event told of it ─┐
//!                                         sink: watched or observed? ─► activity: what happened, who did it
//! ```
//! What is not seen is said: a coverage for each folder, and a report for each time in which events were lost.

mod fanotify;
mod folder;
pub(crate) mod gaps;
mod inotify;
mod links;
mod mapped;
pub(crate) mod mounts;
mod observing;
pub(crate) mod ordered;
pub(crate) mod pace;
pub(crate) mod process;
pub(crate) mod real;
mod sink;
mod survey;
mod told;
mod walk;
mod walker;
mod writing;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use khien_core::{Timestamp, event::FileEvent, policy::Policy, protocol::Report, reason::Reason};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use self::{
    fanotify::Fanotify,
    folder::Folders,
    gaps::Gaps,
    inotify::Inotify,
    mapped::Mapped,
    observing::Observing,
    real::Real,
    sink::Sink,
    survey::{Survey, Surveying},
    walker::{Walker, Walking, stopped},
};
use crate::{
    activity::Activities,
    health::Meter,
    scan::{clean::Clean, files::Calm},
};

/// How often a thread looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(250);
/// How often the folders and mounts themselves are looked at.
const TICK: Duration = Duration::from_secs(2);

/// What to watch.
#[derive(Debug, Clone)]
pub(crate) struct WatchConfig {
    /// The folders; one that is missing is waited for.
    pub(crate) dirs: Vec<PathBuf>,
    /// Folders that are never looked at: the agent's own home.
    pub(crate) exclude: Vec<PathBuf>,
    /// When the agent was last alive: what changed after it is looked at now. None on the first start.
    pub(crate) since: Option<Timestamp>,
    /// Which back end.
    pub(crate) backend: Backend,
    /// From one walk over everything to the next.
    pub(crate) every: Duration,
}

/// What the watch is tied to.
#[derive(Debug)]
pub(crate) struct Links {
    /// Takes what changed.
    pub(crate) events: mpsc::Sender<FileEvent>,
    /// Takes what is to be scanned when nothing else waits.
    pub(crate) calm: mpsc::Sender<Calm>,
    /// Is told all that happens, and says what else is to be told of.
    pub(crate) activities: Activities,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) meter: Arc<Meter>,
    /// The files that need no second look.
    pub(crate) clean: Arc<Clean>,
    /// The version of the loaded pack; 0 is none.
    pub(crate) pack: Arc<AtomicU64>,
    /// Says whether mounts from the network are watched.
    pub(crate) policy: watch::Receiver<Option<Arc<Policy>>>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Which back end to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Backend {
    /// fanotify where it is allowed, else notify.
    #[default]
    Best,
    /// notify even where fanotify is allowed.
    #[cfg_attr(not(test), expect(dead_code, reason = "so that tests see both back ends on one host"))]
    Notify,
}

/// Returns where folders that are kept from the agent really are. One on a mount that is left out is not asked for.
pub(crate) fn excluded(named: &[PathBuf]) -> Vec<PathBuf> {
    let remote: Vec<PathBuf> = mounts::remote().into_iter().map(|mount| mount.point).collect();
    let excluded = named.iter().map(|path| match real::real(path, &remote) {
        Ok(Real::At(path)) => path,
        Ok(Real::LeftOut(_)) | Err(_) => path.clone(),
    });
    excluded.collect()
}

/// Starts watching. When it returns, what happens next in the folders is seen. The thread ends after shutdown. The
/// events must be taken from their queue already, and a tree of many folders may take seconds: call it off the runtime.
///
/// # Errors
/// When not even the threads can be started.
pub(crate) fn start(config: WatchConfig, links: Links) -> anyhow::Result<JoinHandle<()>> {
    let Links { events, calm, activities, reports, meter, clean, pack, policy, shutdown } = links;
    let sink = Arc::new(Sink::new(events, excluded(&config.exclude), Arc::new(activities)));
    let (walker, survey) = (Arc::new(Walker::default()), Arc::new(Survey::default()));
    let (fanotify, lacking) = best(config.backend);
    let short = folder::when_short(&meter, &sink);
    let inotify =
        Inotify::new(Arc::clone(&sink), Arc::clone(&walker), short).context("cannot start notify")?;
    let inotify = Arc::new(inotify);
    let cover = Arc::clone(&inotify);
    let mut folders = Folders {
        folders: config.dirs.iter().cloned().map(Into::into).collect(),
        fanotify,
        lacking,
        links: Gaps::new(Arc::clone(&meter)),
        mounts: Gaps::new(Arc::clone(&meter)),
        policy,
        network_mounts: false,
        observing: Observing::default(),
        inotify,
        sink: Arc::clone(&sink),
        walker: Arc::clone(&walker),
        meter: Arc::clone(&meter),
    };
    folders.look_after(config.since);
    let prepare = Box::new(move |tree: &std::path::Path| cover.cover(tree));
    let walking = Walking {
        walker,
        sink: Arc::clone(&sink),
        reports,
        shutdown: shutdown.clone(),
        prepare,
        survey: Arc::clone(&survey),
    };
    let walking = walking.start().context("cannot start the walking thread")?;
    let every = config.every;
    let mapped = Mapped { sink: Arc::clone(&sink), pack: Arc::clone(&pack), shutdown: shutdown.clone() };
    let mapped = mapped.start().context("cannot start the thread that looks for mapped files")?;
    let surveying = Surveying { survey, sink, calm, clean, meter, pack, every, shutdown: shutdown.clone() };
    let surveying = surveying.start().context("cannot start the thread that walks everything")?;
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            run(&mut folders, &shutdown);
            drop((walking.join(), mapped.join(), surveying.join()));
        })
        .context("cannot start the watching thread")
}

/// Returns the best back end, and if it is not fanotify, why.
fn best(backend: Backend) -> (Option<Fanotify>, Reason) {
    match backend {
        Backend::Notify => (None, Reason::FanotifyOff),
        Backend::Best => match Fanotify::new() {
            Ok(fanotify) => (Some(fanotify), Reason::FanotifyOff),
            Err(e) => (None, Reason::FanotifyDenied { error: e.into() }),
        },
    }
}

fn run(folders: &mut Folders, shutdown: &watch::Receiver<bool>) {
    let mut looked = Instant::now();
    while !stopped(shutdown) {
        let due = folders.sink.tell_due().map(|at| at.saturating_duration_since(Instant::now()));
        let wait = due.map_or(LOOK, |due| due.min(LOOK));
        folders.inotify.tell_due();
        if let Some(left) = folders.sink.left() {
            folders.walker.left(left);
        }
        if let Some(fanotify) = &mut folders.fanotify {
            if let Err(e) = fanotify.read(wait, &folders.sink, &folders.walker) {
                error!(%e, "fanotify cannot be read any more, going on with notify");
                folders.fall_back(e);
            }
        } else {
            thread::park_timeout(wait);
        }
        if looked.elapsed() >= TICK {
            folders.look_after(None);
            looked = Instant::now();
        }
    }
    info!("file watch stopped");
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod tests;
