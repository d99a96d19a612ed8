//! What the detectors of processes say.

use super::Builtin;
use crate::{Severity, detection::builtin, text::Message};

/// The next step for a process that hides its program.
const KEEP_IT: Message = Message::new(
    "Đừng tắt tiến trình hay máy chủ: chương trình chỉ còn trong bộ nhớ. Chép `/proc/PID/exe` làm chứng cứ, ghi lại tiến trình cha và kết nối ra ngoài (`ss -tnp`), quét bộ nhớ (`khien scan --pid PID`), rồi mới cô lập hoặc dừng.",
    "Do not stop the process or the server: the program is only in memory. Copy `/proc/PID/exe` as evidence, write down its parent and outward connections (`ss -tnp`), scan its memory (`khien scan --pid PID`), and only then isolate or stop it.",
);

pub(super) const ALL: &[Builtin] = &[
    Builtin {
        rule: builtin::PROCESS_DELETED,
        severity: Severity::High,
        technique: Some("T1070.004"),
        title: Message::new(
            "Tiến trình chạy chương trình đã bị xóa",
            "Process runs a program that was removed",
        ),
        explanation: Message::new(
            "Chương trình được chạy từ thư mục tạm (như /tmp, /dev/shm) rồi bị xóa khỏi đĩa trong khi vẫn chạy. Mã độc làm vậy để không ai tìm thấy tệp. Một số bộ cài đặt cũng chạy từ thư mục tạm, nhưng không lâu.",
            "The program was started in a folder for short-lived files (such as /tmp or /dev/shm) and removed from the disk while it runs. Malware does this so that nobody finds the file. Some installers run there too, but not for long.",
        ),
        next_step: KEEP_IT,
    },
    Builtin {
        rule: builtin::PROCESS_MEMFD,
        severity: Severity::High,
        technique: Some("T1620"),
        title: Message::new(
            "Tiến trình chạy chương trình chưa từng có trên đĩa",
            "Process runs a program that was never on a disk",
        ),
        explanation: Message::new(
            "Chương trình được nạp thẳng từ bộ nhớ (memfd), không qua tệp nào. Mã độc không tệp chạy như vậy. Công cụ chạy container cũng làm thế trong chốc lát; các tên đã biết của chúng không bị tính.",
            "The program was started from memory (memfd), not from a file. Fileless malware runs like this. Container runtimes do so for a moment too; their known names are not counted.",
        ),
        next_step: KEEP_IT,
    },
    Builtin {
        rule: builtin::PROCESS_ELF,
        severity: Severity::High,
        technique: Some("T1055"),
        title: Message::new(
            "Chương trình nằm lén trong bộ nhớ tiến trình",
            "Program hidden in the memory of a process",
        ),
        explanation: Message::new(
            "Một vùng nhớ chạy được, không thuộc tệp nào, bắt đầu như một chương trình ELF. Bộ nạp của hệ điều hành không làm vậy: mã đã được chèn vào tiến trình.",
            "An executable region of memory that belongs to no file begins like an ELF program. The system's loader does not do that: code was put into the process.",
        ),
        next_step: KEEP_IT,
    },
];
