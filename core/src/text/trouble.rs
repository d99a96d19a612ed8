//! What goes wrong between `khien` and its own machine or the line to the hub.

use super::Message;

/// The hub is not reachable: address, cause.
pub const UNREACHABLE: Message =
    Message::new("không tới được trung tâm ở {}: {}", "hub at {} is not reachable: {}");
/// Nobody listens at the address.
pub const NOBODY_LISTENS: Message = Message::new("không có ai lắng nghe ở đó", "nobody listens there");
/// The line was cut.
pub const LINE_CUT: Message = Message::new("kết nối bị cắt", "the connection was cut");
/// No answer came in time.
pub const NO_ANSWER: Message = Message::new("không có trả lời kịp thời", "no answer came in time");
/// The network has no way there.
pub const NO_WAY: Message = Message::new("mạng không có đường tới đó", "the network has no way there");
/// The hub failed: what it said.
pub const HUB_FAILED: Message = Message::new("trung tâm báo lỗi: {}", "hub failed: {}");
/// The hub's reply breaks the protocol: how.
pub const BAD_REPLY: Message =
    Message::new("không đọc được trả lời của trung tâm: {}", "reply of the hub cannot be read: {}");
/// The keys, the certificate or the address cannot be used: why.
pub const BAD_SETTINGS: Message =
    Message::new("không dùng được thiết lập kết nối: {}", "connection settings cannot be used: {}");
/// An answer of the hub without a text: status.
pub const STATUS: Message = Message::new("mã trạng thái {}", "status {}");
/// A reply longer than allowed: the most, in bytes.
pub const REPLY_TOO_LONG: Message = Message::new("dài hơn {} byte", "longer than {} bytes");
/// Evidence with another hash: the hash.
pub const OTHER_BYTES: Message =
    Message::new("các byte không có SHA-256 {}", "bytes do not have the SHA-256 {}");
/// An address that is none: what was given.
pub const NO_ADDRESS: Message = Message::new(
    "địa chỉ trung tâm `{}` không có địa chỉ IP, cần dạng MÁY:CỔNG",
    "hub address `{}` has no IP address, expected HOST:PORT",
);

/// No connection file: path.
pub const NOT_SET_UP: Message =
    Message::new("không có {}: chưa thiết lập gì ở đây", "{} does not exist: nothing was set up here");
/// A file cannot be read: path.
pub const CANNOT_READ: Message = Message::new("không đọc được {}", "cannot read {}");
/// What is no file was named as one: path.
pub const NO_FILE: Message = Message::new("{} không phải tệp thường", "{} is no regular file");
/// A file cannot be written: path.
pub const CANNOT_WRITE: Message = Message::new("không ghi được {}", "cannot write {}");
/// A file cannot be opened: path.
pub const CANNOT_OPEN: Message = Message::new("không mở được {}", "cannot open {}");
/// A file cannot be locked: path.
pub const CANNOT_LOCK: Message = Message::new("không khóa được {}", "cannot lock {}");
/// A file or its content cannot be used: path.
pub const CANNOT_USE: Message = Message::new("không dùng được {}", "cannot use {}");
/// A program cannot be started: path.
pub const CANNOT_START: Message = Message::new("không khởi động được {}", "cannot start {}");
/// A folder cannot be made: path.
pub const CANNOT_MAKE: Message = Message::new("không tạo được thư mục {}", "cannot make folder {}");
/// A folder cannot be closed for others: path.
pub const CANNOT_CLOSE: Message =
    Message::new("không chặn được người khác vào thư mục {}", "cannot close folder {} for others");
/// A path cannot be the home: path.
pub const CANNOT_BE_HOME: Message =
    Message::new("không dùng được {} làm thư mục dữ liệu", "cannot use {} as home");
/// No home folder is known.
pub const NO_HOME: Message = Message::new(
    "không biết thư mục nhà; hãy nêu bằng --home THƯ_MỤC",
    "no home folder is known; give one with --home DIR",
);
/// A file is too large: path, size, the most.
pub const FILE_TOO_LARGE: Message =
    Message::new("{} có {} byte, tối đa {}", "{} has {} bytes, expected at most {}");
/// A folder has too many drafts: folder, how many, of which report.
pub const TOO_MANY_DRAFTS: Message = Message::new(
    "{} đã có {} bản nháp của {}; hãy chọn thư mục khác bằng --out",
    "{} has {} drafts of {} already; give another folder with --out",
);
/// The terminal cannot be used.
pub const NO_TERMINAL: Message = Message::new("không dùng được màn hình này", "cannot use this terminal");
/// The terminal can no longer be read.
pub const TERMINAL_GONE: Message =
    Message::new("không còn đọc được màn hình", "the terminal can no longer be read");
/// A part of the UI failed.
pub const UI_FAILED: Message = Message::new(
    "một phần của giao diện bị lỗi; thông báo ở phía trên",
    "a part of the UI failed; its message stands above",
);
/// Signals cannot be waited for.
pub const NO_SIGNALS: Message =
    Message::new("không chờ được tín hiệu của hệ thống", "cannot wait for signals");
/// The hub did not say where it listens.
pub const NO_LISTEN: Message =
    Message::new("trung tâm không báo địa chỉ của nó", "hub did not say where it listens");
/// The operator's key cannot be used.
pub const BAD_KEY: Message = Message::new(
    "không dùng được khóa của người vận hành, cần khóa Ed25519 dạng PKCS#8 PEM",
    "cannot use operator key, expected an Ed25519 key in PKCS#8 PEM form",
);
/// A certificate request cannot be written.
pub const NO_REQUEST: Message =
    Message::new("không viết được yêu cầu cấp chứng thư", "cannot write certificate request");
/// No random bytes.
pub const NO_RANDOM: Message = Message::new("không lấy được số ngẫu nhiên", "no random bytes");

/// No such form: what was asked for, what there is.
pub const UNKNOWN_FORM: Message =
    Message::new("không có biểu mẫu `{}`, hãy chọn một trong: {}", "unknown form `{}`, expected {}");
/// The form has no such field: field.
pub const UNKNOWN_FIELD: Message =
    Message::new("biểu mẫu không có trường `{}`", "the form has no field `{}`");
/// A field that no person fills: field.
pub const NOT_AN_ANSWER: Message =
    Message::new("trường `{}` được lấy từ hồ sơ sự cố", "field `{}` is filled from the incident");
/// A choice has no such option: field, options.
pub const UNKNOWN_OPTION: Message = Message::new("trường `{}` nhận {}", "field `{}` takes {}");
/// An answer is too long: field.
pub const ANSWER_TOO_LONG: Message =
    Message::new("trả lời cho `{}` dài hơn 16 KiB", "the answer for `{}` is longer than 16 KiB");
/// The report cannot be written.
pub const NO_REPORT: Message = Message::new("không viết được báo cáo", "the report cannot be written");

/// khien-pdf cannot be used: why.
pub const PDF_UNUSABLE: Message =
    Message::new("không dùng được khien-pdf: {}", "khien-pdf could not be used: {}");
/// khien-pdf is too slow: seconds.
pub const PDF_SLOW: Message =
    Message::new("khien-pdf chạy quá {} giây", "khien-pdf took longer than {} seconds");
/// khien-pdf failed: what it said.
pub const PDF_SAID: Message = Message::new("khien-pdf báo lỗi: {}", "khien-pdf failed: {}");
/// khien-pdf gave no PDF.
pub const PDF_NONE: Message =
    Message::new("khien-pdf không trả về PDF hợp lệ", "khien-pdf did not return a PDF of an allowed size");
