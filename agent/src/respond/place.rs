//! Finds a file by its path without being led astray: every step from `/` is a real folder, never a link.

use std::{fs::File, os::fd::OwnedFd};

use khien_core::reason::Reason;
use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use super::os;

/// The longest path the kernel takes.
const MAX_PATH: usize = 4_096;
/// How often a lookup that met a rename is tried again.
const TRIES: usize = 16;
const NO_LINKS: ResolveFlags =
    ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::BENEATH);

/// A place for a file: its opened folder, and a name in it.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder.
    pub(super) dir: OwnedFd,
    /// The name, without a slash.
    pub(super) name: Vec<u8>,
}

/// What tells one file from another and one state of it from a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    dev: u64,
    ino: u64,
    size: i64,
    changed: (i64, i64),
    modified: (i64, i64),
    links: u64,
}

impl Identity {
    /// Reads it from what the kernel says.
    pub(super) fn of(stat: &Stat) -> Self {
        #[expect(clippy::unnecessary_cast, reason = "the types of these fields differ between architectures")]
        Self {
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            size: stat.st_size as i64,
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            links: stat.st_nlink as u64,
        }
    }

    /// Tells whether this is the other one after no more than a new name, which moves the time of the last change.
    pub(super) fn is_but_for_its_name(self, other: Self) -> bool {
        self == Self { changed: self.changed, ..other }
    }
}

impl Place {
    /// Finds the folder of an absolute path. `Ok(None)` if there is no such folder.
    pub(super) fn find(path: &[u8]) -> Result<Option<Self>, Reason> {
        let (parents, name) = split(path)?;
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Reason::CannotOpenRoot { error: os(e) })?;
        let parents = if parents.is_empty() { b"." } else { parents };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(&root, parents, flags) {
            Ok(dir) => Ok(Some(Self { dir, name: name.to_vec() })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(Reason::CannotOpenFolder { error: os(error) }),
        }
    }

    /// Opens the file for reading; a regular one or none. `Ok(None)` if nothing is there.
    pub(super) fn open(&self) -> Result<Option<(File, Stat)>, Reason> {
        // Not blocking: a pipe put in the file's place must not hold the agent.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let opened = match openat2(&self.dir, &self.name, flags | OFlags::NOATIME) {
            Err(Errno::PERM) => openat2(&self.dir, &self.name, flags),
            other => other,
        };
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(Reason::CannotOpenFile { error: os(error) }),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| Reason::CannotLook { error: os(e) })?;
        match rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            true => Ok(Some((File::from(fd), stat))),
            false => Err(Reason::NotRegularFile),
        }
    }

    /// Looks at what bears the name now, without following it.
    pub(super) fn look(&self) -> Result<Option<Stat>, Reason> {
        match rustix::fs::statat(&self.dir, &self.name[..], AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Reason::CannotLook { error: os(error) }),
        }
    }

    /// Has the folder's names written to disk. What was done is done in any case; whether it survives a power cut is
    /// told by the step that verifies.
    pub(super) fn sync(&self) {
        let _ = rustix::fs::fsync(&self.dir);
    }
}

/// Opens relative to a folder, without links; tries again when the kernel says that a rename got in between.
fn openat2(dir: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(dir, path, flags, Mode::empty(), NO_LINKS) {
            Err(Errno::AGAIN) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

/// Splits an absolute path into its folders, relative to `/`, and its last name.
fn split(path: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let plain = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
    let relative =
        path.strip_prefix(b"/").filter(|r| r.len() < MAX_PATH && r.split(|b| *b == b'/').all(plain));
    let Some(relative) = relative else {
        return Err(Reason::NotPlainPath);
    };
    Ok(match relative.iter().rposition(|b| *b == b'/') {
        Some(at) => (&relative[..at], &relative[at + 1..]),
        None => (&[], relative),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_walked() {
        for bad in ["", "/", "a", "/a/", "//a", "/a/../b", "/./a", "/a\0b"] {
            assert!(split(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(split(b"/a/b/c").unwrap(), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"/c").unwrap(), (&b""[..], &b"c"[..]));
    }
}
