//! Watches folders: says which files changed and, where the kernel tells, who changed them.
//!
//! ```text
//! fanotify (all file systems of the folders) ─┐
//! notify   (where fanotify does not work) ────┼─► sink: watched? ─► events ─► scan::files
//! walker   (moved trees, after blindness) ────┘
//! ```
//! What is not seen is said: a coverage for each folder, and a report for each time in which events were lost.

mod fanotify;
mod folder;
mod inotify;
mod mounts;
mod process;
mod sink;
pub(crate) mod users;
mod walk;
mod walker;

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use khien_core::{Timestamp, event::FileEvent, protocol::Report};
use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use self::{
    fanotify::Fanotify,
    folder::Folders,
    inotify::Inotify,
    sink::Sink,
    walker::{Walker, Walking, stopped},
};
use crate::health::Meter;

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

/// Starts watching. When it returns, what happens next in the folders is seen. The thread ends after shutdown. The
/// events must be taken from their queue already, and a tree of many folders may take seconds: call it off the runtime.
///
/// # Errors
/// When not even the threads can be started.
pub(crate) fn start(
    config: WatchConfig,
    events: mpsc::Sender<FileEvent>,
    reports: mpsc::Sender<Report>,
    meter: Arc<Meter>,
    shutdown: watch::Receiver<bool>,
) -> anyhow::Result<JoinHandle<()>> {
    let excluded = config.exclude.iter().map(|p| p.canonicalize().unwrap_or_else(|_| p.clone())).collect();
    let sink = Arc::new(Sink::new(events, excluded));
    let walker = Arc::new(Walker::default());
    let (fanotify, lacking) = match config.backend {
        Backend::Notify => (None, "fanotify is switched off".to_owned()),
        Backend::Best => match Fanotify::new() {
            Ok(fanotify) => (Some(fanotify), String::new()),
            Err(e) => (None, format!("no privilege for fanotify ({e})")),
        },
    };
    let short = folder::when_short(&meter, &sink);
    let inotify =
        Inotify::new(Arc::clone(&sink), Arc::clone(&walker), short).context("cannot start notify")?;
    let inotify = Arc::new(inotify);
    let cover = Arc::clone(&inotify);
    let mut folders = Folders {
        folders: config.dirs.iter().cloned().map(Into::into).collect(),
        fanotify,
        lacking,
        inotify,
        sink: Arc::clone(&sink),
        walker: Arc::clone(&walker),
        meter,
    };
    folders.look_after(config.since);
    let prepare = Box::new(move |tree: &std::path::Path| cover.cover(tree));
    let walking = Walking { walker, sink, reports, shutdown: shutdown.clone(), prepare };
    let walking = walking.start().context("cannot start the walking thread")?;
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            run(&mut folders, &shutdown);
            drop(walking.join());
        })
        .context("cannot start the watching thread")
}

fn run(folders: &mut Folders, shutdown: &watch::Receiver<bool>) {
    let mut looked = Instant::now();
    while !stopped(shutdown) {
        if let Some(fanotify) = &mut folders.fanotify {
            if let Err(e) = fanotify.read(LOOK, &folders.sink, &folders.walker) {
                error!(%e, "fanotify cannot be read any more, going on with notify");
                folders.fall_back(&e);
            }
        } else {
            thread::park_timeout(LOOK);
        }
        if looked.elapsed() >= TICK {
            folders.look_after(None);
            looked = Instant::now();
        }
    }
    info!("file watch stopped");
}

#[cfg(test)]
mod tests;
