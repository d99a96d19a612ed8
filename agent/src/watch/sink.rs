//! Where what was seen goes: past the borders of what is watched, into the queue of files to scan.

use std::{
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use khien_core::{
    Timestamp, Untrusted,
    event::{FileEvent, Process},
};
use tokio::sync::mpsc;

/// The way out of the watch.
#[derive(Debug)]
pub(super) struct Sink {
    events: mpsc::Sender<FileEvent>,
    excluded: Vec<PathBuf>,
    watched: RwLock<Vec<PathBuf>>,
}

impl Sink {
    /// Makes one that watches nothing yet.
    pub(super) fn new(events: mpsc::Sender<FileEvent>, excluded: Vec<PathBuf>) -> Self {
        Self { events, excluded, watched: RwLock::new(Vec::new()) }
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
        let event =
            FileEvent { path: Untrusted::new(path.as_os_str().as_bytes()), at: Timestamp::now(), process };
        self.events.blocking_send(event).is_ok()
    }
}

/// Tells whether a name that was just made has content already: a hard link, or a file that had no name before. An
/// empty file is told of again when its writer closes it.
pub(super) fn created_with_content(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_file() && (m.len() > 0 || m.nlink() > 1))
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
