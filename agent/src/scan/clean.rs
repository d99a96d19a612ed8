//! Which files need no second look: clean, or too large to scan, with the pack that is loaded.
//!
//! A file is known by its device and inode, and as it was by size, times and pack: a time that was set back gives
//! another change time, a new pack asks for a new scan. Nothing else is kept, least of all a name. At most 66 bytes a
//! file with the table's spare room; files above the limit are not remembered, which costs a scan in every walk and
//! hides nothing.

use std::{
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use khien_core::Sha256;
use khien_scan::open::Inode;

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

/// The files that need no second look.
#[derive(Debug)]
pub(crate) struct Clean {
    known: Mutex<Known>,
    settled: Duration,
    most: usize,
}

#[derive(Debug, Default)]
struct Known {
    files: HashMap<Identity, Seen>,
    walk: u32,
}

/// How a file was, in short, and in which walk it was last met.
#[derive(Debug, Clone, Copy)]
struct Seen {
    stamp: u64,
    walk: u32,
}

impl Default for Clean {
    fn default() -> Self {
        Self::new(SETTLED, MOST)
    }
}

impl Clean {
    /// Remembers at most so many files, each when its last change lies so far back.
    pub(crate) fn new(settled: Duration, most: usize) -> Self {
        Self { known: Mutex::default(), settled, most }
    }

    /// Tells whether a file is as it was when it was looked at with this pack.
    pub(crate) fn knows(&self, stamp: &Stamp, pack: u64) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let walk = known.walk;
        let Some(seen) = known.files.get_mut(&stamp.identity()) else { return false };
        seen.walk = walk;
        seen.stamp == stamp.short(pack)
    }

    /// Remembers a file that was looked at with this pack. `begun` is when that began.
    pub(crate) fn keep(&self, stamp: &Stamp, pack: u64, begun: SystemTime) {
        let settled = stamp.changed_at().checked_add(self.settled).is_some_and(|at| at <= begun);
        if !settled {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.files.len() < self.most || known.files.contains_key(&stamp.identity()) {
            let seen = Seen { stamp: stamp.short(pack), walk: known.walk };
            known.files.insert(stamp.identity(), seen);
        }
    }

    /// Begins a walk over everything.
    pub(crate) fn walk_begins(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.walk = known.walk.wrapping_add(1);
    }

    /// Ends a walk that met everything: what it did not meet is gone. Returns how many files are remembered.
    pub(crate) fn walk_ends(&self) -> usize {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let walk = known.walk;
        known.files.retain(|_, seen| seen.walk == walk);
        known.files.len()
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
        clean.keep(&stamp(1), 3, now());

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

        clean.keep(&stamp(1), 3, UNIX_EPOCH + Duration::from_secs(100) + SETTLED / 2);

        assert!(!clean.knows(&stamp(1), 3));
    }

    #[test]
    fn a_full_memory_takes_no_more_files_and_forgets_those_that_are_gone() {
        let clean = Clean::new(SETTLED, 2);
        (1..=3).for_each(|inode| clean.keep(&stamp(inode), 3, now()));
        assert!(clean.knows(&stamp(2), 3));
        assert!(!clean.knows(&stamp(3), 3));

        clean.walk_begins();
        assert!(clean.knows(&stamp(2), 3));
        assert_eq!(clean.walk_ends(), 1);

        assert!(!clean.knows(&stamp(1), 3));
        clean.keep(&stamp(3), 3, now());
        assert!(clean.knows(&stamp(3), 3));
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

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000)
    }
}
