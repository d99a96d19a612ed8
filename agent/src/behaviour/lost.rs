//! What was not judged, since when and how much of it: said at once in the coverage, told as an interval, taken back when
//! all is seen again. Pure.

use khien_core::{Timestamp, reason::Reason, time::SignedDuration};

/// All is seen again when nothing was lost for so long: what the detectors count over a minute is whole again.
const WHOLE_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What is lost at present, if anything.
#[derive(Debug, Default)]
pub(super) struct Lost(Option<Loss>);

#[derive(Debug)]
struct Loss {
    from: Timestamp,
    last: Timestamp,
    count: u64,
    /// Since it was last told.
    untold: u64,
    told: Timestamp,
}

/// So much was lost in this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) count: u64,
}

impl Lost {
    /// Notes that something was lost since a time; a count of 0 is a number that is not known.
    pub(super) fn more(&mut self, since: Timestamp, count: u64, now: Timestamp) {
        let begun = Loss { from: since, last: now, count: 0, untold: 0, told: since };
        let loss = self.0.get_or_insert(begun);
        loss.from = loss.from.min(since);
        loss.last = now;
        loss.count += count;
        loss.untold += count;
    }

    /// Returns what is to be told by now: once a minute, and at the end. A loss of an unknown number is told by the sensor
    /// of files itself.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Interval> {
        let loss = self.0.as_mut()?;
        let is_over = now.duration_since(loss.last) >= WHOLE_AFTER;
        let until = if is_over { loss.last } else { now };
        let is_due = is_over || now.duration_since(loss.told) >= WHOLE_AFTER;
        let interval = (is_due && loss.untold > 0).then_some(Interval {
            from: loss.told.max(loss.from),
            until,
            count: loss.untold,
        });
        if interval.is_some() {
            (loss.untold, loss.told) = (0, now);
        }
        if is_over {
            self.0 = None;
        }
        interval
    }

    /// Returns what the coverage says of it.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.0.as_ref().map(|loss| match loss.count {
            0 => Reason::ActivitiesLost,
            count => Reason::ActivitiesMissed { count },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::at, *};

    #[test]
    fn a_loss_is_in_the_coverage_until_nothing_was_lost_for_a_minute() {
        let mut lost = Lost::default();
        assert_eq!(lost.reason(), None);

        lost.more(at(0), 0, at(500));
        assert_eq!(lost.reason(), Some(Reason::ActivitiesLost));
        assert_eq!(lost.due(at(60_000)), None);
        assert_eq!(lost.reason(), Some(Reason::ActivitiesLost));
        assert_eq!(lost.due(at(60_500)), None);

        assert_eq!(lost.reason(), None);
    }

    #[test]
    fn a_loss_with_a_number_is_told_each_minute_and_at_its_end() {
        let mut lost = Lost::default();
        lost.more(at(0), 3, at(250));
        assert_eq!(lost.due(at(59_000)), None);
        assert_eq!(lost.reason(), Some(Reason::ActivitiesMissed { count: 3 }));
        lost.more(at(59_000), 4, at(60_000));

        assert_eq!(lost.due(at(60_000)), Some(Interval { from: at(0), until: at(60_000), count: 7 }));
        assert_eq!(lost.reason(), Some(Reason::ActivitiesMissed { count: 7 }));
        lost.more(at(61_000), 1, at(61_000));
        assert_eq!(lost.due(at(61_250)), None);
        assert_eq!(lost.due(at(121_000)), Some(Interval { from: at(60_000), until: at(61_000), count: 1 }));
        assert_eq!(lost.reason(), None);
        assert_eq!(lost.due(at(300_000)), None);
    }
}
