//! The thread that walks trees: ones that were moved in, and all of them after a time of blindness.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use khien_core::{Timestamp, Untrusted, protocol::Report, reason::Reason, time::SignedDuration};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::{
    sink::{Left, Sink},
    survey::Survey,
    walk::{Met, Pick, Walked, walk},
};

/// Trees that wait to be walked; with more, everything is walked.
const MAX_TREES: usize = 1_024;
/// How often the thread looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(250);
/// The shortest pause between two walks of everything: whoever can make events get lost must not keep us walking.
const REST: Duration = Duration::from_secs(5);
/// The longest pause, after walks that were asked for by nothing but folders that cannot be opened: a walk cannot open
/// them either, and whoever writes there must not keep us walking.
const LONGEST_REST: Duration = Duration::from_secs(600);
/// File times lag behind the clock by up to a tick; this is far more.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// Prepares a tree before it is walked, so that nothing made meanwhile is missed.
type Prepare = Box<dyn Fn(&Path) + Send>;

/// The work of the walking thread.
#[derive(Debug, Default)]
pub(super) struct Walker {
    work: Mutex<Work>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    trees: VecDeque<(PathBuf, Pick)>,
    blind: Option<Blind>,
    /// When everything was last begun to be walked, and how long to rest if only folders that cannot be opened ask.
    walked: Option<(Instant, Duration)>,
}

impl Work {
    fn rests(&self) -> bool {
        let Some((at, rest)) = self.walked else { return false };
        let only_unopened = self.blind.as_ref().is_some_and(Blind::is_unopened);
        at.elapsed() < if only_unopened { rest } else { REST }
    }

    /// A walk over everything begins.
    fn walks(&mut self, blind: &Blind) {
        let rest = match self.walked {
            Some((_, rest)) if blind.is_unopened() => LONGEST_REST.min(rest * 2),
            _ => REST,
        };
        self.walked = Some((Instant::now(), rest));
    }
}

#[derive(Debug)]
struct Blind {
    from: Timestamp,
    cause: Reason,
    /// Whether those who listen to what happens missed it too.
    unheard: bool,
}

impl Blind {
    /// Makes one of two; of the causes the one that weighs more is told.
    fn and(self, later: Self) -> Self {
        let (from, unheard) = (self.from.min(later.from), self.unheard || later.unheard);
        let cause = match (self.cause, later.cause) {
            (Reason::ScansBehind { count }, Reason::ScansBehind { count: more }) => {
                Reason::ScansBehind { count: count.saturating_add(more) }
            }
            (before, now) if weight(&now) < weight(&before) => before,
            (_, now) => now,
        };
        Self { from, cause, unheard }
    }

    fn is_unopened(&self) -> bool {
        self.cause == Reason::ChangedFolderNotOpened
    }
}

/// What cannot be opened can wait; what was only not passed on is known to be there.
fn weight(cause: &Reason) -> u8 {
    match cause {
        Reason::ChangedFolderNotOpened => 0,
        Reason::ScansBehind { .. } => 1,
        _ => 2,
    }
}

enum Task {
    Tree(PathBuf, Pick),
    Everything(Blind),
    Nothing,
}

impl Walker {
    /// Asks for all files of a tree.
    pub(super) fn tree(&self, path: PathBuf) {
        self.ask(path, Pick::All);
    }

    /// Asks for the files of a tree that changed since.
    pub(super) fn changed_since(&self, path: PathBuf, since: Timestamp) {
        self.ask(path, Pick::ChangedSince(earlier(since)));
    }

