//! What sees: the engine that follows flows, the judge that holds them against lists and detectors, and what is known on
//! this host of each: its process, its packets, its records.
//!
//! Runs on the thread that looks and does nothing that could wait: owners are asked for by the way, records and packets
//! are handed to who keeps them.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use khien_core::{
    RuleId, Sha256, Timestamp, Untrusted,
    detection::{Detection, Subject},
    event::{FlowFacts, Transport},
    policy::{Network, Policy},
    time::SignedDuration,
    traffic::{Ends, Ja4, Lists, What},
};
use khien_rules::indicator::network;
use khien_traffic::{
    decode::Frame,
    detect::Finding,
    flow::{Engine, Limits},
    judge::Judge,
};
use tokio::sync::watch;
use tracing::warn;

use super::{
    Links, NetConfig,
    batch::{Batch, Taken},
    fall,
    look::{self, Seen},
    loss::Cause,
    shunt::Marks,
    tally::Tally,
};
use crate::{
    packets::{self, Packets},
    records::Records,
    scan::recent::Recent,
    sockets::{Named, Owners},
    story::Stories,
};

/// How long a finding waits to hear whose flow it is. Where nobody is, that is known sooner; to name a process and those from which it
/// comes takes a second where dozens of others want the processors.
const OWNER_WAIT: Duration = Duration::from_secs(2);
/// How soon it is asked for again.
const OWNER_BEAT: Duration = Duration::from_millis(5);
/// Flows whose numbers are remembered by their ends.
const REMEMBERED: usize = 16_384;
/// Findings that wait to hear it; of more the oldest go without, and are counted.
const MAX_UNOWNED: usize = 1_024;
/// Batches of several interfaces are never so far apart: a clock that goes back further was set.
const SET_BACK: SignedDuration = SignedDuration::from_secs(60);
/// How long the last records wait for room when the agent ends: no frame waits for who looks any more.
const LAST_RECORDS: Duration = Duration::from_millis(500);
/// How often what the detectors learnt is kept.
const KEEP_EVERY: Duration = Duration::from_secs(3_600);

/// What the thread that looks works with.
#[derive(Debug)]
pub(super) struct Eyes {
    engine: Engine,
    judge: Judge<Listed>,
    lists: watch::Receiver<Arc<network::Network>>,
    policy: watch::Receiver<Option<Arc<Policy>>>,
    pack: Arc<AtomicU64>,
    marks: Arc<Marks>,
    /// The first interface stands for what is of none.
    first: Untrusted,
    owners: Option<Owners>,
    stories: Stories,
    flows: Recent<Pair, u64>,
    unowned: VecDeque<(Instant, Finding)>,
    records: Option<Records>,
    packets: Option<Packets>,
    /// By which number kept packets know each interface.
    kept_as: Vec<usize>,
    kept_at: Instant,
    ticked: Timestamp,
    /// What is counted of each interface.
    tallies: Vec<Arc<Tally>>,
    /// Flows that made room, and are not told yet.
    evicted: u64,
    /// Nothing comes after this: what was found waits for nobody.
    is_over: bool,
}

/// What tells a flow from others as long as it lasts.
type Pair = (bool, SocketAddr, SocketAddr);

/// The lists of a pack, which others have, too.
#[derive(Debug)]
struct Listed(Arc<network::Network>);

impl Eyes {
    /// Opens them.
    pub(super) fn new(config: &NetConfig, marks: Arc<Marks>, links: &Links) -> Self {
        let names: Vec<Untrusted> = config.interfaces.iter().map(|i| Untrusted::from(i.as_str())).collect();
        let first = names.first().cloned().unwrap_or_default();
        let mut engine = Engine::new(names, Limits { seed: seed(), ..Limits::default() });
        engine.leave_out(config.hub.clone());
        let (mut lists, mut policy) = (links.lists.clone(), links.policy.clone());
        let listed = Listed(Arc::clone(&lists.borrow_and_update()));
        let network = of(policy.borrow_and_update().as_deref());
        engine.await_answers(network.unanswered_seconds.get());
        let mut judge = Judge::new(listed, &network);
        if let Some(learnt) = links.learnt()
            && !judge.detectors().import(&learnt)
        {
            warn!("what the detectors learnt before cannot be read, they begin anew");
        }
        let kept_as = links.packets.as_ref().map(|packets| packets.name(&config.interfaces));
        let owners =
            Owners::new(links.stories.clone()).inspect_err(|error| warn!(%error, "flows have no owners"));
        Self {
            engine,
            judge,
            lists,
            policy,
            pack: Arc::clone(&links.pack),
            marks,
            first,
            owners: owners.ok(),
            stories: links.stories.clone(),
            flows: Recent::new(REMEMBERED),
            unowned: VecDeque::new(),
            records: links.records.clone(),
            packets: links.packets.clone(),
            kept_as: kept_as.unwrap_or_default(),
            kept_at: Instant::now(),
            ticked: Timestamp::UNIX_EPOCH,
            tallies: Vec::new(),
            evicted: 0,
            is_over: false,
        }
    }

