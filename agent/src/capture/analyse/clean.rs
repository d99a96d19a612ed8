//! Which carried files were clean a moment ago: the same pages, pictures and downloads go over the wire again and again.
//!
//! A file is known by the SHA-256 of its content and of its name, since lists may ask for a name too, and only as long as the
//! pack is loaded with which it was scanned. The digest is made by the agent of the bytes that it has: nobody else is believed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use khien_core::{Sha256, Untrusted};

use crate::scan::recent::Recent;

/// Files that are remembered: some hundred bytes each.
const REMEMBERED: usize = 8_192;

/// What a file is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(Sha256);

/// The files that were clean with the pack that is loaded.
#[derive(Debug)]
pub(super) struct Clean(Mutex<Known>);

#[derive(Debug)]
struct Known {
    pack: u64,
    files: Recent<Key, ()>,
}

impl Key {
    /// Makes the key of a file.
    pub(super) fn of(content: Sha256, name: &Untrusted) -> Self {
        Self(Sha256::of(&[&content.0[..], name.raw()].concat()))
    }
}

impl Default for Clean {
    fn default() -> Self {
        Self(Mutex::new(Known::new(0)))
    }
}

impl Clean {
    /// Tells whether a file was clean with this pack. A newer pack than before has all forgotten.
    pub(super) fn knows(&self, pack: u64, key: Key) -> bool {
        let mut known = self.known();
        if known.pack != pack {
            *known = Known::new(pack);
        }
        known.files.get(&key).is_some()
    }

    /// Remembers a file that was clean. `pack` is that which was loaded before its scan began: a result of before a newer one
    /// came is of no use.
    pub(super) fn keep(&self, pack: u64, key: Key) {
        let mut known = self.known();
        if known.pack == pack {
            known.files.put(key, ());
        }
    }

    /// A panic in the middle leaves a memory that knows one file less.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn new(pack: u64) -> Self {
        Self { pack, files: Recent::new(REMEMBERED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_content_name_and_pack() {
        let clean = Clean::default();
        let key = |content: &[u8], name: &str| Key::of(Sha256::of(content), &name.into());
        assert!(!clean.knows(7, key(b"page", "a.html")));

        clean.keep(7, key(b"page", "a.html"));

        assert!(clean.knows(7, key(b"page", "a.html")));
        assert!(!clean.knows(7, key(b"page", "b.html")) && !clean.knows(7, key(b"other", "a.html")));
        assert!(!clean.knows(8, key(b"page", "a.html")), "another pack");
        assert!(!clean.knows(7, key(b"page", "a.html")), "all is forgotten by then");
    }

    #[test]
    fn what_was_scanned_before_a_newer_pack_came_is_not_remembered() {
        let clean = Clean::default();
        let key = Key::of(Sha256::of(b"page"), &"a.html".into());
        assert!(!clean.knows(7, key));
        assert!(!clean.knows(8, key));

        clean.keep(7, key);

        assert!(!clean.knows(8, key));
    }

    #[test]
    fn the_memory_is_bounded() {
        let clean = Clean::default();
        let key = |n: usize| Key::of(Sha256::of(&n.to_le_bytes()), &Untrusted::none());
        assert!(!clean.knows(7, key(0)));

        (0..=REMEMBERED).for_each(|n| clean.keep(7, key(n)));

        assert!(!clean.knows(7, key(0)) && clean.knows(7, key(1)) && clean.knows(7, key(REMEMBERED)));
    }
}
