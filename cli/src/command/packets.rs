//! `khien packets save`: has an agent save the packets of the last seconds as evidence of an incident.

use std::time::Duration;

use anyhow::Result;
use khien_core::{
    Timestamp,
    api::GivenOrder,
    mandate::MAX_LIFE,
    order::{Outcome, PacketTarget, Verb},
    text::{fleet as f, hunt as h},
    time::{self, SignedDuration},
};

use super::{Context, agent::find};
use crate::{
    args::PacketsSave,
    client::Client,
    exit::{Exit, Said, Stop},
    output::{print, print_json, say},
    response,
};

/// How long an answer may be on its way after the order ended.
const PATIENCE: SignedDuration = SignedDuration::from_secs(90);
const ASK_EVERY: Duration = Duration::from_millis(300);

/// Signs the order, gives it, and waits until the hub has the packets.
pub(crate) async fn save(context: &Context, what: PacketsSave) -> Result<()> {
    let lang = context.lang;
    let (client, keys) = context.connect()?;
    let agent = find(client.agents().await?.agents, &what.agent, lang)?;
    // The command line takes nothing that is out of bounds.
    let target = PacketTarget::new(what.incident, what.seconds, what.mib << 20)?.only(what.host, what.port);
    say(f::SIGNED.get(lang));
    say(&h::PACKETS_LINE.with(lang, &[&target, &agent.host, &agent.id, &what.incident]));
    let order = response::give(&client, &keys, agent.id, Verb::PreservePackets(target), MAX_LIFE).await?;
    let order = waited(&client, order).await?;
    match &order.answer {
        Some(Outcome::Done { evidence: Some(saved) }) => {
            if context.json {
                return print_json(&order);
            }
            print(&h::PACKETS_SAVED.with(lang, &[&saved.size, &saved.sha256]))?;
            say(&h::NEXT_SAVED.with(lang, &[&saved.sha256, &what.incident]));
            Ok(())
        }
        Some(Outcome::Failed { reason }) => {
            let why = h::PACKETS_FAILED.with(lang, &[&reason.text(lang)]);
            Err(Stop::new(Exit::Failed, why, h::NEXT_PACKETS.with(lang, &[&agent.host])).into())
        }
        Some(_) | None => {
            say(&h::PACKETS_WAIT.with(lang, &[&order.order.short()]));
            Err(Said(Exit::Incomplete).into())
        }
    }
}

async fn waited(client: &Client, mut order: GivenOrder) -> Result<GivenOrder> {
    let (id, until) = (order.order, time::after(order.until, PATIENCE));
    while order.answer.is_none() && Timestamp::now() <= until {
        tokio::time::sleep(ASK_EVERY).await;
        order = client.given(id).await?;
    }
    Ok(order)
}
