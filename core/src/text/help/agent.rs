//! Help of the agent's commands.

use super::Message;

pub(super) const HELP: &[(&str, Message)] = &[
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
            "Ghi nhật ký gì ra stderr, ví dụ info hoặc khien_agent=debug",
            "What to log on stderr, such as info or khien_agent=debug",
        ),
    ),
    ("agent: --home", Message::new("Thư mục dữ liệu của tác tử", "The folder of the agent's state")),
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
    (
        "agent: run --promiscuous",
        Message::new(
            "Giao diện mạng nhận cả gói tin của máy khác, như cổng sao chép (mirror) hay cổng VLAN camera; lặp lại được",
            "An interface that is to take packets for other hosts, too, such as a mirror port; may be given again",
        ),
    ),
    (
        "agent: run --trust",
        Message::new(
            "Mạng hay địa chỉ:cổng chỉ đếm gói tin, không soi nội dung, như máy sao lưu; lặp lại được",
            "A network or address:port whose packets are counted but not looked into, such as a backup server; may be given again",
        ),
    ),
    (
        "agent: run --capture_threads",
        Message::new(
            "Số luồng đọc gói tin của mỗi giao diện mạng, khi một luồng không kịp",
            "Threads that read the packets of each interface, where one is not fast enough",
        ),
    ),
    (
        "agent: run --capture",
        Message::new(
            "Cách đọc gói tin: auto (vùng đệm vòng của nhân, hoặc socket thường nếu không có), ring (chỉ vùng đệm vòng), plain (chỉ socket thường)",
            "How packets are read: auto (the kernel's ring, or a plain socket where there is none), ring (only the ring), plain (only the socket)",
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
        "agent: run --no_memory",
        Message::new(
            "Không tìm và quét bộ nhớ của tiến trình đáng ngờ",
            "Do not look for suspicious processes and scan their memory",
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
        "agent: run --records_mib",
        Message::new(
            "Dung lượng tối đa của bản ghi mạng trên máy này, tính bằng MiB, nếu ít hơn chính sách; 0 là không lưu",
            "The most MiB of records of the network on this host, where that is less than the policy's; 0 keeps none",
        ),
    ),
    (
        "agent: run --records_days",
        Message::new(
            "Số ngày lưu bản ghi mạng tối đa trên máy này, nếu ít hơn chính sách",
            "The most days for which records of the network are kept on this host, where that is less than the policy's",
        ),
    ),
    (
        "agent: run --packets_mib",
        Message::new(
            "Giữ gói tin mới nhất trong bộ nhớ, tối đa bấy nhiêu MiB, để lưu làm chứng cứ khi có lệnh; 0 là không giữ",
            "Keep the newest packets in memory, at most so many MiB, to be saved as evidence by order; 0 keeps none",
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
