//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use khien_core::Lang;

/// The agent of Khiên on an agency server: watches files and traffic, scans, reports, and obeys signed orders.
#[derive(Debug, Parser)]
#[command(name = "khien-agent", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Language of what it says: vi or en.
    #[arg(long, global = true, env = "KHIEN_LANG", default_value = "vi")]
    pub(crate) lang: Lang,
    /// What to log on standard error, such as `info` or `khien_agent=debug`.
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info")]
    pub(crate) log: String,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Join a hub with a token from the response team.
    Enroll(Enroll),
    /// Watch, scan, report and obey until told to stop.
    Run(Run),
    /// Scans what the agent hands to it; started by the agent itself.
    #[command(hide = true)]
    Worker,
}

/// Options of `enroll`.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// The folder of the agent's state.
    #[arg(long, env = "KHIEN_AGENT_HOME", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
    /// The token, one line.
    #[arg(long, env = "KHIEN_TOKEN", hide_env_values = true)]
    pub(crate) token: String,
    /// Address of the hub as `host:port`, instead of the one in the token.
    #[arg(long)]
    pub(crate) hub: Option<String>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The folder of the agent's state.
    #[arg(long, env = "KHIEN_AGENT_HOME", default_value_os_t = default_home())]
    pub(crate) home: PathBuf,
    /// Address of the hub as `host:port`, instead of the one from enrolment.
    #[arg(long)]
    pub(crate) hub: Option<String>,
    /// A folder to watch with all below it; may be given again. Default: the current folder and, for root, the usual
    /// web roots.
    #[arg(long, value_name = "DIR")]
    pub(crate) watch: Vec<PathBuf>,
    /// A folder never to look into; may be given again. The agent's own is always one.
    #[arg(long, value_name = "DIR")]
    pub(crate) exclude: Vec<PathBuf>,
    /// A network interface to watch; may be given again. Default: loopback and the default route's interface.
    #[arg(long, value_name = "NAME", conflicts_with = "no_network")]
    pub(crate) interface: Vec<String>,
    /// Do not watch the network.
    #[arg(long)]
    pub(crate) no_network: bool,
    /// The most that may wait on disk for the hub, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) spool_mib: u64,
    /// Stop cleanly when standard input ends, as after a signal to stop.
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}

fn default_home() -> PathBuf {
    let own = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share/khien-agent"));
    match rustix::process::geteuid().is_root() {
        true => PathBuf::from("/var/lib/khien-agent"),
        false => own.unwrap_or_else(|| PathBuf::from("khien-agent")),
    }
}
