//! Moments, and how a Vietnamese reader sees them.
//!
//! All hours of the law are clock hours in `Asia/Ho_Chi_Minh`, which is +07:00 all year (no daylight saving time).

use jiff::{civil::DateTime, tz::Offset};

pub use jiff::{SignedDuration, Timestamp};

/// The offset of `Asia/Ho_Chi_Minh`.
pub const VIETNAM: Offset = Offset::constant(7);

/// Returns the wall-clock date and time in Vietnam.
#[must_use]
pub fn in_vietnam(at: Timestamp) -> DateTime {
    VIETNAM.to_datetime(at)
}

/// Writes a moment as a responder reads it: `22/11/2026 03:07:09`, Vietnam time.
#[must_use]
pub fn shown(at: Timestamp) -> String {
    let t = in_vietnam(at);
    format!(
        "{:02}/{:02}/{:04} {:02}:{:02}:{:02}",
        t.day(),
        t.month(),
        t.year(),
        t.hour(),
        t.minute(),
        t.second()
    )
}

/// Adds seconds, stopping at the ends of time instead of failing.
#[must_use]
pub fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_vietnam_time() {
        let utc: Timestamp = "2026-11-21T20:07:09Z".parse().unwrap();

        assert_eq!(shown(utc), "22/11/2026 03:07:09");
    }
}
