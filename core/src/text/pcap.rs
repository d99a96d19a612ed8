//! Words of `khien pcap`.

use super::{Message, Words};
use crate::capture::Gaps;

/// What is no file of packets: path, why.
pub const NOT_PACKETS: Message = Message::new("{}: {}", "{}: {}");
/// The file is empty.
pub const EMPTY: Message = Message::new("tệp rỗng", "the file is empty");
/// The file has another format.
pub const OTHER: Message =
    Message::new("không phải tệp gói tin pcap hay pcapng", "it is neither pcap nor pcapng");
/// None of the files can be read.
pub const NONE: Message = Message::new("không tệp nào đọc được", "none of the files can be read");
/// What to do about a file that cannot be read.
pub const NEXT_FILES: Message = Message::new(
    "kiểm tra lại tệp; đọc được pcap và pcapng, cả khi nén gzip, và - là đầu vào chuẩn",
    "check the file; pcap and pcapng are read, packed by gzip too, and - is standard input",
);
/// Alerts and records cannot both go to standard output.
pub const BOTH: Message = Message::new(
    "--json và --events - đều ghi ra đầu ra chuẩn",
    "--json and --events - both write to standard output",
);
/// What to do about that.
pub const NEXT_BOTH: Message = Message::new("ghi --events vào một tệp", "name a file for --events");
/// Several rules, one of which is a pack.
pub const ONE_PACK: Message = Message::new(
    "{} là một gói luật: chỉ nêu một gói, hoặc các tệp và thư mục luật YARA",
    "{} is a pack: name one pack alone, or YARA sources and folders of them",
);

/// How far it is: file, bytes of all bytes, packets, packets a second, alerts.
pub const PROGRESS: Message = Message::new(
    "{}: {} / {}, {} gói tin, {} gói/giây, {} cảnh báo",
    "{}: {} of {}, {} packets, {} packets/s, {} alerts",
);
/// What a file held: packets, bytes, seconds of the capture, first and last time.
pub const TOTAL: Message = Message::new(
    "{}: {} gói tin, {} từ {} đến {}; xử lý trong {} giây ({} gói/giây)",
    "{}: {} packets, {} from {} to {}; took {} s ({} packets/s)",
);
/// A file without packets.
pub const NO_PACKETS: Message = Message::new("{}: không có gói tin nào", "{}: no packets");
/// Flows, by what they carried: flows, list of application and number.
pub const FLOWS: Message = Message::new("{} luồng: {}", "{} flows: {}");
/// What was not recognised.
pub const UNKNOWN: Message = Message::new("không rõ", "unknown");
/// Records and carried files: records, files, pieces of streams that were scanned.
pub const LOOKED: Message = Message::new(
    "{} bản ghi, {} tệp truyền qua, {} đoạn luồng đã quét",
    "{} records, {} files carried, {} pieces of streams scanned",
);
/// How it ended: alerts, findings.
pub const RESULT: Message = Message::new("{} cảnh báo từ {} lần phát hiện", "{} alerts of {} findings");
/// The file ends in the middle of a packet.
pub const CUT: Message = Message::new(
    "Tệp bị cắt giữa một gói tin: đã dùng hết phần trước đó",
    "The file ends in the middle of a packet: all before it was used",
);
/// The file makes no sense from a place on: byte.
pub const DAMAGED: Message = Message::new(
    "Tệp hỏng từ byte {}: phần còn lại không đọc được",
    "The file is damaged from byte {} on: the rest cannot be read",
);
/// The file could not be read on: why.
pub const UNREADABLE: Message = Message::new("Không đọc tiếp được tệp: {}", "The file cannot be read on: {}");
/// Packets that could not be read: how many.
pub const DAMAGED_PACKETS: Message = Message::new("{} gói tin hỏng", "{} packets are damaged");
/// Packets that are too large: how many.
pub const TOO_LARGE: Message =
    Message::new("{} gói tin quá lớn, không xem được", "{} packets are too large to be looked at");
