//! The walk over everything that is watched, without haste: what was there before the agent was, what a new pack may
//! find, what no event told of.
//!
//! It goes at each start, with each new pack, after events were lost, and on schedule. A file that is as it was when it
//! was found clean costs a look at its inode and nothing more. Any other is scanned when nothing else waits, one at a
//! time, with rests between (see [`pace`](super::pace)). A walk that was cut off by the end of the agent is begun again
//! by the next start.

use std::{
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use khien_core::{Timestamp, asset::WalkProgress, event::FileEvent};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

use super::{
    gaps::Gaps,
    mapped,
    pace::{self, Pace},
    process::Who,
    sink::Sink,
    walk::{Found, Pick, Walked, walk},
    walker::{scope, stopped},
};
use crate::{
    health::Meter,
    scan::{
        clean::{Clean, Stamp},
        files::Calm,
    },
};

/// How often the thread looks whether it is to stop, or a new pack came.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked which files are mapped to be written to.
const MAPPED: Duration = Duration::from_secs(60);
/// How often the state of a walk is stated.
const STATE: Duration = Duration::from_secs(1);
/// How much the thread gives way to others.
const NICE: i32 = 10;

/// Asks for a walk.
#[derive(Debug, Default)]
pub(super) struct Survey {
    asked: Mutex<bool>,
    more: Condvar,
}

impl Survey {
    /// Asks for a walk, after the one that goes on.
    pub(super) fn ask(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.more.notify_one();
    }

    /// Waits a little, and tells whether a walk was asked for.
    pub(super) fn asked(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut asked, _) =
            self.more.wait_timeout_while(asked, LOOK, |a| !*a).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *asked)
    }
}

/// What the thread works with.
pub(super) struct Surveying {
    pub(super) survey: Arc<Survey>,
    pub(super) sink: Arc<Sink>,
    pub(super) calm: mpsc::Sender<Calm>,
    pub(super) clean: Arc<Clean>,
    pub(super) meter: Arc<Meter>,
    /// The version of the loaded pack; 0 is none.
    pub(super) pack: Arc<AtomicU64>,
    /// From one walk to the next.
    pub(super) every: Duration,
    pub(super) shutdown: watch::Receiver<bool>,
}

/// A walk that goes on.
struct OneWalk<'s> {
    with: &'s Surveying,
    progress: WalkProgress,
    stated: Instant,
    pace: Pace,
    /// Since when it works without a rest.
    working: Instant,
}

impl Surveying {
    /// Starts the thread. It ends after shutdown.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("watch-survey".to_owned()).spawn(move || self.run())
    }

    fn run(self) {
        // Not being allowed to give way is no reason not to walk.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        let (mut walked, mut next, mut files) = (0, Instant::now(), 0);
        let (mut unread, mut who) = (Gaps::new(Arc::clone(&self.meter)), Who::default());
        let mut mapped = Instant::now();
        while !stopped(&self.shutdown) {
            let asked = self.survey.asked();
            let pack = self.pack.load(Ordering::Relaxed);
            // Without rules there is nothing to look for.
            if pack > 0 && (asked || pack != walked || Instant::now() >= next) {
                files = self.walk(pack, files, &mut unread);
                (walked, next) = (pack, Instant::now() + with_jitter(self.every));
            }
            if pack > 0 && Instant::now() >= mapped {
                mapped::look(&self.sink, &mut who);
                mapped = Instant::now() + MAPPED;
            }
        }
    }

    /// Walks all folders, and returns how many files there are. It ends early when another pack is loaded.
    fn walk(&self, pack: u64, before: u64, gaps: &mut Gaps) -> u64 {
        let progress = WalkProgress { pack, ..WalkProgress::begun(Timestamp::now()) };
        let now = Instant::now();
        let mut walk = OneWalk { with: self, progress, stated: now, pace: Pace::default(), working: now };
        walk.state();
        walk.progress.of = if before > 0 { before } else { walk.count() };
        walk.state();
        self.clean.walk_begins();
        let mut walks = Vec::new();
        for folder in self.sink.watched() {
            let walked = walk.over(&folder, |walk, found| walk.look(&found));
            walk.progress.unread += walked.unread;
            walks.push(walked);
        }
        walk.progress.ended = Some(Timestamp::now());
        if walk.is_over() {
            return before;
        }
        gaps.unread(&walks);
        walk.progress.of = walk.progress.looked;
        walk.state();
        let all_met = walks.iter().all(|walked| !walked.cut && walked.unread == 0);
        let remembered = if all_met { self.clean.walk_ends() } else { 0 };
        let WalkProgress { looked, scanned, unread, .. } = walk.progress;
        info!(looked, scanned, unread, remembered, pack, "walked all folders");
        looked
    }
}

