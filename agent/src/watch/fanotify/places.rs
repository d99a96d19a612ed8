//! Where the folders are that events name by handle.
//!
//! Asking costs several system calls, so an answer is good for a moment, unless a folder was moved or a mount is new. A
//! folder that is gone was where it was last known to be.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::fs::{Mode, OFlags};

use super::sys::{self, Handle};
use crate::{scan::recent::Recent, watch::mounts::Mount};

/// Folders remembered.
const FOLDERS: usize = 8_192;
/// For so long an answer is good.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// What the kernel writes behind the path of something that was removed.
const REMOVED: &[u8] = b" (deleted)";

/// A folder as events name it: file system and handle.
pub(super) type Key = (u64, Handle);

/// The mounts through which handles are opened, and the folders that were found.
pub(super) struct Places {
    marked: Vec<Marked>,
    known: Recent<Key, (Instant, Arc<[PathBuf]>)>,
}

/// Why a folder was not found.
#[derive(Debug)]
pub(super) enum Lost {
    /// It is not there any more.
    Gone,
    /// It is there, and cannot be opened.
    Closed(io::Error),
}

/// A mount. It is not kept open: nobody must be kept from unmounting it.
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

impl Default for Places {
    fn default() -> Self {
        Self { marked: Vec::new(), known: Recent::new(FOLDERS) }
    }
}

impl Places {
    /// Adds a mount whose handles can be opened. Returns whether it is new.
    pub(super) fn add(&mut self, mount: &Mount) -> io::Result<bool> {
        let root = open_folder(&mount.point)?;
        let device = rustix::fs::fstat(&root)?.st_dev;
        let fsid = rustix::fs::fstatvfs(&root)?.f_fsid;
        if self.marked.iter().any(|m| m.point == mount.point && m.device == device && m.fsid == fsid) {
            return Ok(false);
        }
        sys::open(root.as_fd(), &sys::handle_of(root.as_fd())?)?;
        self.forget();
        self.marked.retain(|m| m.point != mount.point);
        self.marked.push(Marked { point: mount.point.clone(), device, fsid });
        Ok(true)
    }

    /// Forgets what was found: something may be elsewhere now.
    pub(super) fn forget(&mut self) {
        self.known = Recent::new(FOLDERS);
    }

    /// Finds where a folder is: a path for each mount of its file system from which it can be seen.
    pub(super) fn find(&mut self, folder: &Key) -> Result<Arc<[PathBuf]>, Lost> {
        let known = self.known.get(folder);
        if let Some((_, paths)) = known.filter(|(at, _)| at.elapsed() < GOOD_FOR) {
            return Ok(Arc::clone(paths));
        }
        match (self.ask(folder), known) {
            (Err(Lost::Gone), Some((_, paths))) => Ok(Arc::clone(paths)),
            (Err(lost), _) => Err(lost),
            (Ok(paths), _) => {
                let paths: Arc<[PathBuf]> = paths.into();
                self.known.put(folder.clone(), (Instant::now(), Arc::clone(&paths)));
                Ok(paths)
            }
        }
    }

    /// Learns of a folder that was just made or removed where it is, or was.
    pub(super) fn learn(&mut self, folder: Key, paths: Vec<PathBuf>) {
        self.known.put(folder, (Instant::now(), paths.into()));
    }

    fn ask(&self, (fsid, handle): &Key) -> Result<Vec<PathBuf>, Lost> {
        let (mut paths, mut lost) = (Vec::new(), None);
        for root in self.roots(*fsid) {
            match sys::open(root.as_fd(), handle).and_then(|folder| path_of(&folder)) {
                Ok(path) if is_removed(&path) => lost = Some(Lost::Gone),
                Ok(path) => paths.push(path),
                Err(e) if is_gone(&e) => lost = lost.or(Some(Lost::Gone)),
                Err(e) => lost = Some(Lost::Closed(e)),
            }
        }
        match lost {
            Some(lost) if paths.is_empty() => Err(lost),
            _ => Ok(paths),
        }
    }

    /// Opens what a handle names, seen from each mount of its file system.
    pub(super) fn open(&self, fsid: u64, handle: &Handle) -> impl Iterator<Item = OwnedFd> {
        self.roots(fsid).filter_map(|root| sys::open(root.as_fd(), handle).ok())
    }

    fn roots(&self, fsid: u64) -> impl Iterator<Item = OwnedFd> {
        self.marked.iter().filter(move |m| m.fsid == fsid).filter_map(Marked::root)
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Returns where an open file or folder is now.
pub(super) fn path_of(open: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd()))
}

fn is_gone(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::ESTALE) || e.kind() == io::ErrorKind::NotFound
}

/// A folder may bear such a name too.
fn is_removed(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().ends_with(REMOVED) && path.symlink_metadata().is_err()
}
