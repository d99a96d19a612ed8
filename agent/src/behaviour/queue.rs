//! Files that are to be looked at, each once though many things happen to it, a moment after the first. Pure.

use std::collections::{HashMap, VecDeque};

use khien_core::{Timestamp, Untrusted, time::SignedDuration};

use super::verdict::Ask;
use crate::activity::{Activity, Change};

/// From what happened to the look: whoever made a file has written to it by then. With a tick of a quarter of a second and
/// the way to the hub it leaves most of the three seconds after the 20th file.
const SETTLE: SignedDuration = SignedDuration::from_millis(300);
/// Files that may wait; what comes when it is full is counted as missed.
pub(super) const MOST: usize = 8_192;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: VecDeque<(Timestamp, Untrusted)>,
    waiting: HashMap<Untrusted, Waiting>,
}

/// A file that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What happened first, or what matters most of it.
    pub(super) activity: Activity,
    pub(super) ask: Ask,
}

impl Queue {
    /// Takes a file. Returns false if there is no room.
    pub(super) fn put(&mut self, activity: &Activity, ask: Ask, now: Timestamp) -> bool {
        if let Some(waiting) = self.waiting.get_mut(&activity.path) {
            waiting.more(activity, ask);
            return true;
        }
        if self.waiting.len() >= MOST {
            return false;
        }
        self.order.push_back((now, activity.path.clone()));
        self.waiting.insert(activity.path.clone(), Waiting { activity: activity.clone(), ask });
        true
    }

    /// Returns the files that waited long enough, at most so many.
    pub(super) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Waiting> {
        let mut due = Vec::new();
        while due.len() < most && self.order.front().is_some_and(|(at, _)| now.duration_since(*at) >= SETTLE)
        {
            let Some((_, path)) = self.order.pop_front() else { break };
            due.extend(self.waiting.remove(&path));
        }
        due
    }
}

impl Waiting {
    /// A change of times does not hide who wrote, nor a later event without a process.
    fn more(&mut self, activity: &Activity, ask: Ask) {
        self.ask = self.ask.max(ask);
        let only_attributes =
            self.activity.change == Change::Attributes && activity.change != Change::Attributes;
        if only_attributes {
            self.activity = activity.clone();
        } else if self.activity.process.is_none() {
            self.activity.process.clone_from(&activity.process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::sample::{activity, at, process},
        *,
    };

    #[test]
    fn a_file_to_which_much_happens_is_looked_at_once_and_the_oldest_first() {
        let (mut queue, writer) = (Queue::default(), process("/usr/sbin/php-fpm", "www-data"));
        for (path, change) in [
            ("/a", Change::Created),
            ("/b", Change::Written),
            ("/a", Change::Written),
            ("/a", Change::Attributes),
        ] {
            assert!(queue.put(&activity(path, change, Some(&writer), 0), Ask::Script, at(0)));
        }

        assert!(queue.due(at(100), 9).is_empty());
        let due = queue.due(at(300), 9);
        assert_eq!(
            due.iter().map(|w| w.activity.path.clone()).collect::<Vec<_>>(),
            ["/a".into(), "/b".into()]
        );
        assert_eq!(due[0].activity.change, Change::Created);
        assert!(queue.waiting.is_empty() && queue.order.is_empty());
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = Queue::default();
        let put = |queue: &mut Queue, n| {
            queue.put(&activity(&format!("/{n}"), Change::Written, None, 0), Ask::Samples, at(0))
        };
        assert!((0..MOST).all(|n| put(&mut queue, n)));

        assert!(!put(&mut queue, MOST));
        assert!(put(&mut queue, 7), "one that waits already needs no room");
    }
}
