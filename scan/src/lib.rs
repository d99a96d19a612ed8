//! Scans files and streams in sandboxed worker processes, because a hostile byte may take over what parses it.
//!
//! ```text
//! who scans ── open file or bytes ──► Pool ── job ──► slot (a thread) ── open file over a socket ──► worker (a process)
//!                                                     kills it at twice the time limit             sandboxed, one pack
//! One worker stands always. Another one is started while it is busy and more waits, and ends when it is idle.
//! ```
//! A file that could not be scanned to its end has an outcome of its own. It is never clean.
//!
//! A worker is the calling program itself, started again with the one argument `worker`: its `main` must call
//! [`worker::main`] then, before anything else.

mod brought;
mod listed;
mod load;
pub mod open;
mod paged;
mod probe;
mod process;
mod queue;
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
    reason::{Lack, Reason},
};
use khien_rules::{
    external::Externals,
    indicator::{digest::Digests, files::FileSets},
    scan::{MAX_HITS, Scanned},
    unpack::MAX_TROUBLES,
};
use tokio::sync::{oneshot, watch};

pub use self::brought::Compiled;
use self::{
    brought::Brought,
    queue::Queue,
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
    /// How many workers at most. One stands always, further ones while there is work for them.
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
    first: Slot,
    /// For large files.
    large: Arc<Queue<Job>>,
    most: usize,
    /// Which further workers are there, by number; 0 is always.
    there: Arc<Mutex<Vec<bool>>>,
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

    /// Loads a pack in a fresh worker, and only when it stands lets go of the old ones.
    ///
    /// # Errors
    /// Says why the pack or the worker is not to be had. The last good pack stays.
    pub async fn load(&self, pack: Arc<Pack>) -> Result<(), Reason> {
        self.load_with(pack, None).await
    }

    /// Loads a pack by its compiled form where that can be used, else from its source.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_with(&self, pack: Arc<Pack>, compiled: Option<Compiled>) -> Result<(), Reason> {
        let _one_at_a_time = self.loading.lock().await;
        let brought = Brought::new(&pack, compiled)?;
        self.start_workers(pack, brought).await
    }

    /// Loads a pack by the compiled form of its rules for files, which the caller made itself: it runs as machine code in
    /// the workers. Nothing scans streams then.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_compiled(&self, pack: Arc<Pack>, compiled: &[u8]) -> Result<(), Reason> {
        let _one_at_a_time = self.loading.lock().await;
        let brought = Brought::own(&pack, compiled)?;
        self.start_workers(pack, brought).await
    }

    async fn start_workers(&self, pack: Arc<Pack>, brought: Brought) -> Result<(), Reason> {
        let first = Slot {
            number: 0,
            program: self.program.clone(),
            pack: Arc::new(brought),
            queue: Arc::new(Queue::new(MAX_WAITING)),
            pids: Arc::new(Pids::default()),
            gauge: Arc::clone(&self.gauge),
        };
        let (said, heard) = oneshot::channel();
        first.clone().start(said).map_err(|e| Reason::NoThread { error: e.into() })?;
        let most = self.limits.workers.max(1);
        let large = Arc::new(Queue::new(MAX_WAITING));
        let spare = Slot { number: most, queue: Arc::clone(&large), ..first.clone() };
        let sets = FileSets::new(&pack);
        let there = Arc::new(Mutex::new(vec![false; most]));
        // From here on its drop ends the worker.
        let generation = Arc::new(Generation { pack, sets, first, large, most, there });
        spare.start_spare().map_err(|e| Reason::NoThread { error: e.into() })?;
        let missing = heard.await.map_err(|_| Reason::AgentFailed)??;
        self.gauge.cover(sandbox_coverage(&missing));
        self.gauge.loaded(generation.pack.version);
        for (rule, error) in generation.sets.broken() {
            tracing::error!(%rule, %error, "a list of the pack cannot be read");
        }
        self.current.send_replace(Some(generation));
        Ok(())
    }

    /// Scans reassembled traffic with the rules that fit streams.
    pub async fn scan_stream(&self, bytes: Vec<u8>) -> Scanned {
        let scanned = match memory_file(&bytes) {
            Ok(file) => match tokio::time::timeout(self.limits.time, self.generation()).await {
                Ok(Some(generation)) => self.scan(&generation, (What::Stream, None), file, 0).await.scanned,
                Ok(None) | Err(_) => without_hits(ScanOutcome::Timeout),
            },
            Err(_) => without_hits(ScanOutcome::Unreadable),
        };
        self.gauge.scanned(scanned.outcome);
        scanned
    }

    /// Scans an opened regular file and asks the lists about it. Before a pack is loaded it waits for one.
    pub async fn scan_file(&self, file: File, path: &Untrusted) -> FileScan {
        self.scan_described(file, path, None).await
    }

    /// The same, and tells rules of others what the file is called and whose it is.
    pub async fn scan_described(
        &self,
        file: File,
        path: &Untrusted,
        externals: Option<Externals>,
    ) -> FileScan {
        let Some(generation) = self.generation().await else {
            let scanned = without_hits(ScanOutcome::Crashed);
            return FileScan { scanned, unseen: Vec::new(), sha256: None, pack: 0 };
        };
        let size = file.metadata().map_or(0, |file| file.len());
        let reply = self.scan(&generation, (What::File, externals), file, size).await;
        let reply = listed::asked(reply, path, &generation.sets, Timestamp::now());
        self.gauge.scanned(reply.scanned.outcome);
        let ScanReply { scanned, unseen, sha256, .. } = reply;
        FileScan { scanned, unseen, sha256, pack: generation.pack.version }
    }

    /// Returns the process ids of the workers.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.current.borrow().as_ref().map(|g| g.first.pids.all()).unwrap_or_default()
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

    async fn scan(
        &self,
        generation: &Generation,
        (what, externals): (What, Option<Externals>),
        file: File,
        size: u64,
    ) -> ScanReply {
        let time = self.limits.time_for(size);
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let request = ScanRequest { what, limit: self.limits.size, millis, externals };
        let (answer, reply) = oneshot::channel();
        let is_large = size > LARGE && size <= self.limits.size;
        let job = Job { request, file: file.into(), answer };
        if is_large {
            generation.large.hand_in(job).await;
        } else if generation.first.queue.hand_in(job).await {
            generation.start_further();
        }
        let reply = reply.await.unwrap_or_else(|_| without_answer(ScanOutcome::Crashed));
        believable(reply, &generation.pack)
    }
}

impl Generation {
    /// Starts one more worker, if there may be one; it takes up its work as soon as it stands.
    fn start_further(&self) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(number) = (1..self.most).find(|n| !there[*n]) else { return };
        there[number] = true;
        drop(there);
        let gone = Arc::clone(&self.there);
        let ended = move || gone.lock().unwrap_or_else(PoisonError::into_inner)[number] = false;
        if let Err(error) = (Slot { number, ..self.first.clone() }).start_further(ended) {
            self.there.lock().unwrap_or_else(PoisonError::into_inner)[number] = false;
            tracing::warn!(%error, "no thread for a further scan worker");
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.first.queue.close();
        self.large.close();
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
