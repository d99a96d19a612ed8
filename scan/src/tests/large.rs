//! Files of which only windows are in memory.

use std::os::unix::fs::FileExt;

use khien_core::bundle::Source;
use khien_rules::sample::{greedy, greedy_pack};

use super::*;

/// More than what is read into memory as a whole.
const SIZE: u64 = 40 << 20;
/// Windows of a file begin at multiples of this.
const WINDOW: u64 = 1 << 20;
/// The most memory that a worker may ever hold, in KiB.
const MOST: u64 = 128 << 10;

#[test]
fn a_match_in_a_large_file_is_told_at_its_true_place_also_over_a_border() {
    let (pool, at) = (Tested::new(), 29 * WINDOW - 20);
    let file = sparse(SIZE, &[(at, MARK)]);

    let scan = pool.scan_file(&file);

    assert_eq!(scan.scanned.outcome, ScanOutcome::Matched);
    let excerpt = &scan.scanned.hits[0].excerpts[0];
    assert_eq!((excerpt.offset, excerpt.matched.raw()), (at + 7, &b"KHIEN-TEST-MARK"[..]));
    assert!(excerpt.before.raw().ends_with(b"before ") && excerpt.after.raw().starts_with(b" after"));
    assert_eq!(scan.sha256, Some(Sha256::of(&all(&file))));
}

#[test]
fn rules_see_a_large_file_as_a_whole_and_no_border_in_it() {
    let condition = format!(
        "filesize == {SIZE} and #a == 2 and @a[2] == {} and $a at 5 and $b in (filesize - 9 .. filesize) \
         and uint32be(filesize - 4) == 0x454E4431 and math.count(0x21) == 1 \
         and hash.md5(0, filesize) == \"{{md5}}\" and not $word and not $start",
        30 * WINDOW - 2
    );
    let file = sparse(SIZE, &[(5, b"KHIEN-A"), (9 * WINDOW - 1, b"xevilx!"), (30 * WINDOW - 2, b"KHIEN-A")]);
    file.write_all_at(b"END1", SIZE - 4).unwrap();
    let pool = Tested::loaded(limits(), whole_pack(&condition.replace("{md5}", &md5_of(&file))));

    let scan = pool.scan_file(&file);

    let rules: Vec<_> = scan.scanned.hits.iter().map(|hit| hit.rule.as_str()).collect();
    assert_eq!((scan.scanned.outcome, rules), (ScanOutcome::Matched, vec!["test.mark"]));
}

#[test]
fn what_is_inside_a_large_container_is_found() {
    let pool = Tested::new();
    let padding = tar_header(b"padding", SIZE);
    let (inner, after) = (tar_header(b"inner.txt", MARK.len() as u64), 512 + SIZE);
    let file = sparse(after + 512 * 4, &[(0, &padding), (after, &inner), (after + 512, MARK)]);

    let scan = pool.scan_file(&file);

    let ways: Vec<_> = scan.scanned.hits.iter().map(|hit| hit.inside.to_string()).collect();
    assert_eq!((scan.scanned.outcome, ways), (ScanOutcome::Matched, vec!["inner.txt".to_owned()]));
}

#[test]
fn a_large_file_takes_little_memory_and_its_worker_is_gone_afterwards() {
    let pool = Tested::with(Limits { size: 1 << 30, time: SOON * 3, ..limits() });
    let (file, usual) = (sparse(LARGE + WINDOW, &[(LARGE, MARK)]), pool.worker());
    let done = std::sync::atomic::AtomicBool::new(false);

    let (scan, seen) = std::thread::scope(|threads| {
        let seen = threads.spawn(|| {
            let mut seen = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let others = pool.pool.pids().into_iter().filter(|pid| *pid != usual);
                seen = others.filter_map(peak).max().unwrap_or(0).max(seen);
                std::thread::yield_now();
            }
            seen
        });
        let scan = pool.scan_file(&file);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        (scan, seen.join().unwrap())
    });

    assert_eq!(scan.scanned.outcome, ScanOutcome::Matched);
    assert!(seen > 0 && seen < MOST, "{seen} KiB");
    wait_until("the worker for large files is gone", || pool.pool.pids() == [usual]);
}

