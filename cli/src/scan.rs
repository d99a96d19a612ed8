//! `khien scan`: scans files on this machine with the sandboxed workers of an agent, but without agent, hub or home.
//!
//! ```text
//! walk ── paths ──► feeders (open, ask a worker) ── how it ended ──► this thread: lines, totals, progress
//! ```
//! Every channel is bounded, so a tree of any size takes the same memory. Nothing on the host is changed, and nothing
//! that was not scanned reads as clean.

mod feed;
mod rules;
mod told;
mod totals;
mod walk;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
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

use crate::{args, output::say, told::Told};
use feed::{Done, Feed};
use rules::Loaded;
use told::Teller;
use walk::{Found, Passed, Walk};

/// Paths that wait to be opened, and results that wait to be told.
const WAITING: usize = 512;
/// Files that are open for each worker: one is scanned, one waits, so that no worker does.
const FILES_EACH: usize = 2;
/// How often the progress is shown and a wish to stop is seen.
const BEAT: Duration = Duration::from_millis(200);

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

/// Scans what was typed.
pub(crate) fn run(lang: Lang, json: bool, what: args::Scan) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut teller = Teller::new(lang, json, what.all);
    teller.loading();
    let loaded = Arc::new(rules::load(&what, lang)?);
    let pool = Arc::new(pool(&what, &runtime, &loaded, lang)?);
    teller.loaded(&loaded);
    let stop = Arc::new(AtomicBool::new(false));
    // Until here there are no totals to tell: Ctrl-C just ends.
    runtime.spawn(asked_to_stop(Arc::clone(&stop)));
    let events = start(what, &runtime, pool, &loaded, &stop)?;
    let interrupted = listen(&events, &stop, &loaded, &mut teller)?;
    let ended = teller.finish(interrupted, &loaded)?;
    // A worker may be in the middle of a file: it is killed with this process.
    runtime.shutdown_background();
    Ok(ended)
}

async fn asked_to_stop(stop: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut ended) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = ended.recv() => {}
    }
    stop.store(true, Ordering::Relaxed);
    // Who reads our output may not read any more: the second time nothing is waited for.
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(i32::from(Ended::Incomplete as u8));
    }
}

/// Starts the workers with their rules.
fn pool(what: &args::Scan, runtime: &Runtime, loaded: &Loaded, lang: Lang) -> Result<Pool> {
    let usual = Limits::default();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits {
        time: what.timeout.map_or(usual.time, Duration::from_secs),
        size: what.max_size.map_or(usual.size, |mib| mib << 20),
        workers: what.threads.and_then(|n| usize::try_from(n).ok()).unwrap_or(processors),
    };
    let lacks = Arc::new(Lacks::default());
    let pool = Pool::with_program("/proc/self/exe".into(), limits, Arc::clone(&lacks) as Arc<dyn Gauge>);
    let stands = runtime.block_on(pool.load_compiled(Arc::clone(&loaded.pack), &loaded.compiled));
    stands.map_err(|reason| Told::new(t::NO_WORKER, &[&reason.words()]))?;
    if let Some(reason) = lacks.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
        say(&t::SANDBOX.with(lang, &[&reason.text(lang)]));
    }
    Ok(pool)
}

/// What the sandbox lacks.
#[derive(Default)]
struct Lacks(Mutex<Option<Reason>>);

impl Gauge for Lacks {
    fn cover(&self, coverage: Coverage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = coverage.reason;
    }

    fn scanned(&self, _: ScanOutcome) {}

    fn loaded(&self, _: u64) {}
}

/// Starts the walk and the feeders. The channel ends when all of them have.
fn start(
    what: args::Scan,
    runtime: &Runtime,
    pool: Arc<Pool>,
    loaded: &Arc<Loaded>,
    stop: &Arc<AtomicBool>,
) -> Result<Receiver<Event>> {
    let feeders = FILES_EACH
        * what
            .threads
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let (paths, found) = sync_channel::<Found>(WAITING);
    let (events, heard) = sync_channel(WAITING);
    let found = Arc::new(Mutex::new(found));
    for number in 0..feeders {
        let feed = Feed {
            found: Arc::clone(&found),
            events: events.clone(),
            pool: Arc::clone(&pool),
            runtime: runtime.handle().clone(),
            tells_names: loaded.is_foreign,
            stop: Arc::clone(stop),
            users: khien_scan::users::Users::default(),
        };
        named(format!("feed-{number}"), move || feed.run())?;
    }
    let walk = Walk::new(what.one_file_system, Arc::clone(stop), paths);
    named("walk".to_owned(), move || {
        // Nobody hears it any more when the scan is broken off.
        let _ = events.send(Event::Walked(walk.run(&what.paths)));
    })?;
    Ok(heard)
}

fn named(name: String, work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new().name(name).spawn(work).map(drop).context("cannot start a thread")
}

/// Tells what ends until all has, or until it is to stop. Returns whether it was broken off.
fn listen(events: &Receiver<Event>, stop: &AtomicBool, loaded: &Loaded, teller: &mut Teller) -> Result<bool> {
    loop {
        if stop.load(Ordering::Relaxed) {
            return Ok(true);
        }
        match events.recv_timeout(BEAT) {
            Ok(Event::Done(done)) => teller.done(&done, loaded)?,
            Ok(Event::Walked(passed)) => teller.walked(passed),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(stop.load(Ordering::Relaxed)),
        }
        teller.progress();
    }
}
