//! The task that looks: frames in, detections out. Scans run beside it, few at a time; what cannot wait is shed.

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use khien_core::{
    RuleId, Timestamp, Untrusted,
    detection::{Detection, FlowSubject, Subject},
    event::{Direction, Excerpt, FlowFacts, ScanOutcome},
    protocol::Report,
};
use khien_rules::{indicator::Domains, scan::Scanned};
use tokio::{sync::watch, task::JoinSet};
use tracing::{debug, warn};

use super::{
    Links, NetConfig, StreamScanner,
    loss::{Cause, Losses},
    queue::{Captured, Outlet},
    sensor::Tally,
};
use crate::{
    decode::{Packet, Skipped, packet},
    flow::{Effect, Job, Limits, Origin, Table, once::Once},
};

/// Frames that are looked at before the task lets others run.
const AT_ONCE: usize = 128;
/// Scans at the same time.
const MAX_SCANS: usize = 4;
/// Pieces and bytes that wait for a scan; more is shed.
const MAX_WAITING: usize = 512;
const MAX_WAITING_BYTES: usize = 16 << 20;
/// What is remembered of findings, so that each is reported once.
const REMEMBERED: usize = 16_384;
/// How long the same question of the same socket is one finding.
const SAME_QUESTION: Duration = Duration::from_secs(60);
/// How often the task looks at its clocks when nothing comes.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// What one report stands for; an answer to a question is the same finding as the question.
type Finding = (Origin, Option<Direction>, RuleId);

/// A scan that ended, without its bytes.
type Ended = (Origin, FlowFacts, u64, Scanned);

/// The looking task's state.
pub(super) struct Analyst<S> {
    scanner: Arc<S>,
    links: Links,
    hub: HashSet<SocketAddr>,
    table: Table,
    tallies: Vec<Arc<Tally>>,
    names: Vec<Untrusted>,
    losses: Vec<Losses>,
    scans: JoinSet<Ended>,
    waiting: VecDeque<Job>,
    waiting_bytes: usize,
    found: Once<Finding>,
    began: Instant,
}

impl<S: StreamScanner> Analyst<S> {
    /// Makes the task's state; `tallies` are shared with the sensors, one per interface.
    pub(super) fn new(config: &NetConfig, tallies: Vec<Arc<Tally>>, scanner: Arc<S>, links: Links) -> Self {
        let names: Vec<_> = config.interfaces.iter().map(|i| Untrusted::from(i.as_str())).collect();
        Self {
            scanner,
            links,
            hub: config.hub.iter().copied().collect(),
            table: Table::new(names.clone(), Limits::default()),
            tallies,
            names,
            losses: config.interfaces.iter().map(|i| Losses::new(i)).collect(),
            scans: JoinSet::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            found: Once::new(REMEMBERED),
            began: Instant::now(),
        }
    }

    /// Looks at frames until the agent stops.
    pub(super) async fn run(mut self, mut outlet: Outlet) {
        let mut frames = Vec::with_capacity(AT_ONCE);
        let mut shutdown = self.links.shutdown.clone();
        loop {
            let pause =
                self.table.next_wait().map_or(IDLE_TICK, |at| at.saturating_sub(self.now()).min(IDLE_TICK));
            tokio::select! {
                () = stopped(&mut shutdown) => break,
                // No sensor is left, and each has said why: there is nothing to do until the agent stops.
                count = outlet.take(&mut frames, AT_ONCE) => if count == 0 { return stopped(&mut shutdown).await },
                Some(ended) = self.scans.join_next() => match ended {
                    Ok(ended) => self.scanned(ended).await,
                    Err(error) => warn!(%error, "a scan of a stream did not return"),
                },
                () = tokio::time::sleep(pause) => {}
            }
            self.look(&mut frames).await;
            self.tell_losses().await;
        }
    }

    /// Looks at frames and does what is due.
    async fn look(&mut self, frames: &mut Vec<Captured>) {
        let now = self.now();
        for frame in frames.drain(..) {
            let effects = match self.read(&frame) {
                Some(packet) => self.table.handle(frame.interface, &packet, now),
                None => continue,
            };
            self.act(effects).await;
        }
        let effects = self.table.tick(now);
        self.act(effects).await;
        let counts = self.table.take_counts();
        if counts.missing > 0 {
            debug!(bytes = counts.missing, "bytes of streams never came by");
        }
        // The table is one for all interfaces; the first stands for it.
        if let Some(losses) = self.losses.first_mut() {
            losses.add(Cause::Evicted, counts.evicted, Timestamp::now());
        }
    }

