//! The threads of one interface: take blocks out of the ring and copy what is wanted of them to who looks, nothing more,
//! so that the ring is emptied as fast as it fills. Of all privileges they keep the one to open the interface again.
//! State what they see, and come back when the interface does.

use std::{
    collections::BTreeMap,
    io, mem,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use khien_core::{Timestamp, Untrusted, asset::Sight, protocol::Report, reason::Reason};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::{
    Links,
    batch::Inlet,
    coverage,
    filter::Cut,
    loss::{self, Cause, Losses},
    privilege,
    ring::{Group, Wanted},
    shunt::{Marks, Shunt},
    source::{Source, Way},
    tally::{Pass, Tally},
};

/// How long the thread sleeps at most before it looks whether the agent stops.
const BEAT: Duration = Duration::from_millis(200);
/// How long it waits for a batch to come back before it looks at its clocks again.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often the kernel's counters are read.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How soon an interface is tried again; doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One thread of the sensor of one interface.
#[derive(Debug)]
pub(super) struct Sensor {
    /// The interface's place in the configuration.
    pub(super) place: usize,
    /// Which of the interface's threads it is; the first one speaks for all.
    pub(super) lane: usize,
    /// What it looks at.
    pub(super) line: Line,
    /// Where frames go.
    pub(super) inlet: Inlet,
    /// The flows of which only headers are taken.
    pub(super) marks: Arc<Marks>,
    /// Where intervals of blindness, counters and coverage go, what the policy says, and when the agent stops.
    pub(super) links: Links,
}

/// One interface, and what all of its threads share.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its name.
    pub(super) interface: String,
    /// Whether it is to take packets for others.
    pub(super) is_promiscuous: bool,
    /// What is not looked into.
    pub(super) cut: Arc<Cut>,
    /// With whom its packets are shared, if there are several threads.
    pub(super) group: Option<Arc<Group>>,
    /// How packets are read.
    pub(super) way: Way,
    /// Why some of the threads see less than they could, by thread.
    pub(super) less: Arc<Mutex<BTreeMap<usize, Reason>>>,
    /// What is counted.
    pub(super) tally: Arc<Tally>,
    /// Whether it is not there any more, and not waited for.
    pub(super) is_given_up: Arc<AtomicBool>,
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// It is on its way.
    Sent,
    /// It stays in the ring: whoever looks is behind.
    Left,
    /// Nobody looks any more.
    NotWanted,
}

impl Sensor {
    /// Starts the thread; the answer comes when it has stated for the first time what it sees.
    pub(super) fn start(self) -> oneshot::Receiver<()> {
        let (stated, answer) = oneshot::channel();
        let interface = self.line.interface.clone();
        let links = self.links.clone();
        let name = match self.lane {
            0 => format!("capture-{interface}"),
            lane => format!("capture{lane}-{interface}"),
        };
        let watched = (interface.clone(), links.clone(), Arc::clone(&self.line.is_given_up));
        let run = move || {
            let (interface, links, is_given_up) = watched;
            // Half a sensor must not look like a whole one.
            if panic::catch_unwind(AssertUnwindSafe(|| self.run(stated))).is_err() {
                links.cover(coverage(&interface, Sight::Blind, Some(Reason::AgentFailed)));
            }
            if is_given_up.load(Ordering::Relaxed) {
                // Whatever this thread said last.
                links.forget(&interface);
            }
        };
        if let Err(error) = thread::Builder::new().name(name).spawn(run) {
            warn!(%interface, %error, "cannot start the capture thread");
            links.cover(coverage(&interface, Sight::Blind, Some(Reason::NoThread { error: error.into() })));
        }
        answer
    }

