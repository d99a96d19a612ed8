//! States in the coverage what of the processes is not looked at.
//!
//! What every scan leaves by its limits, and what is swapped out, is no news: it is so on every host. What could not be
//! read all the same is.

use khien_core::{
    asset::{Coverage, Sensor, Sight},
    event::NotSeen,
    reason::Reason,
};
use khien_scan::target::MemoryScan;

use crate::health::Meter;

/// Whether every process can be looked at.
const SCOPE: &str = "memory";
/// Whether all that should be scanned are.
const WAITING: &str = "memory-waiting";
/// Whether those that were scanned were to their end.
const PARTS: &str = "memory-parts";

/// States how many processes may not be looked at.
pub(super) fn closed(meter: &Meter, count: u64) {
    let reason = (count > 0).then_some(Reason::ProcessesClosed { count });
    let sight = if reason.is_some() { Sight::Reduced } else { Sight::Full };
    meter.cover(coverage(SCOPE, sight, reason));
}

/// States how many wait for a later sweep.
pub(super) fn waiting(meter: &Meter, count: usize) {
    say(meter, WAITING, count, |count| Reason::ProcessesWait { count });
}

/// States of how many a part could not be scanned.
pub(super) fn parts(meter: &Meter, count: usize) {
    say(meter, PARTS, count, |count| Reason::ProcessesPartly { count });
}

/// Tells whether a part of a process was missed that no limit explains.
pub(super) fn has_missed(scan: &MemoryScan) -> bool {
    let is_news = |why: NotSeen| !matches!(why, NotSeen::Total | NotSeen::Swapped);
    match scan.unseen.is_empty() {
        true => scan.scanned.outcome.is_trouble(),
        false => scan.unseen.iter().any(|unseen| is_news(unseen.why)),
    }
}

fn say(meter: &Meter, scope: &'static str, count: usize, reason: fn(u64) -> Reason) {
    match count {
        0 => meter.uncover(Sensor::Scan, &scope.into()),
        _ => meter.cover(coverage(scope, Sight::Reduced, Some(reason(count as u64)))),
    }
}

fn coverage(scope: &str, sight: Sight, reason: Option<Reason>) -> Coverage {
    Coverage { sensor: Sensor::Scan, scope: scope.into(), backend: "proc".to_owned(), sight, reason }
}

#[cfg(test)]
mod tests {
    use khien_core::event::{Inside, ScanOutcome, Unseen};
    use khien_rules::Scanned;

    use super::*;

    fn scan(outcome: ScanOutcome, whys: &[NotSeen]) -> MemoryScan {
        let unseen = |why: &NotSeen| Unseen { inside: Inside::default(), why: *why };
        MemoryScan {
            scanned: Scanned { outcome, hits: Vec::new() },
            unseen: whys.iter().map(unseen).collect(),
            read: 1,
            pack: 1,
        }
    }

    #[test]
    fn what_a_limit_leaves_is_no_news_and_what_cannot_be_read_is() {
        use NotSeen::{Swapped, Time, Total, Unreadable};

        assert!(!has_missed(&scan(ScanOutcome::Clean, &[])));
        assert!(!has_missed(&scan(ScanOutcome::Matched, &[Swapped, Total])));
        assert!(has_missed(&scan(ScanOutcome::Matched, &[Swapped, Unreadable])));
        assert!(has_missed(&scan(ScanOutcome::Timeout, &[Time])));
        assert!(has_missed(&scan(ScanOutcome::Crashed, &[])));
    }

    #[test]
    fn what_waits_is_stated_while_something_does() {
        let meter = Meter::default();
        let said = || meter.health(0).coverage.into_iter().map(|c| c.reason).collect::<Vec<_>>();

        waiting(&meter, 3);
        parts(&meter, 0);
        assert_eq!(said(), [Some(Reason::ProcessesWait { count: 3 })]);

        waiting(&meter, 0);
        assert_eq!(said(), []);
    }
}
