//! Takes file events to the workers and reports what they found, or that they could not look.
//!
//! What changed goes first. What only a walk named is looked at when nothing else waits for a worker.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    detection::{Detection, FileSubject, Subject},
    event::{FileEvent, FileFacts, Process, ScanOutcome, Unseen},
    protocol::Report,
};
use khien_scan::{
    FileScan, LARGE, Pool,
    open::{Inode, NotOpened, Opened},
    users::Users,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{
    clean::{Clean, Stamp},
    desk::Desk,
    large::Large,
    recent::Recent,
};
use crate::health::Meter;

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

/// A file that is not known to have changed.
#[derive(Debug)]
pub(crate) struct Calm {
    pub(crate) event: FileEvent,
    /// Dropped when the file was looked at.
    pub(crate) done: oneshot::Sender<()>,
}

/// The two ways in which files come.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// What changed.
    pub(crate) events: mpsc::Receiver<FileEvent>,
    /// What is looked at when nothing else waits.
    pub(crate) calm: mpsc::Receiver<Calm>,
}

/// What an examined file was, whether it changed under the scan, and how long that took; none of a calm one.
type Done = Option<(Untrusted, bool, Duration)>;

/// Scans every file that comes, until told to stop or the events end. While the gate is shut no scan begins.
pub(crate) async fn run(
    mut incoming: Incoming,
    pool: Arc<Pool>,
    reports: mpsc::Sender<Report>,
    (meter, clean): (Arc<Meter>, Arc<Clean>),
    (mut shutdown, mut gate): (watch::Receiver<bool>, watch::Receiver<bool>),
) {
    let context = Arc::new(Context::new(pool, reports, meter, clean));
    let (mut desk, mut scans, mut open) = (Desk::default(), JoinSet::new(), true);
    while open || !desk.is_idle() || !scans.is_empty() {
        let is_open = *gate.borrow_and_update();
        while is_open
            && context.has_room(scans.len())
            && let Some((path, process)) = desk.next()
        {
            scans.spawn(Arc::clone(&context).changed(path, process));
        }
        let (due, idle) = (desk.due(), context.has_room(scans.len()));
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            Ok(()) = gate.changed() => {}
            Some(done) = scans.join_next() => finish(&mut desk, done),
            event = incoming.events.recv(), if open && desk.has_room() => match event {
                Some(event) => desk.take(event),
                None => open = false,
            },
            () = context.large.came() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => desk.wake(Instant::now()),
            Some(calm) = incoming.calm.recv(), if idle && is_open => {
                scans.spawn(Arc::clone(&context).calm(calm));
            }
        }
    }
}

/// The path is lost only if the task itself failed.
fn finish(desk: &mut Desk, done: Result<Done, tokio::task::JoinError>) {
    match done {
        Ok(Some((path, changed, took))) => desk.done(path, changed, took, Instant::now()),
        Ok(None) => {}
        Err(e) => warn!(%e, "the scan of a file ended without a result"),
    }
}

struct Context {
    pool: Arc<Pool>,
    reports: mpsc::Sender<Report>,
    meter: Arc<Meter>,
    clean: Arc<Clean>,
    users: Users,
    /// Files that wait for the worker for large ones, and not for those that the others wait for.
    large: Large,
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
    fn new(pool: Arc<Pool>, reports: mpsc::Sender<Report>, meter: Arc<Meter>, clean: Arc<Clean>) -> Self {
        let memory = Memory {
            found: Recent::new(REMEMBERED),
            parked: Recent::new(REMEMBERED),
            troubled: Recent::new(REMEMBERED),
        };
        let (users, large) = (Users::default(), Large::default());
        Self { pool, reports, meter, clean, users, large, memory: Mutex::new(memory) }
    }

    /// Tells whether one more file may be opened while so many are in work.
    fn has_room(&self, in_work: usize) -> bool {
        in_work.saturating_sub(self.large.waiting()) < AT_ONCE
    }

    /// Looks at a file that changed.
    async fn changed(self: Arc<Self>, path: Untrusted, process: Option<Process>) -> Done {
        let begun = Instant::now();
        let changed = self.examine(&path, process).await;
        Some((path, changed, begun.elapsed()))
    }

    /// Looks at a file that is only there. If it changes meanwhile, that has an event of its own.
    async fn calm(self: Arc<Self>, calm: Calm) -> Done {
        self.examine(&calm.event.path, calm.event.process).await;
        drop(calm.done);
        None
    }

