//! Orders to scan: handed to who scans, and answered when that ends. Other orders do not wait for them. Orders to stop one are
//! answered at once; how the scan ended is said by its own answer.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::AtomicBool},
};

use khien_core::{
    OrderId, Timestamp, mandate,
    order::{Order, Outcome, Receipt, ScanEnd, ScanScope, ScanTotals},
    reason::Reason,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Desk, NO_POLL};
use crate::{
    spool::{Known, SpoolError},
    watch::ordered::{Ended, WAITING, Wanted},
};

/// Scans of which is remembered that they are not to begin. Each took an operator's signature.
const MOST_STOPPED: usize = 1_024;

/// The way to who scans.
#[derive(Debug, Default)]
pub(crate) struct Scans {
    ask: Option<mpsc::Sender<Wanted>>,
    /// Those that were handed over in this life, and what stops each: the hub repeats an order until it has the receipt.
    handed: HashMap<OrderId, watch::Sender<bool>>,
    /// Those that were stopped before they came.
    stopped: HashSet<OrderId>,
}

impl Scans {
    /// Makes the way and its other end.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Wanted>) {
        let (ask, asked) = mpsc::channel(WAITING);
        (Self { ask: Some(ask), ..Self::default() }, asked)
    }

    fn hand(&self, wanted: Wanted) -> Result<(), Reason> {
        let ask = self.ask.as_ref().ok_or(Reason::NoScanner)?;
        ask.try_send(wanted).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Reason::TooManyScans { limit: WAITING as u64 },
            mpsc::error::TrySendError::Closed(_) => Reason::NoScanner,
        })
    }

    /// Has a scan stopped that was handed over, and tells whether it was.
    fn stop(&self, scan: OrderId) -> bool {
        self.handed.get(&scan).map(|stop| stop.send_replace(true)).is_some()
    }

    /// Remembers that a scan is not to begin when it comes.
    pub(super) fn keep_from(&mut self, scan: OrderId) {
        if self.stopped.len() < MOST_STOPPED {
            self.stopped.insert(scan);
        }
    }
}

impl Desk {
    /// Hands a scan over, once.
    pub(super) async fn scan(
        &mut self,
        id: OrderId,
        order: Order,
        scope: ScanScope,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        // It was judged a moment ago.
        let Ok(mandate) = mandate::open(&order.mandate, &self.operators) else { return Ok(()) };
        if self.scans.handed.contains_key(&id) {
            return Ok(());
        }
        self.spool.begin_order(id, order, now).await?;
        let (stop, stopped) = watch::channel(self.scans.stopped.remove(&id));
        self.scans.handed.insert(id, stop);
        let (answer, ended) = oneshot::channel();
        let (issued, expires, claimed) = (mandate.issued, mandate.expires, Arc::<AtomicBool>::default());
        let never_begun = (ScanEnd::Cancelled, ScanTotals::of(scope.counted()));
        let unbegun = stopped_unbegun(stopped.clone(), Arc::clone(&claimed));
        let wanted = Wanted { order: id, scope, issued, expires, stop: stopped, claimed, answer };
        if let Err(reason) = self.scans.hand(wanted) {
            return self.end(id, Outcome::Failed { reason }).await;
        }
        let spool = self.spool.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = ended => ended,
                () = unbegun => Ok(Ok(never_begun)),
            };
            // Without an answer the agent ends: the next start says so.
            let Ok(ended) = ended else { return };
            let at = Timestamp::now();
            let receipt = Receipt { order: id, at, outcome: outcome(ended) };
            if let Err(error) = spool.end_order(receipt, at).await {
                tracing::error!(%error, order = %id, "an ordered scan ended, which cannot be noted");
            }
        });
        Ok(())
    }

    /// Has a scan stopped: one that goes on ends at its next file, one that waits or is still to come does not begin.
    pub(super) async fn stop(
        &mut self,
        id: OrderId,
        order: Order,
        scan: OrderId,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        self.spool.begin_order(id, order, now).await?;
        if !self.scans.stop(scan) && self.spool.known(scan, NO_POLL).await? == Known::New {
            self.scans.keep_from(scan);
        }
        self.end(id, Outcome::Done { evidence: None }).await
    }

    async fn end(&self, id: OrderId, outcome: Outcome) -> Result<(), SpoolError> {
        let at = Timestamp::now();
        self.spool.end_order(Receipt { order: id, at, outcome }, at).await
    }
}

/// Waits until a scan is stopped that has not begun, and keeps it from beginning; for ever if that does not happen.
async fn stopped_unbegun(mut stopped: watch::Receiver<bool>, claimed: Arc<AtomicBool>) {
    let is_stopped = stopped.wait_for(|stopped| *stopped).await.is_ok();
    if !is_stopped || !Wanted::claim(&claimed) {
        std::future::pending::<()>().await;
    }
}

fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ok((ended, totals)) => Outcome::Scanned { ended, totals },
        Err(reason) => Outcome::Failed { reason },
    }
}
