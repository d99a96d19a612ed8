//! How far a walk over the watched folders is, and a scan that an operator ordered.

use super::{Lang, Message, hub};
use crate::{
    asset::{ScanProgress, WalkProgress},
    order::{Counted, MOST_MISSED, Missed, ScanEnd, ScanTotals},
    time,
};

const COUNTING: Message =
    Message::new("đang rà soát tệp: {}, đã quét {}", "looking through files: {} so far, {} scanned");
const GOING_ON: Message = Message::new(
    "đang rà soát tệp: {} trong khoảng {}, đã quét {}",
    "looking through files: {} of about {}, {} scanned",
);
const ENDED: Message =
    Message::new("đã rà soát {} tệp, quét {}, xong lúc {}", "looked through {} files, {} scanned, ended {}");
/// About when it ends.
const ENDS: Message = Message::new(", xong khoảng {}", ", ends about {}");
/// Folders that could not be read.
const UNREAD: Message = Message::new(", {} thư mục không đọc được", ", {} folders cannot be read");
/// Files that had their turn though they are as they were, and in how many walks all have it.
const AGAIN: Message = Message::new(
    ", đọc lại {} tệp không đổi (tất cả trong {} lượt)",
    ", {} unchanged ones read again (all of them in {} walks)",
);
/// Of those, the ones that hold something else.
const ALTERED: Message = Message::new(
    ", {} tệp đổi nội dung mà kích thước, thời gian, inode vẫn như cũ",
    ", {} hold something else under the same size, times and inode",
);

/// An ordered scan that goes on: path, totals, the latest end.
const ORDERED: Message = Message::new(
    "đang quét theo lệnh {}: {}; muộn nhất đến {}",
    "scanning {} as ordered: {}; until {} at the latest",
);
/// An ordered scan of memory that goes on: totals, the latest end.
const ORDERED_MEMORY: Message = Message::new(
    "đang quét bộ nhớ tiến trình theo lệnh: {}; muộn nhất đến {}",
    "scanning the memory of processes as ordered: {}; until {} at the latest",
);
/// Totals of an ordered scan: files looked at, by outcome.
const TOTALS: Message = Message::new("đã xem {} tệp ({})", "{} files looked at ({})");
/// Totals of an ordered scan of memory: processes looked at, by outcome.
const TOTAL_PROCESSES: Message = Message::new("đã xem {} tiến trình ({})", "{} processes looked at ({})");
/// Something was found, and there is more: how many.
const PARTLY: Message =
    Message::new(", {} trong số khớp còn phần chưa quét", ", {} of what matched hold something not scanned");
/// Processes without memory: how many.
const WITHOUT_MEMORY: Message = Message::new(
    ", {} đã kết thúc hoặc là của nhân, không có bộ nhớ",
    ", {} ended meanwhile or are the kernel's and have no memory",
);
/// The agent and its workers: how many.
const OWN: Message =
    Message::new(", bỏ qua {} tiến trình của chính tác tử", ", {} of the agent itself passed by");
/// Not scanned: path, why.
const MISSED: Message = Message::new("{}: {}", "{}: {}");
/// Not scanned: process, program, why.
const MISSED_PROCESS: Message = Message::new("{} {}: {}", "{} {}: {}");
/// There may be more than are named.
const MISSED_MORE: Message = Message::new("và những chỗ khác", "and others");
const KNOWN: Message = Message::new("sạch từ trước {}", "known as clean {}");
const GONE: Message = Message::new("biến mất {}", "gone {}");
const LINKS: Message = Message::new(", {} liên kết không theo", ", {} links not followed");

/// Says how far it is. Times are Vietnam time.
#[must_use]
pub fn progress(walk: &WalkProgress, lang: Lang) -> String {
    let WalkProgress { ended, looked, of, scanned, unread, ends, again, .. } = walk;
    let mut said = match (ended, of) {
        (Some(at), _) => ENDED.with(lang, &[looked, scanned, &time::shown(*at)]),
        (None, 0) => COUNTING.with(lang, &[looked, scanned]),
        (None, of) => GOING_ON.with(lang, &[looked, of, scanned]),
    };
    if let Some(at) = ends.filter(|_| ended.is_none()) {
        said.push_str(&ENDS.with(lang, &[&time::shown(at)]));
    }
    if *unread > 0 {
        said.push_str(&UNREAD.with(lang, &[unread]));
    }
    if let Some(again) = again.filter(|again| again.files > 0) {
        said.push_str(&AGAIN.with(lang, &[&again.files, &again.walks]));
    }
    if let Some(altered) = again.map(|again| again.altered).filter(|altered| *altered > 0) {
        said.push_str(&ALTERED.with(lang, &[&altered]));
    }
    said
}

