//! The task behind the thread that looks: has scanned what is to be scanned, few at a time, and reports what was found.

use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
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
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tracing::warn;

use super::{
    Links, StreamScanner, coverage, eyes,
    look::{Seen, Waiting},
    loss::{self, Cause, Losses},
    tally::Tally,
};
use crate::sockets::Named;

/// Scans at the same time.
const MAX_SCANS: usize = 4;
/// What is remembered of findings, so that each is reported once.
const REMEMBERED: usize = 16_384;
/// How long the thread that looks may take to say what it saw last, and scans that go on may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long what was found in a stream waits to hear whose it is: a server takes its caller over late. Where nobody is, that
/// is known sooner.
const OWNER_WAIT: Duration = Duration::from_secs(1);
/// How often the task looks at its clocks when nothing comes.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// What one report of a scan stands for.
type Key = (Origin, Direction, RuleId);

/// Something to scan.
#[derive(Debug)]
struct Piece {
    origin: Origin,
    facts: FlowFacts,
    offset: u64,
    bytes: Vec<u8>,
    /// What else is known of it, if it is a file.
    file: Option<Box<Content>>,
}

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
    pieces: VecDeque<Piece>,
    waiting: Arc<Waiting>,
    named: Option<Named>,
    found: Once<Key>,
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
            pieces: VecDeque::new(),
            waiting,
            named,
            found: Once::new(REMEMBERED),
        }
    }

    /// Takes what the thread sees until the agent stops. If the thread ends by a panic all is stated as blind: half a sensor
    /// must not look like a whole one.
    pub(super) async fn run(mut self, mut outlet: mpsc::Receiver<Seen>, looker: JoinHandle<()>) {
        let mut shutdown = self.links.shutdown.clone();
        let mut looker = Some(looker);
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
                () = tokio::time::sleep(IDLE_TICK) => {}
            }
            self.tell_losses().await;
        }
    }

    /// States that nobody looks any more.
    fn is_blind(&self) {
        for interface in self.scopes.keys() {
            let stated = coverage(&interface.to_string(), Sight::Blind, Some(Reason::AgentFailed));
            self.links.meter.cover(Coverage { scope: interface.clone(), ..stated });
        }
    }

    /// Takes what was found until the end, what was learnt, and how scans end that go on. What is not scanned by then never
    /// is: it counts as failed and is told.
    async fn last(mut self, mut outlet: mpsc::Receiver<Seen>) {
        let until = Instant::now() + LAST_WORDS;
        self.give_up();
        while let Ok(Some(seen)) = timeout_at(until, outlet.recv()).await {
            self.give_up_of(&seen);
            self.take(Seen { jobs: Vec::new(), contents: Vec::new(), ..seen }).await;
        }
        while let Ok(Some(ended)) = timeout_at(until, self.scans.join_next_with_id()).await {
            self.ended(ended).await;
        }
        // What comes so late that nobody takes it.
        while let Ok(seen) = outlet.try_recv() {
            self.give_up_of(&seen);
        }
        for interface in std::mem::take(&mut self.scanned_of).into_values() {
            self.lose(&interface, Cause::Failed, 1);
        }
        self.tell_rest().await;
    }

    /// Lets go of what waits for a scan.
    fn give_up(&mut self) {
        for piece in std::mem::take(&mut self.pieces) {
            self.waiting.leave(piece.bytes.len());
            self.lose(&piece.facts.interface, Cause::Failed, 1);
        }
    }

    /// Lets go of what was seen to be scanned.
    fn give_up_of(&mut self, seen: &Seen) {
        let jobs = seen.jobs.iter().map(|job| (&job.facts, job.bytes.len()));
        let files = seen.contents.iter().map(|content| (&content.facts, content.bytes.len()));
        for (facts, bytes) in jobs.chain(files) {
            self.waiting.leave(bytes);
            self.lose(&facts.interface, Cause::Failed, 1);
        }
    }

    async fn take(&mut self, seen: Seen) {
        for (scope, cause, count) in seen.lost {
            self.lose(&scope, cause, count);
        }
        let jobs = seen.jobs.into_iter().map(|job| Piece {
            origin: job.origin,
            facts: job.facts,
            offset: job.offset,
            bytes: job.bytes,
            file: None,
        });
        let files = seen.contents.into_iter().map(|mut content| Piece {
            origin: content.origin,
            facts: FlowFacts { direction: content.direction, ..content.facts.clone() },
            offset: 0,
            bytes: std::mem::take(&mut content.bytes),
            file: Some(content.into()),
        });
        self.pieces.extend(jobs.chain(files));
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

    fn start_scans(&mut self) {
        while self.scans.len() < MAX_SCANS {
            let Some(mut piece) = self.pieces.pop_front() else { return };
            let (scanner, waiting) = (Arc::clone(&self.scanner), Arc::clone(&self.waiting));
            let named = self.named.clone();
            let interface = piece.facts.interface.clone();
            let scan = self.scans.spawn(async move {
                let bytes = std::mem::take(&mut piece.bytes);
                let length = bytes.len();
                let scan = async {
                    match &piece.file {
                        None => (None, scanner.scan(bytes).await),
                        Some(file) => scanner.scan_file(bytes, file.name.clone().unwrap_or_default()).await,
                    }
                };
                // A scan that panics gives its room back and is counted as one that failed.
                let ended = AssertUnwindSafe(scan).catch_unwind().await;
                waiting.leave(length);
                let crashed = |_| (None, Scanned { outcome: ScanOutcome::Crashed, hits: Vec::new() });
                let (sha256, scanned) = ended.unwrap_or_else(crashed);
                let is_unowned = !scanned.hits.is_empty() && piece.facts.process.is_none();
                if let Some(named) = named.filter(|_| is_unowned) {
                    let process = named.within(piece.origin.flow, OWNER_WAIT).await;
                    piece.facts.process = process.map(|process| Box::new((*process).clone()));
                }
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
        if let (Some(packets), false) = (&self.links.packets, scanned.hits.is_empty()) {
            packets.hold(&eyes::ends(origin.flow, &facts));
        }
        for hit in scanned.hits {
            let shift = |e: Excerpt| Excerpt { offset: e.offset.saturating_add(offset), ..e };
            let excerpts = hit.excerpts.into_iter().map(shift).collect();
            let key = (origin, facts.direction, hit.rule.clone());
            if !self.found.is_new(key, Duration::ZERO, Duration::MAX) {
                continue;
            }
            let detection = Detection {
                rule: hit.rule,
                at: Timestamp::now(),
                pack: self.links.pack.load(Ordering::Relaxed),
                subject: Subject::Flow(FlowSubject { flow: facts.clone(), excerpts }),
            };
            self.send(Report::Detection(detection.into())).await;
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
        let due: Vec<_> = self.scopes.values_mut().filter_map(|s| s.losses.due(now, policy)).collect();
        for report in due {
            self.send(report).await;
        }
    }

    /// Tells what is left: nothing comes after it.
    async fn tell_rest(&mut self) {
        let (now, policy) = (Timestamp::now(), loss::threshold(&self.links.policy));
        let rest: Vec<_> = self.scopes.values_mut().filter_map(|s| s.losses.rest(now, policy)).collect();
        for report in rest {
            self.send(report).await;
        }
    }

    /// Waits for room: meanwhile what is to be scanned is shed and counted, findings are not.
    async fn send(&self, report: Report) {
        if self.links.reports.send(report).await.is_err() {
            warn!("nobody takes reports any more");
        }
    }
}

/// Ends when the agent stops, or when nobody is left to say so.
pub(super) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

#[cfg(test)]
pub(super) use tests::POISON;

#[cfg(test)]
mod tests;
