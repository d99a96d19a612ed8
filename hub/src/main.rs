//! khien-hub: the collector. It receives what agents found, keeps it, shows it to the team, and relays signed orders.
//!
//! Every agent is hostile to the hub, and the hub may be captured: no client text is ever a path or a table, and agents
//! obey operators' signatures, not the hub.

mod args;
mod auth;
mod authority;
mod bundles;
mod captures;
mod config;
mod enrol;
mod evidence;
mod fault;
mod fleet;
mod forms;
mod hub;
mod incidents;
mod ingest;
mod jobs;
mod limits;
mod memory;
mod operators;
mod orders;
mod quota;
mod routes;
mod runs;
mod scans;
mod server;
mod single;
mod stop;
mod store;
mod stream;
mod tally;
mod triage;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use khien_core::text::usage;
use tracing_subscriber::EnvFilter;

use crate::args::{Command, OperatorCommand};

fn main() -> ExitCode {
    let args = match args::parse() {
        Ok(args) => args,
        // Help, version, or what is wrong with the command line.
        Err(e) if !e.use_stderr() => e.exit(),
        Err(e) => {
            // Nobody is left to tell if this cannot be written.
            let _ = io::stderr().write_all(usage::told(&e.to_string(), args::language()).as_bytes());
            return ExitCode::from(2);
        }
    };
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"));
    // A log that cannot be written, on a full disk, is lost; the hub goes on.
    let log = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    log.with_writer(io::stderr).init();
    // Fails only if a provider is installed already, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();

    match carry_out(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { home } => authority::init(&home),
        Command::Operator(OperatorCommand::Add { home, name, csr }) => operators::add(&home, &name, &csr),
        Command::Run { home, listen, until_stdin_closes } => server::run(&home, listen, until_stdin_closes),
    }
}
