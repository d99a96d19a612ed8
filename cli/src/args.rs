//! The command line: `khien NOUN VERB`. Its help texts are in [`khien_core::text::help`], both languages.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use khien_core::{
    AlertId, IncidentId, Lang, Sha256,
    alert::{Status, Verdict},
    text::{Message, help},
};

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(name = "khien", version, disable_help_subcommand = true)]
pub(crate) struct Typed {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    #[arg(long, global = true, env = "KHIEN_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    #[arg(long, global = true, env = "KHIEN_LANG", default_value = "vi", value_name = "vi|en")]
    pub(crate) lang: Lang,
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    Ui,
    #[command(subcommand)]
    Alert(Alert),
    #[command(subcommand)]
    Incident(Incident),
    #[command(subcommand)]
    Playbook(Playbook),
    #[command(subcommand)]
    Run(Run),
    #[command(subcommand)]
    Agent(Agent),
    #[command(subcommand)]
    Report(Report),
    #[command(subcommand)]
    Rules(Rules),
    #[command(subcommand)]
    Evidence(Evidence),
    Scan(Scan),
}

/// `khien up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub(crate) watch: Vec<PathBuf>,
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) interface: Vec<String>,
    #[arg(long, value_name = "NAME")]
    pub(crate) agency: Option<String>,
    #[arg(long)]
    pub(crate) no_ui: bool,
}

/// `khien alert`.
#[derive(Debug, Subcommand)]
pub(crate) enum Alert {
    List {
        #[arg(long, value_parser = status)]
        status: Option<Status>,
        #[arg(long, value_name = "TEXT")]
        find: Option<String>,
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
    },
    Show {
        id: AlertId,
    },
    Ack {
        #[arg(required = true)]
        id: Vec<AlertId>,
    },
    Close {
        #[arg(required = true)]
        id: Vec<AlertId>,
        #[arg(long, value_enum)]
        verdict: Found,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    Reopen {
        #[arg(required = true)]
        id: Vec<AlertId>,
    },
}

/// What the team found, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Found {
    #[value(alias = "true_positive")]
    TruePositive,
    #[value(alias = "false_positive")]
    FalsePositive,
}

impl From<Found> for Verdict {
    fn from(found: Found) -> Self {
        match found {
            Found::TruePositive => Self::TruePositive,
            Found::FalsePositive => Self::FalsePositive,
        }
    }
}

/// `khien incident`.
#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    Open {
        #[arg(required = true, value_name = "ALERT")]
        alerts: Vec<AlertId>,
        #[arg(long)]
        title: Option<String>,
    },
    List,
    Show {
        id: IncidentId,
    },
    Note {
        id: IncidentId,
        text: String,
    },
    Close {
        id: IncidentId,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    Reopen {
        id: IncidentId,
    },
}

/// `khien playbook`.
#[derive(Debug, Subcommand)]
pub(crate) enum Playbook {
    List,
    Show {
        id: String,
    },
    Run {
        id: String,
        #[arg(long)]
        incident: IncidentId,
        #[command(flatten)]
        wait: Wait,
    },
}

/// Whether to wait until a run settles; a person at a terminal waits by default.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) wait: bool,
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// `khien run`.
#[derive(Debug, Subcommand)]
pub(crate) enum Run {
    List,
    Show {
        run: String,
    },
    Approve {
        run: String,
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: Wait,
    },
    Refuse {
        run: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    Undo {
        run: String,
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wait: Wait,
    },
}

/// `khien agent`.
#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    List,
    Token {
        #[arg(long, value_name = "NAME")]
        agency: String,
        #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=24))]
        hours: u32,
        #[arg(long, value_name = "HOST:PORT")]
        hub: Option<String>,
    },
}

/// `khien report`.
#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    Draft(Draft),
}

/// `khien report draft`.
#[derive(Debug, Args)]
pub(crate) struct Draft {
    #[arg(long)]
    pub(crate) incident: IncidentId,
    #[arg(long, value_name = "FORM")]
    pub(crate) form: String,
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    #[arg(long, value_name = "FIELD=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
}

/// `khien rules`.
#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    Check {
        dir: PathBuf,
    },
    Push {
        #[arg(required_unless_present = "base", conflicts_with = "base")]
        dir: Option<PathBuf>,
        #[arg(long)]
        base: bool,
    },
}

/// `khien evidence`.
#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    Get {
        sha256: Sha256,
        #[arg(long)]
        incident: IncidentId,
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// `khien scan`.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "pack")]
    pub(crate) rules: Vec<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub(crate) pack: Option<PathBuf>,
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) max_size: Option<u64>,
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) timeout: Option<u64>,
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) threads: Option<u64>,
    #[arg(long)]
    pub(crate) one_file_system: bool,
    #[arg(long)]
    pub(crate) all: bool,
}

/// Reads the command line. Help is in the language that it or `KHIEN_LANG` asks for.
pub(crate) fn parse() -> Result<Typed, clap::Error> {
    Typed::from_arg_matches(&command(language()).try_get_matches()?)
}

