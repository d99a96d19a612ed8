//! Which files need no second look: clean, or too large to scan, with the pack that is loaded.
//!
//! A file is known by its device and inode, and as it was by size, times and pack: a time that was set back gives
//! another change time, a new pack asks for a new scan. Where all of that is as it was, each walk still reads a part of
//! the files again ([`Part`]) and holds a sample of the hash of their content against the one that is remembered. Nothing
//! else is kept, least of all a name. At most 76 bytes a file with the table's spare room; files above the limit are not
//! remembered, which costs a scan in every walk and hides nothing.
//!
//! File times are the kernel's word and the clock's. Where something throws doubt on either (see
//! [`doubt`](super::doubt)) all is forgotten, and the next walk scans everything again.

use std::{
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use khien_core::Sha256;
use khien_scan::open::Inode;

use super::again::{Part, WALKS};

/// The most files that are remembered.
const MOST: usize = 1_000_000;
/// A file is remembered only when its last change lies so far back: file times move in ticks, and a page that is
/// mapped and being written to gives the file a new time only after the kernel wrote it out, by default within 35 s.
const SETTLED: Duration = Duration::from_secs(60);

/// What a file is known by.
type Identity = (u64, u64);

/// An inode at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified: (i64, i64),
    pub(crate) changed: (i64, i64),
}

/// A sample of the hash of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content(u32);

/// What is known of a file that a walk meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Nothing, or it is not as it was.
    New,
    /// It is as it was.
    Known,
    /// It is as it was, and it is its turn to be read again. This was its content; from now on it is not known.
    Again(Content),
}

/// The files that need no second look.
#[derive(Debug)]
pub(crate) struct Clean {
    known: Mutex<Known>,
    /// Whether everything was forgotten and no walk has begun since.
    doubted: AtomicBool,
    settled: Duration,
    most: usize,
}

#[derive(Debug)]
struct Known {
    files: HashMap<Identity, Seen>,
    walk: u32,
    /// What this walk reads again.
    again: Part,
}

/// How a file was, in short, and in which walk it was last met.
#[derive(Debug, Clone, Copy)]
struct Seen {
    stamp: u64,
    content: Content,
    walk: u32,
}

impl Default for Clean {
    fn default() -> Self {
        Self::new(SETTLED, MOST, WALKS)
    }
}

impl Clean {
    /// Remembers at most so many files, each when its last change lies so far back. In so many walks all are read again
    /// where there is time for it; 0 is never.
    pub(crate) fn new(settled: Duration, most: usize, walks: u64) -> Self {
        let known = Known { files: HashMap::new(), walk: 0, again: Part::one_of(walks) };
        Self { known: Mutex::new(known), doubted: AtomicBool::default(), settled, most }
    }

    /// Tells whether a file is as it was when it was looked at with this pack.
    pub(crate) fn knows(&self, stamp: &Stamp, pack: u64) -> bool {
        self.known().files.get(&stamp.identity()).is_some_and(|seen| seen.stamp == stamp.short(pack))
    }

    /// Tells what a walk needs to know of a file that it meets.
    pub(crate) fn meets(&self, stamp: &Stamp, pack: u64) -> Knowledge {
        let (file, mut known) = (stamp.identity(), self.known());
        let Known { files, walk, again } = &mut *known;
        let Some(seen) = files.get_mut(&file) else { return Knowledge::New };
        // Under a second name it was met already, or it was scanned since the walk began.
        let was_met = std::mem::replace(&mut seen.walk, *walk) == *walk;
        if seen.stamp != stamp.short(pack) {
            return Knowledge::New;
        }
        if was_met || seen.content == Content::UNREAD || !again.has(&file) {
            return Knowledge::Known;
        }
        let content = seen.content;
        files.remove(&file);
        Knowledge::Again(content)
    }

    /// Remembers a file that was looked at with this pack, and what was read. `begun` is when that began.
    pub(crate) fn keep(&self, stamp: &Stamp, pack: u64, content: Content, begun: SystemTime) {
        let settled = stamp.changed_at().checked_add(self.settled).is_some_and(|at| at <= begun);
        if !settled {
            return;
        }
        let mut known = self.known();
        if known.files.len() < self.most || known.files.contains_key(&stamp.identity()) {
            let seen = Seen { stamp: stamp.short(pack), content, walk: known.walk };
            known.files.insert(stamp.identity(), seen);
        }
    }

