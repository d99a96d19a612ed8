//! Joins the two ends of a move, which notify tells one after the other. Pure: callers pass the time.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The other end of a move comes at once, or never.
const WAIT: Duration = Duration::from_millis(100);
/// Moves that wait for their other end. With more, the oldest is taken for one to outside.
const MOST: usize = 1_024;

/// Names that were moved away.
#[derive(Debug, Default)]
pub(super) struct Moves {
    left: VecDeque<Left>,
}

/// A name that did not arrive anywhere, and whether it was a folder's.
pub(super) type Gone = (PathBuf, bool);

#[derive(Debug)]
struct Left {
    path: PathBuf,
    tracker: usize,
    folder: bool,
    at: Instant,
}

impl Moves {
    /// Notes that a name was moved away. A folder says so itself too, without a tracker. Returns another name that made
    /// room.
    pub(super) fn left(&mut self, path: &Path, tracker: Option<usize>, now: Instant) -> Option<Gone> {
        let Some(tracker) = tracker else {
            self.left.iter_mut().filter(|l| l.path == path).for_each(|l| l.folder = true);
            return None;
        };
        self.left.push_back(Left { path: path.to_owned(), tracker, folder: false, at: now });
        let oldest = if self.left.len() > MOST { self.left.pop_front() } else { None };
        oldest.map(|l| (l.path, l.folder))
    }

    /// Returns where the name came from that arrived with this tracker.
    pub(super) fn arrived(&mut self, tracker: usize) -> Option<PathBuf> {
        let at = self.left.iter().position(|l| l.tracker == tracker)?;
        self.left.remove(at).map(|l| l.path)
    }

    /// Takes the names that did not arrive anywhere.
    pub(super) fn gone(&mut self, now: Instant) -> Vec<Gone> {
        let mut gone = Vec::new();
        while let Some(left) = self.left.pop_front_if(|l| now.duration_since(l.at) >= WAIT) {
            gone.push((left.path, left.folder));
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_inside_is_joined_and_one_to_outside_is_gone_after_a_moment() {
        let (mut moves, now) = (Moves::default(), Instant::now());
        moves.left(Path::new("/a"), Some(1), now);
        moves.left(Path::new("/b"), Some(2), now);
        moves.left(Path::new("/b"), None, now);

        assert_eq!(moves.arrived(1), Some("/a".into()));
        assert_eq!(moves.gone(now), []);
        assert_eq!(moves.gone(now + WAIT), [("/b".into(), true)]);
        assert_eq!(moves.arrived(2), None);
    }

    #[test]
    fn a_burst_of_moves_loses_none() {
        let (mut moves, now) = (Moves::default(), Instant::now());

        let at_once = (0..MOST + 10).filter_map(|n| moves.left(Path::new("/a"), Some(n), now)).count();

        assert_eq!((at_once, moves.gone(now + WAIT).len()), (10, MOST));
    }
}