/// Returns the command with every help text in one language.
pub(crate) fn command(lang: Lang) -> clap::Command {
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let root = localized(Typed::command(), "", lang).disable_version_flag(true);
    let root = root.arg(explained(version, help::text("--version"), lang));
    let root = root.mut_subcommand("scan", |c| c.after_help(help::SCAN_EXIT_CODES.get(lang)));
    root.after_help(help::EXIT_CODES.get(lang))
}

fn localized(mut command: clap::Command, path: &str, lang: Lang) -> clap::Command {
    if let Some(text) = help::text(path) {
        command = command.about(text.get(lang));
    }
    let args: Vec<String> = command.get_arguments().map(|a| a.get_id().to_string()).collect();
    for id in args {
        let text = help::text(&format!("{path} --{id}")).or_else(|| help::text(&format!("--{id}")));
        command = command.mut_arg(&id, |a| explained(a, text, lang));
    }
    let nouns: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for noun in nouns {
        let below = format!("{path} {noun}").trim_start().to_owned();
        command = command.mut_subcommand(&noun, |c| localized(c, &below, lang));
    }
    worded(command, lang)
}

/// Puts the words of the help itself in a language: its headings and its own option.
fn worded(command: clap::Command, lang: Lang) -> clap::Command {
    let asked = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    let usage = help::USAGE.get(lang);
    command
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .arg(explained(asked, help::text("--help"), lang))
        .subcommand_help_heading(help::COMMANDS.get(lang))
        .help_template(format!("{{about-with-newline}}\n{usage} {{usage}}\n\n{{all-args}}{{after-help}}"))
}

/// Explains an option: what it is for, what it is without it, and what it may be.
fn explained(mut arg: Arg, text: Option<Message>, lang: Lang) -> Arg {
    let heading = if arg.is_positional() { help::ARGUMENTS } else { help::OPTIONS };
    arg = arg.help_heading(heading.get(lang)).hide_default_value(true).hide_possible_values(true);
    let takes = arg.get_action().takes_values();
    let values: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
    let values = (takes && !values.is_empty()).then(|| help::VALUES.with(lang, &[&values.join(", ")]));
    let usual = arg.get_default_values().first().and_then(|v| v.to_str()).filter(|v| takes && !v.is_empty());
    let usual = usual.map(|v| help::DEFAULT.with(lang, &[&v]));
    let text = text.map(|t| t.get(lang).to_owned());
    let all: Vec<String> = [text, values, usual].into_iter().flatten().collect();
    if all.is_empty() { arg } else { arg.help(all.join(" ")) }
}

/// Returns the language that the command line or `KHIEN_LANG` asks for, before either is parsed.
pub(crate) fn language() -> Lang {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<&str> = typed.iter().filter_map(|w| w.to_str()).collect();
    help::asked_language(&words, std::env::var("KHIEN_LANG").ok().as_deref())
}

fn status(word: &str) -> Result<Status, String> {
    let all = [Status::New, Status::Acknowledged, Status::Closed];
    let found = all.into_iter().find(|s| s.as_str() == word);
    found.ok_or_else(|| "expected new, acknowledged or closed".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, value)) if !field.is_empty() => Ok((field.to_owned(), value.to_owned())),
        _ => Err("expected FIELD=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_help(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
        if command.get_about().is_none() {
            missing.push(path.to_owned());
        }
        for arg in command.get_arguments().filter(|a| a.get_help().is_none()) {
            missing.push(format!("{path} --{}", arg.get_id()));
        }
        for below in command.get_subcommands() {
            without_help(below, format!("{path} {}", below.get_name()).trim_start(), missing);
        }
    }

    #[test]
    fn every_command_and_option_has_help_in_both_languages() {
        for lang in [Lang::Vi, Lang::En] {
            let mut missing = Vec::new();

            without_help(&command(lang), "", &mut missing);

            assert!(missing.is_empty(), "{missing:?}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        command(Lang::Vi).debug_assert();
    }

    #[test]
    fn what_is_wrong_with_a_command_line_has_no_english_left_in_vietnamese() {
        let typed: &[&[&str]] = &[
            &["up", "--nothing"],
            &["alrt"],
            &["alert"],
            &["alert", "show"],
            &["alert", "show", "1", "2"],
            &["alert", "list", "--status"],
            &["alert", "list", "--status", "old"],
            &["alert", "list", "--limit", "many"],
            &["alert", "close", "A-1", "--verdict", "good"],
            &["incident", "show", "seven"],
            &["up", "--lang", "fr"],
        ];
        for words in typed {
            let all = ["khien"].iter().chain(words.iter());
            let error = command(Lang::Vi).try_get_matches_from(all).unwrap_err().to_string();

            let told = khien_core::text::usage::told(&error, Lang::Vi);

            for english in
                ["error", "argument", "value", "found", "required", "expected", "Usage", " is not ", "tip:"]
            {
                assert!(!told.contains(english), "`{english}` in {told}");
            }
        }
    }

    #[test]
    fn several_folders_are_watched_however_they_are_typed() {
        let typed = Typed::try_parse_from(["khien", "up", "--watch", "/a", "/b", "--watch", "/c"]).unwrap();

        let Command::Up(up) = typed.command else { panic!("not up") };
        assert_eq!(up.watch, ["/a", "/b", "/c"].map(PathBuf::from));
    }
}