/// Packets of which the capture kept a part: how many.
pub const SHORTENED: Message = Message::new(
    "{} gói tin chỉ được ghi lại một phần khi bắt (snaplen)",
    "Of {} packets the capture kept only a part (snaplen)",
);
/// Packets of a link type that is not known: how many, the number of the type.
pub const OTHER_LINK: Message = Message::new(
    "{} gói tin có kiểu liên kết {} chưa hỗ trợ, không xem được",
    "{} packets of link type {}, which is not supported, were not looked at",
);
/// Packets without IP: how many.
pub const NOT_IP: Message =
    Message::new("{} gói tin không phải IP, không theo dõi", "{} packets carry no IP and were not followed");
/// Packets of another transport: how many.
pub const OTHER_TRANSPORT: Message = Message::new(
    "{} gói tin không phải TCP, UDP hay ICMP, không theo dõi",
    "{} packets carry neither TCP, UDP nor ICMP and were not followed",
);
/// Packets that a receiver drops: how many.
pub const WRONG_CHECKSUMS: Message = Message::new(
    "{} gói tin sai tổng kiểm tra, bên nhận sẽ bỏ nên không theo dõi",
    "{} packets have a wrong checksum: a receiver drops them, they were not followed",
);
/// Segments without a flow: how many.
pub const UNCLAIMED: Message = Message::new(
    "{} gói TCP không thuộc luồng nào và không mang nội dung",
    "{} TCP packets belong to no flow and carry nothing",
);
/// Packets that never became whole: how many.
pub const PIECES_LOST: Message = Message::new(
    "{} gói tin bị phân mảnh mà không đủ mảnh",
    "{} packets came in pieces of which some are missing",
);
/// Segments that contradict others: how many.
pub const CONFLICTS: Message = Message::new(
    "{} gói TCP nói khác với bản trước của cùng đoạn dữ liệu",
    "{} TCP packets say something else than an earlier copy of the same bytes",
);
/// What two ends may read in two ways: how often.
pub const ODD: Message = Message::new(
    "{} chỗ mà hai bên có thể hiểu khác nhau, hoặc cố làm cạn sức người đọc",
    "{} times something may be read in two ways, or is meant to exhaust its reader",
);
/// Packets that went another number of hops: how many.
pub const HOPS_CHANGED: Message = Message::new(
    "{} gói tin có số chặng khác các gói cùng bên gửi",
    "{} packets went another number of hops than others of their sender",
);
/// Resets that the receiver would not obey: how many.
pub const RESETS_IGNORED: Message =
    Message::new("{} gói RST mà bên nhận sẽ bỏ qua", "{} resets are ignored, as their receiver would do");
/// Segments that their receiver does not take: how many.
pub const REFUSED: Message = Message::new(
    "{} đoạn TCP nằm ngoài chỗ mà bên nhận chấp nhận",
    "{} TCP segments lie where their receiver takes nothing",
);
/// Streams that went on elsewhere: how many times.
pub const JUMPS: Message = Message::new(
    "{} lần luồng TCP nhảy sang chỗ khác: phần ở giữa chưa quét",
    "{} times a TCP stream went on elsewhere: what lay between was not scanned",
);
/// Pieces that overlap: how many.
pub const PIECES_OVERLAP: Message =
    Message::new("{} mảnh chồng lên mảnh khác", "{} pieces of packets overlap others");
/// Checksums that were left to the card: how many.
pub const UNFINISHED_CHECKSUMS: Message = Message::new(
    "{} gói tin có tổng kiểm tra để card mạng tính nốt",
    "{} packets have a checksum that was left to the card",
);
/// Bytes of streams that never came by: bytes.
pub const MISSING: Message = Message::new(
    "{} của các luồng TCP không có trong tệp: phần đó chưa quét",
    "{} of TCP streams are not in the file: those were not scanned",
);
/// Flows that were forgotten to make room: how many.
pub const EVICTED: Message =
    Message::new("{} luồng phải bỏ dở vì hết chỗ", "{} flows were let go to make room");
/// Entries that detectors forgot to make room: how many.
pub const FORGOTTEN: Message =
    Message::new("{} mục bộ dò phải quên vì hết chỗ", "{} entries of detectors were forgotten to make room");
/// Pieces or files that could not be scanned: how many.
pub const NOT_SCANNED: Message = Message::new(
    "{} đoạn luồng hoặc tệp truyền qua chưa quét được",
    "{} pieces of streams or carried files could not be scanned",
);

