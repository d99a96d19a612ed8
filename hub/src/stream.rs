//! Live changes: whoever asks waits until there is something, and is answered at once when there is.

use std::time::Duration;

use khien_core::{AgentId, Timestamp, api::Alerts, order::Order, protocol::POLL_SECONDS};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{fault::Fault, hub::Hub, orders, stop};

/// The most alerts in one answer; the revision then says from where to ask on.
const MAX_CHANGES: u32 = 1_000;

/// Waits for a revision above `after` and returns the alerts that changed since.
pub(crate) async fn changes(hub: &Hub, after: u64) -> Result<Alerts, Fault> {
    let mut revisions = hub.store.revisions();
    let mut stopping = hub.stopping.clone();
    tokio::select! {
        _ = tokio::time::timeout(Duration::from_secs(POLL_SECONDS), revisions.wait_for(|r| *r > after)) => {}
        () = stop::begun(&mut stopping) => {}
    }
    let read = hub.store.read(move |tx| Ok((tx.changes(after, MAX_CHANGES)?, tx.revision()?)));
    let (alerts, newest) = read.await?;
    let full = alerts.len() == MAX_CHANGES as usize;
    let revision = alerts.last().filter(|_| full).map_or(newest, |a| a.revision);
    Ok(Alerts { alerts, revision })
}

/// Waits until an agent has orders and returns them.
pub(crate) async fn orders(hub: &Hub, agent: AgentId) -> Result<Vec<Order>, Fault> {
    let until = Instant::now() + Duration::from_secs(POLL_SECONDS);
    let mut new: watch::Receiver<u64> = hub.store.orders();
    let mut stopping = hub.stopping.clone();
    loop {
        new.mark_unchanged();
        let found = hub.store.read(move |tx| orders::waiting(tx, agent, Timestamp::now())).await?;
        if !found.is_empty() || *stopping.borrow() {
            return Ok(found);
        }
        tokio::select! {
            woken = timeout_at(until, new.changed()) => if !matches!(woken, Ok(Ok(()))) { return Ok(found) },
            () = stop::begun(&mut stopping) => return Ok(found),
        }
    }
}
