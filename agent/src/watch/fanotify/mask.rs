//! What the kernel is asked to tell, and what one of its events says. Pure.
//!
//! Events of one name that wait together are merged into one by the kernel, which loses their order: what can be told of
//! it is told by whether the name is there now.

use khien_core::Untrusted;

use crate::activity::Change;

/// What the scan needs: a file written to, and closed after that, a name made.
const SCAN: u64 = libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE | libc::FAN_CREATE;
/// What only listeners need: a name removed, an inode changed; link counts too, which is not told on.
const TOLD: u64 = libc::FAN_DELETE | libc::FAN_ATTRIB;
/// Since Linux 5.17: a move with both of its names.
pub(super) const NEW: u64 = SCAN | TOLD | libc::FAN_RENAME | libc::FAN_ONDIR;
/// Before: its two ends, which cannot be joined.
pub(super) const OLD: u64 = SCAN | TOLD | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO | libc::FAN_ONDIR;

/// The mask of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask(pub(super) u64);

impl Mask {
    fn has(self, bits: u64) -> bool {
        self.0 & bits != 0
    }

    /// The kernel dropped events before it.
    pub(super) fn is_overflow(self) -> bool {
        self.has(libc::FAN_Q_OVERFLOW)
    }

    /// It is about a folder.
    pub(super) fn is_folder(self) -> bool {
        self.has(libc::FAN_ONDIR)
    }

    /// A name is elsewhere now.
    pub(super) fn is_moved(self) -> bool {
        self.has(libc::FAN_RENAME | libc::FAN_MOVED_TO | libc::FAN_MOVED_FROM)
    }

    /// A name was moved here.
    pub(super) fn is_moved_in(self) -> bool {
        self.has(libc::FAN_RENAME | libc::FAN_MOVED_TO)
    }

    /// A name came to be: made or moved here.
    pub(super) fn is_new(self) -> bool {
        self.is_moved_in() || self.has(libc::FAN_CREATE)
    }

    /// Its content was written to, and nothing else happened.
    pub(super) fn is_only_write(self) -> bool {
        self.0 == libc::FAN_MODIFY
    }

    /// Its content was written to.
    pub(super) fn is_write(self) -> bool {
        self.has(libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE)
    }

    /// Its writer closed it.
    pub(super) fn is_closed(self) -> bool {
        self.has(libc::FAN_CLOSE_WRITE)
    }

    /// A name was removed.
    pub(super) fn is_removed(self) -> bool {
        self.has(libc::FAN_DELETE)
    }

    /// There may be something to scan.
    pub(super) fn may_bring_content(self) -> bool {
        self.is_new() || self.is_write()
    }

    /// It says both that a name came and that it went: which was last is seen by looking.
    pub(super) fn is_unordered(self) -> bool {
        self.is_new() && self.has(libc::FAN_DELETE | libc::FAN_MOVED_FROM)
    }

    /// Says what happened to a name, in order. `there` says whether the name is there now, where that matters.
    pub(super) fn changes(self, there: bool, from: Option<Untrusted>) -> Vec<Change> {
        let mut came = Vec::new();
        if self.has(libc::FAN_CREATE) {
            came.push(Change::Created);
        }
        if self.is_moved_in() {
            came.push(Change::MovedIn { from });
        }
        if self.is_write() {
            came.push(Change::Written);
        }
        if self.has(libc::FAN_ATTRIB) {
            came.push(Change::Attributes);
        }
        let mut went = Vec::new();
        if self.has(libc::FAN_MOVED_FROM) {
            went.push(Change::MovedOut);
        }
        if self.is_removed() {
            went.push(Change::Removed);
        }
        match self.is_unordered() && there {
            true => [went, came].concat(),
            false => [came, went].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_events_are_told_in_the_order_that_fits_what_is_there() {
        let merged = Mask(libc::FAN_CREATE | libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE | libc::FAN_DELETE);

        let gone = merged.changes(false, None);
        let made_again = merged.changes(true, None);

        assert_eq!(gone, [Change::Created, Change::Written, Change::Removed]);
        assert_eq!(made_again, [Change::Removed, Change::Created, Change::Written]);
    }

    #[test]
    fn a_file_that_was_there_is_written_before_it_is_removed() {
        let merged = Mask(libc::FAN_CLOSE_WRITE | libc::FAN_ATTRIB | libc::FAN_DELETE);

        assert!(!merged.is_unordered());
        assert_eq!(merged.changes(true, None), [Change::Written, Change::Attributes, Change::Removed]);
    }
}
