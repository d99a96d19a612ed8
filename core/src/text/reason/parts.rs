//! The words of what reasons carry: the system's errors, parts of the sandbox, lists and counts.

use super::{Lang, Message, both};
use crate::{
    Untrusted,
    reason::{Lack, OsError, SandboxPart},
};

/// Entries of a list that are named; the rest is counted.
const NAMED: usize = 5;

impl OsError {
    /// Returns it in one language: the errors that a responder is likely to meet, the rest in the system's words.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        let known = match self.errno {
            1 => both(
                "không được phép, tệp có thể bị khóa thay đổi",
                "not permitted, the file may be immutable",
            ),
            2 => both("không tồn tại", "it does not exist"),
            5 => both("lỗi đọc ghi thiết bị", "device error"),
            11 => both("tạm thời thiếu tài nguyên", "out of resources for now"),
            12 => both("không đủ bộ nhớ", "out of memory"),
            13 => both("không có quyền", "permission denied"),
            17 => both("đã tồn tại", "it exists already"),
            19 => both("không có thiết bị", "no such device"),
            20 => both("không phải thư mục", "not a folder"),
            22 => both("hệ thống không nhận tham số này", "invalid argument"),
            23 | 24 => both("mở quá nhiều tệp", "too many open files"),
            28 | 122 => both("hết chỗ trống", "no space left"),
            30 => both("hệ thống tệp chỉ cho đọc", "the file system is read-only"),
            38 => both("nhân hệ điều hành quá cũ", "the kernel is too old"),
            40 => both("có liên kết tượng trưng trên đường dẫn", "a symbolic link is in the way"),
            95 => both("không được hỗ trợ", "not supported"),
            _ => return self.text.to_string(),
        };
        known.get(lang).to_owned()
    }
}

pub(super) const LOST: Message = both("sự kiện mạng bị mất", "network events were lost");
const AND_MORE: Message = both("và {} mục khác", "and {} more");
const BY_NOTIFY: Message = both("{} (notify)", "{} (notify)");
const NOT_SEEN: Message = both("{} (không theo dõi được)", "{} (not seen)");

/// Names what was lost, each with its count.
pub(super) fn lost(lang: Lang, counts: [u64; 6]) -> String {
    let kinds = [
        both("{} gói tin bị nhân hệ điều hành bỏ", "{} packets dropped by the kernel"),
        both("{} gói tin bị bỏ vì tác tử quá bận", "{} packets shed because the agent was busy"),
        both(
            "{} phần lưu lượng không được quét hoặc không được báo vì quá nhiều phần phải chờ",
            "{} pieces of traffic not scanned or not told because too many waited",
        ),
        both("{} phần lưu lượng quét không xong", "{} pieces of traffic whose scan did not end"),
        both("{} phiên bị quên để lấy chỗ", "{} conversations forgotten to make room"),
        both(
            "{} luồng không kịp tìm tiến trình vì có quá nhiều",
            "{} flows for whose process there was no time because there were too many",
        ),
    ];
    let told: Vec<String> =
        kinds.iter().zip(counts).filter(|(_, n)| *n > 0).map(|(kind, n)| kind.with(lang, &[&n])).collect();
    match told.is_empty() {
        true => LOST.get(lang).to_owned(),
        false => told.join(", "),
    }
}

pub(super) fn mounts(lang: Lang, notify: &[Untrusted], unseen: &[Untrusted]) -> String {
    let unseen = unseen.iter().map(|m| NOT_SEEN.with(lang, &[m]));
    // What is not seen at all matters most.
    joined(lang, unseen.chain(notify.iter().map(|m| BY_NOTIFY.with(lang, &[m]))).collect(), ", ")
}

pub(super) fn lacks(lang: Lang, parts: &[Lack]) -> String {
    let named = |lack: &Lack| format!("{}: {}", lack.part.text(lang), lack.because.text(lang));
    parts.iter().map(named).collect::<Vec<_>>().join("; ")
}

fn joined(lang: Lang, mut all: Vec<String>, by: &str) -> String {
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    if more > 0 {
        all.push(AND_MORE.with(lang, &[&more]));
    }
    all.join(by)
}

impl SandboxPart {
    fn text(self, lang: Lang) -> &'static str {
        let named = match self {
            Self::Namespaces => both("không gian tên riêng", "own namespaces"),
            Self::User => both("người dùng riêng", "own user"),
            Self::Privileges => both("không nhận thêm quyền", "no new privileges"),
            Self::MemoryImage => both("không ghi ảnh bộ nhớ", "no memory image"),
            Self::Death => both("dừng cùng tác tử", "death with the agent"),
            Self::Limits => both("giới hạn tài nguyên", "limits"),
            Self::Landlock => both("landlock", "landlock"),
            Self::Memory => both("giới hạn bộ nhớ", "memory limit"),
            Self::Seccomp => both("seccomp", "seccomp"),
            Self::Other => both("phần khác", "another part"),
        };
        named.get(lang)
    }
}
