//! The words of every [`Cause`] for which the hub refuses, and what to do then.

use super::{
    Message, Words,
    alert::{incident_status, run_state, status},
};
use crate::problem::Cause;

impl Cause {
    /// Returns it in both languages.
    #[must_use]
    pub fn words(&self) -> Words {
        let m = self.message();
        match self {
            Self::BodyTooLarge { limit }
            | Self::InflatedTooLarge { limit }
            | Self::TooManyRecords { limit }
            | Self::RecordTooLarge { limit }
            | Self::TooManyLanes { limit }
            | Self::BadAgency { limit }
            | Self::CsrTooLarge { limit }
            | Self::ReasonTooLong { limit }
            | Self::ReasonNeeded { limit }
            | Self::BadAlertCount { limit }
            | Self::BadTitle { limit }
            | Self::BadNote { limit }
            | Self::BadTargetCount { limit }
            | Self::BadEvidenceName { limit }
            | Self::OwnTransfers { limit }
            | Self::AllTransfers { limit }
            | Self::EvidenceTooLarge { limit } => m.words_with(&[limit]),
            Self::BodyTooSlow { seconds } | Self::Busy { seconds } => m.words_with(&[seconds]),
            Self::BodyCut { error }
            | Self::BodyNotZstd { error }
            | Self::BodyUnreadable { error }
            | Self::EvidenceNotSealed { error }
            | Self::AddressUnreadable { error } => m.words_with(&[error]),
            Self::EvidenceUnreadable { sha256, error } => m.words_with(&[&sha256.short(), error]),
            Self::Limit { what, limit } => m.words_with(&[what, limit]),
            Self::Gap { seq } => m.words_with(&[seq]),
            Self::NoAgent { agent } => m.words_with(&[agent]),
            Self::BadHours { limit, hours } => m.words_with(&[limit, hours]),
            Self::NoAlert { alert } | Self::AlertIsClosed { alert } => m.words_with(&[alert]),
            Self::AlertStatus { alert, is, needs } => {
                m.words_with(&[alert, &status(*is).words(), &status(*needs).words()])
            }
            Self::NoIncident { incident } | Self::IncidentIsClosed { incident } => m.words_with(&[incident]),
            Self::AlertTaken { alert, incident } => m.words_with(&[alert, incident]),
            Self::IncidentStatus { incident, is } => m.words_with(&[incident, &incident_status(*is).words()]),
            Self::RunUnfinished { incident, run } => m.words_with(&[incident, &run.short()]),
            Self::NoRun { run } | Self::RunIdTaken { run } => m.words_with(&[&run.short()]),
            Self::NoPlaybook { playbook } | Self::PlaybookDiffers { playbook } => m.words_with(&[playbook]),
            Self::PlaybookChanged { playbook, run } => m.words_with(&[playbook, &run.short()]),
            Self::NotInIncident { path, incident } => m.words_with(&[path, incident]),
            Self::StepDoesNotWait { run, step } => m.words_with(&[&run.short(), step]),
            Self::NothingToUndo { run, is } => m.words_with(&[&run.short(), &run_state(*is).words()]),
            Self::MandateRefused { reason } | Self::PackRefused { reason } => {
                m.words_with(&[&reason.words()])
            }
            Self::PackNotNewer { offered, current } => m.words_with(&[offered, current]),
            Self::EvidenceBusy { order } | Self::EvidenceNotAsked { order } => m.words_with(&[order]),
            Self::EvidenceGap { have, size } => m.words_with(&[have, size]),
            Self::NoEvidence { sha256, incident } => m.words_with(&[&sha256.short(), incident]),
            Self::NoPath
            | Self::AgentsOnly
            | Self::OperatorsOnly
            | Self::HubFailed
            | Self::HubDiskFull
            | Self::RecordsNotInOrder
            | Self::TokenRefused
            | Self::CsrUnreadable
            | Self::CsrKeyKind
            | Self::FalsePositiveNeedsReason
            | Self::TargetTwice
            | Self::MandateNotBySender
            | Self::MandateForOther
            | Self::MandateOrders
            | Self::MandateUsed
            | Self::BadPackVersion
            | Self::NoPack
            | Self::EvidenceOtherContent
            | Self::FormOtherHash
            | Self::EvidenceOtherHash => m.words(),
            Self::CaptureTaken { sha256, incident } => m.words_with(&[&sha256.short(), incident]),
            Self::CaptureFinding { rule, pack } => m.words_with(&[rule, pack]),
            Self::NoForm { sha256 } => m.words_with(&[&sha256.short()]),
            Self::NoScan { order } | Self::NoOrder { order } => m.words_with(&[&order.short()]),
        }
    }

