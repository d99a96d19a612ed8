//! Words for alerts, incidents, runs and agents, and what the built-in detectors say.

use super::Message;
use crate::{
    Severity,
    alert::{Status, Verdict},
    asset::{Presence, Sight},
    detection::builtin,
    incident::EntryKind,
    run::{RunState, StepState},
};

/// Names a severity.
#[must_use]
pub const fn severity(s: Severity) -> Message {
    match s {
        Severity::Critical => Message::new("Nguy cấp", "Critical"),
        Severity::High => Message::new("Cao", "High"),
        Severity::Medium => Message::new("Trung bình", "Medium"),
        Severity::Low => Message::new("Thấp", "Low"),
    }
}

/// Names a status.
#[must_use]
pub const fn status(s: Status) -> Message {
    match s {
        Status::New => Message::new("Mới", "New"),
        Status::Acknowledged => Message::new("Đã tiếp nhận", "Acknowledged"),
        Status::Closed => Message::new("Đã đóng", "Closed"),
    }
}

/// Names a verdict.
#[must_use]
pub const fn verdict(v: Verdict) -> Message {
    match v {
        Verdict::TruePositive => Message::new("Đúng", "True positive"),
        Verdict::FalsePositive => Message::new("Báo động nhầm", "False positive"),
    }
}

/// Names an agent's presence.
#[must_use]
pub const fn presence(p: Presence) -> Message {
    match p {
        Presence::Online => Message::new("Trực tuyến", "Online"),
        Presence::Stopped => Message::new("Đã dừng", "Stopped"),
        Presence::Silent => Message::new("Im lặng", "Silent"),
    }
}

/// Names how much a sensor sees.
#[must_use]
pub const fn sight(s: Sight) -> Message {
    match s {
        Sight::Full => Message::new("Đầy đủ", "Full"),
        Sight::Reduced => Message::new("Bị giảm", "Reduced"),
        Sight::Blind => Message::new("Không thấy", "Blind"),
    }
}

/// Names a run's state.
#[must_use]
pub const fn run_state(s: RunState) -> Message {
    match s {
        RunState::Running => Message::new("Đang chạy", "Running"),
        RunState::WaitingForApproval => Message::new("Chờ phê duyệt", "Waiting for approval"),
        RunState::Done => Message::new("Hoàn thành", "Done"),
        RunState::Failed => Message::new("Thất bại", "Failed"),
        RunState::Refused => Message::new("Bị từ chối", "Refused"),
        RunState::Undoing => Message::new("Đang hoàn tác", "Undoing"),
        RunState::Undone => Message::new("Đã hoàn tác", "Undone"),
        RunState::UndoFailed => Message::new("Hoàn tác thất bại", "Undo failed"),
    }
}

/// Names a step's state.
#[must_use]
pub const fn step_state(s: StepState) -> Message {
    match s {
        StepState::Pending => Message::new("Chưa làm", "Pending"),
        StepState::Active => Message::new("Đang làm", "Active"),
        StepState::Done => Message::new("Xong", "Done"),
        StepState::Failed => Message::new("Thất bại", "Failed"),
        StepState::Skipped => Message::new("Bỏ qua", "Skipped"),
    }
}

/// Titles the step that puts a quarantined file back.
pub const UNDO_RESTORE: Message = Message::new("Hoàn tác: trả tệp về chỗ cũ", "Undo: put the file back");
/// Titles the step that looks whether it is back.
pub const UNDO_VERIFY: Message =
    Message::new("Hoàn tác: kiểm tra tệp đã trở lại", "Undo: verify that the file is back");

/// Names a line of the timeline.
#[must_use]
pub const fn entry(k: EntryKind) -> Message {
    match k {
        EntryKind::Detected => Message::new("Phát hiện", "Detected"),
        EntryKind::Opened => Message::new("Mở sự cố", "Incident opened"),
        EntryKind::AlertAdded => Message::new("Thêm cảnh báo", "Alert added"),
        EntryKind::Note => Message::new("Ghi chú", "Note"),
        EntryKind::RunStarted => Message::new("Chạy kịch bản", "Playbook started"),
        EntryKind::ApprovalAsked => Message::new("Xin phê duyệt", "Approval asked"),
        EntryKind::Approved => Message::new("Phê duyệt", "Approved"),
        EntryKind::Refused => Message::new("Từ chối", "Refused"),
        EntryKind::StepDone => Message::new("Bước xong", "Step done"),
        EntryKind::StepFailed => Message::new("Bước thất bại", "Step failed"),
        EntryKind::RunEnded => Message::new("Kịch bản kết thúc", "Playbook ended"),
        EntryKind::UndoAsked => Message::new("Yêu cầu hoàn tác", "Undo asked"),
        EntryKind::EvidenceStored => Message::new("Lưu chứng cứ", "Evidence stored"),
        EntryKind::ReportDrafted => Message::new("Soạn báo cáo", "Report drafted"),
    }
}

/// What a built-in detector says: how bad, title, explanation, next step.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
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
pub fn builtin_rule(rule: &str) -> Option<Builtin> {
    let it = match rule {
        builtin::AGENT_SILENT => Builtin {
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
        builtin::ORDER_REFUSED => Builtin {
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
        builtin::PACK_REFUSED => Builtin {
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
        builtin::SENSOR_BLIND => Builtin {
            severity: Severity::Medium,
            technique: None,
            title: Message::new("Cảm biến bị mù một lúc", "Sensor was blind for a while"),
            explanation: Message::new(
                "Cảm biến mất sự kiện; tác tử đã quét lại phần bị ảnh hưởng.",
                "The sensor lost events; the agent looked again at what was affected.",
            ),
            next_step: Message::new(
                "Xem khoảng thời gian và nguyên nhân; nếu lặp lại, thu hẹp thư mục theo dõi.",
                "Look at the interval and the cause; if it comes again, watch fewer folders.",
            ),
        },
        builtin::SCAN_FAILED => Builtin {
            severity: Severity::Low,
            technique: None,
            title: Message::new("Tệp không quét được", "File could not be scanned"),
            explanation: Message::new(
                "Tệp quá lớn, quá chậm, không đọc được hoặc làm hỏng tiến trình quét. Không quét được không có nghĩa là sạch.",
                "The file was too large, too slow, unreadable or killed the scan worker. Not scanned is never clean.",
            ),
            next_step: Message::new("Xem tệp bằng tay.", "Look at the file by hand."),
        },
        builtin::EVENT_FORK => Builtin {
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
        _ => return None,
    };
    Some(it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_detector_has_words() {
        for rule in builtin::ALL {
            assert!(builtin_rule(rule).is_some(), "{rule}");
        }
    }
}
