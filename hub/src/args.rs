//! The command line. Its help texts are in [`khien_core::text::help`], both languages.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use khien_core::{
    Lang,
    text::{Message, help},
};

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(name = "khien-hub", version)]
pub(crate) struct Args {
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub(crate) log: String,
    #[arg(long, global = true, env = "KHIEN_LANG", default_value = "vi", value_name = "vi|en")]
    lang: Lang,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init {
        #[arg(long, env = "KHIEN_HUB_HOME")]
        home: PathBuf,
    },
    #[command(subcommand)]
    Operator(OperatorCommand),
    Run {
        #[arg(long, env = "KHIEN_HUB_HOME")]
        home: PathBuf,
        #[arg(long, default_value = "0.0.0.0:8443")]
        listen: SocketAddr,
        #[arg(long)]
        until_stdin_closes: bool,
    },
}

/// `khien-hub operator`.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    Add {
        #[arg(long, env = "KHIEN_HUB_HOME")]
        home: PathBuf,
        #[arg(long)]
        name: String,
        #[arg(long)]
        csr: PathBuf,
    },
}

/// Reads the command line. Help is in the language that it or `KHIEN_LANG` asks for.
pub(crate) fn parse() -> Result<Args, clap::Error> {
    Args::from_arg_matches(&command(language()).try_get_matches()?)
}

/// Returns the command with every help text in one language.
fn command(lang: Lang) -> clap::Command {
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let root = localized(Args::command(), "hub:", lang).disable_version_flag(true);
    root.arg(explained(version, help::text("--version"), lang))
}

fn localized(mut command: clap::Command, path: &str, lang: Lang) -> clap::Command {
    if let Some(text) = help::text(path) {
        command = command.about(text.get(lang));
    }
    let args: Vec<String> = command.get_arguments().map(|a| a.get_id().to_string()).collect();
    for id in args {
        command = command.mut_arg(&id, |a| explained(a, help::of_option(path, &id), lang));
    }
    let nouns: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for noun in nouns {
        let below = format!("{path} {noun}");
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
    let values = arg.get_possible_values();
    let values: Vec<&str> = values.iter().filter(|_| takes).map(|v| v.get_name()).collect();
    let usual = arg.get_default_values().first().and_then(|v| v.to_str()).filter(|v| takes && !v.is_empty());
    match help::explained(text, &values, usual, lang) {
        Some(said) => arg.help(said),
        None => arg,
    }
}

/// Returns the language that the command line or `KHIEN_LANG` asks for, before either is parsed.
pub(crate) fn language() -> Lang {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<&str> = typed.iter().filter_map(|w| w.to_str()).collect();
    help::asked_language(&words, std::env::var("KHIEN_LANG").ok().as_deref())
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
    fn help_has_no_word_of_the_other_language() {
        let help = |lang, path: &[&str]| {
            let mut at = command(lang);
            at.build();
            path.iter()
                .fold(&mut at, |c, name| c.find_subcommand_mut(name).unwrap())
                .render_help()
                .to_string()
        };
        for path in [&[][..], &["init"], &["operator", "add"], &["run"]] {
            let (vi, en) = (help(Lang::Vi, path), help(Lang::En, path));

            assert!(en.is_ascii() || path.is_empty(), "{en}");
            for word in ["Usage", "Options", "Commands", "default:", "Print"] {
                assert!(!vi.contains(word), "{word} in {vi}");
            }
        }
    }
}
