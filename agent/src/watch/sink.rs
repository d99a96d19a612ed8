//! Where what was seen goes: past the borders of what is watched, into the queue of files to scan.

use std::{
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use khien_core::{
    Timestamp, Untrusted,
    event::{FileEvent, Process},
};
use tokio::sync::mpsc;

use super::{
    links::{self, Leads, Links},
    writing::Writing,
};

/// The way out of the watch.
#[derive(Debug)]
pub(super) struct Sink {
    events: mpsc::Sender<FileEvent>,
    excluded: Vec<PathBuf>,
    watched: RwLock<Vec<PathBuf>>,
    writing: Mutex<Writing>,
    /// Names that lead elsewhere.
    pub(super) links: Links,
}

impl Sink {
    /// Makes one that watches nothing yet.
    pub(super) fn new(events: mpsc::Sender<FileEvent>, excluded: Vec<PathBuf>) -> Self {
        let (watched, writing) = (RwLock::default(), Mutex::default());
        Self { events, excluded, watched, writing, links: Links::default() }
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

    /// Notes that a file was written to and may stay open.
    pub(super) fn wrote(&self, path: &Path, process: Option<Process>) {
        let displaced = self.writing().wrote(path, process, Instant::now());
        if let Some((path, process)) = displaced {
            self.send(&path, process);
        }
    }

    /// Passes on the files that were written to and are due. Returns when to do so again.
    pub(super) fn tell_due(&self) -> Option<Instant> {
        let due = self.writing().due(Instant::now());
        for (path, process) in due {
            self.send(&path, process);
        }
        self.writing().next()
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
        let event =
            FileEvent { path: Untrusted::new(path.as_os_str().as_bytes()), at: Timestamp::now(), process };
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
        let sink = Sink::new(mpsc::channel(1).0, vec!["/srv/web/home".into()]);
        sink.watch(vec!["/srv/web".into()]);

        assert!(sink.watches(Path::new("/srv/web/a")));
        assert!(sink.watches(Path::new("/srv/web/homes")));
        assert!(!sink.watches(Path::new("/srv/website")));
        assert!(!sink.watches(Path::new("/srv/web/home/spool")));
    }
}
