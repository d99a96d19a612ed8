//! Words of the agent on its own host: what it says to the person who starts or enrols it.

use super::{
    Lang, Message,
    command::{SENSOR_BEHAVIOUR, SENSOR_FILE, SENSOR_INTEGRITY, SENSOR_NETWORK, SENSOR_SCAN},
};
use crate::asset::{Coverage, Sensor, Sight};

/// The agent sees less than it could: sensor and scope, reason.
const REDUCED: Message = Message::new("Vùng quan sát bị giảm: {}: {}", "Reduced coverage: {}: {}");
/// The agent sees nothing of it: sensor and scope, reason.
const BLIND: Message = Message::new("Không quan sát được: {}: {}", "Nothing is seen: {}: {}");
const WITHOUT_REASON: Message = Message::new("không rõ lý do", "the reason is not known");

/// Says in one line what a sensor sees less, and why.
#[must_use]
pub fn reduced(coverage: &Coverage, lang: Lang) -> String {
    let Coverage { sensor, scope, sight, reason, .. } = coverage;
    let line = if *sight == Sight::Blind { BLIND } else { REDUCED };
    let why = reason.as_ref().map_or_else(|| WITHOUT_REASON.get(lang).to_owned(), |r| r.text(lang));
    // These scopes are words of the program, not places.
    let scope = match sensor {
        Sensor::Scan | Sensor::Integrity | Sensor::Behaviour => String::new(),
        Sensor::File | Sensor::Network => format!(" {scope}"),
    };
    line.with(lang, &[&format!("{}{scope}", sensor_name(*sensor).get(lang)), &why])
}

const fn sensor_name(sensor: Sensor) -> Message {
    match sensor {
        Sensor::File => SENSOR_FILE,
        Sensor::Network => SENSOR_NETWORK,
        Sensor::Scan => SENSOR_SCAN,
        Sensor::Integrity => SENSOR_INTEGRITY,
        Sensor::Behaviour => SENSOR_BEHAVIOUR,
    }
}

/// Scans of files wait: until when.
pub const PAUSED: Message = Message::new(
    "Tạm dừng quét tệp đến {}; bỏ tạm dừng bằng `khien-agent resume`.",
    "Files are not scanned until {}; `khien-agent resume` goes on before that.",
);
/// No agent runs whose scans could wait: folder.
pub const NO_AGENT_RUNS: Message = Message::new(
    "Không có tác tử nào đang chạy với thư mục {}, nên không có gì để tạm dừng. Nếu tác tử dùng thư mục khác, chỉ ra bằng --home.",
    "No agent runs on {}, so nothing is paused. If the agent has another folder, name it with --home.",
);
/// Scans go on.
pub const RESUMED: Message = Message::new("Quét tệp trở lại.", "Files are scanned again.");
/// There was nothing to take back.
pub const NOT_PAUSED: Message = Message::new("Việc quét tệp không bị tạm dừng.", "Scanning was not paused.");
/// The wish could not be written or taken back.
pub const PAUSE_NOT_WRITTEN: Message = Message::new(
    "không ghi được yêu cầu tạm dừng vào thư mục của tác tử",
    "cannot write the wish for a pause into the agent's folder",
);
/// Another agent runs on the same folder: folder.
pub const LOCKED: Message = Message::new(
    "Đã có tác tử khác đang chạy với thư mục {}. Dừng tác tử đó trước, hoặc chọn thư mục khác bằng --home.",
    "Another agent already runs on {}. Stop it first, or choose another folder with --home.",
);
/// A canary file was removed: path.
pub const CANARY_REMOVED: Message = Message::new("Đã gỡ tệp mồi {}", "Canary file removed: {}");
/// A canary file is not what was planted: path.
pub const CANARY_LEFT: Message = Message::new(
    "Tệp mồi {} đã bị thay đổi nên được giữ lại làm chứng cứ; hãy xem rồi tự xóa.",
    "The canary file {} was changed and is left as evidence; look at it, then remove it yourself.",
);
/// No enrolment in the folder: folder.
pub const NOT_ENROLLED: Message = Message::new(
    "Thư mục {} chưa ghi danh. Xin đội ứng cứu một mã ghi danh, rồi chạy: khien-agent enroll --home {} --token MÃ",
    "{} is not enrolled. Ask the response team for a token, then run: khien-agent enroll --home {} --token TOKEN",
);
/// Enrolled with another hub: folder.
pub const OTHER_HUB: Message = Message::new(
    "Thư mục {} đã ghi danh với một trung tâm khác. Chọn thư mục khác bằng --home, hoặc xóa thư mục này nếu chắc chắn không cần nữa.",
    "{} is enrolled with another hub. Choose another folder with --home, or remove this one if you are sure it is no longer needed.",
);
/// The token is not a token: why.
pub const BAD_TOKEN: Message = Message::new(
    "Mã ghi danh không đọc được ({}). Chép lại nguyên một dòng mã mà đội ứng cứu đã gửi.",
    "The token cannot be read ({}). Copy again the whole line that the response team sent.",
);
/// Why a token is no token: far longer than any.
pub const TOKEN_TOO_LONG: Message = Message::new("quá dài", "too long");
/// Why a token is no token: cut or altered.
pub const TOKEN_NOT_WHOLE: Message = Message::new("bị thiếu hoặc bị sửa", "cut or altered");
/// Why a token is no token: it names nobody to obey, or a crowd.
pub const TOKEN_OPERATORS: Message =
    Message::new("không nêu người vận hành nào, hoặc nêu quá nhiều", "no operator, or too many");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Untrusted, reason::Reason};

    fn coverage(sensor: Sensor, scope: &str, sight: Sight, reason: Option<Reason>) -> Coverage {
        let backend = "none".to_owned();
        Coverage { sensor, scope: Untrusted::from(scope), backend, sight, reason }
    }

    #[test]
    fn what_is_not_seen_is_said_wholly_in_one_language() {
        let network = coverage(Sensor::Network, "eth0", Sight::Blind, Some(Reason::InterfaceDown));
        let scan = coverage(Sensor::Scan, "worker", Sight::Reduced, None);

        assert_eq!(reduced(&network, Lang::Vi), "Không quan sát được: mạng eth0: giao diện mạng đang tắt");
        assert_eq!(reduced(&network, Lang::En), "Nothing is seen: network eth0: the interface is down");
        assert_eq!(reduced(&scan, Lang::Vi), "Vùng quan sát bị giảm: quét: không rõ lý do");
        assert_eq!(reduced(&scan, Lang::En), "Reduced coverage: scan: the reason is not known");
    }
}
