//! Words of `khien agent show`, `scan` and `scans`.

use super::{Lang, Message};
use crate::asset::{Uncertain, Wire};

/// Labels: Operating system.
pub const OS: Message = Message::new("Hệ điều hành", "Operating system");
/// Labels: Scans since start.
pub const SCANS: Message = Message::new("Lượt quét từ lúc chạy", "Scans since start");
/// Labels: Walk.
pub const WALK: Message = Message::new("Rà soát", "Walk");
/// Labels: Ordered scan.
pub const ORDERED: Message = Message::new("Quét theo lệnh", "Ordered scan");
/// Labels: Integrity.
pub const INTEGRITY: Message = Message::new("Toàn vẹn", "Integrity");
/// Labels: Packets.
pub const PACKETS: Message = Message::new("Gói tin", "Packets");
/// Says: {} seen, {} dropped
pub const PACKETS_LINE: Message = Message::new("{} đã xem, {} bị mất", "{} seen, {} dropped");
/// Says: {interface}: {} packets, {} MiB, {} lost
const WIRE: Message = Message::new("{}: {} gói, {} MiB, mất {}", "{}: {} packets, {} MiB, {} lost");
/// Says: (kernel {}, agent busy {})
const WIRE_LOST: Message = Message::new(" (nhân bỏ {}, tác tử bận {})", " (kernel {}, agent busy {})");
/// Says: not scanned {}
const WIRE_UNSCANNED: Message = Message::new("; {} phần chưa quét", "; {} pieces not scanned");
/// Says: flows forgotten {}
const WIRE_EVICTED: Message =
    Message::new("; {} luồng bị quên vì hết chỗ", "; {} flows forgotten for lack of room");
/// Says: entries of detectors forgotten {}
const WIRE_FORGOTTEN: Message =
    Message::new("; bộ dò quên {} mục vì hết chỗ", "; {} entries of detectors forgotten for lack of room");
const WIRE_UNOWNED: Message =
    Message::new("; {} luồng không kịp tìm tiến trình", "; no time for the process of {} flows");
/// Says: only counted {} packets, {} MiB
const WIRE_SHUNTED: Message =
    Message::new("; chỉ đếm, không soi: {} gói, {} MiB", "; only counted: {} packets, {} MiB");
/// Says that packets for others are taken, too.
const WIRE_PROMISCUOUS: Message = Message::new("; nhận cả gói của máy khác", "; promiscuous");
/// Introduces what was not certain.
const WIRE_UNCERTAIN: Message = Message::new("; không chắc chắn: {}", "; uncertain: {}");
const CONFLICTS: Message = Message::new("{} bản sao TCP nói khác", "{} TCP copies that contradict");
const RESETS_IGNORED: Message = Message::new("{} lệnh ngắt không ai theo", "{} resets nobody obeys");
const REFUSED: Message = Message::new("{} đoạn TCP ngoài chỗ bên nhận nhận", "{} segments nobody takes");
const JUMPS: Message = Message::new("{} lần luồng nhảy chỗ", "{} jumps of streams");
const HOPS_CHANGED: Message = Message::new("{} gói đổi số chặng", "{} packets of other hops");
const PIECES_OVERLAP: Message = Message::new("{} mảnh chồng nhau", "{} pieces overlap");
const PIECES_LOST: Message = Message::new("{} gói thiếu mảnh", "{} packets lack pieces");
const MALFORMED: Message = Message::new("{} gói hỏng", "{} malformed");
const WRONG_CHECKSUMS: Message = Message::new("{} sai tổng kiểm tra", "{} wrong checksums");
const ODD: Message = Message::new("{} thông điệp hiểu được hai cách", "{} odd messages");
const UNCLAIMED: Message = Message::new("{} gói TCP không thuộc luồng nào", "{} TCP of no flow");
const MISSING: Message = Message::new("{} byte không đi qua", "{} bytes missing");
/// Labels: Blind.
pub const BLIND: Message = Message::new("Lúc bị mù", "Blind");
/// Says that no interval is known.
pub const NEVER_BLIND: Message = Message::new("chưa có lần nào", "never so far");
/// Says: {id} {when}: {what}
pub const BLIND_LINE: Message = Message::new("{} {}: {}", "{} {}: {}");
/// Labels: Path.
pub const PATH: Message = Message::new("Đường dẫn", "Path");
/// Labels: Result.
pub const RESULT: Message = Message::new("Kết quả", "Result");
/// Labels: Order.
pub const ORDER: Message = Message::new("Lệnh", "Order");
/// Labels: Not scanned.
pub const MISSED: Message = Message::new("Chưa quét", "Not scanned");
/// Labels: Stopped by.
pub const STOPPED_BY: Message = Message::new("Người cho dừng", "Stopped by");

