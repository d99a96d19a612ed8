//! The agent's side of the line to the hub: a session begins with hello, then four things go on side by side until one
//! of them fails: urgent records, bulk records, heartbeats with packs, and the long poll for orders.
//!
//! ```text
//!            ┌────────── back off, jittered ──────────┐
//!            ▼                                        │
//!   connect ─► hello ─► { urgent │ bulk │ heartbeat │ orders } ─► any trouble
//! ```
//! An alert never waits behind bulk: the bulk lane sends only while the urgent one is empty.

use std::{convert::Infallible, sync::Arc, time::Duration};

use khien_core::{
    Nonce, Sha256, Timestamp,
    asset::HostFacts,
    order::Order,
    protocol::{HEARTBEAT_SECONDS, Heartbeat, Hello, MAX_RECORDS, Mark},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};

use crate::{
    health::{self, Meter},
    pack::Packs,
    spool::{Lane, Spool, Tail},
};

mod backoff;
mod http;

use backoff::Backoff;
use http::patiently;
pub(crate) use http::{Hub, Trouble};

/// The most text of records in one batch; with every quote escaped it stays below the hub's limit.
const BATCH_BYTES: usize = 2 << 20;
/// The most orders that are taken from one answer.
const MAX_ORDERS: usize = 1_000;
/// The pauses between polls of a hub that repeats itself.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A session that stood this long is no failure when it ends.
const STOOD: Duration = Duration::from_secs(10);
/// After this a pack that was refused is fetched again.
const PACK_AGAIN: Duration = Duration::from_secs(600);

/// An order as it came, and in answer to which poll.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The order.
    pub(crate) order: Order,
    /// The poll.
    pub(crate) poll: u64,
}

/// The line while it stands.
pub(crate) type Line = watch::Receiver<Option<Arc<Hub>>>;

/// Where and as whom to connect.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// `host:port` of the hub.
    pub(crate) address: String,
    /// Its CA, PEM.
    pub(crate) ca: String,
    /// The agent's certificate and key, PEM.
    pub(crate) identity: String,
}

/// What the sessions work with.
#[derive(Debug)]
pub(crate) struct Uplink {
    /// The hub.
    pub(crate) peer: Peer,
    /// Random per start.
    pub(crate) boot: Nonce,
    /// The host.
    pub(crate) host: HostFacts,
    /// What waits to be sent.
    pub(crate) spool: Spool,
    /// How the agent is.
    pub(crate) meter: Arc<Meter>,
    /// Where packs go.
    pub(crate) packs: Arc<Packs>,
    /// Where orders go.
    pub(crate) orders: mpsc::Sender<Asked>,
    /// Tells others whether the line stands.
    pub(crate) line: watch::Sender<Option<Arc<Hub>>>,
}

impl Uplink {
    /// Keeps a session up until told to stop.
    pub(crate) async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut backoff = Backoff::default();
        let told = async move {
            // An error means that the supervisor is gone, which is to be told to stop as well.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        tokio::pin!(told);
        loop {
            let begun = Instant::now();
            let trouble = tokio::select! {
                () = &mut told => return,
                trouble = self.session() => trouble,
            };
            self.line.send_replace(None);
            if begun.elapsed() >= STOOD {
                backoff.reset();
            }
            let wait = backoff.next(getrandom::u32().unwrap_or(u32::MAX));
            tracing::warn!(%trouble, ?wait, hub = %self.peer.address, "no line to the hub");
            tokio::select! {
                () = &mut told => return,
                () = tokio::time::sleep(wait) => (),
            }
        }
    }

    /// Runs one session and returns why it ended.
    async fn session(&self) -> Trouble {
        let (hub, offered) = match self.begin().await {
            Ok(begun) => begun,
            Err(trouble) => return trouble,
        };
        tracing::info!(hub = %self.peer.address, "the line to the hub stands");
        self.line.send_replace(Some(Arc::clone(&hub)));
        let ended = tokio::select! {
            ended = self.send(&hub, Lane::Urgent) => ended,
            ended = self.send(&hub, Lane::Bulk) => ended,
            ended = self.beat(&hub, offered) => ended,
            ended = self.poll(&hub) => ended,
        };
        match ended {
            Err(trouble) => trouble,
        }
    }

    /// Connects, says hello, and returns the hub with the version of the pack that it offers.
    async fn begin(&self) -> Result<(Arc<Hub>, u64), Trouble> {
        let Peer { address, ca, identity } = &self.peer;
        let mut hub = Hub::connect(address, ca, Some(identity)).await?;
        let tail = *self.spool.tail().borrow();
        let lanes = [tail.urgent, tail.bulk].map(|lane| Mark { epoch: lane.epoch, seq: lane.next }).to_vec();
        let welcome = hub.hello(&Hello { boot: self.boot, host: self.host.clone(), lanes }).await?;
        self.spool.welcome(welcome.acks).await?;
        hub.evidence_key = welcome.evidence_key;
        Ok((Arc::new(hub), welcome.pack))
    }

