//! `khien up` without a terminal: one line for each alert that is new or changed.

use std::time::{Duration, Instant};

use anyhow::Result;
use khien_core::{Lang, alert::Alert, asset::Presence};

use super::setup::Ready;
use crate::{
    client::{Client, ClientError},
    command::{Context, agent, alert},
    output::{print, print_json_line, say},
};

/// How long the first health report of the agent is waited for.
const FIRST_HEALTH: Duration = Duration::from_secs(15);
/// How often it is asked for.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How soon the hub is asked again after it did not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// Prints changes until the reader goes away.
pub(super) async fn run(context: &Context, ready: &Ready) -> Result<()> {
    let told = async {
        coverage(&ready.client, context.lang).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = changes(context, ready) => done,
        () = told => Ok(()),
    }
}

async fn changes(context: &Context, ready: &Ready) -> Result<()> {
    let mut after = ready.revision;
    loop {
        match ready.client.changes(after).await {
            Ok(news) => {
                news.alerts.iter().try_for_each(|a| line(context, a))?;
                let newest = news.alerts.iter().map(|a| a.revision).max();
                after = newest.unwrap_or(news.revision).max(after);
            }
            Err(e) => lost(e).await?,
        }
    }
}

/// Waits a little where the hub is only away; its keeper tells the person about that.
async fn lost(error: ClientError) -> Result<()> {
    match error {
        ClientError::Unreachable { .. } | ClientError::Reply(_) | ClientError::Failed(_) => {
            tokio::time::sleep(AGAIN).await;
            Ok(())
        }
        other => Err(other.into()),
    }
}

fn line(context: &Context, changed: &Alert) -> Result<()> {
    match context.json {
        true => print_json_line(changed),
        false => print(&alert::line(changed, context.lang)),
    }
}

/// Says once what the agent sees less than fully.
async fn coverage(client: &Client, lang: Lang) {
    let begun = Instant::now();
    loop {
        let agents = client.agents().await.map(|a| a.agents).unwrap_or_default();
        let reports =
            agents.iter().filter(|a| a.presence == Presence::Online && !a.health.coverage.is_empty());
        let reports: Vec<_> = reports.collect();
        // Until its first pack is there an agent is blind for a moment, which is not worth a line.
        if begun.elapsed() > FIRST_HEALTH || reports.iter().any(|a| a.health.pack > 0) {
            reports.iter().flat_map(|a| agent::reduced(a, lang)).for_each(|l| say(&l));
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
