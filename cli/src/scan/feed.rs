//! Takes paths, opens the files and asks the workers about them. Several run side by side, so that no worker waits.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender},
    },
};

use khien_core::{
    Sha256, Untrusted,
    event::{ScanOutcome, Unseen},
    text::{Words, hub::scan_outcome},
};
use khien_rules::{Hit, external::Externals};
use khien_scan::{
    Pool,
    open::{NotOpened, Opened},
    users::Users,
};
use tokio::runtime::Handle;

use super::{Event, walk::Found};

/// How one file or folder ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// Where.
    pub(crate) path: Untrusted,
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
    /// It was gone when its turn came.
    Gone,
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

/// One of those that open files.
pub(super) struct Feed {
    pub(super) found: Arc<Mutex<Receiver<Found>>>,
    pub(super) events: SyncSender<Event>,
    pub(super) pool: Arc<Pool>,
    pub(super) runtime: Handle,
    /// Whether the rules ask what a file is called.
    pub(super) tells_names: bool,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) users: Users,
}

impl Feed {
    /// Works until there is nothing more to open, or nobody listens.
    pub(super) fn run(self) {
        while let Some(found) = self.next() {
            let done = match found {
                Found::File(path) => self.file(&path),
                Found::Not(done) => done,
            };
            if self.stop.load(Ordering::Relaxed) || self.events.send(Event::Done(done)).is_err() {
                return;
            }
        }
    }

    fn next(&self) -> Option<Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }

    fn file(&self, path: &Path) -> Done {
        let ended = match Opened::at(path) {
            Ok(opened) => self.opened(path, opened),
            Err(NotOpened::Elsewhere) if is_gone(path) => How::Gone,
            Err(_) => without_answer(ScanOutcome::Unreadable, None),
        };
        Done { path: shown(path), ended }
    }

    fn opened(&self, path: &Path, opened: Opened) -> How {
        let size = opened.inode.size;
        if size > self.pool.largest() {
            return without_answer(ScanOutcome::TooLarge, Some(size));
        }
        let path = shown(path);
        let externals = self
            .tells_names
            .then(|| Externals { path: path.clone(), owner: self.users.name(opened.inode.owner()) });
        let scan = self.runtime.block_on(self.pool.scan_described(opened.file, &path, externals));
        How::Scanned(Box::new(Answer {
            outcome: scan.scanned.outcome,
            hits: scan.scanned.hits,
            unseen: scan.unseen,
            sha256: scan.sha256,
            size,
        }))
    }
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
    /// Says that something could not become a file.
    pub(super) fn not(path: &Path, outcome: ScanOutcome, why: Words) -> Self {
        Self { path: shown(path), ended: How::NotScanned { outcome, why, size: None } }
    }
}

impl From<PathBuf> for Found {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}
