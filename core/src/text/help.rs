//! Help of the commands. A path names its text: `alert list`, or `alert list --status` for an option. Those of the
//! hub begin with `hub:`, those of the agent with `agent:`.

use super::{Lang, Message};

/// Lists the exit codes.
pub const EXIT_CODES: Message = Message::new(
    "Mã thoát:
  0  xong
  1  thất bại
  2  gõ sai lệnh
  3  không tìm thấy
  4  không tới được trung tâm
  5  bị từ chối",
    "Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  not found
  4  hub not reachable
  5  refused",
);

/// Lists the exit codes of `khien scan`.
pub const SCAN_EXIT_CODES: Message = Message::new(
    "Mã thoát:
  0  đã quét hết, không có gì khớp
  1  có tệp khớp luật
  2  gõ sai lệnh hoặc không quét được
  3  không có gì khớp, nhưng còn thứ chưa quét được",
    "Exit codes:
  0  everything was scanned and nothing matched
  1  something matched
  2  wrong usage, or no scan was possible
  3  nothing matched, but something could not be scanned",
);

/// Heads the usage.
pub const USAGE: Message = Message::new("Cách dùng:", "Usage:");
/// Heads the list of commands.
pub const COMMANDS: Message = Message::new("Lệnh", "Commands");
/// Heads the list of options.
pub const OPTIONS: Message = Message::new("Tùy chọn", "Options");
/// Heads the list of what stands at a place of its own.
pub const ARGUMENTS: Message = Message::new("Đối số", "Arguments");
/// Says what is taken if nothing is said.
pub const DEFAULT: Message = Message::new("[mặc định: {}]", "[default: {}]");
/// Says what may be said.
pub const VALUES: Message = Message::new("[một trong: {}]", "[one of: {}]");

/// Heads the parts of a help text: usage, options, commands.
pub const HEADINGS: [Message; 3] = [
    Message::new("Cách dùng", "Usage"),
    Message::new("Tuỳ chọn", "Options"),
    Message::new("Lệnh", "Commands"),
];

/// Finds the language before the command line is parsed, since help itself is to be in it: `--lang`, else the value of
/// `KHIEN_LANG`.
#[must_use]
pub fn asked_language(typed: &[&str], env: Option<&str>) -> Lang {
    let after = typed.iter().position(|w| *w == "--lang").and_then(|i| typed.get(i + 1).copied());
    let joined = typed.iter().find_map(|w| w.strip_prefix("--lang="));
    after.or(joined).or(env).and_then(|w| w.parse().ok()).unwrap_or_default()
}

/// Returns the help of an option of a command: its own, else its program's, else that of all programs.
#[must_use]
pub fn of_option(path: &str, id: &str) -> Option<Message> {
    let program = path.split(' ').next().filter(|p| p.ends_with(':')).unwrap_or_default();
    let paths = [format!("{path} --{id}"), format!("{program} --{id}"), format!("--{id}")];
    paths.iter().find_map(|path| text(path))
}

/// Returns the help of a command or an option.
#[must_use]
pub fn text(path: &str) -> Option<Message> {
    TEXTS.iter().chain(OF_AGENT).chain(super::scan::HELP).find(|(p, _)| *p == path).map(|(_, m)| *m)
}

