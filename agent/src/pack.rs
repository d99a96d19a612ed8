//! The rule pack: only what a trusted operator signed, never an older one, and the last good one is kept.
//!
//! Its compiled form is machine code. It is fetched and kept only if the signed pack names it for this engine and
//! processor; whatever is wrong with it, the rules are compiled from their source.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use khien_core::{
    Sha256, Timestamp,
    bundle::{Form, MAX_PACK, Release},
    policy::Policy,
    protocol::Report,
    reason::{Reason, quoted},
    signature::{OperatorKey, Signed},
};
use khien_rules::{compiled, indicator::network::Network};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use khien_scan::{Compiled, Pool, trim};

use crate::{
    config::{self, Home},
    health::Meter,
    spool::Spool,
    uplink::Hub,
};

mod sieve;

const FILE: &str = "pack.json";
/// The compiled form of the pack, as it came.
const COMPILED: &str = "pack.compiled";

/// The loaded pack and the way to a newer one.
#[derive(Debug)]
pub(crate) struct Packs {
    home: Home,
    operators: Vec<OperatorKey>,
    pool: Arc<Pool>,
    spool: Spool,
    meter: Arc<Meter>,
    version: Arc<AtomicU64>,
    lists: watch::Sender<Arc<Network>>,
    policy: watch::Sender<Option<Arc<Policy>>>,
    loaded: watch::Sender<bool>,
    /// One installation at a time; holds which pack came last and whether it was good: it may come twice.
    last: Mutex<Option<(Sha256, bool)>>,
    fetching: Arc<Mutex<()>>,
}

