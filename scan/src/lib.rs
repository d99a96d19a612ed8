//! Scans files, streams and the memory of processes in sandboxed worker processes, because a hostile byte may take over
//! what parses it.
//!
//! ```text
//! who scans ── open file or bytes ──► Pool ── job ──► slot (a thread) ── open file over a socket ──► worker (a process)
//!                                                     kills it at twice the time limit             sandboxed, one pack
//! One worker stands while there is work now and then, and has the next small files in its hand. Another one is started
//! when it takes long over a file and more waits, or when many wait and go on waiting, and ends when it is idle. After
//! five minutes without work the first one rests too, where its rules load in milliseconds.
//! ```
//! A file that could not be scanned to its end has an outcome of its own. It is never clean.
//!
//! A worker is the calling program itself, started again with the one argument `worker`: its `main` must call
//! [`worker::main`] then, before anything else.

mod brought;
pub mod filesystem;
mod listed;
mod load;
mod memory;
pub mod open;
mod paged;
mod probe;
mod process;
mod queue;
mod sandbox;
mod slot;
pub mod target;
pub mod trim;
pub mod users;
mod wire;
pub mod worker;

use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    io::Write,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use khien_core::{
    RuleId, Sha256, Timestamp, Untrusted,
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
    open::Inode,
    queue::Queue,
    slot::{Job, Slot},
    wire::{Reply, Request, ScanReply, ScanRequest, What},
};
/// Jobs that wait for a worker; who has more waits before handing them in.
const MAX_WAITING: usize = 64;
/// How long many files wait before a further worker is started. A worker catches up with a thousand files in a quarter of
/// that, and a further one takes the memory of all rules once more.
const PATIENCE: Duration = Duration::from_millis(400);

/// A larger file waits for a worker of its own, so that no other file waits for it.
pub const LARGE: u64 = 64 << 20;
/// Bytes a second that a scan may count on. Two processors with sixteen busy programs still gave the base pack six
/// million.
const SLOWEST: u64 = 4 << 20;
/// So many times as long a scan has while others need the processors.
const BUSY: u128 = 3;

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
    /// How many workers at most. All but the first stand only while there is work for them.
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
    /// Of the bytes that were scanned; none if they were not all read, or if nobody asked.
    pub sha256: Option<Sha256>,
    /// The version of the pack that scanned.
    pub pack: u64,
    /// The file's inode after that, as the worker saw it; none if it did not come to look.
    pub now: Option<Inode>,
}

/// A scan that was asked for and may not have ended.
pub struct Scanning {
    reply: oneshot::Receiver<ScanReply>,
    generation: Arc<Generation>,
    gauge: Arc<dyn Gauge>,
    path: Untrusted,
}

/// The scan workers.
pub struct Pool {
    program: PathBuf,
    limits: Limits,
    /// How long the last worker is kept without work.
    rest: Duration,
    /// Whether one worker must do, since the host is short of memory.
    alone: Arc<AtomicBool>,
    /// Whether others need the processors, so that workers get less of them.
    slowly: AtomicBool,
    /// How long many files wait before a further worker is started.
    patience: Duration,
    gauge: Arc<dyn Gauge>,
    current: watch::Sender<Option<Arc<Generation>>>,
    /// The version of the pack with which the next scan is made, told before it is.
    scanning: Arc<AtomicU64>,
    loading: tokio::sync::Mutex<()>,
}

/// The workers of one pack. Of the pack itself only what every scan asks for stays in memory: its text lies where the
/// workers read it.
struct Generation {
    version: u64,
    /// The rules of which a worker may tell.
    rules: BTreeSet<RuleId>,
    sets: Arc<FileSets>,
    first: Slot,
    /// For large files.
    large: Arc<Queue<Job>>,
}

/// One scan as the pool is asked for it.
struct Asked {
    what: What,
    /// By this it is decided for which worker the file waits and how long its scan may take.
    size: u64,
    /// No more bytes than these are read.
    limit: u64,
    externals: Option<Externals>,
    /// Whether the SHA-256 of a clean file is asked for, too.
    digest: bool,
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
            rest: slot::REST,
            alone: Arc::default(),
            slowly: AtomicBool::default(),
            patience: PATIENCE,
            gauge,
            current: watch::Sender::new(None),
            scanning: Arc::default(),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// Has further workers start as soon as many files wait: somebody waits for the end, and no memory is to be spared.
    #[must_use]
    pub fn in_a_hurry(self) -> Self {
        Self { patience: Duration::ZERO, ..self }
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
        self.start_workers(&pack, brought).await
    }

