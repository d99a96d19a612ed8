//! What was lost on one interface, told at most every [`INTERVAL`] as one interval with a start, an end and counts.

use std::collections::BTreeMap;

use khien_core::{Timestamp, Untrusted, protocol::Report, reason::Reason, time::SignedDuration};

/// How long losses are gathered before they are told.
pub(super) const INTERVAL: SignedDuration = SignedDuration::from_secs(10);

/// Why something was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The kernel found the ring full.
    Kernel,
    /// The queue was full.
    Queue,
    /// Too many pieces of streams waited for a scan.
    Busy,
    /// A scan did not come to its end.
    Failed,
    /// A conversation was forgotten to make room.
    Evicted,
}

/// The losses of one interface that were not told yet.
#[derive(Debug)]
pub(super) struct Losses {
    scope: Untrusted,
    from: Option<Timestamp>,
    counts: BTreeMap<Cause, u64>,
}

impl Losses {
    /// Begins with none.
    pub(super) fn new(interface: &str) -> Self {
        Self { scope: Untrusted::from(interface), from: None, counts: BTreeMap::new() }
    }

    /// Adds what was lost.
    pub(super) fn add(&mut self, cause: Cause, count: u64, now: Timestamp) {
        if count > 0 {
            self.from.get_or_insert(now);
            *self.counts.entry(cause).or_default() += count;
        }
    }

    /// Returns the report if it is due, and begins anew.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Report> {
        let from = self.from.filter(|from| now.duration_since(*from) >= INTERVAL)?;
        let counts = std::mem::take(&mut self.counts);
        self.from = None;
        let of = |cause| counts.get(&cause).copied().unwrap_or(0);
        Some(Report::Blind {
            scope: self.scope.clone(),
            cause: Reason::PacketsLost {
                kernel: of(Cause::Kernel),
                queue: of(Cause::Queue),
                busy: of(Cause::Busy),
                failed: of(Cause::Failed),
                evicted: of(Cause::Evicted),
            },
            from,
            until: now,
            lost: Some(counts.values().sum()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_as_one_interval_with_counts() {
        let start: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let mut losses = Losses::new("eth0");
        losses.add(Cause::Queue, 0, start);
        assert_eq!(losses.due(start + INTERVAL), None);

        losses.add(Cause::Kernel, 3, start);
        losses.add(Cause::Queue, 4, start);
        losses.add(Cause::Kernel, 2, start);
        assert_eq!(losses.due(start), None);

        let told = losses.due(start + INTERVAL);
        let cause = Reason::PacketsLost { kernel: 5, queue: 4, busy: 0, failed: 0, evicted: 0 };
        let scope = Untrusted::from("eth0");
        let until = start + INTERVAL;
        assert_eq!(told, Some(Report::Blind { scope, cause, from: start, until, lost: Some(9) }));
        assert_eq!(losses.due(start + INTERVAL * 2), None);
    }
}
