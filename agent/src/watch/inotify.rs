//! The portable back end, by `notify`: for hosts where fanotify is not allowed. It does not tell who wrote.
//!
//! A folder is watched a moment after it was made. What was put in it before is found by a walk that begins only when
//! the watch stands.

mod moves;

use std::{
    collections::VecDeque,
    fs::DirEntry,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use khien_core::{Timestamp, reason::Reason};
use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode},
};
use tracing::warn;

use self::moves::Moves;
use super::{
    fanotify::is_nameless,
    sink::Sink,
    walker::{Walker, scope},
};
use crate::activity::Change;

/// When nothing came for so long after an event, the kernel's queue was empty then: up to there nothing was lost. Long
/// enough that a busy host does not make it look empty by not giving this thread a turn.
const IDLE: Duration = Duration::from_secs(1);

/// The same said again of a name within this time is not told again.
const SAME: Duration = Duration::from_secs(1);

/// Says that not all folders can be watched.
pub(super) type Short = Box<dyn Fn() + Send>;

/// A watcher and the folders given to it.
pub(super) struct Inotify {
    watcher: Mutex<RecommendedWatcher>,
    roots: Mutex<Vec<PathBuf>>,
    teller: Arc<Teller>,
}

/// Passes on what notify says.
struct Teller {
    sink: Arc<Sink>,
    walker: Arc<Walker>,
    heard: Mutex<Heard>,
}

/// What was said a moment ago: folders tell of themselves, and are told of by the folders they lie in.
#[derive(Default)]
struct Heard {
    /// Names that were moved away, until it is known where to.
    moves: Moves,
    last: Option<(PathBuf, Change, Instant)>,
}

impl Inotify {
    /// Starts the watcher with no folder.
    pub(super) fn new(sink: Arc<Sink>, walker: Arc<Walker>, short: Short) -> notify::Result<Self> {
        let teller = Arc::new(Teller { sink, walker: Arc::clone(&walker), heard: Mutex::default() });
        let (mut sound, mut ended) = (Timestamp::now(), (Timestamp::now(), Instant::now()));
        let tells = Arc::clone(&teller);
        let handler = move |event: notify::Result<Event>| {
            if ended.1.elapsed() > IDLE {
                sound = ended.0;
            }
            match event {
                Ok(event) if event.need_rescan() => {
                    walker.blind(sound, Reason::EventQueueFull);
                }
                Ok(event) => tells.pass_on(&event),
                Err(e) => trouble(&e, sound, &walker, &short),
            }
            ended = (Timestamp::now(), Instant::now());
        };
        let watcher = RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))?;
        Ok(Self { watcher: Mutex::new(watcher), roots: Mutex::default(), teller })
    }

    /// Tells of names that were moved away and are not seen anywhere else.
    pub(super) fn tell_due(&self) {
        self.teller.tell_gone(Instant::now());
    }

    /// Watches a folder without what is below it.
    pub(super) fn add_alone(&self, folder: &Path) -> notify::Result<()> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner).watch(folder, RecursiveMode::NonRecursive)
    }

    /// Watches a folder and all below it. Returns when the watches stand.
    pub(super) fn add(&self, folder: &Path) -> notify::Result<()> {
        self.watch(folder)?;
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_owned());
        Ok(())
    }

    /// Watches a folder and all below it, or of a larger tree so many folders, those that are nearest to it. Returns whether
    /// that is all.
    pub(super) fn add_up_to(&self, folder: &Path, most: usize) -> notify::Result<bool> {
        let left_out = self.teller.sink.left_out();
        let mut found: Vec<PathBuf> = nearest_first(folder, &left_out).take(most + 1).collect();
        if found.len() <= most {
            return self.add(folder).map(|()| true);
        }
        found.truncate(most);
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        for folder in found {
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Err(e) if !is_passed(&e) => return Err(e),
                _ => {}
            }
        }
        Ok(false)
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
        let left_out = self.teller.sink.left_out();
        if left_out.iter().any(|mount| mount.starts_with(folder) && mount != folder) {
            return one_by_one(&mut watcher, folder, &left_out);
        }
        match watcher.watch(folder, RecursiveMode::Recursive) {
            Err(e) if is_denied(&e) => one_by_one(&mut watcher, folder, &left_out),
            done => done,
        }
    }
}