/// Part of what was not looked at: the file is not whole.
const GAP_CUT: Message = Message::new("tệp bị cắt hoặc hỏng", "the file is cut or damaged");
/// Part of what was not looked at: packets of unknown link types.
const GAP_LINKS: Message = Message::new(
    "{} gói tin có kiểu liên kết chưa hỗ trợ",
    "{} packets of link types that are not supported",
);
/// Part of what was not looked at: bytes of streams.
const GAP_MISSING: Message =
    Message::new("{} byte của các luồng không có trong tệp", "{} bytes of streams are not in the file");

/// Says what of a file could not be looked at; none if all was.
#[must_use]
pub fn gaps(gaps: &Gaps) -> Option<Words> {
    let counted = [
        (DAMAGED_PACKETS, gaps.damaged),
        (SHORTENED, gaps.shortened),
        (GAP_LINKS, gaps.other_links),
        (WRONG_CHECKSUMS, gaps.wrong_checksums),
        (CONFLICTS, gaps.conflicts),
        (ODD, gaps.odd),
        (PIECES_LOST, gaps.pieces_lost),
        (GAP_MISSING, gaps.missing),
        (EVICTED, gaps.evicted),
        (NOT_SCANNED, gaps.not_scanned),
    ];
    let some = counted.into_iter().filter(|(_, n)| *n > 0).map(|(message, n)| message.words_with(&[&n]));
    let all = gaps.cut.then(|| GAP_CUT.words()).into_iter().chain(some);
    all.reduce(|Words { vi, en }, next| Words {
        vi: format!("{vi}, {}", next.vi),
        en: format!("{en}, {}", next.en),
    })
}

/// What became of what was found: new alerts, incident, alerts that were there.
pub const SENT: Message = Message::new(
    "Đã gửi vào sự cố: {} cảnh báo mới của {}, {} đã có từ trước",
    "Sent: {} new alerts of {}, {} were there before",
);
/// More was found than is sent: how many, how many are sent at most.
pub const LEFT_OUT: Message = Message::new(
    "{} cảnh báo không gửi: mỗi tệp tối đa {}, nặng nhất trước",
    "{} alerts were not sent: at most {} of a file, the most severe first",
);
/// Why some of it was not taken: how many findings, rules.
pub const UNKNOWN_RULES: Message = Message::new(
    "{} phát hiện theo luật không có trong gói luật hiện hành của trung tâm: {}",
    "{} findings by rules that the hub's current pack does not have: {}",
);
/// What was found did not reach the hub: files, why.
pub const NOT_SENT: Message = Message::new(
    "kết quả của {} chưa tới được trung tâm: {}",
    "what was found in {} did not reach the hub: {}",
);
/// What to do about that.
pub const NEXT_SEND: Message = Message::new(
    "chạy lại đúng lệnh này: những gì đã gửi thì không bị tính lại",
    "run the same command again: what has arrived is not counted twice",
);
/// With which of the hub's packs files are looked at: version.
pub const PACK: Message =
    Message::new("Gói luật của trung tâm: phiên bản {}", "The hub's rule pack: version {}");
/// It was ended while something was still to be sent.
pub const ENDED_UNSENT: Message = Message::new(
    "kết quả chưa tới được trung tâm vì bị dừng giữa chừng; chạy lại đúng lệnh này",
    "what was found did not reach the hub, as it was broken off; run the same command again",
);
/// Why nothing was sent: it was broken off.
pub const BROKEN_OFF: Message =
    Message::new("bị dừng giữa chừng nên chưa gửi gì", "it was broken off, so nothing was sent");
/// Why nothing was sent: the file could not be hashed to its end, why.
pub const NO_DIGEST: Message = Message::new(
    "không đọc được tệp đến hết nên không có mã băm: {}",
    "the file could not be read to its end, so it has no digest: {}",
);
/// The incident is closed: which.
pub const CASE_CLOSED: Message = Message::new("sự cố {} đã đóng", "incident {} is closed");
/// What to do about that: incident.
pub const NEXT_CASE: Message =
    Message::new("mở lại trước: khien incident reopen {}", "reopen it first: khien incident reopen {}");
/// The hub's pack cannot be trusted here: why.
pub const PACK_REFUSED: Message =
    Message::new("không dùng được gói luật của trung tâm: {}", "the hub's rule pack cannot be used: {}");
