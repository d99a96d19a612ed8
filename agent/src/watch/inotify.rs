//! The portable back end, by `notify`: for hosts where fanotify is not allowed. It does not tell who wrote.
//!
//! A folder is watched a moment after it was made. What was put in it before is found by a walk that begins only when
//! the watch stands.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use khien_core::{Timestamp, reason::Reason};
use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode},
};
use tracing::warn;

use super::{sink::Sink, walker::Walker};

/// When nothing came for so long after an event, the kernel's queue was empty then: up to there nothing was lost.
const IDLE: Duration = Duration::from_millis(5);

/// Says that not all folders can be watched.
pub(super) type Short = Box<dyn Fn() + Send>;

/// A watcher and the folders given to it.
pub(super) struct Inotify {
    watcher: Mutex<RecommendedWatcher>,
    roots: Mutex<Vec<PathBuf>>,
}

impl Inotify {
    /// Starts the watcher with no folder.
    pub(super) fn new(sink: Arc<Sink>, walker: Arc<Walker>, short: Short) -> notify::Result<Self> {
        let (mut sound, mut ended) = (Timestamp::now(), (Timestamp::now(), Instant::now()));
        let handler = move |event: notify::Result<Event>| {
            if ended.1.elapsed() > IDLE {
                sound = ended.0;
            }
            match event {
                Ok(event) if event.need_rescan() => {
                    walker.blind(sound, Reason::EventQueueFull);
                }
                Ok(event) => pass_on(&event, &sink, &walker),
                Err(e) => trouble(&e, sound, &walker, &short),
            }
            ended = (Timestamp::now(), Instant::now());
        };
        let watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))?;
        Ok(Self { watcher: Mutex::new(watcher), roots: Mutex::new(Vec::new()) })
    }

    /// Watches a folder and all below it. Returns when the watches stand.
    pub(super) fn add(&self, folder: &Path) -> notify::Result<()> {
        self.watch(folder)?;
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_owned());
        Ok(())
    }

    /// Makes sure that a tree in one of the watched folders is watched to its leaves.
    pub(super) fn cover(&self, tree: &Path) {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if roots.iter().any(|root| tree.starts_with(root))
            && let Err(e) = self.watch(tree)
        {
            warn!(%e, "a folder is not watched");
        }
    }

    fn watch(&self, folder: &Path) -> notify::Result<()> {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        match watcher.watch(folder, RecursiveMode::Recursive) {
            Err(e) if is_denied(&e) => one_by_one(&mut watcher, folder),
            done => done,
        }
    }
}

/// Watches the folders of a tree that can be read. notify gives up a whole tree for one that cannot; those are told by
/// the walk, which cannot read them either.
fn one_by_one(watcher: &mut RecommendedWatcher, tree: &Path) -> notify::Result<()> {
    watcher.watch(tree, RecursiveMode::NonRecursive)?;
    let mut waiting = vec![tree.to_owned()];
    while let Some(folder) = waiting.pop() {
        let below = folder.read_dir().into_iter().flatten().flatten();
        for entry in below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            match watcher.watch(&entry.path(), RecursiveMode::NonRecursive) {
                Ok(()) => waiting.push(entry.path()),
                Err(e) if is_denied(&e) || matches!(e.kind, notify::ErrorKind::PathNotFound) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

fn is_denied(e: &notify::Error) -> bool {
    matches!(&e.kind, notify::ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied)
}

fn pass_on(event: &Event, sink: &Sink, walker: &Walker) {
    for path in event.paths.iter().filter(|path| sink.watches(path)) {
        match event.kind {
            EventKind::Create(CreateKind::Folder) => walker.tree(path.clone()),
            EventKind::Create(_) => named(path, sink, walker, false),
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any)) => {
                named(path, sink, walker, true);
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => drop(sink.changed(path.clone(), None)),
            EventKind::Modify(ModifyKind::Data(_)) => sink.wrote(path, None),
            _ => {}
        }
    }
}

/// A folder that was moved here is walked; a file is told of.
fn named(path: &Path, sink: &Sink, walker: &Walker, moved: bool) {
    if !sink.appeared(path.to_owned(), None, moved) {
        walker.tree(path.to_owned());
    }
}

fn trouble(e: &notify::Error, sound: Timestamp, walker: &Walker, short: &Short) {
    match e.kind {
        notify::ErrorKind::MaxFilesWatch => short(),
        notify::ErrorKind::PathNotFound | notify::ErrorKind::WatchNotFound => {}
        _ => {
            warn!(%e, "file events cannot be read");
            walker.blind(sound, Reason::EventsUnreadable);
        }
    }
}
