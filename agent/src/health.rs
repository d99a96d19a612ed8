//! What the agent sees and how it is, gathered from every sensor for the heartbeat.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use khien_core::{
    Untrusted,
    asset::{Coverage, Health, IntegrityState, RecordsState, ScanProgress, Sensor, WalkProgress, Wire},
    event::ScanOutcome,
};
use khien_scan::Gauge;
use tokio::sync::Notify;

/// Counters and coverage that sensors write and the heartbeat reads.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    coverage: Mutex<BTreeMap<(Sensor, Untrusted), Coverage>>,
    scans: Mutex<Scans>,
    walk: Mutex<Option<WalkProgress>>,
    integrity: Mutex<Option<IntegrityState>>,
    ordered: Mutex<Option<ScanProgress>>,
    records: Mutex<Option<RecordsState>>,
    /// Wakes the heartbeat when something changed that the team should see at once.
    changed: Notify,
    packets: AtomicU64,
    packets_dropped: AtomicU64,
    wires: Mutex<BTreeMap<Untrusted, Wire>>,
    backlog: AtomicU64,
    /// 0 while others do not need the host.
    percent_while_busy: AtomicU32,
}

/// How scans ended.
#[derive(Debug, Default)]
struct Scans {
    pack: u64,
    /// Since start.
    all: BTreeMap<ScanOutcome, u64>,
    /// What `all` was when the pack took the place of another one.
    before: Option<BTreeMap<ScanOutcome, u64>>,
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

    /// States how far the ordered scan is; none when none goes on.
    pub(crate) fn scans_as_ordered(&self, progress: Option<ScanProgress>) {
        *self.ordered.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// States what is compared with what it was.
    pub(crate) fn keeps(&self, state: IntegrityState) {
        *self.integrity.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// States what is kept of the network.
    pub(crate) fn keeps_records(&self, state: RecordsState) {
        *self.records.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    /// Waits until coverage or pack changed since the last wait.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Counts a scan.
    pub(crate) fn scanned(&self, outcome: ScanOutcome) {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        *scans.all.entry(outcome).or_default() += 1;
    }

    /// Counts packets: seen, and of those that came how many were dropped.
    pub(crate) fn packets(&self, seen: u64, dropped: u64) {
        self.packets.fetch_add(seen, Ordering::Relaxed);
        self.packets_dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// States what came by on an interface since start.
    pub(crate) fn wire(&self, wire: Wire) {
        let mut all = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(wire.interface.clone(), wire);
    }

    /// Takes back all that was stated of an interface: it is not there any more.
    pub(crate) fn forget_wire(&self, interface: &Untrusted) {
        self.uncover(Sensor::Network, interface);
        self.wires.lock().unwrap_or_else(PoisonError::into_inner).remove(interface);
    }

    /// States which pack is loaded.
    pub(crate) fn loaded(&self, pack: u64) {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).loaded(pack);
        self.changed.notify_one();
    }

    /// States how many records wait in the spool.
    pub(crate) fn waiting(&self, records: u64) {
        self.backlog.store(records, Ordering::Relaxed);
    }

    /// States that others need the host, and which percentage of its time a walk may work then; none if they do not.
    pub(crate) fn others_need(&self, percent: Option<u32>) {
        self.percent_while_busy.store(percent.unwrap_or(0), Ordering::Relaxed);
    }

    /// Returns which percentage of its time a walk may work because others need the host; none if they do not.
    pub(crate) fn percent_while_busy(&self) -> Option<u32> {
        Some(self.percent_while_busy.load(Ordering::Relaxed)).filter(|percent| *percent > 0)
    }

    /// Returns the whole state; `memory` is resident bytes of the agent and its workers.
    pub(crate) fn health(&self, memory: u64) -> Health {
        let scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        Health {
            coverage: self
                .coverage
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .cloned()
                .collect(),
            backlog: self.backlog.load(Ordering::Relaxed),
            scans: scans.all.clone(),
            scans_with_pack: scans.with_pack(),
            packets: self.packets.load(Ordering::Relaxed),
            packets_dropped: self.packets_dropped.load(Ordering::Relaxed),
            wires: self.wires.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect(),
            pack: scans.pack,
            memory,
            walk: self.walk.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            integrity: self.integrity.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ordered: self.ordered.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            records: *self.records.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Scans {
    fn loaded(&mut self, pack: u64) {
        let before = std::mem::replace(&mut self.pack, pack);
        if before != 0 && before != pack {
            self.before = Some(self.all.clone());
        }
    }

    /// Returns how scans ended since the pack took the place of another one.
    fn with_pack(&self) -> BTreeMap<ScanOutcome, u64> {
        let Some(before) = &self.before else { return BTreeMap::new() };
        let since = |(outcome, n): (&ScanOutcome, &u64)| {
            (*outcome, n.saturating_sub(before.get(outcome).copied().unwrap_or(0)))
        };
        self.all.iter().map(since).filter(|(_, n)| *n > 0).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_with_a_pack_are_counted_from_when_it_took_the_place_of_another_one() {
        let meter = Meter::default();
        let scanned = |outcome, times| (0..times).for_each(|_| meter.scanned(outcome));
        meter.loaded(1);
        scanned(ScanOutcome::Clean, 5);
        scanned(ScanOutcome::Timeout, 1);
        assert_eq!(meter.health(0).scans_with_pack, BTreeMap::new());

        meter.loaded(2);
        meter.loaded(2);
        scanned(ScanOutcome::Clean, 3);

        let health = meter.health(0);
        assert_eq!((health.pack, health.scans[&ScanOutcome::Clean]), (2, 8));
        assert_eq!(health.scans_with_pack, [(ScanOutcome::Clean, 3)].into());
        meter.loaded(3);
        scanned(ScanOutcome::Timeout, 2);
        assert_eq!(meter.health(0).scans_with_pack, [(ScanOutcome::Timeout, 2)].into());
    }
}
