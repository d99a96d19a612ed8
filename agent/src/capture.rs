//! Reads packets: kernel rings and threads that empty them, a thread that looks, a task that has scanned and reports.
//!
//! ```text
//! ring (kernel: filter, counters) ─► thread: copy a block ─► bounded ─► thread "traffic": flows, detectors, lists
//!      │ full: dropped, counted        │ headers only, counted             │ no room: shed, counted
//!      ▼                               ▼                                   ▼
//!   coverage, health, Report::Blind ◄──┴───────────────────────────────── task: scans ─► Report::Detection
//! ```
//! Never sends a packet, switches an interface to promiscuous mode only if it was chosen, and only while it looks, and never
//! keeps traffic on disk.

use std::{
    collections::HashSet,
    fs::File,
    future::Future,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use khien_core::{
    Sha256, Untrusted,
    asset::{Coverage, Sensor as Sense, Sight},
    event::ScanOutcome,
    policy::Policy,
    protocol::Report,
    reason::Reason,
};
use khien_rules::{indicator::network, scan::Scanned};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tracing::warn;

use khien_scan::Pool;

use crate::{config::Home, health::Meter, packets::Packets, records::Records, story::Stories};
use analyse::Analyst;
use eyes::Eyes;
use filter::Cut;
use lasting::Lasting;
use look::{Looker, Seen, Waiting};
use sensor::{Line, Sensor};
use shunt::Marks;

mod analyse;
mod batch;
mod eyes;
mod fall;
mod filter;
mod interface;
mod lasting;
mod look;
mod loss;
mod plain;
mod privilege;
mod ring;
mod roam;
mod sensor;
mod shunt;
mod socket;
mod source;
mod tally;
mod tap;

pub(crate) use filter::Trusted;
pub(crate) use interface::interfaces;
pub(crate) use roam::Roaming;
pub(crate) use source::Way;

/// How long [`start`] waits for the sensors to state what they see.
const FIRST_STATEMENT: Duration = Duration::from_secs(2);
/// The file in the agent's folder that holds what the detectors learnt.
const LEARNT: &str = "network.learnt";
/// The most that they learn, in bytes.
const MAX_LEARNT: u64 = 64 << 20;
/// More interfaces than this are not watched: each takes a thread and a ring.
const MAX_INTERFACES: usize = 32;
/// More threads are not started in all: each has a ring of 8 MiB in the kernel.
const MAX_THREADS: usize = 64;

/// What to look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetConfig {
    /// The interfaces, by name.
    pub(crate) interfaces: Vec<String>,
    /// Those that are to take packets for others, too.
    pub(crate) promiscuous: Vec<String>,
    /// The hub's addresses: TCP to and from them is the agent's own and is not looked at, only counted.
    pub(crate) hub: Vec<SocketAddr>,
    /// Networks whose traffic is not looked at, only counted.
    pub(crate) trusted: Vec<Trusted>,
    /// How many threads empty the rings of each interface; none is one.
    pub(crate) threads: usize,
    /// How packets are read.
    pub(crate) way: Way,
}

/// What capture shares with the rest of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    /// The lists of the loaded pack.
    pub(crate) lists: watch::Receiver<Arc<network::Network>>,
    /// The policy of the loaded pack.
    pub(crate) policy: watch::Receiver<Option<Arc<Policy>>>,
    /// The version of the loaded pack.
    pub(crate) pack: Arc<AtomicU64>,
    /// Where findings go.
    pub(crate) reports: mpsc::Sender<Report>,
    /// Where counters and coverage go.
    pub(crate) meter: Arc<Meter>,
    /// What keeps records of the network, if that is wanted.
    pub(crate) records: Option<Records>,
    /// What holds the packets of the last moments, if that is wanted.
    pub(crate) packets: Option<Packets>,
    /// Where it is noted who connects to whom.
    pub(crate) stories: Stories,
    /// Where what the detectors learn is kept from start to start.
    pub(crate) home: Option<Home>,
    /// Turns true when the agent stops.
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Scans what traffic carried.
pub(crate) trait StreamScanner: Send + Sync + 'static {
    /// Scans bytes with the rules that run on streams.
    fn scan(&self, bytes: Vec<u8>) -> impl Future<Output = Scanned> + Send;
    /// Scans a file that was carried, of this name, with all rules and lists.
    fn scan_file(
        &self,
        bytes: Vec<u8>,
        name: Untrusted,
    ) -> impl Future<Output = (Option<Sha256>, Scanned)> + Send;
}