/// What to do about that.
pub const NEXT_PACK: Message = Message::new(
    "ghi khóa của người đã ký vào [[trusted]] trong khien.toml, ký lại bằng khóa của bạn (khien rules push), hoặc bỏ --incident và nêu --rules",
    "put the key of who signed it under [[trusted]] in khien.toml, sign it with your own (khien rules push), or leave --incident and name --rules",
);
/// What is to be kept must be a file.
pub const KEEP_FILE: Message =
    Message::new("--keep cần một tệp, không phải đầu vào chuẩn", "--keep needs a file, not standard input");
/// What to do about that.
pub const NEXT_KEEP: Message = Message::new(
    "ghi các gói tin ra tệp trước, rồi quét tệp đó",
    "write the packets to a file first, then scan that",
);

/// The file that was kept is not what was looked at: path.
pub const CHANGED_MEANWHILE: Message = Message::new(
    "{}: tệp đã đổi trong lúc quét; chứng cứ đã lưu không phải là tệp đã quét",
    "{}: the file changed while it was looked at; what is kept as evidence is not what was scanned",
);

/// Lists the exit codes of `khien pcap scan`.
pub const EXIT_CODES: Message = Message::new(
    "Mã thoát:
  0  đã xem hết, không có cảnh báo
  1  có cảnh báo
  2  gõ sai lệnh, hoặc không có tệp nào đọc được
  3  không có cảnh báo, nhưng còn phần chưa xem hay chưa quét được
  4  (--incident) không tới được trung tâm, hoặc kết quả đã in ra nhưng chưa gửi được",
    "Exit codes:
  0  everything was looked at, and there are no alerts
  1  there are alerts
  2  wrong usage, or none of the files could be read
  3  there are no alerts, but something could not be looked at or scanned
  4  (--incident) the hub was not reached, or what was found was printed but not taken in",
);

/// Help of the commands and their options, as in [`help`](super::help).
pub(super) const HELP: &[(&str, Message)] = &[
    ("pcap", Message::new("Tệp gói tin", "Files of packets")),
    (
        "pcap scan",
        Message::new(
            "Phân tích tệp pcap, pcapng như một tác tử nhìn lưu lượng, tự nó hoặc cho một sự cố của trung tâm",
            "Look at pcap and pcapng files as an agent looks at traffic, alone or for an incident of the hub",
        ),
    ),
    (
        "pcap scan --files",
        Message::new(
            "Tệp gói tin, nén gzip cũng được; - là đầu vào chuẩn",
            "Files of packets, packed by gzip too; - is standard input",
        ),
    ),
    (
        "pcap scan --rules",
        Message::new(
            "Gói luật (thư mục có pack.toml), hoặc tệp luật YARA hay thư mục có chúng, lặp lại được [mặc định: gói đi kèm chương trình]",
            "A pack (a folder with pack.toml), or YARA sources or folders of them, may be given again [default: the pack that comes with this program]",
        ),
    ),
    (
        "pcap scan --incident",
        Message::new(
            "Dùng gói luật đã ký của trung tâm, và gửi những gì tìm thấy thành cảnh báo của sự cố này",
            "Use the hub's signed pack, and send what is found as alerts of this incident",
        ),
    ),
    (
        "pcap scan --host",
        Message::new(
            "Máy hay điểm đo nơi các gói tin được ghi [mặc định: tên tệp]",
            "The host or tap at which the packets were taken [default: the file's name]",
        ),
    ),
    (
        "pcap scan --keep",
        Message::new("Lưu cả tệp làm chứng cứ của sự cố", "Store the file as evidence of the incident, too"),
    ),
    (
        "pcap scan --no_rules",
        Message::new(
            "Không dùng luật, danh sách hay bộ phát hiện nào: chỉ ghi --events",
            "Without any rules, lists or detectors: only for --events",
        ),
    ),
    (
        "pcap scan --events",
        Message::new(
            "Ghi từng luồng, câu hỏi DNS, bắt tay TLS, yêu cầu HTTP, thư và tệp truyền qua vào tệp này, mỗi dòng một JSON; - là đầu ra chuẩn",
            "Write each flow, DNS message, TLS handshake, HTTP exchange, letter and carried file to this file, a line of JSON each; - is standard output",
        ),
    ),
];
