//! Judges orders and has them carried out: each once, only under an operator's signature, one after the other.
//!
//! ```text
//!   order ─► judge ──refused──► Report::Refused, once in a while
//!              │
//!              ├─ new ───────► note "begun" on disk ─► respond ─► receipt (one commit with "answered")
//!              ├─ begun ─────► the agent died over it: respond again, which looks first at what is done
//!              ├─ answered ──► the receipt is on its way: nothing
//!              └─ settled ───► the hub had the receipt and asks again: refused as replayed
//! ```
//! A scan takes long, so that it goes on beside the other orders ([`scan`]); one that the agent died over is not begun again. A
//! search of the records goes on beside them, too ([`search`]), and is begun again.

use khien_core::{
    AgentId, OrderId, Timestamp,
    mandate::{self, Refusal},
    order::{Allowed, Order, Outcome, Receipt, Verb},
    protocol::Report,
    reason::Reason,
    signature::OperatorKey,
};
use tokio::sync::mpsc;

use crate::{
    packets::Packets,
    records::Records,
    respond::{Leave, Responder},
    spool::{Known, Spool, SpoolError},
    uplink::{Asked, Line, name},
};

mod evidence;
#[cfg(test)]
mod killed;
mod refused;
mod scan;
mod search;
#[cfg(test)]
mod tests;

use refused::Told;
pub(crate) use scan::Scans;
use search::Searches;

/// How many orders may wait for those before them.
pub(crate) const QUEUE: usize = 1_024;
/// No poll has this number; for orders that are resumed.
const NO_POLL: u64 = 0;

/// Where orders are judged and carried out.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Who this agent is.
    pub(crate) me: AgentId,
    /// Whom it obeys.
    pub(crate) operators: Vec<OperatorKey>,
    /// Where what was begun and answered is noted.
    pub(crate) spool: Spool,
    /// What acts on the host.
    pub(crate) responder: Responder,
    /// The line to the hub, for evidence.
    pub(crate) line: Line,
    /// What scans as ordered.
    pub(crate) scans: Scans,
    /// What is kept of the network, if anything is.
    pub(crate) records: Option<Records>,
    /// The packets of the last moments, if any are kept.
    pub(crate) packets: Option<Packets>,
    searches: Searches,
    told: Told,
}

impl Desk {
    /// Makes a desk.
    pub(crate) fn new(
        me: AgentId,
        operators: Vec<OperatorKey>,
        spool: Spool,
        responder: Responder,
        line: Line,
    ) -> Self {
        let (scans, searches, told) = (Scans::default(), Searches::default(), Told::default());
        Self { me, operators, spool, responder, line, scans, records: None, packets: None, searches, told }
    }

    /// Hands orders to scan to who carries them out.
    pub(crate) fn scanning(self, scans: Scans) -> Self {
        Self { scans, ..self }
    }

    /// Answers orders about the network from these records and these packets.
    pub(crate) fn keeping(self, records: Option<Records>, packets: Option<Packets>) -> Self {
        Self { records, packets, ..self }
    }

