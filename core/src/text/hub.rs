//! What the hub writes for people: what it saw of agents, and the lines of the timeline.

use super::{Lang, Message, Words, pcap};
use crate::{
    Timestamp, Untrusted,
    asset::Health,
    capture::{Capture, CaptureEnd},
    event::ScanOutcome,
    time,
};

/// What was seen: {scope}: {n} events lost {span}: {cause}
pub const EVENTS_LOST: Message = Message::new("{}: mất {} sự kiện {}: {}", "{}: {} events lost {}: {}");
/// What was seen: {scope}: events lost {span}: {cause}
pub const SOME_EVENTS_LOST: Message =
    Message::new("{}: mất sự kiện, không rõ số lượng, {}: {}", "{}: an unknown number of events lost {}: {}");
/// What was seen: {n} records dropped {span} as the spool was full
pub const SPOOL_FULL: Message =
    Message::new("hàng đợi đầy, bỏ {} bản ghi {}", "spool was full, {} records dropped {}");
/// What was seen: agent did not run {span}
pub const DID_NOT_RUN: Message = Message::new("tác tử không chạy {}", "agent did not run {}");
/// What was seen: nothing heard since {at}
pub const NOTHING_HEARD: Message =
    Message::new("không nghe gì từ {} (giờ Việt Nam)", "nothing heard since {} (Vietnam time)");
/// What was seen: two contents under one number: record {seq} of lane {epoch}
pub const TWO_CONTENTS: Message = Message::new(
    "một số thứ tự có hai nội dung: bản ghi {} của hàng {}",
    "two contents came under one number: record {} of lane {}",
);
/// What was seen: content without its hash: record {seq} of lane {epoch}
pub const OTHER_HASH: Message = Message::new(
    "nội dung không khớp mã băm: bản ghi {} của hàng {}",
    "content does not fit its hash: record {} of lane {}",
);
/// What was seen: more than the agent's share of records or evidence
pub const MORE_THAN_ITS_SHARE: Message = Message::new(
    "gửi bản ghi hoặc chứng cứ nhiều hơn phần của mình; phần vượt chờ ở hàng đợi của tác tử",
    "sends more records or evidence than its share; the rest waits in the agent's spool",
);
/// What was seen: more new alerts than the agent's share, the last by {rule}
pub const MORE_ALERTS_THAN_ITS_SHARE: Message = Message::new(
    "nhiều cảnh báo mới hơn phần của một tác tử, gần nhất theo luật {}",
    "more new alerts than one agent's share, the last by rule {}",
);
/// An interval: from {} until {}
const SPAN: Message = Message::new("từ {} đến {} (giờ Việt Nam)", "from {} until {} (Vietnam time)");

/// A line of the timeline: {alert} {title}: {place}
pub const ALERT_LINE: Message = Message::new("{} {}: {}", "{} {}: {}");
/// A line of the timeline: {what}: {detail}
pub const DETAIL: Message = Message::new("{}: {}", "{}: {}");
/// A line of the timeline: what is found in {file} (SHA-256 {hash}) begins to come
pub const CAPTURE_BEGUN: Message = Message::new(
    "bắt đầu gửi những gì tìm thấy trong {} (SHA-256 {})",
    "what is found in {} (SHA-256 {}) begins to come",
);
/// A line of the timeline: {path} ({size} B, SHA-256 {hash})
pub const EVIDENCE_LINE: Message = Message::new("{} ({} B, SHA-256 {})", "{} ({} B, SHA-256 {})");
/// A line of the timeline: what was kept of evidence {sha256} before did not open any more.
pub const EVIDENCE_SET_ASIDE: Message = Message::new(
    "bản đã lưu của chứng cứ {} không mở được nữa và được để riêng (.damaged); bản vừa nhận thay chỗ nó",
    "what was kept of evidence {} did not open any more and is set aside (.damaged); what came now stands in its place",
);
/// A line of the timeline: late answer to step {step} for {path}: done
pub const LATE_DONE: Message =
    Message::new("trả lời muộn cho bước «{}» về {}: xong", "late answer to step «{}» for {}: done");
/// A line of the timeline: late answer to step {step} for {path}: failed: {reason}
pub const LATE_FAILED: Message = Message::new(
    "trả lời muộn cho bước «{}» về {}: thất bại: {}",
    "late answer to step «{}» for {}: failed: {}",
);
/// A line of the timeline: form {form}, stage {stage}
pub const REPORT_LINE: Message = Message::new("biểu mẫu {}, giai đoạn {}", "form {}, stage {}");

/// A line of the timeline: {file} (SHA-256 {hash}): {packets} packets, {first} to {last}; {alerts} alerts
pub const CAPTURE_LINE: Message =
    Message::new("{} (SHA-256 {}): {} gói tin {}; {} cảnh báo", "{} (SHA-256 {}): {} packets {}; {} alerts");
/// The same of a file without packets: {file} (SHA-256 {hash})
pub const EMPTY_CAPTURE_LINE: Message =
    Message::new("{} (SHA-256 {}): không có gói tin nào", "{} (SHA-256 {}): no packets");
/// After it: with pack {version}
pub const CAPTURE_PACK: Message = Message::new("gói luật {}", "rule pack {}");
/// After it: {n} alerts were left out
pub const CAPTURE_LEFT_OUT: Message =
    Message::new("còn {} cảnh báo không gửi được lên", "{} more alerts were not sent");
