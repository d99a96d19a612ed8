//! The real worker process, in its real sandbox.

use std::{
    io::Write,
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

use khien_rules::sample::marked_pack;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use super::{
    open::Opened,
    process::Process,
    wire::{Attempt, Reply, Request, Way},
    *,
};

mod asleep;
mod bombs;
mod compiled;
mod formats;
mod hung;
mod large;
mod memory;
mod sandbox;
mod workers;

/// What the rule looks for, and bytes around it.
pub(crate) const MARK: &[u8] = b"before KHIEN-TEST-MARK after";
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_file_that_matches_is_told_with_its_hash_and_the_bytes_around() {
    let pool = Tested::new();

    let scan = pool.scan(MARK);

    assert_eq!(scan.scanned.outcome, ScanOutcome::Matched);
    assert_eq!(*pool.told.scans.lock().unwrap(), [ScanOutcome::Matched]);
    assert_eq!(scan.scanned.hits[0].rule.as_str(), "test.mark");
    assert_eq!(scan.scanned.hits[0].excerpts[0].before.raw(), b"before ");
    assert_eq!(scan.sha256, Some(Sha256::of(MARK)));
    assert_eq!(scan.pack, 1);
}

#[test]
fn the_inode_is_told_as_it_was_when_the_file_had_been_read() {
    let (pool, file) = (Tested::new(), file_of(MARK));
    let as_opened = Opened::now(&file).unwrap();
    (&file).write_all(b" and more").unwrap();

    let scan = pool.runtime.block_on(pool.pool.scan_file(file.try_clone().unwrap(), &Untrusted::default()));

    assert_eq!(scan.now, Opened::now(&file).ok());
    assert!(scan.now.is_some_and(|now| now != as_opened));
}

#[test]
fn a_clean_file_has_a_digest_only_where_one_is_asked_for() {
    let pool = Tested::new();
    let clean = b"nothing to see";
    let scan = |digest| {
        let scan = async {
            let begun = pool.pool.begin(file_of(clean), Untrusted::default(), None, digest).await;
            begun.unwrap().ended().await
        };
        let scan = pool.runtime.block_on(scan);
        (scan.scanned.outcome, scan.sha256)
    };

    assert_eq!(scan(false), (ScanOutcome::Clean, None));
    assert_eq!(scan(true), (ScanOutcome::Clean, Some(Sha256::of(clean))));
}

#[test]
fn many_scans_that_were_begun_at_once_all_end_as_they_should() {
    let pool = Tested::with(Limits { workers: 2, ..limits() });
    let file = |n: usize| file_of(if n.is_multiple_of(3) { MARK } else { b"nothing to see" });

    let ends = pool.runtime.block_on(async {
        let mut begun = Vec::new();
        for n in 0..60 {
            begun.push(pool.pool.begin(file(n), Untrusted::default(), None, false).await.unwrap());
        }
        let mut ends = Vec::new();
        for scan in begun {
            ends.push(scan.ended().await.scanned.outcome);
        }
        ends
    });

    let wanted = |n: usize| if n.is_multiple_of(3) { ScanOutcome::Matched } else { ScanOutcome::Clean };
    assert_eq!(ends, (0..60).map(wanted).collect::<Vec<_>>());
    assert_eq!(pool.told.scans.lock().unwrap().len(), 60);
}

#[test]
fn a_file_without_a_match_is_clean() {
    let pool = Tested::new();

    assert_eq!(pool.scan(b"nothing to see").scanned.outcome, ScanOutcome::Clean);
    assert_eq!(pool.scan(b"").scanned.outcome, ScanOutcome::Clean);
}

#[test]
fn traffic_is_scanned_with_the_rules_for_streams_only() {
    let pool = Tested::new();

    let mark = pool.runtime.block_on(pool.pool.scan_stream(MARK.to_vec()));
    let stream = pool.runtime.block_on(pool.pool.scan_stream(b"x KHIEN-STREAM-MARK".to_vec()));

    assert_eq!(mark.outcome, ScanOutcome::Clean);
    assert_eq!(stream.outcome, ScanOutcome::Matched);
}

#[test]
fn a_file_that_is_too_large_is_too_large_and_never_clean() {
    let pool = Tested::with(Limits { size: 10, ..limits() });

    assert_eq!(pool.scan(&[b'x'; 10]).scanned.outcome, ScanOutcome::Clean);
    assert_eq!(pool.scan(&[b'x'; 11]).scanned.outcome, ScanOutcome::TooLarge);
}

#[test]
fn a_file_that_shrinks_while_it_is_scanned_ends_no_worker() {
    let pool = Tested::new();
    let before = pool.pool.pids();
    let file = tempfile::NamedTempFile::new().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);

    let outcomes: Vec<_> = std::thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                file.as_file().set_len(8 << 20).unwrap();
                file.as_file().set_len(0).unwrap();
            }
        });
        let outcomes = (0..50).map(|_| {
            let scan = File::open(file.path())
                .map(|file| pool.runtime.block_on(pool.pool.scan_file(file, &Untrusted::default())));
            scan.map(|scan| scan.scanned.outcome).ok()
        });
        let outcomes = outcomes.collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        outcomes
    });

    assert!(outcomes.iter().all(|outcome| *outcome == Some(ScanOutcome::Clean)), "{outcomes:?}");
    assert_eq!(pool.pool.pids(), before);
}