    fn ask(&self, path: PathBuf, pick: Pick) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.trees.len() >= MAX_TREES {
            drop(work);
            return self.blind(Timestamp::now(), Reason::TooManyMoved);
        }
        if work.trees.iter().all(|(waiting, _)| *waiting != path) {
            work.trees.push_back((path, pick));
        }
        self.more.notify_one();
    }

    /// Says that events were lost from this time on: everything that changed since is looked at, then it is reported.
    pub(super) fn blind(&self, from: Timestamp, cause: Reason) {
        self.look_again(Blind { from, cause, unheard: true });
    }

    /// Says that changes found no room among those that wait for a scan: the same, but who listens heard of them.
    pub(super) fn left(&self, left: Left) {
        let cause = Reason::ScansBehind { count: left.count };
        self.look_again(Blind { from: left.since, cause, unheard: false });
    }

    fn look_again(&self, now: Blind) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        work.blind = Some(match work.blind.take() {
            Some(before) => before.and(now),
            None => now,
        });
        self.more.notify_one();
    }

    /// Waits a little for work.
    fn next(&self) -> Task {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |work: &mut Work| work.trees.is_empty() && (work.blind.is_none() || work.rests());
        let (mut work, _) =
            self.more.wait_timeout_while(work, LOOK, idle).unwrap_or_else(PoisonError::into_inner);
        if let Some((path, pick)) = work.trees.pop_front() {
            return Task::Tree(path, pick);
        }
        let rests = work.rests();
        match work.blind.take_if(|_| !rests) {
            Some(blind) => {
                work.walks(&blind);
                Task::Everything(blind)
            }
            None => Task::Nothing,
        }
    }
}

/// What the thread works with.
pub(super) struct Walking {
    pub(super) walker: Arc<Walker>,
    pub(super) sink: Arc<Sink>,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) shutdown: watch::Receiver<bool>,
    pub(super) prepare: Prepare,
    /// What looks again at everything after events were lost, without haste.
    pub(super) survey: Arc<Survey>,
}

impl Walking {
    /// Starts the thread. It ends after shutdown.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("watch-walk".to_owned()).spawn(move || self.run())
    }

    fn run(self) {
        while !stopped(&self.shutdown) {
            match self.walker.next() {
                Task::Tree(path, pick) => drop(self.walk(&path, pick)),
                Task::Everything(blind) => self.everything(&blind),
                Task::Nothing => {}
            }
        }
    }

    fn everything(&self, blind: &Blind) {
        warn!(from = %blind.from, cause = %blind.cause, "file events were lost, walking all folders");
        if blind.unheard {
            self.sink.blind(blind.from);
        }
        for folder in self.sink.watched() {
            let walked = self.walk(&folder, Pick::ChangedSince(earlier(blind.from)));
            if stopped(&self.shutdown) {
                return;
            }
            let report = Report::Blind {
                scope: scope(&folder),
                cause: cause(blind.cause.clone(), &walked),
                from: blind.from,
                until: Timestamp::now(),
                lost: None,
            };
            // The receiver is gone only when the agent stops.
            let _ = self.reports.blocking_send(report);
        }
        // What changed while the clock stood wrong is found by comparing.
        self.survey.ask();
    }

    fn walk(&self, path: &Path, pick: Pick) -> Walked {
        (self.prepare)(path);
        let mut files = 0u64;
        let walked = walk(
            path,
            pick,
            |p| !self.sink.watches(p),
            |met| {
                let is_heard = match met {
                    Met::File(found) => {
                        files += 1;
                        self.sink.found(&found.path, &found.meta)
                    }
                    Met::Other => true,
                };
                match is_heard && !stopped(&self.shutdown) {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            },
        );
        info!(path = %scope(path), files, unread = walked.unread, cut = walked.cut, "walked a tree");
        if walked.unread > 0 {
            // The walk over everything states which folders cannot be read.
            self.survey.ask();
        }
        walked
    }
}

fn cause(because: Reason, walked: &Walked) -> Reason {
    match walked {
        Walked { unread: 0, cut: false, .. } => because,
        _ => Reason::NotAllLookedAtAgain { because: Box::new(because) },
    }
}

/// Tells whether the agent stops.
pub(super) fn stopped(shutdown: &watch::Receiver<bool>) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

/// Shows a path as the scope of a report.
pub(super) fn scope(path: &Path) -> Untrusted {
    use std::os::unix::ffi::OsStrExt;
    Untrusted::new(path.as_os_str().as_bytes())
}

