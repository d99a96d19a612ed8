//! What happened in folders that were gone when it was read. Pure: callers pass the time.
//!
//! `rm -r` is done before its first event is read, and then a handle leads nowhere. But the removal of the folder itself
//! comes later in the same queue, and names it in its parent: so what waits for it gets its path after all.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::event::Process;

use super::places::Key;

/// Events that may wait.
const MOST: usize = 16_384;
/// The removal of a folder is read soon after what was in it, or never.
const WAIT: Duration = Duration::from_secs(5);

/// Events that wait for the removal of their folder.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    waiting: HashMap<Key, Vec<Orphan>>,
    /// The folders, since when each is waited for.
    order: VecDeque<(Instant, Key)>,
    held: usize,
}

/// An event whose folder is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) name: Vec<u8>,
    pub(super) mask: u64,
    /// The removed folder itself, if it was one.
    pub(super) target: Option<Key>,
    pub(super) process: Option<Arc<Process>>,
}

impl Orphans {
    /// Keeps an event. Returns false when there is no room for it.
    pub(super) fn keep(&mut self, folder: Key, orphan: Orphan, now: Instant) -> bool {
        if self.held >= MOST {
            return false;
        }
        self.held += 1;
        let events = self.waiting.entry(folder.clone()).or_insert_with(|| {
            self.order.push_back((now, folder));
            Vec::new()
        });
        events.push(orphan);
        true
    }

    /// Takes what waits for a folder, in order.
    pub(super) fn of(&mut self, folder: &Key) -> Vec<Orphan> {
        let events = self.waiting.remove(folder).unwrap_or_default();
        self.held -= events.len();
        events
    }

    /// Drops what waited for too long. Returns whether there was any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((_, folder)) = self.order.pop_front_if(|(since, _)| now.duration_since(*since) >= WAIT)
        {
            any |= !self.of(&folder).is_empty();
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sys::Handle, *};

    #[test]
    fn what_waits_comes_back_once_its_folder_is_named() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        orphans.keep(folder(1), orphan("a"), now);
        orphans.keep(folder(2), orphan("b"), now);
        orphans.keep(folder(1), orphan("c"), now);

        assert_eq!(orphans.of(&folder(1)), [orphan("a"), orphan("c")]);
        assert_eq!(orphans.of(&folder(1)), []);
        assert_eq!(orphans.held, 1);
    }

    #[test]
    fn what_waits_in_vain_is_dropped_and_that_is_told() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());
        orphans.keep(folder(1), orphan("a"), now);
        assert!(!orphans.expire(now));

        assert!(orphans.expire(now + WAIT));

        assert_eq!((orphans.held, orphans.order.len(), orphans.waiting.len()), (0, 0, 0));
        assert!(!orphans.expire(now + WAIT));
    }

    #[test]
    fn there_is_an_end_to_what_may_wait() {
        let (mut orphans, now) = (Orphans::default(), Instant::now());

        let kept = (0..MOST + 10).filter(|_| orphans.keep(folder(1), orphan("a"), now)).count();

        assert_eq!(kept, MOST);
    }

    fn folder(number: u8) -> Key {
        (1, Handle::new(1, &[number]).unwrap())
    }

    fn orphan(name: &str) -> Orphan {
        Orphan { name: name.into(), mask: libc::FAN_DELETE, target: None, process: None }
    }
}