/// Watches the folders of a tree that can be read and are not left out. notify gives up a whole tree for one that cannot;
/// those are told by the walk, which cannot read them either.
fn one_by_one(watcher: &mut RecommendedWatcher, tree: &Path, left_out: &[PathBuf]) -> notify::Result<()> {
    watcher.watch(tree, RecursiveMode::NonRecursive)?;
    let mut waiting = vec![tree.to_owned()];
    while let Some(folder) = waiting.pop() {
        for below in folders_in(&folder, left_out) {
            match watcher.watch(&below, RecursiveMode::NonRecursive) {
                Ok(()) => waiting.push(below),
                Err(e) if is_passed(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// Returns the folders below one, those that are nearest to it first.
fn nearest_first(tree: &Path, left_out: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let mut waiting = VecDeque::from([tree.to_owned()]);
    let mut found = VecDeque::new();
    std::iter::from_fn(move || {
        while found.is_empty() {
            found.extend(folders_in(&waiting.pop_front()?, left_out));
        }
        let next: PathBuf = found.pop_front()?;
        waiting.push_back(next.clone());
        Some(next)
    })
}

/// Returns the folders in one that are not left out.
fn folders_in(folder: &Path, left_out: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let is_folder = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let all = folder.read_dir().into_iter().flatten().flatten().filter(is_folder);
    all.map(|entry| entry.path()).filter(|path| !left_out.contains(path))
}

/// Tells whether a folder is gone or closed, and the others are to be watched all the same.
fn is_passed(e: &notify::Error) -> bool {
    is_denied(e) || matches!(e.kind, notify::ErrorKind::PathNotFound)
}

fn is_denied(e: &notify::Error) -> bool {
    matches!(&e.kind, notify::ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied)
}

impl Teller {
    fn pass_on(&self, event: &Event) {
        // Moves are joined here: the third event, with both names, says nothing new.
        let Some(path) = event.paths.first().filter(|p| event.paths.len() == 1 && self.sink.hears(p)) else {
            return;
        };
        let is_nameless = || path.file_name().is_some_and(|n| is_nameless(n.as_bytes()));
        if self.sink.is_heard() && !(is_nameless() && path.symlink_metadata().is_err()) {
            self.tell(path, event);
        }
        let watched = self.sink.watches(path);
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) => self.sink.wrote(path, None),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) if watched => {
                self.sink.changed(path, None);
            }
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => self.sink.closed(path),
            EventKind::Create(CreateKind::Folder) if watched => self.walker.tree(path.clone()),
            EventKind::Create(_) if watched => self.named(path, false),
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Any)) if watched => {
                self.named(path, true);
            }
            _ => {}
        }
    }

    /// A folder that was moved here is walked; a file is told of.
    fn named(&self, path: &Path, moved: bool) {
        if !self.sink.appeared(path.to_owned(), None, moved) {
            self.walker.tree(path.to_owned());
        }
    }

    fn tell(&self, path: &Path, event: &Event) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (change, folder) = match event.kind {
            EventKind::Create(kind) => (Change::Created, kind == CreateKind::Folder),
            EventKind::Remove(kind) => (Change::Removed, kind == RemoveKind::Folder),
            EventKind::Modify(ModifyKind::Data(_)) => (Change::Written, false),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => (Change::Written, false),
            EventKind::Modify(ModifyKind::Metadata(_)) => (Change::Attributes, is_folder(path)),
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                let displaced = heard.moves.left(path, event.tracker(), now);
                return displaced.into_iter().for_each(|gone| self.tell_moved_out(&gone));
            }
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                let from = event.tracker().and_then(|tracker| heard.moves.arrived(tracker));
                (Change::MovedIn { from: from.as_deref().map(scope) }, is_folder(path))
            }
            _ => return,
        };
        let is_last = matches!(event.kind, EventKind::Access(_));
        if is_last || !heard.is_repeated(path, &change, now) {
            self.sink.tell(path, vec![change.clone()], folder, None);
            heard.last = Some((path.to_owned(), change, now));
        }
    }

    /// Tells of names that were moved away and did not arrive anywhere.
    fn tell_gone(&self, now: Instant) {
        let gone = self.heard.lock().unwrap_or_else(PoisonError::into_inner).moves.gone(now);
        gone.iter().for_each(|gone| self.tell_moved_out(gone));
    }

    fn tell_moved_out(&self, (path, folder): &(PathBuf, bool)) {
        self.sink.tell(path, vec![Change::MovedOut], *folder, None);
    }
}

impl Heard {
    /// Tells whether the same was said just before of the same name.
    fn is_repeated(&self, path: &Path, change: &Change, now: Instant) -> bool {
        let can_be = matches!(change, Change::Written | Change::Removed | Change::Attributes);
        can_be
            && self.last.as_ref().is_some_and(|(last, what, at)| {
                last == path && what == change && now.duration_since(*at) < SAME
            })
    }
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn of_a_large_tree_the_nearest_folders_are_watched_and_it_is_said_that_these_are_not_all() {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        ["a/deep/deeper", "b", "c"].iter().for_each(|below| fs::create_dir_all(at.join(below)).unwrap());
        std::os::unix::fs::symlink("/", at.join("link")).unwrap();
        let sink = Arc::new(Sink::new(tokio::sync::mpsc::channel(1).0, Vec::new(), Arc::default()));
        sink.leave_out(vec![at.join("c")]);
        let inotify = Inotify::new(sink, Arc::default(), Box::new(|| {})).unwrap();

        let found: Vec<PathBuf> = nearest_first(&at, &[at.join("c")]).collect();

        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[2..], [at.join("a/deep"), at.join("a/deep/deeper")]);
        assert!(inotify.add_up_to(&at, 4).unwrap());
        assert!(!inotify.add_up_to(&at, 3).unwrap());
    }
}