    /// Has what is not certain counted, for each interface by its place in the configuration.
    pub(super) fn counting(self, tallies: Vec<Arc<Tally>>) -> Self {
        Self { tallies, ..self }
    }

    /// Has flows numbered by a counter that outlives these eyes.
    pub(super) fn numbering(mut self, counter: Arc<AtomicU64>) -> Self {
        self.engine.number_by(counter);
        self
    }

    /// Has others asked whose a flow is.
    #[cfg(test)]
    pub(super) fn asking(self, owners: Owners) -> Self {
        Self { owners: Some(owners), ..self }
    }

    /// Counts for an interface what was not certain since the last time this was asked.
    pub(super) fn count(&mut self, interface: usize) {
        let counts = self.engine.take_counts();
        self.evicted = self.evicted.saturating_add(counts.evicted).saturating_add(counts.hushed);
        if let Some(tally) = self.tallies.get(interface) {
            tally.doubted(&counts);
        }
    }

    /// Counts what detectors forgot to make room: their tables are those of all interfaces, so it counts for the first.
    fn count_forgotten(&mut self) {
        let forgotten = self.judge.detectors().take_forgotten();
        if let Some(tally) = self.tallies.first() {
            tally.forgot(forgotten);
        }
    }

    /// Looks at a frame.
    pub(super) fn take(&mut self, batch: &Batch, taken: &Taken<'_>) {
        let Batch { interface, link, .. } = *batch;
        let Taken { at, vlan, bytes, length } = *taken;
        if let Some(packets) = &self.packets {
            let interface = self.kept_as.get(interface).copied().unwrap_or(interface);
            packets.take(&packets::Seen { interface, link, at, vlan, bytes, length });
        }
        self.judge.tick(at);
        #[cfg(test)]
        assert!(!bytes.ends_with(super::analyse::POISON), "a packet that fells who looks");
        self.engine.take(&Frame { interface, link, at, vlan, bytes, length }, &mut self.judge);
        self.ask_for_owners();
    }

    /// Does what waited for this time.
    pub(super) fn tick(&mut self, now: Timestamp) {
        if self.ticked.duration_since(now) > SET_BACK {
            warn!(from = %self.ticked, to = %now, "the clock was set back, flows begin anew");
            self.end_flows(Duration::ZERO);
            self.engine.set_back(now, &mut self.judge);
            self.count_forgotten();
            self.judge.set_back(now);
        }
        self.ticked = now;
        self.engine.tick(now, &mut self.judge);
        self.judge.tick(now);
        self.renew();
        self.lists.borrow().set_time(now);
    }

    /// Begins anew after a failure in the middle of something: what is half done may not be gone on with. What was found and
    /// what detectors learnt stays, unless it failed again: it may be what fails.
    pub(super) fn begin_anew(&mut self, is_again: bool, into: &mut Seen) {
        self.engine.begin_anew();
        match is_again {
            false => self.judge.set_back(self.ticked),
            true => {
                self.let_go(into);
                let network = of(self.policy.borrow().as_deref());
                self.judge = Judge::new(Listed(Arc::clone(&self.lists.borrow())), &network);
            }
        }
    }

    /// Has the records say whether anybody looks.
    pub(super) fn sight(&self, sees: bool) {
        if let Some(records) = &self.records {
            records.sight(fall::SCOPE, sees);
        }
    }

    /// Lets all findings go as they are: nothing more is asked about them.
    fn let_go(&mut self, into: &mut Seen) {
        let waited = std::mem::take(&mut self.unowned).into_iter().map(|(_, finding)| finding);
        for Finding { rule, at, subject } in waited.chain(std::mem::take(&mut self.judge.findings)) {
            let found = Detection { rule, at, pack: self.pack.load(Ordering::Relaxed), subject };
            into.lost.push((look::interface(&found), Cause::Unowned, 1));
            into.findings.push(found);
        }
    }

