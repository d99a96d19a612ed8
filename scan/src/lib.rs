//! Scans files and streams in sandboxed worker processes, because a hostile byte may take over what parses it.
//!
//! ```text
//! who scans ── open file or bytes ──► Pool ── job ──► slot (a thread) ── open file over a socket ──► worker (a process)
//!                                                     kills it at twice the time limit             sandboxed, one pack
//! ```
//! A file that could not be scanned to its end has an outcome of its own. It is never clean.
//!
//! A worker is the calling program itself, started again with the one argument `worker`: its `main` must call
//! [`worker::main`] then, before anything else.

mod listed;
pub mod open;
mod paged;
mod probe;
mod process;
mod sandbox;
mod slot;
pub mod users;
mod wire;
pub mod worker;

use std::{
    fmt,
    fs::File,
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    asset::{Coverage, Sensor, Sight},
    bundle::Pack,
    event::{EXCERPT_MATCH, EXCERPT_SIDE, MAX_EXCERPTS, ScanOutcome, Unseen},
    reason::{Lack, Reason, quoted},
};
use khien_rules::{
    indicator::{digest::Digests, files::FileSets},
    scan::{MAX_HITS, Scanned},
    unpack::MAX_TROUBLES,
};
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    slot::{Job, Slot},
    wire::{ScanReply, ScanRequest, What},
};
/// Jobs that wait for a worker; who has more waits before handing them in.
const MAX_WAITING: usize = 64;

/// A larger file waits for a worker of its own, so that no other file waits for it.
pub const LARGE: u64 = 64 << 20;
/// Bytes a second that a scan may count on. Two processors with sixteen busy programs still gave the base pack six
/// million.
const SLOWEST: u64 = 4 << 20;

/// What the pool tells whoever counts: how scans ended, and whether it can scan at all.
pub trait Gauge: Send + Sync {
    /// States what the scan workers can do; the last statement holds.
    fn cover(&self, coverage: Coverage);
    /// Counts a scan.
    fn scanned(&self, outcome: ScanOutcome);
    /// States which version of a pack is loaded.
    fn loaded(&self, pack: u64);
}

/// What one scan may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long the rules may run over a small file; a larger one has a second more for each 4 MiB. The worker is
    /// killed after twice as long.
    pub time: Duration,
    /// The largest file that is scanned, in bytes.
    pub size: u64,
    /// How many workers.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { time: Duration::from_secs(10), size: paged::MOST, workers: processors.min(2) }
    }
}

impl Limits {
    /// Returns how long the rules may run over a file of so many bytes.
    fn time_for(&self, size: u64) -> Duration {
        self.time.saturating_add(Duration::from_secs(size.min(self.size) / SLOWEST))
    }
}

/// How the scan of one file ended.
#[derive(Debug)]
pub struct FileScan {
    /// The outcome and what was found.
    pub scanned: Scanned,
    /// What inside it was not looked into.
    pub unseen: Vec<Unseen>,
    /// Of the bytes that were scanned; none if they were not all read.
    pub sha256: Option<Sha256>,
    /// The version of the pack that scanned.
    pub pack: u64,
}

/// The scan workers.
pub struct Pool {
    program: PathBuf,
    limits: Limits,
    gauge: Arc<dyn Gauge>,
    current: watch::Sender<Option<Arc<Generation>>>,
    loading: tokio::sync::Mutex<()>,
}

/// The workers of one pack.
struct Generation {
    pack: Arc<Pack>,
    sets: FileSets,
    jobs: mpsc::Sender<Job>,
    /// For large files.
    large: mpsc::Sender<Job>,
    pids: Arc<Pids>,
}

/// The process ids of the workers of one pack, by slot.
#[derive(Debug, Default)]
struct Pids(Mutex<Vec<Option<u32>>>);

impl Pool {
    /// Makes a pool of this program's own workers. They start with the first [`load`](Self::load); scans wait for it.
    #[must_use]
    pub fn start(gauge: Arc<dyn Gauge>) -> Self {
        Self::with_program(PathBuf::from("/proc/self/exe"), Limits::default(), gauge)
    }

