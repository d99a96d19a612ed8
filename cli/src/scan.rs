//! `khien scan`: scans files, or the memory of processes, on this machine with the sandboxed workers of an agent, but
//! without agent, hub or home.
//!
//! ```text
//! walk ── paths ──► feeders (open, ask a worker) ── how it ended ──► this thread: lines, totals, progress
//! ```
//! Every channel is bounded, so a tree of any size takes the same memory. Nothing on the host is changed, and nothing
//! that was not scanned reads as clean.

mod again;
mod feed;
mod processes;
pub(crate) mod rules;
mod told;
pub(crate) mod totals;
mod walk;

use std::{
    ffi::OsStr,
    io::ErrorKind,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use khien_core::{Lang, asset::Coverage, event::ScanOutcome, reason::Reason, text::scan as t};
use khien_scan::{Gauge, Limits, Pool};
use tokio::runtime::Runtime;

use crate::{
    args,
    exit::{Exit, Stop},
    output::say,
    told::Told,
};
use again::Again;
use feed::{Done, Feed, How, shown};
use processes::Wanted;
use rules::Loaded;
use told::Teller;
use walk::{Found, Passed, Walk};

/// Paths that wait to be opened, and results that wait to be told.
const WAITING: usize = 512;
/// Threads that open files for each worker: while one waits for a large file the other goes on.
const FEEDERS_EACH: usize = 2;
/// How often the progress is shown and a wish to stop is seen.
const BEAT: Duration = Duration::from_millis(200);
/// How long the totals may take after a wish to stop. Who reads our output may not read any more: then it ends without
/// them.
const GRACE: Duration = Duration::from_millis(600);

/// How a scan ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was scanned and nothing matched.
    Clean = 0,
    /// Something matched.
    Matched = 1,
    /// Nothing matched, but something was not scanned.
    Incomplete = 3,
}

/// What a thread tells the one that prints.
enum Event {
    /// A file ended, or what could not become one.
    Done(Done),
    /// The walk is over.
    Walked(Passed),
}

/// Where what is scanned comes from.
enum Task {
    /// All below these.
    Trees(Vec<PathBuf>),
    /// Those that were gone when their turn came.
    Again(Again),
    /// None: the memory of these.
    Processes(Wanted),
}

/// Scans what was typed.
pub(crate) fn run(lang: Lang, json: bool, what: args::Scan) -> Result<Ended> {
    if !processes::asked(&what) {
        any_is_there(&what.paths, lang)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut teller = Teller::new(lang, json, what.all);
    teller.loading();
    let loaded = Arc::new(rules::load(&what, lang)?);
    let scan = Scan {
        pool: Arc::new(pool(&what, &runtime, &loaded, lang)?),
        feeders: FEEDERS_EACH * workers(&what),
        digests: json && what.all,
        most: processes::most(&what),
        one_file_system: what.one_file_system,
        wish: Arc::default(),
        loaded,
        runtime,
    };
    teller.loaded(&scan.loaded);
    // Until here there are no totals to tell: Ctrl-C just ends.
    scan.runtime.spawn(asked_to_stop(Arc::clone(&scan.wish)));
    let task = processes::wanted(&what).map_or(Task::Trees(what.paths), Task::Processes);
    let interrupted = scan.both_rounds(task, &mut teller)?;
    let ended = teller.finish(interrupted, &scan.loaded)?;
    // A worker may be in the middle of a file: it is killed with this process.
    scan.runtime.shutdown_background();
    Ok(ended)
}

/// Refuses to begin where nothing of what was named is there: a path that was mistyped is no finding.
fn any_is_there(paths: &[PathBuf], lang: Lang) -> Result<()> {
    let is_missing = |path: &PathBuf| {
        path.metadata().is_err_and(|e| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    };
    if !paths.iter().all(is_missing) {
        return Ok(());
    }
    let named: Vec<_> = paths.iter().map(|path| shown(path).to_string()).collect();
    let what = t::NOT_THERE.with(lang, &[&named.join(", ")]);
    Err(Stop::new(Exit::Usage, what, t::NEXT_PATHS.get(lang)).into())
}

/// A person's wish to stop, and what it is to say if nobody reads the totals.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) has_matched: AtomicBool,
    /// What is to be said if it ends before its time: what was found did not get to where it was to go.
    pub(crate) owed: OnceLock<String>,
}

/// Notes the wish, and ends the program a moment later if it has not ended by itself.
pub(crate) async fn asked_to_stop(wish: Arc<Wish>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut ended) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = ended.recv() => {}
    }
    wish.stop.store(true, Ordering::Relaxed);
    tokio::time::sleep(GRACE).await;
    if let Some(owed) = wish.owed.get() {
        say(owed);
        std::process::exit(Exit::Unreachable as i32);
    }
    let has_matched = wish.has_matched.load(Ordering::Relaxed);
    let ended = if has_matched { Ended::Matched } else { Ended::Incomplete };
    std::process::exit(ended as i32);
}

