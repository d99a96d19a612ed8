//! What is done to files of a web root, or to many files at once.
//!
//! How bad each is stands with its rule in [`text::builtin`](crate::text::builtin): it is the team's to say, never the
//! agent's. What an agent sends is cut before it is shown.

use serde::{Deserialize, Serialize};

use crate::{
    Lang, Timestamp, Untrusted,
    text::{Message, Words},
    time,
};

/// The most examples that are kept and shown.
pub const MAX_EXAMPLES: usize = 8;
/// The most bytes of one example, suffix or line that are shown.
const MAX_SHOWN: usize = 256;

/// The rules by which it is found. The middle word says where: `web` or `ransom`.
pub mod rules {
    /// [`Deed::ScriptInUploads`](super::Deed::ScriptInUploads).
    pub const SCRIPT_IN_UPLOADS: &str = "khien.web.script_in_uploads";
    /// [`Deed::ScriptByServer`](super::Deed::ScriptByServer).
    pub const SCRIPT_BY_SERVER: &str = "khien.web.script_by_server";
    /// [`Deed::HiddenExtension`](super::Deed::HiddenExtension).
    pub const HIDDEN_EXTENSION: &str = "khien.web.hidden_extension";
    /// [`Deed::ForgedTime`](super::Deed::ForgedTime).
    pub const FORGED_TIME: &str = "khien.web.forged_time";
    /// [`Deed::LateScript`](super::Deed::LateScript).
    pub const LATE_SCRIPT: &str = "khien.web.late_script";
    /// [`Deed::ServerConfig`](super::Deed::ServerConfig).
    pub const SERVER_CONFIG: &str = "khien.web.config";
    /// [`Deed::ServerConfigRuns`](super::Deed::ServerConfigRuns).
    pub const SERVER_CONFIG_RUNS: &str = "khien.web.config_runs_files";
    /// [`Deed::ServerConfigUnread`](super::Deed::ServerConfigUnread).
    pub const SERVER_CONFIG_UNREAD: &str = "khien.web.config_unread";
    /// [`Deed::SitemapGrew`](super::Deed::SitemapGrew).
    pub const SITEMAP: &str = "khien.web.sitemap";
    /// [`Deed::ManyPages`](super::Deed::ManyPages).
    pub const MANY_PAGES: &str = "khien.web.mass_pages";
    /// [`Deed::Canary`](super::Deed::Canary).
    pub const CANARY: &str = "khien.ransom.canary";
    /// [`Deed::ManyRenamed`](super::Deed::ManyRenamed).
    pub const RENAMED: &str = "khien.ransom.mass_rename";
    /// [`Deed::ManyScrambled`](super::Deed::ManyScrambled).
    pub const SCRAMBLED: &str = "khien.ransom.mass_rewrite";
    /// [`Deed::Note`](super::Deed::Note).
    pub const NOTE: &str = "khien.ransom.note";
    /// Every one.
    pub const ALL: [&str; 14] = [
        SCRIPT_IN_UPLOADS,
        SCRIPT_BY_SERVER,
        HIDDEN_EXTENSION,
        FORGED_TIME,
        LATE_SCRIPT,
        SERVER_CONFIG,
        SERVER_CONFIG_RUNS,
        SERVER_CONFIG_UNREAD,
        SITEMAP,
        MANY_PAGES,
        CANARY,
        RENAMED,
        SCRAMBLED,
        NOTE,
    ];
}

/// What is done, to how many files, and to which for instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    /// What is done.
    #[serde(flatten)]
    pub deed: Deed,
    /// To how many files so far.
    pub count: u64,
    /// Some of them, at most [`MAX_EXAMPLES`].
    pub examples: Vec<Untrusted>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Deed {
    /// A script appeared in a folder into which visitors upload.
    ScriptInUploads {
        /// Whether only the content says that it is one, not the name.
        disguised: bool,
    },
    /// The web server itself wrote a script.
    ScriptByServer,
    /// A name hides that the file is a script.
    HiddenExtension,
    /// A script's time of change was set to another one.
    ForgedTime {
        /// What it says now.
        says: Timestamp,
        /// When it changed last in truth.
        changed: Timestamp,
    },
    /// A script is newer than the release that it lies in.
    LateScript {
        /// When the newest of its neighbours is from.
        release: Timestamp,
    },
    /// A file changed by which the web server is configured from within the site.
    ServerConfig,
    /// Such a file lets the server run files that are no scripts, or run another one before each.
    ServerConfigRuns {
        /// The line that says so.
        line: Untrusted,
    },
    /// Such a file changed and is too large to be read, so what it lets the server do is not known.
    ServerConfigUnread {
        /// Its size in bytes.
        size: u64,
    },
    /// A sitemap names many more pages than before.
    SitemapGrew {
        /// Pages before.
        before: u64,
        /// Pages now.
        now: u64,
    },
    /// Many pages were made in a short time.
    ManyPages {
        /// In so many seconds.
        seconds: u64,
    },
    /// A file that nobody has a reason to touch was touched.
    Canary,
    /// Many documents were renamed to one new extension.
    ManyRenamed {
        /// The extension, without its dot.
        suffix: Untrusted,
    },
    /// Many documents have content that is none of their kind and looks encrypted.
    ManyScrambled {
        /// Of so many kinds.
        kinds: u64,
        /// Whether a note was left in several folders meanwhile.
        note: bool,
    },
    /// The same note appeared in several folders.
    Note {
        /// In how many.
        folders: u64,
    },
}

