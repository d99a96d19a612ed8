//! What happens to files, for those who judge behaviour and not content: integrity, web roots, mass changes.
//!
//! ```text
//! watch back ends ─► sink ─► Activities ─► integrity
//!                                      └─► behaviour (web roots, ransomware)
//! ```
//! Nobody is waited for: a listener that is too slow loses activities. It is told since when, as it is told when the
//! kernel lost events, and looks for itself. What the agent itself does is never told.
//!
//! A folder that is moved is one activity: what lies in it moves with it without a word.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use khien_core::{Timestamp, Untrusted, event::Process};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

/// Activities that may wait for one listener.
pub(crate) const QUEUE: usize = 65_536;
/// Activities of so long are heard together.
const TOGETHER: Duration = Duration::from_millis(10);
/// Paths that one listener may have observed; more are cut, and that is said in the log.
const MAX_OBSERVED: usize = 4_096;

/// One thing that happened to one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Activity {
    /// The absolute path, with every symbolic link on the way resolved.
    pub(crate) path: Untrusted,
    /// What happened.
    pub(crate) change: Change,
    /// Whether the name is a folder's. Of a name that was moved away notify may not know it.
    pub(crate) folder: bool,
    /// When it was read, by the agent's clock.
    pub(crate) at: Timestamp,
    /// Who did it, where the kernel tells; one for all who listen.
    pub(crate) process: Option<Arc<Process>>,
}

/// What may happen to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was made: a file, a folder, a link, another name of a file.
    Created,
    /// Its content was written to, whether or not it is closed by now; or it was closed by one who could have written.
    /// Of many writes the first is told, and the last: when the file is closed, or nothing was written for a moment.
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

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "most notices are activities")]
pub(crate) enum Notice {
    /// Something happened.
    Happened(Activity),
    /// What happened since this time was not told, or not all of it: look for yourself. It may come again before the
    /// looking is done.
    Blind(Timestamp),
}

/// Passes activities on to every listener.
#[derive(Debug, Default)]
pub(crate) struct Activities {
    listeners: Vec<Listener>,
    observed: Arc<Observed>,
}

#[derive(Debug)]
struct Listener {
    queue: mpsc::Sender<Activity>,
    missed: Arc<Missed>,
}

/// What a listener was not told.
#[derive(Debug, Default)]
struct Missed {
    lost: AtomicU64,
    since: Mutex<Option<Timestamp>>,
    news: Notify,
}

/// One listener's end.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What happened, in order.
    pub(crate) queue: mpsc::Receiver<Activity>,
    missed: Arc<Missed>,
    /// Until then nothing is waited for.
    rests: Option<Instant>,
}

impl Activities {
    /// Adds a listener. All are added before the watch starts.
    pub(crate) fn listen(&mut self) -> Heard {
        let (sender, queue) = mpsc::channel(QUEUE);
        let missed = Arc::<Missed>::default();
        self.listeners.push(Listener { queue: sender, missed: Arc::clone(&missed) });
        Heard { queue, missed, rests: None }
    }

    /// Returns where to say which paths outside the watched folders are told of.
    pub(crate) fn observed(&self) -> Arc<Observed> {
        Arc::clone(&self.observed)
    }

    /// Tells whether anyone listens.
    pub(crate) fn are_heard(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Passes an activity on. Never waits.
    pub(crate) fn tell(&self, activity: &Activity) {
        for listener in &self.listeners {
            if listener.queue.try_send(activity.clone()).is_err() {
                listener.missed.lost.fetch_add(1, Ordering::Relaxed);
                listener.missed.blind(activity.at);
            }
        }
    }

    /// Says that not all was told since this time.
    pub(crate) fn blind(&self, since: Timestamp) {
        self.listeners.iter().for_each(|listener| listener.missed.blind(since));
    }
}

impl Missed {
    fn blind(&self, since: Timestamp) {
        let mut told = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Some(told.map_or(since, |earlier| earlier.min(since)));
        self.news.notify_one();
    }

