//! What is counted of one interface, by all threads that have to do with it.

use std::sync::atomic::{AtomicU64, Ordering};

use khien_core::{
    Untrusted,
    asset::{Uncertain, Wire},
};
use khien_traffic::flow::Counts;

use super::loss::Cause;

/// The counters of one interface since start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    packets: AtomicU64,
    bytes: AtomicU64,
    shunted: AtomicU64,
    shunted_bytes: AtomicU64,
    kernel: AtomicU64,
    queue: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
    evicted: AtomicU64,
    forgotten: AtomicU64,
    unowned: AtomicU64,
    uncertain: Doubts,
}

/// What was not certain, as [`Uncertain`] has it.
#[derive(Debug, Default)]
struct Doubts {
    conflicts: AtomicU64,
    resets_ignored: AtomicU64,
    hops_changed: AtomicU64,
    pieces_overlap: AtomicU64,
    pieces_lost: AtomicU64,
    malformed: AtomicU64,
    wrong_checksums: AtomicU64,
    refused: AtomicU64,
    jumps: AtomicU64,
    odd: AtomicU64,
    unclaimed: AtomicU64,
    missing: AtomicU64,
}

/// What was seen of one block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pass {
    /// Packets.
    pub(super) packets: u64,
    /// Bytes of them on the wire.
    pub(super) bytes: u64,
    /// Packets of which not all is looked into.
    pub(super) shunted: u64,
    /// Bytes of them that are not.
    pub(super) shunted_bytes: u64,
}

impl Pass {
    /// Counts a packet of which so many bytes are looked into.
    pub(super) fn count(&mut self, length: u32, taken: usize) {
        let left = u64::from(length).saturating_sub(taken as u64);
        self.packets += 1;
        self.bytes += u64::from(length);
        self.shunted += u64::from(left > 0);
        self.shunted_bytes += left;
    }
}

impl Tally {
    /// Adds what was seen.
    pub(super) fn passed(&self, pass: Pass) {
        self.packets.fetch_add(pass.packets, Ordering::Relaxed);
        self.bytes.fetch_add(pass.bytes, Ordering::Relaxed);
        self.shunted.fetch_add(pass.shunted, Ordering::Relaxed);
        self.shunted_bytes.fetch_add(pass.shunted_bytes, Ordering::Relaxed);
    }

    /// Adds what was lost.
    pub(super) fn lost(&self, cause: Cause, count: u64) {
        let place = match cause {
            Cause::Kernel => &self.kernel,
            Cause::Queue => &self.queue,
            Cause::Busy => &self.busy,
            Cause::Failed => &self.failed,
            Cause::Evicted => &self.evicted,
            Cause::Unowned => &self.unowned,
        };
        place.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds what detectors forgot to make room. On a busy network that is everyday, so it is counted and no alert.
    pub(super) fn forgot(&self, count: u64) {
        self.forgotten.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds what the engine could not be certain of.
    pub(super) fn doubted(&self, counts: &Counts) {
        let all = &self.uncertain;
        for (counter, count) in [
            (&all.conflicts, counts.conflicts),
            (&all.resets_ignored, counts.resets_ignored),
            (&all.hops_changed, counts.hops_changed),
            (&all.pieces_overlap, counts.pieces_overlap),
            (&all.pieces_lost, counts.pieces_lost),
            (&all.malformed, counts.malformed),
            (&all.wrong_checksums, counts.wrong_checksums),
            (&all.refused, counts.refused),
            (&all.jumps, counts.jumps),
            (&all.odd, counts.odd),
            (&all.unclaimed, counts.unclaimed),
            (&all.missing, counts.missing),
        ] {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Returns it as the team sees it.
    pub(super) fn wire(&self, interface: &str, promiscuous: bool) -> Wire {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (kernel, queue) = (of(&self.kernel), of(&self.queue));
        Wire {
            interface: Untrusted::from(interface),
            promiscuous,
            packets: of(&self.packets).saturating_add(kernel).saturating_add(queue),
            bytes: of(&self.bytes),
            kernel,
            queue,
            busy: of(&self.busy),
            failed: of(&self.failed),
            evicted: of(&self.evicted),
            forgotten: of(&self.forgotten),
            unowned: of(&self.unowned),
            shunted: of(&self.shunted),
            shunted_bytes: of(&self.shunted_bytes),
            uncertain: self.uncertain.read(),
        }
    }
}

impl Doubts {
    fn read(&self) -> Uncertain {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Uncertain {
            conflicts: of(&self.conflicts),
            resets_ignored: of(&self.resets_ignored),
            hops_changed: of(&self.hops_changed),
            pieces_overlap: of(&self.pieces_overlap),
            pieces_lost: of(&self.pieces_lost),
            malformed: of(&self.malformed),
            wrong_checksums: of(&self.wrong_checksums),
            refused: of(&self.refused),
            jumps: of(&self.jumps),
            odd: of(&self.odd),
            unclaimed: of(&self.unclaimed),
            missing: of(&self.missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_doubt_is_counted_as_what_it_is() {
        let (tally, mut counts) = (Tally::default(), Counts::default());
        counts.conflicts = 1;
        counts.resets_ignored = 2;
        counts.hops_changed = 3;
        counts.pieces_overlap = 4;
        counts.pieces_lost = 5;
        counts.malformed = 6;
        counts.wrong_checksums = 7;
        counts.odd = 8;
        counts.unclaimed = 9;
        counts.missing = 10;
        counts.refused = 11;
        counts.jumps = 12;

        tally.doubted(&counts);
        tally.doubted(&counts);

        let seen = serde_json::to_value(tally.wire("lo", false).uncertain).unwrap();
        let expected = r#"{"conflicts":2,"resets_ignored":4,"hops_changed":6,"pieces_overlap":8,"pieces_lost":10,"malformed":12,
            "wrong_checksums":14,"odd":16,"unclaimed":18,"missing":20,"refused":22,"jumps":24}"#;
        assert_eq!(seen, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    }
}
