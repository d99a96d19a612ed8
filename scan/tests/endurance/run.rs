//! Inputs that are cut while they are scanned, that never end, or over which a worker dies: each has an outcome, and who
//! asked for the scan lives on.
#![allow(clippy::unwrap_used, reason = "what fails here ends the trial")]

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use khien_core::{Untrusted, asset::Coverage, bundle::Pack, event::ScanOutcome};
use khien_rules::sample::{MARK, marked_pack, modules_pack};
use khien_scan::{Gauge, Limits, Pool};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

/// How long a scan of the slow kind may take; the worker is killed after twice as long.
const SHORT: Duration = Duration::from_millis(100);
/// Every so manieth file that is cut is one of which only windows are in memory.
const LARGE_EACH: usize = 50;
/// Its size, and that of the others.
const SIZES: [u64; 2] = [18 << 20, 256 << 10];

/// How the scans ended.
pub(crate) type Ends = BTreeMap<ScanOutcome, usize>;

/// Scans so many files, each of which is cut and grown all the time.
pub(crate) fn cut(program: &Path, files: usize) -> Ends {
    let (pool, folder) = (Scans::new(program, Duration::from_secs(10)), tempfile::tempdir().unwrap());
    let mut ends = Ends::new();
    for n in 0..files {
        let path = folder.path().join("cut");
        let size = if n % LARGE_EACH == 0 { SIZES[0] } else { SIZES[1] };
        std::fs::write(&path, MARK).unwrap();
        let done = AtomicBool::new(false);
        let end = std::thread::scope(|threads| {
            threads.spawn(|| {
                let file = File::options().write(true).open(&path).unwrap();
                while !done.load(Relaxed) {
                    file.set_len(size).unwrap();
                    file.set_len(n as u64 % 4_096).unwrap();
                }
            });
            let end = pool.scan(File::open(&path).unwrap());
            done.store(true, Relaxed);
            end
        });
        *ends.entry(end).or_default() += 1;
    }
    ends
}

/// Scans so many files over which the worker stands still.
pub(crate) fn stuck(program: &Path, files: usize) -> Ends {
    let pool = Scans::new(program, SHORT);
    let mut ends = Ends::new();
    for _ in 0..files {
        pool.signal(Signal::STOP);
        *ends.entry(pool.scan(marked())).or_default() += 1;
        pool.settle();
    }
    ends
}

/// Scans so many files over which the worker is killed.
pub(crate) fn killed(program: &Path, files: usize) -> Ends {
    let pool = Scans::new(program, Duration::from_secs(10));
    let mut ends = Ends::new();
    for n in 0..files {
        pool.signal(Signal::STOP);
        let end = pool.runtime.block_on(async {
            let path = Untrusted::default();
            let scan = pool.pool.scan_file(marked(), &path);
            tokio::pin!(scan);
            // Handed over or not: the worker dies at another moment each time.
            let early = Duration::from_millis(n as u64 % 8);
            assert!(tokio::time::timeout(early, &mut scan).await.is_err());
            pool.signal(Signal::KILL);
            scan.await.scanned.outcome
        });
        *ends.entry(end).or_default() += 1;
        pool.settle();
    }
    ends
}

/// Scans every file of a tree with rules for which each module reads all of it.
#[allow(dead_code, reason = "the test has no such tree")]
pub(crate) fn corpus(program: &Path, tree: &Path) -> Ends {
    let pool = Scans::with(program, Duration::from_secs(10), modules_pack(1, "false"));
    let (mut ends, mut folders) = (Ends::new(), vec![tree.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                *ends.entry(pool.scan(File::open(entry.path()).unwrap())).or_default() += 1;
                pool.settle();
            }
        }
    }
    ends
}

/// A file in which something is found if it is scanned.
fn marked() -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(MARK).unwrap();
    file
}

/// A pool with one worker.
struct Scans {
    pool: Pool,
    runtime: Runtime,
}

impl Scans {
    fn new(program: &Path, time: Duration) -> Self {
        Self::with(program, time, marked_pack(1))
    }

    fn with(program: &Path, time: Duration, pack: Pack) -> Self {
        let limits = Limits { time, size: 64 << 20, workers: 1 };
        let scans = Pool::with_program(program.to_owned(), limits, Arc::new(Silent));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(scans.load(Arc::new(pack))).unwrap();
        Self { pool: scans, runtime }
    }

    fn scan(&self, file: File) -> ScanOutcome {
        self.runtime.block_on(self.pool.scan_file(file, &Untrusted::default())).scanned.outcome
    }

    /// A good file is scanned as ever, sooner or later where scans have little time.
    fn settle(&self) {
        while self.scan(marked()) != ScanOutcome::Matched {}
    }

    fn signal(&self, signal: Signal) {
        for pid in self.pool.pids() {
            kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
        }
    }
}

struct Silent;

impl Gauge for Silent {
    fn cover(&self, _: Coverage) {}

    fn scanned(&self, _: ScanOutcome) {}

    fn loaded(&self, _: u64) {}
}
