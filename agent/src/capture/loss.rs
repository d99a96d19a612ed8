//! What was lost on one interface, told at most as often as the policy says, as one interval with a start, an end and counts.

use std::{collections::BTreeMap, sync::Arc};

use khien_core::{
    Timestamp, Untrusted,
    policy::{Policy, network::Loss},
    protocol::Report,
    reason::Reason,
    time::SignedDuration,
};
use tokio::sync::watch;

use crate::records;

/// Why something was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The kernel found the ring full.
    Kernel,
    /// The queue was full.
    Queue,
    /// Too much waited: pieces and files for a scan, or findings for somebody who takes them.
    Busy,
    /// A scan did not come to its end.
    Failed,
    /// A conversation was forgotten to make room.
    Evicted,
    /// Too many flows were new to look for the process of each, or too many findings to wait for it.
    Unowned,
}

/// The losses of one interface that were not told yet.
#[derive(Debug)]
pub(super) struct Losses {
    scope: Untrusted,
    from: Option<Timestamp>,
    counts: BTreeMap<Cause, u64>,
    /// Packets that came since `from`, the lost ones among them.
    packets: u64,
}

impl Losses {
    /// Begins with none.
    pub(super) fn new(interface: &str) -> Self {
        Self { scope: Untrusted::from(interface), from: None, counts: BTreeMap::new(), packets: 0 }
    }

    /// Adds what was lost.
    pub(super) fn add(&mut self, cause: Cause, count: u64, now: Timestamp) {
        if count > 0 {
            self.from.get_or_insert(now);
            *self.counts.entry(cause).or_default() += count;
        }
    }

    /// Hears how many packets came: by that the share of the lost ones is told.
    pub(super) fn came(&mut self, packets: u64) {
        self.packets = self.packets.saturating_add(packets);
    }

    /// Returns the report if it is due and worth an alert, and begins anew.
    pub(super) fn due(&mut self, now: Timestamp, policy: Loss) -> Option<Report> {
        let interval = SignedDuration::from_secs(policy.seconds.get().into());
        // A clock that was set back must not keep them untold until it has caught up.
        match self.from {
            Some(from) if now.duration_since(from).abs() < interval => None,
            _ => self.rest(now, policy),
        }
    }

    /// Returns what was not told yet, if it is worth an alert: nothing comes after it.
    pub(super) fn rest(&mut self, now: Timestamp, policy: Loss) -> Option<Report> {
        let Some(from) = self.from else {
            self.packets = 0;
            return None;
        };
        let (counts, packets) = (std::mem::take(&mut self.counts), std::mem::take(&mut self.packets));
        self.from = None;
        let of = |cause| counts.get(&cause).copied().unwrap_or(0);
        let of_packets = of(Cause::Kernel).saturating_add(of(Cause::Queue));
        let is_little = of_packets <= policy.packets.get().into()
            && of_packets.saturating_mul(policy.one_in.get().into()) < packets;
        // What was not scanned is not clean, and is told however little it is.
        if is_little && counts.keys().all(|cause| matches!(cause, Cause::Kernel | Cause::Queue)) {
            return None;
        }
        Some(Report::Blind {
            scope: self.scope.clone(),
            cause: Reason::PacketsLost {
                kernel: of(Cause::Kernel),
                queue: of(Cause::Queue),
                busy: of(Cause::Busy),
                failed: of(Cause::Failed),
                evicted: of(Cause::Evicted),
                unowned: of(Cause::Unowned),
            },
            from: from.min(now),
            until: now,
            lost: Some(counts.values().sum()),
        })
    }
}

/// Records that were lost and not told yet.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    from: Option<Timestamp>,
    count: u64,
}

impl Unkept {
    /// Adds what was lost.
    pub(super) fn add(&mut self, count: u64, now: Timestamp) {
        if count > 0 {
            self.from.get_or_insert(now);
            self.count = self.count.saturating_add(count);
        }
    }

    /// Returns the report if it is due, and begins anew.
    pub(super) fn due(&mut self, now: Timestamp, policy: Loss) -> Option<Report> {
        let interval = SignedDuration::from_secs(policy.seconds.get().into());
        self.from.filter(|from| now.duration_since(*from).abs() >= interval)?;
        self.rest(now)
    }

    /// Returns what was not told yet.
    pub(super) fn rest(&mut self, now: Timestamp) -> Option<Report> {
        let from = self.from.take()?;
        Some(Report::Blind {
            scope: records::FOLDER.into(),
            cause: Reason::RecordsLost,
            from: from.min(now),
            until: now,
            lost: Some(std::mem::take(&mut self.count)),
        })
    }
}

