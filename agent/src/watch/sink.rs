//! Where what was seen goes: past the borders of what is watched, into the queue of files to scan and to those who
//! listen to what happens.

use std::{
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use khien_core::{
    Timestamp,
    event::{FileEvent, Process},
    time::SignedDuration,
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    links::{self, Leads, Links},
    told::Told,
    walker::scope,
    writing::Writing,
};
use crate::activity::{Activities, Activity, Change, Observed};

/// A change is passed on so long after it was made at most: a file that is written to without end is told of now and
/// then only, and an event may have waited.
pub(super) const LATE: SignedDuration = SignedDuration::from_secs(120);

/// With so many, what is to be passed on together does not wait for more: it must not come late either.
const TOGETHER: usize = 64;

/// The way out of the watch.
#[derive(Debug)]
pub(super) struct Sink {
    events: mpsc::Sender<FileEvent>,
    /// What found no room among those that wait for a scan.
    left: Mutex<Option<Left>>,
    excluded: Vec<PathBuf>,
    watched: RwLock<Vec<PathBuf>>,
    /// Mounts that are left out, unless a watched folder lies on them.
    left_out: RwLock<Vec<PathBuf>>,
    writing: Mutex<Writing>,
    activities: Arc<Activities>,
    /// What is passed on next.
    held: Mutex<Held>,
    /// Paths outside the watched folders that are told of and not scanned.
    pub(super) observed: Arc<Observed>,
    /// Names that lead elsewhere.
    pub(super) links: Links,
    /// Names that were told of.
    pub(super) told: Told,
}

/// Changes that found no room among those that wait for a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// From when on they may have been made.
    pub(super) since: Timestamp,
    pub(super) count: u64,
}

/// What is to be passed on, in order.
#[derive(Debug, Default)]
struct Held {
    /// Whether it waits for more.
    waits: bool,
    told: Vec<Activity>,
    changed: Vec<FileEvent>,
}

impl Sink {
    /// Makes one that watches nothing yet.
    pub(super) fn new(
        events: mpsc::Sender<FileEvent>,
        excluded: Vec<PathBuf>,
        activities: Arc<Activities>,
    ) -> Self {
        let (left, watched, writing) = (Mutex::default(), RwLock::default(), Mutex::default());
        let (left_out, observed, links) = (RwLock::default(), activities.observed(), Links::default());
        // Compared as bytes, see `is_in`.
        let excluded = excluded.iter().map(|folder| folder.components().collect()).collect();
        let (held, told) = (Mutex::default(), Told::default());
        Self { events, left, excluded, watched, left_out, writing, activities, held, observed, links, told }
    }

    /// Sets which folders are watched, by their real paths.
    pub(super) fn watch(&self, folders: Vec<PathBuf>) {
        *self.watched.write().unwrap_or_else(PoisonError::into_inner) = folders;
    }

    /// Sets which mounts are left out where they lie below a watched folder.
    pub(super) fn leave_out(&self, mounts: Vec<PathBuf>) {
        *self.left_out.write().unwrap_or_else(PoisonError::into_inner) = mounts;
    }

