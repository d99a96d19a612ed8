//! The commands, one file for each noun.

pub(crate) mod agent;
pub(crate) mod alert;
pub(crate) mod evidence;
pub(crate) mod hunt;
pub(crate) mod incident;
pub(crate) mod packets;
pub(crate) mod playbook;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod run;
#[cfg(test)]
pub(crate) mod samples;

use anyhow::Result;
use khien_core::{Lang, time};

use crate::{
    args::{self, Command, Typed},
    client::Client,
    config::{Config, Home},
    keys::Keys,
    tui, up,
};

/// What every command needs.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The folder of the installation.
    pub(crate) home: Home,
    /// The reader's language.
    pub(crate) lang: Lang,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

impl Context {
    /// Reads the connection file and the keys, and prepares a connection to the hub.
    pub(crate) fn connect(&self) -> Result<(Client, Keys)> {
        let config = Config::load(&self.home)?;
        let keys = Keys::load(&config)?;
        let client = Client::new(&config, &keys)?;
        Ok((client, keys))
    }

    /// Prepares a connection where nothing is to be signed.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(self.connect()?.0)
    }
}

/// Runs what was typed.
pub(crate) async fn run(typed: Typed) -> Result<()> {
    let context =
        Context { home: Home::new(typed.global.home)?, lang: typed.global.lang, json: typed.global.json };
    match typed.command {
        Command::Up(what) => up::run(&context, what).await,
        Command::Ui => ui(&context).await,
        Command::Alert(what) => alert::run(&context, what).await,
        Command::Incident(what) => incident::run(&context, what).await,
        Command::Playbook(what) => playbook::run(&context, what).await,
        Command::Run(what) => run::run(&context, what).await,
        Command::Agent(what) => agent::run(&context, what).await,
        Command::Report(what) => report::run(&context, what).await,
        Command::Rules(what) => rules::run(&context, what).await,
        Command::Evidence(what) => evidence::run(&context, what).await,
        Command::Hunt(args::Hunt::Net(what)) => hunt::net(&context, what).await,
        Command::Packets(args::Packets::Save(what)) => packets::save(&context, what).await,
        // They were taken out before: they need none of this.
        Command::Scan(_) | Command::Pcap(_) => Ok(()),
    }
}

/// Opens the terminal UI against a hub that runs already.
async fn ui(context: &Context) -> Result<()> {
    let (client, keys) = context.connect()?;
    client.pack_state().await?;
    tui::run(client, keys, context.lang, tui::TuiOptions::default()).await
}

/// Writes a moment in a table: Vietnam time.
pub(crate) fn moment(at: khien_core::Timestamp) -> String {
    time::shown(at)
}
