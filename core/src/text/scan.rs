//! Words of `khien scan`.

use super::Message;

/// Heads a file that is clean.
pub const CLEAN: Message = Message::new("SẠCH", "CLEAN");
/// Says why a file was not scanned: path, reason.
pub const WHY: Message = Message::new("CHƯA QUÉT  {}: {}", "NOT SCANNED  {}: {}");
/// Says what inside a file that matched was not scanned: path, places and reasons.
pub const PARTLY: Message = Message::new("CHƯA QUÉT HẾT  {}: {}", "PARTLY SCANNED  {}: {}");
/// A folder lies too deep: the most levels.
pub const TOO_DEEP: Message = Message::new("lồng nhau quá {} tầng", "more than {} levels deep");
/// A path that was named holds no content.
pub const NO_CONTENT: Message =
    Message::new("không phải tệp thường hay thư mục", "neither a regular file nor a folder");

/// Says that a file is gone: path.
pub const GONE: Message = Message::new("BIẾN MẤT  {}: {}", "GONE  {}: {}");
/// Why a file that is gone was not scanned.
pub const GONE_WHY: Message = Message::new(
    "có trong thư mục khi liệt kê, đến lượt quét thì không còn, cũng không thấy dưới tên khác ở đó",
    "it was listed, was not there when its turn came, and has no other name in its folder",
);
/// None of the paths that were named is there: which.
pub const NOT_THERE: Message = Message::new("không có {}", "there is no {}");
/// What to do about that.
pub const NEXT_PATHS: Message = Message::new("kiểm tra lại đường dẫn đã gõ", "check the path that was typed");

/// A process that was named is not there.
pub const NO_PROCESS: Message =
    Message::new("không có tiến trình này", "there is no such process with memory of its own");

/// A process may not be looked at.
pub const CLOSED_PROCESS: Message =
    Message::new("không được phép xem tiến trình này", "this process may not be looked at");

/// Rules are being read.
pub const LOADING: Message = Message::new("Đang nạp luật…", "Loading rules…");
/// What is loaded: rules, sources.
pub const LOADED: Message = Message::new("{} luật từ {} tệp", "{} rules from {} files");
/// A rule or source that is left out: the compiler's words.
pub const REFUSED: Message = Message::new("Bỏ qua luật: {}", "Rule left out: {}");
/// More of them.
pub const REFUSED_MORE: Message = Message::new("Và {} luật nữa bị bỏ qua", "And {} more rules left out");
/// The sandbox is not whole: what is missing.
pub const SANDBOX: Message = Message::new("Hộp cát: {}", "Sandbox: {}");
/// No rules at all: what was named.
pub const NO_RULES: Message =
    Message::new("không có luật nào dùng được trong {}", "no rule of {} can be used");
/// There are too many sources: the most files and MiB.
pub const TOO_MANY_RULES: Message = Message::new(
    "quá nhiều luật: tối đa {} tệp và {} MiB",
    "too many rules: at most {} files and {} MiB are allowed",
);
/// What to do about rules.
pub const NEXT_RULES: Message = Message::new(
    "xem lại --rules; không có nó thì dùng gói đi kèm chương trình",
    "look at --rules; without it the pack that comes with this program is used",
);
/// No worker stands: why.
pub const NO_WORKER: Message = Message::new("không quét được: {}", "cannot scan: {}");
/// The rules do not compile: why.
pub const NO_COMPILE: Message = Message::new("không biên dịch được luật: {}", "rules do not compile: {}");

/// How far it is: files, bytes, files a second, matches, the last path.
pub const PROGRESS: Message =
    Message::new("{} tệp, {}, {} tệp/giây, {} khớp  {}", "{} files, {}, {} files/s, {} matches  {}");
/// The totals: files, bytes, seconds, files a second, bytes a second.
pub const TOTAL: Message = Message::new(
    "Đã xem {} tệp, {} trong {} giây ({} tệp/giây, {}/giây)",
    "{} files, {} in {} s ({} files/s, {}/s)",
);
/// The totals of processes: how many, bytes, seconds, processes a second, bytes a second.
pub const TOTAL_PROCESSES: Message = Message::new(
    "Đã xem bộ nhớ của {} tiến trình, {} trong {} giây ({} tiến trình/giây, {}/giây)",
    "memory of {} processes, {} in {} s ({} processes/s, {}/s)",
);
/// Processes that ended or are the kernel's: how many.
pub const GONE_PROCESSES: Message = Message::new(
    "{} tiến trình đã kết thúc hoặc là của nhân, không có bộ nhớ để quét",
    "{} processes ended meanwhile or are the kernel's, without memory to scan",
);
/// How they ended: matched, clean, not scanned.
pub const RESULT: Message =
    Message::new("{} khớp, {} sạch, {} chưa quét", "{} matched, {} clean, {} not scanned");