impl StreamScanner for Pool {
    async fn scan(&self, bytes: Vec<u8>) -> Scanned {
        self.scan_stream(bytes).await
    }

    async fn scan_file(&self, bytes: Vec<u8>, name: Untrusted) -> (Option<Sha256>, Scanned) {
        match memory_file(&bytes) {
            Ok(file) => {
                let scan = Pool::scan_file(self, file, &name).await;
                (scan.sha256, scan.scanned)
            }
            Err(_) => (None, Scanned { outcome: ScanOutcome::Unreadable, hits: Vec::new() }),
        }
    }
}

/// Starts capture and returns, once every sensor has stated what it sees, the task that ends after shutdown. Never
/// fails for an interface: one that cannot be read is stated as blind, with the reason, and tried again if that can help.
/// Without a thread that looks there is no task, and all are blind.
pub(crate) async fn start<S: StreamScanner>(
    config: NetConfig,
    scanner: Arc<S>,
    links: Links,
) -> Option<JoinHandle<()>> {
    start_anew(config, scanner, links, &mut Lasting::default()).await
}

/// The same, where capture may have been before: what was counted goes on.
async fn start_anew<S: StreamScanner>(
    mut config: NetConfig,
    scanner: Arc<S>,
    links: Links,
    lasting: &mut Lasting,
) -> Option<JoinHandle<()>> {
    let mut known = HashSet::new();
    let wanted = config.promiscuous.iter().chain(&config.interfaces).filter(|name| known.insert(*name));
    config.interfaces = wanted.cloned().collect();
    for interface in config.interfaces.drain(MAX_INTERFACES.min(config.interfaces.len())..) {
        let reason = Reason::TooManyInterfaces { limit: MAX_INTERFACES as u64 };
        links.cover(coverage(&interface, Sight::Blind, Some(reason)));
    }
    if config.hub.len() + config.trusted.len() > filter::MAX_TESTS {
        warn!(
            most = filter::MAX_TESTS,
            "more is trusted than the kernel's filter takes, the rest is looked into"
        );
    }
    let threads = threads(config.threads, config.interfaces.len());
    config.threads = threads;
    let lines = lines(&config, lasting);
    let (mut inlets, batches) = batch::lanes(lines.len() * threads);
    let (out, seen) = mpsc::channel(look::QUEUE);
    let (waiting, marks) = (Arc::new(Waiting::default()), Arc::new(Marks::default()));
    let tallies = lines.iter().map(|line| Arc::clone(&line.tally)).collect();
    let eyes = Eyes::new(&config, Arc::clone(&marks), &links);
    let eyes = eyes.counting(tallies).numbering(lasting.flows());
    let named = eyes.named();
    let meter = Arc::clone(&links.meter);
    let looker = Looker { eyes, waiting: Arc::clone(&waiting), out, held: Seen::default(), meter };
    let looker = looker.start(batches).inspect_err(|error| blind(&lines, error, &links)).ok()?;
    let scopes = lines.iter().map(|line| (line.interface.clone(), Arc::clone(&line.tally)));
    let analyst = Analyst::new(scopes, (waiting, named), scanner, links.clone());
    let task = tokio::spawn(analyst.run(seen, looker));
    let sensors = lines.iter().enumerate().flat_map(|(place, line)| {
        let links = &links;
        (0..threads).map(move |lane| (place, lane, line.clone(), links.clone()))
    });
    let statements = sensors.zip(inlets.drain(..)).map(|((place, lane, line, links), inlet)| {
        Sensor { place, lane, line, inlet, marks: Arc::clone(&marks), links }.start()
    });
    let all = futures_util::future::join_all(statements.collect::<Vec<_>>());
    if tokio::time::timeout(FIRST_STATEMENT, all).await.is_err() {
        warn!("an interface takes long to open");
    }
    Some(task)
}

