//! fanotify: the kernel's own report of every change on a whole file system, with the process that made it.
//!
//! One mark covers all of a file system, so a folder made a moment ago is seen like any other. What is outside the
//! watched folders is dropped here. An event names a folder by handle; where that folder is now is asked at once. While much
//! happens events gather before they are read, and what they bring is passed on together: who waits for it is woken once.

mod gather;
mod mask;
mod orphans;
mod places;
mod record;
mod sys;

use std::{
    collections::HashMap,
    ffi::OsStr,
    hash::{BuildHasher, RandomState},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use khien_core::{Timestamp, event::Process, reason::Reason};
use tracing::{debug, warn};

use self::{
    gather::Gather,
    mask::Mask,
    orphans::{Orphan, Orphans},
    places::{Key, Lost, Places, path_of},
    record::{Event, Place},
};
use super::{
    Sink,
    mounts::Mount,
    process::Who,
    walker::{Walker, scope},
};
use crate::scan::recent::Recent;

/// Room for some hundred events.
const BUFFER: usize = 64 << 10;

/// For so long it is remembered which file a process writes to, so that a write costs next to nothing to look up.
const SAME_FILE: Duration = Duration::from_secs(1);

/// Writers remembered.
const WRITERS: usize = 4_096;

/// Processes of which a descriptor is kept open.
const PINNED: usize = 32;

/// With more room than this left in the buffer, the kernel had no other event.
const LONGEST_EVENT: usize = 1 << 10;

/// A notification group and the file systems it marks.
pub(super) struct Fanotify {
    group: OwnedFd,
    places: Places,
    orphans: Orphans,
    who: Who,
    /// Who was asked for since the events were read that are being passed on, and whether it was there then. All of them had
    /// happened by then, so that one answer holds for all of one process.
    asked: HashMap<(u32, bool), Arc<Process>>,
    /// Of the processes met last, by id. As long as one of its descriptors is open, the kernel makes another from it at half
    /// the price.
    pinned: Recent<i32, OwnedFd>,
    gather: Gather,
    /// By process, folder and name: when it was looked up, and which watched file it is, if one.
    writers: Recent<u64, (Instant, Option<PathBuf>)>,
    hash: RandomState,
    buffer: Vec<u8>,
    /// The agent's own process id.
    own: u32,
    /// When the kernel's queue was last seen empty: up to here nothing was lost.
    sound: Timestamp,
}

/// Where events go.
#[derive(Clone, Copy)]
struct Out<'o> {
    sink: &'o Sink,
    walker: &'o Walker,
}

/// What was kept because its folder was gone.
enum Kept {
    /// A folder, and where it was.
    Folder(Key, Vec<PathBuf>),
    /// What happened to a name.
    Event(Box<Orphan>, PathBuf),
}

/// A name of an event, and whether it is there now, as far as that matters.
struct Named {
    path: PathBuf,
    there: bool,
}

