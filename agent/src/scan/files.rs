//! Takes file events to the workers and reports what they found, or that they could not look.
//!
//! What changed goes first. What only a walk named is looked at when nothing else waits for a worker. A large file is
//! put back by its name until it has its turn.

use std::{
    fs::File,
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
    task::{JoinError, JoinSet, spawn_blocking},
    time::{sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{
    clean::{Clean, Content, Stamp},
    desk::Desk,
    large::{Asked, Line},
    opening::Openers,
    recent::Recent,
};
use crate::health::Meter;

/// Files in work at once: enough that no worker waits for the next ones to be opened.
const AT_ONCE: usize = 24;
/// How long it may take to ask what became of a file.
const ANSWERING: Duration = Duration::from_secs(10);
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
    /// What a link in its place means.
    pub(crate) link: Link,
    /// Told how looking at the file ended; dropped when nobody looks any more.
    pub(crate) done: oneshot::Sender<Ended>,
}

/// The end of a look at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) looked: Looked,
    pub(crate) took: Duration,
    /// What was read; none if that was not all, or it changed meanwhile.
    pub(crate) content: Option<Content>,
}

/// What a link in the place of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Who named it may have named a link: the file behind it is scanned.
    Behind,
    /// No link was named: somebody put it there, and it may lead anywhere.
    Elsewhere,
}

/// How looking at a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It was scanned, or there is a reason why not.
    Scanned(ScanOutcome),
    /// Something was found in it, and it holds more that could not be looked into.
    Partly,
    /// It was not there any more, or something else was in its place.
    Gone,
}

/// The two ways in which files come.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// What changed.
    pub(crate) events: mpsc::Receiver<FileEvent>,
    /// What is looked at when nothing else waits.
    pub(crate) calm: mpsc::Receiver<Calm>,
}

/// Scans every file that comes, until told to stop or the events end. While the gate is shut no scan begins.
pub(crate) async fn run(
    mut incoming: Incoming,
    pool: Arc<Pool>,
    reports: mpsc::Sender<Report>,
    (meter, clean): (Arc<Meter>, Arc<Clean>),
    (mut shutdown, mut gate): (watch::Receiver<bool>, watch::Receiver<bool>),
) {
    let (mut work, mut open) = (Work::new(Context::new(pool, reports, meter, clean)), true);
    while open || !work.is_done() {
        let is_open = *gate.borrow_and_update();
        if is_open {
            work.begin();
        }
        let (due, idle) = (work.desk.due(), work.has_room());
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => return,
            Ok(()) = gate.changed() => {}
            Some(seen) = work.looks.join_next() => work.finish(seen),
            Some(seen) = work.large.join_next() => work.finish(seen),
            event = incoming.events.recv(), if open && work.desk.has_room() => match event {
                Some(event) => work.desk.take(event),
                None => open = false,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                work.desk.wake(Instant::now());
            }
            Some(Calm { event, link, done }) = incoming.calm.recv(), if idle && is_open => {
                work.look(Asked { path: event.path, process: event.process, link, calm: Some(done) });
            }
        }
    }
}

/// The files in work, and those that wait.
struct Work {
    context: Arc<Context>,
    desk: Desk,
    /// Large files that wait for their turn.
    line: Line,
    looks: JoinSet<Seen>,
    /// The large file that has its turn.
    large: JoinSet<Seen>,
}

/// A file that was looked at.
struct Seen {
    file: Asked,
    end: End,
    took: Duration,
}

/// How a look at a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With this; whether the file changed meanwhile, and what was read if not.
    Done { looked: Looked, changed: bool, content: Option<Content> },
    /// It is large: it waits for its turn.
    Large,
}

impl End {
    /// Nothing was read.
    fn unread(looked: Looked) -> Self {
        Self::Done { looked, changed: false, content: None }
    }
}

/// Whether it is a large file's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Small,
    Large,
}

impl Work {
    fn new(context: Context) -> Self {
        let (desk, line) = (Desk::default(), Line::default());
        Self { context: Arc::new(context), desk, line, looks: JoinSet::new(), large: JoinSet::new() }
    }

    fn is_done(&self) -> bool {
        self.desk.is_idle() && self.line.is_empty() && self.looks.is_empty() && self.large.is_empty()
    }

