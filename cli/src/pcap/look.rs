//! Looks at one file of packets from its start to its end.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::atomic::Ordering,
    time::Instant,
};

use anyhow::Result;
use khien_core::{
    Sha256, Timestamp, Untrusted,
    detection::{FlowSubject, Subject},
    event::{Excerpt, ScanOutcome},
};
use khien_traffic::{
    detect::Finding,
    flow::{Engine, Limits},
    pcap::read::{self, NotPackets, Plain, Reader},
    sink::Content,
};

use super::{
    Run,
    alerts::{Alert, Alerts, Found},
    events::STANDARD,
    hashed::Hashed,
    scans::{Ended, Piece, Scans},
    sight::{self, Sight},
    told::Seen,
};

/// Packets between two looks at the clock: asking for the time costs as much as a packet.
const BEAT: u64 = 4_096;

/// A reader of packets.
type Source = Reader<Plain<Box<dyn Read>>>;

/// A file that was opened.
pub(super) struct Opened {
    pub(super) reader: Source,
    /// In bytes; 0 is not known.
    pub(super) size: u64,
    /// The file, hashed as far as it is read, if that was asked for.
    pub(super) hashed: Option<Hashed>,
}

/// What came of a file.
pub(super) struct Looked {
    pub(super) seen: Seen,
    /// The oldest first.
    pub(super) alerts: Vec<Alert>,
}

/// A file that is being looked at.
pub(super) struct Look<'r> {
    run: &'r mut Run,
    reader: Source,
    engine: Engine,
    sight: Sight,
    scans: Option<Scans>,
    alerts: Alerts,
    seen: Seen,
    name: Untrusted,
    /// The time of the last packet.
    now: Timestamp,
}

/// Opens a file of packets, or standard input.
pub(super) fn open(path: &Path, hash: bool) -> Result<Opened, NotPackets> {
    let is_standard = path.as_os_str() == STANDARD;
    let (source, size): (Box<dyn Read>, u64) = match is_standard {
        true => (Box::new(io::stdin()), 0),
        false => {
            let file = File::open(path).map_err(NotPackets::Unreadable)?;
            let size = file.metadata().map_or(0, |file| file.len());
            (Box::new(file), size)
        }
    };
    let (source, hashed): (Box<dyn Read>, _) = match hash {
        true => {
            let hashed = Hashed::new(source);
            (Box::new(hashed.clone()), Some(hashed))
        }
        false => (source, None),
    };
    let reader = Reader::new(read::plain(source).map_err(NotPackets::Unreadable)?)?;
    Ok(Opened { reader, size, hashed })
}

impl<'r> Look<'r> {
    pub(super) fn new(run: &'r mut Run, path: &Path, reader: Source) -> Self {
        let name = Untrusted::new(path.as_os_str().as_bytes());
        let limits = Limits { scan: run.ready.is_some(), seed: run.seed, ..Limits::default() };
        let scans = run.ready.as_ref().map(|ready| {
            Scans::new(ready.pool.clone(), run.runtime.handle().clone(), ready.loaded.is_foreign)
        });
        let mut engine = Engine::new(read::names(reader.interfaces()), limits);
        engine.await_answers(sight::policy(run.ready.as_ref()).unanswered_seconds.get());
        Self {
            engine,
            sight: Sight::new(run.ready.as_ref()),
            scans,
            alerts: Alerts::new(name.clone(), run.case.is_some()),
            name,
            seen: Seen::default(),
            now: Timestamp::UNIX_EPOCH,
            reader,
            run,
        }
    }

    /// Looks at all of it, unless it is to stop. Returns what was seen.
    pub(super) fn run(mut self, size: u64) -> Result<Looked> {
        let begun = Instant::now();
        let mut known = self.reader.interfaces().len();
        while self.reader.look_ahead() {
            if self.reader.interfaces().len() > known {
                known = self.reader.interfaces().len();
                self.engine.name(read::names(self.reader.interfaces()));
            }
            let Some(frame) = self.reader.next_frame() else { break };
            self.now = frame.at;
            self.seen.at(frame.at);
            self.sight.tick(frame.at);
            self.engine.take(&frame, &mut self.sight);
            self.settle()?;
            if self.reader.counts().packets.is_multiple_of(BEAT) {
                let (packets, position) = (self.reader.counts().packets, self.reader.position());
                self.run.teller.progress(&self.alerts, packets, (position, size), begun);
                if self.run.wish.stop.load(Ordering::Relaxed) {
                    self.seen.interrupted = true;
                    break;
                }
            }
        }
        self.engine.finish(&mut self.sight);
        self.settle()?;
        while let Some(ended) = self.scans.as_mut().and_then(Scans::wait_for_one) {
            self.scanned(ended)?;
        }
        self.end(begun)
    }

