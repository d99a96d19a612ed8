//! The real worker process, in its real sandbox.

use std::{
    io::Write,
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

use khien_core::bundle::Form;
use khien_rules::{compiled::Built, sample::marked_pack};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use super::{
    process::Process,
    wire::{Attempt, Reply, Request, Way},
    *,
};

mod formats;
mod large;

/// What the rule looks for, and bytes around it.
const MARK: &[u8] = b"before KHIEN-TEST-MARK after";
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
fn a_worker_that_does_not_answer_is_killed_and_the_next_scan_works() {
    let pool = Tested::with(Limits { time: Duration::from_millis(300), ..limits() });
    pool.signal(Signal::STOP);

    let stuck = pool.scan(MARK);
    let next = pool.scan(MARK);

    assert_eq!(stuck.scanned.outcome, ScanOutcome::Timeout);
    assert_eq!(next.scanned.outcome, ScanOutcome::Matched);
}

#[test]
fn a_worker_killed_over_a_file_is_a_crash_and_the_next_scan_works() {
    let pool = Tested::new();
    let worker = pool.worker();
    // Stopped, the worker does not do the job. A job handed over holds the file open until it is answered.
    pool.signal(Signal::STOP);
    let (file, mut rounds) = (tempfile::NamedTempFile::new().unwrap(), 0);
    std::fs::write(file.path(), MARK).unwrap();
    let path = Untrusted::default();
    let scan = pool.pool.scan_file(File::open(file.path()).unwrap(), &path);
    let crashed = pool.runtime.block_on(async {
        tokio::pin!(scan);
        while rounds < 50 {
            // Some rounds of the runtime hand the job to the slot; then the worker dies with it.
            rounds += 1;
            let early = tokio::time::timeout(Duration::from_millis(2), &mut scan).await;
            assert!(early.is_err(), "a stopped worker answered: {early:?}");
        }
        pool.signal(Signal::KILL);
        scan.await
    });
    let next = pool.scan(MARK);

    assert_eq!(crashed.scanned.outcome, ScanOutcome::Crashed);
    assert_eq!(next.scanned.outcome, ScanOutcome::Matched);
    assert_ne!(pool.worker(), worker);
}

#[test]
fn a_worker_killed_between_two_files_is_no_files_fault() {
    let pool = Tested::new();
    let worker = pool.worker();
    pool.signal(Signal::KILL);
    wait_until("the worker is dead", || is_dead(worker));

    assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched);
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
fn a_new_pack_takes_over_and_the_old_workers_end() {
    let pool = Tested::new();
    let old = pool.worker();

    pool.runtime.block_on(pool.pool.load(Arc::new(marked_pack(2)))).unwrap();

    assert_eq!(pool.scan(MARK).pack, 2);
    wait_until("the old worker is gone", || state_of(old).is_none());
}

#[test]
fn a_worker_ends_with_its_pool() {
    let pool = Tested::new();
    let worker = pool.worker();

    drop(pool);

    wait_until("the worker is gone", || state_of(worker).is_none());
}

#[test]
fn the_sandbox_stands_or_says_what_is_missing() {
    let pool = Tested::new();

    let coverage = pool.told.coverage.lock().unwrap().last().cloned().unwrap();

    assert_eq!(coverage.backend, "sandbox");
    match &coverage.reason {
        None => assert_eq!(coverage.sight, Sight::Full),
        Some(reason) => {
            println!("sandbox is reduced here: {reason}");
            assert_eq!(coverage.sight, Sight::Reduced);
        }
    }
    assert_eq!(*pool.told.pack.lock().unwrap(), 1);
}

#[test]
fn a_hijacked_worker_gets_nothing() {
    let pack = Brought::new(&marked_pack(1), None).unwrap();
    let attempts = [
        Attempt::OpenFile,
        Attempt::CreateFile,
        Attempt::OpenSocket,
        Attempt::StartProgram,
        Attempt::StartThread,
        Attempt::KillParent,
        Attempt::MapCode,
        Attempt::ReachMemory,
    ];

    for attempt in attempts {
        let mut worker = Process::start(&program(), &pack).unwrap();
        match worker.ask(Request::Try(attempt), None, SOON) {
            Err(process::Gone::Crashed) | Ok(Reply::Tried { refused: Some(_) }) => {}
            other => panic!("{attempt:?} was not stopped: {other:?}"),
        }
    }
    assert!(!Path::new("/tmp/khien-probe").exists());
}

#[test]
fn what_a_worker_says_is_held_to_what_an_honest_one_can_say() {
    let hit = khien_rules::Hit {
        rule: "not.in.pack".parse().unwrap(),
        excerpts: Vec::new(),
        inside: Default::default(),
    };
    let scanned = Scanned { outcome: ScanOutcome::Matched, hits: vec![hit] };

    let reply = believable(
        ScanReply { scanned, unseen: Vec::new(), sha256: None, digests: Default::default(), size: 0 },
        &marked_pack(1),
    );

    assert_eq!(reply.scanned.outcome, ScanOutcome::Crashed);
}

#[test]
fn the_base_pack_compiles_in_the_sandbox_and_scans() {
    let pool = Tested::new();
    let base = khien_rules::base_pack(Timestamp::UNIX_EPOCH);

    pool.runtime.block_on(pool.pool.load(Arc::new(base))).unwrap();

    assert_eq!(pool.scan(b"nothing to see").scanned.outcome, ScanOutcome::Clean);
}

#[test]
fn rules_of_others_run_compiled_and_are_told_of_each_file() {
    let pool = Tested::new();
    let text =
        "rule php { strings: $a = \"mark\" condition: $a and filename == \"a.php\" and owner == \"root\" }";
    let source = khien_core::bundle::Source { name: "a.yar".to_owned(), text: text.to_owned() };
    let foreign = khien_rules::foreign::compile(&[source]).unwrap();
    pool.runtime.block_on(pool.pool.load_compiled(Arc::new(foreign.pack), &foreign.compiled)).unwrap();
    let scan = |name: &str| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a mark").unwrap();
        let path = Untrusted::from(name);
        let externals = Externals { path: path.clone(), owner: Some("root".into()) };
        let scan = pool.pool.scan_described(file, &path, Some(externals));
        pool.runtime.block_on(scan).scanned.outcome
    };

    assert_eq!(scan("/srv/a.php"), ScanOutcome::Matched);
    assert_eq!(scan("/srv/b.php"), ScanOutcome::Clean);
    assert_eq!(scan(&format!("/{}\u{1}/a.php", "\u{1}".repeat(4_000))), ScanOutcome::Matched);
}

