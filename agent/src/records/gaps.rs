//! The times of which records are missing, as few as an answer has room for: an interface may come and go all day.

use khien_core::order::{GapCause, MOST_GAPS, RecordGap};

/// Why nothing is written down from some moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The agent ends.
    Stopped,
    /// Nothing is seen there.
    Blind,
}

impl Why {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Blind => "blind",
        }
    }

    pub(super) fn read(word: &str) -> GapCause {
        match word {
            "stopped" => GapCause::Stopped,
            "blind" => GapCause::Blind,
            "died" => GapCause::Died,
            _ => GapCause::Other,
        }
    }
}

/// The newest gaps, and before them one that covers all older ones: never less than there is.
#[derive(Debug, Default)]
pub(super) struct Few(Vec<RecordGap>);

impl Few {
    /// Adds one; they come the oldest first.
    pub(super) fn add(&mut self, gap: RecordGap) {
        self.0.push(gap);
        // Not each time, so that many cost little.
        if self.0.len() >= 2 * MOST_GAPS {
            self.fold();
        }
    }

    /// Returns them, at most as many as an answer takes.
    pub(super) fn into_all(mut self) -> Vec<RecordGap> {
        self.fold();
        self.0
    }

    fn fold(&mut self) {
        let Some(over) = self.0.len().checked_sub(MOST_GAPS).filter(|over| *over > 0) else { return };
        let oldest = self.0.drain(..=over);
        let one = oldest.reduce(|one, next| RecordGap {
            since: one.since.min(next.since),
            until: one.until.max(next.until),
            why: GapCause::Several,
            scope: None,
        });
        self.0.splice(..0, one);
    }
}

#[cfg(test)]
mod tests {
    use khien_core::Timestamp;

    use super::*;

    #[test]
    fn of_many_gaps_the_newest_are_told_and_the_others_as_one_that_covers_them() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let gap = |n: i64| RecordGap {
            since: at(10 * n),
            until: at(10 * n + 5),
            why: GapCause::Blind,
            scope: Some("eth0".into()),
        };
        let mut few = Few::default();
        (0..1_000).for_each(|n| few.add(gap(n)));

        let told = few.into_all();

        assert_eq!(told.len(), MOST_GAPS);
        let newest = 1_000 - MOST_GAPS as i64 + 1;
        assert_eq!(told[1..], (newest..1_000).map(gap).collect::<Vec<_>>());
        let before =
            RecordGap { since: at(0), until: gap(newest - 1).until, why: GapCause::Several, scope: None };
        assert_eq!(told[0], before);
    }
}
