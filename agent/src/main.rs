//! The agent on an agency server: watches files and traffic, scans, spools, reports, and obeys signed orders.

use std::{io::Write, process::ExitCode};

use khien_core::text::usage;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};

mod activity;
mod args;
mod behaviour;
mod capture;
mod config;
mod detect;
mod enroll;
mod health;
mod integrity;
mod memory;
mod orders;
mod pack;
mod packets;
mod pause;
mod records;
mod respond;
mod scan;
mod sockets;
mod spool;
mod story;
mod supervise;
mod uplink;
mod watch;

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        // Help, version, or what is wrong with the command line.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            tell(usage::told(&error.to_string(), args::language()).trim_end());
            return ExitCode::from(2);
        }
    };
    if let Command::Worker = cli.command {
        // Before any runtime, log or key: the worker sandboxes itself as one thread that holds nothing.
        return khien_scan::worker::main();
    }
    // All that the agent writes is for itself alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    log_to_stderr(&cli.log);
    match work(cli) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("khien-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn work(cli: Cli) -> anyhow::Result<ExitCode> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("cannot install the TLS provider");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = runtime.block_on(async {
        match cli.command {
            Command::Enroll(options) => enroll::enroll(&options, cli.lang).await,
            Command::Pause(options) => pause::pause(&options, cli.lang),
            Command::Resume(options) => pause::resume(&options, cli.lang),
            Command::Run(options) => supervise::run(&options, cli.lang).await,
            Command::Canaries(options) => behaviour::canary::command(&options, cli.lang),
            Command::Worker => Ok(ExitCode::FAILURE),
        }
    });
    // An order at work on the disk is not waited for: it is taken up again at the next start.
    runtime.shutdown_background();
    code
}

fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // A log that cannot be written, on a full disk, is lost; the agent goes on.
    let log = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    log.with_writer(std::io::stderr).with_target(false).init();
}

/// Says one line on standard error. Where that cannot be written there is nobody to tell.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
