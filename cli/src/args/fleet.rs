//! The programs: to start them, agents, and what rules they have.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use khien_core::order::{MAX_PID, MOST_SCANNED};

use super::Wait;

/// `khien up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub(crate) watch: Vec<PathBuf>,
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) interface: Vec<String>,
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) promiscuous: Vec<String>,
    #[arg(long, value_name = "NETWORK", num_args = 1..)]
    pub(crate) trust: Vec<String>,
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(0..=16_384))]
    pub(crate) packets_mib: Option<u64>,
    #[arg(long, value_name = "NAME")]
    pub(crate) agency: Option<String>,
    #[arg(long)]
    pub(crate) no_ui: bool,
}

/// `khien agent`.
#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    List,
    Show {
        host: String,
    },
    Scan(AgentScan),
    Scans,
    Token {
        #[arg(long, value_name = "NAME")]
        agency: String,
        #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=24))]
        hours: u32,
        #[arg(long, value_name = "HOST:PORT")]
        hub: Option<String>,
    },
}

/// `khien agent scan`.
#[derive(Debug, Args)]
pub(crate) struct AgentScan {
    #[arg(required_unless_present = "cancel")]
    pub(crate) host: Option<String>,
    #[arg(
        required_unless_present_any = ["pid", "processes", "cancel"],
        conflicts_with_all = ["pid", "processes"],
    )]
    pub(crate) path: Option<PathBuf>,
    #[arg(long, value_name = "PID", conflicts_with = "processes", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PID)))]
    pub(crate) pid: Vec<u32>,
    #[arg(long)]
    pub(crate) processes: bool,
    #[arg(long, default_value_t = 1_000_000, value_name = "N", conflicts_with_all = ["pid", "processes"], value_parser = clap::value_parser!(u64).range(1..=MOST_SCANNED))]
    pub(crate) most: u64,
    #[arg(long, conflicts_with_all = ["pid", "processes"])]
    pub(crate) again: bool,
    #[arg(long, value_name = "SCAN", conflicts_with_all = ["host", "path", "pid", "processes", "most", "again"])]
    pub(crate) cancel: Option<String>,
    #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=15))]
    pub(crate) minutes: u32,
    #[command(flatten)]
    pub(crate) wait: Wait,
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
    Lookup {
        #[arg(required = true)]
        value: Vec<String>,
        #[arg(long, value_name = "DIR")]
        pack: Option<PathBuf>,
    },
}
