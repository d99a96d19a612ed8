//! The agents: how they are, and whether they can be heard. Silence is an alert, not a gap in a table.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use khien_core::{
    AgentId, Timestamp, Untrusted,
    asset::{Agent, Coverage, Health, Presence, ScanProgress},
    detection::builtin,
    problem::Cause,
    protocol::{Heartbeat, HeartbeatReply, Hello, Mark, SILENT_AFTER_SECONDS, Welcome},
    text::hub as hub_text,
    time::{self, SignedDuration},
};

use crate::{
    enrol,
    fault::Fault,
    hub::Hub,
    ingest::Desk,
    runs, stop,
    store::{Host, Read, Write},
    triage::{self, Finding},
};

/// After how long without a word an agent is silent.
const SILENT_AFTER: Duration = Duration::from_secs(SILENT_AFTER_SECONDS);
/// How often silence and expiry are looked at.
const TICK: Duration = Duration::from_secs(1);
/// If the hub itself was held up for this long, it cannot tell who was silent.
const HELD_UP: Duration = Duration::from_secs(5);
/// The most lanes an agent may name at once.
const MAX_LANES: usize = 16;
/// The most lines of coverage that are kept of an agent.
const MAX_COVERAGE: usize = 256;
/// The longest path that is kept of an agent's health, in bytes.
const MAX_PATH: usize = 4_096;
/// The longest name of an interface; the kernel has 15 bytes for it.
const MAX_INTERFACE: usize = 64;
/// Two starts of a silence closer than this are one.
const ONE_SILENCE: SignedDuration = SignedDuration::from_secs(60);

/// When each agent was last heard, by a clock that does not jump.
pub(crate) struct Fleet(Mutex<Heard>);

struct Heard {
    /// Before this nobody could be heard: the start of the hub, or the end of a time when it was held up.
    since: Instant,
    agents: HashMap<AgentId, (Instant, Timestamp)>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self(Mutex::new(Heard { since: Instant::now(), agents: HashMap::new() }))
    }
}

impl Fleet {
    /// Notes that an agent was heard.
    pub(crate) fn heard(&self, id: AgentId) {
        let now = (Instant::now(), Timestamp::now());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).agents.insert(id, now);
    }

    /// Gives everybody time to be heard again.
    fn grace(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).since = Instant::now();
    }

    fn is_silent(&self, id: AgentId) -> bool {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = heard.agents.get(&id).map_or(heard.since, |(at, _)| *at);
        last.max(heard.since).elapsed() >= SILENT_AFTER
    }

    fn last_heard(&self, id: AgentId) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).agents.get(&id).map(|(_, at)| *at)
    }
}

/// Returns every agent, by agency and host.
pub(crate) async fn list(hub: &Hub) -> Result<Vec<Agent>, Fault> {
    let hosts = hub.store.read(|tx| Ok(tx.hosts()?)).await?;
    let mut agents: Vec<Agent> = hosts.into_iter().map(|h| h.agent).collect();
    for agent in &mut agents {
        agent.last_seen = hub.fleet.last_heard(agent.id).unwrap_or(agent.last_seen).max(agent.last_seen);
    }
    agents.sort_by(|a, b| (&a.agency, &a.host, a.id).cmp(&(&b.agency, &b.host, b.id)));
    Ok(agents)
}

/// Returns an agent that the connection named.
pub(crate) fn host(tx: &dyn Read, id: AgentId) -> Result<Host, Fault> {
    tx.host(id)?.ok_or_else(|| Fault::Missing(Cause::NoAgent { agent: id }))
}

/// Answers the first word of a connection: what is stored of each lane.
pub(crate) fn hello(
    tx: &mut dyn Write,
    id: AgentId,
    hello: &Hello,
    now: Timestamp,
) -> Result<Welcome, Fault> {
    if hello.lanes.len() > MAX_LANES {
        return Err(Fault::Bad(Cause::TooManyLanes { limit: MAX_LANES as u64 }));
    }
    let mut host = host(tx, id)?;
    let facts = enrol::bounded(&hello.host);
    (host.agent.host, host.agent.os, host.agent.version) = (facts.host, facts.os, facts.version);
    host.agent.last_seen = now;
    set_presence(tx, &mut host, Presence::Online)?;
    let mut acks = Vec::with_capacity(hello.lanes.len());
    for lane in &hello.lanes {
        let seq = tx.acked(id, lane.epoch)?;
        if lane.seq <= seq {
            tracing::warn!(agent = %id, epoch = %lane.epoch, next = lane.seq, stored = seq, "agent went back in time");
        }
        acks.push(Mark { epoch: lane.epoch, seq });
    }
    Ok(Welcome { acks, now, pack: tx.pack_version()?, evidence_key: None })
}

