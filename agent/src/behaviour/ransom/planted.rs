//! The canaries that were planted, and how each was last seen.

use std::collections::HashMap;

use khien_core::{Sha256, Untrusted};

/// All canaries by their paths.
#[derive(Debug)]
pub(super) struct Planted(HashMap<Untrusted, Canary>);

#[derive(Debug)]
struct Canary {
    content: Sha256,
    seen: Option<Sha256>,
}

impl Planted {
    /// Knows where they are and what is in them.
    pub(super) fn new(canaries: HashMap<Untrusted, Sha256>) -> Self {
        let whole = |(path, content)| (path, Canary { content, seen: Some(content) });
        Self(canaries.into_iter().map(whole).collect())
    }

    /// Tells whether a path is one's.
    pub(super) fn holds(&self, path: &Untrusted) -> bool {
        self.0.contains_key(path)
    }

    /// Returns where they are.
    pub(super) fn paths(&self) -> Vec<Untrusted> {
        self.0.keys().cloned().collect()
    }

    /// Knows one no more.
    pub(super) fn forget(&mut self, path: &Untrusted) {
        self.0.remove(path);
    }

    /// Takes what is in one now, nothing if it is gone or cannot be read whole. Tells whether it was touched and that is
    /// news: they are looked at again and again.
    pub(super) fn is_touched_anew(&mut self, path: &Untrusted, now: Option<Sha256>) -> bool {
        let Some(canary) = self.0.get_mut(path) else { return false };
        let before = std::mem::replace(&mut canary.seen, now);
        now != Some(canary.content) && before != now
    }
}
