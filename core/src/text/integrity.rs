//! What changes of files that are kept an eye on are called, and what each built-in group of them means.

use super::{Lang, Message, Words, builtin::Builtin};
use crate::{
    Severity,
    asset::IntegrityState,
    conduct::{Differs, Facts, Integrity, Kind},
    time,
};

const ADDED: Message = Message::new("tệp mới, {}", "a new file, {}");
const REMOVED: Message = Message::new("tệp bị xóa", "the file was removed");
const CONTENT: Message = Message::new("nội dung thay đổi", "the content changed");
const RIGHTS: Message = Message::new("quyền thay đổi", "mode or owner changed");
const UNREAD: Message = Message::new(
    "không còn đọc được nội dung (quá lớn hoặc bị chặn đọc)",
    "its content can no longer be read (too large, or not allowed)",
);
const RIGHTS_TOO: Message = Message::new("{}; quyền: {} → {}", "{}; mode and owner: {} → {}");
const DIGESTS: Message = Message::new("{}; SHA-256 trước đó {}", "{}; SHA-256 before {}");
const LINK: Message = Message::new("liên kết đổi đích: {} → {}", "the link leads elsewhere: {} → {}");
const REPLACED: Message = Message::new("{} bị thay bằng {}", "{} replaced by {}");
const MANY: Message = Message::new(
    "{} tệp thay đổi gần như cùng lúc (mới {}, xóa {}, nội dung {}, quyền {}), ví dụ: {}",
    "{} files changed at nearly the same time (new {}, removed {}, content {}, mode or owner {}), such as: {}",
);
const UNWATCHED: Message =
    Message::new("{}; xảy ra khi tác tử không chạy", "{}; while no agent ran to watch");

/// Says how a file differs.
#[must_use]
pub fn words(change: &Integrity) -> Words {
    Words { vi: text(change, Lang::Vi), en: text(change, Lang::En) }
}

fn text(change: &Integrity, lang: Lang) -> String {
    let mut said = differs(change, lang);
    if let (Some(before), Some(after)) = (&change.before, &change.after)
        && rights(before) != rights(after)
    {
        said = RIGHTS_TOO.with(lang, &[&said, &rights(before), &rights(after)]);
    }
    if let Some(before) = change.before.as_ref().and_then(|f| f.sha256)
        && change.after.as_ref().and_then(|f| f.sha256) != Some(before)
    {
        said = DIGESTS.with(lang, &[&said, &before]);
    }
    if change.unwatched {
        said = UNWATCHED.with(lang, &[&said]);
    }
    said
}

fn differs(change: &Integrity, lang: Lang) -> String {
    match &change.differs {
        Differs::Added => {
            let now = change.after.as_ref().map(rights).unwrap_or_default();
            ADDED.with(lang, &[&now]).trim_end_matches([',', ' ']).to_owned()
        }
        Differs::Removed => REMOVED.get(lang).to_owned(),
        Differs::Content => CONTENT.get(lang).to_owned(),
        Differs::Rights => RIGHTS.get(lang).to_owned(),
        Differs::Unread => UNREAD.get(lang).to_owned(),
        Differs::Link { from, to } => LINK.with(lang, &[from, to]),
        Differs::Replaced { from, to } => {
            REPLACED.with(lang, &[&kind(*from).get(lang), &kind(*to).get(lang)])
        }
        Differs::Many { added, removed, content, rights, examples } => {
            // An agent says how many: it may say anything.
            let all =
                [added, removed, content, rights].into_iter().fold(0, |all: u64, n| all.saturating_add(*n));
            let examples: Vec<String> = examples.iter().map(ToString::to_string).collect();
            MANY.with(lang, &[&all, added, removed, content, rights, &examples.join(", ")])
        }
    }
}

/// Writes mode and owner: `0644 0:0`.
fn rights(f: &Facts) -> String {
    format!("{:04o} {}:{}", f.mode & 0o7777, f.uid, f.gid)
}

fn kind(kind: Kind) -> Message {
    match kind {
        Kind::File => Message::new("tệp", "a file"),
        Kind::Link => Message::new("liên kết", "a link"),
        Kind::Folder => Message::new("thư mục", "a folder"),
        Kind::Other => Message::new("tệp đặc biệt", "a special file"),
    }
}

