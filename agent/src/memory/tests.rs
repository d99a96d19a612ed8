//! Real processes that hide what they run, with real workers.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use khien_core::{asset::Sight, detection::builtin, event::ScanOutcome, reason::Reason};
use khien_rules::sample::{STREAM_MARK, marked_pack};
use tokio::runtime::Runtime;

use super::{
    ordered::{Examined, Examiner},
    *,
};
use crate::scan::tests as scanning;

const HOLDER: &str = include_str!("../../../scan/src/tests/holder.c");

#[test]
fn a_process_that_runs_a_removed_program_from_a_folder_for_short_lived_files_is_told_with_its_digest() {
    let mut site = Site::new();
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let program = dir.path().join("kworker");
    // Written by another process: what this one holds open to write cannot be run while a child of another test has it.
    assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
    let child = Running::alone(Command::new(&program).arg("600").spawn().unwrap());
    fs::remove_file(&program).unwrap();

    let told = site.sweep(&[child.pid()]);

    let (detection, process) = only(&told);
    assert_eq!(detection.rule.as_str(), builtin::PROCESS_DELETED);
    assert_eq!(process.process.pid, child.pid());
    assert!(process.process.exe.as_ref().unwrap().raw().ends_with(b"/kworker (deleted)"));
    assert_eq!(process.sha256, Some(Sha256::of(&fs::read("/bin/sleep").unwrap())));
    assert_eq!(site.coverage(), Sight::Full);
}

