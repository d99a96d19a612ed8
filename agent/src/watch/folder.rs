//! The watched folders: which are there, which back end sees them, and what that leaves unseen.

use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use khien_core::{
    Timestamp, Untrusted,
    asset::{Coverage, Sensor, Sight},
    policy::Policy,
    reason::{Reason, quoted},
};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    fanotify::Fanotify,
    gaps::Gaps,
    inotify::{Inotify, Short},
    mounts::{self, Mount},
    observing::Observing,
    real::{Real, real},
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
    /// Mounts in the folders that are left out.
    pub(super) mounts: Gaps,
    pub(super) policy: watch::Receiver<Option<Arc<Policy>>>,
    /// Whether mounts from the network are watched, as the policy said last.
    pub(super) network_mounts: bool,
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
    /// What is there, or why nothing of it is seen.
    there: Result<There, Reason>,
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
        Self { asked, there: Err(Reason::FolderMissing), known: false, mounts: BTreeSet::new() }
    }
}

impl There {
    /// A folder that was named on a mount that is left out is looked at all the same. One that only leads there is not: a
    /// link is made by others than those who name folders to the agent.
    fn at(asked: &Path, mounts: &[Mount], left_out: &[PathBuf]) -> Result<Self, Reason> {
        let is_elsewhere = |mount: &&PathBuf| !asked.starts_with(mount);
        let elsewhere: Vec<PathBuf> = left_out.iter().filter(is_elsewhere).cloned().collect();
        let path = match real(asked, &elsewhere) {
            Ok(Real::At(path)) => path,
            Ok(Real::LeftOut(point)) => {
                let mount = mounts.iter().rfind(|mount| mount.point == point);
                let kind = mount.map_or_else(Untrusted::default, |mount| quoted(&mount.kind));
                return Err(Reason::NetworkMount { kind, others: 0 });
            }
            Err(_) => return Err(Reason::FolderMissing),
        };
        let meta = path.metadata().ok().filter(|m| m.is_dir()).ok_or(Reason::FolderMissing)?;
        let mount = mounts::of(mounts, &path).map(|mount| mount.id);
        Ok(Self { path, device: meta.dev(), inode: meta.ino(), mount })
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
        self.leave_out(&mounts);
        let left_out = self.sink.left_out();
        let now: Vec<Result<There, Reason>> =
            self.folders.iter().map(|f| There::at(&f.asked, &mounts, &left_out)).collect();
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
            folder.mounts = there.as_ref().map_or_else(|_| BTreeSet::new(), |there| there.below(&mounts));
            match there {
                Err(why) => self.cover(&asked, "none", Sight::Blind, Some(why)),
                Ok(there) => self.appeared(&asked, &there, first, since),
            }
        }
        self.links.links(&self.sink.links.outward(&self.sink));
        let left_out = |mount: &&Mount| mount.is_remote() && self.is_left_out(mount);
        let left_out: Vec<&Mount> = mounts.iter().filter(left_out).collect();
        self.mounts.mounts(&left_out);
    }

    /// Takes note which mounts the policy leaves out. When it says otherwise than before, all folders are watched anew.
    fn leave_out(&mut self, mounts: &[Mount]) {
        let wanted = self.policy.borrow().as_ref().is_some_and(|policy| policy.network_mounts);
        if std::mem::replace(&mut self.network_mounts, wanted) != wanted {
            self.folders.iter_mut().for_each(|folder| folder.there = Err(Reason::FolderMissing));
        }
        let remote = mounts.iter().filter(|mount| !wanted && mount.is_remote());
        self.sink.leave_out(remote.map(|mount| mount.point.clone()).collect());
    }

    /// Tells whether a mount lies in a watched folder and is not watched with it.
    fn is_left_out(&self, mount: &Mount) -> bool {
        let in_folder = |there: &There| mount.point.starts_with(&there.path);
        self.folders.iter().filter_map(|f| f.there.as_ref().ok()).any(in_folder)
            && !self.sink.watches(&mount.point)
            && !self.sink.excludes(&mount.point)
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
        for mount in mounts::below(&mounts, path).filter(|m| self.sink.watches(&m.point)) {
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
        let Ok(there) = folder.there.clone() else { return };
        let before = std::mem::replace(&mut folder.mounts, there.below(mounts));
        for mount in mounts::below(mounts, &there.path).filter(|m| !before.contains(&m.id)) {
            if !self.sink.watches(&mount.point) {
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
            folder.there = Err(Reason::FolderMissing);
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