const KEPT: Message = Message::new(
    "canh giữ {} tệp từ {} ({}), {} thay đổi đúng gói cài đặt",
    "keeps an eye on {} files since {} ({}), {} changes as packaged",
);

/// Says what is kept an eye on, and since when. Times are Vietnam time.
#[must_use]
pub fn kept(state: &IntegrityState, lang: Lang) -> String {
    let IntegrityState { since, files, groups, packaged, .. } = state;
    KEPT.with(lang, &[files, &time::shown(*since), &groups.join(", "), packaged])
}

/// What is said of a group for which the program has no words of its own: its name.
pub const OTHER_TITLE: Message =
    Message::new("Tệp được canh giữ bị thay đổi: {}", "A file that is kept an eye on changed: {}");

/// Returns what is said of a group for which the program has no words of its own.
#[must_use]
pub fn other() -> &'static Builtin {
    &OTHER
}

const NEXT: Message = Message::new(
    "Hỏi người quản trị có thay đổi này không; nếu không ai nhận, xem ai đã làm, giữ chứng cứ rồi khôi phục tệp.",
    "Ask the administrators whether they changed it; if nobody did, see who it was, preserve evidence, then restore the file.",
);

const OTHER: Builtin = Builtin {
    rule: "khien.integrity.other",
    severity: Severity::Medium,
    technique: Some("T1565.001"),
    title: Message::new("Tệp được canh giữ bị thay đổi", "A file that is kept an eye on changed"),
    explanation: Message::new(
        "Chính sách yêu cầu canh giữ tệp này và nó không còn như trước.",
        "The policy asks to keep an eye on this file, and it is not what it was.",
    ),
    next_step: NEXT,
};