#[test]
fn a_compiled_form_that_is_none_is_refused() {
    let pool = Tested::new();

    let refused = pool.runtime.block_on(pool.pool.load_compiled(Arc::new(marked_pack(2)), b"no rules"));

    assert!(matches!(refused, Err(Reason::RulesBroken { .. })), "{refused:?}");
    assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched);
}

#[test]
fn a_compiled_form_is_loaded_and_finds_what_its_source_finds() {
    let pack = marked_pack(1);

    let mut worker = started(&pack, compiled(&pack, |_, _| ()));

    assert_eq!(worker.way, Way::Compiled);
    assert_eq!(scanned(&mut worker, What::File, MARK).outcome, ScanOutcome::Matched);
    assert_eq!(scanned(&mut worker, What::File, b"nothing").outcome, ScanOutcome::Clean);
    assert_eq!(scanned(&mut worker, What::Stream, MARK).outcome, ScanOutcome::Clean);
    assert_eq!(scanned(&mut worker, What::Stream, b"x KHIEN-STREAM-MARK").outcome, ScanOutcome::Matched);
}

#[test]
fn a_compiled_form_altered_by_one_bit_is_never_loaded_and_the_rules_work() {
    let pack = marked_pack(1);
    let size = khien_rules::compiled::build(&pack).unwrap().bytes.len();

    for at in [0, size / 2, size - 1] {
        let mut worker = started(&pack, compiled(&pack, |bytes, _| bytes[at] ^= 1));

        assert!(
            matches!(worker.way, Way::Source { unusable: Some(_) }),
            "bit of byte {at}: {:?}",
            worker.way
        );
        assert_eq!(scanned(&mut worker, What::File, MARK).outcome, ScanOutcome::Matched);
    }
}