impl Deed {
    /// Returns the rule that it is reported under.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::ScriptInUploads { .. } => rules::SCRIPT_IN_UPLOADS,
            Self::ScriptByServer => rules::SCRIPT_BY_SERVER,
            Self::HiddenExtension => rules::HIDDEN_EXTENSION,
            Self::ForgedTime { .. } => rules::FORGED_TIME,
            Self::LateScript { .. } => rules::LATE_SCRIPT,
            Self::ServerConfig => rules::SERVER_CONFIG,
            Self::ServerConfigRuns { .. } => rules::SERVER_CONFIG_RUNS,
            Self::ServerConfigUnread { .. } => rules::SERVER_CONFIG_UNREAD,
            Self::SitemapGrew { .. } => rules::SITEMAP,
            Self::ManyPages { .. } => rules::MANY_PAGES,
            Self::Canary => rules::CANARY,
            Self::ManyRenamed { .. } => rules::RENAMED,
            Self::ManyScrambled { .. } => rules::SCRAMBLED,
            Self::Note { .. } => rules::NOTE,
        }
    }

    /// Returns what tells this deed from another one of its kind in the same place.
    pub(super) fn mark(&self) -> Option<&Untrusted> {
        match self {
            Self::ManyRenamed { suffix: mark } | Self::ServerConfigRuns { line: mark } => Some(mark),
            _ => None,
        }
    }

    /// Puts another mark in the place of its own.
    pub(super) fn mark_as(&mut self, other: &Untrusted) {
        if let Self::ManyRenamed { suffix: mark } | Self::ServerConfigRuns { line: mark } = self {
            mark.clone_from(other);
        }
    }

    fn message(&self) -> Message {
        match self {
            Self::ScriptInUploads { disguised: false } => SCRIPT_IN_UPLOADS,
            Self::ScriptInUploads { disguised: true } => DISGUISED_IN_UPLOADS,
            Self::ScriptByServer => SCRIPT_BY_SERVER,
            Self::HiddenExtension => HIDDEN_EXTENSION,
            Self::ForgedTime { .. } => FORGED_TIME,
            Self::LateScript { .. } => LATE_SCRIPT,
            Self::ServerConfig => SERVER_CONFIG,
            Self::ServerConfigRuns { .. } => SERVER_CONFIG_RUNS,
            Self::ServerConfigUnread { .. } => SERVER_CONFIG_UNREAD,
            Self::SitemapGrew { .. } => SITEMAP,
            Self::ManyPages { .. } => MANY_PAGES,
            Self::Canary => CANARY,
            Self::ManyRenamed { .. } => RENAMED,
            Self::ManyScrambled { note: false, .. } => SCRAMBLED,
            Self::ManyScrambled { note: true, .. } => SCRAMBLED_AND_NOTE,
            Self::Note { .. } => NOTE,
        }
    }

    /// Returns the values in the places of its message.
    fn values(&self) -> Vec<String> {
        match self {
            Self::ForgedTime { says, changed } => vec![time::shown(*says), time::shown(*changed)],
            Self::LateScript { release } => vec![time::shown(*release)],
            Self::ServerConfigRuns { line } => vec![short(line)],
            Self::SitemapGrew { before, now } => vec![before.to_string(), now.to_string()],
            Self::ServerConfigUnread { size: n } | Self::ManyPages { seconds: n } => vec![n.to_string()],
            Self::ManyRenamed { suffix } => vec![short(suffix)],
            Self::ManyScrambled { kinds: n, .. } | Self::Note { folders: n } => vec![n.to_string()],
            Self::ScriptInUploads { .. }
            | Self::ScriptByServer
            | Self::HiddenExtension
            | Self::ServerConfig
            | Self::Canary => Vec::new(),
        }
    }
}

impl Behaviour {
    /// Says what is done, to how many files and to which for instance.
    #[must_use]
    pub fn words(&self) -> Words {
        Words { vi: self.text(Lang::Vi), en: self.text(Lang::En) }
    }

    fn text(&self, lang: Lang) -> String {
        let values = self.deed.values();
        let shown: Vec<&dyn std::fmt::Display> = values.iter().map(|v| v as _).collect();
        let deed = self.deed.message().with(lang, &shown);
        let examples: Vec<String> = self.examples.iter().take(MAX_EXAMPLES).map(short).collect();
        match self.count {
            _ if examples.is_empty() => deed,
            0 | 1 => format!("{deed}: {}", examples.join(", ")),
            count => COUNTED.with(lang, &[&deed, &count, &examples.join(", ")]),
        }
    }
}