#[test]
fn a_pack_that_does_not_compile_leaves_the_last_good_one_at_work() {
    let pool = Tested::new();
    let mut broken = marked_pack(2);
    broken.sources[0].text = "rule test_mark { condition: what }".to_owned();

    let refused = pool.runtime.block_on(pool.pool.load(Arc::new(broken)));
    let scan = pool.scan(MARK);

    assert!(refused.is_err());
    assert_eq!((scan.scanned.outcome, scan.pack), (ScanOutcome::Matched, 1));
}

#[test]
fn what_a_worker_says_is_held_to_what_an_honest_one_can_say() {
    let said = |rule: &str, what| {
        let rule = rule.parse().unwrap();
        let hit = khien_rules::Hit { rule, excerpts: Vec::new(), inside: Default::default() };
        let scanned = Scanned { outcome: ScanOutcome::Matched, hits: vec![hit] };
        let reply = ScanReply { scanned, ..without_answer(ScanOutcome::Clean) };
        let rules = BTreeSet::from(["test.mark".parse().unwrap()]);
        believable(reply, what, &rules).scanned.outcome
    };

    let elf = khien_core::detection::builtin::PROCESS_ELF;
    assert_eq!(said("not.in.pack", What::File), ScanOutcome::Crashed);
    assert_eq!(said("khien.agent.silent", What::Memory), ScanOutcome::Crashed);
    assert_eq!(
        (said(elf, What::File), said(elf, What::Memory)),
        (ScanOutcome::Crashed, ScanOutcome::Matched)
    );
}

#[test]
fn the_base_pack_compiles_in_the_sandbox_and_scans() {
    let pool = Tested::new();
    let base = khien_rules::base_pack(Timestamp::UNIX_EPOCH);

    pool.runtime.block_on(pool.pool.load(Arc::new(base))).unwrap();

    assert_eq!(pool.scan(b"nothing to see").scanned.outcome, ScanOutcome::Clean);
}

pub(crate) fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A pool with one real worker.
struct Tested {
    pool: Arc<Pool>,
    told: Arc<Told>,
    runtime: Runtime,
}

/// What the pool told.
#[derive(Default)]
pub(crate) struct Told {
    coverage: Mutex<Vec<Coverage>>,
    scans: Mutex<Vec<ScanOutcome>>,
    pack: Mutex<u64>,
}

impl Gauge for Told {
    fn cover(&self, coverage: Coverage) {
        self.coverage.lock().unwrap().push(coverage);
    }

    fn scanned(&self, outcome: ScanOutcome) {
        self.scans.lock().unwrap().push(outcome);
    }

    fn loaded(&self, pack: u64) {
        *self.pack.lock().unwrap() = pack;
    }
}

impl Tested {
    fn new() -> Self {
        Self::with(limits())
    }

    fn with(limits: Limits) -> Self {
        Self::loaded(limits, marked_pack(1))
    }

    fn loaded(limits: Limits, pack: Pack) -> Self {
        Self::made(limits, slot::REST, pack)
    }

    /// One whose worker rests when it had nothing to do for so long.
    fn resting_after(rest: Duration) -> Self {
        Self::made(limits(), rest, marked_pack(1))
    }

    fn made(limits: Limits, rest: Duration, pack: Pack) -> Self {
        let told = Arc::new(Told::default());
        let mut pool = Pool::with_program(program(), limits, Arc::clone(&told) as _);
        pool.rest = rest;
        let pool = Arc::new(pool);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(pool.load(Arc::new(pack))).unwrap();
        Self { pool, told, runtime }
    }

    fn scan(&self, bytes: &[u8]) -> FileScan {
        self.runtime.block_on(self.pool.scan_file(file_of(bytes), &Untrusted::default()))
    }

    fn worker(&self) -> u32 {
        self.pool.pids()[0]
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.worker().cast_signed()).unwrap(), signal).unwrap();
    }
}

fn limits() -> Limits {
    Limits { time: Duration::from_secs(20), size: 64 << 20, workers: 1 }
}

/// The smallest program that has workers lies beside the test programs.
pub(crate) fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().and_then(Path::parent).unwrap().join("examples/worker");
    assert!(
        program.exists(),
        "{} is missing: run all tests of the crate, which builds it",
        program.display()
    );
    program
}

pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Dead to the last thread, though perhaps not waited for.
fn is_dead(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    state_of(pid).is_none_or(|state| state == 'Z' && threads <= 1)
}

/// The letter of a process's state; none if there is no such process.
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