    /// Tells whether one more file may be opened.
    fn has_room(&self) -> bool {
        self.looks.len() < AT_ONCE
    }

    /// Begins with what waits, as far as there is room.
    fn begin(&mut self) {
        while self.has_room()
            && let Some((path, process)) = self.desk.next()
        {
            self.look(Asked { path, process, link: Link::Behind, calm: None });
        }
        if self.large.is_empty()
            && let Some(file) = std::iter::from_fn(|| self.line.next()).find(|file| !file.is_forgotten())
        {
            self.large.spawn(Arc::clone(&self.context).look(file, Turn::Large));
        }
    }

    fn look(&mut self, file: Asked) {
        if file.is_forgotten() {
            return;
        }
        self.looks.spawn(Arc::clone(&self.context).look(file, Turn::Small));
    }

    /// The file is lost only if the task itself failed.
    fn finish(&mut self, seen: Result<Seen, JoinError>) {
        let Seen { file, end, took } = match seen {
            Ok(seen) => seen,
            Err(e) => return warn!(%e, "the scan of a file ended without a result"),
        };
        match (end, file.calm) {
            (End::Large, calm) => {
                if let Some(file) = self.line.put(Asked { calm, ..file }) {
                    self.looks.spawn(Arc::clone(&self.context).leave(file));
                }
            }
            // Who named it may not wait for it any more.
            (End::Done { looked, content, .. }, Some(calm)) => {
                let _ = calm.send(Ended { looked, took, content });
            }
            (End::Done { changed, .. }, None) => {
                self.desk.done(file.path, changed, took, Instant::now());
            }
        }
    }
}

struct Context {
    pool: Arc<Pool>,
    reports: mpsc::Sender<Report>,
    meter: Arc<Meter>,
    clean: Arc<Clean>,
    openers: Openers,
    users: Users,
    memory: Mutex<Memory>,
}

