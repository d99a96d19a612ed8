//! One thread per interface: takes frames out of the ring and copies them to the queue, nothing more, so that the ring
//! is emptied as fast as it fills. States what it sees, and comes back when the interface does.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use khien_core::{Timestamp, Untrusted, asset::Sight, protocol::Report, reason::Reason};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use super::{
    coverage,
    loss::{Cause, Losses},
    queue::Inlet,
    ring::Ring,
};
use crate::health::Meter;

/// How long the thread sleeps at most before it looks whether the agent stops.
const BEAT: Duration = Duration::from_millis(200);
/// How often the kernel's counters are read.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How soon an interface is tried again; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the looking task counted for an interface and its sensor states.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Pieces of larger IP packets, which are not put together.
    pub(super) fragments: AtomicU64,
    /// The agent's own packets, which are not looked at.
    pub(super) own: AtomicU64,
}

/// The sensor of one interface.
#[derive(Debug)]
pub(super) struct Sensor {
    /// The interface's place in the configuration.
    pub(super) place: usize,
    /// Its name.
    pub(super) interface: String,
    /// What the looking task counts.
    pub(super) tally: Arc<Tally>,
    /// Where frames go.
    pub(super) inlet: Inlet,
    /// Where intervals of blindness go.
    pub(super) reports: mpsc::Sender<Report>,
    /// Where counters and coverage go.
    pub(super) meter: Arc<Meter>,
    /// Turns true when the agent stops.
    pub(super) shutdown: watch::Receiver<bool>,
}

impl Sensor {
    /// Starts the thread; the answer comes when it has stated for the first time what it sees.
    pub(super) fn start(self) -> oneshot::Receiver<()> {
        let (stated, answer) = oneshot::channel();
        let interface = self.interface.clone();
        let meter = self.meter.clone();
        let name = format!("capture-{interface}");
        if let Err(error) = thread::Builder::new().name(name).spawn(move || self.run(stated)) {
            warn!(%interface, %error, "cannot start the capture thread");
            meter.cover(coverage(&interface, Sight::Blind, Some(Reason::NoThread { error: error.into() })));
        }
        answer
    }

    fn run(self, stated: oneshot::Sender<()>) {
        let mut stated = Some(stated);
        let mut pause = FIRST_PAUSE;
        let mut gone: Option<Timestamp> = None;
        while !self.stops() {
            let ended = match Ring::open(&self.interface) {
                Ok(ring) => {
                    pause = FIRST_PAUSE;
                    self.came_back(gone.take());
                    first(&mut stated);
                    let error = self.watch(ring);
                    gone = Some(Timestamp::now());
                    error
                }
                Err(error) => Some(error),
            };
            let Some(error) = ended else { break };
            self.state(Sight::Blind, Some(reason(&error)));
            first(&mut stated);
            if error.kind() == io::ErrorKind::PermissionDenied {
                return;
            }
            self.rest(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        debug!(interface = %self.interface, "capture ends");
    }

    /// States that the interface is seen, and for how long it was not.
    fn came_back(&self, gone: Option<Timestamp>) {
        info!(interface = %self.interface, "capture begins");
        self.state(Sight::Full, None);
        if let Some(from) = gone {
            self.report(Report::Blind {
                scope: Untrusted::from(self.interface.as_str()),
                cause: Reason::InterfaceAway,
                from,
                until: Timestamp::now(),
                lost: None,
            });
        }
    }

    /// Copies frames until the agent stops (`None`) or the interface fails.
    fn watch(&self, mut ring: Ring) -> Option<io::Error> {
        let mut losses = Losses::new(&self.interface);
        let mut counted = Instant::now();
        let mut fragments = 0;
        loop {
            if self.stops() {
                return None;
            }
            if let Err(error) = ring.wait(BEAT) {
                return Some(error);
            }
            let (mut seen, mut shed) = (0, 0);
            while self.copy(&mut ring, &mut seen, &mut shed) && !self.stops() {}
            self.meter.packets(seen, shed);
            losses.add(Cause::Queue, shed, Timestamp::now());
            if counted.elapsed() >= COUNT_EVERY {
                counted = Instant::now();
                self.count(&ring, &mut losses);
                fragments = self.state_fragments(fragments);
            }
        }
    }

    /// Copies one block; `false` if none was ready.
    fn copy(&self, ring: &mut Ring, seen: &mut u64, shed: &mut u64) -> bool {
        let (link, is_loopback) = (ring.link(), ring.is_loopback());
        ring.read(|frame| {
            if is_loopback && frame.is_outgoing {
                return;
            }
            *seen += 1;
            *shed += u64::from(!self.inlet.offer(self.place, link, frame.bytes));
        })
    }

    /// Takes over the kernel's counters and tells of losses when that is due.
    fn count(&self, ring: &Ring, losses: &mut Losses) {
        let now = Timestamp::now();
        match ring.counted() {
            Ok(counted) => {
                self.meter.packets(counted.drops, counted.drops);
                losses.add(Cause::Kernel, counted.drops, now);
            }
            Err(error) => {
                warn!(interface = %self.interface, %error, "cannot read the kernel's packet counters")
            }
        }
        if let Some(report) = losses.due(now) {
            self.report(report);
        }
    }

    /// States fragments as reduced coverage if there are more of them than last time.
    fn state_fragments(&self, before: u64) -> u64 {
        let fragments = self.tally.fragments.load(Ordering::Relaxed);
        if fragments > before {
            self.state(Sight::Reduced, Some(Reason::FragmentsNotJoined { count: fragments }));
        }
        let own = self.tally.own.load(Ordering::Relaxed);
        debug!(interface = %self.interface, fragments, own, "packets that were not looked at");
        fragments
    }

    fn state(&self, sight: Sight, reason: Option<Reason>) {
        if let Some(reason) = &reason {
            warn!(interface = %self.interface, ?sight, %reason, "network sight");
        }
        self.meter.cover(coverage(&self.interface, sight, reason));
    }

    /// Never waits: the ring must be emptied. A full channel is the spool's trouble, and the coverage tells of it too.
    fn report(&self, report: Report) {
        if self.reports.try_send(report).is_err() {
            warn!(interface = %self.interface, "an interval of blindness could not be reported");
        }
    }

    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stops() && Instant::now() < until {
            thread::sleep(BEAT.min(until.saturating_duration_since(Instant::now())));
        }
    }

    fn stops(&self) -> bool {
        // A sender that is gone means that the agent is ending.
        *self.shutdown.borrow() || self.shutdown.has_changed().is_err()
    }
}

/// Answers whoever waits for the first statement; there is one answer, and it may find nobody.
fn first(stated: &mut Option<oneshot::Sender<()>>) {
    if let Some(stated) = stated.take() {
        let _ = stated.send(());
    }
}

/// Says why an interface cannot be seen.
fn reason(error: &io::Error) -> Reason {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::PermissionDenied, _) => Reason::PacketsDenied,
        (_, Some(libc::ENETDOWN)) => Reason::InterfaceDown,
        (_, Some(libc::ENODEV | libc::ENXIO)) => Reason::NoInterface,
        (_, Some(libc::ENOMEM)) => Reason::NoRingMemory,
        _ => Reason::InterfaceNotOpened { error: error.into() },
    }
}
