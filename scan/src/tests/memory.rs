//! The memory of real processes.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use khien_core::detection::builtin::PROCESS_ELF;
use khien_rules::sample::STREAM_MARK;

use super::*;
use crate::target::{MemoryScan, NoTarget, Target};

/// More than any of these processes has.
const ALL: u64 = 1 << 30;
const HOLDER: &str = include_str!("holder.c");

#[test]
fn what_is_only_in_the_memory_of_a_process_is_found_with_its_region_and_address() {
    let (pool, holder) = (Tested::new(), Holder::new("plain"));

    let scan = pool.memory(&holder, ALL).unwrap();

    assert_eq!((scan.scanned.outcome, scan.pack), (ScanOutcome::Matched, 1));
    let [hit] = &scan.scanned.hits[..] else { panic!("{scan:?}") };
    assert_eq!(hit.rule.as_str(), "test.stream");
    let excerpt = &hit.excerpts[0];
    assert_eq!((excerpt.matched.raw(), excerpt.offset % 4096), (STREAM_MARK, 100));
    let place = hit.inside.to_string();
    let (from, until) = place.split(' ').nth(1).unwrap().split_once('-').unwrap();
    let [from, until] = [from, until].map(|address| u64::from_str_radix(address, 16).unwrap());
    assert!(place.starts_with("rw-p ") && (from..until).contains(&excerpt.offset), "{place}");
    assert_eq!(*pool.told.scans.lock().unwrap(), [ScanOutcome::Matched]);
}

#[test]
fn a_process_with_nothing_in_it_is_clean_and_rules_for_files_do_not_run() {
    let (pool, holder) = (Tested::new(), Holder::with("plain", b"KHIEN-TEST-MARK"));

    let scan = pool.memory(&holder, ALL).unwrap();

    assert_eq!(scan.scanned.outcome, ScanOutcome::Clean, "{scan:?}");
    assert!(scan.read > 0 && scan.unseen.is_empty(), "{scan:?}");
}

#[test]
fn no_border_of_a_block_cuts_a_match() {
    let (pool, holder) = (Tested::new(), Holder::new("border"));

    let scan = pool.memory(&holder, ALL).unwrap();

    let excerpt = &scan.scanned.hits[0].excerpts[0];
    assert_eq!(excerpt.matched.raw(), STREAM_MARK);
    assert_eq!(excerpt.offset % 4096, 4096 - 8, "it lies across the border");
    assert_eq!(excerpt.before.raw(), [b'a'; 16], "no more than that of what lies beside it");
}

#[test]
fn what_a_process_only_set_aside_is_not_read_and_it_does_not_grow() {
    let (pool, holder) = (Tested::new(), Holder::new("sparse"));
    let before = holder.resident();

    let scan = pool.memory(&holder, ALL).unwrap();

    assert_eq!(scan.scanned.outcome, ScanOutcome::Matched);
    assert!((1 << 20..16 << 20).contains(&scan.read), "{} bytes were read", scan.read);
    let after = holder.resident();
    assert!(after <= before + (64 << 10), "{before} bytes before, {after} after");
}

#[test]
fn a_program_that_lies_in_code_of_no_file_is_told() {
    let (pool, holder) = (Tested::new(), Holder::with("program", b"nothing else"));

    let scan = pool.memory(&holder, ALL).unwrap();

    let [hit] = &scan.scanned.hits[..] else { panic!("{scan:?}") };
    assert_eq!((hit.rule.as_str(), scan.scanned.outcome), (PROCESS_ELF, ScanOutcome::Matched));
    assert!(hit.inside.to_string().starts_with("rwxp "), "{}", hit.inside);
    assert!(hit.excerpts[0].matched.raw().starts_with(b"\x7fELF"));
}

#[test]
fn what_a_process_closed_to_itself_is_scanned_all_the_same() {
    let pool = Tested::new();

    for way in ["closed", "closed-shared"] {
        let holder = Holder::new(way);
        let scan = pool.memory(&holder, ALL).unwrap();

        let [hit] = &scan.scanned.hits[..] else { panic!("{way}: {scan:?}") };
        assert_eq!(hit.rule.as_str(), "test.stream");
        assert!(hit.inside.to_string().starts_with("---"), "{way}: {}", hit.inside);
    }
}