/// What was said already, so that it is not said twice.
struct Memory {
    /// By path: the inode, its content and the pack with which it was reported, and whether with who wrote it.
    found: Recent<Untrusted, ((Inode, Sha256, u64), bool)>,
    /// Inodes on which workers died or ran out of time, the pack with which they did, and which of the two it was.
    parked: Recent<Inode, (u64, ScanOutcome)>,
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
        let (openers, users) = (Openers::default(), Users::default());
        Self { pool, reports, meter, clean, openers, users, memory: Mutex::new(memory) }
    }

    /// Looks at a file. Of one that changes while only a walk has named it there is an event.
    async fn look(self: Arc<Self>, file: Asked, turn: Turn) -> Seen {
        let begun = Instant::now();
        let end = match self.openers.open(&file.path, file.link).await {
            Ok(opened) => self.scan(&file, opened, turn).await,
            Err(NotOpened::Elsewhere) => {
                debug!(path = %file.path, "gone before it was scanned");
                End::unread(Looked::Gone)
            }
            Err(NotOpened::Unreadable) => self.left(&file.path, ScanOutcome::Unreadable).await,
        };
        Seen { file, end, took: begun.elapsed() }
    }

    /// Leaves a large file for which there is no room. What is not remembered as clean, the next walk names again.
    async fn leave(self: Arc<Self>, file: Asked) -> Seen {
        let end = self.left(&file.path, ScanOutcome::LimitExceeded).await;
        Seen { file, end, took: Duration::ZERO }
    }

    /// Counts and reports a file that was not scanned at all.
    async fn left(&self, path: &Untrusted, outcome: ScanOutcome) -> End {
        self.meter.scanned(outcome);
        self.not_scanned(path, outcome, Vec::new()).await;
        End::unread(Looked::Scanned(outcome))
    }

    async fn scan(&self, asked: &Asked, opened: Opened, turn: Turn) -> End {
        let (path, Opened { file, inode }, begun) = (&asked.path, opened, SystemTime::now());
        if inode.size > self.pool.largest() {
            self.clean.keep(&Stamp::from(&inode), self.pool.version(), Content::UNREAD, begun);
            return self.left(path, ScanOutcome::TooLarge).await;
        }
        if let Some(outcome) = self.parked(&inode) {
            return End::unread(Looked::Scanned(outcome));
        }
        if inode.size > LARGE && turn == Turn::Small {
            return End::Large;
        }
        let scan = match self.try_scan(path, &file, inode.size).await {
            Ok(Some(scan)) => scan,
            // It has grown since it was opened.
            Ok(None) => return End::Large,
            Err(_) => return self.left(path, ScanOutcome::Unreadable).await,
        };
        // What was appended meanwhile is in what was found. Where a worker did not come to look there is no hurry.
        let now = match scan.now.clone().filter(|now| *now == inode) {
            Some(now) => now,
            None => inode_now(&file).await.unwrap_or_else(|| inode.clone()),
        };
        let (outcome, changed) = (scan.scanned.outcome, now != inode);
        if matches!(outcome, ScanOutcome::Crashed | ScanOutcome::Timeout) {
            self.with_memory(|m| m.parked.put(inode.clone(), (scan.pack, outcome)));
        }
        // A file in which something was found may hold more that could not be looked into.
        let worst = scan.unseen.iter().map(|unseen| unseen.why.outcome()).chain([outcome]).max();
        let worst = worst.filter(|worst| worst.is_trouble());
        if let Some(worst) = worst {
            self.not_scanned(path, worst, scan.unseen.clone()).await;
        }
        let content = scan.sha256.filter(|_| !changed).map(Content::from);
        if let (ScanOutcome::Clean, Some(content)) = (outcome, content) {
            self.clean.keep(&Stamp::from(&inode), scan.pack, content, begun);
        }
        let is_found = !scan.scanned.hits.is_empty();
        self.detections(path, &now, asked.process.as_deref(), scan).await;
        let looked = if is_found && worst.is_some() { Looked::Partly } else { Looked::Scanned(outcome) };
        End::Done { looked, changed, content }
    }

    /// Scans, once more if the worker died on it. None if the file is large by now and was not when it was opened.
    async fn try_scan(&self, path: &Untrusted, file: &File, size: u64) -> std::io::Result<Option<FileScan>> {
        let mut scan = self.pool.scan_sized(file.try_clone()?, path, size).await;
        for _ in 1..TRIES {
            if scan.as_ref().is_some_and(|scan| scan.scanned.outcome == ScanOutcome::Crashed) {
                scan = self.pool.scan_sized(file.try_clone()?, path, size).await;
            }
        }
        Ok(scan)
    }

    async fn detections(&self, path: &Untrusted, inode: &Inode, process: Option<&Process>, scan: FileScan) {
        // A list may know a file on which the rules ran out of time.
        let (false, Some(sha256)) = (scan.scanned.hits.is_empty(), scan.sha256) else { return };
        let identity = (inode.clone(), sha256, scan.pack);
        let told =
            self.with_memory(|m| m.found.get(path).filter(|(what, _)| *what == identity).map(|told| told.1));
        // A walk may come upon a file before the event that says who wrote it.
        if told.is_some_and(|with_process| with_process || process.is_none()) {
            return;
        }
        let facts = inode.facts(self.users.name(inode.owner()));
        for hit in scan.scanned.hits {
            let subject = FileSubject {
                path: path.clone(),
                sha256,
                file: FileFacts { inside: hit.inside, ..facts.clone() },
                process: process.cloned(),
                excerpts: hit.excerpts,
            };
            let subject = Subject::File(subject);
            let detection = Detection { rule: hit.rule, at: Timestamp::now(), pack: scan.pack, subject };
            if self.reports.send(Report::Detection(detection.into())).await.is_err() {
                return;
            }
        }
        self.with_memory(|m| m.found.put(path.clone(), (identity, process.is_some())));
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

    /// Returns how the last scan of a file ended that is set aside.
    fn parked(&self, inode: &Inode) -> Option<ScanOutcome> {
        let version = self.pool.version();
        self.with_memory(|m| m.parked.get(inode).filter(|(pack, _)| *pack == version).map(|(_, how)| *how))
    }

    fn with_memory<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Asks in a thread of its own: a file system that does not answer must hold up nothing else.
async fn inode_now(file: &File) -> Option<Inode> {
    let file = file.try_clone().ok()?;
    timeout(ANSWERING, spawn_blocking(move || Opened::now(&file).ok())).await.ok()?.ok()?
}
