//! What every request shares.

use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use khien_core::{AgentId, bundle::Pack, seal::OpenKey};
use khien_playbooks::Playbook;
use tokio::sync::watch;

use crate::{
    auth::Peers,
    authority::Authority,
    config::Home,
    evidence::{self, Uploads},
    fleet::Fleet,
    jobs::Jobs,
    limits::Limits,
    memory::Memory,
    quota::Quotas,
    store::sqlite::Store,
    tally::Tally,
};

/// What the hub certifies and opens with.
pub(crate) struct Keys {
    authority: Authority,
    evidence: OpenKey,
}

impl Keys {
    /// Reads them from the folder; the one for evidence is made there if it is the first.
    pub(crate) fn load(home: &Home) -> anyhow::Result<Self> {
        Ok(Self { authority: Authority::load(home)?, evidence: evidence::load_key(home)? })
    }
}

/// The hub while it runs.
pub(crate) struct Hub {
    pub(crate) home: Home,
    pub(crate) store: Store,
    pub(crate) authority: Authority,
    /// Opens evidence.
    pub(crate) evidence_key: Arc<OpenKey>,
    pub(crate) peers: Peers,
    pub(crate) fleet: Fleet,
    pub(crate) uploads: Uploads,
    pub(crate) library: Arc<Vec<Playbook>>,
    pub(crate) limits: Limits,
    /// Memory for the bodies of agents.
    pub(crate) agents: Arc<Memory>,
    /// Memory for the bodies of operators.
    pub(crate) operators: Arc<Memory>,
    /// Requests of each agent that are under way.
    pub(crate) under_way: Tally<AgentId>,
    /// What goes on for operators and costs much.
    pub(crate) jobs: Jobs,
    /// What each agent may send.
    pub(crate) quotas: Arc<Quotas>,
    /// The text of the pack that is offered, with its version.
    pub(crate) offered: tokio::sync::Mutex<Option<(u64, Bytes)>>,
    /// Becomes true when the hub stops, so that nobody waits on.
    pub(crate) stopping: watch::Receiver<bool>,
    pack: RwLock<Arc<Option<Pack>>>,
}

impl Hub {
    /// Puts it together, without a pack.
    pub(crate) fn new(
        home: Home,
        store: Store,
        keys: Keys,
        stopping: watch::Receiver<bool>,
        limits: Limits,
    ) -> Self {
        Self {
            home,
            store,
            authority: keys.authority,
            evidence_key: Arc::new(keys.evidence),
            peers: Peers::default(),
            fleet: Fleet::default(),
            uploads: Uploads::default(),
            library: Arc::new(khien_playbooks::library()),
            agents: Arc::new(Memory::new(limits.agents)),
            operators: Arc::new(Memory::new(limits.operators)),
            under_way: Tally::default(),
            jobs: Jobs::new(limits.jobs),
            quotas: Arc::new(Quotas::new(limits.rates.clone())),
            limits,
            offered: tokio::sync::Mutex::default(),
            stopping,
            pack: RwLock::default(),
        }
    }

    /// Returns the pack whose words describe detections.
    pub(crate) fn pack(&self) -> Arc<Option<Pack>> {
        Arc::clone(&self.pack.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Describes detections by a newer pack from now on.
    pub(crate) fn set_pack(&self, pack: Pack) {
        let mut current = self.pack.write().unwrap_or_else(PoisonError::into_inner);
        if (**current).as_ref().is_none_or(|c| c.version < pack.version) {
            *current = Arc::new(Some(pack));
        }
    }
}
