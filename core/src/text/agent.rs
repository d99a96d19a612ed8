//! Words of the agent on its own host: what it says to the person who starts or enrols it.

use super::Message;

/// The agent sees less than it could: sensor, scope, reason.
pub const REDUCED: Message = Message::new("Giảm khả năng quan sát: {} {}: {}", "Reduced coverage: {} {}: {}");
/// Another agent runs on the same folder: folder.
pub const LOCKED: Message = Message::new(
    "Đã có tác tử khác đang chạy với thư mục {}. Dừng tác tử đó trước, hoặc chọn thư mục khác bằng --home.",
    "Another agent already runs on {}. Stop it first, or choose another folder with --home.",
);
/// No enrolment in the folder: folder.
pub const NOT_ENROLLED: Message = Message::new(
    "Thư mục {} chưa ghi danh. Xin đội ứng cứu một mã ghi danh, rồi chạy: khien-agent enroll --home {} --token MÃ",
    "{} is not enrolled. Ask the response team for a token, then run: khien-agent enroll --home {} --token TOKEN",
);
/// Enrolled with another hub: folder.
pub const OTHER_HUB: Message = Message::new(
    "Thư mục {} đã ghi danh với một trung tâm khác. Chọn thư mục khác bằng --home, hoặc xoá thư mục này nếu chắc chắn không cần nữa.",
    "{} is enrolled with another hub. Choose another folder with --home, or remove this one if you are sure it is no longer needed.",
);
/// The token is not a token: why.
pub const BAD_TOKEN: Message = Message::new(
    "Mã ghi danh không đọc được ({}). Chép lại nguyên một dòng mã mà đội ứng cứu đã gửi.",
    "The token cannot be read ({}). Copy again the whole line that the response team sent.",
);
/// The hub refused the token: what it said.
pub const TOKEN_REFUSED: Message = Message::new(
    "Trung tâm từ chối mã ghi danh: {}. Mã chỉ dùng được một lần và có hạn; xin đội ứng cứu một mã mới.",
    "The hub refused the token: {}. A token works once and for a limited time; ask the response team for a new one.",
);
/// The hub cannot be reached: address, why.
pub const UNREACHABLE: Message = Message::new(
    "Không kết nối được trung tâm {}: {}. Kiểm tra đường truyền và tường lửa, rồi chạy lại lệnh này; mã vẫn còn dùng được.",
    "The hub at {} cannot be reached: {}. Check the line and the firewall, then run this command again; the token is still good.",
);
/// The hub failed: what it said.
pub const HUB_FAILED: Message = Message::new(
    "Trung tâm trả lời lỗi: {}. Báo cho đội ứng cứu, rồi chạy lại lệnh này.",
    "The hub answered with an error: {}. Tell the response team, then run this command again.",
);
