//! Finds processes that hide what they run, and has their memory scanned: a slow sweep, one process at a time.
//!
//! ```text
//! /proc ─► look (exe, maps) ─► suspects ─► hides its program? that is scanned and told at once
//!                                      └─► gate open ─► its program, if that has no name any more, and its memory ─► pool
//! ```
//! A mapping that can be written and executed is a reason to look, never an alert: Java, .NET and Node have them. Nothing
//! is stopped, traced or written to. What may not be looked at is said in the coverage.

mod cover;
mod look;
pub(crate) mod ordered;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{
    RuleId, Sha256, Timestamp, Untrusted,
    detection::{Detection, ProcessSubject, Subject},
    event::{Excerpt, Inside, Process},
    protocol::Report,
};
use khien_rules::Hit;
use khien_scan::{
    FileScan, Pool,
    target::{self, MemoryScan, Target},
};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use self::look::{Looked, Suspect, Why, look};
use crate::{health::Meter, scan::recent::Recent, watch::process::Who};

/// How often a new pack is looked for.
const BEAT: Duration = Duration::from_secs(2);
/// From one sweep to the next.
const SWEEP: Duration = Duration::from_secs(300);
/// Processes that are scanned in one sweep; the others wait for the next one.
const MOST: usize = 16;
/// After this time the same process is scanned again.
const AGAIN: Duration = Duration::from_secs(6 * 3_600);
/// For so long an alert waits for the digest of the program.
const PROGRAM: Duration = Duration::from_secs(10);
/// Bytes that are scanned of a process that hides its program.
const WHOLE: u64 = 1 << 30;
/// Bytes that are scanned of another one.
const SOME: u64 = 256 << 20;
/// Processes of which is remembered when they were scanned.
const REMEMBERED: usize = 4_096;

/// What the sweep is tied to.
pub(crate) struct Links {
    pub(crate) pool: Arc<Pool>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) meter: Arc<Meter>,
    /// While it is shut no scan begins.
    pub(crate) gate: watch::Receiver<bool>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Sweeps until told to stop.
pub(crate) async fn run(mut links: Links) {
    let mut shutdown = links.shutdown.clone();
    tokio::select! {
        biased;
        _ = shutdown.wait_for(|stop| *stop) => {}
        () = sweep_on(&mut links) => {}
    }
}

/// Sweeps each few minutes, and soon after a new pack.
async fn sweep_on(links: &mut Links) {
    let (mut sweeper, mut last, mut beat) = (Sweeper::default(), None, interval(BEAT));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let pack = links.pool.version();
        if last.is_none_or(|(at, with): (Instant, u64)| at.elapsed() >= SWEEP || with != pack) {
            sweeper.sweep(target::all(), links).await;
            last = Some((Instant::now(), pack));
        }
    }
}

/// Which processes were scanned, and when.
struct Sweeper {
    seen: Recent<Life, Seen>,
    /// By program: when a process of it was scanned last. Who starts process after process holds up no other program.
    programs: Recent<Untrusted, Instant>,
    /// Those of which it was told that they hide, and the pack then.
    told: Recent<Life, u64>,
}

/// A process: its id, and when it was started.
type Life = (u32, u64);

struct Seen {
    at: Instant,
    pack: u64,
    /// Its program then, if that was scanned: it may have begun another one.
    exe: Option<Untrusted>,
    /// Whether a part of it could not be scanned.
    missed: bool,
}

/// A suspect that was found again, and what is told of it.
struct Opened {
    target: Target,
    why: Why,
    process: Process,
    /// Of its program.
    sha256: Option<Sha256>,
}

impl Default for Sweeper {
    fn default() -> Self {
        let (seen, programs) = (Recent::new(REMEMBERED), Recent::new(REMEMBERED));
        Self { seen, programs, told: Recent::new(REMEMBERED) }
    }
}

impl Sweeper {
    async fn sweep(&mut self, pids: Vec<u32>, links: &mut Links) {
        let own = links.pool.pids();
        let Ok(Looked { suspects, closed }) = spawn_blocking(move || look(pids, &own)).await else {
            warn!("looking at processes ended without a result");
            return;
        };
        cover::closed(&links.meter, closed);
        let lives: Vec<Life> = suspects.iter().map(Suspect::life).collect();
        let (due, later) = self.due(suspects, links.pool.version());
        cover::waiting(&links.meter, later);
        let mut opened = Vec::new();
        for suspect in due {
            if let Some(mut one) = open(suspect).await {
                self.announce(&mut one, links).await;
                opened.push(one);
            }
        }
        let mut left = opened.len();
        for one in opened {
            // While scans are held back for long, what hides is told all the same: by the next sweep.
            let is_shut = timeout(SWEEP, links.gate.wait_for(|open| *open)).await.is_err();
            if is_shut {
                break;
            }
            self.examine(one, links).await;
            left -= 1;
        }
        cover::waiting(&links.meter, later.saturating_add(left));
        cover::parts(&links.meter, lives.iter().filter(|life| self.has_missed(life)).count());
    }

    /// Returns those that are to be scanned now, and how many later: first who hides his program, then programs that waited
    /// longest.
    fn due(&self, mut suspects: Vec<Suspect>, pack: u64) -> (Vec<Suspect>, usize) {
        suspects.retain(|suspect| self.is_due(suspect, pack));
        suspects.sort_by_key(|suspect| (!suspect.hides(), self.programs.get(&suspect.exe).copied()));
        let later = suspects.len().saturating_sub(MOST);
        suspects.truncate(MOST);
        (suspects, later)
    }

