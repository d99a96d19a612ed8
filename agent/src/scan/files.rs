//! Takes file events to the workers and reports what they found, or that they could not look.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    detection::{Detection, FileSubject, Subject},
    event::{FileEvent, Process, ScanOutcome},
    protocol::Report,
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{
    FileScan, Pool,
    desk::Desk,
    open::{Inode, NotOpened, Opened},
    recent::Recent,
};
use crate::{health::Meter, watch::users::Users};

/// Files in work at once: enough that no worker waits for the next one to be opened.
const AT_ONCE: usize = 4;
/// How long opening may take; a file system in user space can hold it for ever.
const OPENING: Duration = Duration::from_secs(10);
/// A worker that dies on a file gets it once more: the first death may have been another's fault.
const TRIES: usize = 2;
/// Files of which is remembered what was reported.
const REMEMBERED: usize = 16_384;
/// The same trouble with the same file is reported once in this time, and counted always.
const QUIET: Duration = Duration::from_secs(600);

/// Scans every file of which an event comes, until told to stop or the events end.
pub(crate) async fn run(
    mut events: mpsc::Receiver<FileEvent>,
    pool: Arc<Pool>,
    reports: mpsc::Sender<Report>,
    meter: Arc<Meter>,
    mut shutdown: watch::Receiver<bool>,
) {
    let context = Arc::new(Context::new(pool, reports, meter));
    let (mut desk, mut scans, mut open) = (Desk::default(), JoinSet::new(), true);
    while open || !desk.is_idle() || !scans.is_empty() {
        while scans.len() < AT_ONCE
            && let Some((path, process)) = desk.next()
        {
            scans.spawn(Arc::clone(&context).examine(path, process));
        }
        let due = desk.due();
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            Some(done) = scans.join_next() => finish(&mut desk, done),
            event = events.recv(), if open && desk.has_room() => match event {
                Some(event) => desk.take(event),
                None => open = false,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => desk.wake(Instant::now()),
        }
    }
}

/// What an examined file was and whether it changed under the scan; the path is lost only if the task itself failed.
fn finish(desk: &mut Desk, done: Result<(Untrusted, bool), tokio::task::JoinError>) {
    match done {
        Ok((path, changed)) => desk.done(path, changed, Instant::now()),
        Err(e) => warn!(%e, "the scan of a file ended without a result"),
    }
}

struct Context {
    pool: Arc<Pool>,
    reports: mpsc::Sender<Report>,
    meter: Arc<Meter>,
    users: Users,
    memory: Mutex<Memory>,
}

/// What was said already, so that it is not said twice.
struct Memory {
    /// By path: the inode, its content and the pack with which it was reported.
    found: Recent<Untrusted, (Inode, Sha256, u64)>,
    /// Inodes on which workers died or ran out of time, and the pack with which they did.
    parked: Recent<Inode, u64>,
    /// By path and outcome.
    troubled: Recent<(Untrusted, ScanOutcome), Instant>,
}

impl Context {
    fn new(pool: Arc<Pool>, reports: mpsc::Sender<Report>, meter: Arc<Meter>) -> Self {
        let memory = Memory {
            found: Recent::new(REMEMBERED),
            parked: Recent::new(REMEMBERED),
            troubled: Recent::new(REMEMBERED),
        };
        Self { pool, reports, meter, users: Users::default(), memory: Mutex::new(memory) }
    }

    /// Scans one file and reports. Returns whether it changed meanwhile.
    async fn examine(self: Arc<Self>, path: Untrusted, process: Option<Process>) -> (Untrusted, bool) {
        let changed = match open(&path).await {
            Ok(opened) => self.scan(&path, opened, process).await,
            Err(NotOpened::Elsewhere) => {
                debug!(%path, "gone before it was scanned");
                false
            }
            Err(NotOpened::Unreadable) => {
                self.meter.scanned(ScanOutcome::Unreadable);
                self.trouble(&path, ScanOutcome::Unreadable).await;
                false
            }
        };
        (path, changed)
    }

    async fn scan(&self, path: &Untrusted, opened: Opened, process: Option<Process>) -> bool {
        let Opened { file, inode } = opened;
        if inode.size > self.pool.largest() {
            self.meter.scanned(ScanOutcome::TooLarge);
            self.trouble(path, ScanOutcome::TooLarge).await;
            return false;
        }
        if self.is_parked(&inode) {
            return false;
        }
        let Some((scan, changed)) = self.try_scan(&file, &inode).await else {
            self.trouble(path, ScanOutcome::Unreadable).await;
            return false;
        };
        let outcome = scan.scanned.outcome;
        if matches!(outcome, ScanOutcome::Crashed | ScanOutcome::Timeout) {
            self.with_memory(|m| m.parked.put(inode.clone(), scan.pack));
        }
        if outcome.is_trouble() {
            self.trouble(path, outcome).await;
        }
        self.detections(path, &inode, process, scan).await;
        changed
    }

    /// Scans, once more if the worker died on it, and compares the inode before and after.
    async fn try_scan(&self, file: &std::fs::File, before: &Inode) -> Option<(FileScan, bool)> {
        let mut scan = self.pool.scan_file(file.try_clone().ok()?).await;
        for _ in 1..TRIES {
            if scan.scanned.outcome == ScanOutcome::Crashed {
                scan = self.pool.scan_file(file.try_clone().ok()?).await;
            }
        }
        let changed = Opened::now(file).is_ok_and(|now| now != *before);
        Some((scan, changed))
    }

    async fn detections(&self, path: &Untrusted, inode: &Inode, process: Option<Process>, scan: FileScan) {
        let (ScanOutcome::Matched, Some(sha256)) = (scan.scanned.outcome, scan.sha256) else { return };
        let identity = (inode.clone(), sha256, scan.pack);
        if self.with_memory(|m| m.found.get(path) == Some(&identity)) {
            return;
        }
        let facts = inode.facts(self.users.name(inode.owner()));
        for hit in scan.scanned.hits {
            let subject = FileSubject {
                path: path.clone(),
                sha256,
                file: facts.clone(),
                process: process.clone(),
                excerpts: hit.excerpts,
            };
            let subject = Subject::File(subject);
            let detection = Detection { rule: hit.rule, at: Timestamp::now(), pack: scan.pack, subject };
            if self.reports.send(Report::Detection(detection)).await.is_err() {
                return;
            }
        }
        self.with_memory(|m| m.found.put(path.clone(), identity));
    }

    /// Reports that a file was not scanned to its end.
    async fn trouble(&self, path: &Untrusted, outcome: ScanOutcome) {
        let key = (path.clone(), outcome);
        let said = self.with_memory(|m| {
            let said = m.troubled.get(&key).is_some_and(|at| at.elapsed() < QUIET);
            if !said {
                m.troubled.put(key, Instant::now());
            }
            said
        });
        if !said {
            // The receiver is gone only when the agent stops.
            let _ = self
                .reports
                .send(Report::NotScanned { path: path.clone(), outcome, at: Timestamp::now() })
                .await;
        }
    }

    fn is_parked(&self, inode: &Inode) -> bool {
        let pack = self.pool.version();
        self.with_memory(|m| m.parked.get(inode) == Some(&pack))
    }

    fn with_memory<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn open(path: &Untrusted) -> Result<Opened, NotOpened> {
    let path = PathBuf::from(OsStr::from_bytes(path.raw()));
    match timeout(OPENING, spawn_blocking(move || Opened::at(&path))).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(_)) | Err(_) => Err(NotOpened::Unreadable),
    }
}