#[test]
fn a_process_whose_first_thread_has_ended_is_scanned_all_the_same() {
    let (pool, holder) = (Tested::new(), Holder::new("headless"));
    assert!(
        std::fs::read_link(format!("/proc/{}/exe", holder.pid())).is_err(),
        "it looks as if it had ended"
    );

    let scan = pool.memory(&holder, ALL).unwrap();

    let [hit] = &scan.scanned.hits[..] else { panic!("{scan:?}") };
    assert_eq!(hit.rule.as_str(), "test.stream");
}

#[test]
fn a_program_that_is_loaded_from_memory_is_told_and_the_process_s_own_is_not() {
    let pool = Tested::new();
    let (loaded, own) = (Holder::with("loaded", b"nothing else"), Holder::from_memory(b"nothing else"));

    let (loaded, own) = (pool.memory(&loaded, ALL).unwrap(), pool.memory(&own, ALL).unwrap());

    let [hit] = &loaded.scanned.hits[..] else { panic!("{loaded:?}") };
    assert_eq!(hit.rule.as_str(), PROCESS_ELF);
    let place = hit.inside.to_string();
    assert!(place.starts_with("r--p ") && place.ends_with(" /memfd:khien-lib (deleted)"), "{place}");
    // That it was never a file is told by another rule.
    assert_eq!(own.scanned.outcome, ScanOutcome::Clean, "{own:?}");
}

#[test]
fn sixty_thousand_mappings_are_looked_through() {
    let (pool, holder) = (Tested::new(), Holder::new("many"));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", holder.pid())).unwrap();
    assert!(maps.lines().count() > 60_000);

    let scan = pool.memory(&holder, ALL).unwrap();

    assert_eq!(scan.scanned.outcome, ScanOutcome::Matched);
    assert_eq!(scan.scanned.hits[0].excerpts[0].offset % 4096, 100);
}

#[test]
fn a_limit_that_is_met_is_told_and_never_clean() {
    let (pool, holder) = (Tested::new(), Holder::with("border", b"nothing else"));

    let scan = pool.memory(&holder, 4 << 20).unwrap();

    assert_eq!(scan.scanned.outcome, ScanOutcome::LimitExceeded);
    assert!(scan.unseen.iter().any(|unseen| unseen.why == khien_core::event::NotSeen::Total));
    assert!(scan.read <= 8 << 20, "{} bytes were read", scan.read);
}

#[test]
fn memory_that_comes_and_goes_meanwhile_ends_no_worker_and_hides_nothing_else() {
    let (pool, holder) = (Tested::new(), Holder::new("churn"));
    let before = pool.pool.pids();

    for _ in 0..20 {
        let scan = pool.memory(&holder, ALL).unwrap();
        assert_eq!(scan.scanned.outcome, ScanOutcome::Matched, "{scan:?}");
    }

    assert_eq!(pool.pool.pids(), before);
}

#[test]
fn a_process_that_begins_again_and_again_is_never_clean_by_that() {
    let (pool, holder) = (Tested::new(), Holder::new("exec"));
    let before = pool.pool.pids();

    for _ in 0..20 {
        let scan = pool.memory(&holder, ALL).unwrap();
        // Now and then it is caught before it has put the two halves together.
        let whole = scan.scanned.outcome == ScanOutcome::Clean && scan.read > 0 && scan.unseen.is_empty();
        assert!(whole || scan.scanned.outcome != ScanOutcome::Clean, "{scan:?}");
    }

    assert_eq!(pool.pool.pids(), before);
}

#[test]
fn a_process_that_has_ended_has_nothing_to_scan() {
    let (pool, mut holder) = (Tested::new(), Holder::new("plain"));
    let target = Target::at(holder.pid()).unwrap();
    holder.end();

    let scan = pool.runtime.block_on(pool.pool.scan_memory(&target, ALL, None));

    assert!(scan.is_none(), "{scan:?}");
    assert_eq!(Target::at(holder.pid()).unwrap_err(), NoTarget::Nothing);
    // The kernel's own have no memory, or may not be seen from here.
    assert!(Target::at(2).is_err() || Target::at(2).is_ok_and(|target| !target.exe.raw().is_empty()));
}

