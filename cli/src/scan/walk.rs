//! Walks trees and names their files, one after the other, without ever holding a list of them.
//!
//! A link is not followed, but for one that was named. A pipe, socket or device is not opened. Other file systems are
//! walked too, but those that a kernel makes up (`/proc`, `/sys` and the like) only when they are named. `/dev` is
//! walked: only regular files are opened there, and files have been hidden there before.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
};

use khien_core::{
    Untrusted,
    event::ScanOutcome,
    reason::OsError,
    text::{Words, scan as t},
};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags, fstat, fstatfs, openat, statat},
};

use super::{
    again::{Again, Missing},
    feed::{Done, How, shown},
    processes::{self, Wanted},
};

/// Folders inside folders. Each level is one open folder, and a path of more cannot be opened anyway.
const MAX_DEEP: usize = 256;
/// Places that were left out and are named; the others are counted.
const MAX_LEFT_OUT: usize = 64;
/// File systems that a kernel makes up, by their magic number: proc, sysfs, cgroup and cgroup2, debugfs, tracefs,
/// securityfs, bpf, configfs, mqueue, pstore, efivarfs, fusectl, binfmt_misc, selinuxfs, devpts, nsfs, rpc_pipefs.
const MADE_UP: [u32; 18] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
    0x6265_6570,
    0x1980_0202,
    0x6165_676c,
    0xde5e_81e4,
    0x6573_5543,
    0x4249_4e4d,
    0xf97c_ff8c,
    0x1cd1,
    0x6e73_6673,
    0x6759_6969,
];

/// What a walk finds.
pub(crate) enum Found {
    /// A file.
    File(Listed),
    /// A process.
    Process {
        /// Its id.
        pid: u32,
        /// Whether it was named, and not only found.
        named: bool,
    },
    /// What cannot be walked or scanned.
    Not(Done),
}

/// A file as a walk met it.
#[derive(Debug)]
pub(crate) struct Listed {
    /// A path of which no part is a link.
    pub(crate) path: PathBuf,
    /// The number that its folder has for it, by which it can be looked for again.
    pub(crate) number: Option<u64>,
}

impl Listed {
    fn only(path: PathBuf) -> Found {
        Found::File(Self { path, number: None })
    }
}

/// What a walk passed by on purpose.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Folders that were walked.
    pub(crate) folders: u64,
    /// Links.
    pub(crate) links: u64,
    /// Pipes, sockets and devices.
    pub(crate) special: u64,
    /// File systems that were left out, the first of them.
    pub(crate) left_out: Vec<Untrusted>,
    /// How many more.
    pub(crate) more_left_out: u64,
}

/// One walk.
pub(crate) struct Walk {
    one_file_system: bool,
    stop: Arc<AtomicBool>,
    found: SyncSender<Found>,
    passed: Passed,
}

/// A folder that is being read.
struct Level {
    dir: Dir,
    path: PathBuf,
    device: u64,
}

/// Nobody wants more.
struct Stopped;

impl Walk {
    /// Prepares a walk that hands on what it finds.
    pub(crate) fn new(one_file_system: bool, stop: Arc<AtomicBool>, found: SyncSender<Found>) -> Self {
        Self { one_file_system, stop, found, passed: Passed::default() }
    }

    /// Walks all of these and returns what was passed by.
    pub(crate) fn run(mut self, roots: &[PathBuf]) -> Passed {
        for root in roots {
            if self.root(root).is_err() {
                break;
            }
        }
        self.passed
    }

    /// Names processes instead of files.
    pub(crate) fn processes(mut self, wanted: &Wanted) {
        let own = |pid: &u32| Done { path: Untrusted::default(), pid: Some(*pid), ended: How::Own };
        let own = wanted.own.iter().map(|pid| Found::Not(own(pid)));
        let others = wanted.pids.iter().map(|pid| Found::Process { pid: *pid, named: wanted.named });
        let hidden = wanted.hidden.then(|| Found::Not(processes::hidden()));
        // Nobody takes more when the scan is broken off.
        let _ = hidden.into_iter().chain(own).chain(others).try_for_each(|found| self.send(found));
    }

    /// Looks once more into folders of which files were gone: what has another name now is named by it.
    pub(crate) fn again(mut self, again: Again) {
        for (folder, mut missing) in again.folders {
            let found = self.found_again(&folder, &mut missing);
            if found.and_then(|()| self.gone(missing)).is_err() {
                return;
            }
        }
    }

    /// Names those that are there, and takes them out of what is missing. A folder that cannot be read any more has none.
    fn found_again(&mut self, folder: &Path, missing: &mut Missing) -> Result<(), Stopped> {
        let Ok(dir) = opened(CWD, folder.as_os_str()).and_then(|fd| Ok(Dir::new(fd)?)) else { return Ok(()) };
        let mut met = BTreeSet::new();
        for entry in dir.flatten().filter(|entry| missing.contains_key(&entry.ino())) {
            met.insert(entry.ino());
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            self.send(Listed::only(folder.join(name)))?;
        }
        missing.retain(|number, _| !met.contains(number));
        Ok(())
    }