/// Of those that matched, some hold what was not scanned: how many.
pub const PARTLY_TOTAL: Message = Message::new(
    "{} tệp khớp còn phần bên trong chưa quét",
    "{} files matched and hold something that was not scanned",
);
/// Of some processes a part was not scanned: how many.
pub const PARTLY_PROCESSES: Message = Message::new(
    "{} tiến trình còn một phần bộ nhớ chưa quét",
    "of {} processes a part of the memory was not scanned",
);
/// Khiên's own processes: how many, their ids.
pub const OWN_PROCESSES: Message = Message::new(
    "{} tiến trình của chính Khiên, vốn chứa luật quét, không được quét: {}; nêu bằng --pid nếu muốn quét",
    "{} processes of Khiên's own, which hold the rules, were left out: {}; name them with --pid to have them scanned",
);
/// Files that were listed and were gone when their turn came: how many.
pub const GONE_TOTAL: Message = Message::new(
    "{} tệp biến mất trước khi quét: không biết có sạch không",
    "{} files were gone before they were scanned: nobody knows whether they were clean",
);
/// What has no content or leads elsewhere: links, pipes and the like.
pub const PASSED: Message = Message::new(
    "Không mở: {} liên kết, {} ống dẫn, ổ cắm và thiết bị",
    "Not opened: {} links, {} pipes, sockets and devices",
);
/// A place that was left out: path.
pub const LEFT_OUT: Message =
    Message::new("Không vào {}: nêu tên nó nếu muốn quét", "Left out {}: name it to have it scanned");
/// More of them: how many.
pub const LEFT_OUT_MORE: Message = Message::new("Và {} nơi nữa", "And {} more places");
/// Rules that are left out: how many.
pub const REFUSED_TOTAL: Message =
    Message::new("{} lỗi trong luật: phần đó không chạy", "{} errors in rules: those did not run");
/// It was broken off.
pub const INTERRUPTED: Message =
    Message::new("Đã dừng giữa chừng: phần còn lại chưa quét", "Interrupted: the rest was not scanned");

/// Help of the command and its options, as in [`help`](super::help).
pub(super) const HELP: &[(&str, Message)] = &[
    (
        "scan",
        Message::new(
            "Quét tệp, thư mục hoặc bộ nhớ tiến trình trên máy này, không cần trung tâm hay tác tử",
            "Scan files, folders or the memory of processes on this machine, without hub or agent",
        ),
    ),
    ("scan --paths", Message::new("Tệp hoặc thư mục", "Files or folders")),
    (
        "scan --pid",
        Message::new(
            "Quét bộ nhớ của các tiến trình này thay vì tệp, chỉ với luật hợp với bộ nhớ (với --rules: mọi luật)",
            "Scan the memory of these processes instead of files, with the rules that fit memory (with --rules: all)",
        ),
    ),
    ("scan --processes", Message::new("Quét bộ nhớ của mọi tiến trình", "Scan the memory of every process")),
    (
        "scan --rules",
        Message::new(
            "Tệp luật YARA, hoặc thư mục có các tệp .yar và .yara; lặp lại được [mặc định: gói đi kèm chương trình]",
            "A YARA source, or a folder of .yar and .yara files; may be given again [default: the pack that comes with this program]",
        ),
    ),
    ("scan --pack", Message::new("Gói luật: thư mục có pack.toml", "A rule pack: a folder with pack.toml")),
    (
        "scan --max_size",
        Message::new(
            "Tệp lớn nhất được quét, hoặc phần bộ nhớ tối đa của một tiến trình, tính bằng MiB [mặc định: như tác tử; tiến trình: 1024]",
            "The largest file that is scanned, or how much of one process, in MiB [default: as an agent does; processes: 1024]",
        ),
    ),
    (
        "scan --timeout",
        Message::new(
            "Thời gian quét tối đa cho một tệp, tính bằng giây [mặc định: như tác tử]",
            "How long one file may be scanned, in seconds [default: as an agent does]",
        ),
    ),
    (
        "scan --threads",
        Message::new(
            "Số tiến trình quét [mặc định: số bộ xử lý]",
            "How many scan processes [default: as many as processors]",
        ),
    ),
    (
        "scan --one_file_system",
        Message::new("Không sang hệ thống tệp khác", "Do not go on to other file systems"),
    ),
    ("scan --all", Message::new("Liệt kê cả tệp sạch", "List clean files too")),
];
