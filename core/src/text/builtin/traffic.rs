//! What the detectors of traffic say.

use super::Builtin;
use crate::{Severity, detection::builtin, text::Message};

/// The next step for a host that scans.
const WHO_SCANS: Message = Message::new(
    "Xem máy quét là gì: nếu là máy quét lỗ hổng hoặc máy giám sát của đơn vị, thêm địa chỉ vào `trusted` trong chính sách. Nếu không, coi máy đó là bị chiếm: xem tiến trình mở các kết nối này, cô lập, và tìm những máy đã trả lời nó.",
    "See what scans: if it is the agency's own vulnerability scanner or monitoring, name its address under `trusted` in the policy. If not, treat that host as captured: see which process opens these connections, isolate it, and look at the hosts that answered.",
);

pub(super) const ALL: &[Builtin] = &[
    Builtin {
        rule: builtin::NET_SCAN_HORIZONTAL,
        severity: Severity::High,
        technique: Some("T1046"),
        title: Message::new("Quét một cổng trên nhiều máy", "One port of many hosts is scanned"),
        explanation: Message::new(
            "Một máy thử cùng một cổng trên nhiều máy trong thời gian ngắn và phần lớn không trả lời: nó đang đoán chứ không biết máy chủ của mình. Sâu mạng, botnet camera và kẻ tấn công tìm đường đi tiếp đều làm vậy.",
            "One host tried the same port of many hosts in a short time and most gave no answer: it guesses and does not know its servers. Worms, camera botnets and intruders who look for a way onward do so.",
        ),
        next_step: WHO_SCANS,
    },
    Builtin {
        rule: builtin::NET_SCAN_VERTICAL,
        severity: Severity::Medium,
        technique: Some("T1046"),
        title: Message::new("Quét nhiều cổng của một máy", "Many ports of one host are scanned"),
        explanation: Message::new(
            "Một máy thử nhiều cổng của cùng một máy và phần lớn không trả lời: ai đó đang tìm dịch vụ để tấn công. Máy chủ mở ra Internet bị quét như vậy hằng ngày; từ trong mạng nội bộ thì không bình thường.",
            "One host tried many ports of another and most gave no answer: somebody looks for a service to attack. Servers open to the Internet are scanned like this every day; from within it is not normal.",
        ),
        next_step: WHO_SCANS,
    },
    Builtin {
        rule: builtin::NET_BRUTE_FORCE,
        severity: Severity::High,
        technique: Some("T1110"),
        title: Message::new("Dò mật khẩu", "Passwords are being guessed"),
        explanation: Message::new(
            "Một máy mở nhiều phiên ngắn tới cùng một dịch vụ có đăng nhập, hoặc bị một địa chỉ web từ chối (401, 403) hết lần này đến lần khác. Công cụ tự động cấu hình sai mật khẩu cũng gây ra như vậy.",
            "One host began many short sessions with one service that asks for a password, or was turned away (401, 403) by one web address again and again. A tool that was given a wrong password does the same.",
        ),
        next_step: Message::new(
            "Xem nhật ký đăng nhập của dịch vụ: tài khoản nào bị thử, có lần nào thành công không. Nếu có, khóa tài khoản, đổi mật khẩu, xem phiên đó đã làm gì. Chặn địa chỉ dò; không để dịch vụ quản trị mở ra Internet.",
            "Look at the service's log: which accounts were tried, and did one succeed. If so, lock it, change its password, see what that session did. Block the address; leave no administration service open to the Internet.",
        ),
    },
    Builtin {
        rule: builtin::NET_BEACON,
        severity: Severity::Medium,
        technique: Some("T1071"),
        title: Message::new("Gọi ra ngoài đều đặn", "Calls to the outside at regular times"),
        explanation: Message::new(
            "Một máy gọi cùng một nơi bên ngoài đều đặn như máy, mỗi lần gửi gần như nhau. Mã độc hỏi lệnh từ máy điều khiển như vậy; phần mềm cập nhật và giám sát cũng thế, nên nơi quen thuộc cần được khai báo.",
            "A host calls the same place outside as regularly as a machine, sending nearly the same each time. Malware asks its control server for orders like this; so does software that updates or monitors, which is why known places should be named.",
        ),
        next_step: Message::new(
            "Xem tên, chứng thư và tuổi của nơi được gọi, và tiến trình nào gọi. Nếu là dịch vụ đã biết, thêm vào `known` trong chính sách. Nếu không, giữ tiến trình và gói tin làm chứng cứ, rồi cô lập máy.",
            "Look at the name, the certificate and the age of the place that is called, and at which process calls. If it is a known service, name it under `known` in the policy. If not, keep the process and the packets as evidence, then isolate the host.",
        ),
    },
    Builtin {
        rule: builtin::NET_EXFILTRATION,
        severity: Severity::High,
        technique: Some("T1048"),
        title: Message::new("Gửi nhiều dữ liệu ra ngoài", "Much data is sent outside"),
        explanation: Message::new(
            "Một máy gửi tới một máy bên ngoài nhiều hơn hẳn mức thường ngày vào giờ này. Trước khi mã hóa, nhóm tống tiền lấy dữ liệu ra như vậy; sao lưu lên đám mây lần đầu cũng trông giống.",
            "A host sent one host outside far more than is usual at this hour. Ransomware crews take data out like this before they encrypt; a first backup to a cloud looks the same.",
        ),
        next_step: Message::new(
            "Xem tiến trình gửi và nơi nhận. Nếu là sao lưu hoặc họp trực tuyến đã biết, thêm nơi đó vào `known` trong chính sách. Nếu không, ngắt đường ra ngay, giữ chứng cứ, xem dữ liệu cá nhân có bị lộ không: thời hạn thông báo đang chạy.",
            "See which process sends, and to whom. If it is a known backup or video conference, name the place under `known` in the policy. If not, cut the way out now, keep evidence, and find out whether personal data leaked: the legal clock runs.",
        ),
    },
    Builtin {
        rule: builtin::NET_DNS_TUNNEL,
        severity: Severity::High,
        technique: Some("T1071.004"),
        title: Message::new("Đường hầm qua DNS", "Tunnel through DNS"),
        explanation: Message::new(
            "Một máy hỏi rất nhiều tên dài, không lặp lại dưới cùng một tên miền: dữ liệu đang đi trong chính các câu hỏi DNS, lách qua tường lửa. Tra cứu của phần mềm diệt virus ngắn hơn và được khai báo trong chính sách.",
            "A host asked for a great many long names, none twice, below one domain: data goes in the DNS questions themselves, past the firewall. Look-ups of antivirus are shorter, and named in the policy.",
        ),
        next_step: Message::new(
            "Xem tên miền thuộc về ai và tiến trình nào hỏi. Chặn tên miền ở máy chủ DNS, giữ gói tin làm chứng cứ, cô lập máy.",
            "See whose domain it is and which process asks. Block it at the DNS server, keep the packets as evidence, isolate the host.",
        ),
    },
    Builtin {
        rule: builtin::NET_FIRST_SEEN,
        severity: Severity::Medium,
        technique: Some("T1071"),
        title: Message::new(
            "Máy chủ liên lạc ra nơi chưa từng thấy",
            "Server speaks to a place never seen before",
        ),
        explanation: Message::new(
            "Máy chủ trong vùng này chỉ liên lạc ra ngoài với ít nơi quen thuộc; lần này là nơi chưa máy nào trong vùng từng liên lạc. Máy chủ vừa bị chiếm thường lộ ra như vậy đầu tiên.",
            "Servers of this zone speak to few places outside, always the same; this one no host of the zone ever spoke to. It is often the first sign of a server that was just captured.",
        ),
        next_step: Message::new(
            "Hỏi người quản trị có vừa cài đặt hay cập nhật gì không; xem tiến trình nào mở kết nối và nó vừa ghi tệp nào.",
            "Ask the administrator whether something was just installed or updated; see which process opened the connection and which files it wrote before.",
        ),
    },
    Builtin {
        rule: builtin::NET_NOT_ALLOWED,
        severity: Severity::High,
        technique: Some("T1071"),
        title: Message::new("Liên lạc ngoài danh sách cho phép", "Conversation that is not allowed"),
        explanation: Message::new(
            "Chính sách ghi rõ vùng này chỉ được liên lạc với những nơi nào (ví dụ camera chỉ với đầu ghi và máy chủ giờ). Kết nối này không nằm trong đó: thiết bị bị chiếm, bị cắm nhầm, hoặc chính sách thiếu.",
            "The policy says to whom alone this zone may speak (such as cameras to their recorder and to the time server). This conversation is not among them: a device was captured or wrongly connected, or the policy lacks something.",
        ),
        next_step: Message::new(
            "Chặn ở thiết bị mạng. Nếu liên lạc là đúng, bổ sung vào `only` của vùng; nếu không, ngắt thiết bị, ghi lại phiên bản phần mềm của nó, rồi đặt lại từ đầu và đổi mật khẩu.",
            "Block it at the network device. If it is right, add it to the zone's `only`; if not, disconnect the device, write down its firmware, then reset it and change its password.",
        ),
    },
    Builtin {
        rule: builtin::NET_EAST_WEST,
        severity: Severity::High,
        technique: Some("T1021"),
        title: Message::new(
            "Chia sẻ tệp hoặc điều khiển từ xa giữa các vùng",
            "File share or remote desktop across zones",
        ),
        explanation: Message::new(
            "Một máy dùng SMB, RDP hoặc WinRM của máy ở vùng hay cơ quan khác. Giữa các cơ quan không có nhu cầu đó: sâu mạng và kẻ tấn công đi từ máy này sang máy khác bằng đường này.",
            "A host used SMB, RDP or WinRM of a host in another zone or agency. Agencies have no need of that between them: it is how worms and intruders go from host to host.",
        ),
        next_step: Message::new(
            "Hỏi người quản trị hai bên. Nếu cần thiết, ghi vào `east_west.allow` trong chính sách; nếu không, chặn ở thiết bị biên và xem cả hai máy: ai đăng nhập, tệp nào được chép.",
            "Ask the administrators of both sides. If it is needed, write it to `east_west.allow` in the policy; if not, block it at the border and look at both hosts: who logged in, which files were copied.",
        ),
    },
    Builtin {
        rule: builtin::NET_EVASION,
        severity: Severity::High,
        technique: Some("T1211"),
        title: Message::new("Gói tin lách qua bộ theo dõi", "Packets are sent past the sensor"),
        explanation: Message::new(
            "Cùng một đoạn dữ liệu được gửi nhiều lần với nội dung khác nhau, hoặc có lệnh ngắt giả: bộ theo dõi thấy một đằng, máy chủ nhận một nẻo. Hệ thống chạy đúng không gửi như vậy; ai đó đang giấu thứ gì. Địa chỉ nguồn của các gói này có thể bị giả.",
            "The same bytes were sent more than once and said something else each time, or resets were forged: the sensor sees one thing and the host gets another. Systems that work do not send this; somebody hides something. The source address of such packets may be forged.",
        ),
        next_step: Message::new(
            "Xem nhật ký và tiến trình của máy nhận trong lúc đó: nội dung thật nằm ở đó, không ở bộ theo dõi. Lưu gói tin làm chứng cứ (`khien packets save`). Nếu là máy quét lỗ hổng của đơn vị, thêm vào `trusted`; nếu là thiết bị mạng hỏng, sửa nó, hoặc nâng ngưỡng `evasion` trong chính sách.",
            "Look at the receiving host's logs and processes of that time: what was really said is known there, not at the sensor. Save the packets as evidence (`khien packets save`). If it is the agency's own vulnerability scanner, name it under `trusted`; if a network device is broken, mend it, or raise the thresholds of `evasion` in the policy.",
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    const HANDBOOKS: [&str; 2] =
        [include_str!("../../../../docs/handbook/vi.md"), include_str!("../../../../docs/handbook/en.md")];

    #[test]
    fn both_handbooks_say_of_each_rule_what_to_do_first() {
        for Builtin { rule, .. } in ALL {
            for handbook in HANDBOOKS {
                let row = handbook.lines().find(|line| line.starts_with(&format!("| `{rule}` | ")));
                assert_eq!(row.map(|row| row.matches(" | ").count()), Some(2), "{rule}");
            }
        }
    }
}