impl OneWalk<'_> {
    /// Counts the files, so that it can be said how far the walk is.
    fn count(&mut self) -> u64 {
        let mut files = 0;
        for folder in self.with.sink.watched() {
            self.over(&folder, |walk, _| {
                files += 1;
                walk.go_on()
            });
        }
        files
    }

    fn over(&mut self, folder: &Path, mut found: impl FnMut(&mut Self, Found) -> ControlFlow<()>) -> Walked {
        let with = self.with;
        walk(folder, Pick::All, |p| !with.sink.watches(p), |entry| found(self, entry))
    }

    /// Looks at one file, and has it scanned if it is not known as it is.
    fn look(&mut self, found: &Found) -> ControlFlow<()> {
        let stamp = match found.meta.is_symlink() {
            true => self.with.sink.followed(&found.path).map(|meta| Stamp::from(&meta)),
            false => Some(Stamp::from(&found.meta)),
        };
        self.progress.looked += 1;
        if found.meta.is_file() && found.meta.nlink() > 1 {
            self.with.sink.links.alias(&found.path, &found.meta);
        }
        if stamp.is_some_and(|stamp| !self.with.clean.knows(&stamp, self.progress.pack)) {
            self.progress.scanned += 1;
            self.scan(&found.path)?;
        }
        if self.stated.elapsed() >= STATE {
            self.state();
        }
        self.go_on()
    }

    /// Has a file scanned when nothing else waits, and waits for that.
    fn scan(&self, path: &Path) -> ControlFlow<()> {
        let (done, is_done) = oneshot::channel();
        let event = FileEvent { path: scope(path), at: Timestamp::now(), process: None };
        if self.with.calm.blocking_send(Calm { event, done }).is_err() {
            return ControlFlow::Break(());
        }
        // Dropped is done too.
        let _ = is_done.blocking_recv();
        ControlFlow::Continue(())
    }

    /// Rests if it worked for long, and tells whether to go on.
    fn go_on(&mut self) -> ControlFlow<()> {
        let worked = self.working.elapsed();
        let mut rest = self.pace.worked(worked, Instant::now(), pace::waited);
        while !rest.is_zero() && !self.is_over() {
            let now = rest.min(LOOK);
            thread::sleep(now);
            rest -= now;
        }
        self.working = Instant::now();
        if self.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn is_over(&self) -> bool {
        stopped(&self.with.shutdown) || self.with.pack.load(Ordering::Relaxed) != self.progress.pack
    }

    fn state(&mut self) {
        self.stated = Instant::now();
        // Files may come while it goes on.
        self.progress.of = self.progress.of.max(self.progress.looked);
        self.with.meter.walks(self.progress.clone());
    }
}

/// Agents that were started together do not walk together.
fn with_jitter(every: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness all walk at the same time, which is no harm to the walk.
    let _ = getrandom::fill(&mut byte);
    every.mul_f64(0.9 + 0.2 * f64::from(byte[0]) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_varies_by_a_tenth() {
        let hour = Duration::from_secs(3_600);

        for _ in 0..100 {
            let next = with_jitter(hour);
            assert!(next >= hour * 9 / 10 && next <= hour * 11 / 10, "{next:?}");
        }
    }
}