    fn run(self, stated: oneshot::Sender<()>) {
        // Only the first socket may be given a large queue beyond what the host allows: that takes a privilege that goes now.
        let mut first_time = Some(Source::open(&self.line.wanted()));
        privilege::keep_packets();
        let mut stated = Some(stated);
        let mut pause = FIRST_PAUSE;
        let mut gone: Option<Timestamp> = None;
        // Those that are not told yet when the interface goes are told when it is back.
        let mut losses = Losses::new(&self.line.interface);
        while !self.stops() {
            let opened = first_time.take().unwrap_or_else(|| Source::open(&self.line.wanted()));
            let ended = match opened {
                Ok((source, less)) => {
                    pause = FIRST_PAUSE;
                    self.came_back(gone.take(), less);
                    first(&mut stated);
                    let error = self.watch(source, &mut losses);
                    gone = Some(Timestamp::now());
                    error
                }
                Err(error) => Some(error),
            };
            let Some(error) = ended else { break };
            self.is_blind(reason(&error));
            first(&mut stated);
            if error.kind() == io::ErrorKind::PermissionDenied {
                return;
            }
            self.rest(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if let Some(report) = losses.rest(Timestamp::now(), loss::threshold(&self.links.policy)) {
            // Nothing comes after it: now there is time to wait for room.
            let _ = self.links.reports.blocking_send(report);
        }
        debug!(interface = %self.line.interface, "capture ends");
    }

    /// States that the interface is seen, how much less than it could be, and for how long it was not.
    fn came_back(&self, gone: Option<Timestamp>, less: Option<Reason>) {
        info!(interface = %self.line.interface, promiscuous = self.line.is_promiscuous, "capture begins");
        self.sees(less);
        if let Some(from) = gone.filter(|_| self.lane == 0) {
            self.report(Report::Blind {
                scope: Untrusted::from(self.line.interface.as_str()),
                cause: Reason::InterfaceAway,
                from,
                until: Timestamp::now(),
                lost: None,
            });
        }
    }

    /// Takes blocks until the agent stops (`None`) or the interface fails.
    fn watch(&self, mut ring: Source, losses: &mut Losses) -> Option<io::Error> {
        let mut shunt = Shunt::new(Arc::clone(&self.marks));
        let mut counted = Instant::now();
        let mut is_behind = false;
        self.count(&ring, losses, false);
        while !self.stops() {
            if let Err(error) = ring.wait(BEAT) {
                self.empty(&mut ring, &mut shunt, losses);
                self.count(&ring, losses, is_behind);
                return Some(error);
            }
            while ring.is_ready() && !self.stops() {
                match self.take(&mut ring, &mut shunt, losses) {
                    Block::Sent => {}
                    Block::Left => {
                        is_behind = true;
                        break;
                    }
                    Block::NotWanted => return None,
                }
                if counted.elapsed() >= COUNT_EVERY {
                    break;
                }
            }
            if counted.elapsed() >= COUNT_EVERY {
                counted = Instant::now();
                self.count(&ring, losses, mem::take(&mut is_behind));
            }
        }
        self.count(&ring, losses, is_behind);
        None
    }

    /// Takes what came before the interface failed and lies in the ring still. What finds no room is counted.
    fn empty(&self, ring: &mut Source, shunt: &mut Shunt, losses: &mut Losses) {
        while ring.is_ready() && !self.stops() {
            if self.take(ring, shunt, losses) == Block::Sent {
                continue;
            }
            let mut left = 0;
            ring.read(|_| left += 1);
            self.links.meter.packets(left, left);
            self.line.tally.lost(Cause::Queue, left);
            losses.came(left);
            losses.add(Cause::Queue, left, Timestamp::now());
        }
    }

    /// Copies what is wanted of one block.
    fn take(&self, ring: &mut Source, shunt: &mut Shunt, losses: &mut Losses) -> Block {
        let (link, is_loopback) = (ring.link(), ring.is_loopback());
        let Some(mut batch) = self.inlet.borrow(self.place, link, PATIENCE) else { return Block::Left };
        let mut pass = Pass::default();
        ring.read(|frame| {
            if is_loopback && frame.is_outgoing {
                return;
            }
            if frame.is_cut() {
                pass.count(frame.length, 0);
                return;
            }
            let keep = shunt.keep(link, frame.bytes, frame.length);
            pass.count(frame.length, keep);
            batch.push(&frame, keep);
        });
        self.links.meter.packets(pass.packets, 0);
        self.line.tally.passed(pass);
        losses.came(pass.packets);
        if self.inlet.send(batch) { Block::Sent } else { Block::NotWanted }
    }

    /// Takes over the kernel's counters, tells of losses when that is due, and states what came by.
    fn count(&self, ring: &Source, losses: &mut Losses, is_behind: bool) {
        let now = Timestamp::now();
        match ring.counted() {
            Ok(counted) => {
                // The ring is full because it is not emptied, or because too much came at once.
                let cause = if is_behind { Cause::Queue } else { Cause::Kernel };
                self.links.meter.packets(counted.drops, counted.drops);
                self.line.tally.lost(cause, counted.drops);
                losses.came(counted.drops);
                losses.add(cause, counted.drops, now);
            }
            Err(error) => {
                warn!(interface = %self.line.interface, %error, "cannot read the kernel's packet counters")
            }
        }
        // Without room for them they are gathered on.
        if let Ok(room) = self.links.reports.try_reserve()
            && let Some(report) = losses.due(now, loss::threshold(&self.links.policy))
        {
            room.send(report);
        }
        self.links.meter.wire(self.line.tally.wire(&self.line.interface, self.line.is_promiscuous));
    }

    /// States what the interface's threads see now. The first one speaks for all: while it is open, all packets come to it or
    /// to the others. One that sees less than it could says so itself.
    fn sees(&self, less: Option<Reason>) {
        if let Some(reason) = &less {
            warn!(interface = %self.line.interface, lane = self.lane, %reason, "network sight is reduced");
        }
        let mut all = self.line.less.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(&self.lane);
        let speaks = self.lane == 0 || less != before;
        all.extend(less.map(|reason| (self.lane, reason)));
        let reason = all.values().next().cloned();
        let sight = if reason.is_some() { Sight::Reduced } else { Sight::Full };
        if speaks {
            // Under the lock, so that the last word is about all of them.
            self.links.cover(coverage(&self.line.interface, sight, reason));
        }
    }

    /// States that nothing is seen.
    fn is_blind(&self, reason: Reason) {
        warn!(interface = %self.line.interface, lane = self.lane, %reason, "network sight is gone");
        if self.lane == 0 {
            self.links.cover(coverage(&self.line.interface, Sight::Blind, Some(reason)));
        }
    }

    /// Never waits: the ring must be emptied. A full channel is the spool's trouble, and the coverage tells of it too.
    fn report(&self, report: Report) {
        if self.links.reports.try_send(report).is_err() {
            warn!(interface = %self.line.interface, "an interval of blindness could not be reported");
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
        let shutdown = &self.links.shutdown;
        let is_given_up = self.line.is_given_up.load(Ordering::Relaxed);
        is_given_up || *shutdown.borrow() || shutdown.has_changed().is_err()
    }
}

impl Line {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            interface: &self.interface,
            is_promiscuous: self.is_promiscuous,
            cut: &self.cut,
            group: self.group.as_deref(),
            way: self.way,
        }
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

#[cfg(test)]
mod tests;
