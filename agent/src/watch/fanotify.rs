//! fanotify: the kernel's own report of every change on a whole file system, with the process that made it.
//!
//! One mark covers all of a file system, so a folder made a moment ago is seen like any other. What is outside the
//! watched folders is dropped here. An event names a folder by handle; where that folder is now is asked at once.

mod record;
mod sys;

use std::{
    ffi::OsStr,
    hash::{BuildHasher, RandomState},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{Timestamp, event::Process, reason::Reason};
use tracing::{debug, warn};

use self::record::{Event, Place};
use super::{Sink, mounts::Mount, process::Who, walker::Walker};
use crate::scan::recent::Recent;

/// Room for some hundred events.
const BUFFER: usize = 64 << 10;

/// For so long it is remembered which file a process writes to, so that a write costs next to nothing to look up.
const SAME_FILE: Duration = Duration::from_secs(1);

/// Writers remembered.
const WRITERS: usize = 4_096;

/// With more room than this left in the buffer, the kernel had no other event.
const LONGEST_EVENT: usize = 1 << 10;

/// An event with one of these is about a name, or ends a time of writing.
const NAMED_OR_CLOSED: u64 = libc::FAN_CREATE | libc::FAN_MOVED_TO | libc::FAN_CLOSE_WRITE;

/// A notification group and the file systems it marks.
pub(super) struct Fanotify {
    group: OwnedFd,
    marked: Vec<Marked>,
    who: Who,
    /// By process, folder and name: when it was looked up, and which watched file it is, if one.
    writers: Recent<u64, (Instant, Option<PathBuf>)>,
    hash: RandomState,
    buffer: Vec<u8>,
    /// When the kernel's queue was last seen empty: up to here nothing was lost.
    sound: Timestamp,
}

/// A mount through which handles are opened. It is not kept open: nobody must be kept from unmounting it.
struct Marked {
    point: PathBuf,
    device: u64,
    fsid: u64,
}

impl Marked {
    /// Opens it for a moment, if it is still the same file system.
    fn root(&self) -> Option<OwnedFd> {
        let root = open_folder(&self.point).ok()?;
        (rustix::fs::fstat(&root).ok()?.st_dev == self.device).then_some(root)
    }
}

impl Fanotify {
    /// Makes a group, if this process may.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            group: sys::init()?,
            marked: Vec::new(),
            who: Who::default(),
            writers: Recent::new(WRITERS),
            hash: RandomState::new(),
            buffer: vec![0; BUFFER],
            sound: Timestamp::now(),
        })
    }

    /// Marks the file system of a mount, and makes sure that its handles can be opened. Returns whether it is new.
    pub(super) fn mark(&mut self, mount: &Mount) -> io::Result<bool> {
        let root = open_folder(&mount.point)?;
        let device = rustix::fs::fstat(&root)?.st_dev;
        let fsid = rustix::fs::fstatvfs(&root)?.f_fsid;
        // Marked again each time: another file system at this place may have got the numbers of the one before.
        sys::mark(self.group.as_fd(), &mount.point)?;
        if self.marked.iter().any(|m| m.point == mount.point && m.device == device && m.fsid == fsid) {
            return Ok(false);
        }
        sys::open(root.as_fd(), &sys::handle_of(root.as_fd())?)?;
        self.marked.retain(|m| m.point != mount.point);
        self.marked.push(Marked { point: mount.point.clone(), device, fsid });
        Ok(true)
    }

    /// Waits for events at most so long and passes them on.
    pub(super) fn read(&mut self, at_most: Duration, sink: &Sink, walker: &Arc<Walker>) -> io::Result<()> {
        if !sys::wait(self.group.as_fd(), at_most)? {
            self.sound = Timestamp::now();
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let reading = Timestamp::now();
        let read = rustix::io::read(&self.group, &mut buffer[..]);
        if let Ok(length) = read {
            for event in record::events(&buffer[..length]) {
                self.pass_on(&event, sink, walker);
            }
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

    fn pass_on(&mut self, event: &Event<'_>, sink: &Sink, walker: &Arc<Walker>) {
        let process = event.pidfd.and_then(sys::adopt);
        if event.mask & libc::FAN_Q_OVERFLOW != 0 {
            warn!("the kernel dropped file events");
            walker.blind(self.sound, Reason::EventQueueFull);
            return;
        }
        if event.pid.cast_unsigned() == std::process::id() {
            return;
        }
        if event.mask & NAMED_OR_CLOSED == 0 {
            return self.wrote(event, process.as_ref(), sink, walker);
        }
        let Some(path) = self.path(event, sink, walker) else { return };
        if event.mask & libc::FAN_ONDIR != 0 {
            if event.mask & libc::FAN_MOVED_TO != 0 {
                // What was elsewhere may be here now.
                self.writers = Recent::new(WRITERS);
                walker.tree(path);
            }
            return;
        }
        let who = self.process(event, process.as_ref());
        if event.mask & libc::FAN_CLOSE_WRITE != 0 {
            sink.changed(path, who);
        } else {
            sink.appeared(path, who, event.mask & libc::FAN_MOVED_TO != 0);
        }
    }

    /// A file was written to and may stay open. Of many writes to one file, most end here without a look at the file.
    fn wrote(&mut self, event: &Event<'_>, process: Option<&OwnedFd>, sink: &Sink, walker: &Arc<Walker>) {
        let Some(place) = &event.place else { return };
        let writer = self.hash.hash_one((event.pid, place.fsid, &place.folder, place.name));
        if let Some((at, path)) = self.writers.get(&writer)
            && at.elapsed() < SAME_FILE
        {
            return path.iter().for_each(|path| sink.wrote(path, None));
        }
        let path = self.path(event, sink, walker);
        if let Some(path) = &path {
            let who = self.process(event, process);
            sink.wrote(path, who);
        }
        self.writers.put(writer, (Instant::now(), path));
    }

    /// Finds where in the watched folders it happened.
    fn path(&self, event: &Event<'_>, sink: &Sink, walker: &Arc<Walker>) -> Option<PathBuf> {
        let place = event.place.as_ref()?;
        let path = self.named(place, sink, walker);
        let nothing_more = match &path {
            Some(path) => path.symlink_metadata().is_ok(),
            None => !sink.links.has_aliases(),
        };
        if nothing_more || event.mask & (libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE) == 0 {
            return path;
        }
        self.other_name(event, place, sink).or(path)
    }

    /// Finds the watched name of a file that was changed under a name that is not watched, or had none when it was
    /// opened.
    fn other_name(&self, event: &Event<'_>, place: &Place<'_>, sink: &Sink) -> Option<PathBuf> {
        let target = event.target.as_ref()?;
        let roots = self.marked.iter().filter(|m| m.fsid == place.fsid).filter_map(Marked::root);
        for file in roots.filter_map(|root| sys::open(root.as_fd(), target).ok()) {
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
    fn process(&mut self, event: &Event<'_>, process: Option<&OwnedFd>) -> Option<Process> {
        let pid = u32::try_from(event.pid).ok().filter(|pid| *pid > 0)?;
        let is_its_own = || match (event.pidfd, process) {
            (None, _) => true,
            (Some(_), Some(process)) => sys::is_there(process.as_fd()),
            (Some(_), None) => false,
        };
        Some(self.who.is(pid, is_its_own))
    }

    /// Finds where in the watched folders a name is now. One file system may be mounted at several
    /// places, so each is asked. A folder that is gone has nothing left to scan.
    fn named(&self, place: &Place<'_>, sink: &Sink, walker: &Arc<Walker>) -> Option<PathBuf> {
        for mount in self.marked.iter().filter(|m| m.fsid == place.fsid) {
            let Some(root) = mount.root() else { continue };
            match sys::open(root.as_fd(), &place.folder).and_then(|folder| path_of(&folder)) {
                Ok(folder) => {
                    let path = folder.join(OsStr::from_bytes(place.name));
                    if sink.watches(&path) {
                        return Some(path);
                    }
                }
                Err(e) if e.raw_os_error() == Some(libc::ESTALE) || e.kind() == io::ErrorKind::NotFound => {
                    debug!("the folder of an event is gone");
                }
                Err(e) => {
                    // Told once by the walk that follows; a line for each event would fill the log.
                    debug!(%e, "the folder of an event cannot be opened");
                    walker.blind(self.sound, Reason::ChangedFolderNotOpened);
                }
            }
        }
        None
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)
}

fn path_of(folder: &OwnedFd) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}
