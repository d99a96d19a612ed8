//! The help of the command line, in one language.

use std::ffi::OsString;

use clap::{Arg, ArgAction, CommandFactory};
use khien_core::{
    Lang,
    text::{self, Message, help},
};

use super::Typed;

/// Returns the command with every help text in one language.
pub(crate) fn command(lang: Lang) -> clap::Command {
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let root = localized(Typed::command(), "", lang).disable_version_flag(true);
    let root = root.arg(explained(version, help::text("--version"), lang));
    let root = root.mut_subcommand("scan", |c| c.after_help(help::SCAN_EXIT_CODES.get(lang)));
    let of_pcap = text::pcap::EXIT_CODES.get(lang);
    let root = root.mut_subcommand("pcap", |c| c.mut_subcommand("scan", |scan| scan.after_help(of_pcap)));
    let of_order = help::ORDERED_EXIT_CODES.get(lang);
    let root = root.mut_subcommand("agent", |c| c.mut_subcommand("scan", |scan| scan.after_help(of_order)));
    root.after_help(help::EXIT_CODES.get(lang))
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
}