/// Lists what is signed: {what}, on {host} of {agency} (agent {id}), good for {n} minutes
pub const SCAN_LINE: Message = Message::new(
    "  {}, trên {} thuộc {} (tác tử {}), hiệu lực {} phút",
    "  {}, on {} of {} (agent {}), good for {} minutes",
);
/// What is scanned: path, the most files.
pub const SCAN_FILES: Message = Message::new("quét {}, tối đa {} tệp", "scan {}, at most {} files");
/// What is scanned: the ids of processes.
pub const SCAN_PIDS: Message =
    Message::new("quét bộ nhớ của tiến trình {}", "scan the memory of the processes {}");
/// What is scanned: every process.
pub const SCAN_PROCESSES: Message =
    Message::new("quét bộ nhớ của mọi tiến trình", "scan the memory of every process");
/// What was scanned, in a list: the ids of processes.
pub const MEMORY_OF: Message = Message::new("bộ nhớ: {}", "memory: {}");
/// What was scanned, in a list: every process.
pub const MEMORY: Message = Message::new("bộ nhớ mọi tiến trình", "memory of every process");
/// Adds that files which are known as clean are scanned too.
pub const SCAN_AGAIN: Message = Message::new(", kể cả tệp đã biết là sạch", ", files known as clean too");
/// Lists what is signed: stop scan {order} on {host} (agent {id})
pub const STOP_LINE: Message =
    Message::new("  dừng lần quét {} trên {} (tác tử {})", "  stop scan {} on {} (agent {})");
/// Adds who had a scan stopped that goes on: {who}
pub const STOPPING: Message = Message::new("{} (đã lệnh dừng: {})", "{} (told to stop by {})");
/// Says what is signed and sent now.
pub const SIGNED: Message =
    Message::new("Lệnh này được ký bằng khóa của bạn:", "This order is signed with your key:");
/// Says how to stop a scan that is waited for: {order}
pub const HOW_TO_STOP: Message = Message::new(
    "Lần quét {}. Để dừng: khien agent scan --cancel {}",
    "Scan {}. To stop it: khien agent scan --cancel {}",
);
/// Something was found: how many.
pub const FOUND: Message = Message::new("Có {} thứ khớp luật", "{} matched");
/// What to do about that.
pub const NEXT_FOUND: Message =
    Message::new("xem cảnh báo: khien alert list", "see the alerts: khien alert list");
/// Not all was scanned: {why}
pub const NOT_ALL: Message = Message::new("chưa quét hết: {}", "not all was scanned: {}");
/// What to do about that: {order}
pub const NEXT_NOT_ALL: Message = Message::new(
    "xem phần chưa quét trong kết quả ở trên; quét lại phần đó, hoặc ra lệnh lần nữa",
    "see above what was not scanned; scan that, or order it once more",
);
/// There is no answer yet.
pub const NO_ANSWER_YET: Message = Message::new("chưa có kết quả", "there is no answer yet");
/// No scan fits: {typed}
pub const NO_SCAN: Message = Message::new("không có lần quét nào là `{}`", "no scan is `{}`");
/// Several scans fit: {typed}
pub const MANY_SCANS: Message = Message::new("`{}` là nhiều lần quét", "`{}` is several scans");
/// What to do about that.
pub const NEXT_SCAN: Message = Message::new("xem mã: khien agent scans", "see the ids: khien agent scans");
/// Says that an ordered scan has not begun.
pub const WAITS: Message = Message::new("chưa bắt đầu", "has not begun");
/// Says why a scan failed: {reason}
pub const FAILED: Message = Message::new("không quét được: {}", "not scanned: {}");
/// What to do about that: {host}
pub const NEXT_FAILED: Message =
    Message::new("xem tác tử đó: khien agent show {}", "look at that agent: khien agent show {}");
/// Says that it was answered without numbers.
pub const DONE: Message = Message::new("xong, không có số liệu", "done, without numbers");
/// Says that waiting ended: {order}
pub const STILL_SCANS: Message =
    Message::new("Chưa xong. Xem: khien agent scans", "Not done yet. Look: khien agent scans");
