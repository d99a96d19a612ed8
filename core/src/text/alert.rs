//! Words for alerts, incidents, runs and agents.

use super::Message;
use crate::{
    Severity,
    alert::{Status, Verdict},
    asset::{Presence, Sight},
    incident::{EntryKind, IncidentStatus},
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
        Verdict::FalsePositive => Message::new("Cảnh báo nhầm", "False positive"),
    }
}

/// Names an incident's status.
#[must_use]
pub const fn incident_status(s: IncidentStatus) -> Message {
    match s {
        IncidentStatus::Open => Message::new("Đang xử lý", "Open"),
        IncidentStatus::Closed => Message::new("Đã đóng", "Closed"),
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
        EntryKind::CaptureScanned => Message::new("Xem tệp gói tin", "File of packets looked at"),
        EntryKind::ReportDrafted => Message::new("Soạn báo cáo", "Report drafted"),
        EntryKind::Closed => Message::new("Đóng sự cố", "Incident closed"),
        EntryKind::Reopened => Message::new("Mở lại sự cố", "Incident reopened"),
    }
}
