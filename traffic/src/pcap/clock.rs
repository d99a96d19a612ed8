//! What the number beside a packet means as a time.

use khien_core::Timestamp;

const NANOS: u64 = 1_000_000_000;
/// Says that the resolution is a power of two.
const BINARY: u8 = 0x80;

/// How an interface counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    per_second: u64,
    /// Seconds to add.
    offset: i64,
}

impl Clock {
    /// Counts microseconds, which is what is meant where nothing is said.
    pub(super) const MICROS: Self = Self { per_second: 1_000_000, offset: 0 };
    /// Counts nanoseconds.
    pub(super) const NANOS: Self = Self { per_second: NANOS, offset: 0 };

    /// Reads `if_tsresol` and `if_tsoffset`. None: no number has room for what is said.
    pub(super) fn new(resolution: u8, offset: i64) -> Option<Self> {
        let per_second = match resolution & BINARY {
            0 => 10u64.checked_pow(u32::from(resolution))?,
            _ => 1u64.checked_shl(u32::from(resolution & !BINARY))?,
        };
        Some(Self { per_second, offset })
    }

    /// Returns the time that a count means. None: it lies beyond any year.
    pub(super) fn at(self, count: u64) -> Option<Timestamp> {
        let seconds = i64::try_from(count / self.per_second).ok()?.checked_add(self.offset)?;
        self.of(seconds, count % self.per_second)
    }

    /// Returns the time of seconds and a part of one. A part that is larger than a second is carried over.
    pub(super) fn of(self, seconds: i64, part: u64) -> Option<Timestamp> {
        let (more, part) = (part / self.per_second, part % self.per_second);
        let nanos = match part.checked_mul(NANOS) {
            Some(nanos) => nanos / self.per_second,
            None => (u128::from(part) * u128::from(NANOS) / u128::from(self.per_second)) as u64,
        };
        let seconds = seconds.checked_add(i64::try_from(more).ok()?)?;
        Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(resolution: u8, offset: i64, count: u64) -> Option<String> {
        Some(Clock::new(resolution, offset)?.at(count)?.to_string())
    }

    #[test]
    fn a_count_is_a_time_whatever_it_counts() {
        const SAME: &str = "1970-01-01T00:00:01.5Z";
        let same = Some(SAME.to_owned());
        assert_eq!(at(6, 0, 1_500_000), same);
        assert_eq!(at(9, 0, 1_500_000_000), same);
        assert_eq!(at(0, -1, 2), Some("1970-01-01T00:00:01Z".to_owned()));
        assert_eq!(at(19, 0, 15_000_000_000_000_000_000), same);
        assert_eq!(at(BINARY | 1, 0, 3), same);
        assert_eq!(at(BINARY | 63, 1, 1 << 62), same);
        assert_eq!(Clock::MICROS.of(0, 1_500_000).unwrap().to_string(), SAME);
    }

    #[test]
    fn what_no_number_or_year_has_room_for_is_no_time() {
        for (resolution, offset, count) in
            [(20, 0, 0), (BINARY | 64, 0, 0), (0, 0, u64::MAX), (0, i64::MAX, 1), (0, 0, 1 << 60)]
        {
            assert_eq!(at(resolution, offset, count), None, "{resolution} {offset} {count}");
        }
    }
}
