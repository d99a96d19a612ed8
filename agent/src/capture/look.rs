//! The thread that looks: batches of frames in, what was seen in them out. It takes hostile bytes apart, so it has no
//! privilege and waits for nobody: what finds no room behind it is shed and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use khien_core::{
    Timestamp, Untrusted,
    detection::{Detection, Subject},
};
use khien_traffic::sink::{Content, Job};
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::debug;

use super::{batch::Batch, eyes::Eyes, loss::Cause, privilege};

/// How many times what was seen may wait for the task behind.
pub(super) const QUEUE: usize = 64;
/// Pieces and files that wait for a scan, and their bytes; more is shed.
const MAX_WAITING: usize = 1_024;
const MAX_WAITING_BYTES: usize = 32 << 20;
/// Findings that are handed over at once or wait for room; later ones are shed. [`QUEUE`] times as many may wait.
const MAX_HELD: usize = 512;
/// How often it looks at its clocks when nothing comes.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// It never sleeps less, so that a clock that runs backwards cannot keep it busy.
const SHORTEST: Duration = Duration::from_millis(1);

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
}

/// How much waits for a scan.
#[derive(Debug, Default)]
pub(super) struct Waiting {
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
}

impl Seen {
    fn is_empty(&self) -> bool {
        let Self { findings, jobs, contents, lost, learnt } = self;
        let is_empty = findings.is_empty() && jobs.is_empty() && contents.is_empty();
        is_empty && lost.is_empty() && learnt.is_none()
    }

    /// Sheds what must not wait without end, and counts it.
    fn bound(&mut self) {
        for finding in self.findings.drain(MAX_HELD.min(self.findings.len())..) {
            self.lost.push((interface(&finding), Cause::Busy, 1));
        }
        self.lost.sort_unstable();
        self.lost.dedup_by(|(scope, cause, count), (into_scope, into_cause, into)| {
            let is_same = scope == into_scope && cause == into_cause;
            *into += if is_same { *count } else { 0 };
            is_same
        });
    }
}

impl Waiting {
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