impl Links {
    /// States what is seen of the network, to the team and in the records.
    fn cover(&self, coverage: Coverage) {
        if let Some(records) = &self.records {
            records.sight(&coverage.scope.to_string(), coverage.sight != Sight::Blind);
        }
        self.meter.cover(coverage);
    }

    /// Forgets an interface that is not watched any more: from now on nothing is missing that would be seen of it.
    fn forget(&self, interface: &str) {
        if let Some(records) = &self.records {
            records.sight(interface, true);
        }
        self.meter.forget_wire(&Untrusted::from(interface));
    }

    /// Returns what the detectors learnt before this start.
    fn learnt(&self) -> Option<Vec<u8>> {
        let read = self.home.as_ref()?.read(LEARNT, MAX_LEARNT);
        read.inspect_err(|error| warn!(%error, "what the detectors learnt cannot be read")).ok()?
    }

    /// Keeps what they learnt for the next start.
    fn keep(&self, learnt: &[u8]) {
        let Some(home) = &self.home else { return };
        if let Err(error) = home.write(LEARNT, learnt) {
            warn!(%error, "what the detectors learnt cannot be kept");
        }
    }
}

/// Returns how many threads each interface has: as many as are wanted, if all of them are not too many.
fn threads(wanted: usize, interfaces: usize) -> usize {
    let most = (MAX_THREADS / interfaces.max(1)).max(1);
    if wanted > most {
        warn!(wanted, threads = most, "more threads are not started for each interface");
    }
    wanted.clamp(1, most)
}

/// Returns what the threads of each interface share.
fn lines(config: &NetConfig, lasting: &mut Lasting) -> Vec<Line> {
    let cut = Arc::new(Cut { own: config.hub.clone(), trusted: config.trusted.clone() });
    let line = |interface: &String| Line {
        interface: interface.clone(),
        is_promiscuous: config.promiscuous.contains(interface),
        cut: Arc::clone(&cut),
        group: (config.threads > 1).then(Arc::default),
        way: config.way,
        less: Arc::default(),
        tally: lasting.tally(interface),
        is_given_up: lasting.begin(interface),
    };
    config.interfaces.iter().map(line).collect()
}

/// States that nothing is seen: there is no thread that could look.
fn blind(lines: &[Line], error: &io::Error, links: &Links) {
    warn!(%error, "cannot start the thread that looks at packets");
    for line in lines {
        let reason = Reason::NoThread { error: error.into() };
        links.cover(coverage(&line.interface, Sight::Blind, Some(reason)));
    }
}

/// Puts bytes where a worker can read them: in memory, never on disk.
fn memory_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("khien", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// Returns a statement about an interface.
fn coverage(interface: &str, sight: Sight, reason: Option<Reason>) -> Coverage {
    Coverage {
        sensor: Sense::Network,
        scope: Untrusted::from(interface),
        backend: match sight {
            Sight::Full => "af_packet",
            Sight::Reduced => "packet_socket",
            Sight::Blind => "none",
        }
        .to_owned(),
        sight,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_as_many_as_are_wanted_but_not_more_than_all_may_be() {
        assert_eq!(
            [(0, 1), (4, 2), (8, 8), (8, 32), (1, 32), (8, 0)].map(|(w, i)| threads(w, i)),
            [1, 4, 8, 2, 1, 8]
        );
    }
}
