//! Words of the commands. Labels of tables first, then what is said, what went wrong, and what to do next.

use super::Message;

// Headings and labels.

/// Labels: ID.
pub const ID: Message = Message::new("Mã", "ID");
/// Labels: Severity.
pub const SEVERITY: Message = Message::new("Mức", "Severity");
/// Labels: Status.
pub const STATUS: Message = Message::new("Trạng thái", "Status");
/// Labels: State.
pub const STATE: Message = Message::new("Trạng thái", "State");
/// Labels: Last seen.
pub const LAST_SEEN: Message = Message::new("Lần cuối", "Last seen");
/// Labels: First seen.
pub const FIRST_SEEN: Message = Message::new("Lần đầu", "First seen");
/// Labels: Received.
pub const RECEIVED: Message = Message::new("Trung tâm nhận", "Received");
/// Labels: Count.
pub const COUNT: Message = Message::new("Số lần", "Count");
/// Labels: Host.
pub const HOST: Message = Message::new("Máy chủ", "Host");
/// Labels: Agency.
pub const AGENCY: Message = Message::new("Cơ quan", "Agency");
/// Labels: Agencies.
pub const AGENCIES: Message = Message::new("Cơ quan", "Agencies");
/// Labels: Agent.
pub const AGENT: Message = Message::new("Tác tử", "Agent");
/// Label: the file of packets in which something was found.
pub const CAPTURE: Message = Message::new("Tệp gói tin", "Packets");
/// Label: the digest of that file.
pub const CAPTURE_SHA256: Message = Message::new("SHA-256 tệp gói tin", "SHA-256 of packets");
/// Labels: Title.
pub const TITLE: Message = Message::new("Tên", "Title");
/// Labels: Where.
pub const WHERE: Message = Message::new("Ở đâu", "Where");
/// Labels: Rule.
pub const RULE: Message = Message::new("Luật", "Rule");
/// Labels: Verdict.
pub const VERDICT: Message = Message::new("Kết luận", "Verdict");
/// Labels: Reason.
pub const REASON: Message = Message::new("Lý do", "Reason");
/// Labels: By.
pub const BY: Message = Message::new("Người xử lý", "By");
/// Labels: Incident.
pub const INCIDENT: Message = Message::new("Sự cố", "Incident");
/// Labels: What.
pub const SEEN: Message = Message::new("Nội dung", "What");
/// Labels: ATT&CK technique.
pub const TECHNIQUE: Message = Message::new("Kỹ thuật ATT&CK", "ATT&CK technique");
/// Labels: Meaning.
pub const EXPLANATION: Message = Message::new("Ý nghĩa", "Meaning");
/// Labels: Next step.
pub const NEXT_STEP: Message = Message::new("Việc cần làm", "Next step");
/// Labels: Match.
pub const EXCERPT: Message = Message::new("Đoạn khớp", "Match");
/// Labels: File.
pub const FILE: Message = Message::new("Tệp", "File");
/// Labels: Size.
pub const SIZE: Message = Message::new("Cỡ", "Size");
/// Labels: Owner.
pub const OWNER: Message = Message::new("Chủ tệp", "Owner");
/// Labels: Modified.
pub const MODIFIED: Message = Message::new("Sửa lúc", "Modified");
/// Labels: Written by.
pub const PROCESS: Message = Message::new("Tiến trình ghi", "Written by");
/// Labels: Comes from.
pub const LINEAGE: Message = Message::new("Được gọi từ", "Comes from");
/// Labels: One after the other.
pub const STORY: Message = Message::new("Diễn biến", "In turn");
/// Labels: Container.
pub const CONTAINER: Message = Message::new("Vùng chứa", "Container");
/// Says that a process has mounts of its own.
pub const OWN_MOUNTS: Message =
    Message::new("thấy các điểm gắn kết khác máy chủ", "sees other mounts than the host");
