//! What the agent sees and how it is, gathered from every sensor for the heartbeat.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use khien_core::{
    Untrusted,
    asset::{Coverage, Health, IntegrityState, Sensor, WalkProgress},
    event::ScanOutcome,
};
use khien_scan::Gauge;
use tokio::sync::Notify;

/// Counters and coverage that sensors write and the heartbeat reads.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    coverage: Mutex<BTreeMap<(Sensor, Untrusted), Coverage>>,
    scans: Mutex<BTreeMap<ScanOutcome, u64>>,
    walk: Mutex<Option<WalkProgress>>,
    integrity: Mutex<Option<IntegrityState>>,
    /// Wakes the heartbeat when something changed that the team should see at once.
    changed: Notify,
    packets: AtomicU64,
    packets_dropped: AtomicU64,
    pack: AtomicU64,
    backlog: AtomicU64,
}

impl Gauge for Meter {
    fn cover(&self, coverage: Coverage) {
        Meter::cover(self, coverage);
    }

    fn scanned(&self, outcome: ScanOutcome) {
        Meter::scanned(self, outcome);
    }

    fn loaded(&self, pack: u64) {
        Meter::loaded(self, pack);
    }
}

impl Meter {
    /// States what a sensor sees of a scope; the last statement holds.
    pub(crate) fn cover(&self, coverage: Coverage) {
        let key = (coverage.sensor, coverage.scope.clone());
        let mut all = self.coverage.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&key) != Some(&coverage) {
            all.insert(key, coverage);
            self.changed.notify_one();
        }
    }

    /// Takes back what was stated of a scope: it is not there any more.
    pub(crate) fn uncover(&self, sensor: Sensor, scope: &Untrusted) {
        let mut all = self.coverage.lock().unwrap_or_else(PoisonError::into_inner);
        if all.remove(&(sensor, scope.clone())).is_some() {
            self.changed.notify_one();
        }
    }

    /// States how far the walk over all files is.
    pub(crate) fn walks(&self, progress: WalkProgress) {
        *self.walk.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    /// States what is compared with what it was.
    pub(crate) fn keeps(&self, state: IntegrityState) {
        *self.integrity.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// Waits until coverage or pack changed since the last wait.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Counts a scan.
    pub(crate) fn scanned(&self, outcome: ScanOutcome) {
        *self.scans.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    }

    /// Counts packets: seen, and of those that came how many were dropped.
    pub(crate) fn packets(&self, seen: u64, dropped: u64) {
        self.packets.fetch_add(seen, Ordering::Relaxed);
        self.packets_dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// States which pack is loaded.
    pub(crate) fn loaded(&self, pack: u64) {
        self.pack.store(pack, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// States how many records wait in the spool.
    pub(crate) fn waiting(&self, records: u64) {
        self.backlog.store(records, Ordering::Relaxed);
    }

    /// Returns the whole state; `memory` is resident bytes of the agent and its workers.
    pub(crate) fn health(&self, memory: u64) -> Health {
        Health {
            coverage: self
                .coverage
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .cloned()
                .collect(),
            backlog: self.backlog.load(Ordering::Relaxed),
            scans: self.scans.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            packets: self.packets.load(Ordering::Relaxed),
            packets_dropped: self.packets_dropped.load(Ordering::Relaxed),
            pack: self.pack.load(Ordering::Relaxed),
            memory,
            walk: self.walk.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            integrity: self.integrity.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// The most workers whose memory is counted.
const MAX_WORKERS: usize = 64;

/// Returns the resident bytes of this process and of its children, the scan workers.
pub(crate) fn memory() -> u64 {
    let own = resident("/proc/self/statm");
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<u32> = children
        .flat_map(|line| line.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
        .collect();
    own + pids.iter().take(MAX_WORKERS).map(|pid| resident(&format!("/proc/{pid}/statm"))).sum::<u64>()
}

fn resident(statm: &str) -> u64 {
    let text = std::fs::read_to_string(statm).unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
