//! The order in which large files are scanned: one after another. Pure.
//!
//! They wait by name, so that none of them is kept open and none takes a place of those that are scanned in no time. Of
//! what changed and what only a walk named, each has every second turn: neither can hold the other up for ever.

use std::{collections::VecDeque, sync::Arc};

use khien_core::{Untrusted, event::Process};
use tokio::sync::oneshot;

use super::files::{Ended, Link};

/// Files that wait. One more is told as not scanned, and the next walk over everything names it again.
pub(super) const MOST: usize = 1_024;

/// A file to be scanned.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) path: Untrusted,
    /// Who changed it, where that is known.
    pub(super) process: Option<Arc<Process>>,
    /// What a link in its place means.
    pub(super) link: Link,
    /// Of one that only a walk named: is told how the look at it ended.
    pub(super) calm: Option<oneshot::Sender<Ended>>,
}

impl Asked {
    /// Tells whether who named it, and no event, waits for it no more.
    pub(super) fn is_forgotten(&self) -> bool {
        self.calm.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// The files that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Line {
    changed: VecDeque<Asked>,
    calm: VecDeque<Asked>,
    is_calm_next: bool,
}

impl Line {
    /// Puts a file at the end. Gives it back when too many wait.
    #[must_use = "what is given back is not scanned, and that must be told"]
    pub(super) fn put(&mut self, file: Asked) -> Option<Asked> {
        let line = if file.calm.is_some() { &mut self.calm } else { &mut self.changed };
        if line.len() >= MOST {
            return Some(file);
        }
        line.push_back(file);
        None
    }

    /// Returns the file whose turn it is.
    pub(super) fn next(&mut self) -> Option<Asked> {
        let next = match self.is_calm_next {
            true => self.calm.pop_front().or_else(|| self.changed.pop_front()),
            false => self.changed.pop_front().or_else(|| self.calm.pop_front()),
        }?;
        self.is_calm_next = next.calm.is_none();
        Some(next)
    }

    /// Tells whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.calm.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_wait_and_one_more_is_given_back() {
        let mut line = Line::default();
        assert!((0..MOST).all(|n| line.put(changed(&n.to_string())).is_none()));

        let given_back = line.put(changed("one more"));

        assert_eq!(given_back.map(|file| file.path), Some("one more".into()));
        assert!(line.put(calm("walked")).is_none(), "a walk has a line of its own");
    }

    #[test]
    fn what_changed_and_what_a_walk_named_take_turns() {
        let mut line = Line::default();
        for file in [changed("a"), changed("b"), changed("c"), calm("walked"), changed("d")] {
            assert!(line.put(file).is_none());
        }

        let order: Vec<_> = std::iter::from_fn(|| line.next()).map(|file| file.path.to_string()).collect();

        assert_eq!(order, ["a", "walked", "b", "c", "d"]);
        assert!(line.is_empty());
    }

    fn changed(path: &str) -> Asked {
        Asked { path: path.into(), process: None, link: Link::Behind, calm: None }
    }

    fn calm(path: &str) -> Asked {
        Asked { calm: Some(oneshot::channel().0), ..changed(path) }
    }
}
