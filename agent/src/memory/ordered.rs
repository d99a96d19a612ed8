//! Scans the memory of processes that an operator ordered, whether anything about them is odd or not. Who asks says which, one
//! after the other, and counts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{
    Untrusted,
    event::{Inside, ScanOutcome},
    protocol::Report,
};
use khien_scan::{
    Pool,
    target::{self, MemoryScan, NoTarget, Target},
};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
};

use super::{Teller, WHOLE, program};
use crate::watch::process::Who;

/// What a scan of one process needs.
#[derive(Clone)]
pub(crate) struct Examiner {
    pub(crate) pool: Arc<Pool>,
    pub(crate) reports: mpsc::Sender<Report>,
    /// While it is shut no scan begins.
    pub(crate) gate: watch::Receiver<bool>,
}

/// How a look at a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Examined {
    /// It was scanned, or there is a reason why not.
    Scanned {
        /// Its program.
        exe: Untrusted,
        /// How it ended.
        outcome: ScanOutcome,
        /// Something was found in it, and it holds more that could not be looked into.
        partly: bool,
    },
    /// It has no memory of its own: it ended, or is the kernel's.
    Nothing,
    /// It may not be looked at.
    Closed,
}

impl Examiner {
    /// Returns the ids of all processes; none if the host does not even show this one.
    pub(crate) fn all() -> Option<Vec<u32>> {
        Some(target::all()).filter(|pids| pids.contains(&std::process::id()))
    }

    /// Tells whether a process is this one or a worker: they hold the rules themselves.
    pub(crate) fn is_own(&self, pid: u32) -> bool {
        pid == std::process::id() || self.pool.pids().contains(&pid)
    }

    /// Scans a process with the rules that fit memory, and tells what is found. Of one that was `named` it is also told what
    /// was not looked into. Says how long that took, the wait for leave to begin not counted.
    pub(crate) async fn examine(&self, pid: u32, named: bool) -> (Examined, Duration) {
        // The other end is gone only when the agent stops.
        let mut gate = self.gate.clone();
        let _ = gate.wait_for(|open| *open).await;
        let begun = Instant::now();
        (self.scan(pid, named).await, begun.elapsed())
    }

    async fn scan(&self, pid: u32, named: bool) -> Examined {
        let opened = spawn_blocking(move || {
            let target = Target::at(pid)?;
            let process = Arc::unwrap_or_clone(Who::default().is(pid, || target.runs()));
            Ok::<_, NoTarget>((target, process))
        });
        let (target, process) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(NoTarget::Nothing)) => return Examined::Nothing,
            Ok(Err(NoTarget::Refused)) | Err(_) => return Examined::Closed,
        };
        let pack = self.pool.version();
        let mut teller = Teller { process, sha256: None, pack, reports: &self.reports };
        let of_program = self.tell_program(&target, &mut teller).await;
        let scan = self.pool.scan_memory(&target, WHOLE, None).await;
        if scan.is_none() && !of_program.found {
            return Examined::Nothing;
        }
        let of_memory = match scan {
            Some(scan) => tell_memory(&target, scan, (&mut teller, named)).await,
            // It ended after its program was scanned.
            None => Told { found: false, worst: ScanOutcome::Unreadable },
        };
        of_program.and(of_memory).of(target.exe)
    }

    /// Tells whether its program is hidden, and what that is, if it has no name any more.
    async fn tell_program(&self, target: &Target, teller: &mut Teller<'_>) -> Told {
        let hides = target.hides();
        let mut told = Told { found: hides.is_some(), worst: ScanOutcome::Clean };
        if told.found || target.is_unnamed() {
            let scan = program(target, &self.pool).await;
            teller.sha256 = scan.as_ref().and_then(|scan| scan.sha256);
            let (hits, ended) = match scan {
                Some(scan) => (scan.scanned.hits, scan.scanned.outcome),
                None => (Vec::new(), ScanOutcome::Unreadable),
            };
            told = told.and(Told { found: !hits.is_empty(), worst: ended });
            teller.tell_program(hits).await;
        }
        if let Some(rule) = hides {
            teller.tell(rule, Inside::default(), Vec::new()).await;
        }
        told
    }
}

/// What was told of one process.
struct Told {
    /// Whether there was anything.
    found: bool,
    /// The worst that kept from seeing all.
    worst: ScanOutcome,
}

impl Told {
    fn and(self, more: Self) -> Self {
        Self { found: self.found || more.found, worst: self.worst.max(more.worst) }
    }

    fn of(self, exe: Untrusted) -> Examined {
        let partly = self.found && self.worst.is_trouble();
        Examined::Scanned { exe, outcome: if self.found { ScanOutcome::Matched } else { self.worst }, partly }
    }
}

/// Tells what is in the memory of a process.
async fn tell_memory(target: &Target, scan: MemoryScan, (teller, named): (&mut Teller<'_>, bool)) -> Told {
    if named || target.hides().is_some() {
        teller.tell_missed(target, &scan).await;
    }
    let ended = scan.scanned.outcome;
    let worst = scan.unseen.iter().map(|unseen| unseen.why.outcome()).chain([ended]).max();
    let found = !scan.scanned.hits.is_empty();
    teller.pack = scan.pack;
    teller.tell_all(scan.scanned.hits).await;
    Told { found, worst: worst.unwrap_or(ended) }
}
