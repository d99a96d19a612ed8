//! fanotify: the kernel's own report of every change on a whole file system, with the process that made it.
//!
//! One mark covers all of a file system, so a folder made a moment ago is seen like any other. What is outside the
//! watched folders is dropped here. An event names a folder by handle; where that folder is now is asked at once.

mod record;
mod sys;

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use khien_core::{Timestamp, event::Process};
use tracing::{debug, warn};

use self::record::{Event, Place};
use super::{Sink, mounts::Mount, process::Who, sink::created_with_content, walker::Walker};

/// Room for some hundred events.
const BUFFER: usize = 64 << 10;

/// With more room than this left in the buffer, the kernel had no other event.
const LONGEST_EVENT: usize = 1 << 10;

/// A notification group and the file systems it marks.
pub(super) struct Fanotify {
    group: OwnedFd,
    marked: Vec<Marked>,
    who: Who,
    buffer: Vec<u8>,
    /// When the kernel's queue was last seen empty: up to here nothing was lost.
    sound: Timestamp,
}

/// A mount through which handles are opened.
struct Marked {
    point: PathBuf,
    device: u64,
    fsid: u64,
    root: OwnedFd,
}

impl Fanotify {
    /// Makes a group, if this process may.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            group: sys::init()?,
            marked: Vec::new(),
            who: Who::default(),
            buffer: vec![0; BUFFER],
            sound: Timestamp::now(),
        })
    }

    /// Marks the file system of a mount, and makes sure that its handles can be opened. Returns whether it is new.
    pub(super) fn mark(&mut self, mount: &Mount) -> io::Result<bool> {
        let device = rustix::fs::stat(&mount.point)?.st_dev;
        if self.marked.iter().any(|m| m.point == mount.point && m.device == device) {
            return Ok(false);
        }
        let root = open_folder(&mount.point)?;
        sys::open(root.as_fd(), &sys::handle_of(root.as_fd())?)?;
        let fsid = rustix::fs::fstatvfs(&root)?.f_fsid;
        sys::mark(self.group.as_fd(), &mount.point)?;
        self.marked.retain(|m| m.point != mount.point);
        self.marked.push(Marked { point: mount.point.clone(), device, fsid, root });
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
            walker.blind(self.sound, "the kernel's queue of file events was full");
            return;
        }
        if event.pid.cast_unsigned() == std::process::id() {
            return;
        }
        let Some(path) = event.place.as_ref().and_then(|place| self.path(place, walker)) else { return };
        if !sink.watches(&path) {
            return;
        }
        if event.mask & libc::FAN_ONDIR != 0 {
            if event.mask & libc::FAN_MOVED_TO != 0 {
                walker.tree(path);
            }
            return;
        }
        let who = self.process(event, process.as_ref());
        let whole = event.mask & (libc::FAN_CLOSE_WRITE | libc::FAN_MOVED_TO) != 0;
        if whole || created_with_content(&path) {
            sink.changed(path, who);
        }
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

    /// Finds where the folder of an event is now. One that is gone has nothing left to scan.
    fn path(&self, place: &Place<'_>, walker: &Arc<Walker>) -> Option<PathBuf> {
        let mut seen = None;
        for mount in self.marked.iter().filter(|m| m.fsid == place.fsid) {
            match sys::open(mount.root.as_fd(), &place.folder).and_then(|folder| path_of(&folder)) {
                Ok(folder) => {
                    let path = folder.join(OsStr::from_bytes(place.name));
                    if path.starts_with(&mount.point) {
                        return Some(path);
                    }
                    seen = seen.or(Some(path));
                }
                Err(e) if e.raw_os_error() == Some(libc::ESTALE) || e.kind() == io::ErrorKind::NotFound => {
                    debug!("the folder of an event is gone");
                }
                Err(e) => {
                    warn!(%e, "the folder of an event cannot be opened");
                    walker.blind(self.sound, "a folder with changes could not be opened");
                }
            }
        }
        seen
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
