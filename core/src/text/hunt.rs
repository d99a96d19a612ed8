//! Words of `khien hunt net` and `khien packets save`.

use super::Message;

/// Labels: At.
pub const AT: Message = Message::new("Lúc", "At");
/// Labels: Kind.
pub const KIND: Message = Message::new("Loại", "Kind");
/// Labels: From.
pub const CLIENT: Message = Message::new("Bên mở", "Client");
/// Labels: To.
pub const SERVER: Message = Message::new("Bên đáp", "Server");
/// Labels: What.
pub const WHAT: Message = Message::new("Nội dung", "What");
/// Labels: Process.
pub const PROCESS: Message = Message::new("Tiến trình", "Process");

/// Lists what is signed: {what}, since {when}, on {n} agents
pub const LINE: Message = Message::new(
    "  tìm {} trong bản ghi mạng từ {}, trên {} tác tử",
    "  look for {} in the records of the network since {}, on {} agents",
);
/// Says: {host}: {n} records; {how far}
pub const ANSWERED: Message = Message::new("{}: {} bản ghi; {}", "{}: {} records; {}");
/// Says: {host}: no answer: {why}
pub const UNANSWERED: Message = Message::new("{}: KHÔNG TÌM ĐƯỢC: {}", "{}: NOT SEARCHED: {}");
/// How far: all of it, from {when} to {when}.
pub const WHOLE: Message = Message::new(
    "đã tìm toàn bộ khoảng thời gian, từ {} đến {}",
    "the whole time was searched, from {} to {}",
);
/// How far: from {when} to {when}
pub const RANGE: Message = Message::new("có bản ghi từ {} đến {}", "there are records from {} to {}");
/// Adds that older times are unknown.
pub const BEFORE: Message = Message::new("trước đó không biết", "nothing is known before");
/// Adds a gap: from {when} to {when}: {why}
pub const GAP: Message = Message::new("THIẾU từ {} đến {}: {}", "MISSING from {} to {}: {}");
/// Adds that there are {n} more gaps.
pub const MORE_GAPS: Message =
    Message::new("và {} khoảng thiếu khác (xem --json)", "and {} more times are missing (see --json)");
/// Why records are missing: no agent ran.
pub const STOPPED: Message =
    Message::new("tác tử không chạy hoặc không lưu", "the agent did not run, or kept none");
/// Why: the agent died.
pub const DIED: Message = Message::new("tác tử bị dừng đột ngột", "the agent died");
/// Why: nothing was seen of {interface}.
pub const BLIND: Message = Message::new("không nhìn thấy gì ở {}", "nothing was seen of {}");
/// Why: many gaps.
pub const SEVERAL: Message = Message::new("nhiều khoảng thiếu trong đó", "many times of it are missing");
/// Why: something else.
pub const OTHER_GAP: Message = Message::new("lý do mà bản này chưa biết", "why this program does not know");
/// Adds that an agent does not know its gaps.
pub const GAPS_UNKNOWN: Message = Message::new(
    "tác tử bản cũ: không cho biết khi nào nó không chạy, hãy nâng cấp",
    "an older agent: it does not say when it did not run, upgrade it",
);
/// How far: records only since {when}
pub const ONLY_SINCE: Message = Message::new(
    "chỉ có bản ghi từ {}; trước đó không biết",
    "records only since {}; nothing is known before",
);
/// Adds that older ones made room.
pub const CUT: Message = Message::new(
    "bản ghi cũ hơn đã bị xóa vì hết hạn hoặc hết chỗ",
    "older records made room by age or size",
);
/// How far: no records at all.
pub const NO_RECORDS: Message = Message::new("chưa có bản ghi nào", "there are no records at all");
/// Adds: {n} records were lost
pub const LOST: Message = Message::new("{} bản ghi bị mất vì quá tải", "{} records were lost under load");
/// Adds: {n} parts cannot be read
pub const UNREAD: Message = Message::new("{} phần không đọc được", "{} parts cannot be read");
/// Adds that the time of a search ended.
pub const UNFINISHED: Message =
    Message::new("hết giờ trước khi tìm xong", "the time for a search ended before all was looked through");
/// Adds that there are more.
pub const MORE: Message =
    Message::new("còn nữa, chỉ trả về phần mới nhất", "there are more, only the newest are shown");

/// Why: the agent is not there.
pub const NOT_THERE: Message = Message::new("tác tử không có mặt ({})", "the agent is not there ({})");
/// Why: no answer in time.
pub const NO_ANSWER: Message =
    Message::new("chưa trả lời sau {} giây", "it did not answer within {} seconds");
/// Sums up: {n} records on {n} hosts; {n} of {n} agents searched wholly
pub const SUM: Message = Message::new(
    "{} bản ghi trên {} máy; {} trên {} tác tử đã tìm hết",
    "{} records on {} hosts; {} of {} agents searched all of it",
);
/// Says that not all was searched.
pub const NOT_ALL: Message =
    Message::new("Chưa tìm hết thì chưa phải là sạch.", "What was not searched is not clean.");