    /// Takes over a new pack: what comes after it was loaded is held against it.
    pub(super) fn renew(&mut self) {
        let is_new = self.lists.has_changed().unwrap_or(false) || self.policy.has_changed().unwrap_or(false);
        if is_new {
            let listed = Listed(Arc::clone(&self.lists.borrow_and_update()));
            let network = of(self.policy.borrow_and_update().as_deref());
            self.engine.await_answers(network.unanswered_seconds.get());
            self.judge.set_pack(listed, &network);
        }
    }

    /// Returns what is found out of the owners of flows.
    pub(super) fn named(&self) -> Option<Named> {
        self.owners.as_ref().map(Owners::named)
    }

    /// Returns how long nothing has to be done, if that is known.
    pub(super) fn rest(&self, now: Timestamp) -> Option<Duration> {
        let wait = self.engine.next_wait().map(|at| at.duration_since(now).try_into().unwrap_or_default());
        let owner = (!self.unowned.is_empty()).then_some(OWNER_BEAT);
        wait.into_iter().chain(owner).min()
    }

    /// Ends every flow.
    pub(super) fn finish(&mut self) {
        self.end_flows(LAST_RECORDS);
        self.is_over = true;
        self.kept_at = self.kept_at.checked_sub(KEEP_EVERY).unwrap_or(self.kept_at);
    }