    /// Makes a pool of another program's workers, with other limits.
    #[must_use]
    pub fn with_program(program: PathBuf, limits: Limits, gauge: Arc<dyn Gauge>) -> Self {
        gauge.cover(coverage("none", Sight::Blind, Some(Reason::NoPack)));
        Self {
            program,
            limits,
            gauge,
            current: watch::Sender::new(None),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// Loads a pack in fresh workers, and only when all of them stand lets go of the old ones.
    ///
    /// # Errors
    /// Says why the pack or the workers are not to be had. The last good pack stays.
    pub async fn load(&self, pack: Arc<Pack>) -> Result<(), Reason> {
        let _one_at_a_time = self.loading.lock().await;
        let text = serde_json::to_vec(&listed::without_entries(&pack))
            .map_err(|e| Reason::PackUnreadable { error: quoted(&e.to_string()) })?;
        let text = memory_file(&text).map_err(|e| Reason::NoMemoryForPack { error: e.into() })?;
        let text = Arc::new(text);
        let ((jobs, queue), (large, waiting)) = (queue(), queue());
        let pids = Arc::new(Pids::default());
        let slot = |number, queue: &Queue| Slot {
            number,
            program: self.program.clone(),
            pack: Arc::clone(&text),
            queue: Arc::clone(queue),
            pids: Arc::clone(&pids),
            gauge: Arc::clone(&self.gauge),
        };
        let (mut ready, workers) = (Vec::new(), self.limits.workers.max(1));
        for number in 0..workers {
            let (said, heard) = oneshot::channel();
            slot(number, &queue).start(said).map_err(|e| Reason::NoThread { error: e.into() })?;
            ready.push(heard);
        }
        slot(workers, &waiting).start_spare().map_err(|e| Reason::NoThread { error: e.into() })?;
        let mut missing = Vec::new();
        for heard in ready {
            missing = heard.await.map_err(|_| Reason::AgentFailed)??;
        }
        self.gauge.cover(sandbox_coverage(&missing));
        self.gauge.loaded(pack.version);
        let sets = FileSets::new(&pack);
        for (rule, error) in sets.broken() {
            tracing::error!(%rule, %error, "a list of the pack cannot be read");
        }
        self.current.send_replace(Some(Arc::new(Generation { pack, sets, jobs, large, pids })));
        Ok(())
    }

    /// Scans reassembled traffic with the rules that fit streams.
    pub async fn scan_stream(&self, bytes: Vec<u8>) -> Scanned {
        let scanned = match memory_file(&bytes) {
            Ok(file) => match tokio::time::timeout(self.limits.time, self.generation()).await {
                Ok(Some(generation)) => self.scan(&generation, What::Stream, file, 0).await.scanned,
                Ok(None) | Err(_) => without_hits(ScanOutcome::Timeout),
            },
            Err(_) => without_hits(ScanOutcome::Unreadable),
        };
        self.gauge.scanned(scanned.outcome);
        scanned
    }

    /// Scans an opened regular file and asks the lists about it. Before a pack is loaded it waits for one.
    pub async fn scan_file(&self, file: File, path: &Untrusted) -> FileScan {
        let Some(generation) = self.generation().await else {
            let scanned = without_hits(ScanOutcome::Crashed);
            return FileScan { scanned, unseen: Vec::new(), sha256: None, pack: 0 };
        };
        let size = file.metadata().map_or(0, |file| file.len());
        let reply = self.scan(&generation, What::File, file, size).await;
        let reply = listed::asked(reply, path, &generation.sets, Timestamp::now());
        self.gauge.scanned(reply.scanned.outcome);
        let ScanReply { scanned, unseen, sha256, .. } = reply;
        FileScan { scanned, unseen, sha256, pack: generation.pack.version }
    }

    /// Returns the process ids of the workers.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.current.borrow().as_ref().map(|g| g.pids.all()).unwrap_or_default()
    }

    /// Returns the largest file that is scanned, in bytes.
    #[must_use]
    pub fn largest(&self) -> u64 {
        self.limits.size
    }

    /// Returns the version of the loaded pack; 0 is none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.current.borrow().as_ref().map_or(0, |g| g.pack.version)
    }

