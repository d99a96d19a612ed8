//! The walk over everything that is watched, without haste: what was there before the agent was, what a new pack may
//! find, what no event told of.
//!
//! It goes at each start, with each new pack, after events were lost, when file times are doubted, and on schedule. A
//! file that is as it was when it was found clean costs a look at its inode and nothing more, but for those whose turn it is to be read again. These and
//! any other are scanned when nothing else waits, one at a time, with rests between (see [`pace`](super::pace)). A walk
//! that was cut off by the end of the agent is begun again by the next start.

use std::{
    fs::Metadata,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use khien_core::{
    Timestamp,
    asset::{ReadAgain, WalkProgress},
    event::FileEvent,
    time::SignedDuration,
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::{
    gaps::Gaps,
    pace::{self, Pace},
    sink::{LATE, Sink},
    walk::{Found, Met, Pick, Walked, changed, walk},
    walker::{scope, stopped},
};
use crate::{
    activity::Change,
    health::Meter,
    scan::{
        clean::{Clean, Content, Knowledge, Stamp},
        doubt::Clocks,
        files::{Calm, Ended, Link},
    },
};

/// How often the thread looks whether it is to stop, or a new pack came.
const LOOK: Duration = Duration::from_millis(250);
/// How often the state of a walk is stated.
const STATE: Duration = Duration::from_secs(1);

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
    again: ReadAgain,
    /// How long it took to read files again.
    spent: Duration,
}

impl Surveying {
    /// Starts the thread. It ends after shutdown.
    pub(super) fn start(self) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("watch-survey".to_owned()).spawn(move || self.run())
    }

    fn run(self) {
        pace::give_way();
        let (mut walked, mut next, mut files) = (0, Instant::now(), 0);
        let mut unread = Gaps::new(Arc::clone(&self.meter));
        let mut clocks = Clocks::new(SystemTime::now(), Instant::now());
        while !stopped(&self.shutdown) {
            let asked = self.survey.asked();
            if clocks.were_set_back(SystemTime::now(), Instant::now()) {
                warn!("the clock was set back: file times are not trusted, every file is scanned again");
                self.clean.forget_all();
            }
            let pack = self.pack.load(Ordering::Relaxed);
            // Without rules there is nothing to look for.
            let asked = asked || self.clean.was_forgotten();
            if pack > 0 && (asked || pack != walked || Instant::now() >= next) {
                files = self.walk(pack, files, &mut unread);
                (walked, next) = (pack, Instant::now() + with_jitter(self.every));
            }
        }
    }

    /// Walks all folders, and returns how many files there are. It ends early when another pack is loaded.
    fn walk(&self, pack: u64, before: u64, gaps: &mut Gaps) -> u64 {
        let progress = WalkProgress { pack, ..WalkProgress::begun(Timestamp::now()) };
        let now = Instant::now();
        let again = ReadAgain { walks: self.clean.walk_begins(), files: 0, altered: 0 };
        let (pace, spent) = (Pace::default(), Duration::ZERO);
        let mut walk = OneWalk { with: self, progress, stated: now, pace, working: now, again, spent };
        walk.state();
        walk.progress.of = if before > 0 { before } else { walk.count() };
        walk.state();
        self.sink.told.walk_begins(Timestamp::now(), late(self.every));
        let mut walks = Vec::new();
        for folder in self.sink.watched() {
            let walked = walk.over(&folder, |walk, met| match met {
                Met::File(found) => walk.look(&found),
                Met::Other => walk.go_on(),
            });
            walk.progress.unread += walked.unread;
            walks.push(walked);
        }
        walk.progress.ended = Some(Timestamp::now());
        if walk.is_over() {
            return before;
        }
        self.sink.told.walk_ends();
        self.clean.read_again_for(walk.spent);
        gaps.unread(&walks);
        walk.progress.of = walk.progress.looked;
        walk.state();
        let all_met = walks.iter().all(|walked| !walked.cut && walked.unread == 0);
        let remembered = if all_met { self.clean.walk_ends() } else { 0 };
        let WalkProgress { looked, scanned, unread, .. } = walk.progress;
        let ReadAgain { walks, files, altered } = walk.again;
        info!(
            looked,
            scanned,
            unread,
            remembered,
            pack,
            walks,
            read_again = files,
            altered,
            "walked all folders"
        );
        looked
    }
}