    /// Scans one file and reports. Returns whether it changed meanwhile.
    async fn examine(&self, path: &Untrusted, process: Option<Process>) -> bool {
        match open(path).await {
            Ok(opened) => self.scan(path, opened, process).await,
            Err(NotOpened::Elsewhere) => {
                debug!(%path, "gone before it was scanned");
                false
            }
            Err(NotOpened::Unreadable) => {
                self.meter.scanned(ScanOutcome::Unreadable);
                self.trouble(path, ScanOutcome::Unreadable).await;
                false
            }
        }
    }

    async fn scan(&self, path: &Untrusted, opened: Opened, process: Option<Process>) -> bool {
        let (Opened { file, inode }, begun) = (opened, SystemTime::now());
        if inode.size > self.pool.largest() {
            self.meter.scanned(ScanOutcome::TooLarge);
            self.trouble(path, ScanOutcome::TooLarge).await;
            self.clean.keep(&Stamp::from(&inode), self.pool.version(), begun);
            return false;
        }
        if self.is_parked(&inode) {
            return false;
        }
        let _large = (inode.size > LARGE).then(|| self.large.enter()).flatten();
        let Some((scan, now)) = self.try_scan(path, &file, &inode).await else {
            self.trouble(path, ScanOutcome::Unreadable).await;
            return false;
        };
        let (outcome, changed) = (scan.scanned.outcome, now != inode);
        if matches!(outcome, ScanOutcome::Crashed | ScanOutcome::Timeout) {
            self.with_memory(|m| m.parked.put(inode.clone(), scan.pack));
        }
        // A file in which something was found may hold more that could not be looked into.
        let worst = scan.unseen.iter().map(|unseen| unseen.why.outcome()).chain([outcome]).max();
        if let Some(worst) = worst.filter(|worst| worst.is_trouble()) {
            self.not_scanned(path, worst, scan.unseen.clone()).await;
        }
        if outcome == ScanOutcome::Clean && !changed {
            self.clean.keep(&Stamp::from(&inode), scan.pack, begun);
        }
        self.detections(path, &now, process, scan).await;
        changed
    }

    /// Scans, once more if the worker died on it. Returns the inode as it is afterwards too: what was appended meanwhile is in
    /// what was found.
    async fn try_scan(
        &self,
        path: &Untrusted,
        file: &std::fs::File,
        before: &Inode,
    ) -> Option<(FileScan, Inode)> {
        let mut scan = self.pool.scan_file(file.try_clone().ok()?, path).await;
        for _ in 1..TRIES {
            if scan.scanned.outcome == ScanOutcome::Crashed {
                scan = self.pool.scan_file(file.try_clone().ok()?, path).await;
            }
        }
        let now = Opened::now(file).unwrap_or_else(|_| before.clone());
        Some((scan, now))
    }

    async fn detections(&self, path: &Untrusted, inode: &Inode, process: Option<Process>, scan: FileScan) {
        // A list may know a file on which the rules ran out of time.
        let (false, Some(sha256)) = (scan.scanned.hits.is_empty(), scan.sha256) else { return };
        let identity = (inode.clone(), sha256, scan.pack);
        if self.with_memory(|m| m.found.get(path) == Some(&identity)) {
            return;
        }
        let facts = inode.facts(self.users.name(inode.owner()));
        for hit in scan.scanned.hits {
            let subject = FileSubject {
                path: path.clone(),
                sha256,
                file: FileFacts { inside: hit.inside, ..facts.clone() },
                process: process.clone(),
                excerpts: hit.excerpts,
            };
            let subject = Subject::File(subject);
            let detection = Detection { rule: hit.rule, at: Timestamp::now(), pack: scan.pack, subject };
            if self.reports.send(Report::Detection(detection.into())).await.is_err() {
                return;
            }
        }
        self.with_memory(|m| m.found.put(path.clone(), identity));
    }

    async fn trouble(&self, path: &Untrusted, outcome: ScanOutcome) {
        self.not_scanned(path, outcome, Vec::new()).await;
    }

    /// Reports that a file, or what is inside it, was not scanned to its end.
    async fn not_scanned(&self, path: &Untrusted, outcome: ScanOutcome, unseen: Vec<Unseen>) {
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
            let report = Report::NotScanned { path: path.clone(), outcome, at: Timestamp::now(), unseen };
            let _ = self.reports.send(report).await;
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
    match timeout(OPENING, spawn_blocking(move || Opened::at_or_behind(&path))).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(_)) | Err(_) => Err(NotOpened::Unreadable),
    }
}
