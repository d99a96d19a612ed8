//! The task behind the thread that looks: has scanned what is to be scanned, few at a time, and reports what was found.
//!
//! ```text
//! seen ─► pieces, files (wait) ─► scan, 4 at a time ─► packets are held ─► owner is known ─────────────► report
//!                                   clean a moment ago: not again      └─► or it waits, beside scans ─┘
//! ```

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use khien_core::{
    RuleId, Sha256, Timestamp, Untrusted,
    asset::{Coverage, Sight},
    detection::{Detection, FlowSubject, Subject},
    event::{Direction, Excerpt, FlowFacts, ScanOutcome},
    protocol::Report,
    reason::Reason,
    traffic::{File, Record, What},
};
use khien_rules::scan::Scanned;
use khien_traffic::{
    flow::once::Once,
    sink::{Content, Origin},
};
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinError, JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval, timeout_at},
};
use tracing::warn;

use super::{
    Links, StreamScanner, coverage, eyes,
    look::{Seen, Waiting},
    loss::{self, Cause, Losses, Unkept},
    tally::Tally,
};
use crate::{records::Records, sockets::Named};
use clean::{Clean, Key};
use pieces::{Piece, Pieces};
use unowned::{Found, Leaves, Unowned};

mod clean;
mod pieces;
mod unowned;

/// Scans at the same time.
const MAX_SCANS: usize = 4;
/// What is remembered of findings, so that each is reported once.
const REMEMBERED: usize = 16_384;
/// How long the thread that looks may take to say what it saw last, and scans that go on may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often the task looks at its clocks when nothing comes.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// What one report of a scan stands for.
type Told = (Origin, Direction, RuleId);

/// A scan that ended, without its bytes.
type Ended = (Piece, Option<Sha256>, Scanned);

/// One interface as this task sees it.
#[derive(Debug)]
struct Scope {
    losses: Losses,
    tally: Arc<Tally>,
}

/// The task's state.
pub(super) struct Analyst<S> {
    scanner: Arc<S>,
    links: Links,
    scopes: HashMap<Untrusted, Scope>,
    /// The first interface stands for what is of none.
    first: Untrusted,
    scans: JoinSet<Ended>,
    /// Where what is scanned now was seen.
    scanned_of: HashMap<Id, Untrusted>,
    pieces: Pieces,
    waiting: Arc<Waiting>,
    clean: Arc<Clean>,
    unowned: Unowned,
    told: Once<Told>,
    unkept: Unkept,
}

impl<S: StreamScanner> Analyst<S> {
    /// Makes the task's state; the tallies are shared with the sensors, one per interface.
    pub(super) fn new(
        scopes: impl IntoIterator<Item = (String, Arc<Tally>)>,
        (waiting, named): (Arc<Waiting>, Option<Named>),
        scanner: Arc<S>,
        links: Links,
    ) -> Self {
        let scope = |(name, tally): (String, _)| {
            (Untrusted::from(name.as_str()), Scope { losses: Losses::new(&name), tally })
        };
        let scopes: Vec<_> = scopes.into_iter().map(scope).collect();
        Self {
            scanner,
            links,
            first: scopes.first().map(|(name, _)| name.clone()).unwrap_or_default(),
            scopes: scopes.into_iter().collect(),
            scans: JoinSet::new(),
            scanned_of: HashMap::new(),
            pieces: Pieces::default(),
            waiting,
            clean: Arc::default(),
            unowned: Unowned::new(named),
            told: Once::new(REMEMBERED),
            unkept: Unkept::default(),
        }
    }

