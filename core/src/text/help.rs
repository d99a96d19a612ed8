//! Help of the commands. A path names its text: `alert list`, or `alert list --status` for an option. Those of the
//! hub begin with `hub:`, those of the agent with `agent:`.

use super::{Lang, Message};

mod agent;
mod fleet;
mod hub;
mod team;

/// Lists the exit codes.
pub const EXIT_CODES: Message = Message::new(
    "Mã thoát:
  0  xong
  1  thất bại
  2  gõ sai lệnh
  3  không tìm thấy
  4  không tới được trung tâm
  5  bị từ chối
  6, 7  chỉ của khien agent scan và khien hunt net: có thứ khớp, chưa xem hết",
    "Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  not found
  4  hub not reachable
  5  refused
  6, 7  of khien agent scan and khien hunt net alone: something matched, not all was looked at",
);

/// Lists the exit codes of `khien scan`.
pub const SCAN_EXIT_CODES: Message = Message::new(
    "Mã thoát:
  0  đã quét hết, không có gì khớp
  1  có tệp khớp luật
  2  gõ sai lệnh, không có đường dẫn nào tồn tại, hoặc không quét được
  3  không có gì khớp, nhưng còn thứ chưa quét được hoặc biến mất trước khi quét",
    "Exit codes:
  0  everything was scanned and nothing matched
  1  something matched
  2  wrong usage, nothing of what was named is there, or no scan was possible
  3  nothing matched, but something could not be scanned or was gone before it was",
);

/// Lists the exit codes of `khien agent scan`.
pub const ORDERED_EXIT_CODES: Message = Message::new(
    "Mã thoát (với --no-wait hoặc --cancel, 0 chỉ nghĩa là lệnh đã được giao, hoặc lần quét đã dừng):
  0  đã quét hết, không có gì khớp
  1  không quét được
  2  gõ sai lệnh
  3  không có tác tử hay lần quét này
  4  không tới được trung tâm
  5  bị từ chối
  6  có thứ khớp luật
  7  không có gì khớp, nhưng còn thứ chưa quét",
    "Exit codes (with --no-wait or --cancel 0 only means that the order was given, or that the scan ended):
  0  everything was scanned and nothing matched
  1  no scan was possible
  2  wrong usage
  3  no such agent or scan
  4  hub not reachable
  5  refused
  6  something matched
  7  nothing matched, but something was not scanned",
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
const DEFAULT: Message = Message::new("[mặc định: {}]", "[default: {}]");
/// Says what may be said.
const VALUES: Message = Message::new("[một trong: {}]", "[one of: {}]");

/// Heads the parts of a help text: usage, options, commands.
pub const HEADINGS: [Message; 3] = [
    Message::new("Cách dùng", "Usage"),
    Message::new("Tùy chọn", "Options"),
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

/// Returns all that the help of an option says: what it is for, what it may be, and what it is if nothing is said.
#[must_use]
pub fn explained(text: Option<Message>, values: &[&str], usual: Option<&str>, lang: Lang) -> Option<String> {
    let text = text.map(|text| text.get(lang).to_owned());
    let values = (!values.is_empty()).then(|| VALUES.with(lang, &[&values.join(", ")]));
    let usual = usual.map(|usual| DEFAULT.with(lang, &[&usual]));
    let all: Vec<String> = [text, values, usual].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// Returns the help of a command or an option.
#[must_use]
pub fn text(path: &str) -> Option<Message> {
    let of_rooms =
        super::scan::HELP.iter().chain(super::fleet::HELP).chain(super::hunt::HELP).chain(super::pcap::HELP);
    let of_programs = agent::HELP.iter().chain(fleet::HELP).chain(hub::HELP);
    let all = TEXTS.iter().chain(team::HELP).chain(of_programs).chain(of_rooms);
    all.into_iter().find(|(p, _)| *p == path).map(|(_, m)| *m)
}

/// Of the program itself, and of options that many commands have.
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
        assert_eq!(of_option("hub: run", "home"), text("hub: --home"));
        assert_eq!(of_option("alert list", "home"), text("--home"));
    }

    #[test]
    fn an_option_says_what_it_may_be_and_what_it_is_if_nothing_is_said() {
        let text = Some(Message::new("Ngôn ngữ", "The language"));

        assert_eq!(
            explained(text, &["vi", "en"], Some("vi"), Lang::En).unwrap(),
            "The language [one of: vi, en] [default: vi]"
        );
        assert_eq!(explained(text, &[], None, Lang::Vi).unwrap(), "Ngôn ngữ");
        assert_eq!(explained(None, &[], None, Lang::Vi), None);
    }
}
