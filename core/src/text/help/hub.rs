//! Help of the hub.

use super::Message;

pub(super) const HELP: &[(&str, Message)] = &[
    (
        "hub:",
        Message::new(
            "Trung tâm của Khiên: nhận những gì tác tử tìm thấy, lưu giữ, và chuyển các lệnh đã ký",
            "Khiên's collector: receives what agents found, keeps it, and relays signed orders",
        ),
    ),
    (
        "hub: --log",
        Message::new(
            "Ghi gì vào nhật ký trên stderr, ví dụ info hoặc khien_hub=debug",
            "What to log to stderr, such as info or khien_hub=debug",
        ),
    ),
    ("hub: --home", Message::new("Thư mục dữ liệu", "The state folder")),
    (
        "hub: init",
        Message::new(
            "Tạo thư mục dữ liệu, CA, khóa của máy chủ và kho; những gì đã có thì giữ nguyên",
            "Make the state folder, the CA, the server's key and the store; does nothing where they stand",
        ),
    ),
    ("hub: operator", Message::new("Danh sách người vận hành", "Keep the list of operators")),
    (
        "hub: operator add",
        Message::new(
            "Nhận một người vận hành và in chứng thư, hiệu lực một năm",
            "Admit an operator and print a client certificate, good for one year",
        ),
    ),
    (
        "hub: operator add --name",
        Message::new("Tên mà đội dùng để gọi người này", "The operator's name as the team knows it"),
    ),
    (
        "hub: operator add --csr",
        Message::new(
            "Yêu cầu cấp chứng thư với khóa Ed25519, PEM",
            "A certificate signing request with an Ed25519 key, PEM",
        ),
    ),
    ("hub: run", Message::new("Phục vụ cho đến khi được bảo dừng", "Serve until told to stop")),
    ("hub: run --listen", Message::new("Địa chỉ lắng nghe", "Where to listen")),
    (
        "hub: run --until_stdin_closes",
        Message::new(
            "Dừng khi stdin đóng, tức là khi chương trình đã khởi động trung tâm không còn",
            "Stop when stdin reaches its end, as when the program that started the hub is gone",
        ),
    ),
];