    /// Takes what the thread sees until the agent stops. If the thread ends by a panic all is stated as blind: half a sensor
    /// must not look like a whole one.
    pub(super) async fn run(mut self, mut outlet: mpsc::Receiver<Seen>, looker: JoinHandle<()>) {
        let mut shutdown = self.links.shutdown.clone();
        let mut looker = Some(looker);
        let mut beat = interval(unowned::BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped(&mut shutdown) => return self.last(outlet).await,
                seen = outlet.recv(), if looker.is_some() => match seen {
                    Some(seen) => self.take(seen).await,
                    // No sensor is left, and each has said why: what waits is scanned until the agent stops.
                    None => if let Some(Err(_)) = looker.take().map(JoinHandle::join) {
                        self.is_blind();
                    },
                },
                Some(ended) = self.scans.join_next_with_id() => self.ended(ended).await,
                _ = beat.tick(), if !self.unowned.is_empty() => self.let_go(Instant::now()).await,
                () = tokio::time::sleep(IDLE_TICK) => {}
            }
            self.tell_losses().await;
        }
    }

    /// States that nobody looks any more.
    fn is_blind(&self) {
        for interface in self.scopes.keys() {
            let stated = coverage(&interface.to_string(), Sight::Blind, Some(Reason::AgentFailed));
            self.links.cover(Coverage { scope: interface.clone(), ..stated });
        }
    }

    /// Takes what was found until the end, what was learnt, and how scans end that go on. What is not scanned by then never
    /// is: it counts as failed and is told.
    async fn last(mut self, mut outlet: mpsc::Receiver<Seen>) {
        let until = tokio::time::Instant::now() + LAST_WORDS;
        self.give_up();
        for found in self.unowned.end() {
            self.goes(found).await;
        }
        while let Ok(Some(seen)) = timeout_at(until, outlet.recv()).await {
            self.take_last(seen).await;
        }
        while let Ok(Some(ended)) = timeout_at(until, self.scans.join_next_with_id()).await {
            self.ended(ended).await;
        }
        // Whoever comes later is told that nobody takes it.
        outlet.close();
        while let Some(seen) = outlet.recv().await {
            self.take_last(seen).await;
        }
        for interface in std::mem::take(&mut self.scanned_of).into_values() {
            self.lose(&interface, Cause::Failed, 1);
        }
        self.tell_rest().await;
    }

    /// Lets go of what waits for a scan.
    fn give_up(&mut self) {
        for piece in self.pieces.take_all() {
            self.waiting.room(piece.file.is_some()).leave(piece.bytes.len());
            self.lose(&piece.facts.interface, Cause::Failed, 1);
        }
    }

    /// Takes what was found; what was seen to be scanned is let go.
    async fn take_last(&mut self, mut seen: Seen) {
        self.queue(&mut seen);
        self.give_up();
        self.take(seen).await;
    }

    async fn take(&mut self, mut seen: Seen) {
        self.queue(&mut seen);
        for (scope, cause, count) in seen.lost {
            self.lose(&scope, cause, count);
        }
        self.start_scans();
        if let Some(learnt) = seen.learnt {
            self.links.keep(&learnt);
        }
        for report in seen.reports {
            self.send(report).await;
        }
        for detection in seen.findings {
            self.send(Report::Detection(detection.into())).await;
        }
    }

    /// Lets what is to be scanned wait for that.
    fn queue(&mut self, seen: &mut Seen) {
        std::mem::take(&mut seen.jobs).into_iter().for_each(|job| self.pieces.put(job.into()));
        std::mem::take(&mut seen.contents).into_iter().for_each(|content| self.pieces.put(content.into()));
    }

    fn start_scans(&mut self) {
        while self.scans.len() < MAX_SCANS {
            let Some(mut piece) = self.pieces.next() else { return };
            let (scanner, waiting) = (Arc::clone(&self.scanner), Arc::clone(&self.waiting));
            let (clean, pack) = (Arc::clone(&self.clean), Arc::clone(&self.links.pack));
            let interface = piece.facts.interface.clone();
            let scan = self.scans.spawn(async move {
                let bytes = std::mem::take(&mut piece.bytes);
                let length = bytes.len();
                let scan = scan(&*scanner, (&clean, pack.load(Ordering::Acquire)), &piece, bytes);
                // A scan that panics gives its room back and is counted as one that failed.
                let ended = AssertUnwindSafe(scan).catch_unwind().await;
                waiting.room(piece.file.is_some()).leave(length);
                let crashed = |_| (None, without_hits(ScanOutcome::Crashed));
                let (sha256, scanned) = ended.unwrap_or_else(crashed);
                (piece, sha256, scanned)
            });
            self.scanned_of.insert(scan.id(), interface);
        }
    }

    /// Takes over how a scan ended; one that did not return failed.
    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let interface = self.scanned_of.remove(&id);
        match ended {
            Ok((_, ended)) => self.scanned(ended).await,
            Err(error) => {
                warn!(%error, "a scan of a stream did not return");
                self.lose(&interface.unwrap_or_default(), Cause::Failed, 1);
            }
        }
    }

    async fn scanned(&mut self, (piece, sha256, scanned): Ended) {
        self.start_scans();
        let Piece { origin, facts, offset, file, .. } = piece;
        if scanned.outcome.is_trouble() || scanned.outcome == ScanOutcome::SkippedByPolicy {
            self.lose(&facts.interface, Cause::Failed, 1);
        }
        if let Some(file) = file {
            self.keep(*file, sha256);
        }
        if !scanned.hits.is_empty() {
            // At once: while it is asked whose they are, the ring moves on.
            self.hold_packets(origin.flow, &facts);
        }
        for hit in scanned.hits {
            let shift = |e: Excerpt| Excerpt { offset: e.offset.saturating_add(offset), ..e };
            let excerpts = hit.excerpts.into_iter().map(shift).collect();
            let told = (origin, facts.direction, hit.rule.clone());
            if !self.told.is_new(told, Duration::ZERO, Duration::MAX) {
                continue;
            }
            let detection = Detection {
                rule: hit.rule,
                at: Timestamp::now(),
                pack: self.links.pack.load(Ordering::Relaxed),
                subject: Subject::Flow(FlowSubject { flow: facts.clone(), excerpts }),
            };
            self.found(Found { flow: origin.flow, detection }).await;
        }
    }

    /// Takes a finding: it goes out when it is known whose it is.
    async fn found(&mut self, found: Found) {
        let Some(Leaves { found, is_early }) = self.unowned.put(found, Instant::now()) else { return };
        if let (true, Subject::Flow(subject)) = (is_early, &found.detection.subject) {
            self.lose(&subject.flow.interface, Cause::Unowned, 1);
        }
        self.goes(found).await;
    }

    /// Lets those findings go that know whose they are, or have waited for long enough.
    async fn let_go(&mut self, now: Instant) {
        for found in self.unowned.due(now) {
            self.goes(found).await;
        }
    }

    /// Sends a finding, and holds the packets that came while it waited.
    async fn goes(&self, Found { flow, detection }: Found) {
        if let Subject::Flow(subject) = &detection.subject {
            self.hold_packets(flow, &subject.flow);
        }
        self.send(Report::Detection(detection.into())).await;
    }

    fn hold_packets(&self, flow: u64, facts: &FlowFacts) {
        if let Some(packets) = &self.links.packets {
            packets.hold(&eyes::ends(flow, facts));
        }
    }

    /// Keeps the record of a file that was carried: its digest is known now.
    fn keep(&self, content: Content, sha256: Option<Sha256>) {
        let Some(records) = &self.links.records else { return };
        let Content { ends, direction, name, content_type, size, whole, .. } = content;
        let file = File { direction, name, content_type, size, whole, sha256 };
        records.keep([&Record { at: Timestamp::now(), ends, what: What::File(Box::new(file)) }]);
    }

    fn lose(&mut self, scope: &Untrusted, cause: Cause, count: u64) {
        let scope = if self.scopes.contains_key(scope) { scope } else { &self.first };
        if let Some(scope) = self.scopes.get_mut(scope) {
            scope.losses.add(cause, count, Timestamp::now());
            scope.tally.lost(cause, count);
        }
    }

    async fn tell_losses(&mut self) {
        let (now, policy) = (Timestamp::now(), loss::threshold(&self.links.policy));
        self.count_unkept(now);
        let due = self.scopes.values_mut().filter_map(|s| s.losses.due(now, policy));
        let due: Vec<_> = due.chain(self.unkept.due(now, policy)).collect();
        for report in due {
            self.send(report).await;
        }
    }

    /// Tells what is left: nothing comes after it.
    async fn tell_rest(&mut self) {
        let (now, policy) = (Timestamp::now(), loss::threshold(&self.links.policy));
        self.count_unkept(now);
        let rest = self.scopes.values_mut().filter_map(|s| s.losses.rest(now, policy));
        let rest: Vec<_> = rest.chain(self.unkept.rest(now)).collect();
        for report in rest {
            self.send(report).await;
        }
    }

    fn count_unkept(&mut self, now: Timestamp) {
        let lost = self.links.records.as_ref().map_or(0, Records::take_lost);
        self.unkept.add(lost, now);
    }

    /// Waits for room: meanwhile what is to be scanned is shed and counted, findings are not.
    async fn send(&self, report: Report) {
        if self.links.reports.send(report).await.is_err() {
            warn!("nobody takes reports any more");
        }
    }
}