/// Labels: Flow.
pub const FLOW: Message = Message::new("Luồng", "Flow");
/// Label.
pub const OWNED_BY: Message = Message::new("Tiến trình", "Process");
/// Label.
pub const LISTED: Message = Message::new("Có trong danh sách", "On a list");
/// Labels: Direction.
pub const DIRECTION: Message = Message::new("Chiều", "Direction");
/// Labels: Interface.
pub const INTERFACE: Message = Message::new("Giao diện mạng", "Interface");
/// The tunnel in which a flow ran.
pub const TUNNEL: Message = Message::new("Đường hầm", "Tunnel");
/// Labels: Name.
pub const NAME: Message = Message::new("Tên miền", "Name");
/// Labels: to the server.
pub const TO_SERVER: Message = Message::new("tới máy chủ", "to the server");
/// Labels: to the client.
pub const TO_CLIENT: Message = Message::new("tới máy khách", "to the client");
/// Labels: Alerts.
pub const ALERTS: Message = Message::new("Cảnh báo", "Alerts");
/// Labels: Open.
pub const OPEN: Message = Message::new("Đang xử lý", "Open");
/// Labels: Closed.
pub const CLOSED: Message = Message::new("Đã đóng", "Closed");
/// Labels: Opened.
pub const OPENED: Message = Message::new("Mở lúc", "Opened");
/// Labels: Opened by.
pub const OPENED_BY: Message = Message::new("Người mở", "Opened by");
/// Labels: T0 (detected).
pub const T0: Message = Message::new("T0 (phát hiện)", "T0 (detected)");
/// Labels: TIMELINE.
pub const TIMELINE: Message = Message::new("DIỄN BIẾN", "TIMELINE");
/// Labels: EVIDENCE.
pub const EVIDENCE: Message = Message::new("CHỨNG CỨ", "EVIDENCE");
/// Labels: PLAYBOOK RUNS.
pub const RUNS: Message = Message::new("KỊCH BẢN ĐÃ CHẠY", "PLAYBOOK RUNS");
/// Labels: LEGAL CLOCKS.
pub const CLOCKS: Message = Message::new("THỜI HẠN PHÁP LÝ", "LEGAL CLOCKS");
/// Labels: Left.
pub const LEFT: Message = Message::new("Còn lại", "Left");
/// Labels: Deadline.
pub const DEADLINE: Message = Message::new("Hạn", "Deadline");
/// Labels: Duty.
pub const DUTY: Message = Message::new("Nghĩa vụ", "Duty");
/// Labels: To.
pub const RECIPIENT: Message = Message::new("Nơi nhận", "To");
/// Labels: Basis.
pub const BASIS: Message = Message::new("Căn cứ", "Basis");
/// Labels: Condition.
pub const CONDITION: Message = Message::new("Điều kiện", "Condition");
/// Labels: at once.
pub const AT_ONCE: Message = Message::new("ngay", "at once");
/// Labels: At once.
pub const CLOCK_IMMEDIATE: Message = Message::new("Ngay lập tức", "At once");
/// Labels: Running.
pub const CLOCK_RUNNING: Message = Message::new("Đang đếm", "Running");
/// Labels: Under 6 hours.
pub const CLOCK_6H: Message = Message::new("Còn dưới 6 giờ", "Under 6 hours");
/// Labels: Under 2 hours.
pub const CLOCK_2H: Message = Message::new("Còn dưới 2 giờ", "Under 2 hours");
/// Labels: Overdue.
pub const CLOCK_OVERDUE: Message = Message::new("Quá hạn", "Overdue");
/// Labels: Playbook.
pub const PLAYBOOK: Message = Message::new("Kịch bản", "Playbook");
/// Labels: Summary.
pub const SUMMARY: Message = Message::new("Tóm tắt", "Summary");
/// Labels: Step.
pub const STEP: Message = Message::new("Bước", "Step");
/// Labels: Kind.
pub const KIND: Message = Message::new("Loại", "Kind");
/// Labels: Undo.
pub const UNDO: Message = Message::new("Hoàn tác", "Undo");
/// Labels: approval.
pub const APPROVAL: Message = Message::new("phê duyệt", "approval");
/// Labels: Waits for.
pub const WAITS_FOR: Message = Message::new("Chờ bước", "Waits for");
/// Labels: Started.
pub const STARTED: Message = Message::new("Bắt đầu", "Started");
/// Labels: Presence.
pub const PRESENCE: Message = Message::new("Hiện diện", "Presence");
/// Labels: Version.
pub const VERSION: Message = Message::new("Phiên bản", "Version");
/// Labels: Pack.
pub const PACK: Message = Message::new("Gói luật", "Pack");
/// Labels: Backlog.
pub const BACKLOG: Message = Message::new("Tồn đọng", "Backlog");
/// Labels: Coverage.
pub const COVERAGE: Message = Message::new("Vùng quan sát", "Coverage");
/// Labels: file.
pub const SENSOR_FILE: Message = Message::new("tệp", "file");
/// Labels: network.
pub const SENSOR_NETWORK: Message = Message::new("mạng", "network");
/// Labels: scan.
pub const SENSOR_SCAN: Message = Message::new("quét", "scan");
/// Labels: integrity.
pub const SENSOR_INTEGRITY: Message = Message::new("toàn vẹn", "integrity");
/// Labels: what changed in a text.
pub const DIFF: Message = Message::new("Thay đổi", "Changed");
/// Labels: behaviour.
pub const SENSOR_BEHAVIOUR: Message = Message::new("hành vi", "behaviour");
/// Labels: Rules.
pub const RULES: Message = Message::new("Luật", "Rules");
/// Labels: Names.
pub const DOMAINS: Message = Message::new("Tên miền", "Names");
/// Labels: Files on lists.
pub const FILES_LISTED: Message = Message::new("Tệp trong danh sách", "Files on lists");
/// Labels: one list about traffic, {kind} {file}.
pub const LIST: Message = Message::new("Danh sách {} ({})", "List of {} ({})");
/// Says what became of a list: {entries}, and of its lines {allowed}, {refused}, {other}, {doubted}.
pub const LIST_COUNTS: Message = Message::new(
    "{} mục; bỏ qua: {} được phép, {} quá rộng hoặc nội bộ, {} loại khác; {} cần xem lại",
    "{} entries; left out: {} let be, {} too wide or internal, {} of other kinds; {} to be looked at",
);
/// Labels: Look at.
pub const LOOK_AT: Message = Message::new("Xem lại", "Look at");
/// Labels: addresses and networks.
pub const KIND_ADDRESS: Message = Message::new("địa chỉ", "addresses");
/// Labels: names of hosts.
pub const KIND_DOMAIN: Message = Message::new("tên miền", "names");
/// Labels: URLs.
pub const KIND_URL: Message = Message::new("URL", "URLs");
/// Labels: JA4 fingerprints.
pub const KIND_JA4: Message = Message::new("dấu vân JA4", "JA4 fingerprints");
/// Labels: certificates.
pub const KIND_CERTIFICATE: Message = Message::new("chứng thư số", "certificates");
/// Labels: digests of files.
pub const KIND_FILE: Message = Message::new("tệp", "files");
/// Labels: the entry of a list.
pub const ENTRY: Message = Message::new("Mục khớp", "Entry");
/// Labels: who made a list, and how sure they are.
pub const SOURCE: Message = Message::new("Nguồn", "Source");
/// Labels: what else is to be known of an entry.
pub const REMARK: Message = Message::new("Ghi chú", "Remark");
/// Says: an entry is let be.
pub const LET_BE: Message = Message::new("được phép, không báo động", "let be, no alert");
/// Says: a list expired, {when}.
pub const LIST_EXPIRED: Message = Message::new("hết hạn từ {}", "expired {}");
/// Says: {value} stands on no list of the pack.
pub const ON_NO_LIST: Message =
    Message::new("{}: không có trong danh sách nào của gói luật.", "{}: stands on no list of the pack.");
