//! The thread that looks: batches of frames in, what was seen in them out. It takes hostile bytes apart, so it has no
//! privilege and waits for nobody: what finds no room behind it is shed and counted.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp, Untrusted,
    asset::{Sensor, Sight},
    detection::{Detection, Subject},
    protocol::Report,
    time::{self, SignedDuration},
};
use khien_traffic::sink::{Content, Job};
use tokio::sync::mpsc::{
    self,
    error::{SendError, TrySendError},
};
use tracing::{debug, error, warn};

use super::{
    batch::Batch,
    coverage,
    eyes::Eyes,
    fall::{self, Fall, Falls},
    loss::Cause,
    privilege,
};
use crate::health::Meter;

/// How many times what was seen may wait for the task behind.
pub(super) const QUEUE: usize = 64;
/// Pieces of streams that wait for a scan, and their bytes; of files as many. More is shed.
const MAX_WAITING: usize = 512;
const MAX_WAITING_BYTES: usize = 16 << 20;
/// Findings that are handed over at once. [`QUEUE`] times as many may wait for the task behind.
const MAX_AT_ONCE: usize = 512;
/// Findings that wait for room there; later ones are shed and told. Each takes some kilobytes.
const MAX_HELD: usize = 4_096;
/// How often it looks at its clocks when nothing comes.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// It never sleeps less, so that a clock that runs backwards cannot keep it busy.
const SHORTEST: Duration = Duration::from_millis(1);
/// How soon it is seen during a rest that the agent stops.
const BEAT: Duration = Duration::from_millis(200);

/// What was seen since the last time.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What is an alert by itself.
    pub(super) findings: Vec<Detection>,
    /// What is to be scanned with the rules for streams.
    pub(super) jobs: Vec<Job>,
    /// What is to be scanned as a file.
    pub(super) contents: Vec<Content>,
    /// What was lost, where, and why.
    pub(super) lost: Vec<(Untrusted, Cause, u64)>,
    /// What the detectors learnt, to be kept for the next start.
    pub(super) learnt: Option<Vec<u8>>,
    /// That looking failed.
    pub(super) reports: Vec<Report>,
}

/// How much waits for a scan. Files have room of their own: however many are carried, there is some for pieces in which a rule
/// may match, and the other way round.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    streams: Room,
    files: Room,
}

/// The room of one kind.
#[derive(Debug, Default)]
pub(super) struct Room {
    pieces: AtomicUsize,
    bytes: AtomicUsize,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Looker {
    /// What sees.
    pub(super) eyes: Eyes,
    /// How much waits for a scan.
    pub(super) waiting: Arc<Waiting>,
    /// Where what was seen goes.
    pub(super) out: mpsc::Sender<Seen>,
    /// What found no room yet.
    pub(super) held: Seen,
    /// Where it is stated that nobody looks.
    pub(super) meter: Arc<Meter>,
}

impl Seen {
    fn is_empty(&self) -> bool {
        let Self { findings, jobs, contents, lost, learnt, reports } = self;
        let is_empty = findings.is_empty() && jobs.is_empty() && contents.is_empty();
        is_empty && lost.is_empty() && learnt.is_none() && reports.is_empty()
    }

    /// Takes out what is handed over at once.
    fn part(&mut self) -> Self {
        let rest = self.findings.split_off(MAX_AT_ONCE.min(self.findings.len()));
        let rest = Self { findings: rest, ..Self::default() };
        let mut part = std::mem::replace(self, rest);
        part.add_up_losses();
        part
    }

    /// Sheds what must not wait without end, and counts it: nothing that was found goes by untold.
    fn bound(&mut self) {
        for finding in self.findings.drain(MAX_HELD.min(self.findings.len())..) {
            self.lost.push((interface(&finding), Cause::Busy, 1));
        }
        self.reports.truncate(MAX_HELD);
        self.add_up_losses();
    }

    fn add_up_losses(&mut self) {
        self.lost.sort_unstable();
        self.lost.dedup_by(|(scope, cause, count), (into_scope, into_cause, into)| {
            let is_same = scope == into_scope && cause == into_cause;
            *into += if is_same { *count } else { 0 };
            is_same
        });
    }
}

impl Waiting {
    /// Returns the room of files, or of pieces of streams.
    pub(super) fn room(&self, is_file: bool) -> &Room {
        if is_file { &self.files } else { &self.streams }
    }

    /// Tells whether nothing waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let counts = [&self.streams, &self.files].map(|room| [&room.pieces, &room.bytes]);
        counts.as_flattened().iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }
}