fn earlier(at: Timestamp) -> Timestamp {
    at.saturating_sub(SLACK).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_walks_over_everything_is_a_rest() {
        let walker = Walker::default();
        walker.blind(Timestamp::now(), Reason::ChangedFolderNotOpened);
        assert!(matches!(walker.next(), Task::Everything(_)));

        // Whoever makes events get lost again and again, by a path that is too long, does not keep us walking.
        walker.blind(Timestamp::now(), Reason::ChangedFolderNotOpened);

        assert!(matches!(walker.next(), Task::Nothing));
        assert!(walker.work.lock().unwrap().blind.is_some(), "it is walked after the rest");
    }

    #[test]
    fn folders_that_cannot_be_opened_ask_for_fewer_and_fewer_walks_and_hold_back_no_other() {
        let mut work = Work::default();
        let unopened = blind(Reason::ChangedFolderNotOpened);
        let rests = std::iter::repeat_with(|| {
            work.walks(&unopened);
            work.walked.unwrap().1
        });
        let rests: Vec<Duration> = rests.take(9).collect();
        assert_eq!((rests[0], rests[1], rests[8]), (REST, REST * 2, LONGEST_REST));

        let walker = Walker { work: Mutex::new(work), more: Condvar::new() };
        walker.work.lock().unwrap().walked = Instant::now().checked_sub(REST).map(|at| (at, LONGEST_REST));
        walker.blind(Timestamp::now(), Reason::ChangedFolderNotOpened);
        assert!(matches!(walker.next(), Task::Nothing));
        walker.blind(Timestamp::now(), Reason::EventQueueFull);
        walker.blind(Timestamp::now(), Reason::ChangedFolderNotOpened);

        assert!(matches!(walker.next(), Task::Everything(Blind { cause: Reason::EventQueueFull, .. })));
    }

    #[test]
    fn what_found_no_room_is_counted_in_one_and_hides_no_worse_loss() {
        let behind = |count| blind(Reason::ScansBehind { count });
        let heard = |count| Blind { unheard: false, ..behind(count) };

        let both = heard(2).and(heard(3));
        assert_eq!((&both.cause, both.unheard), (&Reason::ScansBehind { count: 5 }, false));
        let lost = both.and(blind(Reason::EventQueueFull)).and(heard(1));
        assert_eq!((&lost.cause, lost.unheard), (&Reason::EventQueueFull, true));
        let unopened = heard(2).and(blind(Reason::ChangedFolderNotOpened));
        assert_eq!((&unopened.cause, unopened.unheard), (&Reason::ScansBehind { count: 2 }, true));
    }

    #[test]
    fn a_tree_that_was_moved_in_does_not_wait_for_the_rest() {
        let walker = Walker::default();
        walker.blind(Timestamp::now(), Reason::EventQueueFull);
        assert!(matches!(walker.next(), Task::Everything(_)));

        walker.tree("/a".into());

        assert!(matches!(walker.next(), Task::Tree(..)));
    }

    #[test]
    fn after_events_were_lost_everything_is_compared_too() {
        let (tree, survey) = (tempfile::tempdir().unwrap(), Arc::new(Survey::default()));
        let (events, _events) = mpsc::channel(8);
        let (reports, mut told) = mpsc::channel(8);
        let (_stop, shutdown) = watch::channel(false);
        let sink = Arc::new(Sink::new(events, Vec::new(), Arc::default()));
        sink.watch(vec![tree.path().to_owned()]);
        let (walker, survey_too, prepare) = (Arc::default(), Arc::clone(&survey), Box::new(|_: &Path| ()));
        let walking = Walking { walker, sink, reports, shutdown, prepare, survey: survey_too };

        walking.everything(&blind(Reason::EventQueueFull));

        assert!(matches!(told.try_recv(), Ok(Report::Blind { .. })));
        assert!(survey.asked());
    }

    #[test]
    fn what_could_not_be_read_again_is_part_of_the_report() {
        let unread = Walked { unread: 1, ..Walked::default() };

        assert_eq!(cause(Reason::EventQueueFull, &Walked::default()), Reason::EventQueueFull);
        assert!(matches!(cause(Reason::EventQueueFull, &unread), Reason::NotAllLookedAtAgain { .. }));
    }

    fn blind(cause: Reason) -> Blind {
        Blind { from: Timestamp::now(), cause, unheard: true }
    }
}