    async fn generation(&self) -> Option<Arc<Generation>> {
        self.current.subscribe().wait_for(Option::is_some).await.ok()?.clone()
    }

    async fn scan(&self, generation: &Generation, what: What, file: File, size: u64) -> ScanReply {
        let time = self.limits.time_for(size);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let request = ScanRequest { what, limit: self.limits.size, millis };
        let (answer, reply) = oneshot::channel();
        let is_large = size > LARGE && size <= self.limits.size;
        let jobs = if is_large { &generation.large } else { &generation.jobs };
        let sent = jobs.send(Job { request, file: file.into(), answer }).await;
        let reply = match sent {
            Ok(()) => reply.await.unwrap_or_else(|_| without_answer(ScanOutcome::Crashed)),
            Err(_) => without_answer(ScanOutcome::Crashed),
        };
        believable(reply, &generation.pack)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("limits", &self.limits)
            .field("pids", &self.pids())
            .finish_non_exhaustive()
    }
}

impl Pids {
    fn set(&self, slot: usize, pid: Option<u32>) {
        let mut pids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pids.len() <= slot {
            pids.resize(slot + 1, None);
        }
        pids[slot] = pid;
    }

    fn all(&self) -> Vec<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().copied().collect()
    }
}

type Queue = Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>;

fn queue() -> (mpsc::Sender<Job>, Queue) {
    let (jobs, queue) = mpsc::channel(MAX_WAITING);
    (jobs, Arc::new(tokio::sync::Mutex::new(queue)))
}

/// Holds a worker, which a hostile file may have taken over, to what an honest one says.
fn believable(mut reply: ScanReply, pack: &Pack) -> ScanReply {
    reply.unseen.truncate(MAX_TROUBLES);
    let hits = &mut reply.scanned.hits;
    hits.retain(|hit| pack.rule(&hit.rule).is_some());
    hits.truncate(MAX_HITS);
    for hit in hits.iter_mut() {
        hit.excerpts.truncate(MAX_EXCERPTS);
        for excerpt in &mut hit.excerpts {
            excerpt.before = Untrusted::cut(excerpt.before.raw(), EXCERPT_SIDE);
            excerpt.matched = Untrusted::cut(excerpt.matched.raw(), EXCERPT_MATCH);
            excerpt.after = Untrusted::cut(excerpt.after.raw(), EXCERPT_SIDE);
        }
    }
    let found = !hits.is_empty();
    if !reply.unseen.is_empty() && reply.scanned.outcome == ScanOutcome::Clean {
        return without_answer(ScanOutcome::Crashed);
    }
    if found != (reply.scanned.outcome == ScanOutcome::Matched) {
        return without_answer(ScanOutcome::Crashed);
    }
    reply
}

fn without_answer(outcome: ScanOutcome) -> ScanReply {
    ScanReply {
        scanned: without_hits(outcome),
        unseen: Vec::new(),
        sha256: None,
        digests: Digests::default(),
        size: 0,
    }
}

fn without_hits(outcome: ScanOutcome) -> Scanned {
    Scanned { outcome, hits: Vec::new() }
}

/// Puts bytes in a file that is only in memory, so that they can be handed to a worker like any file.
fn memory_file(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("khien", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

fn sandbox_coverage(missing: &[Lack]) -> Coverage {
    match missing {
        [] => coverage("sandbox", Sight::Full, None),
        some => coverage("sandbox", Sight::Reduced, Some(Reason::SandboxLacks { parts: some.to_vec() })),
    }
}

fn coverage(backend: &str, sight: Sight, reason: Option<Reason>) -> Coverage {
    Coverage {
        sensor: Sensor::Scan,
        scope: Untrusted::from("worker"),
        backend: backend.to_owned(),
        sight,
        reason,
    }
}

#[cfg(test)]
mod tests;
