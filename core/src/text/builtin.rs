//! What the built-in detectors of agent and hub say.

use super::Message;
use crate::{Severity, detection::builtin};

mod behaviour;
mod process;
mod traffic;

/// What a built-in detector says.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The detector.
    pub rule: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The ATT&CK technique.
    pub technique: Option<&'static str>,
    /// A short name.
    pub title: Message,
    /// What it means.
    pub explanation: Message,
    /// What to do next.
    pub next_step: Message,
}

/// Returns what a built-in detector says, or `None` for a rule of a pack.
#[must_use]
pub fn builtin_rule(rule: &str) -> Option<&'static Builtin> {
    ALL.iter()
        .chain(process::ALL)
        .chain(behaviour::ALL)
        .chain(traffic::ALL)
        .chain(super::integrity::GROUPS)
        .find(|b| b.rule == rule)
}

const ALL: &[Builtin] = &[
    Builtin {
        rule: builtin::AGENT_SILENT,
        severity: Severity::High,
        technique: Some("T1562.001"),
        title: Message::new("Tác tử im lặng", "Agent is silent"),
        explanation: Message::new(
            "Tác tử ngừng báo cáo mà không báo trước: tiến trình bị dừng, máy chủ tắt hoặc đường truyền đứt. Trong thời gian đó trung tâm không thấy máy chủ này.",
            "The agent stopped reporting without saying so: it was killed, the server went down or the line was cut. Meanwhile the team does not see this server.",
        ),
        next_step: Message::new(
            "Kiểm tra máy chủ và đường truyền; nếu tiến trình bị dừng thì tìm xem ai đã dừng, rồi khởi động lại tác tử.",
            "Check the server and the line; if the process was killed, find out by whom, then start the agent again.",
        ),
    },
    Builtin {
        rule: builtin::ORDER_REFUSED,
        severity: Severity::Critical,
        technique: None,
        title: Message::new("Tác tử từ chối lệnh", "Agent refused an order"),
        explanation: Message::new(
            "Tác tử nhận một lệnh không có chữ ký hợp lệ, đã hết hạn, bị sửa, gửi nhầm máy hoặc bị phát lại. Máy trung tâm có thể đã bị chiếm.",
            "The agent got an order that was unsigned, expired, altered, meant for another host or replayed. The hub may be captured.",
        ),
        next_step: Message::new(
            "Đối chiếu lệnh với nhật ký của đội; nếu không ai ra lệnh, coi máy trung tâm là bị xâm nhập.",
            "Compare with what the team ordered; if nobody gave it, treat the hub as compromised.",
        ),
    },
    Builtin {
        rule: builtin::PACK_REFUSED,
        severity: Severity::High,
        technique: None,
        title: Message::new("Tác tử từ chối gói luật", "Agent refused a rule pack"),
        explanation: Message::new(
            "Gói luật không có chữ ký hợp lệ, cũ hơn gói đang dùng hoặc không biên dịch được. Tác tử vẫn dùng gói tốt gần nhất.",
            "The rule pack was unsigned, older than the loaded one or did not compile. The agent keeps the last good pack.",
        ),
        next_step: Message::new(
            "Kiểm tra nguồn gói luật, ký lại và gửi lại.",
            "Check where the pack came from, sign and send it again.",
        ),
    },
    Builtin {
        rule: builtin::SENSOR_BLIND,
        severity: Severity::Medium,
        technique: None,
        title: Message::new("Cảm biến bị mù một lúc", "Sensor was blind for a while"),
        explanation: Message::new(
            "Cảm biến mất sự kiện hoặc gói tin. Tác tử xem lại những gì còn ở đó (tệp, tiến trình); gói tin đã mất thì không trở lại.",
            "The sensor lost events or packets. The agent looks again at what is still there (files, processes); lost packets do not come back.",
        ),
        next_step: Message::new(
            "Xem khoảng thời gian và nguyên nhân; nếu lặp lại, theo dõi ít thư mục hoặc giao diện mạng hơn.",
            "Look at the interval and the cause; if it comes again, watch fewer folders or interfaces.",
        ),
    },
    Builtin {
        rule: builtin::SCAN_FAILED,
        severity: Severity::Low,
        technique: None,
        title: Message::new("Tệp không quét được", "File could not be scanned"),
        explanation: Message::new(
            "Tệp quá lớn, quá chậm, không đọc được hoặc vượt một giới hạn. Không quét được không có nghĩa là sạch.",
            "The file was too large, too slow, unreadable or met a limit. Not scanned is never clean.",
        ),
        next_step: Message::new("Xem tệp bằng tay.", "Look at the file by hand."),
    },
    Builtin {
        rule: builtin::SCAN_KILLED,
        severity: Severity::Medium,
        technique: Some("T1562.001"),
        title: Message::new("Tệp làm chết tiến trình quét", "File kills the scan workers"),
        explanation: Message::new(
            "Hai tiến trình quét đã chết khi đọc tệp này. Tệp có thể được tạo ra để tấn công bộ quét hoặc để không bị quét. Tác tử vẫn chạy; tệp được để riêng và không quét lại cho đến khi nó hoặc gói luật thay đổi.",
            "Two scan workers died over this file. It may be made to attack the scanner, or not to be scanned. The agent runs on; the file is set aside and not scanned again until it or the rule pack changes.",
        ),
        next_step: Message::new(
            "Coi tệp là đáng ngờ: thu chứng cứ, xem ai đã ghi nó, rồi cách ly.",
            "Treat the file as suspicious: collect it as evidence, see who wrote it, then quarantine it.",
        ),
    },
    Builtin {
        rule: builtin::EVENT_FORK,
        severity: Severity::High,
        technique: Some("T1070"),
        title: Message::new("Sự kiện bị sửa", "Event was altered"),
        explanation: Message::new(
            "Tác tử gửi hai nội dung khác nhau cho cùng một số thứ tự.",
            "The agent sent two different contents under one number.",
        ),
        next_step: Message::new(
            "Kiểm tra bản sao máy ảo hoặc việc sửa hàng đợi trên máy chủ.",
            "Look for a restored virtual machine or tampering with the spool on the server.",
        ),
    },
    Builtin {
        rule: builtin::AGENT_FLOOD,
        severity: Severity::High,
        technique: Some("T1499"),
        title: Message::new("Tác tử gửi quá nhiều", "Agent sends more than its share"),
        explanation: Message::new(
            "Tác tử gửi nhiều hơn mức trung tâm nhận của một máy. Không mất gì: bản ghi vượt mức chờ ở tác tử; cảnh báo mới vượt mức được lưu thành bản ghi và đếm chung tại đây. Máy chủ có thể đã bị chiếm, hoặc một luật khớp quá nhiều.",
            "The agent sends more than the hub takes from one host. Nothing is lost: records over the limit wait at the agent, new alerts over it are kept as records and counted here together. The server may be captured, or a rule matches too much.",
        ),
        next_step: Message::new(
            "Xem các cảnh báo gần nhất của máy: nếu một luật khớp nhầm hàng loạt thì sửa gói luật; nếu không, coi máy chủ là bị xâm nhập.",
            "Look at the host's newest alerts: if one rule matches wrongly everywhere, mend the pack; if not, treat the server as compromised.",
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_detector_has_words() {
        for rule in builtin::ALL.into_iter().chain(crate::conduct::behaviour::rules::ALL) {
            assert!(builtin_rule(rule).is_some(), "{rule}");
        }
    }
}