    /// Forgets every file: what their times say is not to be trusted.
    pub(crate) fn forget_all(&self) {
        self.known().files.clear();
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Tells once whether everything was forgotten, which asks for a walk.
    pub(crate) fn was_forgotten(&self) -> bool {
        self.doubted.swap(false, Ordering::Relaxed)
    }

    /// Begins a walk over everything. Returns in how many walks all are read again.
    pub(crate) fn walk_begins(&self) -> u64 {
        let mut known = self.known();
        known.walk = known.walk.wrapping_add(1);
        known.again.next();
        known.again.walks()
    }

    /// Takes note of how long a walk read files again.
    pub(crate) fn read_again_for(&self, spent: Duration) {
        self.known().again.took(spent);
    }

    /// Ends a walk that met everything: what it did not meet is gone. Returns how many files are remembered.
    pub(crate) fn walk_ends(&self) -> usize {
        let mut known = self.known();
        let walk = known.walk;
        known.files.retain(|_, seen| seen.walk == walk);
        known.files.len()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// What was not read.
    pub(crate) const UNREAD: Self = Self(0);
}

impl From<Sha256> for Content {
    fn from(digest: Sha256) -> Self {
        Self(digest.0.first_chunk().map_or(0, |first| u32::from_le_bytes(*first)))
    }
}

impl Stamp {
    fn identity(&self) -> Identity {
        (self.device, self.inode)
    }

    /// Half of a hash of all that changes with the content, and of the pack.
    fn short(&self, pack: u64) -> u64 {
        let (modified, changed) = (self.modified, self.changed);
        let numbers = [modified.0, modified.1, changed.0, changed.1].map(i64::cast_unsigned);
        let mut bytes = Vec::with_capacity(48);
        for number in [self.size, pack].into_iter().chain(numbers) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let digest = Sha256::of(&bytes);
        digest.0.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    fn changed_at(&self) -> SystemTime {
        let nanos = u32::try_from(self.changed.1).unwrap_or(0);
        match u64::try_from(self.changed.0) {
            Ok(seconds) => UNIX_EPOCH.checked_add(Duration::new(seconds, nanos)).unwrap_or(UNIX_EPOCH),
            Err(_) => UNIX_EPOCH,
        }
    }
}

impl From<&Inode> for Stamp {
    fn from(inode: &Inode) -> Self {
        let Inode { device, number, size, modified, changed, .. } = *inode;
        Self { device, inode: number, size, modified, changed }
    }
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_as_it_was_and_with_that_pack_only() {
        let clean = Clean::default();
        clean.keep(&stamp(1), 3, content(b"x"), now());

        assert!(clean.knows(&stamp(1), 3));
        assert!(!clean.knows(&stamp(1), 4), "another pack");
        assert!(!clean.knows(&stamp(2), 3), "another file");
        assert!(!clean.knows(&Stamp { size: 6, ..stamp(1) }, 3), "another size");
        assert!(!clean.knows(&Stamp { modified: (100, 1), ..stamp(1) }, 3), "written");
        assert!(!clean.knows(&Stamp { changed: (100, 1), ..stamp(1) }, 3), "written, and its time set back");
    }

    #[test]
    fn a_file_that_changed_a_moment_before_is_not_trusted() {
        let clean = Clean::default();

        clean.keep(&stamp(1), 3, content(b"x"), UNIX_EPOCH + Duration::from_secs(100) + SETTLED / 2);

        assert!(!clean.knows(&stamp(1), 3));
    }

    #[test]
    fn what_is_doubted_is_forgotten_and_said_once() {
        let clean = Clean::default();
        clean.keep(&stamp(1), 3, content(b"x"), now());
        assert!(!clean.was_forgotten());

        clean.forget_all();

        assert!(!clean.knows(&stamp(1), 3));
        assert!(clean.was_forgotten());
        assert!(!clean.was_forgotten(), "one walk is enough");
    }

    #[test]
    fn a_full_memory_takes_no_more_files_and_forgets_those_that_are_gone() {
        let clean = Clean::new(SETTLED, 2, 0);
        (1..=3).for_each(|inode| clean.keep(&stamp(inode), 3, content(b"x"), now()));
        assert!(clean.knows(&stamp(2), 3));
        assert!(!clean.knows(&stamp(3), 3));

        clean.walk_begins();
        assert_eq!(clean.meets(&stamp(2), 3), Knowledge::Known);
        assert_eq!(clean.walk_ends(), 1);

        assert!(!clean.knows(&stamp(1), 3));
        clean.keep(&stamp(3), 3, content(b"x"), now());
        assert!(clean.knows(&stamp(3), 3));
    }

    #[test]
    fn a_file_whose_turn_it_is_is_read_again_once_and_not_known_until_it_was_found_clean() {
        let clean = Clean::new(SETTLED, 2, 1);
        clean.keep(&stamp(1), 3, content(b"before"), now());

        clean.walk_begins();
        assert_eq!(clean.meets(&stamp(1), 3), Knowledge::Again(content(b"before")));
        assert!(!clean.knows(&stamp(1), 3));
        assert_eq!(clean.meets(&stamp(1), 3), Knowledge::New, "what was found in it is not forgotten");

        clean.keep(&stamp(1), 3, content(b"after"), now());
        assert_eq!(clean.meets(&stamp(1), 3), Knowledge::Known, "under a second name, in the same walk");
        clean.walk_begins();
        assert_eq!(clean.meets(&stamp(1), 4), Knowledge::New, "another pack");
        clean.walk_begins();
        assert_eq!(clean.meets(&stamp(1), 3), Knowledge::Again(content(b"after")));
    }

    #[test]
    fn in_so_many_walks_all_files_are_read_again() {
        let clean = Clean::new(SETTLED, 1_000, WALKS);
        (0..1_000).for_each(|inode| clean.keep(&stamp(inode), 3, content(b"x"), now()));
        let mut read = Vec::new();

        let walks = clean.walk_begins();
        for _ in 0..walks {
            for inode in 0..1_000 {
                if let Knowledge::Again(content) = clean.meets(&stamp(inode), 3) {
                    read.push(inode);
                    clean.keep(&stamp(inode), 3, content, now());
                }
            }
            assert_eq!(clean.walk_ends(), 1_000);
            clean.walk_begins();
        }

        read.sort_unstable();
        assert_eq!((walks, read), (WALKS, (0..1_000).collect()));
    }

    #[test]
    fn a_million_files_cost_less_than_120_bytes_each() {
        let entry = size_of::<(Identity, Seen)>() + 1;

        // A table doubles when it is seven eighths full, so that it is never less than seven sixteenths full.
        assert!(entry * 16 / 7 < 120, "{entry} bytes an entry");
    }

    fn stamp(inode: u64) -> Stamp {
        Stamp { device: 1, inode, size: 5, modified: (100, 0), changed: (100, 0) }
    }

    fn content(bytes: &[u8]) -> Content {
        Sha256::of(bytes).into()
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000)
    }
}