impl Fanotify {
    /// Makes a group, if this process may.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            group: sys::init()?,
            places: Places::default(),
            orphans: Orphans::default(),
            who: Who::default(),
            asked: HashMap::new(),
            pinned: Recent::new(PINNED),
            gather: Gather::default(),
            writers: Recent::new(WRITERS),
            hash: RandomState::new(),
            buffer: vec![0; BUFFER],
            own: std::process::id(),
            sound: Timestamp::now(),
        })
    }

    /// Marks the file system of a mount, and makes sure that its handles can be opened. Returns whether it is new.
    pub(super) fn mark(&mut self, mount: &Mount) -> io::Result<bool> {
        // Marked again each time: another file system at this place may have got the numbers of the one before.
        sys::mark(self.group.as_fd(), &mount.point)?;
        let is_new = self.places.add(mount)?;
        if is_new {
            self.writers = Recent::new(WRITERS);
        }
        Ok(is_new)
    }

    /// Waits for events at most so long and passes them on.
    pub(super) fn read(&mut self, at_most: Duration, sink: &Sink, walker: &Arc<Walker>) -> io::Result<()> {
        if self.orphans.expire(Instant::now()) {
            debug!("what happened in folders that are gone is not known");
            sink.blind(self.sound);
        }
        thread::sleep(self.gather.rest(Instant::now()));
        if !sys::wait(self.group.as_fd(), at_most)? {
            self.sound = Timestamp::now();
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let (reading, began) = (Timestamp::now(), Instant::now());
        let read = rustix::io::read(&self.group, &mut buffer[..]);
        if let Ok(length) = read {
            let stranger = self.pass_on_all(&buffer[..length], Out { sink, walker });
            self.gather.read(began, length, stranger);
            if length < BUFFER - LONGEST_EVENT {
                self.sound = reading;
            }
        }
        self.buffer = buffer;
        match read {
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Passes on what was read. Returns whether it brought a process that was not known.
    fn pass_on_all(&mut self, read: &[u8], out: Out<'_>) -> bool {
        self.asked.clear();
        let strangers = self.who.strangers();
        out.sink.together(|| record::events(read).for_each(|event| self.pass_on(&event, out)));
        self.who.strangers() != strangers
    }

    fn pass_on(&mut self, event: &Event<'_>, out: Out<'_>) {
        let process = event.pidfd.and_then(sys::adopt);
        self.tell_apart(event, process.as_ref(), out);
        if let Some(process) = process {
            self.pinned.put(event.pid, process);
        }
    }

    fn tell_apart(&mut self, event: &Event<'_>, process: Option<&OwnedFd>, out: Out<'_>) {
        let mask = Mask(event.mask);
        if mask.is_overflow() {
            warn!("the kernel dropped file events");
            self.forget();
            return out.walker.blind(self.sound, Reason::EventQueueFull);
        }
        if mask.is_folder() && mask.is_moved() {
            // What was elsewhere may be here now.
            self.forget();
        }
        let is_own = event.pid.cast_unsigned() == self.own;
        if is_own || !(mask.may_bring_content() || out.sink.is_heard()) {
            return;
        }
        match mask.is_only_write() {
            true => self.wrote(event, process, out),
            false => self.happened(event, process, out),
        }
    }

    fn forget(&mut self) {
        self.places.forget();
        self.writers = Recent::new(WRITERS);
    }

    /// A file was written to and may stay open. Of many writes to one file, most end here without a look at the file.
    fn wrote(&mut self, event: &Event<'_>, process: Option<&OwnedFd>, out: Out<'_>) {
        let Some(place) = &event.place else { return };
        let writer = self.hash.hash_one((event.pid, &place.folder, place.name));
        if let Some((at, path)) = self.writers.get(&writer)
            && at.elapsed() < SAME_FILE
        {
            return path.iter().for_each(|path| out.sink.wrote(path, None));
        }
        let path = self.named(event, place, out).ok().flatten().map(|named| named.path);
        if let Some(path) = &path {
            let who = self.process(event, process);
            out.sink.tell(path, Mask(event.mask).changes(true, None), false, who.as_ref());
            out.sink.wrote(path, who);
        }
        self.writers.put(writer, (Instant::now(), path));
    }

    /// Something happened to a name.
    fn happened(&mut self, event: &Event<'_>, process: Option<&OwnedFd>, out: Out<'_>) {
        // Without a name it is the link count of an inode: its names are told of on their own.
        let Some(place) = &event.place else { return };
        let mask = Mask(event.mask);
        let from = event.from.as_ref().and_then(|from| {
            let folders = self.folders(&from.folder, out).ok()?;
            heard(&folders, from.name, out.sink)
        });
        let named = match self.named(event, place, out) {
            Ok(named) => named,
            Err(()) => return self.keep(event, place, process, out),
        };
        if named.is_none() && from.is_none() {
            return;
        }
        let who = self.process(event, process);
        let Some(named) = named else {
            let moved_out = Mask(libc::FAN_MOVED_FROM).changes(false, None);
            return from
                .iter()
                .for_each(|f| out.sink.tell(f, moved_out.clone(), mask.is_folder(), who.as_ref()));
        };
        let changes = mask.changes(named.there, from.as_deref().map(scope));
        out.sink.tell(&named.path, changes, mask.is_folder(), who.as_ref());
        if named.there || !mask.is_removed() {
            pass_on(mask, named.path, who, out);
        }
    }

    /// Keeps what happened in a folder that is gone until the removal of that folder says where it was.
    fn keep(&mut self, event: &Event<'_>, place: &Place<'_>, process: Option<&OwnedFd>, out: Out<'_>) {
        if !out.sink.is_heard() {
            return;
        }
        let target = Mask(event.mask).is_folder().then(|| target_of(event)).flatten();
        let process = self.process(event, process);
        let orphan = Orphan { name: place.name.to_owned(), mask: event.mask, target, process };
        if !self.orphans.keep(place.folder.clone(), orphan, Instant::now()) {
            out.sink.blind(self.sound);
        }
    }

    /// Tells what was kept, now that it is known where a folder was. What was in a folder comes before its removal.
    fn tell_kept(&mut self, folder: Key, paths: Vec<PathBuf>, out: Out<'_>) {
        let mut steps = vec![Kept::Folder(folder, paths)];
        while let Some(step) = steps.pop() {
            let (folder, paths) = match step {
                Kept::Folder(folder, paths) => (folder, paths),
                Kept::Event(orphan, path) => {
                    let mask = Mask(orphan.mask);
                    let changes = mask.changes(false, None);
                    out.sink.tell(&path, changes, mask.is_folder(), orphan.process.as_ref());
                    continue;
                }
            };
            // The last one pushed is the next.
            for orphan in self.orphans.of(&folder).into_iter().rev() {
                let (target, its_paths) = (orphan.target.clone(), below(&paths, &orphan.name));
                let path = heard(&paths, &orphan.name, out.sink);
                steps.extend(path.map(|path| Kept::Event(Box::new(orphan), path)));
                steps.extend(target.map(|target| Kept::Folder(target, its_paths)));
            }
        }
    }

    /// Finds where a folder is. None is told as an error: it is gone.
    fn folders(&mut self, folder: &Key, out: Out<'_>) -> Result<Arc<[PathBuf]>, ()> {
        self.places.find(folder).map_err(|lost| match lost {
            Lost::Gone => debug!("the folder of an event is gone"),
            Lost::Closed(e) => {
                // Told once by the walk that follows; a line for each event would fill the log.
                debug!(%e, "the folder of an event cannot be opened");
                out.walker.blind(self.sound, Reason::ChangedFolderNotOpened);
            }
        })
    }

    /// Finds the name of an event in what is watched or observed. An error is a folder that is gone.
    fn named(&mut self, event: &Event<'_>, place: &Place<'_>, out: Out<'_>) -> Result<Option<Named>, ()> {
        let (mask, sink) = (Mask(event.mask), out.sink);
        let folders = self.folders(&place.folder, out);
        if let (Ok(folders), true, Some(target)) = (&folders, mask.is_folder(), target_of(event)) {
            self.learn(target, below(folders, place.name), mask, out);
        }
        let path = folders.as_ref().ok().and_then(|folders| heard(folders, place.name, sink));
        if !mask.is_write() && !mask.is_unordered() {
            return folders.map(|_| path.map(|path| Named { path, there: true }));
        }
        let there = path.as_ref().is_some_and(|path| path.symlink_metadata().is_ok());
        let may_have_another = mask.is_write() && !there && (path.is_some() || sink.links.has_aliases());
        if may_have_another && let Some(path) = self.other_name(event, sink) {
            return Ok(Some(Named { path, there: true }));
        }
        let nameless = !there && is_nameless(place.name);
        folders.map(|_| path.filter(|_| !nameless).map(|path| Named { path, there }))
    }

    /// A folder was made or removed, or its inode changed: it is known where it is without asking.
    fn learn(&mut self, folder: Key, paths: Vec<PathBuf>, mask: Mask, out: Out<'_>) {
        if mask.is_removed() {
            self.tell_kept(folder.clone(), paths.clone(), out);
        }
        self.places.learn(folder, paths);
    }

    /// Finds the watched name of a file that was changed under a name that is not watched, or had none when it was
    /// opened.
    fn other_name(&self, event: &Event<'_>, sink: &Sink) -> Option<PathBuf> {
        let (fsid, target) = target_of(event)?;
        for file in self.places.open(fsid, &target) {
            let found = rustix::fs::fstat(&file).ok()?;
            let is_it = |path: &PathBuf| {
                let meta = path.symlink_metadata();
                meta.is_ok_and(|m| (m.dev(), m.ino()) == (found.st_dev, found.st_ino))
            };
            let known = sink.links.alias_of(found.st_dev, found.st_ino);
            let path = known.or_else(|| path_of(&file).ok().filter(is_it));
            if let Some(path) = path.filter(|path| sink.watches(path)) {
                return Some(path);
            }
        }
        None
    }

    /// Asks who it was. A process id without a living process behind it may be another's by now.
    fn process(&mut self, event: &Event<'_>, process: Option<&OwnedFd>) -> Option<Arc<Process>> {
        let pid = u32::try_from(event.pid).ok().filter(|pid| *pid > 0)?;
        let asked = (pid, process.is_some());
        if let Some(known) = self.asked.get(&asked) {
            return Some(Arc::clone(known));
        }
        let is_its_own = || match (event.pidfd, process) {
            (None, _) => true,
            (Some(_), Some(process)) => sys::is_there(process.as_fd()),
            (Some(_), None) => false,
        };
        let who = self.who.is(pid, is_its_own);
        self.asked.insert(asked, Arc::clone(&who));
        Some(who)
    }
}

/// Passes a name on to the scan, or a folder that was moved here to the walk.
fn pass_on(mask: Mask, path: PathBuf, who: Option<Arc<Process>>, out: Out<'_>) {
    if !out.sink.watches(&path) {
        match mask.is_closed() {
            true => out.sink.closed(&path),
            false if mask.is_write() => out.sink.wrote(&path, who),
            false => {}
        }
    } else if mask.is_folder() {
        if mask.is_moved_in() {
            out.walker.tree(path);
        }
    } else if mask.is_closed() {
        out.sink.changed(&path, who);
    } else if mask.is_new() {
        out.sink.appeared(path, who, mask.is_moved_in());
    } else if mask.is_write() {
        out.sink.wrote(&path, who);
    }
}

fn target_of(event: &Event<'_>) -> Option<Key> {
    event.target.clone()
}

/// Returns the first of these names that is watched or observed.
fn heard(folders: &[PathBuf], name: &[u8], sink: &Sink) -> Option<PathBuf> {
    folders.iter().map(|folder| joined(folder, name)).find(|path| sink.hears(path))
}

fn below(folders: &[PathBuf], name: &[u8]) -> Vec<PathBuf> {
    folders.iter().map(|folder| joined(folder, name)).collect()
}

/// The kernel calls a file without a name (O_TMPFILE) by its number.
pub(super) fn is_nameless(name: &[u8]) -> bool {
    name.split_first().is_some_and(|(first, rest)| *first == b'#' && rest.iter().all(u8::is_ascii_digit))
}

/// An event about a folder itself may name it as the dot in it.
fn joined(folder: &Path, name: &[u8]) -> PathBuf {
    if name == b"." {
        return folder.to_owned();
    }
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + 1 + name.len());
    path.push(folder);
    path.push(OsStr::from_bytes(name));
    path
}