    fn end(mut self, begun: Instant) -> Result<Looked> {
        if let Some(events) = &mut self.run.events {
            events.flush()?;
        }
        self.seen.end(&self.reader, self.engine.take_counts(), begun.elapsed());
        self.seen.forgotten = self.sight.forgotten();
        self.seen.alerts = self.alerts.len();
        let alerts = self.alerts.all();
        if self.run.json {
            alerts.iter().try_for_each(crate::output::print_json_line)?;
        }
        Ok(Looked { seen: self.seen, alerts })
    }

    /// Takes what the engine brought.
    fn settle(&mut self) -> Result<()> {
        for content in self.sight.contents() {
            self.carried(content);
        }
        self.seen.pieces += self.sight.ruled_out();
        for job in self.sight.jobs() {
            self.seen.pieces += 1;
            if let Some(scans) = &mut self.scans {
                scans.stream(job, self.now);
            }
        }
        for record in self.sight.records() {
            self.seen.count(&record);
            if let Some(events) = &mut self.run.events {
                events.write(&self.name, &record)?;
            }
        }
        for Finding { rule, at, subject } in self.sight.findings() {
            self.found(Found { rule, at, subject, carried: None })?;
        }
        while let Some(ended) = self.scans.as_mut().and_then(Scans::ended) {
            self.scanned(ended)?;
        }
        Ok(())
    }

    /// Hashes a carried file, tells of it, and has it scanned.
    fn carried(&mut self, content: Content) {
        self.seen.carried += 1;
        // What is scanned, hashed and looked up is what there is of it: the rest is not clean.
        self.seen.not_scanned += u64::from(!content.whole && self.scans.is_some());
        let digest = Sha256::of(&content.bytes);
        self.sight.digest(&content, digest, self.now);
        let piece = Piece {
            origin: content.origin,
            facts: content.facts,
            at: self.now,
            offset: 0,
            carried: Some((content.name.unwrap_or_default(), digest)),
            digest: None,
        };
        if let Some(scans) = &mut self.scans {
            scans.file(piece, &content.bytes);
        }
    }

    fn scanned(&mut self, ended: Ended) -> Result<()> {
        let Ended { piece, scanned, unseen } = ended;
        let outcome = scanned.outcome;
        let is_whole = !outcome.is_trouble() && outcome != ScanOutcome::SkippedByPolicy && unseen.is_empty();
        self.seen.not_scanned += u64::from(!is_whole);
        for hit in scanned.hits {
            let is_new =
                piece.carried.is_some() || self.alerts.is_new(piece.origin, piece.facts.direction, &hit.rule);
            if !is_new {
                continue;
            }
            let shift = |e: Excerpt| Excerpt { offset: e.offset.saturating_add(piece.offset), ..e };
            let excerpts = hit.excerpts.into_iter().map(shift).collect();
            let subject = Subject::Flow(FlowSubject { flow: piece.facts.clone(), excerpts });
            let found = Found { rule: hit.rule, at: piece.at, subject, carried: piece.carried.clone() };
            self.found(found)?;
        }
        Ok(())
    }

    fn found(&mut self, found: Found) -> Result<()> {
        let Some(ready) = &self.run.ready else { return Ok(()) };
        self.seen.findings += 1;
        self.run.wish.has_matched.store(true, Ordering::Relaxed);
        let is_full = self.alerts.is_full();
        match self.alerts.count(found, ready) {
            Some(alert) if !self.run.json => self.run.teller.alert(&alert),
            // It is not kept until the end of the file.
            Some(alert) if is_full => crate::output::print_json_line(&alert),
            _ => Ok(()),
        }
    }
}