    fn take(&self) -> Option<Timestamp> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Heard {
    /// Waits for what happens next. None when the watch has ended. May be called off and called again.
    ///
    /// What happens soon after comes together: to wake for each of a thousand activities a second costs more than to look
    /// at them.
    pub(crate) async fn next(&mut self) -> Option<Notice> {
        loop {
            if let Some(since) = self.missed.take() {
                return Some(Notice::Blind(since));
            }
            if let Ok(activity) = self.queue.try_recv() {
                return Some(Notice::Happened(activity));
            }
            if let Some(until) = self.rests.filter(|until| *until > Instant::now()) {
                sleep_until(until).await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.missed.news.notified() => {}
                activity = self.queue.recv() => {
                    self.rests = Some(Instant::now() + TOGETHER);
                    return activity.map(Notice::Happened);
                }
            }
        }
    }

    /// Returns how many activities were lost since the last call because this listener was too slow.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.lost.swap(0, Ordering::Relaxed)
    }
}

/// Files and folders outside the watched folders of which listeners want to know. They are told of and not scanned.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    wanted: Mutex<BTreeMap<&'static str, Vec<PathBuf>>>,
    /// Where they really are.
    real: RwLock<HashSet<PathBuf>>,
}

impl Observed {
    /// Says what one listener wants to know of from now on: files, and folders with all that is below them. What is
    /// not there yet is told of when it comes. It takes effect within some seconds.
    pub(crate) fn set(&self, listener: &'static str, mut paths: Vec<PathBuf>) {
        if paths.len() > MAX_OBSERVED {
            tracing::warn!(listener, paths = paths.len(), "too many paths to observe, the last are left out");
            paths.truncate(MAX_OBSERVED);
        }
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(listener, paths);
    }

    /// Returns what is wanted, as it was given.
    pub(crate) fn wanted(&self) -> Vec<PathBuf> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }

    /// Says where that really is.
    pub(crate) fn really(&self, real: HashSet<PathBuf>) {
        *self.real.write().unwrap_or_else(PoisonError::into_inner) = real;
    }

    /// Holds up whoever asks whether a path outside the watched folders is one of them.
    #[cfg(test)]
    pub(crate) fn held(&self) -> std::sync::RwLockWriteGuard<'_, HashSet<PathBuf>> {
        self.real.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether a path is one of them, or below one.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        let real = self.real.read().unwrap_or_else(PoisonError::into_inner);
        !real.is_empty() && path.ancestors().any(|above| real.contains(above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_is_too_slow_is_told_since_when() {
        let mut activities = Activities::default();
        let mut heard = activities.listen();
        (0..QUEUE).for_each(|_| activities.tell(&activity(1)));

        activities.tell(&activity(2));
        activities.tell(&activity(3));

        assert_eq!(heard.next().await, Some(Notice::Blind(Timestamp::new(2, 0).unwrap())));
        assert_eq!(heard.missed(), 2);
        assert_eq!(heard.next().await, Some(Notice::Happened(activity(1))));
    }

    #[tokio::test]
    async fn a_listener_that_rests_and_is_called_off_hears_all_in_order_also_the_end() {
        let mut activities = Activities::default();
        let mut heard = activities.listen();
        activities.tell(&activity(1));
        assert_eq!(heard.next().await, Some(Notice::Happened(activity(1))));

        for second in 2..20 {
            let early = tokio::time::timeout(Duration::from_millis(1), heard.next()).await;
            assert!(early.is_err(), "{early:?}");
            activities.tell(&activity(second));
            assert_eq!(heard.next().await, Some(Notice::Happened(activity(second))));
        }
        drop(activities);
        assert_eq!(heard.next().await, None);
    }

    #[tokio::test]
    async fn blindness_wakes_a_listener_and_keeps_its_earliest_begin() {
        let mut activities = Activities::default();
        let mut heard = activities.listen();

        for second in [5, 4, 6] {
            activities.blind(Timestamp::new(second, 0).unwrap());
        }

        assert_eq!(heard.next().await, Some(Notice::Blind(Timestamp::new(4, 0).unwrap())));
        drop(activities);
        assert_eq!(heard.next().await, None);
    }

    #[test]
    fn what_is_observed_ends_between_names() {
        let observed = Observed::default();
        observed.really(["/etc/cron.d".into(), "/etc/passwd".into()].into());

        assert!(
            ["/etc/cron.d", "/etc/cron.d/a", "/etc/passwd"].iter().all(|p| observed.covers(Path::new(p)))
        );
        assert!(!["/etc/cron.daily", "/etc/passwd-", "/etc"].iter().any(|p| observed.covers(Path::new(p))));
    }

    fn activity(second: i64) -> Activity {
        Activity {
            path: "/srv/a".into(),
            change: Change::Written,
            folder: false,
            at: Timestamp::new(second, 0).unwrap(),
            process: None,
        }
    }
}