#[test]
fn a_compiled_form_that_is_cut_gone_or_another_is_never_loaded_and_the_rules_work() {
    let pack = marked_pack(1);
    let changes: [fn(&mut Vec<u8>, &mut Form); 4] = [
        |bytes, _| bytes.truncate(100),
        |bytes, _| bytes.clear(),
        // Signed, but not what it says it is.
        |bytes, form| {
            *bytes = b"not compiled rules".to_vec();
            (form.sha256, form.size) = (Sha256::of(bytes), bytes.len() as u64);
        },
        |_, form| form.inflated = 10,
    ];

    for change in changes {
        let mut worker = started(&pack, compiled(&pack, change));

        assert!(matches!(worker.way, Way::Source { unusable: Some(_) }), "{:?}", worker.way);
        assert_eq!(scanned(&mut worker, What::File, MARK).outcome, ScanOutcome::Matched);
    }
}

#[test]
fn a_worker_with_compiled_rules_has_the_same_sandbox() {
    let pack = marked_pack(1);

    for attempt in [Attempt::OpenFile, Attempt::StartProgram, Attempt::StartThread, Attempt::MapCode] {
        let mut worker = started(&pack, compiled(&pack, |_, _| ()));
        match worker.ask(Request::Try(attempt), None, SOON) {
            Err(process::Gone::Crashed) | Ok(Reply::Tried { refused: Some(_) }) => {}
            other => panic!("{attempt:?} was not stopped: {other:?}"),
        }
    }
}

#[test]
fn a_second_worker_stands_only_while_the_first_is_busy() {
    let pool = Tested::with(Limits { workers: 2, ..limits() });
    (0..3).for_each(|_| assert_eq!(pool.scan(MARK).scanned.outcome, ScanOutcome::Matched));
    assert_eq!(pool.pool.pids().len(), 1);
    // Stopped, the first worker keeps its job.
    pool.signal(Signal::STOP);

    let (stuck, other) = pool.runtime.block_on(async {
        let path = Untrusted::default();
        let scan = |bytes: &[u8]| pool.pool.scan_file(file_of(bytes), &path);
        tokio::join!(scan(b"nothing"), async {
            let other = scan(MARK).await;
            let pids = pool.pool.pids();
            pool.signal(Signal::CONT);
            (other, pids.len())
        })
    });

    assert_eq!(stuck.scanned.outcome, ScanOutcome::Clean);
    assert_eq!((other.0.scanned.outcome, other.1), (ScanOutcome::Matched, 2));
}

fn started(pack: &Pack, compiled: Compiled) -> Process {
    Process::start(&program(), &Brought::new(pack, Some(compiled)).unwrap()).unwrap()
}

/// A compiled form whose bytes or description were changed after it was built.
fn compiled(pack: &Pack, change: impl Fn(&mut Vec<u8>, &mut Form)) -> Compiled {
    let Built { mut form, mut bytes } = khien_rules::compiled::build(pack).unwrap();
    change(&mut bytes, &mut form);
    Compiled { file: file_of(&bytes), form }
}

fn scanned(worker: &mut Process, what: What, bytes: &[u8]) -> Scanned {
    let request = ScanRequest { what, limit: 1 << 20, millis: 10_000, externals: None };
    match worker.ask(Request::Scan(request), Some(file_of(bytes).as_fd()), SOON) {
        Ok(Reply::Scanned(reply)) => reply.scanned,
        other => panic!("{other:?}"),
    }
}

fn file_of(bytes: &[u8]) -> File {
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
struct Told {
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
        let told = Arc::new(Told::default());
        let pool = Arc::new(Pool::with_program(program(), limits, Arc::clone(&told) as _));
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
fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().and_then(Path::parent).unwrap().join("examples/worker");
    assert!(
        program.exists(),
        "{} is missing: run all tests of the crate, which builds it",
        program.display()
    );
    program
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
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
