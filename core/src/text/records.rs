//! How far back records of the network reach, and how far they will.

use super::{Lang, Message};
use crate::{asset::RecordsState, time};

/// Labels them.
pub const RECORDS: Message = Message::new("Bản ghi mạng", "Records");
const SINCE: Message = Message::new("từ {}", "since {}");
const NONE: Message = Message::new("chưa có", "none yet");
const ROOM: Message = Message::new("{} trên {} MiB, tối đa {} ngày", "{} of {} MiB, for at most {} days");
const LASTS: Message = Message::new(
    "với lưu lượng 24 giờ qua, dung lượng đủ khoảng {} ngày",
    "at the rate of the last 24 hours there is room for about {} days",
);
const LASTS_LESS: Message = Message::new(
    "với lưu lượng 24 giờ qua, dung lượng không đủ một ngày",
    "at the rate of the last 24 hours there is room for less than a day",
);
const UNKNOWN: Message = Message::new(
    "chưa biết dung lượng đủ bao nhiêu ngày",
    "for how many days there is room is not known yet",
);
const SHORT: Message = Message::new(
    "ÍT HƠN {} ngày mà chính sách yêu cầu: tăng `mib` trong [network.records] hoặc giới hạn trên máy này",
    "LESS than the {} days that the policy wants: raise `mib` of [network.records], or the bounds of this host",
);

/// Says how far back they reach, how much there is room for, and plainly if that is less than the policy wants. Times are
/// Vietnam time.
#[must_use]
pub fn kept(state: &RecordsState, lang: Lang) -> String {
    let since =
        state.since.map_or_else(|| NONE.get(lang).to_owned(), |at| SINCE.with(lang, &[&time::shown(at)]));
    let room = ROOM.with(lang, &[&state.bytes.div_ceil(1 << 20), &(state.limit >> 20), &state.days]);
    let lasts = match state.lasts_days {
        None => UNKNOWN.get(lang).to_owned(),
        Some(0) => LASTS_LESS.get(lang).to_owned(),
        Some(days) => LASTS.with(lang, &[&days]),
    };
    let short = state.is_short().then(|| SHORT.with(lang, &[&state.policy_days]));
    [since, room, lasts].into_iter().chain(short).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn it_is_said_plainly_when_records_will_not_reach_as_far_as_the_policy_wants() {
        let begun = RecordsState { limit: 256 << 20, days: 90, policy_days: 90, ..RecordsState::default() };
        let since = Some(Timestamp::UNIX_EPOCH);
        let of = |lasts| RecordsState { since, bytes: 9 << 20, lasts_days: Some(lasts), ..begun };

        assert_eq!(
            kept(&begun, Lang::En),
            "none yet; 0 of 256 MiB, for at most 90 days; for how many days there is room is not known yet"
        );
        assert_eq!(
            kept(&of(90), Lang::En),
            "since 01/01/1970 07:00:00; 9 of 256 MiB, for at most 90 days; \
             at the rate of the last 24 hours there is room for about 90 days"
        );
        assert!(kept(&of(89), Lang::En).ends_with(
            "for about 89 days; LESS than the 90 days that the policy wants: raise `mib` of [network.records], \
             or the bounds of this host"
        ));
        assert!(kept(&of(0), Lang::Vi).contains("không đủ một ngày; ÍT HƠN 90 ngày"));
        assert!(kept(&RecordsState { days: 30, ..of(500) }, Lang::En).contains("LESS than the 90 days"));
    }
}
