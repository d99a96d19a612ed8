//! Capture where nobody chose interfaces: loopback and those of the default routes, whichever these become. A host may get its
//! route after the agent starts, or another one when a cable, a card or a tunnel fails.
//!
//! A new interface has capture begin anew with it: flows that go on are picked up again, and for how long nothing was seen is told.
//! One that loses its route stays watched.

use std::{panic, sync::Arc, time::Duration};

use khien_core::{
    Timestamp, Untrusted,
    asset::{Sensor, Sight},
    protocol::Report,
    reason::Reason,
};
use tokio::{sync::watch, task::JoinHandle};
use tracing::info;

use super::{Links, NetConfig, StreamScanner, analyse::stopped, coverage, interface::LOOPBACK, start};

/// How often the routes are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is blind while no interface is known.
const SCOPE: &str = "default route";

/// Follows the interfaces that `look` names, with everything else as it is configured.
pub(crate) struct Roaming<S, L> {
    /// Everything but the interfaces.
    pub(crate) config: NetConfig,
    /// Scans what traffic carried.
    pub(crate) scanner: Arc<S>,
    /// What capture shares with the rest of the agent.
    pub(crate) links: Links,
    /// Returns loopback and the interfaces of the default routes.
    pub(crate) look: L,
    /// How often that is asked.
    pub(super) every: Duration,
}

/// Capture of some interfaces.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl<S: StreamScanner, L: Fn() -> Vec<String> + Send + Sync + 'static> Roaming<S, L> {
    /// Begins with no interface yet.
    pub(crate) fn new(config: NetConfig, scanner: Arc<S>, links: Links, look: L) -> Self {
        Self { config, scanner, links, look, every: LOOK_EVERY }
    }

    /// Starts capture as [`start`] does, and returns the task that ends after shutdown.
    pub(crate) async fn start(mut self) -> Option<JoinHandle<()>> {
        self.look_around();
        let running = self.begin().await?;
        Some(tokio::spawn(self.run(running)))
    }

    async fn run(mut self, mut running: Running) {
        let mut shutdown = self.links.shutdown.clone();
        loop {
            tokio::select! {
                () = stopped(&mut shutdown) => return running.stop().await,
                ended = &mut running.task => return passed_on(ended),
                () = tokio::time::sleep(self.every) => {}
            }
            let before = self.config.interfaces.clone();
            if !self.look_around() {
                continue;
            }
            let from = Timestamp::now();
            self.sight(&before, false);
            info!(interfaces = ?self.config.interfaces, "capture begins anew, there is another default route");
            running.stop().await;
            let Some(begun) = self.begin().await else { return };
            running = begun;
            self.was_away(before, from).await;
        }
    }

    /// Takes in which interfaces there are now; `false` if none is new. States whether any but loopback is known.
    fn look_around(&mut self) -> bool {
        let found = (self.look)();
        let watched = &mut self.config.interfaces;
        let before = watched.len();
        for name in found {
            if !watched.contains(&name) {
                watched.push(name);
            }
        }
        let is_blind = watched.iter().all(|name| name == LOOPBACK);
        let is_new = watched.len() > before;
        match is_blind {
            true => self.links.cover(coverage(SCOPE, Sight::Blind, Some(Reason::NoDefaultRoute))),
            false => {
                self.links.meter.uncover(Sensor::Network, &Untrusted::from(SCOPE));
                self.sight(&[SCOPE.to_owned()], true);
            }
        }
        is_new
    }

    /// Has the records say whether interfaces are looked at; where capture begins again its sensors say so.
    fn sight(&self, interfaces: &[String], sees: bool) {
        if let Some(records) = &self.links.records {
            interfaces.iter().for_each(|interface| records.sight(interface, sees));
        }
    }

    /// Tells for how long interfaces were not looked at.
    async fn was_away(&self, interfaces: Vec<String>, from: Timestamp) {
        let until = Timestamp::now();
        for interface in interfaces {
            let (scope, cause) = (Untrusted::from(interface.as_str()), Reason::InterfaceAway);
            // Nobody hears it only if the agent ends.
            let _ = self.links.reports.send(Report::Blind { scope, cause, from, until, lost: None }).await;
        }
    }

    async fn begin(&self) -> Option<Running> {
        let (stop, shutdown) = watch::channel(false);
        let links = Links { shutdown, ..self.links.clone() };
        let task = start(self.config.clone(), Arc::clone(&self.scanner), links).await?;
        Some(Running { stop, task })
    }
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        passed_on(self.task.await);
    }
}

/// Goes down with capture if that panicked: half a sensor must not look like a whole one.
fn passed_on(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        panic::resume_unwind(error.into_panic());
    }
}