/// Returns a text from outside, safe to show and not long.
pub(super) fn short(text: &Untrusted) -> String {
    Untrusted::cut(text.raw(), MAX_SHOWN).to_string()
}

/// A deed, how many files, examples.
const COUNTED: Message = Message::new("{}; số tệp: {}, ví dụ {}", "{}; files: {}, such as {}");
const SCRIPT_IN_UPLOADS: Message =
    Message::new("tập lệnh mới trong thư mục tải lên", "a new script in an upload folder");
const DISGUISED_IN_UPLOADS: Message = Message::new(
    "tệp trong thư mục tải lên có nội dung là tập lệnh dù tên không phải",
    "a file in an upload folder is a script by its content, though not by its name",
);
const SCRIPT_BY_SERVER: Message =
    Message::new("chính máy chủ web đã ghi tập lệnh", "the web server itself wrote a script");
const HIDDEN_EXTENSION: Message =
    Message::new("tên tệp che giấu rằng đó là tập lệnh", "a name that hides that the file is a script");
const FORGED_TIME: Message = Message::new(
    "thời gian sửa của tập lệnh bị đặt lại: ghi {}, thực tế thay đổi lúc {}",
    "the time of a script was set: it says {}, it changed at {}",
);
const LATE_SCRIPT: Message = Message::new(
    "tập lệnh mới hơn bản phát hành quanh nó (mới nhất từ {})",
    "a script that is newer than the release around it (newest from {})",
);
const SERVER_CONFIG: Message = Message::new(
    "tệp cấu hình máy chủ web trong trang thay đổi",
    "a web server's configuration file within the site changed",
);
const SERVER_CONFIG_RUNS: Message = Message::new(
    "tệp cấu hình trong trang cho máy chủ web chạy tệp khác như tập lệnh: {}",
    "a configuration file within the site lets the web server run other files as scripts: {}",
);
const SERVER_CONFIG_UNREAD: Message = Message::new(
    "tệp cấu hình máy chủ web trong trang thay đổi và quá lớn để đọc ({} byte)",
    "a web server's configuration file within the site changed and is too large to be read ({} bytes)",
);
const SITEMAP: Message =
    Message::new("sơ đồ trang tăng vọt: từ {} lên {} địa chỉ", "a sitemap grew from {} to {} addresses");
const MANY_PAGES: Message = Message::new(
    "nhiều trang được tạo cùng lúc, trong {} giây",
    "many pages were made at once, within {} seconds",
);
const CANARY: Message = Message::new("tệp mồi bị động tới", "a canary file was touched");
const RENAMED: Message = Message::new(
    "nhiều tài liệu bị đổi tên sang cùng một đuôi mới: .{}",
    "many documents were renamed to one new extension: .{}",
);
const SCRAMBLED: Message = Message::new(
    "nhiều tài liệu thuộc {} loại bị ghi đè hoặc thay bằng nội dung như đã mã hóa",
    "many documents of {} kinds were overwritten with, or replaced by, content that looks encrypted",
);
const SCRAMBLED_AND_NOTE: Message = Message::new(
    "nhiều tài liệu thuộc {} loại bị ghi đè hoặc thay bằng nội dung như đã mã hóa, kèm thư đòi tiền chuộc ở nhiều thư mục",
    "many documents of {} kinds were overwritten with, or replaced by, content that looks encrypted, and a note was left in several folders",
);
const NOTE: Message = Message::new(
    "cùng một thư đòi tiền chuộc xuất hiện ở {} thư mục",
    "the same note, named like a ransom note, appeared in {} folders",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_how_many_and_which_and_hostile_names_stay_text() {
        let deed = Deed::ManyRenamed { suffix: "lo\u{1b}cked".into() };
        let many = (0..20).map(|n| Untrusted::from(format!("/srv/{n}\n.doc").as_str())).collect();
        let words = Behaviour { deed, count: 20, examples: many }.words();

        assert!(words.en.starts_with(r"many documents were renamed to one new extension: .lo\u{1b}cked; files: 20, such as /srv/0\u{a}.doc, "), "{}", words.en);
        assert!(words.vi.contains("số tệp: 20"), "{}", words.vi);
        assert!(!words.en.contains("/srv/8"), "{}", words.en);
        assert!(!words.vi.chars().any(crate::untrusted::hides));
    }

    #[test]
    fn it_comes_back_from_json() {
        let deed = Deed::ForgedTime { says: Timestamp::UNIX_EPOCH, changed: Timestamp::UNIX_EPOCH };
        let behaviour = Behaviour { deed, count: 1, examples: vec!["/a.php".into()] };

        let json = serde_json::to_string(&crate::conduct::Conduct::Behaviour(behaviour.clone())).unwrap();

        assert!(json.contains(r#""about":"behaviour","what":"forged_time""#), "{json}");
        let back: crate::conduct::Conduct = serde_json::from_str(&json).unwrap();
        assert_eq!(back, crate::conduct::Conduct::Behaviour(behaviour));
    }
}