#[test]
fn a_process_that_has_begun_another_program_is_not_scanned_under_the_old_name() {
    let pool = Tested::new();
    for next in ["exec sleep 600", "exec sh -c 'read more; true'"] {
        let shell = Shell::start(&format!("read wait; {next}"));
        let before = Target::at(shell.pid()).unwrap();
        assert!(before.is_same());

        shell.goes_on();

        assert!(!before.is_same() && before.runs() && before.program().is_none(), "{next}");
        let scan = pool.runtime.block_on(pool.pool.scan_memory(&before, ALL, None)).unwrap();
        assert_eq!((scan.scanned.outcome, scan.read), (ScanOutcome::Unreadable, 0), "{next}");
        let now = Target::at(shell.pid()).unwrap();
        let scan = pool.runtime.block_on(pool.pool.scan_memory(&now, ALL, None)).unwrap();
        assert!(now.is_same() && scan.read > 0, "{next}: {scan:?}");
    }
}

#[test]
fn a_process_whose_program_is_removed_meanwhile_is_the_same_still() {
    let (pool, holder) = (Tested::new(), Holder::new("plain"));
    let target = Target::at(holder.pid()).unwrap();

    std::fs::remove_file(holder.program()).unwrap();

    let scan = pool.runtime.block_on(pool.pool.scan_memory(&target, ALL, None)).unwrap();
    assert_eq!((target.is_same(), scan.scanned.outcome), (true, ScanOutcome::Matched));
}

impl Tested {
    fn memory(&self, holder: &Holder, most: u64) -> Option<MemoryScan> {
        let target = Target::at(holder.pid()).unwrap();
        self.runtime.block_on(self.pool.scan_memory(&target, most, None))
    }
}

/// A shell that waits for a line, and then does something else.
struct Shell(Child);

impl Shell {
    fn start(script: &str) -> Self {
        let mut command = Command::new("sh");
        let shell = Self(command.args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap());
        shell.is_another_than(b"");
        shell
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Gives it its line and waits until it is another program. Its input stays open.
    fn goes_on(&self) {
        let before = self.command();
        self.0.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
        self.is_another_than(&before);
    }

    /// Waits until it is another program, and whole: while the kernel puts one together it has no command line.
    fn is_another_than(&self, before: &[u8]) {
        let until = Instant::now() + SOON;
        while [before, b""].contains(&self.command().as_slice()) {
            assert!(Instant::now() < until, "it goes on soon");
            std::thread::yield_now();
        }
    }

    fn command(&self) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/cmdline", self.0.id())).unwrap_or_default()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that holds a mark in its memory, and nowhere else.
struct Holder {
    child: Child,
    dir: tempfile::TempDir,
}

impl Holder {
    fn new(way: &str) -> Self {
        Self::with(way, STREAM_MARK)
    }

    fn with(way: &str, mark: &[u8]) -> Self {
        let (dir, program) = Self::build();
        Self::start(dir, program.as_path(), way, mark)
    }

    /// One whose program was never a file.
    fn from_memory(mark: &[u8]) -> Self {
        use std::os::fd::AsRawFd;
        let (dir, program) = Self::build();
        let memory = rustix::fs::memfd_create("khien-test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut memory = std::fs::File::from(memory);
        memory.write_all(&std::fs::read(program).unwrap()).unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        Self::start(dir, std::path::Path::new(&path), "plain", mark)
    }

    fn build() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("holder");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-x", "c", "-o"]).arg(&program).arg("-").stdin(Stdio::piped());
        let mut compiling = compiler.spawn().unwrap();
        compiling.stdin.take().unwrap().write_all(HOLDER.as_bytes()).unwrap();
        assert!(compiling.wait().unwrap().success());
        (dir, program)
    }

    fn start(dir: tempfile::TempDir, program: &std::path::Path, way: &str, mark: &[u8]) -> Self {
        let (first, second) = std::str::from_utf8(mark).unwrap().split_at(mark.len() / 2);
        let mut command = Command::new(program);
        command.args([way, first, second]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "done\n");
        Self { child, dir }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn program(&self) -> std::path::PathBuf {
        self.dir.path().join("holder")
    }

    fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * rustix::param::page_size() as u64
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