/// Complains: {value} cannot be looked up.
pub const NO_VALUE: Message = Message::new(
    "`{}` không phải địa chỉ, mạng, tên miền, URL, JA4 hay mã băm",
    "`{}` is no address, network, name, URL, JA4 or digest",
);
/// Next step after that.
pub const NEXT_VALUE: Message = Message::new(
    "Ví dụ: khien rules lookup 203.0.113.7, evil[.]example, hxxp://evil[.]example/a hoặc một SHA-256.",
    "For example: khien rules lookup 203.0.113.7, evil[.]example, hxxp://evil[.]example/a or a SHA-256.",
);
/// Labels: Samples.
pub const SAMPLES: Message = Message::new("Mẫu thử", "Samples");
/// Labels: Without a sample.
pub const UNTESTED: Message = Message::new("Chưa có mẫu thử", "Without a sample");
/// Labels: Problem.
pub const PROBLEM: Message = Message::new("Lỗi", "Problem");
/// Labels: {} bytes.
pub const BYTES: Message = Message::new("{} byte", "{} bytes");
/// Labels: {}, {} of them on traffic.
pub const RULES_COUNT: Message =
    Message::new("{}, trong đó {} chạy trên lưu lượng", "{}, {} of them on traffic");
/// Labels: {} that must match, {} clean.
pub const SAMPLES_COUNT: Message =
    Message::new("{} mẫu phải khớp, {} mẫu sạch", "{} that must match, {} clean");