/// The groups of the base pack.
pub(super) const GROUPS: &[Builtin] = &[
    Builtin {
        rule: "khien.integrity.cron",
        severity: Severity::High,
        technique: Some("T1053.003"),
        title: Message::new("Lịch cron bị thay đổi", "A cron schedule changed"),
        explanation: Message::new(
            "Cron chạy lệnh theo giờ. Kẻ tấn công thêm lịch để mã độc sống lại sau khi bị gỡ.",
            "Cron runs commands by the clock. Attackers add schedules so that malware comes back after it was removed.",
        ),
        next_step: Message::new(
            "Xem lệnh được thêm chạy gì và ai sửa; nếu không phải người quản trị, giữ chứng cứ rồi bỏ dòng đó.",
            "See what the new line runs and who wrote it; if it was no administrator, preserve evidence, then take the line out.",
        ),
    },
    Builtin {
        rule: "khien.integrity.systemd",
        severity: Severity::High,
        technique: Some("T1543.002"),
        title: Message::new("Dịch vụ systemd bị thay đổi", "A systemd unit changed"),
        explanation: Message::new(
            "Dịch vụ mới hoặc bị sửa chạy cùng hệ thống, thường với quyền root. Tệp đúng với gói cài đặt không báo.",
            "A new or altered unit runs with the system, mostly as root. Files that are as their package says are not told.",
        ),
        next_step: Message::new(
            "Xem ExecStart chạy gì; dịch vụ không ai nhận thì dừng, giữ chứng cứ rồi gỡ.",
            "See what ExecStart runs; stop a unit that nobody knows, preserve evidence, then remove it.",
        ),
    },
    Builtin {
        rule: "khien.integrity.ssh",
        severity: Severity::High,
        technique: Some("T1098.004"),
        title: Message::new("Khóa hoặc cấu hình SSH bị thay đổi", "SSH keys or settings changed"),
        explanation: Message::new(
            "Một khóa thêm vào authorized_keys mở máy chủ mà không cần mật khẩu; sshd_config bị sửa có thể mở thêm đường vào.",
            "A key added to authorized_keys opens the server without a password; an altered sshd_config may open more ways in.",
        ),
        next_step: Message::new(
            "Hỏi chủ tài khoản về khóa mới; khóa không ai nhận thì bỏ và xem lại các lần đăng nhập.",
            "Ask the owner of the account about the key; remove one that nobody knows and look through the logins.",
        ),
    },
    Builtin {
        rule: "khien.integrity.pam",
        severity: Severity::High,
        technique: Some("T1556.003"),
        title: Message::new("Cách xác thực PAM bị thay đổi", "PAM authentication changed"),
        explanation: Message::new(
            "PAM quyết định ai được đăng nhập. Mô-đun lạ có thể nhận một mật khẩu bí mật hoặc ghi lại mọi mật khẩu.",
            "PAM decides who may log in. A strange module may take a secret password or write down every password.",
        ),
        next_step: Message::new(
            "So với gói cài đặt; nếu bị sửa, coi mọi mật khẩu gõ trên máy này là đã lộ.",
            "Compare with the package; if it was tampered with, treat every password typed on this host as known.",
        ),
    },
    Builtin {
        rule: "khien.integrity.sudoers",
        severity: Severity::High,
        technique: Some("T1548.003"),
        title: Message::new("Quyền sudo bị thay đổi", "Sudo rights changed"),
        explanation: Message::new(
            "Một dòng trong sudoers cho một tài khoản thường chạy lệnh như root.",
            "One line in sudoers lets an ordinary account run commands as root.",
        ),
        next_step: NEXT,
    },
    Builtin {
        rule: "khien.integrity.preload",
        severity: Severity::Critical,
        technique: Some("T1574.006"),
        title: Message::new("Thư viện nạp trước bị thay đổi", "Preloaded libraries changed"),
        explanation: Message::new(
            "Thư viện nêu trong ld.so.preload được nạp vào mọi chương trình: cách rootkit ẩn tệp, tiến trình và kết nối.",
            "A library named in ld.so.preload is loaded into every program: how rootkits hide files, processes and connections.",
        ),
        next_step: Message::new(
            "Giữ chứng cứ thư viện được nêu; không tin công cụ trên máy này, kiểm tra từ đĩa khởi động sạch.",
            "Preserve the library that is named; do not trust tools on this host, examine it from clean boot media.",
        ),
    },
    Builtin {
        rule: "khien.integrity.accounts",
        severity: Severity::High,
        technique: Some("T1136.001"),
        title: Message::new("Tài khoản của máy bị thay đổi", "Accounts of the host changed"),
        explanation: Message::new(
            "Tài khoản, nhóm hoặc mật khẩu được thêm hay sửa. Nội dung tệp mật khẩu không bao giờ được gửi đi.",
            "An account, a group or a password was added or altered. The content of password files is never sent.",
        ),
        next_step: NEXT,
    },
    Builtin {
        rule: "khien.integrity.startup",
        severity: Severity::High,
        technique: Some("T1546.004"),
        title: Message::new("Tập lệnh khởi động bị thay đổi", "A startup script changed"),
        explanation: Message::new(
            "Kịch bản này chạy khi máy khởi động hoặc khi có người đăng nhập.",
            "This script runs when the host starts or when somebody logs in.",
        ),
        next_step: NEXT,
    },
    Builtin {
        rule: "khien.integrity.webserver",
        severity: Severity::High,
        technique: Some("T1505"),
        title: Message::new("Cấu hình máy chủ web bị thay đổi", "Web server settings changed"),
        explanation: Message::new(
            "Cấu hình web quyết định tệp nào được chạy và khách được chuyển đi đâu; auto_prepend_file hay một mô-đun lạ là cửa hậu.",
            "Web settings decide which files run and where visitors are sent; auto_prepend_file or a strange module is a back door.",
        ),
        next_step: NEXT,
    },
    Builtin {
        rule: "khien.integrity.kernel",
        severity: Severity::High,
        technique: Some("T1547.006"),
        title: Message::new("Cấu hình mô-đun nhân bị thay đổi", "Kernel module settings changed"),
        explanation: Message::new(
            "Danh sách mô-đun nhân nạp khi khởi động bị sửa: cách rootkit nhân tồn tại qua lần khởi động lại.",
            "The list of kernel modules loaded at boot changed: how a kernel rootkit outlives a reboot.",
        ),
        next_step: NEXT,
    },
    Builtin {
        rule: "khien.integrity.portal",
        severity: Severity::Medium,
        technique: Some("T1505.003"),
        title: Message::new("Mã nguồn cổng thông tin bị thay đổi", "Portal code changed"),
        explanation: Message::new(
            "Mã và cấu hình của cổng chỉ thay đổi khi phát hành. Thay đổi ngoài kỳ phát hành có thể là webshell hoặc trang bị chèn.",
            "The portal's code and settings change with releases only. A change between them may be a web shell or an injected page.",
        ),
        next_step: NEXT,
    },
    Builtin {
        rule: "khien.integrity.signer",
        severity: Severity::Critical,
        technique: Some("T1195.002"),
        title: Message::new("Bộ cài phần mềm ký số bị thay đổi", "A signing installer changed"),
        explanation: Message::new(
            "Người dân và cán bộ tải bộ cài này về máy mình. Bộ cài bị tráo phát tán mã độc qua chính cổng của cơ quan.",
            "Citizens and staff download this installer. A swapped one spreads malware through the agency's own portal.",
        ),
        next_step: Message::new(
            "Ngừng cho tải ngay, so mã băm với bản của nhà cung cấp, và tìm ai đã tải từ lúc đó.",
            "Stop the download at once, compare the digest with the vendor's, and find who downloaded it since.",
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sha256, Timestamp, Untrusted};

    fn facts(text: &[u8], mode: u32) -> Option<Facts> {
        Some(Facts { sha256: Some(Sha256::of(text)), mode, uid: 0, gid: 0 })
    }

    fn said(differs: Differs, before: Option<Facts>, after: Option<Facts>, unwatched: bool) -> Words {
        words(&Integrity { differs, before, after, unwatched })
    }

    #[test]
    fn a_change_is_said_in_plain_words() {
        let changed = said(Differs::Content, facts(b"a", 0o644), facts(b"b", 0o666), true);
        assert_eq!(
            changed.en,
            format!(
                "the content changed; mode and owner: 0644 0:0 → 0666 0:0; SHA-256 before {}; while no agent ran to watch",
                Sha256::of(b"a")
            )
        );
        assert_eq!(said(Differs::Added, None, facts(b"a", 0o4755), false).vi, "tệp mới, 4755 0:0");
        assert_eq!(
            said(Differs::Rights, facts(b"a", 0o644), facts(b"a", 0o666), false).en,
            "mode or owner changed; mode and owner: 0644 0:0 → 0666 0:0"
        );
        let unread = Some(Facts { sha256: None, mode: 0o644, uid: 0, gid: 0 });
        assert_eq!(
            said(Differs::Unread, facts(b"a", 0o644), unread, false).en,
            format!(
                "its content can no longer be read (too large, or not allowed); SHA-256 before {}",
                Sha256::of(b"a")
            )
        );
    }

    #[test]
    fn a_hostile_name_among_many_is_written_safely() {
        let examples = vec![Untrusted::from("/etc/a"), Untrusted::new(b"/etc/\x1b[2J".to_vec())];
        let many =
            said(Differs::Many { added: 2, removed: 0, content: 0, rights: 0, examples }, None, None, false);

        assert!(
            many.en.starts_with("2 files changed") && many.en.ends_with(r"/etc/a, /etc/\u{1b}[2J"),
            "{}",
            many.en
        );
    }

    #[test]
    fn absurd_numbers_of_an_agent_are_said_and_no_overflow() {
        let many = Differs::Many { added: u64::MAX, removed: 1, content: 1, rights: 1, examples: Vec::new() };

        assert!(said(many, None, None, false).en.starts_with(&format!("{} files changed", u64::MAX)));
    }

    #[test]
    fn what_is_kept_an_eye_on_is_one_line() {
        let state = IntegrityState {
            since: Timestamp::UNIX_EPOCH,
            looked: None,
            files: 12,
            unread: 0,
            packaged: 3,
            groups: vec!["cron".to_owned(), "ssh".to_owned()],
        };

        assert_eq!(
            kept(&state, Lang::En),
            "keeps an eye on 12 files since 01/01/1970 07:00:00 (cron, ssh), 3 changes as packaged"
        );
    }
}
