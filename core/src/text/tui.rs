//! Words of the terminal UI.

use super::Message;

macro_rules! words {
    ($($name:ident: $vi:literal / $en:literal;)*) => {$(
        #[doc = concat!("Says “", $en, "”.")]
        pub const $name: Message = Message::new($vi, $en);
    )*};
}

// The bar at the top.
words! {
    PRODUCT: "KHIÊN" / "KHIÊN";
    LINK_CONNECTING: "Đang kết nối trung tâm…" / "Connecting to the hub…";
    LINK_UP: "Đã kết nối trung tâm" / "Connected to the hub";
    LINK_DOWN: "MẤT KẾT NỐI trung tâm từ {}, đang thử lại" / "HUB LOST since {}, trying again";
    DATA_AGE: "dữ liệu {} trước" / "data {} old";
    CLOCK: "{} giờ VN" / "{} Vietnam";
    OPEN_ALERTS: "Đang mở" / "Open";
    AGENTS_COUNT: "Tác tử" / "Agents";
    NO_AGENTS: "chưa có" / "none yet";
    REDUCED: "Vùng quan sát bị giảm" / "Coverage is reduced";
    SILENT_AGENTS: "{} tác tử im lặng: không thấy gì ở đó" / "Silent agents: {} – nothing is seen there";
    AND_MORE: "(+{} nữa, phím 3)" / "(+{} more, key 3)";
}

// Spans of time.
words! {
    SECONDS: "{} giây" / "{} s";
    MINUTES: "{} phút" / "{} min";
    HOURS_MINUTES: "{} giờ {} phút" / "{} h {} min";
    MINUTES_SECONDS: "{} phút {} giây" / "{} min {} s";
    DAYS_HOURS: "{} ngày {} giờ" / "{} d {} h";
    LEFT: "còn {}" / "{} left";
    OVERDUE: "QUÁ HẠN {}" / "OVERDUE by {}";
    AT_ONCE: "NGAY LẬP TỨC" / "AT ONCE";
}

// The queue.
words! {
    QUEUE: "Cảnh báo" / "Alerts";
    QUEUE_OPEN: "đang mở" / "open ones";
    QUEUE_ALL: "cả đã đóng" / "closed too";
    MARKED: "đã chọn {}" / "{} marked";
    FILTER: "Lọc" / "Filter";
    NO_ALERTS: "Không có cảnh báo nào đang mở." / "There are no open alerts.";
    NO_MATCH: "Không có cảnh báo nào khớp. Esc: bỏ lọc; a: xem cả cảnh báo đã đóng." / "No alert fits. Esc: no filter; a: closed ones too.";
    LOADING: "Đang tải…" / "Loading…";
    COL_SEVERITY: "Mức độ" / "Severity";
    COL_TIME: "Lúc" / "Time";
    COL_TITLE: "Phát hiện" / "Finding";
    COL_HOST: "Máy chủ" / "Host";
    COL_AGENCY: "Cơ quan" / "Agency";
    COL_WHERE: "Tệp hoặc kết nối" / "File or flow";
    COL_COUNT: "Lần" / "Seen";
    COL_STATUS: "Xử lý" / "State";
    SHORT_CRITICAL: "Nguy cấp" / "Critical";
    SHORT_HIGH: "Cao" / "High";
    SHORT_MEDIUM: "T.bình" / "Medium";
    SHORT_LOW: "Thấp" / "Low";
    SHORT_NEW: "Mới" / "New";
    SHORT_ACKNOWLEDGED: "Nhận" / "Ack";
    SHORT_CLOSED: "Đóng" / "Done";
}

