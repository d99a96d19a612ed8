//! Help of the commands about programs: to start them, agents, and rule packs.

use super::Message;

pub(super) const HELP: &[(&str, Message)] = &[
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
        "up --promiscuous",
        Message::new(
            "Giao diện mạng nhận cả gói tin của máy khác, như cổng sao chép (mirror) hay cổng VLAN camera",
            "Interfaces that are to take packets for other hosts, too, such as a mirror port",
        ),
    ),
    (
        "up --trust",
        Message::new(
            "Mạng hay địa chỉ:cổng chỉ đếm gói tin, không soi nội dung, như máy sao lưu",
            "Networks or address:port whose packets are counted but not looked into, such as a backup server",
        ),
    ),
    (
        "up --packets_mib",
        Message::new(
            "Giữ gói tin mới nhất trong bộ nhớ, tối đa bấy nhiêu MiB, để lưu làm chứng cứ khi có lệnh [mặc định: không giữ]",
            "Keep the newest packets in memory, at most so many MiB, to be saved as evidence by order [default: none]",
        ),
    ),
    (
        "up --agency",
        Message::new(
            "Cơ quan của máy này, dùng khi ghi danh lần đầu [mặc định: chưa nêu]",
            "Agency of this machine, for its first enrolment [default: not said]",
        ),
    ),
    (
        "up --no_ui",
        Message::new("In từng dòng thay vì mở giao diện", "Print lines instead of opening the UI"),
    ),
    ("ui", Message::new("Mở giao diện với trung tâm đang chạy", "Open the UI on a hub that runs already")),
    ("agent", Message::new("Tác tử trên máy chủ của các cơ quan", "Agents on the agencies' servers")),
    (
        "agent list",
        Message::new(
            "Liệt kê: hiện diện, vùng quan sát, tồn đọng, gói luật",
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
    ("rules", Message::new("Gói luật", "Rule packs")),
    ("rules check", Message::new("Kiểm tra một gói với các mẫu thử", "Check a pack with its samples")),
    ("rules check --dir", Message::new("Thư mục có pack.toml", "Folder with pack.toml")),
    ("rules push", Message::new("Ký gói luật và gửi lên trung tâm", "Sign a pack and hand it to the hub")),
    ("rules push --dir", Message::new("Thư mục có pack.toml", "Folder with pack.toml")),
    ("rules push --base", Message::new("Gói đi kèm chương trình", "The pack that comes with this program")),
    (
        "rules lookup",
        Message::new(
            "Tra một địa chỉ, tên miền, URL hay mã băm: nằm trong danh sách nào, thuộc luật nào",
            "Tell on which lists an address, name, URL or digest stands, and of which rule",
        ),
    ),
    (
        "rules lookup --value",
        Message::new(
            "IP, mạng, tên miền, URL, JA4, SHA-256, SHA-1 hay MD5; viết kiểu hxxp://a[.]b cũng được",
            "IP, network, name, URL, JA4, SHA-256, SHA-1 or MD5; hxxp://a[.]b will do",
        ),
    ),
    (
        "rules lookup --pack",
        Message::new(
            "Thư mục có pack.toml [mặc định: gói đi kèm chương trình]",
            "Folder with pack.toml [default: the pack that comes with this program]",
        ),
    ),
];
