//! Spans of time as a reader says them.

use khien_core::{
    Lang, Timestamp,
    text::tui as t,
    time::{SignedDuration, in_vietnam, shown},
};

/// Says how long ago something was: `12 giây`, `5 phút`, `3 giờ 2 phút`, `4 ngày 1 giờ`.
pub(super) fn age(since: Timestamp, now: Timestamp, lang: Lang) -> String {
    let secs = since.duration_until(now).as_secs().max(0);
    match (secs / 60, secs / 3600) {
        (0, _) => t::SECONDS.with(lang, &[&secs]),
        (minutes, 0) => t::MINUTES.with(lang, &[&minutes]),
        (minutes, hours) if hours < 48 => t::HOURS_MINUTES.with(lang, &[&hours, &(minutes % 60)]),
        (_, hours) => t::DAYS_HOURS.with(lang, &[&(hours / 24), &(hours % 24)]),
    }
}

/// Says what is left of a deadline: `còn 23 giờ 41 phút`, `quá hạn 12 phút 3 giây`.
pub(super) fn left(remaining: SignedDuration, lang: Lang) -> String {
    let secs = remaining.as_secs().unsigned_abs();
    let span = match secs / 3600 {
        0 => t::MINUTES_SECONDS.with(lang, &[&(secs / 60), &(secs % 60)]),
        hours => t::HOURS_MINUTES.with(lang, &[&hours, &(secs / 60 % 60)]),
    };
    match remaining.is_negative() {
        true => t::OVERDUE.with(lang, &[&span]),
        false => t::LEFT.with(lang, &[&span]),
    }
}

/// Writes a moment in eight cells: the hour today, else the day.
pub(super) fn brief(at: Timestamp, now: Timestamp) -> String {
    let (there, here) = (in_vietnam(at), in_vietnam(now));
    match there.date() == here.date() {
        true => format!("{:02}:{:02}:{:02}", there.hour(), there.minute(), there.second()),
        false => format!("{:02}/{:02}/{:02}", there.day(), there.month(), there.year().rem_euclid(100)),
    }
}

/// Writes the hour of a moment.
pub(super) fn hour(at: Timestamp) -> String {
    shown(at).split_off(11)
}

/// Writes a moment in fourteen cells: day, month, hour.
pub(super) fn medium(at: Timestamp) -> String {
    let text = shown(at);
    format!("{} {}", &text[..5], &text[11..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_said_in_words() {
        let of = |secs| left(SignedDuration::from_secs(secs), Lang::Vi);

        assert_eq!(of(23 * 3600 + 41 * 60 + 5), "còn 23 giờ 41 phút");
        assert_eq!(of(125), "còn 2 phút 5 giây");
        assert_eq!(of(-3720), "QUÁ HẠN 1 giờ 2 phút");
    }

    #[test]
    fn an_age_is_said_in_words() {
        let of = |secs| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(secs).unwrap(), Lang::En);

        assert_eq!([of(-5), of(59), of(60)], ["0 s", "59 s", "1 min"]);
        assert_eq!([of(3 * 3600 + 120), of(100 * 3600)], ["3 h 2 min", "4 d 4 h"]);
    }
}
