//! Reads packets: one kernel ring and one thread per interface, one task that puts flows together and has them scanned.
//!
//! ```text
//! ring (kernel) ─► thread: copy ─► bounded queue ─► task: decode ─► flow ─► scanner ─► Report::Detection
//!                     │ full: shed, counted                          │ busy: shed, counted
//!                     └──────────────► coverage, Report::Blind ◄──────┘
//! ```
//! Never sends a packet, never switches an interface to promiscuous mode, and never keeps traffic on disk.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use khien_core::{
    Untrusted,
    asset::{Coverage, Sensor as Sense, Sight},
    protocol::Report,
    reason::Reason,
};
use khien_rules::{indicator::Domains, scan::Scanned};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tracing::warn;

use khien_scan::Pool;

use crate::health::Meter;
use analyse::Analyst;
use sensor::{Sensor, Tally};

mod analyse;
mod interface;
mod loss;
mod queue;
mod ring;
mod sensor;

pub(crate) use interface::default_interfaces;

/// How long [`start`] waits for the sensors to state what they see.
const FIRST_STATEMENT: Duration = Duration::from_secs(2);
/// More interfaces than this are not watched: each takes a thread and a ring.
const MAX_INTERFACES: usize = 32;

/// What to look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetConfig {
    /// The interfaces, by name.
    pub(crate) interfaces: Vec<String>,
    /// The hub's addresses: TCP to and from them is the agent's own and is not looked at, only counted.
    pub(crate) hub: Vec<SocketAddr>,
}

/// What capture shares with the rest of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    /// The listed names of the loaded pack.
    pub(crate) domains: watch::Receiver<Arc<Domains>>,
    /// The version of the loaded pack.
    pub(crate) pack: Arc<AtomicU64>,
    /// Where findings go.
    pub(crate) reports: mpsc::Sender<Report>,
    /// Where counters and coverage go.
    pub(crate) meter: Arc<Meter>,
    /// Turns true when the agent stops.
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Scans a part of a stream.
pub(crate) trait StreamScanner: Send + Sync + 'static {
    /// Scans bytes with the rules that run on streams.
    fn scan(&self, bytes: Vec<u8>) -> impl Future<Output = Scanned> + Send;
}

impl StreamScanner for Pool {
    async fn scan(&self, bytes: Vec<u8>) -> Scanned {
        self.scan_stream(bytes).await
    }
}

/// Starts capture and returns, once every sensor has stated what it sees, the task that ends after shutdown. Never
/// fails: an interface that cannot be read is stated as blind, with the reason, and tried again if that can help.
pub(crate) async fn start<S: StreamScanner>(
    mut config: NetConfig,
    scanner: Arc<S>,
    links: Links,
) -> JoinHandle<()> {
    config.interfaces.sort_unstable();
    config.interfaces.dedup();
    for interface in config.interfaces.drain(MAX_INTERFACES.min(config.interfaces.len())..) {
        let reason = Reason::TooManyInterfaces { limit: MAX_INTERFACES as u64 };
        links.meter.cover(coverage(&interface, Sight::Blind, Some(reason)));
    }
    let (inlet, outlet) = queue::queue();
    let mut tallies = Vec::new();
    let mut statements = Vec::new();
    for (place, interface) in config.interfaces.iter().cloned().enumerate() {
        let tally = Arc::new(Tally::default());
        tallies.push(tally.clone());
        let Links { reports, meter, shutdown, .. } = links.clone();
        statements
            .push(Sensor { place, interface, tally, inlet: inlet.clone(), reports, meter, shutdown }.start());
    }
    drop(inlet);
    let task = tokio::spawn(Analyst::new(&config, tallies, scanner, links).run(outlet));
    let all = futures_util::future::join_all(statements);
    if tokio::time::timeout(FIRST_STATEMENT, all).await.is_err() {
        warn!("an interface takes long to open");
    }
    task
}

/// Returns a statement about an interface.
fn coverage(interface: &str, sight: Sight, reason: Option<Reason>) -> Coverage {
    Coverage {
        sensor: Sense::Network,
        scope: Untrusted::from(interface),
        backend: if sight == Sight::Blind { "none" } else { "af_packet" }.to_owned(),
        sight,
        reason,
    }
}