/// There are none.
pub const NO_SCANS: Message = Message::new("Chưa có lần quét nào theo lệnh.", "No scan was ordered yet.");
/// No agent fits: {typed}
pub const NO_AGENT: Message = Message::new("không có tác tử nào là `{}`", "no agent is `{}`");
/// Several agents fit: {typed}, {ids}
pub const MANY_AGENTS: Message = Message::new("`{}` là nhiều tác tử: {}", "`{}` is several agents: {}");
/// What to do about that.
pub const NEXT_AGENT: Message =
    Message::new("xem tên máy chủ và mã: khien agent list", "see hosts and ids: khien agent list");
/// The path or the bound is none: {why}
pub const BAD_TARGET: Message = Message::new(
    "cần đường dẫn tuyệt đối, không có `..`, và từ 1 đến {} tệp; hoặc từ 1 đến {} tiến trình",
    "an absolute path without `..` is needed, and 1 to {} files; or 1 to {} processes",
);
/// What to do about that.
pub const NEXT_TARGET: Message =
    Message::new("ví dụ: khien agent scan web1 /srv/www", "such as: khien agent scan web1 /srv/www");

/// Help of the commands and their options, as in [`help`](super::help).
pub(super) const HELP: &[(&str, Message)] = &[
    (
        "agent show",
        Message::new(
            "Xem một tác tử: vùng quan sát, kết quả quét theo loại, lúc bị mù, rà soát tới đâu và khi nào xong",
            "Show one agent: coverage, scans by outcome, when it was blind, how far its walk is and when it ends",
        ),
    ),
    (
        "agent show --host",
        Message::new("Tên máy chủ, hoặc đầu mã tác tử", "Host name, or how the agent's id begins"),
    ),
    (
        "agent scan",
        Message::new(
            "Ký lệnh cho một tác tử quét một đường dẫn, có theo dõi hay không, hoặc quét bộ nhớ tiến trình; chờ kết quả",
            "Sign an order that has one agent scan a path, watched or not, or the memory of processes; wait for how it ends",
        ),
    ),
    (
        "agent scan --host",
        Message::new("Tên máy chủ, hoặc đầu mã tác tử", "Host name, or how the agent's id begins"),
    ),
    (
        "agent scan --path",
        Message::new("Tệp hoặc thư mục trên máy chủ đó", "A file or folder on that server"),
    ),
    (
        "agent scan --pid",
        Message::new(
            "Quét bộ nhớ của tiến trình này thay vì tệp, chỉ với luật hợp với bộ nhớ; lặp lại được",
            "Scan the memory of this process instead of files, with the rules that fit memory; may be given again",
        ),
    ),
    (
        "agent scan --processes",
        Message::new(
            "Quét bộ nhớ của mọi tiến trình, trừ tiến trình của chính tác tử",
            "Scan the memory of every process but the agent's own",
        ),
    ),
    (
        "agent scan --cancel",
        Message::new(
            "Dừng lần quét có mã này: tác tử dừng ở tệp hoặc tiến trình kế tiếp",
            "Stop the scan with this id: the agent ends at the next file or process",
        ),
    ),
    ("agent scan --wait", Message::new("Chờ kết quả (mặc định)", "Wait for how it ends (default)")),
    (
        "agent scan --most",
        Message::new(
            "Số tệp được xem, tối đa 10000000",
            "The most files that are looked at, 10000000 at most",
        ),
    ),
    (
        "agent scan --again",
        Message::new(
            "Quét lại cả tệp không đổi từ khi được biết là sạch",
            "Scan files too that are as they were when they were found clean",
        ),
    ),
    (
        "agent scan --minutes",
        Message::new(
            "Số phút lệnh có hiệu lực, tối đa 15; hết hạn thì dừng quét",
            "For how many minutes the order is good, 15 at most; the scan ends with it",
        ),
    ),
    ("agent scans", Message::new("Các lần quét theo lệnh, mới nhất trước", "Ordered scans, newest first")),
];