/// Returns from where on losses are an alert, by the pack that is loaded now.
pub(super) fn threshold(policy: &watch::Receiver<Option<Arc<Policy>>>) -> Loss {
    policy.borrow().as_ref().map_or_else(Loss::default, |policy| policy.network.loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: SignedDuration = SignedDuration::from_secs(10);

    fn usual() -> Loss {
        Loss::default()
    }

    #[test]
    fn losses_are_told_as_one_interval_with_counts() {
        let start: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let mut losses = Losses::new("eth0");
        losses.add(Cause::Queue, 0, start);
        assert_eq!(losses.due(start + INTERVAL, usual()), None);

        losses.add(Cause::Kernel, 3, start);
        losses.add(Cause::Queue, 4, start);
        losses.add(Cause::Kernel, 2, start);
        assert_eq!(losses.due(start, usual()), None);

        let told = losses.due(start + INTERVAL, usual());
        let cause = Reason::PacketsLost { kernel: 5, queue: 4, busy: 0, failed: 0, evicted: 0, unowned: 0 };
        let scope = Untrusted::from("eth0");
        let until = start + INTERVAL;
        assert_eq!(told, Some(Report::Blind { scope, cause, from: start, until, lost: Some(9) }));
        assert_eq!(losses.due(start + INTERVAL * 2, usual()), None);
    }

    #[test]
    fn losses_are_told_though_the_clock_was_set_back() {
        let start: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let now = start - SignedDuration::from_hours(7);
        let mut losses = Losses::new("eth0");
        losses.add(Cause::Kernel, 5, start);

        let Some(Report::Blind { from, until, .. }) = losses.due(now, usual()) else { panic!("not told") };

        assert_eq!((from, until), (now, now));
    }

    #[test]
    fn a_few_packets_of_many_are_no_alert_but_one_piece_not_scanned_is() {
        let start: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let told = |cause, count, packets| {
            let mut losses = Losses::new("eth0");
            losses.add(cause, count, start);
            losses.came(packets);
            losses.due(start + INTERVAL, usual()).is_some()
        };

        assert!(!told(Cause::Kernel, 9, 10_000));
        assert!(told(Cause::Kernel, 10, 10_000));
        assert!(!told(Cause::Queue, 1_000, 2_000_000));
        assert!(told(Cause::Queue, 1_001, 2_000_000));
        assert!(told(Cause::Failed, 1, 2_000_000));
    }

    #[test]
    fn the_policy_says_how_much_is_an_alert_and_how_often() {
        let start: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let policy: Loss = serde_json::from_str(r#"{"one_in": 10, "packets": 50, "seconds": 60}"#).unwrap();
        let told = |count, packets, after| {
            let mut losses = Losses::new("eth0");
            losses.add(Cause::Kernel, count, start);
            losses.came(packets);
            losses.due(start + SignedDuration::from_secs(after), policy).is_some()
        };

        assert!(!told(50, 1_000, 60), "one in twenty, and not more than fifty");
        assert!(told(51, 100_000, 60) && told(10, 100, 60));
        assert!(!told(51, 100_000, 59), "it is gathered for a minute");
    }

    #[test]
    fn lost_records_are_told_as_one_interval_however_few() {
        let start: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let mut unkept = Unkept::default();
        unkept.add(0, start);
        assert_eq!(unkept.rest(start), None);

        unkept.add(3, start);
        unkept.add(4, start + INTERVAL / 2);
        assert_eq!(unkept.due(start + INTERVAL / 2, usual()), None);
        let told = unkept.due(start + INTERVAL, usual());

        let (scope, cause, until) = ("records".into(), Reason::RecordsLost, start + INTERVAL);
        assert_eq!(told, Some(Report::Blind { scope, cause, from: start, until, lost: Some(7) }));
        assert_eq!(unkept.rest(start + INTERVAL), None, "it is told once");
    }

    #[test]
    fn what_is_left_at_the_end_is_told_without_waiting() {
        let start: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let mut losses = Losses::new("eth0");
        assert_eq!(losses.rest(start, usual()), None);
        losses.add(Cause::Failed, 3, start);

        let Some(Report::Blind { lost, .. }) = losses.rest(start, usual()) else { panic!("not told") };

        assert_eq!(lost, Some(3));
        assert_eq!(losses.rest(start, usual()), None, "it is told once");
    }
}
