//! Counts the files that wait for the worker for large ones, so that they hold no place of the others.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;

/// Large files that hold no place. More of them wait like any file: each keeps a file open.
const MOST: usize = 32;

/// The large files in work.
#[derive(Debug, Default)]
pub(super) struct Large {
    waiting: AtomicUsize,
    came: Notify,
}

/// One of them, until it is dropped.
pub(super) struct Entered<'l>(&'l Large);

impl Large {
    /// Counts one more; none if there are too many.
    pub(super) fn enter(&self) -> Option<Entered<'_>> {
        self.waiting.try_update(Relaxed, Relaxed, |now| (now < MOST).then_some(now + 1)).ok()?;
        self.came.notify_one();
        Some(Entered(self))
    }

    /// Returns how many there are.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Waits until one came since it was asked last.
    pub(super) async fn came(&self) {
        self.came.notified().await;
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_counted_while_they_wait_and_not_without_end() {
        let large = Large::default();
        let all: Vec<_> = (0..MOST + 5).filter_map(|_| large.enter()).collect();

        assert_eq!((all.len(), large.waiting()), (MOST, MOST));
        drop(all);
        assert_eq!(large.waiting(), 0);
    }
}