/// After it: {what} was not looked at
pub const CAPTURE_GAPS: Message = Message::new("chưa xem được: {}", "not looked at: {}");
/// After it: {a}; {b}
pub const AND: Message = Message::new("{}; {}", "{}; {}");

/// Says an interval as a responder reads it.
#[must_use]
pub fn span(from: Timestamp, until: Timestamp) -> Words {
    SPAN.words_with(&[&time::shown(from), &time::shown(until)])
}

/// Says what was seen of a file of packets: how much, how many alerts, with which pack, and what could not be looked at.
#[must_use]
pub fn capture(file: &Capture, end: &CaptureEnd, alerts: u64, left_out: u64) -> Words {
    let line = match end.first.zip(end.last) {
        Some((first, last)) => {
            CAPTURE_LINE.words_with(&[&file.name, &file.sha256, &end.packets, &span(first, last), &alerts])
        }
        None => EMPTY_CAPTURE_LINE.words_with(&[&file.name, &file.sha256]),
    };
    let left_out = (left_out > 0).then(|| CAPTURE_LEFT_OUT.words_with(&[&left_out]));
    let gaps = pcap::gaps(&end.gaps).map(|gaps| CAPTURE_GAPS.words_with(&[&gaps]));
    let pack = (end.pack > 0).then(|| CAPTURE_PACK.words_with(&[&end.pack]));
    pack.into_iter().chain(left_out).chain(gaps).fold(line, |line, more| AND.words_with(&[&line, &more]))
}

/// Says what an agent lost, over which time, and why.
#[must_use]
pub fn events_lost(scope: &Untrusted, lost: Option<u64>, span: &Words, cause: &Words) -> Words {
    match lost {
        Some(n) => EVENTS_LOST.words_with(&[scope, &n, span, cause]),
        None => SOME_EVENTS_LOST.words_with(&[scope, span, cause]),
    }
}

/// Names how a scan ended.
#[must_use]
pub fn scan_outcome(outcome: ScanOutcome) -> Message {
    match outcome {
        ScanOutcome::Matched => Message::new("có luật khớp", "a rule matched"),
        ScanOutcome::Clean => Message::new("đã quét hết, không luật nào khớp", "scanned, no rule matched"),
        ScanOutcome::Timeout => Message::new("quét quá lâu", "the scan took too long"),
        ScanOutcome::TooLarge => Message::new("tệp quá lớn", "the file is too large"),
        ScanOutcome::Unreadable => Message::new("không đọc được tệp", "the file cannot be read"),
        ScanOutcome::LimitExceeded => {
            Message::new("vượt một giới hạn của lần quét", "a limit of the scan was reached")
        }
        ScanOutcome::Crashed => Message::new("tiến trình quét bị hỏng", "the scan worker died on it"),
        ScanOutcome::SkippedByPolicy => Message::new("bỏ qua theo chính sách", "left out by the policy"),
    }
}

/// Names how a scan ended in a word or two, for a list with numbers.
#[must_use]
pub const fn outcome_name(outcome: ScanOutcome) -> Message {
    match outcome {
        ScanOutcome::Matched => Message::new("khớp", "matched"),
        ScanOutcome::Clean => Message::new("sạch", "clean"),
        ScanOutcome::Timeout => Message::new("quá lâu", "too slow"),
        ScanOutcome::TooLarge => Message::new("quá lớn", "too large"),
        ScanOutcome::Unreadable => Message::new("không đọc được", "unreadable"),
        ScanOutcome::LimitExceeded => Message::new("vượt giới hạn", "over a limit"),
        ScanOutcome::Crashed => Message::new("làm hỏng tiến trình quét", "killed the worker"),
        ScanOutcome::SkippedByPolicy => Message::new("bỏ qua theo chính sách", "left out by policy"),
    }
}

/// Lists how many scans ended in which way: `khớp 1, sạch 20, quá lớn 2`.
#[must_use]
pub fn outcomes<'a>(counts: impl IntoIterator<Item = (&'a ScanOutcome, &'a u64)>, lang: Lang) -> String {
    let one = |(outcome, n): (&ScanOutcome, &u64)| format!("{} {n}", outcome_name(*outcome).get(lang));
    counts.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Says how an agent's scans ended since its start, and with its pack if another one was loaded before.
#[must_use]
pub fn scans(health: &Health, lang: Lang) -> String {
    let all = outcomes(&health.scans, lang);
    match outcomes(&health.scans_with_pack, lang) {
        with_pack if with_pack.is_empty() => all,
        with_pack => WITH_PACK.with(lang, &[&all, &health.pack, &with_pack]),
    }
}

const WITH_PACK: Message = Message::new("{}; với gói luật {}: {}", "{}; with pack {}: {}");

/// Says who did something: people by their names, programs in the reader's language.
#[must_use]
pub fn who(who: &str, lang: Lang) -> String {
    match (who, who.strip_prefix("agent ")) {
        ("hub", _) => HUB.get(lang).to_owned(),
        (_, Some(host)) => AGENT_OF.with(lang, &[&host]),
        (person, None) => person.to_owned(),
    }
}

const HUB: Message = Message::new("trung tâm", "hub");
const AGENT_OF: Message = Message::new("tác tử {}", "agent {}");
