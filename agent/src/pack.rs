//! The rule pack: only what a trusted operator signed, never an older one, and the last good one is kept.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use khien_core::{
    Sha256, Timestamp,
    bundle::{self, MAX_PACK, Pack},
    policy::Policy,
    protocol::Report,
    reason::{Reason, quoted},
    signature::{OperatorKey, Signed},
};
use khien_rules::indicator::Domains;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use khien_scan::Pool;

use crate::{config::Home, health::Meter, spool::Spool};

const FILE: &str = "pack.json";

/// The loaded pack and the way to a newer one.
#[derive(Debug)]
pub(crate) struct Packs {
    home: Home,
    operators: Vec<OperatorKey>,
    pool: Arc<Pool>,
    spool: Spool,
    meter: Arc<Meter>,
    version: Arc<AtomicU64>,
    domains: watch::Sender<Arc<Domains>>,
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
        let none = Pack {
            version: 0,
            created: Timestamp::UNIX_EPOCH,
            rules: Vec::new(),
            sources: Vec::new(),
            domains: Vec::new(),
            sets: Vec::new(),
            policy: None,
        };
        Self {
            home,
            operators,
            pool,
            spool,
            meter,
            version: Arc::default(),
            domains: watch::channel(Arc::new(Domains::new(&none))).0,
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

    /// Returns the listed names of the loaded pack as they change.
    pub(crate) fn domains(&self) -> watch::Receiver<Arc<Domains>> {
        self.domains.subscribe()
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
            Ok(Some(bytes)) => self.install(&bytes, false).await,
            Ok(None) => tracing::info!("no pack yet"),
            Err(error) => tracing::error!(%error, "the last good pack cannot be read"),
        }
    }

    /// Installs a pack that the hub sent, or reports why not.
    pub(crate) async fn take(&self, bytes: &[u8]) {
        self.install(bytes, true).await;
    }

    /// A pack that is loaded is not loaded again. One that was refused is tried again, since the reason may have
    /// passed, but is not reported again.
    async fn install(&self, bytes: &[u8], keep: bool) {
        let mut last = self.last.lock().await;
        let digest = Sha256::of(bytes);
        if *last == Some((digest, true)) {
            return;
        }
        let loaded = self.load(bytes).await;
        match &loaded {
            Ok(version) => {
                tracing::info!(version, "pack is loaded");
                if keep && let Err(error) = self.home.write(FILE, bytes) {
                    tracing::error!(%error, "the pack is loaded but could not be stored");
                }
            }
            Err(reason) if *last != Some((digest, false)) => self.report(reason.clone()).await,
            Err(_) => (),
        }
        *last = Some((digest, loaded.is_ok()));
    }

    async fn load(&self, bytes: &[u8]) -> Result<u64, Reason> {
        let signed: Signed = serde_json::from_slice(bytes)
            .map_err(|e| Reason::SignedUnreadable { error: quoted(&e.to_string()) })?;
        let pack = Arc::new(bundle::open(&signed, &self.operators).map_err(|e| Reason::from(&e))?);
        let (version, loaded) = (pack.version, self.version.load(Ordering::Relaxed));
        if version <= loaded {
            return Err(Reason::PackNotNewer { offered: version, loaded });
        }
        let compiled = self.pool.load(Arc::clone(&pack)).await;
        compiled.map_err(|why| Reason::PackNotLoaded { version, because: Box::new(why) })?;
        self.domains.send_replace(Arc::new(Domains::new(&pack)));
        let policy = pack.policy.clone().unwrap_or_else(khien_rules::base_policy);
        self.version.store(version, Ordering::Relaxed);
        self.policy.send_replace(Some(Arc::new(policy)));
        self.meter.loaded(version);
        self.loaded.send_replace(true);
        Ok(version)
    }

    async fn report(&self, reason: Reason) {
        tracing::error!(%reason, "a pack is refused, the last good one stays");
        let now = Timestamp::now();
        if let Err(error) = self.spool.append(vec![Report::PackRefused { reason, at: now }], now).await {
            tracing::error!(%error, "the refusal could not be reported");
        }
    }
}
