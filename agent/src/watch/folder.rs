//! The watched folders: which are there, which back end sees them, and what that leaves unseen.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use khien_core::{
    Timestamp,
    asset::{Coverage, Sensor, Sight},
};
use tracing::{info, warn};

use super::{
    fanotify::Fanotify,
    inotify::{Inotify, Short},
    mounts,
    sink::Sink,
    walker::{Walker, scope},
};
use crate::health::Meter;

/// The folders and what watches them.
pub(super) struct Folders {
    pub(super) folders: Vec<Folder>,
    pub(super) fanotify: Option<Fanotify>,
    /// Why there is no fanotify.
    pub(super) lacking: String,
    pub(super) inotify: Arc<Inotify>,
    pub(super) sink: Arc<Sink>,
    pub(super) walker: Arc<Walker>,
    pub(super) meter: Arc<Meter>,
}

/// One folder as it was asked for, and what is there.
#[derive(Debug)]
pub(super) struct Folder {
    asked: PathBuf,
    there: Option<There>,
    /// Whether it was looked at once.
    known: bool,
}

/// A folder's real path and identity: one that was replaced is another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct There {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl From<PathBuf> for Folder {
    fn from(asked: PathBuf) -> Self {
        Self { asked, there: None, known: false }
    }
}

impl There {
    fn at(asked: &Path) -> Option<Self> {
        let path = asked.canonicalize().ok()?;
        let meta = path.metadata().ok().filter(|m| m.is_dir())?;
        Some(Self { path, device: meta.dev(), inode: meta.ino() })
    }
}

impl Folders {
    /// Looks which folders are there, watches new ones and states what is seen. `since` says, at the start, from
    /// when on changes were not seen.
    pub(super) fn look_after(&mut self, since: Option<Timestamp>) {
        let now: Vec<Option<There>> = self.folders.iter().map(|f| There::at(&f.asked)).collect();
        // First the borders, then the marks: an event must not come before it is wanted.
        self.sink.watch(now.iter().flatten().map(|there| there.path.clone()).collect());
        for (number, there) in now.into_iter().enumerate() {
            let Some(folder) = self.folders.get_mut(number) else { continue };
            let first = !std::mem::replace(&mut folder.known, true);
            if folder.there == there && !first {
                self.mark_new_mounts(there.as_ref());
                continue;
            }
            let asked = folder.asked.clone();
            folder.there = there.clone();
            match there {
                None => self.cover(&asked, "none", Sight::Blind, Some("the folder is missing".to_owned())),
                Some(there) => self.appeared(&asked, &there, first, since),
            }
        }
    }

    fn appeared(&mut self, asked: &Path, there: &There, first: bool, since: Option<Timestamp>) {
        self.watch(asked, &there.path);
        match (first, since) {
            (true, Some(since)) => self.walker.changed_since(there.path.clone(), since),
            (true, None) => {}
            (false, _) => {
                info!(folder = %scope(asked), "a folder to watch is there now");
                self.walker.tree(there.path.clone());
            }
        }
    }

    /// Watches a folder with the best back end that works for it.
    fn watch(&mut self, asked: &Path, path: &Path) {
        let without = match self.mark(path) {
            Ok(None) => return self.cover(asked, "fanotify", Sight::Full, None),
            Ok(Some(part)) => return self.cover(asked, "fanotify", Sight::Reduced, Some(part)),
            Err(why) => why,
        };
        match self.inotify.add(path) {
            Ok(()) => {
                let reason = format!("{without}: the writing process is not known");
                self.cover(asked, "notify", Sight::Reduced, Some(reason));
            }
            Err(e) if matches!(e.kind, notify::ErrorKind::MaxFilesWatch) => {
                self.cover(asked, "notify", Sight::Reduced, Some(format!("{without}; {LIMIT}")));
            }
            Err(e) => self.cover(asked, "none", Sight::Blind, Some(format!("{without}; notify: {e}"))),
        }
    }

    /// Marks the file system of a folder and those mounted below it. Returns what of it is watched by notify only.
    fn mark(&mut self, path: &Path) -> Result<Option<String>, String> {
        let fanotify = self.fanotify.as_mut().ok_or_else(|| self.lacking.clone())?;
        let does_not_work = |e: io::Error| format!("fanotify does not work on this file system ({e})");
        let mounts = mounts::read().map_err(does_not_work)?;
        let own = mounts::of(&mounts, path).ok_or("the folder's mount is not known")?;
        fanotify.mark(own).map_err(does_not_work)?;
        let mut without = Vec::new();
        for mount in mounts::below(&mounts, path).filter(|m| !self.sink.excludes(&m.point)) {
            if let Err(e) = fanotify.mark(mount) {
                warn!(point = %scope(&mount.point), mount.kind, %e, "a mount is watched without fanotify");
                let watched = self.inotify.add(&mount.point).is_ok();
                without.push(format!(
                    "{} ({})",
                    scope(&mount.point),
                    if watched { "notify" } else { "not seen" }
                ));
            }
        }
        Ok((!without.is_empty()).then(|| format!("mounts without fanotify: {}", without.join(", "))))
    }

    /// File systems may be mounted in a watched folder at any time.
    fn mark_new_mounts(&mut self, there: Option<&There>) {
        let (Some(fanotify), Some(there), Ok(mounts)) = (self.fanotify.as_mut(), there, mounts::read())
        else {
            return;
        };
        for mount in mounts::below(&mounts, &there.path).filter(|m| !self.sink.excludes(&m.point)) {
            match fanotify.mark(mount) {
                Ok(true) => self.walker.tree(mount.point.clone()),
                Ok(false) => {}
                Err(_) if self.inotify.has(&mount.point) => {}
                Err(_) => {
                    if self.inotify.add(&mount.point).is_ok() {
                        self.walker.tree(mount.point.clone());
                    }
                }
            }
        }
    }

    /// Goes on with notify for all folders when fanotify fails for good.
    pub(super) fn fall_back(&mut self, e: &io::Error) {
        self.fanotify = None;
        self.lacking = format!("fanotify failed ({e})");
        for folder in &mut self.folders {
            folder.there = None;
        }
        self.walker.blind(Timestamp::now(), "fanotify failed");
        self.look_after(None);
    }

    fn cover(&self, asked: &Path, backend: &str, sight: Sight, reason: Option<String>) {
        let backend = backend.to_owned();
        self.meter.cover(Coverage { sensor: Sensor::File, scope: scope(asked), backend, sight, reason });
    }
}

const LIMIT: &str =
    "the limit of watched folders is reached (fs.inotify.max_user_watches), some are not seen";

/// States reduced coverage of every folder when a new one in it could not be watched.
pub(super) fn when_short(meter: &Arc<Meter>, sink: &Arc<Sink>) -> Short {
    let (meter, sink) = (Arc::clone(meter), Arc::clone(sink));
    Box::new(move || {
        for folder in sink.watched() {
            let (backend, reason) = ("notify".to_owned(), Some(LIMIT.to_owned()));
            let sight = Sight::Reduced;
            meter.cover(Coverage { sensor: Sensor::File, scope: scope(&folder), backend, sight, reason });
        }
    })
}