// The detail view.
words! {
    DETAIL: "Cảnh báo {}" / "Alert {}";
    GONE: "Cảnh báo này không còn." / "This alert is gone.";
    RULE: "Luật" / "Rule";
    SEVERITY: "Mức độ" / "Severity";
    TECHNIQUE: "Kỹ thuật" / "Technique";
    STATUS: "Trạng thái" / "Status";
    REASON: "Lý do" / "Reason";
    BY: "Người xử lý" / "Handled by";
    INCIDENT: "Sự cố" / "Incident";
    HOST: "Máy chủ" / "Host";
    AGENCY: "Cơ quan" / "Agency";
    AGENT: "Tác tử" / "Agent";
    CAPTURE: "Tệp gói tin" / "Packets";
    CAPTURE_SHA256: "SHA-256 tệp gói tin" / "SHA-256 of packets";
    MEANING: "Ý nghĩa" / "Meaning";
    NEXT_STEP: "Việc cần làm" / "Next step";
    PATH: "Đường dẫn" / "Path";
    SHA256: "SHA-256" / "SHA-256";
    SIZE: "Kích thước" / "Size";
    BYTES: "{} byte" / "{} bytes";
    OWNER: "Chủ tệp" / "Owner";
    MODE: "Quyền" / "Mode";
    MODIFIED: "Sửa lúc" / "Modified";
    PROCESS: "Tiến trình" / "Process";
    PROCESS_UNKNOWN: "nhân hệ điều hành không cho biết" / "the kernel did not tell";
    COMMAND: "Lệnh" / "Command";
    USER: "Người dùng" / "User";
    PARENT: "tiến trình cha {}" / "parent {}";
    STARTED: "Bắt đầu lúc" / "Started";
    LINEAGE: "Được gọi từ" / "Comes from";
    STORY: "Diễn biến" / "In turn";
    CONTAINER: "Vùng chứa" / "Container";
    OWN_MOUNTS: "thấy các điểm gắn kết khác máy chủ" / "sees other mounts than the host";
    FLOW: "Kết nối" / "Flow";
    LISTED: "Có trong danh sách" / "On a list";
    DIRECTION: "Chiều" / "Direction";
    TO_SERVER: "từ máy khách tới máy chủ" / "client to server";
    TO_CLIENT: "từ máy chủ về máy khách" / "server to client";
    INTERFACE: "Giao diện" / "Interface";
    VLAN: "VLAN" / "VLAN";
    TUNNEL: "Đường hầm" / "Tunnel";
    NAME: "Tên" / "Name";
    URL: "URL" / "URL";
    WHAT: "Nội dung" / "What";
    FIRST_SEEN: "Thấy lần đầu" / "First seen";
    LAST_SEEN: "Thấy lần cuối" / "Last seen";
    RECEIVED: "Trung tâm nhận" / "Received";
    COUNT: "Số lần" / "Count";
    EXCERPT: "Đoạn khớp tại byte {}" / "Match at byte {}";
}

// Incidents.
words! {
    INCIDENTS: "Sự cố" / "Incidents";
    NO_INCIDENTS: "Chưa có sự cố nào. Ở hàng cảnh báo: chọn bằng phím cách rồi nhấn o." / "No incidents yet. In the alert queue: mark with Space, then press o.";
    NO_INCIDENT: "Cảnh báo này chưa thuộc sự cố nào; nhấn o để mở sự cố." / "This alert belongs to no incident yet; press o to open one.";
    INCIDENT_OPENED: "Đã mở sự cố {}." / "Incident {} is open.";
    IS_OPEN: "Đang xử lý" / "Open";
    IS_CLOSED: "Đã đóng" / "Closed";
    COL_ID: "Số" / "Number";
    COL_ABOUT: "Nội dung" / "About";
    COL_ALERTS: "C.báo" / "Alerts";
    COL_NEXT_CLOCK: "Hạn gần nhất" / "Next deadline";
    TAB_OVERVIEW: "Tổng quan" / "Overview";
    TAB_ALERTS: "Cảnh báo" / "Alerts";
    TAB_TIMELINE: "Diễn biến" / "Timeline";
    TAB_EVIDENCE: "Chứng cứ" / "Evidence";
    AGENCIES: "Cơ quan" / "Agencies";
    DETECTED: "Phát hiện (T0)" / "Detected (T0)";
    OPENED: "Mở lúc" / "Opened";
    OPENED_BY: "{}, bởi {}" / "{}, by {}";
    CLOCKS: "Thời hạn theo luật, tính từ T0" / "Legal deadlines, counted from T0";
    NO_CLOCKS: "Không có thời hạn nào áp dụng cho ngày này." / "No deadline holds for this date.";
    BEFORE: "trước {}" / "by {}";
    TELL: "báo: {}" / "tell: {}";
    IF: "nếu: {}" / "if: {}";
    RUNS: "Kịch bản" / "Playbook runs";
    NO_RUNS: "Chưa chạy kịch bản nào; nhấn p." / "No playbook was run yet; press p.";
    RUN_BY: "{} bắt đầu lúc {}" / "{} started it at {}";
    WAITS: "Chờ người quyết định: nhấn y" / "A person must decide: press y";
    RESULT_DONE: "xong" / "done";
    RESULT_FAILED: "thất bại: {}" / "failed: {}";
    NO_ENTRIES: "Chưa có gì." / "Nothing yet.";
    NO_EVIDENCE: "Chưa lưu chứng cứ nào." / "No evidence was kept yet.";
    CUSTODY_ORDERED: "ra lệnh thu" / "ordered";
    CUSTODY_BROUGHT: "đem đến" / "brought";
    CUSTODY_COLLECTED: "thu thập" / "collected";
    CUSTODY_RECEIVED: "tiếp nhận, băm lại" / "received, hashed again";
    CUSTODY_EXPORTED: "trích xuất" / "exported";
    CUSTODY_LATE: "sau khi lệnh ủy quyền hết hạn" / "after the mandate's end";
    NO_TARGETS: "Sự cố này không có cảnh báo về tệp, nên không có gì để xử lý." / "This incident has no alert about a file, so there is nothing to work on.";
    NO_AGENT_TARGETS: "Tệp của sự cố này chỉ thấy trong tệp gói tin: không tác tử nào ở đó để thực hiện kịch bản." / "The files of this incident come from files of packets: no agent is there to carry a playbook out.";
    NOTHING_WAITS: "Không có kịch bản nào chờ quyết định." / "No run waits for a decision.";
    NOTHING_TO_UNDO: "Không có kịch bản nào để hoàn tác." / "There is no run to undo.";
}