    /// Ends every flow, few at a time, so that what is told of them never lies here all at once. Waits for so long in all until
    /// there is room for it.
    fn end_flows(&mut self, most: Duration) {
        let until = Instant::now() + most;
        while !self.engine.finish_some(&mut self.judge) {
            self.drain_records();
            if let Some(records) = &self.records {
                records.wait_for_room(until.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Moves what was seen since the last time out.
    pub(super) fn drain(&mut self, into: &mut Seen) {
        self.ask_for_owners();
        self.tell_of_shed(into);
        self.drain_records();
        self.drain_findings(into);
        let now = Timestamp::now();
        for mut job in std::mem::take(&mut self.judge.jobs) {
            self.own(Some(job.origin.flow), &mut job.facts, now);
            into.jobs.push(job);
        }
        for mut content in std::mem::take(&mut self.judge.contents) {
            self.own(Some(content.origin.flow), &mut content.facts, now);
            into.contents.push(content);
        }
        // What the clocks brought is of no interface: it counts for the first.
        self.count(0);
        self.count_forgotten();
        let evicted = std::mem::take(&mut self.evicted);
        if evicted > 0 {
            into.lost.push((self.first.clone(), Cause::Evicted, evicted));
        }
        if self.kept_at.elapsed() >= KEEP_EVERY {
            self.kept_at = Instant::now();
            into.learnt = Some(self.judge.detectors().export());
        }
    }

    /// Asks who owns the flows that just began: a moment later the process may be gone.
    fn ask_for_owners(&mut self) {
        for (ends, at) in self.judge.opened.drain(..) {
            // Whoever speaks anew between these ends may say it in the open.
            self.flows.put(pair(ends.transport, ends.client, ends.server), ends.flow);
            if let Some(owners) = &mut self.owners {
                owners.owner(&ends, at);
            }
        }
    }

    /// Tells how often there was no time to find out whose a flow is.
    fn tell_of_shed(&mut self, into: &mut Seen) {
        let Some(owners) = &mut self.owners else { return };
        let shed = owners.take_shed();
        if shed > 0 {
            into.lost.push((self.first.clone(), Cause::Unowned, shed));
        }
    }

    fn drain_records(&mut self) {
        for record in &mut self.judge.records {
            match &mut record.what {
                What::Tls(tls) if record.ends.tunnel.is_none() && (tls.quic || tls.cipher.is_some()) => {
                    let Ends { transport, client, server, .. } = record.ends;
                    self.marks.mark(transport == Transport::Tcp, client, server);
                }
                What::Flow(flow) => {
                    let owner = self.owners.as_mut().and_then(|o| o.owner(&record.ends, record.at));
                    flow.process = owner.map(|process| Box::new((*process).clone()));
                }
                _ => {}
            }
        }
        if let Some(records) = &self.records {
            records.keep(&self.judge.records);
        }
        self.judge.records.clear();
    }

    /// Lets findings go that know whose flow they are about, or have waited for long enough.
    fn drain_findings(&mut self, into: &mut Seen) {
        let (until, now) = (Instant::now() + OWNER_WAIT, Timestamp::now());
        for mut finding in std::mem::take(&mut self.judge.findings) {
            // At once: while it is asked whose they are, the ring moves on.
            self.hold_packets(&mut finding.subject);
            self.unowned.push_back((until, finding));
        }
        for _ in 0..self.unowned.len() {
            let Some((until, mut finding)) = self.unowned.pop_front() else { break };
            let may_wait =
                !self.is_told(&mut finding.subject, now) && !self.is_over && Instant::now() < until;
            if may_wait && self.unowned.len() < MAX_UNOWNED {
                self.unowned.push_back((until, finding));
                continue;
            }
            // Those that came while it waited.
            self.hold_packets(&mut finding.subject);
            let Finding { rule, at, subject } = finding;
            let found = Detection { rule, at, pack: self.pack.load(Ordering::Relaxed), subject };
            if may_wait {
                into.lost.push((look::interface(&found), Cause::Unowned, 1));
            }
            into.findings.push(found);
        }
    }

    /// Puts the process into what was found; `false` if that is not known yet.
    fn is_told(&mut self, subject: &mut Subject, now: Timestamp) -> bool {
        let mut is_told = true;
        for facts in facts(subject) {
            is_told &= self.own(None, facts, now);
        }
        is_told
    }

    /// Puts the process that owns a flow into what is said of it; `false` if it is not known yet.
    fn own(&mut self, flow: Option<u64>, facts: &mut FlowFacts, now: Timestamp) -> bool {
        let Some(flow) = flow.or_else(|| self.number(facts)) else { return true };
        let Some(owners) = &mut self.owners else { return true };
        let ends = ends(flow, facts);
        let called = |owners: &mut Owners| owners.called(&ends, facts.name.as_ref()?);
        let Some(process) = owners.owner(&ends, now).or_else(|| called(owners)) else {
            return owners.is_nobodys(ends.flow);
        };
        if owners.opened(&ends) {
            self.stories.connected(&process, facts.server, facts.name.as_ref(), now);
        }
        facts.process = Some(Box::new((*process).clone()));
        true
    }

    /// Holds the packets of the flows in which something was found.
    fn hold_packets(&self, subject: &mut Subject) {
        let Some(packets) = &self.packets else { return };
        for facts in facts(subject) {
            if let Some(flow) = self.number(facts) {
                packets.hold(&ends(flow, facts));
            }
        }
    }

    /// Returns the number of a flow that is not long over.
    fn number(&self, facts: &FlowFacts) -> Option<u64> {
        self.flows.get(&pair(facts.transport, facts.client, facts.server)).copied()
    }
}

/// Says by what is known of a flow which one it is.
pub(super) fn ends(flow: u64, facts: &FlowFacts) -> Ends {
    Ends {
        flow,
        interface: facts.interface.clone(),
        vlan: facts.vlan.clone(),
        tunnel: facts.tunnel.as_deref().cloned(),
        transport: facts.transport,
        client: facts.client,
        server: facts.server,
        saw_syn: false,
    }
}

fn facts(subject: &mut Subject) -> &mut [FlowFacts] {
    match subject {
        Subject::Flow(found) => std::slice::from_mut(&mut found.flow),
        Subject::Traffic(found) => &mut found.flows,
        _ => &mut [],
    }
}

impl Lists for Listed {
    fn address(&self, address: IpAddr) -> Option<&RuleId> {
        self.0.address(address)
    }

    fn name(&self, name: &[u8]) -> Option<&RuleId> {
        self.0.name(name)
    }

    fn url(&self, host: &[u8], target: &[u8]) -> Option<&RuleId> {
        self.0.url(host, target)
    }

    fn ja4(&self, ja4: &Ja4) -> Option<&RuleId> {
        self.0.ja4(ja4)
    }

    fn certificate(&self, digest: &Sha256) -> Option<&RuleId> {
        self.0.certificate(digest)
    }

    fn file(&self, digest: &Sha256) -> Option<&RuleId> {
        self.0.file(digest)
    }

    fn may_match(&self, bytes: &[u8]) -> bool {
        self.0.may_match(bytes)
    }
}

fn of(policy: Option<&Policy>) -> Network {
    policy.map_or_else(Network::default, |policy| policy.network.clone())
}

fn pair(transport: Transport, client: SocketAddr, server: SocketAddr) -> Pair {
    (transport == Transport::Tcp, client, server)
}

/// Draws what no peer can guess. Without chance the tables work all the same, only not against somebody who fills them.
fn seed() -> [u64; 2] {
    let mut bytes = [[0u8; 8]; 2];
    for part in &mut bytes {
        if let Err(error) = getrandom::fill(part) {
            warn!(%error, "no chance for the tables of flows");
        }
    }
    bytes.map(u64::from_le_bytes)
}