    /// Returns what a person can do about it, where that is known.
    #[must_use]
    pub fn next_step(&self) -> Option<Words> {
        let m = |vi, en| Message::new(vi, en);
        Some(match self {
            Self::AlertIsClosed { alert } => {
                m("mở lại trước: khien alert reopen {}", "reopen it first: khien alert reopen {}")
                    .words_with(&[alert])
            }
            Self::NoAlert { .. } => m("xem: khien alert list", "look: khien alert list").words(),
            Self::AlertStatus { alert, .. } => {
                m("xem: khien alert show {}", "look: khien alert show {}").words_with(&[alert])
            }
            Self::NoIncident { .. } => m("xem: khien incident list", "look: khien incident list").words(),
            Self::AlertTaken { incident, .. }
            | Self::CaptureTaken { incident, .. }
            | Self::NotInIncident { incident, .. } => {
                m("xem: khien incident show {}", "look: khien incident show {}").words_with(&[incident])
            }
            Self::IncidentIsClosed { incident } => {
                m("mở lại trước: khien incident reopen {}", "reopen it first: khien incident reopen {}")
                    .words_with(&[incident])
            }
            Self::RunUnfinished { run, .. } => m(
                "phê duyệt, từ chối hoặc chờ: khien run show {}",
                "approve it, refuse it or wait: khien run show {}",
            )
            .words_with(&[&run.short()]),
            Self::NoScan { .. } => m("xem: khien agent scans", "look: khien agent scans").words(),
            Self::NoRun { .. } | Self::RunIdTaken { .. } => {
                m("xem: khien run list", "look: khien run list").words()
            }
            Self::StepDoesNotWait { run, .. } | Self::NothingToUndo { run, .. } => {
                m("xem: khien run show {}", "look: khien run show {}").words_with(&[&run.short()])
            }
            Self::NoPlaybook { .. } | Self::PlaybookDiffers { .. } | Self::PlaybookChanged { .. } => {
                m("dùng khien và khien-hub cùng phiên bản", "use khien and khien-hub of the same version")
                    .words()
            }
            Self::FalsePositiveNeedsReason | Self::ReasonNeeded { .. } => {
                m("thêm --reason \"…\"", "add --reason \"…\"").words()
            }
            Self::OperatorsOnly => m(
                "nhờ người quản trị trung tâm cấp quyền: khien-hub operator add",
                "ask who runs the hub to admit you: khien-hub operator add",
            )
            .words(),
            Self::MandateRefused { .. } => m(
                "kiểm tra đồng hồ của máy này và khóa trong operator/, rồi ký lại",
                "check this machine's clock and the key in operator/, then sign again",
            )
            .words(),
            Self::PackNotNewer { current, .. } => {
                m("tăng version trong gói luật lên trên {}", "raise the pack's version above {}")
                    .words_with(&[current])
            }
            Self::EvidenceUnreadable { .. } => m(
                "lấy lại tệp hoặc evidence.key của trung tâm từ bản sao lưu; nhật ký của trung tâm ghi rõ",
                "bring the file or the hub's evidence.key back from a backup; the hub's log says more",
            )
            .words(),
            Self::EvidenceNotSealed { .. } => m(
                "nâng cấp tác tử và khien lên cùng phiên bản với trung tâm",
                "bring agent and khien to the version of the hub",
            )
            .words(),
            Self::CaptureFinding { .. } => m(
                "chạy lại: khien pcap scan lấy gói luật hiện hành của trung tâm",
                "run it again: khien pcap scan fetches the hub's current pack",
            )
            .words(),
            Self::NoEvidence { incident, .. } => {
                m("xem: khien incident show {}", "look: khien incident show {}").words_with(&[incident])
            }
            Self::OwnTransfers { .. } | Self::AllTransfers { .. } => m(
                "chờ một lượt xong, rồi chạy lại lệnh này: làm lại không gây hại",
                "wait until one ends, then run this command again: to do it twice does no harm",
            )
            .words(),
            Self::Busy { seconds } => m("thử lại sau {} giây", "try again in {} s").words_with(&[seconds]),
            _ => return None,
        })
    }