    fn gone(&mut self, missing: Missing) -> Result<(), Stopped> {
        missing.into_values().flatten().try_for_each(|path| {
            self.send(Found::Not(Done { path: shown(&path), pid: None, ended: How::Gone(None) }))
        })
    }

    /// What is named may be a link: it is followed, and from there on none is.
    fn root(&mut self, named: &Path) -> Result<(), Stopped> {
        let real = named.canonicalize().and_then(|path| Ok((path.symlink_metadata()?.file_type(), path)));
        match real {
            Ok((kind, path)) if kind.is_file() => self.send(Listed::only(path)),
            Ok((kind, path)) if kind.is_dir() => self.tree(path),
            Ok((_, path)) => self.not(&path, ScanOutcome::Unreadable, t::NO_CONTENT.words()),
            Err(e) => self.unreadable(named, &e),
        }
    }

    fn tree(&mut self, path: PathBuf) -> Result<(), Stopped> {
        let mut levels = Vec::new();
        match opened(CWD, path.as_os_str()) {
            Ok(fd) => self.enter(fd, path, &mut levels)?,
            Err(e) => return self.unreadable(&path, &e),
        }
        while let Some(level) = levels.last_mut() {
            match level.dir.read() {
                None => drop(levels.pop()),
                Some(Ok(entry)) => self.entry(&entry, &mut levels)?,
                Some(Err(e)) => {
                    let path = level.path.clone();
                    levels.pop();
                    self.unreadable(&path, &e.into())?;
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, levels: &mut Vec<Level>) -> Result<(), Stopped> {
        let Some(level) = levels.last() else { return Ok(()) };
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            return Ok(());
        }
        let path = level.path.join(name);
        let number = Some(entry.ino());
        match kind(level, entry) {
            FileType::RegularFile => self.send(Found::File(Listed { path, number })),
            FileType::Directory => self.below(name, path, levels),
            FileType::Symlink => {
                self.passed.links += 1;
                Ok(())
            }
            // Its kind cannot be told: opening it will say why.
            FileType::Unknown => self.send(Found::File(Listed { path, number })),
            _ => {
                self.passed.special += 1;
                Ok(())
            }
        }
    }

    fn below(&mut self, name: &OsStr, path: PathBuf, levels: &mut Vec<Level>) -> Result<(), Stopped> {
        let Some(level) = levels.last() else { return Ok(()) };
        if levels.len() >= MAX_DEEP {
            return self.not(&path, ScanOutcome::LimitExceeded, t::TOO_DEEP.words_with(&[&MAX_DEEP]));
        }
        let place = match level.dir.fd() {
            Ok(parent) => opened(parent, name),
            Err(e) => Err(e.into()),
        };
        match place {
            Ok(fd) => self.enter(fd, path, levels),
            Err(e) => self.unreadable(&path, &e),
        }
    }

    /// Goes into a folder, unless it is another file system that is not to be walked.
    fn enter(&mut self, fd: OwnedFd, path: PathBuf, levels: &mut Vec<Level>) -> Result<(), Stopped> {
        let device = match fstat(&fd) {
            Ok(stat) => stat.st_dev,
            Err(e) => return self.unreadable(&path, &e.into()),
        };
        let is_other = levels.last().is_some_and(|above| above.device != device);
        if is_other && (self.one_file_system || is_made_up(&fd)) {
            self.leave_out(&path);
            return Ok(());
        }
        match Dir::new(fd) {
            Ok(dir) => {
                self.passed.folders += 1;
                levels.push(Level { dir, path, device });
                Ok(())
            }
            Err(e) => self.unreadable(&path, &e.into()),
        }
    }

    fn leave_out(&mut self, path: &Path) {
        match self.passed.left_out.len() < MAX_LEFT_OUT {
            true => self.passed.left_out.push(shown(path)),
            false => self.passed.more_left_out += 1,
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) -> Result<(), Stopped> {
        let why = OsError::from(error);
        let why = Words { vi: why.text(khien_core::Lang::Vi), en: why.text(khien_core::Lang::En) };
        self.not(path, ScanOutcome::Unreadable, why)
    }

    fn not(&mut self, path: &Path, outcome: ScanOutcome, why: Words) -> Result<(), Stopped> {
        self.send(Found::Not(Done::not(path, outcome, why)))
    }

    fn send(&mut self, found: Found) -> Result<(), Stopped> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Stopped),
            false => self.found.send(found).map_err(|_| Stopped),
        }
    }
}

/// Opens a folder; not one behind a link that was put in its place.
fn opened(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(openat(parent, name.as_bytes(), flags, Mode::empty())?)
}

/// Some file systems do not say in a folder what its names are.
fn kind(level: &Level, entry: &DirEntry) -> FileType {
    match (entry.file_type(), level.dir.fd()) {
        (FileType::Unknown, Ok(parent)) => statat(parent, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
        (kind, _) => kind,
    }
}

/// The magic number is of 32 bits whatever the type that holds it here.
fn is_made_up(fd: &OwnedFd) -> bool {
    fstatfs(fd).is_ok_and(|fs| MADE_UP.contains(&(fs.f_type as u32)))
}

#[cfg(test)]
mod tests;
