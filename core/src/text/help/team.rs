//! Help of the commands with which the team works on a case.

use super::Message;

pub(super) const HELP: &[(&str, Message)] = &[
    ("alert", Message::new("Cảnh báo", "Alerts")),
    (
        "alert list",
        Message::new("Liệt kê, nặng nhất và mới nhất trước", "List, most severe and newest first"),
    ),
    (
        "alert list --status",
        Message::new(
            "Chỉ trạng thái này: new, acknowledged hoặc closed",
            "Only this status: new, acknowledged or closed",
        ),
    ),
    (
        "alert list --find",
        Message::new(
            "Chỉ cảnh báo chứa các từ này, không phân biệt dấu",
            "Only alerts with these words; marks do not matter",
        ),
    ),
    ("alert list --limit", Message::new("Tối đa bao nhiêu", "At most this many")),
    ("alert show", Message::new("Xem một cảnh báo với mọi chi tiết", "Show one alert with every detail")),
    ("alert show --id", Message::new("Mã cảnh báo, ví dụ A-12", "Alert id, such as A-12")),
    ("alert ack", Message::new("Tiếp nhận cảnh báo", "Acknowledge alerts")),
    ("alert ack --id", Message::new("Mã cảnh báo", "Alert ids")),
    ("alert close", Message::new("Đóng cảnh báo với kết luận", "Close alerts with a verdict")),
    ("alert close --id", Message::new("Mã cảnh báo", "Alert ids")),
    (
        "alert close --verdict",
        Message::new(
            "Kết luận: true-positive là đúng, false-positive là cảnh báo nhầm",
            "What was found: a true or a false positive",
        ),
    ),
    (
        "alert close --reason",
        Message::new("Lý do; bắt buộc với cảnh báo nhầm", "Why; needed for a false positive"),
    ),
    ("alert reopen", Message::new("Mở lại cảnh báo đã đóng", "Take closed alerts back into the queue")),
    ("alert reopen --id", Message::new("Mã cảnh báo", "Alert ids")),
    ("incident", Message::new("Sự cố", "Incidents")),
    ("incident open", Message::new("Mở sự cố từ các cảnh báo", "Open an incident from alerts")),
    ("incident open --alerts", Message::new("Mã các cảnh báo", "Alert ids")),
    (
        "incident open --title",
        Message::new("Tên sự cố [mặc định: tên cảnh báo đầu tiên]", "Title [default: the first alert's]"),
    ),
    ("incident list", Message::new("Liệt kê, mới nhất trước", "List, newest first")),
    (
        "incident show",
        Message::new("Xem diễn biến, thời hạn pháp lý, chứng cứ", "Show timeline, legal clocks, evidence"),
    ),
    ("incident show --id", Message::new("Mã sự cố, ví dụ SC-2026-0001", "Incident id, such as SC-2026-0001")),
    ("incident note", Message::new("Ghi chú vào diễn biến", "Write a note in the timeline")),
    ("incident note --id", Message::new("Mã sự cố", "Incident id")),
    ("incident note --text", Message::new("Nội dung", "The text")),
    (
        "incident close",
        Message::new(
            "Đóng sự cố khi không còn lần chạy nào chưa kết thúc",
            "Close an incident that has no unfinished run",
        ),
    ),
    ("incident close --id", Message::new("Mã sự cố", "Incident id")),
    ("incident close --reason", Message::new("Lý do", "The reason")),
    ("incident reopen", Message::new("Mở lại sự cố đã đóng", "Open a closed incident again")),
    ("incident reopen --id", Message::new("Mã sự cố", "Incident id")),
    ("playbook", Message::new("Kịch bản xử lý", "Playbooks")),
    ("playbook list", Message::new("Liệt kê thư viện", "List the library")),
    ("playbook show", Message::new("Xem các bước", "Show the steps")),
    ("playbook show --id", Message::new("Mã kịch bản, ví dụ webshell", "Playbook id, such as webshell")),
    ("playbook run", Message::new("Chạy kịch bản cho một sự cố", "Run a playbook for an incident")),
    ("playbook run --id", Message::new("Mã kịch bản", "Playbook id")),
    ("playbook run --incident", Message::new("Mã sự cố", "Incident id")),
    ("run", Message::new("Các lần chạy kịch bản", "Playbook runs")),
    ("run list", Message::new("Liệt kê, mới nhất trước", "List, newest first")),
    ("run show", Message::new("Xem một lần chạy", "Show one run")),
    ("run show --run", Message::new("Mã lần chạy hoặc phần đầu của mã", "Run id or how it begins")),
    (
        "run approve",
        Message::new(
            "Phê duyệt bước đang chờ và ký các lệnh tiếp theo",
            "Approve the step that waits and sign the next orders",
        ),
    ),
    ("run approve --run", Message::new("Mã lần chạy hoặc phần đầu của mã", "Run id or how it begins")),
    ("run refuse", Message::new("Từ chối bước đang chờ", "Say no to the step that waits")),
    ("run refuse --run", Message::new("Mã lần chạy hoặc phần đầu của mã", "Run id or how it begins")),
    ("run refuse --reason", Message::new("Lý do", "Why")),
    ("run undo", Message::new("Hoàn tác những gì đã làm", "Undo what a run did")),
    ("run undo --run", Message::new("Mã lần chạy hoặc phần đầu của mã", "Run id or how it begins")),
    ("report", Message::new("Báo cáo", "Reports")),
    ("report draft", Message::new("Soạn báo cáo: DOCX, PDF và STIX", "Draft a report: DOCX, PDF and STIX")),
    ("report draft --incident", Message::new("Mã sự cố", "Incident id")),
    ("report draft --form", Message::new("Biểu mẫu, ví dụ nd331-nhanh", "Form, such as nd331-nhanh")),
    (
        "report draft --stage",
        Message::new(
            "Giai đoạn: now, 24h, 72h, update hoặc final [mặc định: 24h]",
            "Stage: now, 24h, 72h, update or final [default: 24h]",
        ),
    ),
    ("report draft --out", Message::new("Thư mục ghi tệp", "Folder for the files")),
    ("report draft --set", Message::new("Điền một trường", "Fill a field")),
    ("evidence", Message::new("Chứng cứ", "Evidence")),
    (
        "evidence get",
        Message::new(
            "Lấy bản sao; việc này được ghi vào hồ sơ bàn giao",
            "Take a copy out; this goes in the custody record",
        ),
    ),
    ("evidence get --sha256", Message::new("SHA-256 của chứng cứ", "SHA-256 of the evidence")),
    ("evidence get --incident", Message::new("Mã sự cố", "Incident id")),
    ("evidence get --out", Message::new("Tệp ghi ra; không ghi đè", "File to write; never overwritten")),
    (
        "evidence add",
        Message::new(
            "Đưa một tệp có sẵn ở đây vào chứng cứ; tệp được niêm phong trước khi gửi",
            "Bring a file from here as evidence; it is sealed before it is sent",
        ),
    ),
    ("evidence add --file", Message::new("Tệp, tối đa 64 MiB", "File, at most 64 MiB")),
    (
        "evidence add --incident",
        Message::new("Sự cố mà chứng cứ thuộc về", "The incident to which it belongs"),
    ),
    ("evidence list", Message::new("Liệt kê chứng cứ của một sự cố", "List the evidence of an incident")),
    ("evidence list --incident", Message::new("Mã sự cố", "Incident id")),
];
