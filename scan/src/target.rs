//! A process whose memory is to be scanned: opened for reading, never stopped, traced or changed.
//!
//! Everything is opened below one descriptor of its folder in `/proc`, which never means another process, even when the
//! id is given away again. One that has begun another program since is not scanned: what is found would be told of a
//! program that did not hold it. Whoever scans opens it once more, as what it is then.

mod parts;

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    time::Duration,
};

use khien_core::{
    RuleId, Untrusted,
    detection::builtin::{PROCESS_DELETED, PROCESS_MEMFD},
    event::{Excerpt, ScanOutcome, Unseen},
};
use khien_rules::{external::Externals, scan::Scanned};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, openat, readlinkat, statat},
    io::Errno,
};

use tokio::{task::spawn_blocking, time::timeout};

use self::parts::Parts;
use super::{
    Asked, Pool,
    wire::{ScanReply, What},
    without_hits,
};

/// How long it may take to open what is read of a process.
const OPENING: Duration = Duration::from_secs(10);
/// Bytes of memory before and after a match that are kept: enough to see whether it is a word or the middle of one. They
/// may be secrets of whoever runs the process, and an alert is read by others.
const SIDE: usize = 16;
/// How the path of a program ends that has no name any more.
const DELETED: &[u8] = b" (deleted)";
/// How the path of a program begins that was never a file.
const MEMFD: &[u8] = b"/memfd:";
/// What container runtimes call the copy of themselves from which they start.
const RUNTIMES: [&[u8]; 2] = [b"runc_cloned:", b"crun_cloned:"];
/// Folders for files that do not live long.
const SHORT_LIVED: [&[u8]; 5] = [b"/tmp/", b"/var/tmp/", b"/dev/shm/", b"/run/shm/", b"/run/user/"];
/// More of a file in `/proc` that holds a line is not read.
const MAX_LINE: u64 = 2 << 10;

/// A process that runs.
#[derive(Debug)]
pub struct Target {
    /// Its id.
    pub pid: u32,
    /// The path of its program, as the kernel tells it.
    pub exe: Untrusted,
    /// Whose it is.
    pub owner: u32,
    /// When it was started, in ticks since the host was: another one with the same id was started later.
    pub started: u64,
    /// What the kernel told its program when that began: addresses that are others each time. None while the kernel puts
    /// the program together, and where that may not be known: its name decides then.
    begun: Option<Vec<u8>>,
    /// Where its memory is seen.
    folder: OwnedFd,
    /// Its own folder, where its first thread has ended and its memory is seen at another one.
    whole: Option<OwnedFd>,
}

/// Why there is nothing to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTarget {
    /// It is gone, has ended, or is the kernel's own: it has no memory.
    Nothing,
    /// It may not be looked at, or cannot be.
    Refused,
}

/// How the scan of a process ended.
#[derive(Debug)]
pub struct MemoryScan {
    /// The outcome and what was found, each hit with the region in which it is; offsets are addresses.
    pub scanned: Scanned,
    /// What was not looked into.
    pub unseen: Vec<Unseen>,
    /// How many bytes were read.
    pub read: u64,
    /// The version of the pack that scanned.
    pub pack: u64,
}

impl Target {
    /// Opens a process.
    ///
    /// # Errors
    /// [`NoTarget`].
    pub fn at(pid: u32) -> Result<Self, NoTarget> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let whole = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).map_err(why)?;
        let started = line(&whole, "stat").as_deref().and_then(started).ok_or(NoTarget::Nothing)?;
        let (folder, whole) = match readlinkat(&whole, "exe", Vec::new()) {
            Err(_) if has_others(&whole) => (living(pid).ok_or(NoTarget::Refused)?, Some(whole)),
            _ => (whole, None),
        };
        // Before its name: if another program begins in between, it is not the same any more.
        let begun = line(&folder, "auxv").filter(|told| told.iter().any(|b| *b != 0));
        let exe = readlinkat(&folder, "exe", Vec::new()).map_err(why)?;
        let owner = statat(&folder, "", AtFlags::EMPTY_PATH).map_err(why)?.st_uid;
        Ok(Self { pid, exe: Untrusted::new(exe.into_bytes()), owner, started, begun, folder, whole })
    }

    /// Tells whether it still runs the program that it ran when it was opened, under whatever name. Asks no file system.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let exe = readlinkat(&self.folder, "exe", Vec::new());
        // Who removes his program runs it all the same.
        let named = |path: &[u8]| path.strip_suffix(DELETED).unwrap_or(path).to_vec();
        exe.is_ok_and(|exe| named(exe.as_bytes()) == named(self.exe.raw()))
            && (self.begun.is_none() || line(&self.folder, "auxv") == self.begun)
    }

    /// Tells whether it runs: one that has ended but was not waited for does not.
    #[must_use]
    pub fn runs(&self) -> bool {
        readlinkat(&self.folder, "exe", Vec::new()).is_ok()
            || has_others(self.whole.as_ref().unwrap_or(&self.folder))
    }

    /// Returns its program, even where that has no name any more. None: it is gone, or has begun another one.
    #[must_use]
    pub fn program(&self) -> Option<File> {
        self.open("exe").ok().map(File::from).filter(|_| self.is_same())
    }

    /// Returns the built-in rule that holds for its program, if it hides where it comes from.
    #[must_use]
    pub fn hides(&self) -> Option<RuleId> {
        let is_removed = || statat(&self.folder, "exe", AtFlags::empty()).is_ok_and(|exe| exe.st_nlink == 0);
        sign(self.exe.raw()).filter(|_| is_removed())?.parse().ok()
    }

    /// Tells whether its program has no name any more, for example because a newer one took its place.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.exe.raw().ends_with(DELETED)
    }

    /// Returns its mappings, as the kernel tells them.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn mappings(&self) -> io::Result<File> {
        self.open("maps").map(File::from).map_err(io::Error::from)
    }

    fn open(&self, name: &str) -> rustix::io::Result<OwnedFd> {
        opened(&self.folder, name)
    }

    /// Opens what a worker needs, if it is the same program still: each part is of the memory that it had then. A process
    /// that waits for a file system holds whoever asks for its mappings.
    async fn parts(&self) -> Option<Parts> {
        let folder = self.folder.try_clone().ok()?;
        let parts = timeout(OPENING, spawn_blocking(move || parts::of(&folder).ok())).await.ok()?.ok()?;
        parts.filter(|_| self.is_same())
    }

    /// Returns how many bytes of it are in memory.
    fn resident(&self) -> u64 {
        let read = || word(&line(&self.folder, "statm")?, 1);
        read().unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
    }
}