const TEXTS: &[(&str, Message)] = &[
    (
        "",
        Message::new(
            "Khiên: phát hiện, xử lý và báo cáo sự cố an ninh mạng",
            "Khiên: detect, respond to and report security incidents",
        ),
    ),
    (
        "--home",
        Message::new(
            "Thư mục dữ liệu [mặc định: ~/.local/share/khien]",
            "Folder of all state [default: ~/.local/share/khien]",
        ),
    ),
    ("--lang", Message::new("Ngôn ngữ: vi hoặc en", "Language: vi or en")),
    ("--json", Message::new("In JSON với tên trường ổn định", "Print JSON with stable field names")),
    ("--help", Message::new("Xem cách dùng", "Print help")),
    ("--version", Message::new("Xem phiên bản", "Print version")),
    (
        "--wait",
        Message::new(
            "Chờ đến khi xong hoặc cần người quyết định (mặc định khi có màn hình)",
            "Wait until it ends or needs a person (default at a terminal)",
        ),
    ),
    ("--no_wait", Message::new("Không chờ", "Do not wait")),
    ("--yes", Message::new("Ký không hỏi", "Sign without asking")),
    (
        "up",
        Message::new(
            "Khởi động trung tâm và tác tử trên máy này, mở hàng đợi cảnh báo",
            "Start hub and agent on this machine and open the live alert queue",
        ),
    ),
    (
        "up --watch",
        Message::new(
            "Thư mục cần theo dõi [mặc định: thư mục hiện tại và, khi có quyền, các thư mục web]",
            "Folders to watch [default: the current one and, when privileged, the usual web roots]",
        ),
    ),
    (
        "up --interface",
        Message::new(
            "Giao diện mạng cần theo dõi [mặc định: lo và đường mặc định]",
            "Network interfaces to watch [default: loopback and the default route's]",
        ),
    ),
    (
        "up --agency",
        Message::new(
            "Cơ quan của máy này, dùng khi đăng ký lần đầu [mặc định: chưa nêu]",
            "Agency of this machine, for its first enrolment [default: not said]",
        ),
    ),
    (
        "up --no_ui",
        Message::new("In từng dòng thay vì mở giao diện", "Print lines instead of opening the UI"),
    ),
    ("ui", Message::new("Mở giao diện với trung tâm đang chạy", "Open the UI on a hub that runs already")),
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
        Message::new("Kết luận: true-positive (đúng) hoặc false-positive (cảnh báo nhầm)", "What was found"),
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
    ("agent", Message::new("Tác tử trên máy chủ của các cơ quan", "Agents on the agencies' servers")),
    (
        "agent list",
        Message::new(
            "Liệt kê: kết nối, tầm nhìn, tồn đọng, gói luật",
            "List: presence, coverage, backlog, rule pack",
        ),
    ),
    (
        "agent token",
        Message::new("Tạo mã ghi danh cho một tác tử mới", "Make a token that invites one agent"),
    ),
    ("agent token --agency", Message::new("Cơ quan của máy chủ", "Agency of the server")),
    (
        "agent token --hours",
        Message::new("Số giờ hiệu lực, tối đa 24", "For how many hours it is good, at most 24"),
    ),
    (
        "agent token --hub",
        Message::new(
            "Địa chỉ trung tâm mà máy chủ đó gọi tới [mặc định: như trong khien.toml]",
            "Address of the hub as that server sees it [default: as in khien.toml]",
        ),
    ),
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
    ("rules", Message::new("Gói luật", "Rule packs")),
    ("rules check", Message::new("Kiểm tra một gói với các mẫu thử", "Check a pack with its samples")),
    ("rules check --dir", Message::new("Thư mục có pack.toml", "Folder with pack.toml")),
    ("rules push", Message::new("Ký gói luật và gửi lên trung tâm", "Sign a pack and hand it to the hub")),
    ("rules push --dir", Message::new("Thư mục có pack.toml", "Folder with pack.toml")),
    ("rules push --base", Message::new("Gói đi kèm chương trình", "The pack that comes with this program")),
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
    // The hub.
    (
        "hub:",
        Message::new(
            "Trung tâm của Khiên: nhận những gì tác tử tìm thấy, lưu giữ, và chuyển các lệnh đã ký",
            "Khiên's collector: receives what agents found, keeps it, and relays signed orders",
        ),
    ),
    (
        "hub:--log",
        Message::new(
            "Ghi gì vào nhật ký trên stderr, ví dụ info hoặc khien_hub=debug",
            "What to log to stderr, such as info or khien_hub=debug",
        ),
    ),
    ("hub:--home", Message::new("Thư mục dữ liệu", "The state folder")),
    (
        "hub:init",
        Message::new(
            "Tạo thư mục dữ liệu, CA, khóa của máy chủ và kho; những gì đã có thì giữ nguyên",
            "Make the state folder, the CA, the server's key and the store; does nothing where they stand",
        ),
    ),
    ("hub:operator", Message::new("Danh sách người vận hành", "Keep the list of operators")),
    (
        "hub:operator add",
        Message::new(
            "Nhận một người vận hành và in chứng thư, hiệu lực một năm",
            "Admit an operator and print a client certificate, good for one year",
        ),
    ),
    (
        "hub:operator add --name",
        Message::new("Tên mà đội dùng để gọi người này", "The operator's name as the team knows it"),
    ),
    (
        "hub:operator add --csr",
        Message::new(
            "Yêu cầu cấp chứng thư với khóa Ed25519, PEM",
            "A certificate signing request with an Ed25519 key, PEM",
        ),
    ),
    ("hub:run", Message::new("Phục vụ cho đến khi được bảo dừng", "Serve until told to stop")),
    ("hub:run --listen", Message::new("Địa chỉ lắng nghe", "Where to listen")),
    (
        "hub:run --until_stdin_closes",
        Message::new(
            "Dừng khi stdin đóng, tức là khi chương trình đã khởi động trung tâm không còn",
            "Stop when stdin reaches its end, as when the program that started the hub is gone",
        ),
    ),
];