// What is said.

/// Says: error: {}
pub const ERROR: Message = Message::new("lỗi: {}", "error: {}");
/// Says: next step: {}
pub const NEXT: Message = Message::new("việc cần làm: {}", "next step: {}");
/// A list of alerts ends before the queue does: how many were looked at.
pub const LIST_CUT: Message = Message::new(
    "Chỉ xem {} cảnh báo đầu hàng đợi, phía sau có thể còn. Dùng --limit (tối đa 10000) hoặc --status để xem tiếp.",
    "Only the first {} alerts of the queue were looked at, there may be more. Use --limit (at most 10000) or --status.",
);
/// Says: There are no alerts.
pub const NO_ALERTS: Message = Message::new("Không có cảnh báo nào.", "There are no alerts.");
/// Says: There are no incidents yet.
pub const NO_INCIDENTS: Message = Message::new("Chưa có sự cố nào.", "There are no incidents yet.");
/// Says: No playbook has run yet.
pub const NO_RUNS: Message = Message::new("Chưa chạy kịch bản nào.", "No playbook has run yet.");
/// Says: There are no agents yet.
pub const NO_AGENTS: Message = Message::new("Chưa có tác tử nào.", "There are no agents yet.");
/// Says: Opened incident {}. Respond: khien playbook run webshell --incident {}
pub const INCIDENT_OPENED: Message = Message::new(
    "Đã mở sự cố {}. Xử lý: khien playbook run webshell --incident {}",
    "Opened incident {}. Respond: khien playbook run webshell --incident {}",
);
/// Says: Running playbook «{}» for {}. Signing these orders; none of them changes a host:
pub const PLAN_START: Message = Message::new(
    "Chạy kịch bản «{}» cho {}. Ký các lệnh chỉ đọc sau, chưa thay đổi gì trên máy chủ:",
    "Running playbook «{}» for {}. Signing these orders; none of them changes a host:",
);
/// Says: These orders will be signed with your key, good for 15 minutes:
pub const WILL_SIGN: Message = Message::new(
    "Các lệnh sau sẽ được ký bằng khóa của bạn, hiệu lực 15 phút:",
    "These orders will be signed with your key, good for 15 minutes:",
);
/// Says: Sign? `[y/N]`
pub const SIGN_QUESTION: Message = Message::new("Ký? [c/K]", "Sign? [y/N]");
/// Says:   {}: {} (sha256 {}…) on agent {}…
pub const ORDER_LINE: Message =
    Message::new("  {}: {} (sha256 {}…) trên tác tử {}…", "  {}: {} (sha256 {}…) on agent {}…");
