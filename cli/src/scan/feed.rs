//! Takes paths, opens the files and asks the workers about them. One opens the next files while the workers have those
//! before, and several run side by side, so that no worker waits.

use std::{
    collections::VecDeque,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender},
    },
};

use khien_core::{
    Sha256, Untrusted,
    event::{ScanOutcome, Unseen},
    text::{Words, hub::scan_outcome, inside::not_scanned},
};
use khien_rules::{Hit, external::Externals};
use khien_scan::{
    Pool, Scanning,
    open::{NotOpened, Opened},
    users::Users,
};
use tokio::runtime::Handle;

use super::{
    Event,
    walk::{Found, Listed},
};

/// Files that one feeder has begun with: two feeders have what a worker takes at one time, and some that wait for it.
const AHEAD: usize = 6;

/// How one file or folder ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// Where.
    pub(crate) path: Untrusted,
    /// Of which process, if it is one; the path is its program's.
    pub(crate) pid: Option<u32>,
    /// How.
    pub(crate) ended: How,
}

/// How a file or folder ended.
#[derive(Debug)]
pub(crate) enum How {
    /// A worker answered.
    Scanned(Box<Answer>),
    /// It could not be given to a worker.
    NotScanned {
        /// The outcome.
        outcome: ScanOutcome,
        /// Why, in words.
        why: Words,
        /// Its size, if that is known.
        size: Option<u64>,
    },
    /// It was gone when its turn came. A number tells by what its folder may still have it under another name.
    Gone(Option<u64>),
    /// It is a process that ended meanwhile, or the kernel's own.
    NoMemory,
    /// It is a process of Khiên's, which was left out.
    Own,
}

/// What a worker said of a file.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: ScanOutcome,
    pub(crate) hits: Vec<Hit>,
    pub(crate) unseen: Vec<Unseen>,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) size: u64,
}

impl Answer {
    /// Says why not all of it was scanned, if not all was.
    pub(crate) fn why_not_all(&self) -> Option<Words> {
        let all = match self.outcome {
            ScanOutcome::Clean => true,
            ScanOutcome::Matched => self.unseen.is_empty(),
            _ => false,
        };
        (!all).then(|| not_scanned(self.outcome, &self.unseen))
    }
}

/// One of those that open files.
pub(super) struct Feed {
    pub(super) found: Arc<Mutex<Receiver<Found>>>,
    pub(super) events: SyncSender<Event>,
    pub(super) pool: Arc<Pool>,
    pub(super) runtime: Handle,
    /// Whether the rules ask what a file is called.
    pub(super) tells_names: bool,
    /// Whether clean files are told with their SHA-256.
    pub(super) digests: bool,
    /// Bytes of one process that are scanned.
    pub(super) most: u64,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) users: Users,
}

/// A file that a worker has or will have.
struct Begun {
    path: Untrusted,
    size: u64,
    scanning: Scanning,
}

impl Feed {
    /// Works until there is nothing more to open, or nobody listens.
    pub(super) fn run(self) {
        let mut begun = VecDeque::new();
        while let Some(found) = self.next_or_first(&mut begun) {
            let done = match found {
                Next::Found(Found::File(listed)) => match self.begin(&listed) {
                    Ok(scan) => {
                        begun.push_back(scan);
                        continue;
                    }
                    Err(ended) => Done { path: shown(&listed.path), pid: None, ended },
                },
                Next::Found(Found::Process { pid, named }) => self.process(pid, named),
                Next::Found(Found::Not(done)) => done,
                Next::First(scan) => self.ended(scan),
            };
            if self.stop.load(Ordering::Relaxed) || self.events.send(Event::Done(done)).is_err() {
                return;
            }
        }
    }