/// There is no agent.
pub const NO_AGENTS: Message = Message::new("không có tác tử nào", "there are no agents");
/// What to do about that.
pub const NEXT_AGENTS: Message = Message::new("xem: khien agent list", "look: khien agent list");
/// What was typed cannot be looked for.
pub const BAD_QUERY: Message = Message::new(
    "không tìm được điều này: tên dài 1 đến 253 byte, URL có dạng http://máy/đường-dẫn",
    "this cannot be looked for: a name has 1 to 253 bytes, a URL is such as http://host/path",
);
/// What to do about that.
pub const NEXT_QUERY: Message = Message::new("xem: khien hunt net --help", "look: khien hunt net --help");

/// Lists what is signed: the packets of the last {n} seconds, {filter}, of {host} (agent {id}), for {incident}
pub const PACKETS_LINE: Message = Message::new(
    "  lưu {} của {} (tác tử {}) làm chứng cứ của {}",
    "  save {} of {} (agent {}) as evidence of {}",
);
/// Says: saved {bytes} bytes, SHA-256 {sha}
pub const PACKETS_SAVED: Message = Message::new("Đã lưu {} byte, SHA-256 {}", "Saved {} bytes, SHA-256 {}");
/// What to do then: {sha} {incident}
pub const NEXT_SAVED: Message = Message::new(
    "lấy ra: khien evidence get {} --incident {} --out goi-tin.pcapng",
    "take it out: khien evidence get {} --incident {} --out packets.pcapng",
);
/// It failed: {why}
pub const PACKETS_FAILED: Message = Message::new("không lưu được gói tin: {}", "packets were not saved: {}");
/// What to do about that.
pub const NEXT_PACKETS: Message = Message::new(
    "xem: khien agent show {}; gói tin chỉ được giữ khi tác tử chạy với --packets-mib",
    "look: khien agent show {}; packets are kept only where the agent runs with --packets-mib",
);
/// It goes on: {order}
pub const PACKETS_WAIT: Message =
    Message::new("tác tử chưa trả lời lệnh {}", "the agent has not answered order {} yet");

pub(super) const HELP: &[(&str, Message)] = &[
    (
        "hunt",
        Message::new(
            "Tìm dấu vết trong quá khứ trên mọi máy chủ",
            "Look for traces of the past on all servers",
        ),
    ),
    (
        "hunt net",
        Message::new(
            "Tìm tên miền, địa chỉ, URL hoặc dấu vân tay trong bản ghi mạng mà các tác tử lưu",
            "Look for a name, an address, a URL or a fingerprint in the records of the network that agents keep",
        ),
    ),
    ("hunt net --domain", Message::new("Tên miền, kể cả tên dưới nó", "A name, and all names below it")),
    ("hunt net --ip", Message::new("Địa chỉ hoặc dải mạng (CIDR)", "An address or a network (CIDR)")),
    (
        "hunt net --url",
        Message::new("URL: máy chủ, và phần đầu của đường dẫn", "A URL: the host, and how the path begins"),
    ),
    (
        "hunt net --ja4",
        Message::new("Dấu vân tay JA4 của máy khách TLS", "The JA4 fingerprint of a TLS client"),
    ),
    (
        "hunt net --certificate",
        Message::new("SHA-256 của chứng thư máy chủ", "SHA-256 of a server's certificate"),
    ),
    ("hunt net --sha256", Message::new("SHA-256 của tệp được truyền", "SHA-256 of a file that was carried")),
    (
        "hunt net --since",
        Message::new(
            "Từ bao lâu trước, ví dụ 30d, 12h, 90m, hoặc một thời điểm như 2026-11-01T00:00:00Z",
            "How far back: such as 30d, 12h, 90m, or a moment such as 2026-11-01T00:00:00Z",
        ),
    ),
    (
        "hunt net --agents",
        Message::new("Chỉ trên các máy chủ này (mặc định: tất cả)", "Only on these servers (default: all)"),
    ),
    (
        "hunt net --most",
        Message::new(
            "Số bản ghi tối đa của mỗi tác tử, tối đa 500",
            "The most records of each agent, 500 at most",
        ),
    ),
    (
        "hunt net --patience",
        Message::new("Chờ mỗi tác tử tối đa bao nhiêu giây", "For how many seconds each agent is waited for"),
    ),
    ("packets", Message::new("Gói tin mà tác tử giữ trong bộ nhớ", "Packets that agents keep in memory")),
    (
        "packets save",
        Message::new(
            "Lưu gói tin của những giây vừa qua thành chứng cứ (pcapng) của một sự cố",
            "Save the packets of the last seconds as evidence (pcapng) of an incident",
        ),
    ),
    (
        "packets save --agent",
        Message::new("Tên máy chủ, hoặc đầu mã tác tử", "Host name, or how the agent's id begins"),
    ),
    (
        "packets save --incident",
        Message::new("Sự cố mà chứng cứ thuộc về", "The incident to which the evidence belongs"),
    ),
    (
        "packets save --seconds",
        Message::new("Bao nhiêu giây trước đến nay, tối đa 3600", "How many seconds back, 3600 at most"),
    ),
    (
        "packets save --host",
        Message::new("Chỉ gói tin từ hoặc đến địa chỉ này", "Only packets from or to this address"),
    ),
    (
        "packets save --port",
        Message::new("Chỉ gói tin từ hoặc đến cổng này", "Only packets from or to this port"),
    ),
    (
        "packets save --mib",
        Message::new("Dung lượng tối đa của tệp, tối đa 64", "The most MiB of the file, 64 at most"),
    ),
];