/// Returns how many workers there may be.
fn workers(what: &args::Scan) -> usize {
    let asked = what.threads.and_then(|n| usize::try_from(n).ok());
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Starts the workers with their rules.
fn pool(what: &args::Scan, runtime: &Runtime, loaded: &Loaded, lang: Lang) -> Result<Pool> {
    let usual = Limits::default();
    let limits = Limits {
        time: what.timeout.map_or(usual.time, Duration::from_secs),
        size: what.max_size.map_or(usual.size, |mib| mib << 20),
        workers: workers(what),
    };
    let lacks = Arc::new(Lacks::default());
    let pool = Pool::with_program("/proc/self/exe".into(), limits, Arc::clone(&lacks) as Arc<dyn Gauge>);
    let pool = pool.in_a_hurry();
    let stands = runtime.block_on(pool.load_compiled(Arc::clone(&loaded.pack), &loaded.compiled));
    stands.map_err(|reason| Told::new(t::NO_WORKER, &[&reason.words()]))?;
    lacks.tell(lang);
    Ok(pool)
}

/// What the sandbox lacks.
#[derive(Default)]
pub(crate) struct Lacks(Mutex<Option<Reason>>);

impl Lacks {
    /// Says it, if it lacks anything.
    pub(crate) fn tell(&self, lang: Lang) {
        if let Some(reason) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            say(&t::SANDBOX.with(lang, &[&reason.text(lang)]));
        }
    }
}

impl Gauge for Lacks {
    fn cover(&self, coverage: Coverage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = coverage.reason;
    }

    fn scanned(&self, _: ScanOutcome) {}

    fn loaded(&self, _: u64) {}
}

/// What both rounds of a scan work with.
struct Scan {
    runtime: Runtime,
    pool: Arc<Pool>,
    loaded: Arc<Loaded>,
    wish: Arc<Wish>,
    /// How many open files and ask the workers.
    feeders: usize,
    /// Whether clean files are told with their SHA-256.
    digests: bool,
    /// Bytes of one process that are scanned.
    most: u64,
    one_file_system: bool,
}

impl Scan {
    /// Scans all that is asked for, and then what was renamed meanwhile. Returns whether it was broken off.
    fn both_rounds(&self, task: Task, teller: &mut Teller) -> Result<bool> {
        let mut again = Again::default();
        let events = self.start(task)?;
        let interrupted = self.listen(&events, teller, |path, number| again.take(path, number))?;
        if interrupted || again.is_empty() {
            return Ok(interrupted);
        }
        let events = self.start(Task::Again(again))?;
        self.listen(&events, teller, |_, _| false)
    }

    /// Starts the walk and the feeders. The channel ends when all of them have.
    fn start(&self, task: Task) -> Result<Receiver<Event>> {
        let (paths, found) = sync_channel::<Found>(WAITING);
        let (events, heard) = sync_channel(WAITING);
        let found = Arc::new(Mutex::new(found));
        for number in 0..self.feeders {
            let feed = Feed {
                found: Arc::clone(&found),
                events: events.clone(),
                pool: Arc::clone(&self.pool),
                runtime: self.runtime.handle().clone(),
                tells_names: self.loaded.is_foreign,
                digests: self.digests,
                most: self.most,
                stop: Arc::clone(&self.wish.stop),
                users: khien_scan::users::Users::default(),
            };
            named(format!("feed-{number}"), move || feed.run())?;
        }
        let walk = Walk::new(self.one_file_system, Arc::clone(&self.wish.stop), paths);
        named("walk".to_owned(), move || match task {
            // Nobody hears it any more when the scan is broken off.
            Task::Trees(roots) => drop(events.send(Event::Walked(walk.run(&roots)))),
            Task::Again(again) => {
                walk.again(again);
                drop(events);
            }
            Task::Processes(wanted) => {
                walk.processes(&wanted);
                drop(events);
            }
        })?;
        Ok(heard)
    }

    /// Tells what ends until all has, or until it is to stop. A file that is gone is first offered to be `looked_for`.
    /// Returns whether it was broken off.
    fn listen(
        &self,
        events: &Receiver<Event>,
        teller: &mut Teller,
        mut looked_for: impl FnMut(&Path, u64) -> bool,
    ) -> Result<bool> {
        loop {
            if self.wish.stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
            match events.recv_timeout(BEAT) {
                Ok(Event::Done(Done { path, ended: How::Gone(Some(number)), .. }))
                    if looked_for(Path::new(OsStr::from_bytes(path.raw())), number) => {}
                Ok(Event::Done(done)) => {
                    if done.has_matched() {
                        self.wish.has_matched.store(true, Ordering::Relaxed);
                    }
                    teller.done(&done, &self.loaded)?;
                }
                Ok(Event::Walked(passed)) => teller.walked(passed),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(self.wish.stop.load(Ordering::Relaxed)),
            }
            teller.progress();
        }
    }
}

fn named(name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name).spawn(work).map(drop).context("cannot start a thread")
}