/// Says: preserve as evidence
pub const VERB_PRESERVE: Message = Message::new("lưu làm chứng cứ", "preserve as evidence");
/// Says: quarantine the file
pub const VERB_QUARANTINE: Message = Message::new("cách ly tệp", "quarantine the file");
/// Says: verify that it is gone
pub const VERB_ABSENT: Message = Message::new("kiểm tra tệp đã biến mất", "verify that it is gone");
/// Says: put the file back
pub const VERB_RESTORE: Message = Message::new("trả tệp về chỗ cũ", "put the file back");
/// Says: verify that it is back
pub const VERB_PRESENT: Message = Message::new("kiểm tra tệp đã về chỗ cũ", "verify that it is back");
/// Says: scan
pub const VERB_SCAN: Message = Message::new("quét", "scan");
/// Says: scan the memory of processes
pub const VERB_SCAN_MEMORY: Message = Message::new("quét bộ nhớ tiến trình", "scan the memory of processes");
/// Says: stop a scan
pub const VERB_STOP_SCAN: Message = Message::new("dừng một lần quét", "stop a scan");
/// Says: search the records of the network
pub const VERB_SEARCH_RECORDS: Message =
    Message::new("tìm trong bản ghi mạng", "search the records of the network");
/// Says: save packets as evidence
pub const VERB_PRESERVE_PACKETS: Message =
    Message::new("lưu gói tin làm chứng cứ", "save packets as evidence");
/// Says: Waits for approval: khien run approve {} (or refuse: khien run refuse {} --reason …)
pub const HOW_TO_APPROVE: Message = Message::new(
    "Đang chờ phê duyệt: khien run approve {} (hoặc từ chối: khien run refuse {} --reason …)",
    "Waits for approval: khien run approve {} (or refuse: khien run refuse {} --reason …)",
);
/// Says: Can be undone: khien run undo {}
pub const HOW_TO_UNDO: Message =
    Message::new("Có thể hoàn tác: khien run undo {}", "Can be undone: khien run undo {}");
/// Says: Agents have not answered yet; the run goes on by itself. Look: khien run show {}
pub const STILL_RUNNING: Message = Message::new(
    "Tác tử chưa trả lời; kịch bản vẫn tiếp tục. Xem: khien run show {}",
    "Agents have not answered yet; the run goes on by itself. Look: khien run show {}",
);
/// Says: This token is good once. On the server: khien-agent enroll --token TOKEN, then khien-agent run
pub const TOKEN_HINT: Message = Message::new(
    "Mã ghi danh dùng một lần. Trên máy chủ: khien-agent enroll --token MÃ, rồi khien-agent run",
    "This token is good once. On the server: khien-agent enroll --token TOKEN, then khien-agent run",
);
/// Says: Reduced coverage on {}: {}
pub const REDUCED: Message = Message::new("Vùng quan sát bị giảm trên {}: {}", "Reduced coverage on {}: {}");
/// Says: ready: ready after {} s
pub const READY: Message = Message::new("ready: sẵn sàng sau {} giây", "ready: ready after {} s");
/// Says: {} ended ({}); starting again in {} s
pub const CHILD_DIED: Message =
    Message::new("{} đã dừng ({}); khởi động lại sau {} giây", "{} ended ({}); starting again in {} s");
/// Says: {} runs again
pub const CHILD_BACK: Message = Message::new("{} đã chạy lại", "{} runs again");
/// Says: Wrote {} ({} bytes, SHA-256 {})
pub const EVIDENCE_WRITTEN: Message =
    Message::new("Đã ghi {} ({} byte, SHA-256 {})", "Wrote {} ({} bytes, SHA-256 {})");
/// Says: Added {} ({} bytes, SHA-256 {}) to {}
pub const EVIDENCE_ADDED: Message =
    Message::new("Đã đưa {} ({} byte, SHA-256 {}) vào {}", "Added {} ({} bytes, SHA-256 {}) to {}");
/// Says that an incident has no evidence: its id.
pub const NO_EVIDENCE: Message =
    Message::new("Sự cố {} chưa có chứng cứ nào.", "Incident {} has no evidence yet.");
