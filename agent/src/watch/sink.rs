//! Where what was seen goes: past the borders of what is watched, into the queue of files to scan and to those who
//! listen to what happens.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use khien_core::{
    Timestamp,
    event::{FileEvent, Process},
};
use tokio::sync::mpsc;

use super::{
    links::{self, Leads, Links},
    walker::scope,
    writing::Writing,
};
use crate::activity::{Activities, Activity, Change, Observed};

/// The way out of the watch.
#[derive(Debug)]
pub(super) struct Sink {
    events: mpsc::Sender<FileEvent>,
    excluded: Vec<PathBuf>,
    watched: RwLock<Vec<PathBuf>>,
    writing: Mutex<Writing>,
    activities: Arc<Activities>,
    /// Paths outside the watched folders that are told of and not scanned.
    pub(super) observed: Arc<Observed>,
    /// Names that lead elsewhere.
    pub(super) links: Links,
}

impl Sink {
    /// Makes one that watches nothing yet.
    pub(super) fn new(
        events: mpsc::Sender<FileEvent>,
        excluded: Vec<PathBuf>,
        activities: Arc<Activities>,
    ) -> Self {
        let (watched, writing) = (RwLock::default(), Mutex::default());
        let (observed, links) = (activities.observed(), Links::default());
        Self { events, excluded, watched, writing, activities, observed, links }
    }

    /// Sets which folders are watched, by their real paths.
    pub(super) fn watch(&self, folders: Vec<PathBuf>) {
        *self.watched.write().unwrap_or_else(PoisonError::into_inner) = folders;
    }

    /// Returns the watched folders.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        self.watched.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether a path is in a watched folder and in none that is excluded.
    pub(super) fn watches(&self, path: &Path) -> bool {
        let watched = self.watched.read().unwrap_or_else(PoisonError::into_inner);
        watched.iter().any(|folder| path.starts_with(folder)) && !self.excludes(path)
    }

    /// Tells whether what happens to a path is told: it is watched, or observed.
    pub(super) fn hears(&self, path: &Path) -> bool {
        self.watches(path) || self.observed.covers(path) && !self.excludes(path)
    }

    /// Tells whether anyone listens to what happens.
    pub(super) fn is_heard(&self) -> bool {
        self.activities.are_heard()
    }

    /// Tells what happened to a name, in order. Never waits.
    pub(super) fn tell(&self, path: &Path, changes: Vec<Change>, folder: bool, process: Option<&Process>) {
        if !self.is_heard() {
            return;
        }
        let (at, process) = (Timestamp::now(), process.cloned());
        let mut activity = Activity { path: scope(path), change: Change::Created, folder, at, process };
        for change in changes {
            activity.change = change;
            self.activities.tell(&activity);
        }
    }

    /// Tells that not all was seen since this time.
    pub(super) fn blind(&self, since: Timestamp) {
        self.activities.blind(since);
    }

    /// Tells whether a path is in a folder that is never looked at.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        self.excluded.iter().any(|folder| path.starts_with(folder))
    }

    /// Passes a changed file on. Waits while the queue is full, so that the kernel's own queue is the only place
    /// where an event can be lost: it says so. Returns false when nobody listens any more.
    pub(super) fn changed(&self, path: PathBuf, process: Option<Process>) -> bool {
        self.writing().closed(&path);
        self.send(&path, process)
    }

    /// Takes note that a file's writer closed it: it needs not be told of once more.
    pub(super) fn closed(&self, path: &Path) {
        self.writing().closed(path);
    }

    /// Notes that a file was written to and may stay open.
    pub(super) fn wrote(&self, path: &Path, process: Option<Process>) {
        let displaced = self.writing().wrote(path, process, Instant::now());
        if let Some((path, process)) = displaced {
            self.written(&path, process);
        }
    }

    /// Passes on the files that were written to and are due. Returns when to do so again.
    pub(super) fn tell_due(&self) -> Option<Instant> {
        let due = self.writing().due(Instant::now());
        for (path, process) in due {
            self.written(&path, process);
        }
        self.writing().next()
    }

    fn written(&self, path: &Path, process: Option<Process>) {
        self.tell(path, vec![Change::Written], false, process.as_ref());
        if self.watches(path) {
            self.send(path, process);
        }
    }

    /// Passes on a name that was just made or moved here: a file with content, or a link to a file outside. A folder
    /// returns false: its tree is to be walked.
    pub(super) fn appeared(&self, path: PathBuf, process: Option<Process>, moved: bool) -> bool {
        let Ok(meta) = path.symlink_metadata() else { return true };
        if meta.is_dir() {
            return false;
        }
        // An empty file is told of again when it is written to or closed.
        if meta.is_symlink() || moved || meta.len() > 0 || meta.nlink() > 1 {
            self.found(path, &meta, process);
        }
        true
    }

    /// Passes on a file or link that is there. Returns false when nobody listens any more.
    pub(super) fn found(&self, path: PathBuf, meta: &Metadata, process: Option<Process>) -> bool {
        if meta.is_symlink() {
            return match self.followed(&path) {
                Some(_) => self.changed(path, process),
                None => true,
            };
        }
        if meta.nlink() > 1 {
            self.links.alias(&path, meta);
        }
        if meta.is_file() { self.changed(path, process) } else { true }
    }

    /// Returns what a link leads to, if that is a file outside; one that leads to a folder is noted.
    pub(super) fn followed(&self, link: &Path) -> Option<Metadata> {
        match links::leads(link, self) {
            Leads::File(meta) => {
                self.links.alias(link, &meta);
                Some(meta)
            }
            Leads::Folder(folder) => {
                self.links.leads_out(link.to_owned(), folder);
                None
            }
            Leads::Nowhere => None,
        }
    }

    fn send(&self, path: &Path, process: Option<Process>) -> bool {
        let event = FileEvent { path: scope(path), at: Timestamp::now(), process };
        self.events.blocking_send(event).is_ok()
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_between_names_not_within_them() {
        let sink = Sink::new(mpsc::channel(1).0, vec!["/srv/web/home".into()], Arc::default());
        sink.watch(vec!["/srv/web".into()]);

        assert!(sink.watches(Path::new("/srv/web/a")));
        assert!(sink.watches(Path::new("/srv/web/homes")));
        assert!(!sink.watches(Path::new("/srv/website")));
        assert!(!sink.watches(Path::new("/srv/web/home/spool")));
    }

    #[test]
    fn what_is_observed_is_told_of_and_not_watched_and_the_agents_own_is_neither() {
        let sink = Sink::new(mpsc::channel(1).0, vec!["/etc/khien".into()], Arc::default());
        sink.observed.really(["/etc".into()].into());

        assert!(sink.hears(Path::new("/etc/cron.d/a")) && !sink.watches(Path::new("/etc/cron.d/a")));
        assert!(!sink.hears(Path::new("/etc/khien/key")) && !sink.hears(Path::new("/srv/a")));
    }
}