    /// Returns what was found next, or the first scan that was begun if there is none at once, or enough was begun.
    fn next_or_first(&self, begun: &mut VecDeque<Begun>) -> Option<Next> {
        if begun.is_empty() {
            let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).recv();
            return found.ok().map(Next::Found);
        }
        let found = (begun.len() < AHEAD).then(|| self.found_at_once()).flatten();
        found.map(Next::Found).or_else(|| begun.pop_front().map(Next::First))
    }

    /// Who waits for what is found next holds the lock.
    fn found_at_once(&self) -> Option<Found> {
        match self.found.try_lock() {
            Ok(found) => found.try_recv().ok(),
            Err(TryLockError::Poisoned(found)) => found.into_inner().try_recv().ok(),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn begin(&self, Listed { path, number }: &Listed) -> Result<Begun, How> {
        match Opened::at(path) {
            Ok(opened) => self.opened(path, opened),
            Err(NotOpened::Elsewhere) if is_gone(path) => Err(How::Gone(*number)),
            Err(_) => Err(without_answer(ScanOutcome::Unreadable, None)),
        }
    }

    fn opened(&self, path: &Path, opened: Opened) -> Result<Begun, How> {
        let size = opened.inode.size;
        if size > self.pool.largest() {
            return Err(without_answer(ScanOutcome::TooLarge, Some(size)));
        }
        let path = shown(path);
        let externals = self
            .tells_names
            .then(|| Externals { path: path.clone(), owner: self.users.name(opened.inode.owner()) });
        let scanning = self.pool.begin(opened.file, path.clone(), externals, self.digests);
        match self.runtime.block_on(scanning) {
            Some(scanning) => Ok(Begun { path, size, scanning }),
            None => Err(without_answer(ScanOutcome::Crashed, Some(size))),
        }
    }

    fn ended(&self, Begun { path, size, scanning }: Begun) -> Done {
        let scan = self.runtime.block_on(scanning.ended());
        let answer = Answer {
            outcome: scan.scanned.outcome,
            hits: scan.scanned.hits,
            unseen: scan.unseen,
            sha256: scan.sha256,
            size,
        };
        Done { path, pid: None, ended: How::Scanned(Box::new(answer)) }
    }
}

/// What a feeder does next.
enum Next {
    /// Begins with what was found.
    Found(Found),
    /// Waits for the scan that was begun first.
    First(Begun),
}

fn without_answer(outcome: ScanOutcome, size: Option<u64>) -> How {
    How::NotScanned { outcome, why: scan_outcome(outcome).words(), size }
}

/// Whoever puts a link in the place of a file does not make it clean by that.
fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// Returns a path as it is shown.
pub(super) fn shown(path: &Path) -> Untrusted {
    Untrusted::new(path.as_os_str().as_bytes())
}

impl Done {
    /// Tells whether a rule matched.
    pub(super) fn has_matched(&self) -> bool {
        matches!(&self.ended, How::Scanned(answer) if answer.outcome == ScanOutcome::Matched)
    }

    /// Says that something could not become a file.
    pub(super) fn not(path: &Path, outcome: ScanOutcome, why: Words) -> Self {
        Self { path: shown(path), pid: None, ended: How::NotScanned { outcome, why, size: None } }
    }

    /// Returns where it was as people read it: a path, or a process and its program.
    pub(super) fn place(&self) -> String {
        match self.pid {
            None => self.path.to_string(),
            Some(pid) => format!("{pid} {}", self.path).trim_end().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use khien_core::{Lang, event::NotSeen};

    use super::*;

    #[test]
    fn what_was_not_scanned_to_its_end_says_why_whatever_the_outcome() {
        use ScanOutcome::{
            Clean, Crashed, LimitExceeded, Matched, SkippedByPolicy, Timeout, TooLarge, Unreadable,
        };
        let answer = |outcome, unseen| Answer { outcome, hits: Vec::new(), unseen, sha256: None, size: 1 };
        let locked = || vec![Unseen { inside: Default::default(), why: NotSeen::Encrypted }];

        for outcome in [Timeout, TooLarge, Unreadable, LimitExceeded, Crashed, SkippedByPolicy] {
            let why = answer(outcome, Vec::new()).why_not_all().unwrap();
            assert_eq!(why, scan_outcome(outcome).words());
        }
        assert_eq!(answer(Matched, locked()).why_not_all().unwrap().get(Lang::En), "it has a password");
        assert_eq!(answer(Clean, Vec::new()).why_not_all(), None);
        assert_eq!(answer(Matched, Vec::new()).why_not_all(), None);
    }
}
