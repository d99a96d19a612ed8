//! Scans that an operator ordered: of any file or folder of the host, watched or not, and of the memory of processes.
//!
//! They go the way of the walk over everything: one file or process at a time, when nothing else waits for a worker, with a rest
//! after each scan as long as it took, and held back with all other scans while the host is busy. What is found is an alert
//! like any other. Nothing is written down while one goes on: when the agent ends, the next start answers that it was cut
//! off.
//!
//! An order is not above the host: what its sysadmin excludes is not looked at, nor is a mount from the network unless the
//! policy has those watched.

mod files;
mod going;
mod processes;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use khien_core::{
    OrderId, Timestamp,
    mandate::MAX_LIFE,
    order::{ScanEnd, ScanScope, ScanTotals},
    policy::Policy,
    reason::Reason,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};
use tracing::info;

use self::going::OneScan;
use super::{pace, walker::stopped};
use crate::{
    health::Meter,
    memory::ordered::Examiner,
    scan::{clean::Clean, files::Calm},
};

/// Ordered scans that may wait for the one that goes on.
pub(crate) const WAITING: usize = 8;

/// How a scan ended, or why it could not be.
pub(crate) type Ended = Result<(ScanEnd, ScanTotals), Reason>;

/// A scan that was ordered and accepted.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) order: OrderId,
    pub(crate) scope: ScanScope,
    /// When its mandate was given, and when that expires.
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    /// Becomes true when an operator has it stopped.
    pub(crate) stop: watch::Receiver<bool>,
    /// Set by whoever is first: who begins it, or who answers that it never begins.
    pub(crate) claimed: Arc<AtomicBool>,
    /// Told how it ended; dropped when the agent ends first.
    pub(crate) answer: oneshot::Sender<Ended>,
}

impl Wanted {
    /// Tells whether the caller is the first to claim it.
    pub(crate) fn claim(claimed: &AtomicBool) -> bool {
        !claimed.swap(true, Ordering::AcqRel)
    }
}

/// What the thread works with.
#[derive(Clone)]
pub(crate) struct Scanning {
    pub(crate) calm: mpsc::Sender<Calm>,
    /// What scans memory; none where the sysadmin does not want that.
    pub(crate) memory: Option<Examiner>,
    /// The files that need no second look.
    pub(crate) clean: Arc<Clean>,
    pub(crate) meter: Arc<Meter>,
    /// The version of the loaded pack; 0 is none.
    pub(crate) pack: Arc<AtomicU64>,
    /// The largest file that is scanned, in bytes.
    pub(crate) largest: u64,
    /// The agent's own folder, which is never looked at.
    pub(crate) home: PathBuf,
    /// Folders that the sysadmin of the host excludes.
    pub(crate) excluded: Vec<PathBuf>,
    /// Says whether mounts from the network are looked at.
    pub(crate) policy: watch::Receiver<Option<Arc<Policy>>>,
    pub(crate) runtime: Handle,
    pub(crate) shutdown: watch::Receiver<bool>,
}

impl Scanning {
    /// Starts the thread. It ends after shutdown.
    pub(crate) fn start(self, asked: mpsc::Receiver<Wanted>) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("watch-ordered".to_owned()).spawn(move || self.run(asked))
    }

    fn run(self, mut asked: mpsc::Receiver<Wanted>) {
        pace::give_way();
        while let Some(wanted) = self.next(&mut asked) {
            if !Wanted::claim(&wanted.claimed) {
                continue;
            }
            let ended = self.scan(&wanted);
            self.meter.scans_as_ordered(None);
            if stopped(&self.shutdown) {
                return;
            }
            info!(order = %wanted.order, ?ended, "an ordered scan ended");
            // The receiver is gone only when the agent stops.
            let _ = wanted.answer.send(ended);
        }
    }

    fn next(&self, asked: &mut mpsc::Receiver<Wanted>) -> Option<Wanted> {
        let mut shutdown = self.shutdown.clone();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => None,
                wanted = asked.recv() => wanted,
            }
        })
    }

    fn scan(&self, wanted: &Wanted) -> Ended {
        let now = Timestamp::now();
        let left = left(wanted, now).ok_or(Reason::ExpiredBefore)?;
        if self.pack.load(Ordering::Relaxed) == 0 {
            return Err(Reason::NoPack);
        }
        let mut scan = OneScan::begin(self, wanted, (now, left));
        match &wanted.scope {
            ScanScope::Files(target) => scan.files(target)?,
            ScanScope::Memory(target) => scan.processes(target)?,
        }
        Ok(scan.ended())
    }
}

/// Returns for how long the scan may go on: until its mandate expires, and no longer than that lives, so that an agent
/// whose clock is behind answers in time.
fn left(wanted: &Wanted, now: Timestamp) -> Option<Duration> {
    let life = wanted.expires.duration_since(wanted.issued).min(MAX_LIFE);
    let left = wanted.expires.duration_since(now).min(life);
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests;
