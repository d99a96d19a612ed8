//! The watched folders: which are there, which back end sees them, and what that leaves unseen.

use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use khien_core::{
    Timestamp,
    asset::{Coverage, Sensor, Sight},
    reason::{Reason, quoted},
};
use tracing::{info, warn};

use super::{
    fanotify::Fanotify,
    gaps::Gaps,
    inotify::{Inotify, Short},
    mounts::{self, Mount},
    observing::Observing,
    sink::Sink,
    walker::{Walker, scope},
};
use crate::health::Meter;

/// The folders and what watches them.
pub(super) struct Folders {
    pub(super) folders: Vec<Folder>,
    pub(super) fanotify: Option<Fanotify>,
    /// Why there is no fanotify.
    pub(super) lacking: Reason,
    /// What lies in the folders and is not followed.
    pub(super) links: Gaps,
    /// What is told of and not scanned.
    pub(super) observing: Observing,
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
    /// The mounts below it that are watched.
    mounts: BTreeSet<u64>,
}

/// A folder's real path and identity: one that was replaced is another, and so is one whose file system was mounted
/// anew.
#[derive(Debug, Clone, PartialEq, Eq)]
struct There {
    path: PathBuf,
    device: u64,
    inode: u64,
    mount: Option<u64>,
}

impl From<PathBuf> for Folder {
    fn from(asked: PathBuf) -> Self {
        Self { asked, there: None, known: false, mounts: BTreeSet::new() }
    }
}

impl There {
    fn at(asked: &Path, mounts: &[Mount]) -> Option<Self> {
        let path = asked.canonicalize().ok()?;
        let meta = path.metadata().ok().filter(|m| m.is_dir())?;
        let mount = mounts::of(mounts, &path).map(|mount| mount.id);
        Some(Self { path, device: meta.dev(), inode: meta.ino(), mount })
    }

    /// Returns the mounts below it.
    fn below(&self, mounts: &[Mount]) -> BTreeSet<u64> {
        mounts::below(mounts, &self.path).map(|mount| mount.id).collect()
    }
}

impl Folders {
    /// Looks which folders are there, watches new ones and states what is seen. `since` says, at the start, from
    /// when on changes were not seen.
    pub(super) fn look_after(&mut self, since: Option<Timestamp>) {
        // Before anything is watched: a mount that is made meanwhile is a new one the next time.
        let mounts = mounts::read().unwrap_or_default();
        let now: Vec<Option<There>> = self.folders.iter().map(|f| There::at(&f.asked, &mounts)).collect();
        self.observe(&mounts);
        // First the borders, then the marks: an event must not come before it is wanted.
        self.sink.watch(now.iter().flatten().map(|there| there.path.clone()).collect());
        for (number, there) in now.into_iter().enumerate() {
            let Some(folder) = self.folders.get_mut(number) else { continue };
            let first = !std::mem::replace(&mut folder.known, true);
            if folder.there == there && !first {
                self.watch_new_mounts(number, &mounts);
                continue;
            }
            let asked = folder.asked.clone();
            folder.there = there.clone();
            folder.mounts = there.as_ref().map(|there| there.below(&mounts)).unwrap_or_default();
            match there {
                None => self.cover(&asked, "none", Sight::Blind, Some(Reason::FolderMissing)),
                Some(there) => self.appeared(&asked, &there, first, since),
            }
        }
        self.links.links(&self.sink.links.outward(&self.sink));
    }

