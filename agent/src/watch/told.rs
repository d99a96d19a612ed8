//! Which names those who listen were told of, so that a walk can tell of the others that changed. Pure: callers pass the
//! time.
//!
//! ```text
//!      last walk that ended              this walk
//!  ────────────┼─────────────────────────────┼───────► changed
//!         ├ so late ┤                   ├ so late ┤     an event may still be on its way
//!         └── a file that changed here ─┘
//!             and was not told of is news
//! ```

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use khien_core::{Timestamp, time::SignedDuration};

/// Names that are remembered. With more it is not known what is news, until a walk has passed.
const MOST: usize = 65_536;

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    hash: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When a name was told of last, by the hash of the name.
    names: HashMap<u64, Timestamp>,
    /// Up to this time a walk has looked; none before the first has ended.
    from: Option<Timestamp>,
    /// Up to this time the walk that goes on looks.
    until: Option<Timestamp>,
    /// When something was last told of that is not remembered, or happened without a word.
    lost: Option<Timestamp>,
}

impl Told {
    /// Takes note that a name is told of.
    pub(super) fn note(&self, path: &Path, at: Timestamp) {
        let name = self.name(path);
        let mut state = self.state();
        if state.names.len() < MOST || state.names.contains_key(&name) {
            state.names.insert(name, at);
        } else {
            state.lost = Some(at);
        }
    }

    /// Takes note that not all that happened was told.
    pub(super) fn lost(&self, at: Timestamp) {
        self.state().lost = Some(at);
    }

    /// A walk over everything begins. `late` is how long an event may be on its way.
    pub(super) fn walk_begins(&self, now: Timestamp, late: SignedDuration) {
        self.state().until = now.saturating_sub(late).ok();
    }

    /// Tells whether a file that changed then is news to those who listen.
    pub(super) fn is_news(&self, path: &Path, changed: Timestamp) -> bool {
        let state = self.state();
        let (Some(from), Some(until), None) = (state.from, state.until, state.lost) else { return false };
        from < changed && changed <= until && !state.names.contains_key(&self.name(path))
    }

    /// The walk has looked at everything.
    pub(super) fn walk_ends(&self) {
        let mut state = self.state();
        let Some(until) = state.until.take() else { return };
        state.names.retain(|_, at| *at > until);
        state.lost = state.lost.filter(|lost| *lost > until);
        state.from = Some(until);
    }

    /// Of the bytes, which cost less than the parts of a path.
    fn name(&self, path: &Path) -> u64 {
        self.hash.hash_one(path.as_os_str())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: SignedDuration = SignedDuration::from_secs(2);

    #[test]
    fn a_file_that_changed_between_two_walks_and_was_not_told_of_is_news() {
        let told = walked();
        told.note(Path::new("/told"), at(15));

        told.walk_begins(at(20), LATE);

        assert!(told.is_news(Path::new("/untold"), at(15)));
        assert!(!told.is_news(Path::new("/told"), at(15)));
        assert!(!told.is_news(Path::new("/untold"), at(7)), "the last walk looked at that");
        assert!(!told.is_news(Path::new("/untold"), at(19)), "an event may be on its way");
        told.walk_ends();
        told.walk_begins(at(30), LATE);
        assert!(told.is_news(Path::new("/untold"), at(19)), "none came");
    }

    #[test]
    fn in_the_first_walk_and_after_a_loss_nothing_is_news() {
        let first = Told::default();
        first.walk_begins(at(20), LATE);
        assert!(!first.is_news(Path::new("/a"), at(15)));

        let told = walked();
        told.lost(at(15));
        told.walk_begins(at(20), LATE);
        assert!(!told.is_news(Path::new("/a"), at(15)));
        told.walk_ends();
        told.walk_begins(at(30), LATE);
        assert!(told.is_news(Path::new("/a"), at(25)), "the loss has passed");
    }

    #[test]
    fn a_walk_that_is_cut_off_leaves_its_time_to_the_next() {
        let told = walked();
        told.walk_begins(at(20), LATE);

        told.walk_begins(at(30), LATE);

        assert!(told.is_news(Path::new("/a"), at(15)));
    }

    #[test]
    fn names_are_bounded_and_too_many_are_a_loss() {
        let told = walked();
        (0..=MOST).for_each(|n| told.note(Path::new(&n.to_string()), at(15)));

        told.walk_begins(at(20), LATE);

        assert_eq!(told.state().names.len(), MOST);
        assert!(!told.is_news(Path::new("/a"), at(15)));
        told.walk_ends();
        assert!(told.state().names.is_empty());
    }

    /// Looked at everything at second ten.
    fn walked() -> Told {
        let told = Told::default();
        told.walk_begins(at(10), LATE);
        told.walk_ends();
        told
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second, 0).unwrap()
    }
}