#[test]
fn a_program_that_never_was_a_file_is_told_once_for_each_process() {
    let mut site = Site::new();
    let child = from_memory(&fs::read("/bin/sleep").unwrap());

    let told = site.sweep(&[child.pid()]);
    let again = site.sweep(&[child.pid()]);

    let (detection, process) = only(&told);
    assert_eq!(detection.rule.as_str(), builtin::PROCESS_MEMFD);
    assert_eq!(process.process.exe.as_ref().unwrap().to_string(), "/memfd:khien-test (deleted)");
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn what_is_only_in_the_memory_of_a_process_with_writable_code_is_found_with_its_place() {
    let mut site = Site::new();
    let child = holder("code");

    let told = site.sweep(&[child.pid()]);

    let (detection, process) = only(&told);
    assert_eq!(detection.rule.as_str(), "test.stream");
    assert_eq!(process.process.pid, child.pid());
    assert_eq!(process.excerpts[0].matched.raw(), STREAM_MARK);
    let place = process.inside.to_string();
    assert!(place.starts_with("rwxp "), "{place}");
    let words = process.words();
    assert!(words.en.contains(", memory rwxp ") && words.vi.contains(", vùng nhớ rwxp "), "{words:?}");
}

#[test]
fn a_process_without_anything_odd_is_left_alone() {
    let mut site = Site::new();
    let child = holder("plain");

    assert!(site.sweep(&[child.pid(), std::process::id()]).is_empty());
}

#[test]
fn while_more_processes_are_odd_than_a_sweep_scans_it_is_said_how_many_wait() {
    let mut site = Site::new();
    let (_dir, program) = built();
    let all: Vec<Running> = (0..=MOST).map(|_| Running::alone(started(&program, "code"))).collect();
    let pids: Vec<u32> = all.iter().map(Running::pid).collect();

    assert_eq!(site.sweep(&pids).len(), MOST);
    assert_eq!(site.said("memory-waiting"), Some((Sight::Reduced, Some(Reason::ProcessesWait { count: 1 }))));

    assert_eq!(site.sweep(&pids).len(), 1);
    assert_eq!((site.said("memory-waiting"), site.said("memory-parts")), (None, None));
}

#[test]
fn a_process_that_begins_another_program_before_its_scan_is_a_suspect_of_the_next_sweep() {
    let mut site = Site::new();
    let (_dir, program) = built();
    let mut command = Command::new("sh");
    command.args(["-c", r#"read wait; exec "$0" code "$1" "$2""#]).arg(&program);
    let (first, second) = halves();
    let mut child =
        command.args([first, second]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let shell = Running::alone(child);
    let Target { pid, started, exe, .. } = Target::at(shell.pid()).unwrap();
    let suspect = || Suspect { pid, started, exe: exe.clone(), why: Why::OddCode };
    let one = site.runtime.block_on(open(suspect())).unwrap();
    (&input).write_all(b"\n").unwrap();
    let mut said = String::new();
    BufReader::new(output).read_line(&mut said).unwrap();
    assert_eq!(said, "done\n");

    site.runtime.block_on(site.sweeper.examine(one, &site.links));

    assert!(site.heard.try_recv().is_err(), "nothing is told of the program that it was");
    assert!(site.sweeper.has_missed(&(pid, started)) && site.sweeper.is_due(&suspect(), 1));
    let told = site.sweep(&[shell.pid()]);
    let (detection, process) = only(&told);
    assert_eq!(detection.rule.as_str(), "test.stream");
    assert!(process.process.exe.as_ref().unwrap().raw().ends_with(b"/holder"));
    assert!(!site.sweeper.has_missed(&(pid, started)));
}

#[test]
fn an_ordered_scan_looks_into_a_process_about_which_nothing_is_odd() {
    let mut site = Site::new();
    let (marked, other) =
        (holder("plain"), Running::alone(Command::new("sleep").arg("600").spawn().unwrap()));

    let (examined, told) = site.examine(marked.pid());
    let (of_other, nothing) = site.examine(other.pid());

    let (detection, process) = only(&told);
    assert_eq!((detection.rule.as_str(), process.process.pid), ("test.stream", marked.pid()));
    let Examined::Scanned { exe, outcome, partly } = examined else { panic!("{examined:?}") };
    assert!(exe.raw().ends_with(b"/holder") && !partly);
    assert_eq!(outcome, ScanOutcome::Matched);
    assert!(matches!(of_other, Examined::Scanned { outcome: ScanOutcome::Clean, .. }), "{of_other:?}");
    assert_eq!(nothing, []);
}

#[test]
fn an_ordered_scan_tells_what_hides_its_program_and_what_is_not_there() {
    let mut site = Site::new();
    let mut child = from_memory(&fs::read("/bin/sleep").unwrap());

    let (examined, told) = site.examine(child.pid());
    child.child.kill().unwrap();
    child.child.wait().unwrap();
    let (gone, nothing) = site.examine(child.pid());

    assert_eq!(only(&told).0.rule.as_str(), builtin::PROCESS_MEMFD);
    assert!(matches!(examined, Examined::Scanned { outcome: ScanOutcome::Matched, .. }), "{examined:?}");
    assert_eq!((gone, nothing), (Examined::Nothing, vec![]));
}

#[test]
fn the_agent_and_its_workers_are_known_as_its_own_and_are_among_all() {
    let site = Site::new();
    let Links { pool, reports, gate, .. } = &site.links;
    let examiner = Examiner { pool: Arc::clone(pool), reports: reports.clone(), gate: gate.clone() };
    let other = Running::alone(Command::new("sleep").arg("600").spawn().unwrap());

    let all = Examiner::all().unwrap();

    assert!(all.contains(&std::process::id()) && all.contains(&other.pid()));
    assert!(examiner.is_own(std::process::id()) && !examiner.is_own(other.pid()));
    let workers = pool.pids();
    assert!(!workers.is_empty() && workers.into_iter().all(|worker| examiner.is_own(worker)));
}

/// A pool with real workers, and what is told.
struct Site {
    runtime: Runtime,
    sweeper: Sweeper,
    links: Links,
    heard: mpsc::Receiver<Report>,
    _open: (watch::Sender<bool>, watch::Sender<bool>),
}

impl Site {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let meter = Arc::new(Meter::default());
        let limits = scanning::limits();
        let pool = Arc::new(Pool::with_program(scanning::program(), limits, Arc::clone(&meter) as _));
        runtime.block_on(pool.load(Arc::new(marked_pack(1)))).unwrap();
        let (reports, heard) = mpsc::channel(64);
        let ((open, gate), (stop, shutdown)) = (watch::channel(true), watch::channel(false));
        let links = Links { pool, reports, meter, gate, shutdown };
        Self { runtime, sweeper: Sweeper::default(), links, heard, _open: (open, stop) }
    }

    /// Scans one process as ordered, and returns how that ended and what is told.
    fn examine(&mut self, pid: u32) -> (Examined, Vec<Report>) {
        let Links { pool, reports, gate, .. } = &self.links;
        let (pool, reports, gate) = (Arc::clone(pool), reports.clone(), gate.clone());
        let (examined, _) = self.runtime.block_on(Examiner { pool, reports, gate }.examine(pid, true));
        (examined, std::iter::from_fn(|| self.heard.try_recv().ok()).collect())
    }

    /// Sweeps over these processes and returns what is told.
    fn sweep(&mut self, pids: &[u32]) -> Vec<Report> {
        self.runtime.block_on(self.sweeper.sweep(pids.to_vec(), &mut self.links));
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }

    fn coverage(&self) -> Sight {
        self.said("memory").unwrap().0
    }

    fn said(&self, scope: &str) -> Option<(Sight, Option<Reason>)> {
        let health = self.links.meter.health(0);
        let said = health.coverage.into_iter().find(|c| c.scope.raw() == scope.as_bytes());
        said.map(|coverage| (coverage.sight, coverage.reason))
    }
}

fn only(told: &[Report]) -> (&Detection, &ProcessSubject) {
    let [Report::Detection(detection)] = told else { panic!("{told:?}") };
    let Subject::Process(process) = &detection.subject else { panic!("{detection:?}") };
    (detection, process)
}

/// A process that ends with its test.
struct Running {
    child: Child,
    _dir: Option<tempfile::TempDir>,
}

impl Running {
    fn alone(child: Child) -> Self {
        Self { child, _dir: None }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a process that holds the mark in its memory and nowhere else.
fn holder(way: &str) -> Running {
    let (dir, program) = built();
    // Its program stays as long as it runs: that one is removed is another test.
    Running { child: started(&program, way), _dir: Some(dir) }
}

fn built() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().canonicalize().unwrap().join("holder");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-x", "c", "-o"]).arg(&program).arg("-").stdin(Stdio::piped());
    let mut compiling = compiler.spawn().unwrap();
    compiling.stdin.take().unwrap().write_all(HOLDER.as_bytes()).unwrap();
    assert!(compiling.wait().unwrap().success());
    (dir, program)
}

fn halves() -> (&'static str, &'static str) {
    std::str::from_utf8(STREAM_MARK).unwrap().split_at(6)
}

fn started(program: &Path, way: &str) -> Child {
    let (first, second) = halves();
    let mut command = Command::new(program);
    command.args([way, first, second]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "done\n");
    child
}

/// Starts a program that is in no file.
fn from_memory(program: &[u8]) -> Running {
    let memory = rustix::fs::memfd_create("khien-test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = fs::File::from(memory);
    file.write_all(program).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    Running::alone(Command::new(path).arg("600").spawn().unwrap())
}

#[test]
fn who_starts_process_after_process_holds_up_no_other_program() {
    let mut sweeper = Sweeper::default();
    let suspect = |pid, exe: &str, why| Suspect { pid, started: 1, exe: exe.into(), why };
    sweeper.programs.put("/usr/sbin/php-fpm".into(), Instant::now());
    let mut suspects: Vec<_> = (0..100).map(|n| suspect(n, "/usr/sbin/php-fpm", Why::OddCode)).collect();
    suspects.push(suspect(900, "/opt/java", Why::OddCode));
    suspects.push(suspect(901, "/tmp/x (deleted)", Why::Hides(builtin::PROCESS_DELETED.parse().unwrap())));

    let (due, later) = sweeper.due(suspects, 1);

    assert_eq!((due.len(), later), (MOST, 102 - MOST));
    assert_eq!(due.iter().take(3).map(|suspect| suspect.pid).collect::<Vec<_>>(), [901, 900, 0]);
}