/// Says how far an ordered scan is.
#[must_use]
pub fn ordered(scan: &ScanProgress, lang: Lang) -> String {
    let (met, until) = (totals(&scan.totals, lang), time::shown(scan.until));
    match scan.totals.of {
        Counted::Files => ORDERED.with(lang, &[&scan.path, &met, &until]),
        Counted::Processes => ORDERED_MEMORY.with(lang, &[&met, &until]),
    }
}

/// Says what an ordered scan met.
#[must_use]
pub fn totals(totals: &ScanTotals, lang: Lang) -> String {
    let more = [(KNOWN, totals.known), (GONE, totals.gone)];
    let more = more.into_iter().filter(|(_, n)| *n > 0).map(|(message, n)| message.with(lang, &[&n]));
    let outcomes = Some(hub::outcomes(&totals.outcomes, lang)).filter(|said| !said.is_empty());
    let counts: Vec<String> = outcomes.into_iter().chain(more).collect();
    let counts = if counts.is_empty() { "–".to_owned() } else { counts.join(", ") };
    let line = match totals.of {
        Counted::Files => TOTALS,
        Counted::Processes => TOTAL_PROCESSES,
    };
    let mut said = line.with(lang, &[&totals.looked(), &counts]);
    let beside = [
        (PARTLY, totals.partly),
        (LINKS, totals.links),
        (UNREAD, totals.unread),
        (WITHOUT_MEMORY, totals.without_memory),
        (OWN, totals.own),
    ];
    for (message, n) in beside {
        if n > 0 {
            said.push_str(&message.with(lang, &[&n]));
        }
    }
    said
}

/// Names what an ordered scan did not scan to its end, one line each; nothing if it missed nothing.
#[must_use]
pub fn missed(totals: &ScanTotals, lang: Lang) -> Vec<String> {
    let line = |missed: &Missed| {
        let why = hub::outcome_name(missed.why).get(lang);
        match missed.pid {
            Some(pid) => MISSED_PROCESS.with(lang, &[&pid, &missed.path, &why]),
            None => MISSED.with(lang, &[&missed.path, &why]),
        }
    };
    let more = (totals.missed.len() >= MOST_MISSED).then(|| MISSED_MORE.get(lang).to_owned());
    totals.missed.iter().map(line).chain(more).collect()
}

