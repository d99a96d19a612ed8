//! What happens to files, for those who judge behaviour and not content: integrity, web roots, mass changes.
//!
//! ```text
//! watch back ends ─► sink ─► Activities ─► integrity
//!                                      └─► behaviour (web roots, ransomware)
//! ```
//! Nobody is waited for: a listener that is too slow loses activities, is told how many, and looks for itself.
#![allow(dead_code, reason = "the watch back ends and the listeners are being joined to it")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use khien_core::{Timestamp, Untrusted, event::Process};
use tokio::sync::mpsc;

/// Activities that may wait for one listener.
pub(crate) const QUEUE: usize = 65_536;

/// One thing that happened to one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activity {
    /// The absolute path.
    pub(crate) path: Untrusted,
    /// What happened.
    pub(crate) change: Change,
    /// Whether the name is a folder's.
    pub(crate) folder: bool,
    /// When it was read, by the agent's clock.
    pub(crate) at: Timestamp,
    /// Who did it, where the kernel tells.
    pub(crate) process: Option<Process>,
}

/// What may happen to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was made: a file, a folder, a link, another name of a file.
    Created,
    /// Its content was written to, whether or not it is closed by now.
    Written,
    /// It was moved here; from where, if both places are seen.
    MovedIn {
        /// The path before.
        from: Option<Untrusted>,
    },
    /// It was moved away. A move inside what is watched is one [`MovedIn`](Self::MovedIn) only.
    MovedOut,
    /// It was removed.
    Removed,
    /// Its mode, owner, times or extended attributes changed.
    Attributes,
}

/// Passes activities on to every listener.
#[derive(Debug, Default)]
pub(crate) struct Activities(Vec<Listener>);

#[derive(Debug)]
struct Listener {
    queue: mpsc::Sender<Activity>,
    missed: Arc<AtomicU64>,
}

/// One listener's end.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What happened, in order.
    pub(crate) queue: mpsc::Receiver<Activity>,
    missed: Arc<AtomicU64>,
}

impl Activities {
    /// Adds a listener.
    pub(crate) fn listen(&mut self) -> Heard {
        let (sender, queue) = mpsc::channel(QUEUE);
        let missed = Arc::<AtomicU64>::default();
        self.0.push(Listener { queue: sender, missed: Arc::clone(&missed) });
        Heard { queue, missed }
    }

    /// Passes an activity on. Never waits.
    pub(crate) fn tell(&self, activity: &Activity) {
        for listener in &self.0 {
            if listener.queue.try_send(activity.clone()).is_err() {
                listener.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Heard {
    /// Returns how many activities were lost since the last call.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}