// Agents.
words! {
    AGENTS: "Tác tử" / "Agents";
    NO_AGENTS_YET: "Chưa có tác tử nào. Tạo mã ghi danh: khien agent token" / "No agents yet. Make an invitation: khien agent token";
    COL_VERSION: "Bản" / "Version";
    COL_PRESENCE: "Hiện diện" / "Presence";
    COL_SEEN: "Nghe cách đây" / "Heard ago";
    COL_SIGHT: "Quan sát" / "Coverage";
    COL_BACKLOG: "Tồn" / "Backlog";
    COL_PACK: "Gói luật" / "Pack";
    NO_PACK: "chưa có" / "none";
    SENSOR_FILE: "tệp" / "files";
    SENSOR_NETWORK: "mạng" / "network";
    SENSOR_SCAN: "quét" / "scan";
    SENSOR_INTEGRITY: "toàn vẹn" / "integrity";
    INTEGRITY: "Canh giữ" / "Integrity";
    DIFF: "Nội dung thay đổi" / "What changed";
    SENSOR_BEHAVIOUR: "hành vi" / "behaviour";
    OS: "Hệ điều hành" / "System";
    WALK: "Rà soát" / "Walk";
    ORDERED: "Quét theo lệnh" / "Ordered scan";
    MEMORY: "Bộ nhớ" / "Memory";
    PACKETS: "Gói tin" / "Packets";
    PACKETS_LINE: "{} đã xem, {} bị mất" / "{} seen, {} lost";
    SCANS: "Lượt quét" / "Scans";
    SIGHT: "Quan sát" / "Coverage";
    NO_COVERAGE: "chưa báo" / "not reported yet";
}