/// Labels: From.
pub const EVIDENCE_FROM: Message = Message::new("Nguồn", "From");
/// A pack goes out without its compiled form. Argument: why.
pub const NO_COMPILED_FORM: Message = Message::new(
    "gói luật không có dạng biên dịch, mỗi máy sẽ tự biên dịch (chậm hơn): {}",
    "pack has no compiled form, each agent compiles it itself (slower): {}",
);
/// Says: The hub offers pack version {}
pub const PACK_PUSHED: Message =
    Message::new("Trung tâm phát gói luật phiên bản {}", "The hub offers pack version {}");
/// Says: Every required field is filled.
pub const NOTHING_MISSING: Message =
    Message::new("Mọi trường bắt buộc đã có.", "Every required field is filled.");
/// Says: {} required fields are missing and blank in the report:
pub const MISSING: Message = Message::new(
    "Còn thiếu {} trường bắt buộc, để trống trong báo cáo:",
    "{} required fields are missing and blank in the report:",
);
/// Says: Fill them with --set FIELD=VALUE or in organization.toml.
pub const MISSING_HINT: Message = Message::new(
    "Điền bằng --set TRƯỜNG=GIÁ_TRỊ hoặc trong organization.toml.",
    "Fill them with --set FIELD=VALUE or in organization.toml.",
);
/// Says: No PDF: {} is not there. Build it with: cargo build --release -p khien-pdf
pub const PDF_NOT_BUILT: Message = Message::new(
    "Chưa có PDF: không thấy {}. Tạo bằng: cargo build --release -p khien-pdf",
    "No PDF: {} is not there. Build it with: cargo build --release -p khien-pdf",
);
/// Says: No PDF: {}
pub const PDF_FAILED: Message = Message::new("Chưa có PDF: {}", "No PDF: {}");

// What went wrong.

/// Tells what went wrong: playbook `{}` is not in the library.
pub const UNKNOWN_PLAYBOOK: Message =
    Message::new("thư viện không có kịch bản `{}`", "playbook `{}` is not in the library");
/// Tells what went wrong: the run follows another version of playbook `{}` than this program has.
pub const OTHER_PLAYBOOK: Message = Message::new(
    "lần chạy này theo một bản khác của kịch bản `{}` mà chương trình này không có",
    "the run follows another version of playbook `{}` than this program has",
);
/// Tells what went wrong: incident {} has no alert about a file, so there is nothing to work on.
pub const NO_FILES: Message = Message::new(
    "sự cố {} không có cảnh báo nào về tệp, nên không có gì để xử lý",
    "incident {} has no alert about a file, so there is nothing to work on",
);
/// Tells what went wrong: what incident {} has of files is in files of packets.
pub const NO_AGENT_FILES: Message = Message::new(
    "sự cố {} chỉ có tệp thấy trong tệp gói tin: không tác tử nào ở đó để thực hiện kịch bản",
    "incident {} has files only from files of packets: no agent is there to carry a playbook out",
);
/// Tells what to do: find the file on a host.
pub const NEXT_FIND_FILE: Message = Message::new(
    "tìm tệp đó trên máy có tác tử: khien agent scan, khien hunt net --sha256",
    "find the file on a host with an agent: khien agent scan, khien hunt net --sha256",
);
/// Tells what went wrong: run {} does not wait for an approval.
pub const NOTHING_WAITS: Message =
    Message::new("lần chạy {} không chờ phê duyệt", "run {} does not wait for an approval");
/// Tells what went wrong: run {} has done nothing that can be undone.
pub const NOTHING_TO_UNDO: Message =
    Message::new("lần chạy {} chưa làm gì để hoàn tác", "run {} has done nothing that can be undone");
/// Tells what went wrong: the plan has {} orders, at most {} are allowed.
pub const TOO_MANY_ORDERS: Message =
    Message::new("kế hoạch có {} lệnh, tối đa {}", "the plan has {} orders, at most {} are allowed");
/// Tells what went wrong: a false positive needs a reason.
pub const REASON_WANTED: Message =
    Message::new("cảnh báo nhầm phải có lý do", "a false positive needs a reason");