/// Has bytes scanned, unless they are a file that was clean a moment ago with the pack that is loaded.
async fn scan<S: StreamScanner>(
    scanner: &S,
    (clean, pack): (&Clean, u64),
    piece: &Piece,
    bytes: Vec<u8>,
) -> (Option<Sha256>, Scanned) {
    let Some(file) = &piece.file else { return (None, scanner.scan(bytes).await) };
    // Megabytes take milliseconds, in which the others of the runtime must not wait.
    let digested = spawn_blocking(move || (Sha256::of(&bytes), bytes)).await;
    let Ok((digest, bytes)) = digested else { return (None, without_hits(ScanOutcome::Crashed)) };
    let name = file.name.clone().unwrap_or_default();
    let key = Key::of(digest, &name);
    if clean.knows(pack, key) {
        return (Some(digest), without_hits(ScanOutcome::Clean));
    }
    let (sha256, scanned) = scanner.scan_file(bytes, name).await;
    if scanned.outcome == ScanOutcome::Clean {
        clean.keep(pack, key);
    }
    (sha256, scanned)
}

fn without_hits(outcome: ScanOutcome) -> Scanned {
    Scanned { outcome, hits: Vec::new() }
}

/// Ends when the agent stops, or when nobody is left to say so.
pub(super) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

#[cfg(test)]
pub(super) use tests::POISON;

#[cfg(test)]
pub(super) mod tests;