impl OneWalk<'_> {
    /// Counts the files, so that it can be said how far the walk is.
    fn count(&mut self) -> u64 {
        let mut files = 0;
        for folder in self.with.sink.watched() {
            self.over(&folder, |walk, met| {
                files += u64::from(matches!(met, Met::File(_)));
                walk.go_on()
            });
        }
        files
    }

    fn over(&mut self, folder: &Path, mut met: impl FnMut(&mut Self, Met) -> ControlFlow<()>) -> Walked {
        let with = self.with;
        walk(folder, Pick::All, |p| !with.sink.watches(p), |entry| met(self, entry))
    }

    /// Looks at one file, and has it scanned if it is not known as it is.
    fn look(&mut self, found: &Found) -> ControlFlow<()> {
        let stamp = match found.meta.is_symlink() {
            true => self.with.sink.followed(&found.path).map(|meta| Stamp::from(&meta)),
            false => Some(Stamp::from(&found.meta)),
        };
        self.progress.looked += 1;
        self.tell(found);
        if found.meta.is_file() && found.meta.nlink() > 1 {
            self.with.sink.links.alias(&found.path, &found.meta);
        }
        match stamp.map_or(Knowledge::Known, |stamp| self.with.clean.meets(&stamp, self.progress.pack)) {
            Knowledge::Known => {}
            Knowledge::New => {
                self.scan(&found.path)?;
            }
            Knowledge::Again(before) => self.read_again(&found.path, (stamp, before))?,
        }
        self.go_on()
    }

    /// Tells of a file that was written to without an event. Where it has several names a change of the inode is not
    /// enough: it may have been told under another one.
    fn tell(&self, found: &Found) {
        let (meta, sink) = (&found.meta, &self.with.sink);
        let is_news = |at| sink.told.is_news(&found.path, at);
        let is_file = meta.is_file() && (meta.nlink() == 1 || is_news(modified(meta)));
        if is_file && is_news(changed(meta)) {
            sink.tell(&found.path, vec![Change::Written], false, None);
        }
    }

    /// Has a file scanned that is as it was, and tells of it if it holds something else.
    fn read_again(&mut self, path: &Path, (stamp, before): (Option<Stamp>, Content)) -> ControlFlow<()> {
        let Some(ended) = self.scan(path)? else { return ControlFlow::Continue(()) };
        self.again.files += 1;
        self.spent += ended.took;
        // It may have been written to since the walk met it, like any other.
        let is_as_it_was = || path.metadata().is_ok_and(|now| Some(Stamp::from(&now)) == stamp);
        if ended.content.is_some_and(|now| now != before) && is_as_it_was() {
            self.again.altered += 1;
            warn!(path = %scope(path), "a file holds something else under the same size, times and inode");
            self.with.sink.tell(path, vec![Change::Written], false, None);
        }
        ControlFlow::Continue(())
    }

    /// Has a file scanned when nothing else waits, and waits for that. None: nobody looked at it.
    fn scan(&mut self, path: &Path) -> ControlFlow<(), Option<Ended>> {
        self.progress.scanned += 1;
        let (done, is_done) = oneshot::channel();
        let event = FileEvent { path: scope(path), at: Timestamp::now(), process: None };
        if self.with.calm.blocking_send(Calm { event, link: Link::Behind, done }).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(is_done.blocking_recv().ok())
    }

    /// States how far it is now and then, rests if it worked for long, and tells whether to go on.
    fn go_on(&mut self) -> ControlFlow<()> {
        if self.stated.elapsed() >= STATE {
            self.state();
        }
        let worked = self.working.elapsed();
        let mut rest = self.pace.worked(worked, self.with.meter.percent_while_busy());
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
        self.progress.estimate(Timestamp::now());
        self.progress.again = Some(self.again);
        self.with.meter.walks(self.progress.clone());
    }
}

/// How long an event may be on its way. Where walks follow each other closely, the next one is soon.
fn late(every: Duration) -> SignedDuration {
    LATE.min(SignedDuration::try_from(every.saturating_mul(100)).unwrap_or(LATE))
}

fn modified(meta: &Metadata) -> Timestamp {
    let nanos = i32::try_from(meta.mtime_nsec()).unwrap_or(0);
    Timestamp::new(meta.mtime(), nanos).unwrap_or(Timestamp::MAX)
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
