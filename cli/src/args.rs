//! The command line: `khien NOUN VERB`. Its help texts are in [`khien_core::text::help`], both languages.

use std::path::PathBuf;

use clap::{Args, FromArgMatches, Parser, Subcommand};
use khien_core::Lang;

mod fleet;
mod hunt;
mod pcap;
mod scan;
mod team;
mod worded;

pub(crate) use fleet::{Agent, AgentScan, Rules, Up};
pub(crate) use hunt::{Hunt, HuntNet, Packets, PacketsSave};
pub(crate) use pcap::{Pcap, PcapScan};
pub(crate) use scan::Scan;
pub(crate) use team::{Alert, Evidence, Incident, Playbook, Report, Run, Wait};
pub(crate) use worded::{command, language};

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
    #[command(subcommand)]
    Hunt(Hunt),
    #[command(subcommand)]
    Packets(Packets),
    Scan(Scan),
    #[command(subcommand)]
    Pcap(Pcap),
}

/// Reads the command line. Help is in the language that it or `KHIEN_LANG` asks for.
pub(crate) fn parse() -> Result<Typed, clap::Error> {
    Typed::from_arg_matches(&command(language()).try_get_matches()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_folders_are_watched_however_they_are_typed() {
        let typed = Typed::try_parse_from(["khien", "up", "--watch", "/a", "/b", "--watch", "/c"]).unwrap();

        let Command::Up(up) = typed.command else { panic!("not up") };
        assert_eq!(up.watch, ["/a", "/b", "/c"].map(PathBuf::from));
    }
}
