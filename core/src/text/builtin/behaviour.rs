//! What the detectors of web roots and of mass encryption say.

use super::Builtin;
use crate::{Severity, conduct::behaviour::rules, text::Message};

const WEB_SHELL: Option<&str> = Some("T1505.003");
const SPAM: Option<&str> = Some("T1608.006");
const ENCRYPTED: Option<&str> = Some("T1486");

/// The next step for a script that may be a web shell.
const LOOK_AT_SCRIPT: Message = Message::new(
    "Xem nội dung tệp. Nếu không phải do người quản trị đưa lên: chạy kịch bản webshell, rồi tìm trong nhật ký truy cập xem ai đã gọi tệp và đưa tệp lên bằng đường nào.",
    "Read the file. If no administrator put it there: run the playbook webshell, then find in the access log who called it and by which way it came.",
);
/// The next step when files are being encrypted.
const STOP_IT: Message = Message::new(
    "Dừng ngay tiến trình nêu trong cảnh báo, ngắt máy khỏi mạng nhưng không tắt máy (khóa giải mã có thể còn trong bộ nhớ), kiểm tra bản sao lưu còn nguyên và tách khỏi mạng.",
    "Stop the process named in the alert now, take the server off the network but do not switch it off (the key may still be in memory), see that backups are whole and disconnected.",
);