    /// Loads a pack by the compiled form of its rules for files, which the caller made itself: it runs as machine code in
    /// the workers. Nothing scans streams then.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_compiled(&self, pack: Arc<Pack>, compiled: &[u8]) -> Result<(), Reason> {
        let _one_at_a_time = self.loading.lock().await;
        let brought = Brought::own(&pack, compiled)?;
        self.start_workers(&pack, brought).await
    }

    async fn start_workers(&self, pack: &Pack, brought: Brought) -> Result<(), Reason> {
        let most = self.limits.workers.max(1);
        let first = Slot {
            number: 0,
            program: self.program.clone(),
            pack: Arc::new(brought),
            queue: Arc::new(Queue::new(MAX_WAITING, self.patience)),
            pids: Arc::new(Pids::default()),
            there: Arc::new(Mutex::new(vec![false; most])),
            rest: self.rest,
            alone: Arc::clone(&self.alone),
            gauge: Arc::clone(&self.gauge),
        };
        let (said, heard) = oneshot::channel();
        first.clone().start(said).map_err(|e| Reason::NoThread { error: e.into() })?;
        let large = Arc::new(Queue::new(MAX_WAITING, self.patience));
        let spare = Slot { number: most, queue: Arc::clone(&large), there: Arc::default(), ..first.clone() };
        let (version, sets) = (pack.version, Arc::new(FileSets::new(pack)));
        let rules = pack.rules.iter().map(|rule| rule.id.clone()).collect();
        // From here on its drop ends the worker.
        let generation = Arc::new(Generation { version, rules, sets, first, large });
        spare.start_spare().map_err(|e| Reason::NoThread { error: e.into() })?;
        let missing = heard.await.map_err(|_| Reason::AgentFailed)??;
        self.gauge.cover(sandbox_coverage(&missing));
        self.gauge.loaded(version);
        for (rule, error) in generation.sets.broken() {
            tracing::error!(%rule, %error, "a list of the pack cannot be read");
        }
        // Before the first scan with it: who holds pieces back by the rules of another pack must not any more.
        self.scanning.store(version, Ordering::Release);
        self.current.send_replace(Some(generation));
        Ok(())
    }

    /// Returns the lists of files of the loaded pack, the one copy of them that there is.
    #[must_use]
    pub fn lists(&self) -> Arc<FileSets> {
        self.current.borrow().as_ref().map(|generation| Arc::clone(&generation.sets)).unwrap_or_default()
    }

    /// Scans reassembled traffic with the rules that fit streams.
    pub async fn scan_stream(&self, bytes: Vec<u8>) -> Scanned {
        let scanned = match memory_file(&bytes) {
            Ok(file) => match tokio::time::timeout(self.limits.time, self.generation()).await {
                Ok(Some(generation)) => {
                    let asked = Asked { what: What::Stream, ..self.asked(0) };
                    self.scan(&generation, asked, file).await.scanned
                }
                Ok(None) | Err(_) => without_hits(ScanOutcome::Timeout),
            },
            Err(_) => without_hits(ScanOutcome::Unreadable),
        };
        self.gauge.scanned(scanned.outcome);
        scanned
    }

    /// Scans an opened regular file and asks the lists about it. Before a pack is loaded it waits for one.
    pub async fn scan_file(&self, file: File, path: &Untrusted) -> FileScan {
        let asked = Asked { digest: true, ..self.asked(size_of(&file)) };
        self.counted(self.scan_asked(file, path, asked).await)
    }

    /// The same with the size by which the caller chose when to scan it: by that the file waits for the worker of large
    /// files or not, whatever became of it since. None: it has grown from one kind into the other, and is to be handed
    /// in again as what it is then. Its digest is asked for: by that a later walk knows its content again.
    pub async fn scan_sized(&self, file: File, path: &Untrusted, size: u64) -> Option<FileScan> {
        let limit = if size > LARGE { self.limits.size } else { self.limits.size.min(LARGE) };
        let scan = self.scan_asked(file, path, Asked { limit, digest: true, ..self.asked(size) }).await;
        let has_grown = scan.scanned.outcome == ScanOutcome::TooLarge && limit < self.limits.size;
        (!has_grown).then(|| self.counted(scan))
    }

    /// Begins to scan a file, and tells rules of others what the file is called and whose it is. Whoever begins several
    /// scans spares the workers a wait. `digest` says whether the SHA-256 of a clean file is asked for. None: there will
    /// be no pack.
    pub async fn begin(
        &self,
        file: File,
        path: Untrusted,
        externals: Option<Externals>,
        digest: bool,
    ) -> Option<Scanning> {
        let asked = Asked { externals, digest, ..self.asked(size_of(&file)) };
        let generation = self.generation().await?;
        let size = asked.size;
        let reply = self.hand_in(&generation, self.request(asked), vec![file.into()], size).await;
        Some(Scanning { reply, generation, gauge: Arc::clone(&self.gauge), path })
    }

    /// What is mostly asked of a file of so many bytes.
    fn asked(&self, size: u64) -> Asked {
        Asked { what: What::File, size, limit: self.limits.size, externals: None, digest: false }
    }

    async fn scan_asked(&self, file: File, path: &Untrusted, asked: Asked) -> FileScan {
        let Some(generation) = self.generation().await else {
            return unasked();
        };
        let reply = self.scan(&generation, asked, file).await;
        generation.told(reply, path)
    }

    fn counted(&self, scan: FileScan) -> FileScan {
        self.gauge.scanned(scan.scanned.outcome);
        scan
    }

    /// States whether the host is short of memory: then no further worker is started, and one that is there goes after the
    /// next file. That for large files comes and goes as always.
    pub fn save_memory(&self, wanted: bool) {
        self.alone.store(wanted, Ordering::Relaxed);
    }

    /// States whether others need the processors: then a scan has three times as long, since its worker may have been made to
    /// give way to them.
    pub fn others_need_processors(&self, so: bool) {
        self.slowly.store(so, Ordering::Relaxed);
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

    /// Returns the version of the pack with which scans are made, 0 for none, wherever it is read. It is told before the first scan
    /// with that pack.
    #[must_use]
    pub fn scanning(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.scanning)
    }

    /// Returns the version of the loaded pack; 0 is none.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.current.borrow().as_ref().map_or(0, |g| g.version)
    }

    async fn generation(&self) -> Option<Arc<Generation>> {
        self.current.subscribe().wait_for(Option::is_some).await.ok()?.clone()
    }

    async fn scan(&self, generation: &Arc<Generation>, asked: Asked, file: File) -> ScanReply {
        let size = asked.size;
        self.ask(generation, self.request(asked), vec![file.into()], size).await
    }

    fn request(&self, Asked { what, size, limit, externals, digest }: Asked) -> ScanRequest {
        let time = self.limits.time_for(size).as_millis();
        let times = if self.slowly.load(Ordering::Relaxed) { BUSY } else { 1 };
        let millis = u64::try_from(time.saturating_mul(times)).unwrap_or(u64::MAX);
        ScanRequest { number: 0, what, limit, millis, digest, externals }
    }

    /// Hands open files of so many bytes to a worker, as a [`Job`] has them, and waits for its answer.
    async fn ask(
        &self,
        generation: &Arc<Generation>,
        request: ScanRequest,
        files: Vec<OwnedFd>,
        size: u64,
    ) -> ScanReply {
        let what = request.what;
        let reply = self.hand_in(generation, request, files, size).await;
        generation.answered(reply.await, what)
    }

    async fn hand_in(
        &self,
        generation: &Arc<Generation>,
        request: ScanRequest,
        files: Vec<OwnedFd>,
        size: u64,
    ) -> oneshot::Receiver<ScanReply> {
        let (answer, reply) = oneshot::channel();
        let is_large = size > LARGE && size <= self.limits.size;
        let job = Job { request, files, size, answer };
        if is_large {
            generation.large.hand_in(job).await;
        } else if generation.first.queue.hand_in(job).await {
            generation.first.call_further();
        }
        reply
    }
}

