//! What every request shares.

use std::sync::{Arc, PoisonError, RwLock};

use khien_core::bundle::Pack;
use khien_playbooks::Playbook;
use tokio::sync::{Semaphore, watch};

use crate::{
    auth::Peers, authority::Authority, config::Home, evidence::Uploads, fleet::Fleet, store::sqlite::Store,
};

/// Bodies that are decompressed and read at the same time: bounds memory to this many times `MAX_INFLATED`.
const HEAVY: usize = 8;

/// The hub while it runs.
pub(crate) struct Hub {
    pub(crate) home: Home,
    pub(crate) store: Store,
    pub(crate) authority: Authority,
    pub(crate) peers: Peers,
    pub(crate) fleet: Fleet,
    pub(crate) uploads: Uploads,
    pub(crate) library: Arc<Vec<Playbook>>,
    pub(crate) heavy: Arc<Semaphore>,
    /// Becomes true when the hub stops, so that nobody waits on.
    pub(crate) stopping: watch::Receiver<bool>,
    pack: RwLock<Arc<Option<Pack>>>,
}

impl Hub {
    /// Puts it together.
    pub(crate) fn new(
        home: Home,
        store: Store,
        authority: Authority,
        pack: Option<Pack>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            home,
            store,
            authority,
            peers: Peers::default(),
            fleet: Fleet::default(),
            uploads: Uploads::default(),
            library: Arc::new(khien_playbooks::library()),
            heavy: Arc::new(Semaphore::new(HEAVY)),
            stopping,
            pack: RwLock::new(Arc::new(pack)),
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