    /// Tells whether nothing waits.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        [&self.pieces, &self.bytes].iter().all(|count| count.load(Ordering::Relaxed) == 0)
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
        if self.hand_over() && !self.held.is_empty() {
            // The last words wait for room: nothing comes after them.
            let _ = self.out.blocking_send(self.held);
        }
        debug!("nothing is left to look at");
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
        let from = (self.held.jobs.len(), self.held.contents.len());
        self.eyes.drain(&mut self.held);
        self.admit(from);
        if self.held.is_empty() {
            return true;
        }
        self.held.bound();
        match self.out.try_send(std::mem::take(&mut self.held)) {
            Ok(()) => true,
            Err(TrySendError::Full(seen)) => {
                self.held = seen;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// Lets in what is to be scanned as long as there is room; the first ones of both were let in before.
    fn admit(&mut self, (jobs, contents): (usize, usize)) {
        let Seen { jobs: all_jobs, contents: all_contents, lost, .. } = &mut self.held;
        for job in all_jobs.split_off(jobs) {
            match self.waiting.enter(job.bytes.len()) {
                true => all_jobs.push(job),
                false => lost.push((job.facts.interface, Cause::Busy, 1)),
            }
        }
        for content in all_contents.split_off(contents) {
            match self.waiting.enter(content.bytes.len()) {
                true => all_contents.push(content),
                false => lost.push((content.facts.interface, Cause::Busy, 1)),
            }
        }
    }
}

/// Returns the interface on which something was found, as far as it is of one.
fn interface(found: &Detection) -> Untrusted {
    match &found.subject {
        Subject::Flow(subject) => subject.flow.interface.clone(),
        Subject::Traffic(subject) => subject.flows.first().map(|f| f.interface.clone()).unwrap_or_default(),
        _ => Untrusted::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use khien_core::policy::Policy;
    use khien_traffic::decode::Link;
    use tokio::sync::watch;

    use super::*;
    use crate::capture::{Links, NetConfig, batch, ring, tally::Tally};

    /// A datagram of 10.77.2.2 to 203.0.113.80.
    const FRAME: [u8; 30] = [
        0x45, 0x00, 0x00, 0x1e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xf2, 0x2f, 0x0a, 0x4d, 0x02, 0x02, 0xcb,
        0x00, 0x71, 0x50, 0x80, 0x00, 0x27, 0x0f, 0x00, 0x0a, 0x00, 0x00, b'h', b'i',
    ];
    const POLICY: &str =
        r#"{"network": {"zones": [{"name": "camera", "networks": ["10.77.2.2"], "only": []}]}}"#;

    #[test]
    fn what_comes_after_a_pack_was_loaded_is_judged_by_it() {
        let (load, mut looker, mut seen) = looker();
        let (inlets, _batches) = batch::lanes(1);

        load.send_replace(Some(cameras()));
        looker.look(&filled(&inlets[0]));

        // A finding waits a moment to hear whose flow it is.
        let begun = Instant::now();
        let found = loop {
            assert!(looker.hand_over() && begun.elapsed() < Duration::from_secs(20), "nothing is found");
            match seen.try_recv() {
                Ok(seen) if !seen.findings.is_empty() => break seen.findings,
                _ => thread::yield_now(),
            }
        };
        assert_eq!(found[0].rule.to_string(), "khien.net.not_allowed");
    }

    #[test]
    fn what_is_found_at_the_very_end_is_handed_over_though_there_is_no_room_yet() {
        let (load, looker, mut seen) = looker();
        let (inlets, batches) = batch::lanes(1);
        load.send_replace(Some(cameras()));
        for _ in 0..QUEUE {
            looker.out.try_send(Seen::default()).unwrap();
        }
        assert!(inlets[0].send(filled(&inlets[0])));
        drop(inlets);

        let thread = looker.start(batches).unwrap();

        let mut found = Vec::new();
        while let Some(seen) = seen.blocking_recv() {
            found.extend(seen.findings);
        }
        thread.join().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rule.to_string(), "khien.net.not_allowed");
    }

    #[test]
    fn what_is_not_certain_is_counted_for_the_interface_of_its_batch() {
        let (_load, mut looker, _seen) = looker();
        let tallies = [Arc::<Tally>::default(), Arc::default()];
        looker.eyes = looker.eyes.counting(tallies.to_vec());
        let (inlets, _batches) = batch::lanes(1);
        let mut batch = filled(&inlets[0]);
        // An interface that the engine does not have: what comes from there is malformed.
        batch.interface = 1;

        looker.look(&batch);
        assert!(looker.hand_over());

        assert_eq!(tallies.map(|tally| tally.wire("", false).uncertain.malformed), [0, 1]);
    }

    #[test]
    fn what_detectors_forget_to_make_room_is_counted_for_the_first_interface() {
        const PLACES: u32 = 4_096;
        let (_load, mut looker, _seen) = looker();
        let tallies = [Arc::<Tally>::default(), Arc::default()];
        looker.eyes = looker.eyes.counting(tallies.to_vec());
        let (inlets, _batches) = batch::lanes(1);
        let mut batch = inlets[0].borrow(0, Link::Ip, Duration::ZERO).unwrap();
        (0..PLACES + 5).for_each(|domain| push(&mut batch, &question(domain)));

        looker.look(&batch);
        assert!(looker.hand_over() && looker.hand_over(), "what was counted is not counted again");

        assert_eq!(tallies.map(|tally| tally.wire("", false).forgotten), [5, 0]);
    }

    /// A question about one domain of many, of 10.77.2.2 to 203.0.113.80.
    fn question(domain: u32) -> Vec<u8> {
        const HEADERS: [u8; 40] = [
            0x45, 0x00, 0x00, 0x3e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xf2, 0x0f, 0x0a, 0x4d, 0x02, 0x02,
            0xcb, 0x00, 0x71, 0x50, 0x80, 0x00, 0x00, 0x35, 0x00, 0x2a, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00,
            0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        ];
        let name = format!("\u{1}x\u{6}d{domain:05}\u{7}example\0");
        [&HEADERS[..], name.as_bytes(), &[0, 1, 0, 1]].concat()
    }

    fn cameras() -> Arc<Policy> {
        Arc::new(serde_json::from_str(POLICY).unwrap())
    }

    fn filled(inlet: &batch::Inlet) -> Batch {
        let mut batch = inlet.borrow(0, Link::Ip, Duration::ZERO).unwrap();
        push(&mut batch, &FRAME);
        batch
    }

    fn push(batch: &mut Batch, bytes: &[u8]) {
        let length = bytes.len() as u32;
        let frame =
            ring::Frame { bytes, length, seconds: 1_800_000_000, nanos: 0, vlan: None, is_outgoing: false };
        batch.push(&frame, bytes.len());
    }

    /// Makes a looker, who loads its policy, and who takes what it sees.
    fn looker() -> (watch::Sender<Option<Arc<Policy>>>, Looker, mpsc::Receiver<Seen>) {
        let (load, policy) = watch::channel(None);
        let links = Links {
            lists: watch::channel(Arc::default()).1,
            policy,
            pack: Arc::default(),
            reports: mpsc::channel(1).0,
            meter: Arc::default(),
            records: None,
            packets: None,
            stories: crate::story::Stories::default(),
            home: None,
            shutdown: watch::channel(false).1,
        };
        let (out, seen) = mpsc::channel(QUEUE);
        let config = NetConfig { interfaces: vec!["lo".to_owned()], ..NetConfig::default() };
        let eyes = Eyes::new(&config, Arc::default(), &links);
        (load, Looker { eyes, waiting: Arc::default(), out, held: Seen::default() }, seen)
    }
}