    /// Returns them.
    pub(super) fn left_out(&self) -> Vec<PathBuf> {
        self.left_out.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the watched folders.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        self.watched.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether a path is in a watched folder and in none that is excluded.
    pub(super) fn watches(&self, path: &Path) -> bool {
        let watched = self.watched.read().unwrap_or_else(PoisonError::into_inner);
        watched.iter().any(|folder| is_in(path, folder) && !self.leaves_out(path, folder))
            && !self.excludes(path)
    }

    /// Tells whether a path lies on a mount that is left out below a folder. A folder that was itself chosen on such a
    /// mount is watched.
    fn leaves_out(&self, path: &Path, folder: &Path) -> bool {
        let left_out = self.left_out.read().unwrap_or_else(PoisonError::into_inner);
        left_out.iter().any(|mount| is_in(path, mount) && !is_in(folder, mount))
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
    pub(super) fn tell(
        &self,
        path: &Path,
        changes: Vec<Change>,
        folder: bool,
        process: Option<&Arc<Process>>,
    ) {
        if !self.is_heard() {
            return;
        }
        let at = Timestamp::now();
        self.told.note(path, at);
        let activity =
            |change| Activity { path: scope(path), change, folder, at, process: process.map(Arc::clone) };
        let told = changes.into_iter().map(activity);
        let mut held = self.held();
        held.told.extend(told);
        self.pass_on(&mut held);
    }

    /// Passes on what some work brings when it is done: to wake who waits for it is the dearest part of it, and needs to be
    /// done once only.
    pub(super) fn together(&self, work: impl FnOnce()) {
        self.held().waits = true;
        work();
        let mut held = self.held();
        held.waits = false;
        self.pass_on(&mut held);
    }

    /// Passes on what is held, unless that waits for more. Never waits for anybody itself.
    fn pass_on(&self, held: &mut Held) {
        if held.waits && held.told.len() + held.changed.len() < TOGETHER {
            return;
        }
        held.told.drain(..).for_each(|activity| self.activities.tell(&activity));
        held.changed.drain(..).for_each(|event| self.send(event));
    }

    /// Tells that not all was seen since this time.
    pub(super) fn blind(&self, since: Timestamp) {
        self.told.lost(Timestamp::now());
        self.activities.blind(since);
    }

    /// Tells whether a path is in a folder that is never looked at.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        self.excluded.iter().any(|folder| is_in(path, folder))
    }

    /// Passes a changed file on. Never waits: while who reads events waits for scans, the kernel loses events of which
    /// nobody knows. What finds no room is noted, see [`left`](Self::left).
    pub(super) fn changed(&self, path: &Path, process: Option<Arc<Process>>) {
        self.writing().closed(path);
        self.scan(path, process);
    }

    /// Returns what found no room since it was asked last: it is to be looked for.
    pub(super) fn left(&self) -> Option<Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes note that a file's writer closed it: it needs not be told of once more.
    pub(super) fn closed(&self, path: &Path) {
        self.writing().closed(path);
    }

    /// Notes that a file was written to and may stay open.
    pub(super) fn wrote(&self, path: &Path, process: Option<Arc<Process>>) {
        let displaced = self.writing().wrote(path, process, Instant::now());
        if let Some((path, process)) = displaced {
            self.written(&path, process);
        }
    }

    /// Passes on the files that were written to and are due. Returns when to do so again.
    pub(super) fn tell_due(&self) -> Option<Instant> {
        let due = self.writing().due(Instant::now());
        if !due.is_empty() {
            self.together(|| due.into_iter().for_each(|(path, process)| self.written(&path, process)));
        }
        self.writing().next()
    }

    fn written(&self, path: &Path, process: Option<Arc<Process>>) {
        self.tell(path, vec![Change::Written], false, process.as_ref());
        if self.watches(path) {
            self.scan(path, process);
        }
    }

    /// Passes on a name that was just made or moved here: a file with content, or a link to a file outside. A folder
    /// returns false: its tree is to be walked.
    pub(super) fn appeared(&self, path: PathBuf, process: Option<Arc<Process>>, moved: bool) -> bool {
        let Ok(meta) = path.symlink_metadata() else { return true };
        if meta.is_dir() {
            return false;
        }
        // An empty file is told of again when it is written to or closed.
        let may_be_all = meta.is_symlink() || moved || meta.len() > 0 || meta.nlink() > 1;
        if may_be_all && self.is_content(&path, &meta) {
            self.changed(&path, process);
        }
        true
    }

    /// Passes on a file or link that a walk found, as soon as there is room. Returns false when nobody listens any more.
    pub(super) fn found(&self, path: &Path, meta: &Metadata) -> bool {
        if !self.is_content(path, meta) {
            return true;
        }
        self.writing().closed(path);
        self.events.blocking_send(event(path, None)).is_ok()
    }

    /// Tells whether there is something to scan behind a name: a file, or a link to one outside.
    fn is_content(&self, path: &Path, meta: &Metadata) -> bool {
        if meta.is_symlink() {
            return self.followed(path).is_some();
        }
        if meta.nlink() > 1 {
            self.links.alias(path, meta);
        }
        meta.is_file()
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

    fn scan(&self, path: &Path, process: Option<Arc<Process>>) {
        let event = event(path, process);
        let mut held = self.held();
        held.changed.push(event);
        self.pass_on(&mut held);
    }

    fn send(&self, event: FileEvent) {
        // Where the queue is closed nobody listens any more.
        let Err(TrySendError::Full(event)) = self.events.try_send(event) else { return };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let since = event.at.saturating_sub(LATE).unwrap_or(Timestamp::MIN);
        left.get_or_insert(Left { since, count: 0 }).count += 1;
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn event(path: &Path, process: Option<Arc<Process>>) -> FileEvent {
    FileEvent { path: scope(path), at: Timestamp::now(), process }
}

/// Tells whether a path is a folder or below it. Both are real and without detours, so their bytes say it; to take paths
/// apart costs many times as much, and is done for each event.
fn is_in(path: &Path, folder: &Path) -> bool {
    let (path, folder) = (path.as_os_str().as_bytes(), folder.as_os_str().as_bytes());
    let below = path.strip_prefix(folder);
    below.is_some_and(|below| below.is_empty() || below.starts_with(b"/") || folder.ends_with(b"/"))
}

#[cfg(test)]
mod tests {
    use khien_core::Untrusted;

    use super::*;

    #[test]
    fn what_finds_no_room_is_noted_and_nobody_waits() {
        let (events, mut queue) = mpsc::channel(1);
        let sink = Sink::new(events, Vec::new(), Arc::default());
        let before = Timestamp::now();

        ["/a", "/b", "/c"].iter().for_each(|path| sink.changed(Path::new(path), None));

        let left = sink.left().expect("two found no room");
        assert_eq!((left.count, left.since < before), (2, true));
        assert_eq!(sink.left(), None);
        assert_eq!(queue.try_recv().map(|event| event.path), Ok("/a".into()));
    }

    #[test]
    fn what_is_done_together_is_passed_on_when_it_is_done_and_in_order() {
        let mut activities = Activities::default();
        let mut heard = activities.listen();
        let (events, mut queue) = mpsc::channel(8);
        let sink = Sink::new(events, Vec::new(), Arc::new(activities));

        sink.together(|| {
            for path in ["/a", "/b"] {
                sink.tell(Path::new(path), vec![Change::Created, Change::Written], false, None);
                sink.changed(Path::new(path), None);
            }
            assert!(heard.queue.is_empty() && queue.is_empty());
        });

        let told = std::iter::from_fn(|| heard.queue.try_recv().ok()).map(|a| (a.path, a.change));
        let both = |path| [Change::Created, Change::Written].map(|change| (Untrusted::from(path), change));
        assert_eq!(told.collect::<Vec<_>>(), [both("/a"), both("/b")].concat());
        let scanned = std::iter::from_fn(|| queue.try_recv().ok()).map(|event| event.path);
        assert_eq!(scanned.collect::<Vec<_>>(), ["/a", "/b"].map(Untrusted::from));
        sink.changed(Path::new("/c"), None);
        assert_eq!(queue.try_recv().map(|event| event.path), Ok("/c".into()));
    }

    #[test]
    fn much_that_is_done_together_does_not_wait_for_its_end() {
        let (events, queue) = mpsc::channel(2 * TOGETHER);
        let sink = Sink::new(events, Vec::new(), Arc::default());

        sink.together(|| {
            (0..TOGETHER + 1).for_each(|n| sink.changed(Path::new(&format!("/{n}")), None));
            assert_eq!(queue.len(), TOGETHER);
        });

        assert_eq!(queue.len(), TOGETHER + 1);
    }

    #[test]
    fn a_folder_is_found_in_a_path_as_its_parts_say() {
        let paths = ["/", "/srv", "/srv/web", "/srv/website", "/srv/web/a", "/srv/we", "/s"].map(Path::new);
        for (path, folder) in paths.iter().flat_map(|path| paths.iter().map(move |folder| (path, folder))) {
            assert_eq!(is_in(path, folder), path.starts_with(folder), "{path:?} in {folder:?}");
        }
    }

    #[test]
    fn an_excluded_folder_may_be_written_with_detours() {
        let sink = Sink::new(mpsc::channel(1).0, vec!["/srv//./web/".into()], Arc::default());

        assert!(sink.excludes(Path::new("/srv/web")) && sink.excludes(Path::new("/srv/web/a")));
        assert!(!sink.excludes(Path::new("/srv/website")));
    }

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
    fn a_mount_that_is_left_out_is_watched_only_where_a_folder_on_it_was_chosen() {
        let sink = Sink::new(mpsc::channel(1).0, Vec::new(), Arc::default());
        sink.watch(vec!["/srv".into(), "/srv/nfs/site".into()]);
        sink.leave_out(vec!["/srv/nfs".into()]);

        assert!(sink.watches(Path::new("/srv/a")) && sink.watches(Path::new("/srv/nfs-not/a")));
        assert!(!sink.watches(Path::new("/srv/nfs/a")) && !sink.watches(Path::new("/srv/nfs")));
        assert!(sink.watches(Path::new("/srv/nfs/site/a")));
    }

    #[test]
    fn what_is_observed_is_told_of_and_not_watched_and_the_agents_own_is_neither() {
        let sink = Sink::new(mpsc::channel(1).0, vec!["/etc/khien".into()], Arc::default());
        sink.observed.really(["/etc".into()].into());

        assert!(sink.hears(Path::new("/etc/cron.d/a")) && !sink.watches(Path::new("/etc/cron.d/a")));
        assert!(!sink.hears(Path::new("/etc/khien/key")) && !sink.hears(Path::new("/srv/a")));
    }
}
