//! For how long the room will be enough, by how fast it was taken of late.

use khien_core::{Timestamp, time::SignedDuration};

use super::{block::Span, search::begins};

/// What came in this time says how fast the room is taken: a whole day has its busy hours and its quiet ones.
const LATE: SignedDuration = SignedDuration::from_hours(24);
/// Records of less time than this say nothing.
const LEAST: SignedDuration = SignedDuration::from_hours(1);

/// Returns how many bytes a day segments take that are given the newest first, each with what it takes; none if they are of
/// too little time.
pub(super) fn daily(segments: impl IntoIterator<Item = (u64, Option<Span>)>, now: Timestamp) -> Option<u64> {
    let (mut bytes, mut since) = (0u64, now);
    for (takes, span) in segments {
        let Some(span) = span.filter(|(_, last)| now.duration_since(*last) < LATE) else { continue };
        if now.duration_since(since) >= LATE {
            break;
        }
        bytes = bytes.saturating_add(takes);
        since = since.min(begins(span));
    }
    let time = now.duration_since(since);
    let seconds = |span: SignedDuration| u128::from(span.as_secs().unsigned_abs());
    let daily = u128::from(bytes) * seconds(LATE) / seconds(time).max(1);
    (time >= LEAST).then(|| u64::try_from(daily).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_760_000_000 + hours * 3_600).unwrap()
    }

    #[test]
    fn what_was_taken_in_the_last_day_is_what_a_day_takes() {
        let of = |segments: &[(u64, i64, i64)], now| {
            daily(
                segments.iter().map(|(bytes, first, last)| (*bytes, Some((at(*first), at(*last))))),
                at(now),
            )
        };

        assert_eq!(of(&[(100, 0, 12)], 12), Some(200));
        assert_eq!(of(&[(50, 24, 36), (100, 0, 24)], 36), Some(100));
        assert_eq!(
            of(&[(50, 48, 60), (100, 24, 48), (9_000, 0, 24)], 60),
            Some(100),
            "of before yesterday nothing counts"
        );
        assert_eq!(of(&[(50, 100, 102), (9_000, 0, 24)], 102), Some(600), "nor does a time without an agent");
        assert_eq!(of(&[(50, 0, 0)], 0), None, "too little time");
        assert_eq!(of(&[], 0), None);
        assert_eq!(daily([(50, None)], at(0)), None);
        assert_eq!(of(&[(50, 7, 9)], 0), None, "the clock was set back");
    }
}