impl Room {
    /// Takes room for something to scan if there is any.
    pub(super) fn enter(&self, bytes: usize) -> bool {
        let is_full = self.pieces.load(Ordering::Relaxed) >= MAX_WAITING
            || self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > MAX_WAITING_BYTES;
        if !is_full {
            self.pieces.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        !is_full
    }

    /// Gives it back.
    pub(super) fn leave(&self, bytes: usize) {
        self.pieces.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Looker {
    /// Starts the thread. It ends when every capture thread has, or when nobody takes what it sees.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(self, batches: Receiver<Batch>) -> std::io::Result<JoinHandle<()>> {
        thread::Builder::new().name("traffic".to_owned()).spawn(move || self.run(&batches))
    }

    fn run(mut self, batches: &Receiver<Batch>) {
        privilege::keep_none();
        let (mut falls, mut last) = (Falls::default(), None);
        // No packet may end it. Beginning anew is done with the same care.
        while let Err(why) =
            panic::catch_unwind(AssertUnwindSafe(|| self.work(batches, last.map(|f: Fall| f.is_again))))
        {
            last = Some(self.fell(&*why, &mut falls));
        }
    }

    /// Looks until nothing more comes or nobody takes it; first it begins anew, if it fell before, and fell before that.
    fn work(&mut self, batches: &Receiver<Batch>, fell: Option<bool>) {
        if let Some(is_again) = fell {
            self.eyes.begin_anew(is_again, &mut self.held);
        }
        loop {
            match batches.recv_timeout(self.pause()) {
                Ok(batch) => self.look(&batch),
                Err(RecvTimeoutError::Timeout) => self.eyes.tick(Timestamp::now()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.hand_over() {
                return;
            }
        }
        self.eyes.finish();
        self.see();
        while !self.held.is_empty() {
            // The last words wait for room: nothing comes after them.
            if let Err(SendError(seen)) = self.out.blocking_send(self.held.part()) {
                let findings = seen.findings.len() + self.held.findings.len();
                warn!(findings, "nobody takes any more what was found last");
                return;
            }
        }
        debug!("nothing is left to look at");
    }

    /// Tells that it failed, over what, and rests if that was not the first time.
    fn fell(&mut self, why: &(dyn Any + Send), falls: &mut Falls) -> Fall {
        let (fall, from) = (falls.add(Instant::now()), Timestamp::now());
        let cause = fall::reason(why, fall.rest);
        error!(why = %cause, "looking at packets failed and begins anew");
        let until = time::after(from, SignedDuration::try_from(fall.rest).unwrap_or_default());
        let stated = coverage(fall::SCOPE, Sight::Blind, Some(cause.clone()));
        let scope = stated.scope.clone();
        self.held.reports.push(Report::Blind { scope: scope.clone(), cause, from, until, lost: None });
        self.send();
        if !fall.rest.is_zero() {
            self.eyes.sight(false);
            self.meter.cover(stated);
            self.rest(fall.rest);
            self.meter.uncover(Sensor::Network, &scope);
            self.eyes.sight(true);
        }
        fall
    }

    /// Does nothing for so long, or until nobody takes what it sees. What comes stays in the rings, where the kernel counts.
    fn rest(&self, long: Duration) {
        let until = Instant::now() + long;
        while Instant::now() < until && !self.out.is_closed() {
            thread::sleep(BEAT.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Looks at a batch. Time is that of its frames: what waited is not late.
    fn look(&mut self, batch: &Batch) {
        let mut last = None;
        self.eyes.renew();
        for frame in batch.frames() {
            self.eyes.take(batch, &frame);
            last = Some(frame.at);
        }
        self.eyes.count(batch.interface);
        if let Some(last) = last {
            self.eyes.tick(last);
        }
    }

    fn pause(&self) -> Duration {
        self.eyes.rest(Timestamp::now()).unwrap_or(IDLE_TICK).clamp(SHORTEST, IDLE_TICK)
    }

    /// Hands over what was seen, as far as there is room; `false` if nobody takes it any more.
    fn hand_over(&mut self) -> bool {
        self.see();
        self.send()
    }

    /// Hands over what is held, as far as there is room; `false` if nobody takes it any more.
    fn send(&mut self) -> bool {
        while !self.held.is_empty() {
            match self.out.try_reserve() {
                Ok(room) => room.send(self.held.part()),
                Err(TrySendError::Full(())) => {
                    self.held.bound();
                    return true;
                }
                Err(TrySendError::Closed(())) => return false,
            }
        }
        true
    }

    /// Takes what was seen since the last time.
    fn see(&mut self) {
        // If that fails what is held stays as it is: all of it was let in.
        let mut seen = Seen::default();
        self.eyes.drain(&mut seen);
        self.admit(seen);
    }

    /// Takes over what was seen; what is to be scanned is let in as long as there is room.
    fn admit(&mut self, seen: Seen) {
        let held = &mut self.held;
        held.findings.extend(seen.findings);
        held.lost.extend(seen.lost);
        held.learnt = seen.learnt.or(held.learnt.take());
        for job in seen.jobs {
            match self.waiting.room(false).enter(job.bytes.len()) {
                true => held.jobs.push(job),
                false => held.lost.push((job.facts.interface, Cause::Busy, 1)),
            }
        }
        for content in seen.contents {
            match self.waiting.room(true).enter(content.bytes.len()) {
                true => held.contents.push(content),
                false => held.lost.push((content.facts.interface, Cause::Busy, 1)),
            }
        }
    }
}

/// Returns the interface on which something was found, as far as it is of one.
pub(super) fn interface(found: &Detection) -> Untrusted {
    match &found.subject {
        Subject::Flow(subject) => subject.flow.interface.clone(),
        Subject::Traffic(subject) => subject.flows.first().map(|f| f.interface.clone()).unwrap_or_default(),
        _ => Untrusted::default(),
    }
}

#[cfg(test)]
mod tests;