    /// Sends a lane as it fills.
    async fn send(&self, hub: &Hub, lane: Lane) -> Result<Infallible, Trouble> {
        let mut tail = self.spool.tail();
        let mut most = MAX_RECORDS;
        loop {
            tail.wait_for(|t| is_due(t, lane)).await.map_err(|_| crate::spool::SpoolError::Closed)?;
            let Some(batch) = self.spool.next_batch(lane, most, BATCH_BYTES).await? else {
                // The number and the record are one commit, so this is a spool that was damaged by hand.
                tokio::time::sleep(LONGEST_PAUSE).await;
                continue;
            };
            match patiently(|| hub.batch(&batch)).await? {
                Some(ack) if ack.mark.epoch == batch.epoch => {
                    most = MAX_RECORDS;
                    self.take(ack.mark, &batch.records).await?;
                }
                Some(_) => return Err(Trouble::Unreadable("acknowledgement of another lane".to_owned())),
                None if batch.records.len() > 1 => most = batch.records.len() / 2,
                None => {
                    return Err(Trouble::Unwritable("one record is larger than a batch may be".to_owned()));
                }
            }
        }
    }

    /// Takes an acknowledgement: it must reach into what was sent, and not beyond it.
    async fn take(&self, mark: Mark, sent: &[khien_core::protocol::Record]) -> Result<(), Trouble> {
        let (first, last) = (sent.first().map_or(0, |r| r.seq), sent.last().map_or(0, |r| r.seq));
        match (first..=last).contains(&mark.seq) {
            true => Ok(self.spool.ack(mark).await?),
            false => {
                Err(Trouble::Unreadable(format!("acknowledged {}, expected {first} to {last}", mark.seq)))
            }
        }
    }

    /// Says how the agent is, and has a pack fetched that the hub offers in return.
    async fn beat(&self, hub: &Arc<Hub>, offered: u64) -> Result<Infallible, Trouble> {
        let mut clock = tokio::time::interval(Duration::from_secs(HEARTBEAT_SECONDS));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fetched = None;
        self.offer(hub, offered, &mut fetched);
        loop {
            tokio::select! {
                _ = clock.tick() => {}
                () = self.meter.changed() => {}
            }
            let beat =
                || async { hub.heartbeat(&Heartbeat { health: self.meter.health(health::memory()) }).await };
            let reply = patiently(beat).await?;
            self.offer(hub, reply.pack, &mut fetched);
        }
    }

    /// Has an offered pack fetched and installed aside, since both take longer than a heartbeat may wait; one that
    /// was refused is not fetched with every heartbeat.
    fn offer(&self, hub: &Arc<Hub>, version: u64, fetched: &mut Option<(u64, Instant)>) {
        let lately = fetched.is_some_and(|(had, at)| had == version && at.elapsed() < PACK_AGAIN);
        if !self.packs.wants(version) || lately {
            return;
        }
        // A hub that offers a new version with every heartbeat must not fill the memory with packs.
        let Some(turn) = self.packs.turn() else { return };
        *fetched = Some((version, Instant::now()));
        let (hub, packs) = (Arc::clone(hub), Arc::clone(&self.packs));
        tokio::spawn(async move {
            let _turn = turn;
            match patiently(|| hub.pack()).await {
                Ok(signed) => packs.take(signed, &hub).await,
                Err(trouble) => tracing::warn!(%trouble, version, "the pack could not be fetched"),
            }
        });
    }

    /// Asks for orders and hands them on.
    async fn poll(&self, hub: &Hub) -> Result<Infallible, Trouble> {
        let (mut before, mut pause) = (Vec::new(), PAUSE);
        loop {
            let poll = self.spool.begin_poll().await?;
            let asked = Instant::now();
            let orders = patiently(|| hub.orders()).await?.orders;
            let names: Vec<Sha256> = orders.iter().take(MAX_ORDERS).map(name).collect();
            for order in orders.into_iter().take(MAX_ORDERS) {
                let handed = self.orders.send(Asked { order, poll }).await;
                handed.map_err(|_| Trouble::Line("the agent stops".to_owned()))?;
            }
            // The hub repeats an order until it has the receipt; meanwhile it must not be asked in a circle. The same
            // holds for a hub that answers "none" at once.
            let idle = names.is_empty() && asked.elapsed() >= LONGEST_PAUSE;
            let news = names.iter().any(|name| !before.contains(name));
            pause = if idle || news { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            before = names;
            tokio::time::sleep(pause).await;
        }
    }
}

fn is_due(tail: &Tail, lane: Lane) -> bool {
    tail.of(lane).waiting() > 0 && (lane == Lane::Urgent || tail.urgent.waiting() == 0)
}

/// Names an order as it came, signed or not.
pub(crate) fn name(order: &Order) -> Sha256 {
    let text = serde_json::to_vec(order).unwrap_or_default();
    Sha256::of(&text)
}

/// Notes every few seconds that the agent lives, whether or not the hub can be reached.
pub(crate) async fn note_life(spool: Spool, mut shutdown: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(Duration::from_secs(HEARTBEAT_SECONDS));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            _ = clock.tick() => (),
        }
        if let Err(error) = spool.alive(Timestamp::now()).await {
            tracing::error!(%error, "the time of life could not be noted");
        }
    }
}