pub(super) const ALL: &[Builtin] = &[
    Builtin {
        rule: rules::SCRIPT_IN_UPLOADS,
        severity: Severity::High,
        technique: WEB_SHELL,
        title: Message::new("Tập lệnh trong thư mục tải lên", "Script in an upload folder"),
        explanation: Message::new(
            "Thư mục mà khách tải tệp lên bỗng có tập lệnh mà máy chủ web chạy được. Đó là cách webshell thường vào. Công cụ triển khai (git, rsync, dpkg…) không bị tính.",
            "A folder into which visitors upload now holds a script that the web server can run. This is how web shells usually come in. Deployment tools (git, rsync, dpkg…) are not counted.",
        ),
        next_step: LOOK_AT_SCRIPT,
    },
    Builtin {
        rule: rules::SCRIPT_BY_SERVER,
        severity: Severity::High,
        technique: WEB_SHELL,
        title: Message::new("Máy chủ web tự ghi tập lệnh", "Web server wrote a script"),
        explanation: Message::new(
            "Tiến trình hoặc tài khoản của máy chủ web đã ghi một tập lệnh. Bình thường chỉ xảy ra khi cập nhật hoặc cài tiện ích từ trang quản trị; ngoài ra là dấu hiệu lỗ hổng tải tệp hoặc chạy mã đang bị khai thác.",
            "The web server's own process or account wrote a script. That is normal only for an update or an add-on installed from the administration page; otherwise a hole for uploads or code is being used.",
        ),
        next_step: LOOK_AT_SCRIPT,
    },
    Builtin {
        rule: rules::HIDDEN_EXTENSION,
        severity: Severity::High,
        technique: Some("T1036.007"),
        title: Message::new("Tên tệp che giấu tập lệnh", "Name hides a script"),
        explanation: Message::new(
            "Tên có hai đuôi, đuôi hiếm, dấu chấm hoặc dấu cách ở cuối, hay ký tự đảo chiều, để qua mặt bộ lọc tải tệp hoặc người xem.",
            "The name has two extensions, a rare one, a dot or blank at the end, or a character that turns text around, to pass an upload filter or a person's eye.",
        ),
        next_step: LOOK_AT_SCRIPT,
    },
    Builtin {
        rule: rules::FORGED_TIME,
        severity: Severity::High,
        technique: Some("T1070.006"),
        title: Message::new("Thời gian của tập lệnh bị đặt lại", "Script with a forged time"),
        explanation: Message::new(
            "Thời gian sửa của tập lệnh không khớp với lúc nó thực sự thay đổi, và không phải công cụ triển khai hay sao chép đã làm. Kẻ tấn công đặt lại thời gian để tệp lẫn vào các tệp cũ.",
            "A script's time of change is not when it changed, and no tool that deploys or copies did it. Attackers set times so that a file looks as old as its neighbours.",
        ),
        next_step: LOOK_AT_SCRIPT,
    },
    Builtin {
        rule: rules::LATE_SCRIPT,
        severity: Severity::Medium,
        technique: WEB_SHELL,
        title: Message::new("Tập lệnh mới hơn bản phát hành", "Script newer than its release"),
        explanation: Message::new(
            "Các tập lệnh quanh đó cùng từ một lần phát hành; chỉ tệp này mới hơn hẳn và không phải do công cụ triển khai ghi.",
            "The scripts around it are all of one release; only this one is much newer, and no deployment tool wrote it.",
        ),
        next_step: LOOK_AT_SCRIPT,
    },
    Builtin {
        rule: rules::SERVER_CONFIG,
        severity: Severity::Medium,
        technique: Some("T1505.003"),
        title: Message::new("Cấu hình máy chủ web trong trang thay đổi", "Web server configuration changed"),
        explanation: Message::new(
            "Tệp .htaccess, web.config hoặc .user.ini được tạo, sửa hay xóa. Tệp này quyết định máy chủ web chạy gì và chuyển khách đi đâu.",
            "A file .htaccess, web.config or .user.ini was made, changed or removed. It decides what the web server runs and where it sends visitors.",
        ),
        next_step: Message::new(
            "So với bản trong kho mã hoặc bản sao lưu; hỏi người quản trị trang. Nếu không ai sửa, coi như trang bị xâm nhập.",
            "Compare it with the repository or a backup; ask the site's administrator. If nobody changed it, treat the site as compromised.",
        ),
    },
    Builtin {
        rule: rules::SERVER_CONFIG_RUNS,
        severity: Severity::Critical,
        technique: Some("T1505.003"),
        title: Message::new(
            "Cấu hình cho chạy tệp lạ như tập lệnh",
            "Configuration runs other files as scripts",
        ),
        explanation: Message::new(
            "Một dòng trong .htaccess, web.config hoặc .user.ini cho máy chủ web chạy tệp không phải tập lệnh, hoặc chạy kèm một tệp trước mọi trang. Đó là cách giấu webshell trong ảnh hay giữ quyền truy cập. Tường lửa ứng dụng như Wordfence cũng dùng auto_prepend_file.",
            "A line in .htaccess, web.config or .user.ini lets the web server run files that are no scripts, or run one before each page. So a web shell hides in a picture or stays. Firewalls such as Wordfence use auto_prepend_file as well.",
        ),
        next_step: Message::new(
            "Xem dòng được nêu và tệp mà dòng đó trỏ tới. Nếu lạ: lưu chứng cứ rồi bỏ dòng đó, và tìm mọi tệp có đuôi được nêu.",
            "Read the line and the file that it points to. If it is strange: preserve it, then remove the line, and look for every file with that extension.",
        ),
    },
    Builtin {
        rule: rules::SERVER_CONFIG_UNREAD,
        severity: Severity::High,
        technique: Some("T1505.003"),
        title: Message::new("Cấu hình trong trang quá lớn để đọc", "Configuration too large to be read"),
        explanation: Message::new(
            "Tệp .htaccess, web.config hoặc .user.ini thay đổi và lớn hơn 1 MiB, nên không xét được nó cho máy chủ web chạy gì. Tệp thật chỉ vài KiB; dòng nguy hiểm có thể được giấu trong phần đệm.",
            "A file .htaccess, web.config or .user.ini changed and is larger than 1 MiB, so what it lets the web server run was not judged. True ones have some KiB; a dangerous line may be hidden in padding.",
        ),
        next_step: Message::new(
            "Tìm trong tệp các từ SetHandler, AddHandler, AddType, auto_prepend_file, <handlers>; so với bản trong kho mã hoặc bản sao lưu.",
            "Look in it for the words SetHandler, AddHandler, AddType, auto_prepend_file, <handlers>; compare it with the repository or a backup.",
        ),
    },
    Builtin {
        rule: rules::SITEMAP,
        severity: Severity::Medium,
        technique: SPAM,
        title: Message::new("Sơ đồ trang tăng vọt", "Sitemap grew"),
        explanation: Message::new(
            "Số địa chỉ trong sơ đồ trang tăng gấp nhiều lần. Thường thấy khi trang bị chèn hàng nghìn trang quảng cáo cờ bạc.",
            "The sitemap names many times as many pages. Usual when thousands of gambling pages were put into a site.",
        ),
        next_step: Message::new(
            "Mở sơ đồ trang, xem các địa chỉ mới có thuộc nội dung của cơ quan không.",
            "Open the sitemap and see whether the new addresses are the agency's own.",
        ),
    },
    Builtin {
        rule: rules::MANY_PAGES,
        severity: Severity::High,
        technique: SPAM,
        title: Message::new("Tạo hàng loạt trang", "Mass creation of pages"),
        explanation: Message::new(
            "Rất nhiều tệp trang được tạo trong thời gian ngắn mà không phải do công cụ triển khai.",
            "Very many pages were made in a short time, not by a deployment tool.",
        ),
        next_step: Message::new(
            "Xem vài trang làm ví dụ. Nếu là quảng cáo cờ bạc hay trang lạ: tìm tập lệnh đã tạo ra chúng trước khi xóa.",
            "Look at some examples. If they are gambling or strange: find the script that makes them before removing them.",
        ),
    },
    Builtin {
        rule: rules::CANARY,
        severity: Severity::Critical,
        technique: ENCRYPTED,
        title: Message::new("Tệp mồi bị sửa hoặc xóa", "Canary file was changed or removed"),
        explanation: Message::new(
            "Tệp mồi do Khiên đặt đã bị sửa, đổi tên hoặc xóa. Không ai có lý do động tới tệp này; mã độc tống tiền thì động tới mọi tệp.",
            "A canary file that Khiên planted was changed, renamed or removed. Nobody has a reason to touch it; ransomware touches all.",
        ),
        next_step: STOP_IT,
    },
    Builtin {
        rule: rules::RENAMED,
        severity: Severity::High,
        technique: ENCRYPTED,
        title: Message::new("Đổi tên hàng loạt sang một đuôi lạ", "Mass rename to one new extension"),
        explanation: Message::new(
            "Một tiến trình đổi tên nhiều tài liệu sang cùng một đuôi không phải của loại tệp nào quen biết. Mã độc tống tiền làm vậy sau khi mã hóa.",
            "One process renamed many documents to one extension that belongs to no known kind. Ransomware does this as it encrypts.",
        ),
        next_step: STOP_IT,
    },
    Builtin {
        rule: rules::SCRAMBLED,
        severity: Severity::Critical,
        technique: ENCRYPTED,
        title: Message::new("Ghi đè hàng loạt như mã hóa", "Mass rewrite that looks like encryption"),
        explanation: Message::new(
            "Nhiều tài liệu trong một thư mục bị ghi đè, đổi tên hoặc thay bằng bản khác, có thể chậm trong cả giờ; nội dung không còn đúng loại tệp và giống dữ liệu mã hóa.",
            "Many documents in one folder were overwritten, renamed or replaced by a copy, perhaps slowly over an hour; the content is no longer of their kind and looks encrypted.",
        ),
        next_step: STOP_IT,
    },
    Builtin {
        rule: rules::NOTE,
        severity: Severity::High,
        technique: ENCRYPTED,
        title: Message::new("Thư đòi tiền chuộc ở nhiều thư mục", "Ransom note in several folders"),
        explanation: Message::new(
            "Cùng một tệp, tên như thư đòi tiền chuộc, xuất hiện ở nhiều thư mục trong thời gian ngắn, và nội dung đòi tiền hoặc có tệp bị đổi tên, mã hóa bên cạnh.",
            "The same file, named like a ransom note, appeared in several folders within a short time, and it demands a payment or files beside it were renamed or encrypted.",
        ),
        next_step: STOP_IT,
    },
];