#[test]
fn a_small_file_does_not_wait_for_a_large_one() {
    let pool = Tested::with(Limits { size: 1 << 30, ..limits() });
    let (large, small) = (sparse(LARGE * 2, &[]), sparse(0, &[(0, MARK)]));
    let path = Untrusted::default();

    let scan = pool.runtime.block_on(async {
        tokio::select! {
            early = pool.pool.scan_file(large, &path) => panic!("the large file was first: {early:?}"),
            scan = pool.pool.scan_file(small, &path) => scan,
        }
    });

    assert_eq!(scan.scanned.outcome, ScanOutcome::Matched);
}

#[test]
fn a_file_that_became_large_is_given_back_uncounted_and_scanned_as_a_large_one() {
    let pool = Tested::with(Limits { size: 1 << 30, ..limits() });
    let (file, path) = (sparse(LARGE + WINDOW, &[(LARGE, MARK)]), Untrusted::default());
    let scan = |size| pool.runtime.block_on(pool.pool.scan_sized(file.try_clone().unwrap(), &path, size));

    let small = scan(LARGE);
    let large = scan(LARGE + WINDOW);

    assert!(small.is_none(), "{small:?}");
    assert_eq!(large.map(|scan| scan.scanned.outcome), Some(ScanOutcome::Matched));
    assert_eq!(*pool.told.scans.lock().unwrap(), [ScanOutcome::Matched]);
}

#[test]
fn a_file_that_takes_all_memory_ends_its_worker_and_nothing_else() {
    let pool = Tested::loaded(limits(), greedy_pack(1));

    let greedy = pool.scan(&greedy());
    let next = pool.scan(MARK);

    assert_eq!(greedy.scanned.outcome, ScanOutcome::Crashed);
    assert_eq!(next.scanned.outcome, ScanOutcome::Matched);
}

#[test]
fn a_terabyte_of_nothing_is_too_large_at_once() {
    let pool = Tested::with(Limits { size: Limits::default().size, ..limits() });

    assert_eq!(pool.scan_file(&sparse(1 << 40, &[])).scanned.outcome, ScanOutcome::TooLarge);
}

#[test]
fn files_that_the_kernel_makes_up_have_an_outcome() {
    let pool = Tested::new();
    let made_up = |path: &str| pool.scan_file(&File::open(path).unwrap()).scanned.outcome;

    // Its size is said to be 0.
    assert_eq!(made_up("/proc/version"), ScanOutcome::Clean);
    // The memory of the machine, for root alone.
    if File::open("/proc/kcore").is_ok() {
        assert_eq!(made_up("/proc/kcore"), ScanOutcome::TooLarge);
    }
}

impl Tested {
    fn scan_file(&self, file: &File) -> FileScan {
        self.runtime.block_on(self.pool.scan_file(file.try_clone().unwrap(), &Untrusted::default()))
    }
}

fn sparse(size: u64, parts: &[(u64, &[u8])]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(size).unwrap();
    for (at, part) in parts {
        file.write_all_at(part, *at).unwrap();
    }
    file
}

fn all(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn md5_of(file: &File) -> String {
    use khien_rules::indicator::digest::{Digests, Wanted};
    let digests = Digests::of(&all(file), Wanted { md5: true, ..Wanted::default() });
    data_encoding::HEXLOWER.encode(&digests.md5.unwrap())
}

/// A pack whose rule for files has another condition.
fn whole_pack(condition: &str) -> Pack {
    let mut pack = marked_pack(1);
    let text = format!(
        "import \"hash\"\nimport \"math\"\n\
         rule test_mark {{ strings: $a = \"KHIEN-A\" $b = \"END1\" $word = \"evil\" fullword $start = /^evil/ \
         condition: {condition} }}\n\
         rule test_stream {{ strings: $a = \"KHIEN-STREAM-MARK\" condition: $a }}\n"
    );
    pack.sources = vec![Source { name: "whole.yar".to_owned(), text }];
    pack
}

/// The block before a file in a tar.
fn tar_header(name: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[148..156].fill(b' ');
    block[156] = b'0';
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Returns the most memory that a process ever held, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