impl fmt::Debug for Scanning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanning").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Scanning {
    /// Waits for the end.
    pub async fn ended(self) -> FileScan {
        let reply = self.generation.answered(self.reply.await, What::File);
        let scan = self.generation.told(reply, &self.path);
        self.gauge.scanned(scan.scanned.outcome);
        scan
    }
}

impl Generation {
    /// Takes of an answer what can be believed.
    fn answered(&self, reply: Result<ScanReply, oneshot::error::RecvError>, what: What) -> ScanReply {
        let reply = reply.unwrap_or_else(|_| without_answer(ScanOutcome::Crashed));
        believable(reply, what, &self.rules)
    }

    /// Asks the lists about a file, and tells what there is to tell of it.
    fn told(&self, reply: ScanReply, path: &Untrusted) -> FileScan {
        let ScanReply { scanned, unseen, sha256, now, .. } =
            listed::asked(reply, path, &self.sets, Timestamp::now());
        FileScan { scanned, unseen, sha256, pack: self.version, now }
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
fn believable(mut reply: ScanReply, what: What, rules: &BTreeSet<RuleId>) -> ScanReply {
    reply.unseen.truncate(MAX_TROUBLES);
    let hits = &mut reply.scanned.hits;
    let is_own = |rule: &RuleId| what == What::Memory && memory::is_own(rule);
    hits.retain(|hit| rules.contains(&hit.rule) || is_own(&hit.rule));
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

/// Reads a message as a worker does and as its parent does, and writes what each took of it. For fuzz targets only.
#[doc(hidden)]
#[must_use]
pub fn understood(said: &[u8], pack: &Pack) -> [Option<Vec<u8>>; 2] {
    let rules = pack.rules.iter().map(|rule| rule.id.clone()).collect();
    let asked = serde_json::from_slice::<Request>(said).ok();
    let answered = serde_json::from_slice(said).ok().map(|reply| match reply {
        Reply::Scanned(reply) => Reply::Scanned(believable(reply, What::File, &rules)),
        other => other,
    });
    [asked.and_then(|a| serde_json::to_vec(&a).ok()), answered.and_then(|a| serde_json::to_vec(&a).ok())]
}

fn without_answer(outcome: ScanOutcome) -> ScanReply {
    ScanReply {
        number: 0,
        scanned: without_hits(outcome),
        unseen: Vec::new(),
        sha256: None,
        digests: Digests::default(),
        size: 0,
        now: None,
    }
}

/// What there is to tell of a file where no pack will be loaded any more.
fn unasked() -> FileScan {
    let scanned = without_hits(ScanOutcome::Crashed);
    FileScan { scanned, unseen: Vec::new(), sha256: None, pack: 0, now: None }
}

fn size_of(file: &File) -> u64 {
    file.metadata().map_or(0, |file| file.len())
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