// Questions and answers.
words! {
    ASK_FALSE: "Cảnh báo nhầm ({} cảnh báo). Vì sao?" / "False positive ({} alerts). Why?";
    ASK_TRUE: "Đóng {} cảnh báo là đúng. Kết luận (có thể để trống):" / "Close as true positive ({} alerts). Finding (may be empty):";
    ASK_TITLE: "Mở sự cố từ {} cảnh báo. Tên sự cố:" / "Open an incident ({} alerts). Title:";
    ASK_NOTE: "Ghi chú vào sự cố {}:" / "Note for incident {}:";
    ASK_REFUSE: "Vì sao không phê duyệt bước {}?" / "Why is step {} refused?";
    ASK_KEYS: "Enter: gửi   Esc: thôi   Ctrl-U: xóa dòng" / "Enter: send   Esc: leave   Ctrl-U: clear";
    ASK_NEEDED: "Cần nhập nội dung." / "A text is needed.";
    PICK_PLAYBOOK: "Chạy kịch bản nào trên {} tệp?" / "Run which playbook? (files: {})";
    PICK_DECIDE: "Quyết định cho lần chạy nào?" / "Decide about which run?";
    PICK_UNDO: "Hoàn tác lần chạy nào?" / "Undo which run?";
    PICK_KEYS: "↑ ↓: chọn   Enter: tiếp   Esc: thôi" / "↑ ↓: choose   Enter: go on   Esc: leave";
    CONFIRM_QUIT: "Thoát Khiên?" / "Leave Khiên?";
    CONFIRM_QUIT_TEXT: "Những gì đã lưu ở trung tâm không mất. Nếu đây là `khien up`, trung tâm và tác tử cũng dừng." / "What the hub has stored is kept. If this is `khien up`, hub and agent stop too.";
    CONFIRM_START: "Chạy kịch bản {} cho sự cố {}" / "Run playbook {} for incident {}";
    CONFIRM_DECIDE: "Phê duyệt, kịch bản {}: {}" / "Approve, playbook {}: {}";
    CONFIRM_UNDO: "Hoàn tác kịch bản {} ({})?" / "Undo playbook {} ({})?";
    CONFIRM_STEPS: "Các bước của kịch bản:" / "Steps of the playbook:";
    STEP_APPROVAL: "dừng lại, chờ người phê duyệt" / "stops and asks a person";
    CONFIRM_ORDERS: "Khóa của {} sẽ ký đúng {} lệnh sau, không hơn:" / "The key of {} signs exactly this, no more (orders: {}):";
    CONFIRM_KEYS: "y: đồng ý   n/Esc: thôi   ↑ ↓: xem tiếp" / "y: yes   n/Esc: no   ↑ ↓: scroll";
    DECIDE_KEYS: "y: ký và phê duyệt   n: từ chối   Esc: để sau   ↑ ↓: xem tiếp" / "y: sign and approve   n: refuse   Esc: later   ↑ ↓: scroll";
    CHANGES_HOST: "thay đổi máy chủ" / "changes the host";
    VERB_PRESERVE: "Lưu chứng cứ" / "Keep as evidence";
    VERB_QUARANTINE: "Cách ly tệp" / "Quarantine the file";
    VERB_VERIFY_ABSENT: "Kiểm tra tệp đã biến mất" / "Verify that the file is gone";
    VERB_RESTORE: "Trả tệp về chỗ cũ" / "Put the file back";
    VERB_VERIFY_PRESENT: "Kiểm tra tệp đã trở lại" / "Verify that the file is back";
    VERB_SCAN: "Quét" / "Scan";
    VERB_SCAN_MEMORY: "Quét bộ nhớ tiến trình" / "Scan the memory of processes";
    VERB_STOP_SCAN: "Dừng một lần quét" / "Stop a scan";
    VERB_SEARCH_RECORDS: "Tìm trong bản ghi mạng" / "Search the records of the network";
    VERB_PRESERVE_PACKETS: "Lưu gói tin làm chứng cứ" / "Save packets as evidence";
    DONE_ACKNOWLEDGED: "Đã tiếp nhận." / "Acknowledged.";
    DONE_REOPENED: "Đã mở lại." / "Reopened.";
    DONE_CLOSED: "Đã đóng. Lấy lại: a để hiện cảnh báo đã đóng, rồi r." / "Closed. To take it back: a shows closed ones, then r.";
    DONE_NOTE: "Đã ghi chú." / "Noted.";
    DONE_STARTED: "Kịch bản đã bắt đầu." / "The playbook has started.";
    DONE_APPROVED: "Đã ký và phê duyệt." / "Signed and approved.";
    DONE_REFUSED: "Đã từ chối." / "Refused.";
    DONE_UNDO: "Đã ký lệnh hoàn tác." / "Undo is signed.";
    FAILED: "Không làm được: {} – {}" / "That failed: {} – {}";
    BUSY: "Còn nhiều việc đang chờ trung tâm; thử lại sau." / "Too much is waiting for the hub; try again later.";
    DISMISS: "Esc: đóng dòng này" / "Esc: dismiss";
}

// Keys.
words! {
    HELP: "Phím" / "Keys";
    HELP_KEYS: "↑ ↓: xem tiếp   phím khác: đóng" / "↑ ↓: scroll   any other key: close";
    HELP_EVERYWHERE: "Ở mọi màn hình" / "Everywhere";
    HELP_CTRL_C: "thoát ngay" / "leave at once";
    KEY_OPEN: "xem" / "open";
    KEY_ACKNOWLEDGE: "tiếp nhận" / "take on";
    KEY_FALSE: "báo nhầm" / "false alarm";
    KEY_TRUE: "đóng, là đúng" / "close, true";
    KEY_REOPEN: "mở lại" / "reopen";
    KEY_MARK: "chọn" / "mark";
    KEY_OPEN_INCIDENT: "mở sự cố" / "open incident";
    KEY_GO_INCIDENT: "tới sự cố" / "to incident";
    KEY_FILTER: "lọc" / "filter";
    KEY_CLOSED: "cả đã đóng" / "closed too";
    KEY_HEX: "byte dạng hex" / "bytes as hex";
    KEY_TAB: "phần sau" / "next part";
    KEY_PREVIOUS_TAB: "phần trước" / "part before";
    KEY_PLAYBOOK: "kịch bản" / "playbook";
    KEY_DECIDE: "quyết định" / "decide";
    KEY_UNDO: "hoàn tác" / "undo";
    KEY_NOTE: "ghi chú" / "note";
    KEY_BACK: "quay lại" / "back";
    KEY_ALERTS: "cảnh báo" / "alerts";
    KEY_INCIDENTS: "sự cố" / "incidents";
    KEY_AGENTS: "tác tử" / "agents";
    KEY_UP: "lên" / "up";
    KEY_DOWN: "xuống" / "down";
    KEY_PAGE_UP: "lên một trang" / "page up";
    KEY_PAGE_DOWN: "xuống một trang" / "page down";
    KEY_FIRST: "về đầu" / "first";
    KEY_LAST: "về cuối" / "last";
    KEY_HELP: "phím" / "keys";
    KEY_QUIT: "thoát" / "quit";
}