/// Tells what went wrong: there is no terminal to ask on, so nothing was signed.
pub const YES_WANTED: Message = Message::new(
    "không có màn hình để hỏi, nên chưa ký gì",
    "there is no terminal to ask on, so nothing was signed",
);
/// Tells what went wrong: nothing was signed.
pub const NOT_SIGNED: Message = Message::new("chưa ký gì", "nothing was signed");
/// Tells what went wrong: `{}` is no run id (at least {} hex digits).
pub const BAD_RUN: Message = Message::new(
    "`{}` không phải mã lần chạy (ít nhất {} chữ số hệ 16)",
    "`{}` is no run id (at least {} hex digits)",
);
/// Tells what went wrong: no run begins with `{}`.
pub const NO_RUN: Message =
    Message::new("không có lần chạy nào bắt đầu bằng `{}`", "no run begins with `{}`");
/// Tells what went wrong: several runs begin with `{}`.
pub const MANY_RUNS: Message =
    Message::new("nhiều lần chạy bắt đầu bằng `{}`", "several runs begin with `{}`");
/// Tells what went wrong: run {} failed.
pub const RUN_FAILED: Message = Message::new("lần chạy {} thất bại", "run {} failed");
/// Tells what went wrong: {} exists already.
pub const FILE_EXISTS: Message = Message::new("{} đã có", "{} exists already");
/// Tells what went wrong: {} cannot be used.
pub const BAD_ORGANIZATION: Message = Message::new("không dùng được {}", "{} cannot be used");
/// Tells what went wrong: unknown stage `{}`.
pub const UNKNOWN_STAGE: Message = Message::new("không có giai đoạn `{}`", "unknown stage `{}`");
/// Tells what went wrong: the pack has {} problems: {}.
pub const PACK_WRONG: Message = Message::new("gói luật có {} lỗi: {}", "the pack has {} problems: {}");
/// Tells what went wrong: the pack has {} bytes, at most {} are allowed.
pub const PACK_TOO_LARGE: Message =
    Message::new("gói luật có {} byte, tối đa {}", "the pack has {} bytes, at most {} are allowed");
/// Tells what went wrong: khien up runs already with {}.
pub const UP_RUNS: Message = Message::new("khien up đang chạy với {}", "khien up runs already with {}");
/// Tells what went wrong: {} did not start: {}.
pub const CHILD_ENDED: Message = Message::new("{} không khởi động được: {}", "{} did not start: {}");
/// Tells what went wrong: {} was not ready after {}.
pub const CHILD_LATE: Message = Message::new("{} chưa sẵn sàng sau {}", "{} was not ready after {}");

// Next steps.

/// Tells what to do: start the hub with `khien up`, or name the right folder with --home.
pub const NEXT_UP: Message = Message::new(
    "khởi động trung tâm bằng `khien up`, hoặc chọn đúng thư mục bằng --home",
    "start the hub with `khien up`, or name the right folder with --home",
);
/// Tells what to do: see what there is with `list`, such as `khien alert list`.
pub const NEXT_LIST: Message = Message::new(
    "xem những gì có bằng lệnh `list`, ví dụ `khien alert list`",
    "see what there is with `list`, such as `khien alert list`",
);
/// Tells what to do: ask who runs the hub to admit you: khien-hub operator add.
pub const NEXT_OPERATOR: Message = Message::new(
    "nhờ người quản trị trung tâm cấp quyền: khien-hub operator add",
    "ask who runs the hub to admit you: khien-hub operator add",
);
/// Tells what to do: look at the present state with `show`, then try again.
pub const NEXT_LOOK: Message = Message::new(
    "xem trạng thái hiện tại bằng lệnh `show`, rồi thử lại",
    "look at the present state with `show`, then try again",
);
/// Tells what to do: look at the hub's log (log/hub.log in the --home folder).
pub const NEXT_HUB_LOG: Message = Message::new(
    "xem nhật ký của trung tâm (log/hub.log trong thư mục --home)",
    "look at the hub's log (log/hub.log in the --home folder)",
);
/// Tells what to do: use khien and khien-hub of the same version.
pub const NEXT_VERSIONS: Message =
    Message::new("dùng khien và khien-hub cùng phiên bản", "use khien and khien-hub of the same version");