const OF_AGENT: &[(&str, Message)] = &[
    (
        "agent:",
        Message::new(
            "Tác tử của Khiên trên máy chủ của cơ quan: theo dõi tệp và mạng, quét, báo cáo, làm theo lệnh đã ký",
            "The agent of Khiên on an agency server: watches files and traffic, scans, reports, and obeys signed orders",
        ),
    ),
    (
        "agent: --log",
        Message::new(
            "Ghi nhật ký gì ra standard error, ví dụ info hoặc khien_agent=debug",
            "What to log on standard error, such as info or khien_agent=debug",
        ),
    ),
    ("agent: --home", Message::new("Thư mục trạng thái của tác tử", "The folder of the agent's state")),
    (
        "agent: enroll",
        Message::new(
            "Ghi danh với trung tâm bằng mã của đội ứng cứu",
            "Join a hub with a token from the response team",
        ),
    ),
    ("agent: enroll --token", Message::new("Mã ghi danh, một dòng", "The token, one line")),
    (
        "agent: enroll --hub",
        Message::new(
            "Địa chỉ trung tâm, thay cho địa chỉ trong mã",
            "Address of the hub, instead of the one in the token",
        ),
    ),
    (
        "agent: run",
        Message::new(
            "Theo dõi, quét, báo cáo và làm theo lệnh cho đến khi được bảo dừng",
            "Watch, scan, report and obey until told to stop",
        ),
    ),
    (
        "agent: run --hub",
        Message::new(
            "Địa chỉ trung tâm, thay cho địa chỉ lúc ghi danh",
            "Address of the hub, instead of the one from enrolment",
        ),
    ),
    (
        "agent: run --watch",
        Message::new(
            "Thư mục cần theo dõi, kể cả mọi thứ bên trong; lặp lại được [mặc định: thư mục hiện tại và, khi là root, các thư mục web]",
            "A folder to watch with all below it; may be given again [default: the current one and, for root, the usual web roots]",
        ),
    ),
    (
        "agent: run --exclude",
        Message::new(
            "Thư mục không bao giờ xem; lặp lại được. Thư mục của chính tác tử luôn được bỏ qua",
            "A folder never to look into; may be given again. The agent's own is always one",
        ),
    ),
    (
        "agent: run --canaries",
        Message::new(
            "Đặt hai tệp mồi trong mỗi thư mục được theo dõi để sớm thấy mã độc tống tiền; gỡ bằng canaries remove",
            "Plant two canary files in each watched folder, to see ransomware early; take them away with canaries remove",
        ),
    ),
    ("agent: canaries", Message::new("Các tệp mồi đã đặt", "The canary files that were planted")),
    ("agent: canaries list", Message::new("Liệt kê tệp mồi", "List the canary files")),
    (
        "agent: canaries remove",
        Message::new(
            "Gỡ mọi tệp mồi còn nguyên; dừng tác tử trước",
            "Take away every canary file that is unchanged; stop the agent first",
        ),
    ),
    (
        "agent: run --interface",
        Message::new(
            "Giao diện mạng cần theo dõi; lặp lại được [mặc định: lo và đường mặc định]",
            "A network interface to watch; may be given again [default: loopback and the default route's]",
        ),
    ),
    ("agent: run --no_network", Message::new("Không theo dõi mạng", "Do not watch the network")),
    (
        "agent: run --no_integrity",
        Message::new(
            "Không canh giữ các tệp mà chính sách nêu",
            "Do not keep an eye on the files that the policy names",
        ),
    ),
    (
        "agent: run --integrity_every",
        Message::new(
            "Số giây giữa hai lần rà soát các tệp được canh giữ",
            "Seconds between two looks at the files that are kept an eye on",
        ),
    ),
    (
        "agent: run --spool_mib",
        Message::new(
            "Dung lượng đĩa tối đa cho dữ liệu chờ gửi về trung tâm, tính bằng MiB",
            "The most that may wait on disk for the hub, in MiB",
        ),
    ),
    (
        "agent: run --until_stdin_closes",
        Message::new(
            "Dừng gọn khi standard input đóng, như khi nhận tín hiệu dừng",
            "Stop cleanly when standard input ends, as after a signal to stop",
        ),
    ),
    (
        "agent: pause",
        Message::new(
            "Tạm dừng quét tệp; đội ứng cứu thấy việc này, tệp thay đổi trong lúc đó được quét sau",
            "Pause the scanning of files; the team sees it, what changes meanwhile is scanned afterwards",
        ),
    ),
    ("agent: pause --minutes", Message::new("Số phút, tối đa 1440", "How many minutes, at most 1440")),
    ("agent: resume", Message::new("Quét tiếp ngay", "Go on scanning now")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_typed_language_goes_before_that_of_the_environment() {
        assert_eq!(asked_language(&["khien", "--lang", "en", "--help"], Some("vi")), Lang::En);
        assert_eq!(asked_language(&["khien", "up", "--lang=en"], None), Lang::En);
        assert_eq!(asked_language(&["khien"], Some("en")), Lang::En);
        assert_eq!(asked_language(&["khien", "--lang", "xx"], None), Lang::Vi);
    }

    #[test]
    fn an_option_has_the_help_of_its_command_then_of_its_program_then_of_all() {
        assert_eq!(of_option("agent: run", "hub"), text("agent: run --hub"));
        assert_eq!(of_option("agent: run", "home"), text("agent: --home"));
        assert_eq!(of_option("agent: run", "lang"), text("--lang"));
        assert_eq!(of_option("alert list", "home"), text("--home"));
    }
}