/// Says why an ordered scan ended. That all was looked at is said only where all of it was scanned.
#[must_use]
pub fn ended(why: ScanEnd, totals: &ScanTotals) -> Message {
    match why {
        ScanEnd::Whole if totals.is_whole() => Message::new("đã xem hết", "all was looked at"),
        ScanEnd::Whole => Message::new(
            "đã đi hết, nhưng có phần chưa quét được",
            "it went to the end, but not all could be scanned",
        ),
        ScanEnd::Bound => Message::new(
            "dừng ở số tệp tối đa, phần còn lại chưa xem",
            "ended at the most files, the rest was not looked at",
        ),
        ScanEnd::Expired => Message::new(
            "dừng vì lệnh ủy quyền hết hạn, phần còn lại chưa xem",
            "ended as the mandate expired, the rest was not looked at",
        ),
        ScanEnd::Cut => Message::new(
            "thư mục quá rộng, có phần chưa xem",
            "the tree was too wide, a part was not looked at",
        ),
        ScanEnd::Cancelled => Message::new(
            "dừng vì có người hủy, phần còn lại chưa xem",
            "cancelled, the rest was not looked at",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OrderId, Timestamp, asset::ReadAgain, event::ScanOutcome};

    #[test]
    fn a_walk_says_how_far_it_is_and_when_it_ended() {
        let begun = WalkProgress { looked: 40, scanned: 3, ..WalkProgress::begun(Timestamp::UNIX_EPOCH) };
        let counted = WalkProgress { of: 100, ..begun.clone() };
        let ends = WalkProgress { ends: Some(Timestamp::UNIX_EPOCH), unread: 2, ..counted.clone() };
        let ended = WalkProgress { ended: Some(Timestamp::UNIX_EPOCH), ..ends.clone() };
        let again = |altered| Some(ReadAgain { walks: 64, files: 2, altered });
        let [read, found] = [0, 1].map(|n| WalkProgress { again: again(n), ..begun.clone() });

        assert_eq!(progress(&begun, Lang::En), "looking through files: 40 so far, 3 scanned");
        assert_eq!(progress(&counted, Lang::Vi), "đang rà soát tệp: 40 trong khoảng 100, đã quét 3");
        assert_eq!(
            progress(&ends, Lang::En),
            "looking through files: 40 of about 100, 3 scanned, ends about 01/01/1970 07:00:00, 2 folders cannot be read"
        );
        assert_eq!(
            progress(&ended, Lang::En),
            "looked through 40 files, 3 scanned, ended 01/01/1970 07:00:00, 2 folders cannot be read"
        );
        assert_eq!(
            progress(&read, Lang::En),
            "looking through files: 40 so far, 3 scanned, 2 unchanged ones read again (all of them in 64 walks)"
        );
        assert_eq!(
            progress(&found, Lang::Vi),
            "đang rà soát tệp: 40, đã quét 3, đọc lại 2 tệp không đổi (tất cả trong 64 lượt), \
             1 tệp đổi nội dung mà kích thước, thời gian, inode vẫn như cũ"
        );
    }

    #[test]
    fn an_ordered_scan_says_each_outcome_and_what_it_did_not_look_at() {
        let outcomes =
            [(ScanOutcome::Matched, 1), (ScanOutcome::Clean, 20), (ScanOutcome::TooLarge, 2)].into();
        let met = ScanTotals { outcomes, known: 5, gone: 1, links: 3, unread: 1, ..ScanTotals::default() };
        let (since, until) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let (order, path) = (OrderId([1; 16]), "/srv/a\u{1b}".into());
        let none = ScanProgress { order, path, since, until, totals: ScanTotals::default() };

        assert_eq!(
            totals(&met, Lang::En),
            "29 files looked at (matched 1, clean 20, too large 2, known as clean 5, gone 1), 3 links not followed, 1 folders cannot be read"
        );
        assert_eq!(
            ordered(&none, Lang::Vi),
            "đang quét theo lệnh /srv/a\\u{1b}: đã xem 0 tệp (–); muộn nhất đến 01/01/1970 07:00:00"
        );
    }

    #[test]
    fn a_scan_of_memory_says_which_processes_it_did_not_scan() {
        let outcomes = [(ScanOutcome::Matched, 1), (ScanOutcome::Unreadable, 1)].into();
        let missed = vec![Missed::process(812, &"/usr/sbin/a\u{1b}".into(), ScanOutcome::Unreadable)];
        let more = ScanTotals { partly: 1, without_memory: 90, own: 2, ..ScanTotals::of(Counted::Processes) };
        let met = ScanTotals { outcomes, missed, ..more };

        assert_eq!(
            totals(&met, Lang::En),
            "2 processes looked at (matched 1, unreadable 1), 1 of what matched hold something not scanned, \
             90 ended meanwhile or are the kernel's and have no memory, 2 of the agent itself passed by"
        );
        assert_eq!(super::missed(&met, Lang::En), ["812 /usr/sbin/a\\u{1b}: unreadable"]);
    }

    #[test]
    fn all_is_said_only_where_all_was_scanned() {
        let (whole, less) = (ScanTotals::default(), ScanTotals { unread: 1, ..ScanTotals::default() });

        assert_eq!(ended(ScanEnd::Whole, &whole).get(Lang::En), "all was looked at");
        assert_eq!(
            ended(ScanEnd::Whole, &less).get(Lang::En),
            "it went to the end, but not all could be scanned"
        );
    }
}