impl Pool {
    /// Scans at most `most` bytes of a process's memory with the rules that fit. None: it ended meanwhile. One that has
    /// begun another program is unreadable, and no [`Target::is_same`] any more.
    pub async fn scan_memory(
        &self,
        target: &Target,
        most: u64,
        externals: Option<Externals>,
    ) -> Option<MemoryScan> {
        let scan = self.scan_memory_of(target, most, externals).await;
        let was_there = scan.scanned.outcome != ScanOutcome::Unreadable
            || scan.unseen.iter().any(|unseen| !unseen.inside.is_empty());
        if !was_there && !target.runs() {
            return None;
        }
        self.gauge.scanned(scan.scanned.outcome);
        Some(scan)
    }

    async fn scan_memory_of(&self, target: &Target, most: u64, externals: Option<Externals>) -> MemoryScan {
        let nothing = |outcome| MemoryScan {
            scanned: without_hits(outcome),
            unseen: Vec::new(),
            read: 0,
            pack: self.version(),
        };
        let Some(generation) = self.generation().await else { return nothing(ScanOutcome::Crashed) };
        let Some(Parts { files, missed }) = target.parts().await else {
            return nothing(ScanOutcome::Unreadable);
        };
        let size = target.resident().min(most);
        let asked = Asked { what: What::Memory, size, limit: most, externals, digest: false };
        let request = self.request(asked);
        let ScanReply { mut scanned, mut unseen, size: read, .. } =
            self.ask(&generation, request, files, size).await;
        let worst = missed.iter().map(|unseen| unseen.why.outcome()).max();
        if let Some(worst) = worst.filter(|_| scanned.outcome == ScanOutcome::Clean) {
            scanned.outcome = worst;
        }
        unseen.extend(missed);
        scanned.hits.iter_mut().flat_map(|hit| &mut hit.excerpts).for_each(narrow);
        MemoryScan { scanned, unseen, read, pack: generation.version }
    }
}

/// Leaves of an excerpt the match and little beside it.
fn narrow(excerpt: &mut Excerpt) {
    let before = excerpt.before.raw();
    excerpt.before = Untrusted::new(&before[before.len().saturating_sub(SIDE)..]);
    excerpt.after = Untrusted::cut(excerpt.after.raw(), SIDE);
}

fn line(folder: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    File::from(opened(folder, name).ok()?).take(MAX_LINE).read_to_end(&mut line).ok()?;
    Some(line)
}

fn opened(folder: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// `pid (NAME) state … START …`; a name may hold blanks and brackets.
fn started(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|b| *b == b')')?;
    word(stat.get(end + 1..)?, 19)
}

/// Tells whether other threads go on after the first one ended: the process has its memory still, but not in this folder.
fn has_others(process: &OwnedFd) -> bool {
    let threads = || {
        let stat = line(process, "stat")?;
        let end = stat.iter().rposition(|b| *b == b')')?;
        word(stat.get(end + 1..)?, 17)
    };
    threads().is_some_and(|threads| threads > 1)
}

/// Opens the folder of a thread that has not ended.
fn living(pid: u32) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let mut folders = threads.filter_map(|thread| openat(CWD, thread.path(), flags, Mode::empty()).ok());
    folders.find(|folder| readlinkat(folder, "exe", Vec::new()).is_ok())
}

fn word(line: &[u8], place: usize) -> Option<u64> {
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(place)?.parse().ok()
}

fn why(error: Errno) -> NoTarget {
    match error {
        Errno::NOENT | Errno::SRCH => NoTarget::Nothing,
        _ => NoTarget::Refused,
    }
}

/// Returns the rule that holds for the path of a program, if it has no name any more.
fn sign(exe: &[u8]) -> Option<&'static str> {
    let path = exe.strip_suffix(DELETED)?;
    let begins = |with: &&[u8]| path.starts_with(with);
    match path.strip_prefix(MEMFD) {
        Some(name) if RUNTIMES.iter().any(|runtime| name.starts_with(runtime)) => None,
        Some(_) => Some(PROCESS_MEMFD),
        None => SHORT_LIVED.iter().any(begins).then_some(PROCESS_DELETED),
    }
}

/// Returns the ids of all processes.
#[must_use]
pub fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_program_is_a_sign_only_where_programs_do_not_live() {
        assert_eq!(sign(b"/tmp/.x/kworker (deleted)"), Some(PROCESS_DELETED));
        assert_eq!(sign(b"/dev/shm/a (deleted)"), Some(PROCESS_DELETED));
        assert_eq!(sign(b"/memfd: (deleted)"), Some(PROCESS_MEMFD));
        assert_eq!(sign(b"/memfd:runc_cloned:/proc/self/exe (deleted)"), None);
        assert_eq!(sign(b"/usr/sbin/sshd (deleted)"), None);
        assert_eq!(sign(b"/tmp/installer"), None);
    }
}