    fn is_due(&self, suspect: &Suspect, pack: u64) -> bool {
        let is_as_seen = |seen: &Seen| seen.exe.as_ref() == Some(&suspect.exe) && seen.pack == pack;
        let seen = self.seen.get(&suspect.life());
        seen.is_none_or(|seen| !is_as_seen(seen) || seen.at.elapsed() >= AGAIN)
    }

    fn has_missed(&self, life: &Life) -> bool {
        self.seen.get(life).is_some_and(|seen| seen.missed)
    }

    /// Tells at once of one that hides its program, and what that is.
    async fn announce(&mut self, one: &mut Opened, links: &Links) {
        let (life, pack) = ((one.target.pid, one.target.started), links.pool.version());
        let Why::Hides(rule) = one.why.clone() else { return };
        let hits = one.program(&links.pool).await;
        // Its memory may wait long for its scan; it is found anew meanwhile.
        if self.told.get(&life) != Some(&pack) {
            let teller = one.teller(links);
            teller.tell(rule, Inside::default(), Vec::new()).await;
            teller.tell_program(hits).await;
            self.told.put(life, pack);
        }
    }

    async fn examine(&mut self, mut one: Opened, links: &Links) {
        let (pid, exe) = (one.target.pid, one.target.exe.clone());
        info!(pid, %exe, why = ?one.why, "the memory of a process is scanned");
        if one.why == Why::Unnamed {
            let hits = one.program(&links.pool).await;
            one.teller(links).tell_program(hits).await;
        }
        let hides = matches!(one.why, Why::Hides(_));
        let scan = links.pool.scan_memory(&one.target, if hides { WHOLE } else { SOME }, None).await;
        let mut teller = one.teller(links);
        let missed = scan.as_ref().is_some_and(cover::has_missed);
        if let Some(scan) = scan {
            if hides {
                teller.tell_missed(&one.target, &scan).await;
            }
            teller.pack = scan.pack;
            teller.tell_all(scan.scanned.hits).await;
        }
        let (at, pack) = (Instant::now(), teller.pack);
        self.programs.put(exe.clone(), at);
        // What it has begun meanwhile is a matter of the next sweep.
        let exe = one.target.is_same().then_some(exe);
        self.seen.put((pid, one.target.started), Seen { at, pack, exe, missed });
    }
}

/// Finds a suspect again; none if it is gone or runs another program by now.
async fn open(suspect: Suspect) -> Option<Opened> {
    let Suspect { pid, started, exe, why } = suspect;
    let found = spawn_blocking(move || {
        let target = Target::at(pid).ok().filter(|target| target.started == started && target.exe == exe)?;
        let process = Arc::unwrap_or_clone(Who::default().is(pid, || target.runs()));
        Some(Opened { target, why, process, sha256: None })
    });
    found.await.ok()?
}

impl Opened {
    /// Scans its program with all rules for files, while that still can be had.
    async fn program(&mut self, pool: &Pool) -> Vec<Hit> {
        let Some(scan) = program(&self.target, pool).await else { return Vec::new() };
        self.sha256 = scan.sha256;
        scan.scanned.hits
    }

    fn teller<'l>(&self, links: &'l Links) -> Teller<'l> {
        let (process, sha256) = (self.process.clone(), self.sha256);
        Teller { process, sha256, pack: links.pool.version(), reports: &links.reports }
    }
}

/// Scans the program of a process with all rules for files. None: it cannot be had, or not in time.
async fn program(target: &Target, pool: &Pool) -> Option<FileScan> {
    let file = target.program()?;
    timeout(PROGRAM, pool.scan_file(file, &target.exe)).await.ok()
}

/// Tells what was found about one process.
struct Teller<'l> {
    process: Process,
    /// Of its program.
    sha256: Option<Sha256>,
    pack: u64,
    reports: &'l mpsc::Sender<Report>,
}

impl Teller<'_> {
    async fn tell_all(&self, hits: Vec<Hit>) {
        for hit in hits {
            self.tell(hit.rule, hit.inside, hit.excerpts).await;
        }
    }

    /// What is inside the program's file is no place in the memory of the process.
    async fn tell_program(&self, hits: Vec<Hit>) {
        for hit in hits {
            self.tell(hit.rule, Inside::default(), hit.excerpts).await;
        }
    }

    async fn tell(&self, rule: RuleId, inside: Inside, excerpts: Vec<Excerpt>) {
        let (process, sha256) = (self.process.clone(), self.sha256);
        let subject = Subject::Process(ProcessSubject { process, inside, sha256, excerpts });
        let detection = Detection { rule, at: Timestamp::now(), pack: self.pack, subject };
        // The receiver is gone only when the agent stops.
        let _ = self.reports.send(Report::Detection(detection.into())).await;
    }

    /// Tells that the memory of a process that hides its program was not scanned to its end.
    async fn tell_missed(&self, target: &Target, scan: &MemoryScan) {
        let missed =
            scan.unseen.iter().map(|unseen| unseen.why.outcome()).chain([scan.scanned.outcome]).max();
        let Some(outcome) = missed.filter(|outcome| outcome.is_trouble()) else { return };
        let (path, unseen) = (target.exe.clone(), scan.unseen.clone());
        let report = Report::NotScanned { path, outcome, at: Timestamp::now(), unseen };
        let _ = self.reports.send(report).await;
    }
}

#[cfg(test)]
mod tests;