impl Packs {
    /// Begins without a pack.
    pub(crate) fn new(
        home: Home,
        operators: Vec<OperatorKey>,
        pool: Arc<Pool>,
        spool: Spool,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            home,
            operators,
            pool,
            spool,
            meter,
            version: Arc::default(),
            lists: watch::Sender::default(),
            policy: watch::channel(None).0,
            loaded: watch::channel(false).0,
            last: Mutex::default(),
            fetching: Arc::default(),
        }
    }

    /// Returns the version of the loaded pack, 0 for none, wherever it is read.
    pub(crate) fn version(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.version)
    }

    /// Returns the lists about traffic of the loaded pack as they change. Whoever asks them tells them the time, by which
    /// they expire.
    pub(crate) fn lists(&self) -> watch::Receiver<Arc<Network>> {
        self.lists.subscribe()
    }

    /// Returns the policy of the loaded pack as it changes; none before a pack is loaded.
    pub(crate) fn policy(&self) -> watch::Receiver<Option<Arc<Policy>>> {
        self.policy.subscribe()
    }

    /// Waits until a pack is loaded.
    pub(crate) async fn ready(&self) {
        // The sender is `self`, so the channel is open.
        let _ = self.loaded.subscribe().wait_for(|loaded| *loaded).await;
    }

    /// Tells whether a version that the hub offers is worth fetching.
    pub(crate) fn wants(&self, offered: u64) -> bool {
        offered > self.version.load(Ordering::Relaxed)
    }

    /// Takes the turn to fetch a pack, unless somebody has it: one is in memory at a time.
    pub(crate) fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.fetching).try_lock_owned().ok()
    }

    /// Loads the last good pack from the disk, where its signature is checked again.
    pub(crate) async fn load_last(&self) {
        match self.home.read(FILE, MAX_PACK as u64) {
            Ok(Some(bytes)) => self.install(bytes, None).await,
            Ok(None) => tracing::info!("no pack yet"),
            Err(error) => tracing::error!(%error, "the last good pack cannot be read"),
        }
    }

    /// Installs a pack that the hub sent, or reports why not.
    pub(crate) async fn take(&self, bytes: Vec<u8>, hub: &Hub) {
        self.install(bytes, Some(hub)).await;
    }

    /// A pack that is loaded is not loaded again. One that was refused is tried again, since the reason may have
    /// passed, but is not reported again. What it took to read one is given back: it is many times what stays.
    async fn install(&self, bytes: Vec<u8>, from: Option<&Hub>) {
        let mut last = self.last.lock().await;
        let digest = Sha256::of(&bytes);
        if *last == Some((digest, true)) {
            return;
        }
        let loaded = self.load(&bytes, from).await;
        match &loaded {
            Ok(version) => {
                tracing::info!(version, "pack is loaded");
                if from.is_some()
                    && let Err(error) = self.home.write(FILE, &bytes)
                {
                    tracing::error!(%error, "the pack is loaded but could not be stored");
                }
            }
            Err(reason) if *last != Some((digest, false)) => self.report(reason.clone()).await,
            Err(_) => (),
        }
        *last = Some((digest, loaded.is_ok()));
        drop(bytes);
        trim::give_back();
    }

    async fn load(&self, bytes: &[u8], from: Option<&Hub>) -> Result<u64, Reason> {
        let signed: Signed = serde_json::from_slice(bytes)
            .map_err(|e| Reason::SignedUnreadable { error: quoted(&e.to_string()) })?;
        let release = Release::open(&signed, &self.operators).map_err(|e| Reason::from(&e))?;
        drop(signed);
        let (version, loaded) = (release.pack.version, self.version.load(Ordering::Relaxed));
        if version <= loaded {
            return Err(Reason::PackNotNewer { offered: version, loaded });
        }
        let compiled = self.compiled(&release, from).await;
        let pack = Arc::new(release.pack);
        let ready = self.pool.load_with(Arc::clone(&pack), compiled).await;
        ready.map_err(|why| Reason::PackNotLoaded { version, because: Box::new(why) })?;
        // No sieve yet: that of the pack before holds nothing back any more, and everything passes.
        let lists = Network::new(&pack, self.pool.lists(), Timestamp::now());
        for (rule, error) in lists.broken() {
            tracing::error!(%rule, %error, "a list of the pack cannot be read");
        }
        if lists.refused() > 0 {
            tracing::warn!(entries = lists.refused(), "entries of the pack's lists are too wide or no names");
        }
        let lists = Arc::new(lists);
        self.lists.send_replace(Arc::clone(&lists));
        let policy = pack.policy.clone().unwrap_or_else(khien_rules::base_policy);
        self.policy.send_replace(Some(Arc::new(policy)));
        // Last: who is told the version may count on all of it.
        self.version.store(version, Ordering::Release);
        self.meter.loaded(version);
        self.loaded.send_replace(true);
        sieve::give(pack, &lists, self.pool.scanning()).await;
        Ok(version)
    }

    /// Returns the pack's compiled form for this machine: what lies on the disk from before, or what the hub has.
    async fn compiled(&self, release: &Release, from: Option<&Hub>) -> Option<Compiled> {
        let form = match release.form(&compiled::machine()) {
            Ok(form) => form.clone(),
            Err(why) => {
                tracing::info!(%why, "rules are compiled from their source");
                return None;
            }
        };
        if let Some(hub) = from
            && let Err(why) = self.fetched(&form, hub).await
        {
            tracing::warn!(
                why,
                "compiled form of the rules is not to be had, they are compiled from their source"
            );
            return None;
        }
        match config::existing(&self.home.join(COMPILED)) {
            Ok(Some(file)) => Some(Compiled { file, form }),
            Ok(None) => {
                tracing::warn!("compiled form of the rules is gone");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "compiled form of the rules cannot be opened");
                None
            }
        }
    }

    /// Puts a compiled form on the disk, if it is not there. Every worker compares the digest again before it loads it.
    async fn fetched(&self, form: &Form, hub: &Hub) -> Result<(), String> {
        let is_it = |bytes: &[u8]| Sha256::of(bytes) == form.sha256;
        if self.home.read(COMPILED, form.size).is_ok_and(|had| had.is_some_and(|had| is_it(&had))) {
            return Ok(());
        }
        let bytes = hub.compiled(form).await.map_err(|e| e.to_string())?;
        match is_it(&bytes) {
            true => self.home.write(COMPILED, &bytes).map_err(|e| format!("{e:#}")),
            false => Err("the hub sent other bytes than the signed pack names".to_owned()),
        }
    }

    async fn report(&self, reason: Reason) {
        tracing::error!(%reason, "a pack is refused, the last good one stays");
        let now = Timestamp::now();
        if let Err(error) = self.spool.append(vec![Report::PackRefused { reason, at: now }], now).await {
            tracing::error!(%error, "the refusal could not be reported");
        }
    }
}
