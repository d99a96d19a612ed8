//! What finds things on the host itself: files, memory, integrity, behaviour.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use khien_core::Timestamp;
use khien_scan::Pool;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use super::{Agent, Sensing};
use crate::{
    activity::{Activities, Heard, Observed},
    args,
    behaviour::{self, canary::Canaries},
    config::{self, Home},
    integrity,
    memory::{self, ordered::Examiner},
    scan::{self, clean::Clean, files::Incoming, gate},
    watch::{
        self as files,
        ordered::{Scanning, Wanted},
    },
};

/// From one walk over all watched files to the next.
const WALK_EVERY: Duration = Duration::from_secs(3_600);
/// How many file events may wait for the scanner.
const FILE_EVENTS: usize = 8_192;

impl Agent {
    pub(super) fn start_files(
        &mut self,
        (config, activities): (files::WatchConfig, Activities),
        (ordered, memory_too): (mpsc::Receiver<Wanted>, bool),
        (pool, clean): (&Arc<Pool>, Arc<Clean>),
        sensing: &Sensing,
    ) -> anyhow::Result<watch::Receiver<bool>> {
        let (events, changed) = mpsc::channel(FILE_EVENTS);
        // A walk hands over one file and waits for it.
        let (calm, waiting) = mpsc::channel(1);
        let Sensing { home, reports, meter, shutdown, .. } = sensing;
        let incoming = Incoming { events: changed, calm: waiting };
        let (gate, gated) = watch::channel(true);
        let keeper = gate::Keeper::new(Arc::clone(pool), Arc::clone(meter), home, self.packs.policy());
        let told = shutdown.clone();
        self.sensors.spawn(async move {
            keeper.run(gate, told).await;
            ("gate", Ok(()))
        });
        let examiner = Examiner { pool: Arc::clone(pool), reports: reports.clone(), gate: gated.clone() };
        let scanner = Scanning {
            calm: calm.clone(),
            memory: memory_too.then_some(examiner),
            clean: Arc::clone(&clean),
            meter: Arc::clone(meter),
            pack: self.packs.version(),
            largest: pool.largest(),
            home: home.canonicalize().unwrap_or_else(|_| home.clone()),
            excluded: files::excluded(&config.exclude),
            policy: self.packs.policy(),
            runtime: Handle::current(),
            shutdown: shutdown.clone(),
        };
        let scanning =
            (reports.clone(), (Arc::clone(meter), Arc::clone(&clean)), (shutdown.clone(), gated.clone()));
        let pool = Arc::clone(pool);
        // First who takes the events, then who makes them: on a busy tree they come while the watch is still set up.
        self.sensors.spawn(async move {
            let (reports, memory, shutdown) = scanning;
            scan::files::run(incoming, pool, reports, memory, shutdown).await;
            ("scan", Ok(()))
        });
        let links = files::Links {
            events,
            calm,
            activities,
            reports: reports.clone(),
            meter: Arc::clone(meter),
            clean,
            pack: self.packs.version(),
            policy: self.packs.policy(),
            shutdown: shutdown.clone(),
        };
        let threads = [
            ("watch", files::start(config, links)?),
            ("ordered", scanner.start(ordered).context("cannot start the thread for ordered scans")?),
        ];
        for (name, thread) in threads {
            self.sensors.spawn(async move {
                let ended = tokio::task::spawn_blocking(move || thread.join()).await;
                (
                    name,
                    ended.map_err(Into::into).and_then(|joined| joined.map_err(|_| anyhow!("it panicked"))),
                )
            });
        }
        Ok(gated)
    }

    pub(super) fn start_memory(&mut self, pool: &Arc<Pool>, gate: watch::Receiver<bool>, sensing: &Sensing) {
        let links = memory::Links {
            pool: Arc::clone(pool),
            reports: sensing.reports.clone(),
            meter: Arc::clone(&sensing.meter),
            gate,
            shutdown: sensing.shutdown.clone(),
        };
        self.sensors.spawn(async move {
            memory::run(links).await;
            ("memory", Ok(()))
        });
    }

    pub(super) fn start_integrity(
        &mut self,
        options: &args::Run,
        ((heard, observed), since): ((Heard, Arc<Observed>), Option<Timestamp>),
        sensing: &Sensing,
    ) {
        let links = integrity::Links {
            file: sensing.home.join("integrity.db"),
            every: Duration::from_secs(options.integrity_every),
            ran_before: since.is_some(),
            policy: self.packs.policy(),
            heard,
            observed,
            spool: self.spool.clone(),
            meter: Arc::clone(&sensing.meter),
            pack: self.packs.version(),
            shutdown: sensing.shutdown.clone(),
        };
        self.sensors.spawn(async move { ("integrity", integrity::run(links).await) });
    }

    pub(super) fn start_behaviour(
        &mut self,
        heard: Heard,
        dirs: Vec<PathBuf>,
        canaries: Canaries,
        sensing: &Sensing,
    ) {
        let links = behaviour::Links {
            reports: sensing.reports.clone(),
            meter: Arc::clone(&sensing.meter),
            pack: self.packs.version(),
            shutdown: sensing.shutdown.clone(),
        };
        self.sensors.spawn(async move {
            behaviour::run(heard, dirs, canaries, links).await;
            ("behaviour", Ok(()))
        });
    }
}

/// Returns which folders are watched.
pub(super) fn watched(
    options: &args::Run,
    home: &Home,
    since: Option<Timestamp>,
) -> anyhow::Result<files::WatchConfig> {
    let dirs = match options.watch.is_empty() {
        true => config::settled(&config::default_folders())?,
        false => config::settled(&options.watch)?,
    };
    let mut exclude = config::settled(&options.exclude)?;
    exclude.push(home.path().to_owned());
    Ok(files::WatchConfig { dirs, exclude, since, backend: files::Backend::default(), every: WALK_EVERY })
}