    fn message(&self) -> Message {
        match self {
            Self::BodyTooLarge { .. } => {
                Message::new("nội dung gửi lên ở đây tối đa {} byte", "a body has at most {} bytes here")
            }
            Self::InflatedTooLarge { .. } => Message::new(
                "nội dung gửi lên sau khi giải nén tối đa {} byte",
                "a body has at most {} bytes once inflated",
            ),
            Self::BodyTooSlow { .. } => {
                Message::new("nội dung không tới trong {} giây", "body did not come in {} s")
            }
            Self::BodyCut { .. } => Message::new("nội dung bị cắt giữa chừng: {}", "body was cut: {}"),
            Self::BodyNotZstd { .. } => Message::new("nội dung không phải zstd: {}", "body is not zstd: {}"),
            Self::BodyUnreadable { .. } => {
                Message::new("không đọc được nội dung: {}", "body cannot be read: {}")
            }
            Self::AddressUnreadable { .. } => Message::new(
                "không đọc được địa chỉ hoặc mã trong yêu cầu: {}",
                "the address of the request or an id in it cannot be read: {}",
            ),
            Self::NoPath => Message::new("không có địa chỉ này", "this path does not exist"),
            Self::AgentsOnly => {
                Message::new("chỉ dành cho tác tử đã ghi danh", "this is for enrolled agents")
            }
            Self::OperatorsOnly => Message::new("chỉ dành cho người của đội", "this is for operators"),
            Self::Busy { .. } => Message::new(
                "trung tâm đang nhận quá nhiều yêu cầu, thử lại sau {} giây",
                "the hub gets too many requests, try again in {} s",
            ),
            Self::OwnTransfers { .. } => Message::new(
                "bạn đang có {} lượt gửi hoặc lấy chứng cứ, nhiều nhất cùng lúc",
                "{} of your transfers of evidence and captures go on, the most at once",
            ),
            Self::AllTransfers { .. } => Message::new(
                "cả đội đang có {} lượt gửi hoặc lấy chứng cứ, nhiều nhất cùng lúc",
                "{} transfers of evidence and captures of the team go on, the most at once",
            ),
            Self::Limit { .. } => {
                Message::new("đã tới giới hạn `{}`: tối đa {}", "the limit `{}` is reached: at most {}")
            }
            Self::HubDiskFull => Message::new("ổ đĩa của trung tâm đã đầy", "the disk of the hub is full"),
            Self::HubFailed => Message::new(
                "trung tâm không làm được việc này, nguyên nhân ở nhật ký của trung tâm",
                "the hub could not do this, its log says why",
            ),
            Self::TooManyRecords { .. } => {
                Message::new("một lô có tối đa {} bản ghi", "a batch has at most {} records")
            }
            Self::RecordTooLarge { .. } => {
                Message::new("một bản ghi có tối đa {} byte", "a record has at most {} bytes")
            }
            Self::RecordsNotInOrder => Message::new(
                "bản ghi của một lô phải đánh số liên tiếp từ 1",
                "records of a batch are numbered from 1, rising by one",
            ),
            Self::Gap { .. } => Message::new(
                "lô không bắt đầu ngay sau bản ghi cuối đã lưu là {}, hãy gửi tiếp từ đó",
                "batch does not begin after the last stored record {}, send from there",
            ),
            Self::TooManyLanes { .. } => {
                Message::new("một tác tử nêu tối đa {} hàng", "an agent names at most {} lanes")
            }
            Self::NoAgent { .. } => Message::new("không có tác tử {}", "agent {} does not exist"),
            Self::BadAgency { .. } => Message::new(
                "tên cơ quan phải có từ 1 đến {} byte và không có ký tự điều khiển",
                "agency must have 1 to {} bytes and no control characters",
            ),
            Self::BadHours { .. } => Message::new(
                "mã ghi danh có hiệu lực từ 1 đến {} giờ, không phải {}",
                "a token lives 1 to {} hours, not {}",
            ),
            Self::TokenRefused => Message::new(
                "mã ghi danh không đúng, đã dùng hoặc hết hạn; hãy xin người của đội mã mới",
                "token is unknown, used or expired; ask an operator for a new one",
            ),
            Self::CsrTooLarge { .. } => Message::new(
                "yêu cầu cấp chứng thư lớn hơn {} byte",
                "certificate signing request is larger than {} bytes",
            ),
            Self::CsrUnreadable => Message::new(
                "không đọc được yêu cầu cấp chứng thư, cần PEM với chữ ký hợp lệ",
                "certificate signing request cannot be read, expected PEM with a signature that holds",
            ),
            Self::CsrKeyKind => Message::new(
                "khóa của yêu cầu cấp chứng thư không phải Ed25519 hay P-256",
                "certificate signing request has another key than Ed25519 or P-256",
            ),
            Self::NoAlert { .. } => Message::new("không có cảnh báo {}", "alert {} does not exist"),
            Self::AlertIsClosed { .. } => Message::new(
                "cảnh báo {} đã đóng rồi, hãy mở lại trước",
                "alert {} is closed already, reopen it first",
            ),
            Self::AlertStatus { .. } => Message::new(
                "cảnh báo {} đang ở trạng thái «{}», việc này cần trạng thái «{}»",
                "alert {} is «{}», this needs it to be «{}»",
            ),
            Self::FalsePositiveNeedsReason => Message::new(
                "đóng với kết luận cảnh báo nhầm phải có lý do",
                "closing as false positive needs a reason",
            ),
            Self::ReasonTooLong { .. } => {
                Message::new("lý do dài tối đa {} byte", "a reason may have at most {} bytes")
            }
            Self::ReasonNeeded { .. } => Message::new(
                "việc này phải có lý do, dài tối đa {} byte",
                "this needs a reason of at most {} bytes",
            ),
            Self::NoIncident { .. } => Message::new("không có sự cố {}", "incident {} does not exist"),
            Self::BadAlertCount { .. } => Message::new(
                "một sự cố được mở từ 1 đến {} cảnh báo",
                "an incident is opened from 1 to {} alerts",
            ),
            Self::AlertTaken { .. } => {
                Message::new("cảnh báo {} đã thuộc sự cố {}", "alert {} belongs to incident {} already")
            }
            Self::BadTitle { .. } => Message::new(
                "tên sự cố có tối đa {} ký tự, không có ký tự điều khiển",
                "a title has at most {} characters, none of them control characters",
            ),
            Self::BadNote { .. } => {
                Message::new("một ghi chú có từ 1 đến {} byte", "a note has 1 to {} bytes")
            }
            Self::IncidentIsClosed { .. } => Message::new("sự cố {} đã đóng", "incident {} is closed"),
            Self::IncidentStatus { .. } => {
                Message::new("sự cố {} đã ở trạng thái «{}»", "incident {} is «{}» already")
            }
            Self::RunUnfinished { .. } => Message::new(
                "sự cố {} còn lần chạy {} chưa kết thúc",
                "incident {} has run {}, which has not ended",
            ),
            Self::CaptureTaken { .. } => Message::new(
                "tệp gói tin {} đã thuộc sự cố {}",
                "file of packets {} belongs to incident {} already",
            ),
            Self::CaptureFinding { .. } => Message::new(
                "phát hiện theo luật {} không thể có trong tệp gói tin, hoặc luật không có trong gói luật hiện hành ({})",
                "a finding by rule {} cannot be of a file of packets, or the current pack ({}) has no such rule",
            ),
            Self::NoRun { .. } => Message::new("không có lần chạy {}", "run {} does not exist"),
            Self::RunIdTaken { .. } => {
                Message::new("mã lần chạy {} đã thuộc một lần chạy khác", "run {} is another one")
            }
            Self::NoPlaybook { .. } => Message::new(
                "thư viện của trung tâm không có kịch bản `{}`",
                "playbook `{}` is not in the hub's library",
            ),
            Self::PlaybookDiffers { .. } => Message::new(
                "kịch bản `{}` ở trung tâm có nội dung khác",
                "playbook `{}` has another text at the hub",
            ),
            Self::PlaybookChanged { .. } => Message::new(
                "kịch bản `{}` đã thay đổi từ khi lần chạy {} bắt đầu",
                "playbook `{}` has changed since run {} began",
            ),
            Self::BadTargetCount { .. } => {
                Message::new("một lần chạy có từ 1 đến {} mục tiêu", "a run has 1 to {} targets")
            }
            Self::TargetTwice => {
                Message::new("một lần chạy chỉ nêu mỗi tệp một lần", "a run names each file once")
            }
            Self::NotInIncident { .. } => Message::new(
                "{} không nằm trong cảnh báo nào của sự cố {}",
                "{} is not in an alert of incident {}",
            ),
            Self::StepDoesNotWait { .. } => {
                Message::new("lần chạy {} không chờ bước {}", "run {} does not wait for step {}")
            }
            Self::NothingToUndo { .. } => Message::new(
                "lần chạy {} đang ở trạng thái «{}», lúc này không có gì để hoàn tác",
                "run {} is «{}» and has nothing that can be undone now",
            ),
            Self::NoScan { .. } => {
                Message::new("không có lần quét theo lệnh {}", "ordered scan {} does not exist")
            }
            Self::NoOrder { .. } => Message::new("không có lệnh {}", "order {} does not exist"),
            Self::MandateRefused { .. } => {
                Message::new("lệnh ủy quyền bị từ chối: {}", "mandate is refused: {}")
            }
            Self::MandateNotBySender => Message::new(
                "lệnh ủy quyền phải do chính người gửi ký",
                "mandate must be signed by the operator who sends it",
            ),
            Self::MandateForOther => Message::new(
                "lệnh ủy quyền dành cho lần chạy hoặc kịch bản khác",
                "mandate is for another run or another playbook",
            ),
            Self::MandateOrders => Message::new(
                "lệnh ủy quyền không cho phép đúng các lệnh của phần này trong kịch bản",
                "mandate does not allow exactly the orders of this part of the playbook",
            ),
            Self::MandateUsed => Message::new("lệnh ủy quyền đã được dùng", "mandate was used before"),
            Self::PackRefused { .. } => Message::new("gói luật bị từ chối: {}", "pack is refused: {}"),
            Self::BadPackVersion => {
                Message::new("phiên bản của gói luật là một số từ 1", "a pack's version is a number from 1")
            }
            Self::PackNotNewer { .. } => Message::new(
                "phiên bản gói luật {} không cao hơn bản hiện tại là {}",
                "pack version {} is not above the current one, {}",
            ),
            Self::NoPack => Message::new("trung tâm chưa có gói luật", "a rule pack does not exist"),
            Self::EvidenceTooLarge { .. } => {
                Message::new("một chứng cứ có tối đa {} byte", "evidence has at most {} bytes")
            }
            Self::EvidenceBusy { .. } => Message::new(
                "chứng cứ cho lệnh {} đang được nhận",
                "evidence for order {} is just being received",
            ),
            Self::EvidenceNotAsked { .. } => Message::new(
                "lệnh {} không yêu cầu tác tử này gửi chứng cứ",
                "order {} does not ask this agent for evidence",
            ),
            Self::EvidenceOtherContent => Message::new(
                "đây không phải nội dung mà lệnh yêu cầu",
                "this is not the content that was ordered",
            ),
            Self::EvidenceOtherHash => Message::new(
                "các byte không mở được, hoặc không có mã băm đã nêu; đã bỏ tất cả",
                "the bytes do not open, or not to the hash that was named; all were dropped",
            ),
            Self::EvidenceNotSealed { .. } => Message::new(
                "chứng cứ phải được niêm phong bằng khóa của trung tâm này: {}",
                "evidence must be sealed to the key of this hub: {}",
            ),
            Self::EvidenceUnreadable { .. } => Message::new(
                "không mở được chứng cứ {} mà trung tâm đang giữ: {}",
                "evidence {} cannot be opened as the hub keeps it: {}",
            ),
            Self::BadEvidenceName { .. } => {
                Message::new("tên của chứng cứ có từ 1 tới {} byte", "the name of evidence has 1 to {} bytes")
            }
            Self::EvidenceGap { .. } => Message::new(
                "trung tâm có {} trong {} byte, hãy gửi tiếp từ đó",
                "the hub has {} bytes of {}, send from there",
            ),
            Self::FormOtherHash => Message::new(
                "dạng biên dịch không có mã băm như tên gọi",
                "a compiled form does not have the hash that it is named by",
            ),
            Self::NoForm { .. } => Message::new(
                "không có dạng biên dịch {} của luật",
                "compiled form {} of rules does not exist",
            ),
            Self::NoEvidence { .. } => {
                Message::new("không có chứng cứ {} của sự cố {}", "evidence {} of incident {} does not exist")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_in_both_languages_with_the_next_step() {
        let cause = Cause::AlertIsClosed { alert: crate::AlertId(7) };

        assert_eq!(cause.words().vi, "cảnh báo A-7 đã đóng rồi, hãy mở lại trước");
        assert_eq!(cause.to_string(), "alert A-7 is closed already, reopen it first");
        assert_eq!(cause.next_step().unwrap().en, "reopen it first: khien alert reopen A-7");
    }

    #[test]
    fn what_is_quoted_cannot_steer_a_terminal() {
        let cause = Cause::BodyUnreadable { error: Cause::quoted(&"\u{1b}]0;x") };

        assert!(!cause.words().vi.contains('\u{1b}'), "{cause}");
    }
}