/// Notes how an agent is.
pub(crate) fn heartbeat(
    tx: &mut dyn Write,
    id: AgentId,
    beat: Heartbeat,
    now: Timestamp,
) -> Result<HeartbeatReply, Fault> {
    let mut host = host(tx, id)?;
    host.agent.health = bounded(beat.health);
    host.agent.last_seen = now;
    // An agent that said it stops may still beat once: only a new start makes it present again.
    if host.agent.presence == Presence::Silent {
        set_presence(tx, &mut host, Presence::Online)?;
    }
    tx.put_host(&host)?;
    Ok(HeartbeatReply { pack: tx.pack_version()? })
}

/// Changes whether an agent can be heard.
pub(crate) fn set_presence(tx: &mut dyn Write, host: &mut Host, presence: Presence) -> Result<(), Fault> {
    if host.agent.presence != presence {
        tracing::info!(agent = %host.agent.id, ?presence, "presence changed");
        host.agent.presence = presence;
        tx.next_revision();
    }
    Ok(tx.put_host(host)?)
}

/// Tells whether two starts of a silence mean the same one.
pub(crate) fn is_same_silence(a: Timestamp, b: Timestamp) -> bool {
    a.duration_since(b).abs() <= ONE_SILENCE
}

fn bounded(mut health: Health) -> Health {
    health.coverage.truncate(MAX_COVERAGE);
    health.wires.truncate(MAX_COVERAGE);
    for wire in &mut health.wires {
        wire.interface = Untrusted::cut(wire.interface.raw(), MAX_INTERFACE);
    }
    let cut = |text: &str| khien_core::untrusted::escape(text.as_bytes()).chars().take(256).collect();
    // A reason bounds itself as it is read.
    for Coverage { backend, .. } in &mut health.coverage {
        *backend = cut(backend);
    }
    if let Some(ScanProgress { path, .. }) = &mut health.ordered {
        *path = Untrusted::cut(path.raw(), MAX_PATH);
    }
    health
}

/// Looks every second for agents that fell silent and for orders that nobody answered.
pub(crate) async fn watch(hub: Arc<Hub>) {
    let mut stopping = hub.stopping.clone();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop::begun(&mut stopping) => return,
        }
        if last.elapsed() > HELD_UP {
            tracing::warn!("the hub was held up for {} s", last.elapsed().as_secs());
            hub.fleet.grace();
        }
        last = Instant::now();
        if let Err(error) = look(&hub).await {
            tracing::error!(%error, "look for silent agents and expired orders");
        }
    }
}

async fn look(hub: &Arc<Hub>) -> Result<(), Fault> {
    let before = runs::answers_due(Timestamp::now());
    let (hosts, expired) = hub.store.read(move |tx| Ok((tx.hosts()?, tx.expired_orders(before)?))).await?;
    for host in hosts {
        if host.agent.presence == Presence::Online && !host.revoked && hub.fleet.is_silent(host.agent.id) {
            let from = hub.fleet.last_heard(host.agent.id).unwrap_or(host.agent.last_seen);
            fell_silent(hub, host.agent.id, from).await?;
        }
    }
    if !expired.is_empty() {
        let library = Arc::clone(&hub.library);
        hub.store
            .write(move |tx| runs::expire(tx, &runs::Desk { library: &library, now: Timestamp::now() }))
            .await?;
    }
    Ok(())
}

async fn fell_silent(hub: &Arc<Hub>, id: AgentId, from: Timestamp) -> Result<(), Fault> {
    let pack = hub.pack();
    let library = Arc::clone(&hub.library);
    let again = Arc::clone(hub);
    hub.store
        .write(move |tx| {
            let mut host = host(tx, id)?;
            if host.agent.presence != Presence::Online || !again.fleet.is_silent(id) {
                return Ok(());
            }
            let (quotas, now) = (&*again.quotas, Timestamp::now());
            let desk = Desk { pack: (*pack).as_ref(), library: &library, quotas, now };
            host.silent_from = Some(from);
            host.agent.last_seen = from;
            set_presence(tx, &mut host, Presence::Silent)?;
            let what = hub_text::NOTHING_HEARD.words_with(&[&time::shown(from)]);
            let finding = Finding::about_agent(&host, builtin::AGENT_SILENT, "", what, desk.now);
            triage::take(tx, &host, desk.pack, finding, desk.now)
        })
        .await
}