/// Tells what to do: check khien.toml and operator/ in the --home folder.
pub const NEXT_SETTINGS: Message = Message::new(
    "kiểm tra khien.toml và operator/ trong thư mục --home",
    "check khien.toml and operator/ in the --home folder",
);
/// Tells what to do: remove the cause above and run the command again; usage: khien --help.
pub const NEXT_FIX: Message = Message::new(
    "sửa nguyên nhân trên rồi chạy lại lệnh; cách dùng: khien --help",
    "remove the cause above and run the command again; usage: khien --help",
);
/// Tells what to do: see the library: khien playbook list.
pub const NEXT_PLAYBOOKS: Message =
    Message::new("xem thư viện: khien playbook list", "see the library: khien playbook list");
/// Tells what to do: see the incident's alerts: khien incident show {}.
pub const NEXT_FILE_ALERT: Message = Message::new(
    "xem các cảnh báo của sự cố: khien incident show {}",
    "see the incident's alerts: khien incident show {}",
);
/// Tells what to do: look: khien run show {}.
pub const NEXT_RUN_SHOW: Message = Message::new("xem: khien run show {}", "look: khien run show {}");
/// Tells what to do: see the runs: khien run list.
pub const NEXT_RUN_LIST: Message =
    Message::new("xem các lần chạy: khien run list", "see the runs: khien run list");
/// Tells what to do: split the incident into smaller ones.
pub const NEXT_FEWER: Message =
    Message::new("chia thành nhiều sự cố nhỏ hơn", "split the incident into smaller ones");
/// Tells what to do: add --reason "…".
pub const NEXT_REASON: Message = Message::new("thêm --reason \"…\"", "add --reason \"…\"");
/// Tells what to do: read the orders above; if you agree, run again with --yes.
pub const NEXT_YES: Message = Message::new(
    "đọc các lệnh ở trên; nếu đồng ý, chạy lại với --yes",
    "read the orders above; if you agree, run again with --yes",
);
/// Tells what to do: to say no for good: khien run refuse.
pub const NEXT_REFUSE: Message =
    Message::new("nếu không đồng ý hẳn: khien run refuse", "to say no for good: khien run refuse");
/// Tells what to do: choose another name for --out; evidence is never overwritten.
pub const NEXT_OTHER_FILE: Message = Message::new(
    "chọn tên khác cho --out; chứng cứ không bao giờ bị ghi đè",
    "choose another name for --out; evidence is never overwritten",
);
/// Tells what to do: check the file and who may read it; it may have at most 64 KiB.
pub const NEXT_ORGANIZATION: Message = Message::new(
    "kiểm tra tệp và quyền đọc; tệp tối đa 64 KiB",
    "check the file and who may read it; it may have at most 64 KiB",
);
/// Tells what to do: choose one of: {}.
pub const NEXT_STAGE: Message = Message::new("chọn một trong: {}", "choose one of: {}");
/// Tells what to do: see the form's and the fields' names above.
pub const NEXT_FORM: Message = Message::new(
    "xem tên biểu mẫu và tên trường trong thông báo trên",
    "see the form's and the fields' names above",
);
/// Tells what to do: mend the problems above and check again: khien rules check.
pub const NEXT_PACK_FIX: Message = Message::new(
    "sửa các lỗi trên rồi kiểm tra lại: khien rules check",
    "mend the problems above and check again: khien rules check",
);
/// Tells what to do: take rules or indicators out of the pack.
pub const NEXT_PACK_SMALLER: Message =
    Message::new("bớt luật hoặc chỉ báo trong gói", "take rules or indicators out of the pack");
/// Tells what to do: open a second screen with `khien ui`, or stop the other program first.
pub const NEXT_UI: Message = Message::new(
    "mở màn hình thứ hai bằng `khien ui`, hoặc dừng chương trình kia trước",
    "open a second screen with `khien ui`, or stop the other program first",
);
/// Tells what to do: look at the log {}.
pub const NEXT_LOG: Message = Message::new("xem nhật ký {}", "look at the log {}");