/// Says what came by on an interface, and what became of it.
#[must_use]
pub fn wire(wire: &Wire, lang: Lang) -> String {
    let mut out = WIRE.with(lang, &[&wire.interface, &wire.packets, &(wire.bytes >> 20), &wire.lost()]);
    let unscanned = wire.busy.saturating_add(wire.failed);
    let mut say = |holds: bool, message: Message, values: &[&dyn std::fmt::Display]| {
        if holds {
            out.push_str(&message.with(lang, values));
        }
    };
    say(wire.lost() > 0, WIRE_LOST, &[&wire.kernel, &wire.queue]);
    say(unscanned > 0, WIRE_UNSCANNED, &[&unscanned]);
    say(wire.evicted > 0, WIRE_EVICTED, &[&wire.evicted]);
    say(wire.forgotten > 0, WIRE_FORGOTTEN, &[&wire.forgotten]);
    say(wire.unowned > 0, WIRE_UNOWNED, &[&wire.unowned]);
    say(wire.shunted > 0, WIRE_SHUNTED, &[&wire.shunted, &(wire.shunted_bytes >> 20)]);
    say(wire.promiscuous, WIRE_PROMISCUOUS, &[]);
    say(!wire.uncertain.is_none(), WIRE_UNCERTAIN, &[&uncertain(&wire.uncertain, lang)]);
    out
}

/// Lists what was not certain, as far as there was any; what honest traffic does not do comes first.
fn uncertain(counts: &Uncertain, lang: Lang) -> String {
    let each = [
        (CONFLICTS, counts.conflicts),
        (PIECES_OVERLAP, counts.pieces_overlap),
        (RESETS_IGNORED, counts.resets_ignored),
        (HOPS_CHANGED, counts.hops_changed),
        (REFUSED, counts.refused),
        (JUMPS, counts.jumps),
        (ODD, counts.odd),
        (MALFORMED, counts.malformed),
        (WRONG_CHECKSUMS, counts.wrong_checksums),
        (PIECES_LOST, counts.pieces_lost),
        (UNCLAIMED, counts.unclaimed),
        (MISSING, counts.missing),
    ];
    let some = each.into_iter().filter(|(_, count)| *count > 0);
    some.map(|(message, count)| message.with(lang, &[&count])).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_says_what_was_lost_only_if_something_was() {
        let quiet = Wire { interface: "lo".into(), packets: 7, bytes: 3 << 20, ..Wire::default() };
        let busy = Wire {
            promiscuous: true,
            kernel: 5,
            queue: 6,
            failed: 1,
            evicted: 2,
            forgotten: 8,
            unowned: 9,
            shunted: 3,
            shunted_bytes: 4 << 20,
            ..quiet.clone()
        };

        assert_eq!(wire(&quiet, Lang::En), "lo: 7 packets, 3 MiB, 0 lost");
        assert_eq!(
            wire(&busy, Lang::En),
            "lo: 7 packets, 3 MiB, 11 lost (kernel 5, agent busy 6); 1 pieces not scanned; 2 flows forgotten for lack \
             of room; 8 entries of detectors forgotten for lack of room; no time for the process of 9 flows; only \
             counted: 3 packets, 4 MiB; promiscuous"
        );
    }

    #[test]
    fn what_was_not_certain_is_named_as_far_as_there_was_any() {
        let uncertain = Uncertain { conflicts: 3, unclaimed: 12, ..Uncertain::default() };
        let some = Wire { interface: "lo".into(), packets: 7, uncertain, ..Wire::default() };

        assert_eq!(
            wire(&some, Lang::En),
            "lo: 7 packets, 0 MiB, 0 lost; uncertain: 3 TCP copies that contradict, 12 TCP of no flow"
        );
        assert_eq!(
            wire(&some, Lang::Vi),
            "lo: 7 gói, 0 MiB, mất 0; không chắc chắn: 3 bản sao TCP nói khác, 12 gói TCP không thuộc luồng nào"
        );
    }

    #[test]
    fn an_agent_of_before_says_nothing_of_what_was_not_certain() {
        let old = r#"{"interface":"lo","promiscuous":false,"packets":7,"bytes":3,"kernel":0}"#;
        let new = r#"{"interface":"lo","uncertain":{"conflicts":3,"newer":1}}"#;

        let (old, new): (Wire, Wire) =
            (serde_json::from_str(old).unwrap(), serde_json::from_str(new).unwrap());

        assert!(old.uncertain.is_none() && !serde_json::to_string(&old).unwrap().contains("uncertain"));
        assert_eq!(new.uncertain, Uncertain { conflicts: 3, ..Uncertain::default() });
        assert!(serde_json::to_string(&new).unwrap().contains(r#""uncertain":{"conflicts":3}"#));
    }
}