    fn appeared(&mut self, asked: &Path, there: &There, first: bool, since: Option<Timestamp>) {
        self.watch(asked, &there.path);
        match (first, since) {
            (true, Some(since)) => self.walker.changed_since(there.path.clone(), since),
            (true, None) => {}
            (false, _) => {
                info!(folder = %scope(asked), "a folder to watch is there now");
                self.sink.blind(Timestamp::now());
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
                let reason = Reason::WriterUnknown { because: Box::new(without) };
                self.cover(asked, "notify", Sight::Reduced, Some(reason));
            }
            Err(e) if matches!(e.kind, notify::ErrorKind::MaxFilesWatch) => {
                let reason = Reason::WatchLimit { because: Some(Box::new(without)) };
                self.cover(asked, "notify", Sight::Reduced, Some(reason));
            }
            Err(e) => {
                let (error, because) = (quoted(&e.to_string()), Box::new(without));
                let reason = Reason::NotifyFailed { error, because };
                self.cover(asked, "none", Sight::Blind, Some(reason));
            }
        }
    }

    /// Marks the file system of a folder and those mounted below it. Returns what of it is watched by notify only.
    fn mark(&mut self, path: &Path) -> Result<Option<Reason>, Reason> {
        let fanotify = self.fanotify.as_mut().ok_or_else(|| self.lacking.clone())?;
        let does_not_work = |e: io::Error| Reason::FanotifyUnsupported { error: e.into() };
        let mounts = mounts::read().map_err(does_not_work)?;
        let own = mounts::of(&mounts, path).ok_or(Reason::MountUnknown)?;
        fanotify.mark(own).map_err(does_not_work)?;
        let (mut notify, mut unseen) = (Vec::new(), Vec::new());
        for mount in mounts::below(&mounts, path).filter(|m| !self.sink.excludes(&m.point)) {
            if let Err(e) = fanotify.mark(mount) {
                warn!(point = %scope(&mount.point), mount.kind, %e, "a mount is watched without fanotify");
                let list = if self.inotify.add(&mount.point).is_ok() { &mut notify } else { &mut unseen };
                list.push(scope(&mount.point));
            }
        }
        let all = notify.is_empty() && unseen.is_empty();
        Ok((!all).then_some(Reason::MountsWithoutFanotify { notify, unseen }))
    }

    /// File systems may be mounted in a watched folder at any time: those that were not there before are watched too.
    fn watch_new_mounts(&mut self, number: usize, mounts: &[Mount]) {
        let Some(folder) = self.folders.get_mut(number) else { return };
        let Some(there) = folder.there.clone() else { return };
        let before = std::mem::replace(&mut folder.mounts, there.below(mounts));
        for mount in mounts::below(mounts, &there.path).filter(|m| !before.contains(&m.id)) {
            if self.sink.excludes(&mount.point) {
                continue;
            }
            let marked = self.fanotify.as_mut().is_some_and(|fanotify| fanotify.mark(mount).is_ok());
            if marked || self.inotify.add(&mount.point).is_ok() {
                self.sink.blind(Timestamp::now());
                self.walker.tree(mount.point.clone());
            }
        }
    }

    /// Goes on with notify for all folders when fanotify fails for good.
    pub(super) fn fall_back(&mut self, e: io::Error) {
        self.fanotify = None;
        self.lacking = Reason::FanotifyFailed { error: e.into() };
        for folder in &mut self.folders {
            folder.there = None;
        }
        self.observing = Observing::default();
        self.walker.blind(Timestamp::now(), self.lacking.clone());
        self.look_after(None);
    }

    pub(super) fn cover(&self, asked: &Path, backend: &str, sight: Sight, reason: Option<Reason>) {
        let backend = backend.to_owned();
        self.meter.cover(Coverage { sensor: Sensor::File, scope: scope(asked), backend, sight, reason });
    }
}

/// States reduced coverage of every folder when a new one in it could not be watched.
pub(super) fn when_short(meter: &Arc<Meter>, sink: &Arc<Sink>) -> Short {
    let (meter, sink) = (Arc::clone(meter), Arc::clone(sink));
    Box::new(move || {
        for folder in sink.watched() {
            let (backend, reason) = ("notify".to_owned(), Some(Reason::WatchLimit { because: None }));
            let sight = Sight::Reduced;
            meter.cover(Coverage { sensor: Sensor::File, scope: scope(&folder), backend, sight, reason });
        }
    })
}