    /// Takes a frame apart; the agent's own and what cannot be read is counted and left.
    fn read<'f>(&self, frame: &'f Captured) -> Option<Packet<'f>> {
        let tally = self.tallies.get(frame.interface)?;
        match packet(frame.link, &frame.bytes) {
            Ok(Packet::Tcp(s)) if self.hub.contains(&s.source) || self.hub.contains(&s.destination) => {
                tally.own.fetch_add(1, Ordering::Relaxed);
                None
            }
            Ok(packet) => Some(packet),
            Err(Skipped::Fragment) => {
                tally.fragments.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(Skipped::NotIp | Skipped::OtherTransport | Skipped::Malformed) => None,
        }
    }

    async fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Scan(job) => self.enqueue(job),
                Effect::Named(origin, facts) => self.named(origin, facts).await,
            }
        }
        self.start_scans();
    }

    fn enqueue(&mut self, job: Job) {
        if self.waiting.len() >= MAX_WAITING || self.waiting_bytes + job.bytes.len() > MAX_WAITING_BYTES {
            self.lose(&job.facts, Cause::Busy);
            return;
        }
        self.waiting_bytes += job.bytes.len();
        self.waiting.push_back(job);
        self.start_scans();
    }

    fn start_scans(&mut self) {
        while self.scans.len() < MAX_SCANS {
            let Some(Job { origin, facts, offset, bytes }) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= bytes.len();
            let scanner = self.scanner.clone();
            self.scans.spawn(async move { (origin, facts, offset, scanner.scan(bytes).await) });
        }
    }

    async fn scanned(&mut self, (origin, facts, offset, scanned): Ended) {
        self.start_scans();
        if scanned.outcome.is_trouble() || scanned.outcome == ScanOutcome::SkippedByPolicy {
            self.lose(&facts, Cause::Failed);
        }
        for hit in scanned.hits {
            let shift = |e: Excerpt| Excerpt { offset: e.offset.saturating_add(offset), ..e };
            let excerpts = hit.excerpts.into_iter().map(shift).collect();
            let finding = (origin.clone(), Some(facts.direction), hit.rule);
            self.report(finding, Duration::MAX, facts.clone(), excerpts).await;
        }
    }

    async fn named(&mut self, origin: Origin, facts: FlowFacts) {
        let Some(name) = &facts.name else { return };
        let domains = self.links.domains.borrow().clone();
        let Some(rule) = listed(&domains, name).cloned() else { return };
        let hold = match origin {
            Origin::Exchange(..) => Duration::MAX,
            Origin::Question(..) => SAME_QUESTION,
        };
        self.report((origin, None, rule), hold, facts, Vec::new()).await;
    }

    /// Reports a finding once.
    async fn report(&mut self, finding: Finding, hold: Duration, flow: FlowFacts, excerpts: Vec<Excerpt>) {
        let rule = finding.2.clone();
        if !self.found.is_new(finding, self.now(), hold) {
            return;
        }
        let detection = Detection {
            rule,
            at: Timestamp::now(),
            pack: self.links.pack.load(Ordering::Relaxed),
            subject: Subject::Flow(FlowSubject { flow, excerpts }),
        };
        self.send(Report::Detection(detection.into())).await;
    }

    fn lose(&mut self, facts: &FlowFacts, cause: Cause) {
        let place = self.names.iter().position(|n| *n == facts.interface);
        if let Some(losses) = place.and_then(|p| self.losses.get_mut(p)) {
            losses.add(cause, 1, Timestamp::now());
        }
    }

    async fn tell_losses(&mut self) {
        let now = Timestamp::now();
        let due: Vec<_> = self.losses.iter_mut().filter_map(|l| l.due(now)).collect();
        for report in due {
            self.send(report).await;
        }
    }

    /// Waits for room: meanwhile frames are shed and counted, findings are not.
    async fn send(&self, report: Report) {
        if self.links.reports.send(report).await.is_err() {
            warn!("nobody takes reports any more");
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Ends when the agent stops, or when nobody is left to say so.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

/// Looks a name up. A label that no name can have does not hide the listed name behind it.
fn listed<'d>(domains: &'d Domains, name: &Untrusted) -> Option<&'d RuleId> {
    let name = String::from_utf8_lossy(name.raw());
    let mut rest: &str = &name;
    loop {
        if let Some(rule) = domains.find(rest) {
            return Some(rule);
        }
        rest = rest.split_once('.')?.1;
    }
}

#[cfg(test)]
mod tests;
