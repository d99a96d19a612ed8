//! `khien scan`.

use std::path::PathBuf;

use clap::Args;

/// `khien scan`.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    #[arg(
        required_unless_present_any = ["pid", "processes"],
        conflicts_with_all = ["pid", "processes"],
        value_name = "PATH"
    )]
    pub(crate) paths: Vec<PathBuf>,
    #[arg(long, value_name = "PID", num_args = 1.., conflicts_with = "processes")]
    pub(crate) pid: Vec<u32>,
    #[arg(long)]
    pub(crate) processes: bool,
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
