//! Orders to search the records: each goes on beside the other orders, few at a time, and is answered when it ends.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use khien_core::{
    OrderId, Timestamp,
    order::{Outcome, Receipt, RecordQuery},
    reason::Reason,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Desk;
use crate::{
    records::Records,
    respond::Leave,
    spool::{Spool, SpoolError},
};

/// Searches at the same time: each may read the disk for seconds.
const AT_ONCE: usize = 2;
/// Searches that wait for those, and go on. More are answered as too many at once: no other order waits for a search.
pub(super) const WAITING: usize = 64;

/// The searches that go on.
#[derive(Debug)]
pub(super) struct Searches {
    /// Those that were begun in this life: the hub repeats an order until it has the receipt.
    begun: Arc<Mutex<HashSet<OrderId>>>,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// How one search is answered.
#[derive(Debug)]
struct Answers {
    id: OrderId,
    spool: Spool,
    begun: Arc<Mutex<HashSet<OrderId>>>,
}

impl Default for Searches {
    fn default() -> Self {
        let (running, places) = (Semaphore::new(AT_ONCE), Semaphore::new(WAITING));
        Self { begun: Arc::default(), running: Arc::new(running), places: Arc::new(places) }
    }
}

impl Searches {
    /// Notes that a search is begun; `false` if it was before.
    fn begin(&self, id: OrderId) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// Takes a place among those that wait and go on.
    fn place(&self) -> Result<OwnedSemaphorePermit, Reason> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| Reason::TooManySearches { limit: WAITING as u64 })
    }

    /// Returns what answers a search, and forgets it if its answer cannot be noted: the hub asks again.
    fn answers(&self, id: OrderId, spool: &Spool) -> Answers {
        Answers { id, spool: spool.clone(), begun: Arc::clone(&self.begun) }
    }

    /// Takes all turns.
    #[cfg(test)]
    pub(super) fn busy(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.running).try_acquire_many_owned(AT_ONCE as u32).expect("nothing runs")
    }
}

impl Desk {
    /// Begins a search of the records, once.
    pub(super) async fn search(
        &mut self,
        id: OrderId,
        query: RecordQuery,
        leave: Leave,
    ) -> Result<(), SpoolError> {
        if !self.searches.begin(id) {
            return Ok(());
        }
        let answers = self.searches.answers(id, &self.spool);
        let taken = match (&self.records, leave) {
            (_, Leave::Look) => Err(Reason::ExpiredBefore),
            (None, Leave::Act) => Err(Reason::RecordsNotKept),
            (Some(records), Leave::Act) => self.searches.place().map(|place| (place, records.clone())),
        };
        let (place, records) = match taken {
            Ok(taken) => taken,
            Err(reason) => return answers.end(Outcome::Failed { reason }).await,
        };
        let running = Arc::clone(&self.searches.running);
        tokio::spawn(async move {
            let _place = place;
            let _turn = running.acquire_owned().await;
            if let Err(error) = answers.end(outcome(records, query).await).await {
                tracing::error!(%error, order = %id, "a search ended, which cannot be noted");
            }
        });
        Ok(())
    }
}

impl Answers {
    async fn end(self, outcome: Outcome) -> Result<(), SpoolError> {
        let ended = end(&self.spool, self.id, outcome).await;
        if ended.is_err() {
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        }
        ended
    }
}

async fn outcome(records: Records, query: RecordQuery) -> Outcome {
    match records.search(query).await {
        Ok(found) => Outcome::Searched { found: found.into() },
        Err(reason) => Outcome::Failed { reason },
    }
}

async fn end(spool: &Spool, id: OrderId, outcome: Outcome) -> Result<(), SpoolError> {
    // Never what was found: names, addresses and processes of a whole network are not for the log.
    let is_searched = matches!(outcome, Outcome::Searched { .. });
    tracing::info!(order = %id, is_searched, "an order to search is answered");
    let at = Timestamp::now();
    spool.end_order(Receipt { order: id, at, outcome }, at).await
}
