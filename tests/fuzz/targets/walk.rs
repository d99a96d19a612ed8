//! Containers of files: whatever the bytes are, a walk keeps its limits and says what it left out.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::FileExt,
};

use khien_core::{
    Untrusted,
    event::{Inside, NotSeen},
};
use khien_rules::unpack::{self, Flow, Limits, MAX_TROUBLES, Outcome, Source, Visitor};
use rustix::fs::{MemfdFlags, memfd_create};

/// Small, so that each is met often.
const LIMITS: Limits = Limits {
    depth: 8,
    entries: 100,
    total: 1 << 20,
    entry: 256 << 10,
    held: 512 << 10,
    ratio: 200,
    ratio_from: 32 << 10,
};
/// The length of a block of a tar, and where in it the sum and the word `ustar` are.
const BLOCK: usize = 512;
const SUM: std::ops::Range<usize> = 148..156;
const USTAR: std::ops::Range<usize> = 257..262;

/// Walks, and holds the walk to what is promised of it.
pub(super) fn hold(name: &str, bytes: &[u8], thoroughly: bool) -> u64 {
    let (seen, outcome) = walked(name, Source::Bytes(bytes), u64::MAX);
    assert_eq!(outcome.files, seen.files);
    assert!(seen.files <= LIMITS.entries, "{} files", seen.files);
    assert!(outcome.bytes <= LIMITS.total + LIMITS.entry, "{} bytes", outcome.bytes);
    assert!(outcome.troubles.len() <= MAX_TROUBLES);
    assert!(outcome.untold == 0 || outcome.troubles.len() == MAX_TROUBLES);
    if thoroughly {
        a_walk_without_time_says_so(name, bytes, seen.asked);
        a_file_is_walked_like_its_bytes(name, bytes, &seen, &outcome);
    }
    digest(&seen, &outcome)
}

fn walked(name: &str, source: Source<'_>, patience: u64) -> (Seen, Outcome) {
    let mut seen = Seen { digest: DefaultHasher::new(), files: 0, bytes: 0, asked: 0, patience };
    let outcome = unpack::walk(source, &Untrusted::from(name), &LIMITS, &mut seen);
    (seen, outcome)
}

fn digest(seen: &Seen, outcome: &Outcome) -> u64 {
    let mut digest = seen.digest.clone();
    format!("{outcome:?}").hash(&mut digest);
    digest.finish()
}

fn a_walk_without_time_says_so(name: &str, bytes: &[u8], asked: u64) {
    if asked == 0 {
        return;
    }
    let (_, outcome) = walked(name, Source::Bytes(bytes), asked / 2);
    assert!(outcome.troubles.iter().any(|t| t.why == NotSeen::Time), "{outcome:?}");
}

fn a_file_is_walked_like_its_bytes(name: &str, bytes: &[u8], seen: &Seen, outcome: &Outcome) {
    // A file's own bytes count as held, so that a walk that comes near that limit may end elsewhere.
    if seen.bytes + bytes.len() as u64 > LIMITS.held / 4 {
        return;
    }
    let file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).unwrap());
    file.write_all_at(bytes, 0).unwrap();
    let (in_file, of_file) = walked(name, Source::File(&file, bytes.len() as u64), u64::MAX);
    assert_eq!(&of_file, outcome);
    assert_eq!(digest(&in_file, &of_file), digest(seen, outcome), "other files came out");
}

/// Mends the sums of a tar: no changed header would be read otherwise.
pub(super) fn with_sums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(BLOCK).filter(|b| b[USTAR] == *b"ustar") {
        block[SUM].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[SUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

/// Looks at what it is handed and keeps none of it.
struct Seen {
    digest: DefaultHasher,
    files: u64,
    bytes: u64,
    asked: u64,
    /// How often it says that the walk may go on.
    patience: u64,
}

impl Visitor for Seen {
    fn file(&mut self, inside: &Inside, bytes: &[u8]) -> Flow {
        assert!(bytes.len() as u64 <= LIMITS.entry, "{inside}: {} bytes", bytes.len());
        assert!((1..=LIMITS.depth).contains(&inside.names().len()), "{inside}");
        for name in inside.names() {
            name.raw().hash(&mut self.digest);
        }
        bytes.hash(&mut self.digest);
        self.files += 1;
        self.bytes += bytes.len() as u64;
        Flow::Go
    }

    fn keep_going(&mut self) -> bool {
        self.asked += 1;
        self.asked <= self.patience
    }
}
