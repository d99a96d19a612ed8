//! The command line. Its help texts are in [`khien_core::text::help`], both languages.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use khien_core::{Lang, text::help};

use crate::{
    capture::{Trusted, Way},
    pause,
};

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(name = "khien-agent", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[arg(long, global = true, env = "KHIEN_LANG", default_value = "vi", value_name = "vi|en")]
    pub(crate) lang: Lang,
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info")]
    pub(crate) log: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Enroll(Enroll),
    Run(Run),
    Pause(Pause),
    Resume(Resume),
    Canaries(Canaries),
    /// Scans what the agent hands to it; started by the agent itself.
    #[command(hide = true)]
    Worker,
}

/// Options of `enroll`.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    #[arg(long, env = "KHIEN_AGENT_HOME", value_name = "DIR", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
    #[arg(long, env = "KHIEN_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) hub: Option<String>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[arg(long, env = "KHIEN_AGENT_HOME", value_name = "DIR", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) hub: Option<String>,
    #[arg(long, value_name = "DIR")]
    pub(crate) watch: Vec<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub(crate) exclude: Vec<PathBuf>,
    #[arg(long, value_name = "NAME", conflicts_with = "no_network")]
    pub(crate) interface: Vec<String>,
    #[arg(long, value_name = "NAME", conflicts_with = "no_network")]
    pub(crate) promiscuous: Vec<String>,
    #[arg(long, value_name = "NETWORK", conflicts_with = "no_network", num_args = 1)]
    pub(crate) trust: Vec<Trusted>,
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) capture_threads: u8,
    #[arg(long, env = "KHIEN_CAPTURE", value_name = "auto|ring|plain", default_value = "auto")]
    pub(crate) capture: Way,
    #[arg(long)]
    pub(crate) no_network: bool,
    #[arg(long)]
    pub(crate) no_integrity: bool,
    #[arg(long, env = "KHIEN_NO_MEMORY")]
    pub(crate) no_memory: bool,
    #[arg(long, env = "KHIEN_INTEGRITY_EVERY", value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) integrity_every: u64,
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) spool_mib: u64,
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(0..=65_536))]
    pub(crate) records_mib: Option<u64>,
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_660))]
    pub(crate) records_days: Option<u32>,
    #[arg(long, env = "KHIEN_PACKETS_MIB", value_name = "MIB", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=16_384))]
    pub(crate) packets_mib: u64,
    #[arg(long, env = "KHIEN_CANARIES")]
    pub(crate) canaries: bool,
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}

/// Options of `pause`.
#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[arg(long, env = "KHIEN_AGENT_HOME", value_name = "DIR", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=pause::LONGEST))]
    pub(crate) minutes: u32,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[arg(long, env = "KHIEN_AGENT_HOME", value_name = "DIR", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
}

/// Options of `canaries`.
#[derive(Debug, Args)]
pub(crate) struct Canaries {
    #[command(subcommand)]
    pub(crate) command: CanariesCommand,
    #[arg(long, global = true, env = "KHIEN_AGENT_HOME", value_name = "DIR", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
}

/// What to do with the canaries.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum CanariesCommand {
    List,
    Remove,
}

/// Reads the command line. Help is in the language that it or `KHIEN_LANG` asks for.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command(language()).try_get_matches()?)
}

/// Returns the language that the command line or `KHIEN_LANG` asks for, before either is parsed.
pub(crate) fn language() -> Lang {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<&str> = typed.iter().filter_map(|w| w.to_str()).collect();
    help::asked_language(&words, std::env::var("KHIEN_LANG").ok().as_deref())
}

/// Returns the command with every help text in one language.
fn command(lang: Lang) -> clap::Command {
    // In place of the parser's own two, whose texts are English.
    let asks = |id: &'static str, short: char, action| Arg::new(id).long(id).short(short).action(action);
    let root = Cli::command()
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(asks("help", 'h', ArgAction::Help).global(true))
        .arg(asks("version", 'V', ArgAction::Version));
    localized(root, "agent:", lang)
}

fn localized(mut command: clap::Command, path: &str, lang: Lang) -> clap::Command {
    let [usage, options, commands] = help::HEADINGS.map(|heading| heading.get(lang));
    command = command
        .help_template(format!("{{about-with-newline}}\n{usage}: {{usage}}\n\n{{all-args}}"))
        .subcommand_help_heading(commands);
    if let Some(text) = help::text(path) {
        command = command.about(text.get(lang));
    }
    let args: Vec<String> = command.get_arguments().map(|a| a.get_id().to_string()).collect();
    for id in args {
        let text = help::of_option(path, &id).map(|text| text.get(lang));
        command = command.mut_arg(&id, |arg| arg.help(text).help_heading(options));
    }
    let below: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in below {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(&name, |c| localized(c, &path, lang));
    }
    command
}

fn default_home() -> PathBuf {
    let own = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share/khien-agent"));
    match rustix::process::geteuid().is_root() {
        true => PathBuf::from("/var/lib/khien-agent"),
        false => own.unwrap_or_else(|| PathBuf::from("khien-agent")),
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
        for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            without_help(below, &format!("{path} {}", below.get_name()), missing);
        }
    }

    fn help_of(words: &[&str], lang: Lang) -> String {
        command(lang).try_get_matches_from(words).unwrap_err().to_string()
    }

    #[test]
    fn every_command_and_option_has_help_in_both_languages() {
        for lang in [Lang::Vi, Lang::En] {
            let mut missing = Vec::new();

            without_help(&command(lang), "agent:", &mut missing);

            assert!(missing.is_empty(), "{missing:?}");
        }
    }

    #[test]
    fn help_is_in_one_language_at_every_level() {
        for words in [&["khien-agent", "--help"][..], &["khien-agent", "run", "--help"]] {
            let (vi, en) = (help_of(words, Lang::Vi), help_of(words, Lang::En));

            assert!(vi.contains("Cách dùng: khien-agent") && vi.contains("Tùy chọn:"), "{vi}");
            assert!(!vi.contains("Usage") && !vi.contains("Options:") && !vi.contains("Print help"), "{vi}");
            assert!(en.contains("Usage: khien-agent") && en.contains("Options:"), "{en}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        command(Lang::Vi).debug_assert();
    }
}
