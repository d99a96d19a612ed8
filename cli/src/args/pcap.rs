//! `khien pcap`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use khien_core::IncidentId;

/// Its verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Pcap {
    Scan(PcapScan),
}

/// `khien pcap scan`.
#[derive(Debug, Args)]
pub(crate) struct PcapScan {
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[arg(long, value_name = "PACK|FILE|DIR")]
    pub(crate) rules: Vec<PathBuf>,
    #[arg(long, conflicts_with = "rules")]
    pub(crate) no_rules: bool,
    #[arg(long, value_name = "FILE|-")]
    pub(crate) events: Option<PathBuf>,
    #[arg(long, conflicts_with_all = ["rules", "no_rules"])]
    pub(crate) incident: Option<IncidentId>,
    #[arg(long, value_name = "NAME", requires = "incident")]
    pub(crate) host: Option<String>,
    #[arg(long, requires = "incident")]
    pub(crate) keep: bool,
}
