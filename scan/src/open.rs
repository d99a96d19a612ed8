//! Opens a file for scanning without being led elsewhere, without waking what is behind it, without changing it.

use std::{fs::File, io, os::unix::ffi::OsStrExt, path::Path};

use khien_core::{Timestamp, Untrusted, event::FileFacts};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2},
    io::Errno,
};
use serde::{Deserialize, Serialize};

/// A regular file, opened for reading, and its inode at that moment.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its inode when it was opened.
    pub inode: Inode,
}

/// What of an inode changes when its content does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inode {
    /// The device that it is on.
    pub device: u64,
    /// Its number there.
    pub number: u64,
    /// Its last change of any kind, in seconds and nanoseconds since 1970.
    pub changed: (i64, i64),
    /// The last change of its content, likewise.
    pub modified: (i64, i64),
    /// Its size in bytes.
    pub size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Why there is nothing to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// It is gone, or a link or folder is in its place: what is there now has an event of its own.
    Elsewhere,
    /// It is no regular file or may not be read.
    Unreadable,
}

impl Opened {
    /// Opens a regular file at a path of which no part is a link, or what a link leads to: who names a link here has
    /// seen that it leads to a file. Whatever is there now, only a regular file is opened.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn at_or_behind(path: &Path) -> Result<Self, NotOpened> {
        match Self::at(path) {
            Err(NotOpened::Elsewhere) if path.is_symlink() => {
                Self::at(&path.canonicalize().map_err(|_| NotOpened::Elsewhere)?)
            }
            done => done,
        }
    }

    /// Opens a regular file at a path of which no part is a link. Looks what it is before it opens it for reading:
    /// opening a pipe or a device is itself an act.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn at(path: &Path) -> Result<Self, NotOpened> {
        let place = place(path).map_err(not_opened)?;
        let found = fstat(&place).map_err(not_opened)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink | FileType::Directory => return Err(NotOpened::Elsewhere),
            _ => return Err(NotOpened::Unreadable),
        }
        let file = read(&place).map_err(not_opened)?;
        Ok(Self { file, inode: Inode::of(&found) })
    }

    /// Tells what the inode is now.
    ///
    /// # Errors
    /// Those of `fstat`.
    pub fn now(file: &File) -> io::Result<Inode> {
        Ok(Inode::of(&fstat(file)?))
    }
}

impl Inode {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            number: stat.st_ino,
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }
    }

    /// Returns it as a detection shows it.
    #[must_use]
    pub fn facts(&self, owner: Option<Untrusted>) -> FileFacts {
        let (seconds, nanos) = self.modified;
        FileFacts {
            inside: khien_core::event::Inside::default(),
            size: self.size,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            owner,
            modified: Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0))
                .unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    /// Returns the owner's user id.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.uid
    }
}

fn place(path: &Path) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let beneath = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(CWD, path.as_os_str().as_bytes(), flags, Mode::empty(), beneath) {
        // Before Linux 5.6, and under some container filters.
        Err(Errno::NOSYS | Errno::PERM) => open(path, flags, Mode::empty()),
        done => done,
    }
}

/// Without the owner's leave or `CAP_FOWNER` the access time cannot be spared.
fn read(place: &rustix::fd::OwnedFd) -> rustix::io::Result<File> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match open(&path, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => open(&path, flags, Mode::empty()),
        done => done,
    }
    .map(File::from)
}

fn not_opened(e: Errno) -> NotOpened {
    match e {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE => NotOpened::Elsewhere,
        _ => NotOpened::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    fn tree() -> (tempfile::TempDir, std::path::PathBuf) {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().canonicalize().unwrap();
        (tree, path)
    }

    #[test]
    fn a_link_is_not_followed_at_any_place() {
        let (_tree, dir) = tree();
        std::fs::create_dir(dir.join("real")).unwrap();
        std::fs::write(dir.join("real/file"), "x").unwrap();
        symlink(dir.join("real"), dir.join("folder")).unwrap();
        symlink(dir.join("real/file"), dir.join("link")).unwrap();

        assert!(Opened::at(&dir.join("real/file")).is_ok());
        assert_eq!(Opened::at(&dir.join("folder/file")).unwrap_err(), NotOpened::Elsewhere);
        assert_eq!(Opened::at(&dir.join("link")).unwrap_err(), NotOpened::Elsewhere);
    }

    #[test]
    fn behind_a_link_only_a_regular_file_is_opened() {
        let (_tree, dir) = tree();
        std::fs::write(dir.join("file"), "content").unwrap();
        rustix::fs::mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        for (link, target) in
            [("link", "file"), ("second", "link"), ("round", "round"), ("hole", "none"), ("tube", "pipe")]
        {
            symlink(target, dir.join(link)).unwrap();
        }

        assert_eq!(Opened::at_or_behind(&dir.join("second")).unwrap().inode.size, 7);
        assert_eq!(Opened::at_or_behind(&dir.join("round")).unwrap_err(), NotOpened::Elsewhere);
        assert_eq!(Opened::at_or_behind(&dir.join("hole")).unwrap_err(), NotOpened::Elsewhere);
        assert_eq!(Opened::at_or_behind(&dir.join("tube")).unwrap_err(), NotOpened::Unreadable);
    }

    #[test]
    fn pipes_and_sockets_are_not_opened_and_a_folder_has_no_content() {
        let (_tree, dir) = tree();
        let _socket = UnixListener::bind(dir.join("socket")).unwrap();
        rustix::fs::mknodat(CWD, dir.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();

        assert_eq!(Opened::at(&dir.join("socket")).unwrap_err(), NotOpened::Unreadable);
        assert_eq!(Opened::at(&dir.join("pipe")).unwrap_err(), NotOpened::Unreadable);
        assert_eq!(Opened::at(&dir).unwrap_err(), NotOpened::Elsewhere);
        assert_eq!(Opened::at(&dir.join("gone")).unwrap_err(), NotOpened::Elsewhere);
    }
}
