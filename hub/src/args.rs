//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};

/// Khiên's collector: receives what agents found, keeps it, and relays signed orders.
#[derive(Debug, Parser)]
#[command(name = "khien-hub", version)]
pub(crate) struct Args {
    /// What to log to stderr, such as `info` or `khien_hub=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub(crate) log: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the state folder, the CA, the server's key and the store; does nothing where they stand.
    Init {
        /// The state folder.
        #[arg(long, env = "KHIEN_HUB_HOME")]
        home: PathBuf,
    },
    /// Keep the list of operators.
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Serve until told to stop.
    Run {
        /// The state folder.
        #[arg(long, env = "KHIEN_HUB_HOME")]
        home: PathBuf,
        /// Where to listen.
        #[arg(long, default_value = "0.0.0.0:8443")]
        listen: SocketAddr,
        /// Stop when stdin reaches its end, as when the program that started the hub is gone.
        #[arg(long)]
        until_stdin_closes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Admit an operator and print a client certificate, good for one year.
    Add {
        /// The state folder.
        #[arg(long, env = "KHIEN_HUB_HOME")]
        home: PathBuf,
        /// The operator's name as the team knows it.
        #[arg(long)]
        name: String,
        /// A certificate signing request with an Ed25519 key, PEM.
        #[arg(long)]
        csr: PathBuf,
    },
}