    /// Takes up what was begun and not answered, and then what comes, until the uplink is gone.
    ///
    /// # Errors
    /// When the spool is gone: without it nothing may be done, since it could be done twice.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Asked>) -> Result<(), SpoolError> {
        let taken_up = self.take_up().await;
        waits_for_the_spool(taken_up)?;
        while let Some(asked) = inbox.recv().await {
            let handled = self.handle(asked, Timestamp::now()).await;
            waits_for_the_spool(handled)?;
        }
        Ok(())
    }

    /// Finishes what the agent died over, and then clears away what it left half done.
    async fn take_up(&mut self) -> Result<(), SpoolError> {
        for order in self.spool.unanswered(Timestamp::now()).await? {
            self.resume(order).await?;
        }
        let responder = self.responder.clone();
        let swept = tokio::task::spawn_blocking(move || responder.sweep()).await;
        if let Ok(Err(error)) = swept {
            tracing::warn!(%error, "what earlier orders left cannot be cleared away");
        }
        Ok(())
    }

    async fn handle(&mut self, asked: Asked, now: Timestamp) -> Result<(), SpoolError> {
        let Asked { order, poll } = asked;
        match mandate::judge(&order, self.me, &self.operators, now) {
            Err(refusal) => self.refuse(&order, &refusal, now).await,
            Ok((id, allowed)) => match self.spool.known(id, poll).await? {
                Known::Answered => Ok(()),
                Known::Settled => self.refuse(&order, &Refusal::Replayed(id), now).await,
                Known::New | Known::Begun => self.begin(id, order, allowed, now).await,
            },
        }
    }

    async fn begin(
        &mut self,
        id: OrderId,
        order: Order,
        allowed: Allowed,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        if let Some(scope) = allowed.verb.scans() {
            return self.scan(id, order, scope, now).await;
        }
        if let Verb::StopScan { scan } = allowed.verb {
            return self.stop(id, order, scan, now).await;
        }
        self.spool.begin_order(id, order, now).await?;
        self.answer(id, allowed, Leave::Act).await
    }

    /// Goes on with an order that was accepted in its time. If that time is over by now nothing more is done to the
    /// host; but what was done before is answered as done.
    async fn resume(&mut self, order: Order) -> Result<(), SpoolError> {
        let now = Timestamp::now();
        let judged = mandate::judge(&order, self.me, &self.operators, now);
        let accepted = match judged {
            Ok((id, allowed)) => Some((id, allowed, Leave::Act)),
            Err(Refusal::Expired(_)) => self.expired(&order).map(|(id, allowed)| (id, allowed, Leave::Look)),
            Err(_) => None,
        };
        match accepted {
            Some((id, allowed, leave)) if self.spool.known(id, NO_POLL).await? == Known::Begun => {
                tracing::info!(order = %id, verb = allowed.verb.name(), ?leave, "an interrupted order is taken up");
                self.answer(id, allowed, leave).await
            }
            Some(_) => Ok(()),
            None => {
                tracing::error!("an interrupted order does not verify any more and is dropped");
                Ok(())
            }
        }
    }

    fn expired(&self, order: &Order) -> Option<(OrderId, Allowed)> {
        let mandate = mandate::open(&order.mandate, &self.operators).ok()?;
        let allowed = mandate.orders.get(order.index as usize).filter(|a| a.agent == self.me)?;
        Some((mandate.order_id(order.index), allowed.clone()))
    }

    async fn answer(&mut self, id: OrderId, allowed: Allowed, leave: Leave) -> Result<(), SpoolError> {
        if let Verb::SearchRecords(query) = allowed.verb {
            return self.search(id, query, leave).await;
        }
        let verb = allowed.verb.name();
        let preserves = allowed.verb.preserves();
        let outcome = match self.carry_out(id, allowed.verb, leave).await {
            Ok(outcome) => outcome,
            Err(reason) => Outcome::Failed { reason },
        };
        // Never what was found: names, addresses and processes of a whole network are not for the log.
        let (ended, reason) = match &outcome {
            Outcome::Done { .. } => ("done", None),
            Outcome::Scanned { .. } => ("scanned", None),
            Outcome::Searched { .. } => ("searched", None),
            Outcome::Failed { reason } => ("failed", Some(reason)),
        };
        tracing::info!(order = %id, verb, ended, ?reason, "an order is answered");
        let now = Timestamp::now();
        self.spool.end_order(Receipt { order: id, at: now, outcome }, now).await?;
        if preserves {
            // Only now: before, the order might have to be answered again, and the file itself be gone.
            let responder = self.responder.clone();
            let _ = tokio::task::spawn_blocking(move || responder.let_go(id)).await;
        }
        Ok(())
    }

    async fn carry_out(&mut self, id: OrderId, verb: Verb, leave: Leave) -> Result<Outcome, Reason> {
        if let Verb::PreserveFile(file) = verb {
            let preserved = evidence::preserve(&self.responder, &mut self.line, id, file, leave).await?;
            return Ok(Outcome::Done { evidence: Some(preserved) });
        }
        // These come here only when the agent died over them. What a scan found was told, and none goes on any more.
        if verb.scans().is_some() {
            return Err(Reason::ScanCutOff);
        }
        if let Verb::StopScan { scan } = verb {
            self.scans.keep_from(scan);
            return Ok(Outcome::Done { evidence: None });
        }
        if let Verb::PreservePackets(target) = verb {
            let packets = self.packets.clone().ok_or(Reason::PacketsNotKept)?;
            let taken = (packets, target);
            let preserved =
                evidence::preserve_packets(&self.responder, &mut self.line, id, taken, leave).await?;
            return Ok(Outcome::Done { evidence: Some(preserved) });
        }
        let responder = self.responder.clone();
        let done = tokio::task::spawn_blocking(move || responder.carry_out(&verb, leave)).await;
        done.map_err(|_| Reason::AgentFailed)??;
        Ok(Outcome::Done { evidence: None })
    }

    /// Reports a refusal, but not the same one a hundred times.
    async fn refuse(&mut self, order: &Order, refusal: &Refusal, now: Timestamp) -> Result<(), SpoolError> {
        let Some(unsaid) = self.told.may_tell(name(order), std::time::Instant::now()) else { return Ok(()) };
        tracing::error!(%refusal, "an order is refused");
        let reason = match (Reason::from(refusal), unsaid) {
            (reason, 0) => reason,
            (reason, others) => Reason::OthersUnreported { others, because: Box::new(reason) },
        };
        self.spool
            .append(vec![Report::Refused { order: mandate::claimed_id(order), reason, at: now }], now)
            .await
    }
}

/// Ends the desk only if the spool is gone. Else the order stays begun or open, and is done when the hub repeats it or
/// the agent starts again.
fn waits_for_the_spool(done: Result<(), SpoolError>) -> Result<(), SpoolError> {
    match done {
        Err(SpoolError::Closed) => Err(SpoolError::Closed),
        Err(error) => {
            tracing::error!(%error, "an order waits until the spool can be written");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
