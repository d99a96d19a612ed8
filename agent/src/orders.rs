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

use khien_core::{
    AgentId, OrderId, Timestamp,
    mandate::{self, Mandate, Refusal},
    order::{Allowed, Order, Outcome, Receipt, Verb},
    protocol::Report,
    reason::Reason,
    signature::OperatorKey,
};
use tokio::sync::mpsc;

use crate::{
    respond::{Leave, Responder},
    spool::{Known, Spool, SpoolError},
    uplink::{Asked, Line, name},
};

mod evidence;
#[cfg(test)]
mod killed;
mod refused;
#[cfg(test)]
mod tests;

use refused::Told;

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
        Self { me, operators, spool, responder, line, told: Told::default() }
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
                Known::New | Known::Begun => {
                    self.spool.begin_order(id, order, now).await?;
                    self.answer(id, allowed, Leave::Act).await
                }
            },
        }
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
        let verb = allowed.verb.name();
        let preserves = matches!(allowed.verb, Verb::PreserveFile(_));
        let outcome = match self.carry_out(id, allowed.verb, leave).await {
            Ok(outcome) => outcome,
            Err(reason) => Outcome::Failed { reason },
        };
        tracing::info!(order = %id, verb, ?outcome, "an order is answered");
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
        self.spool.append(vec![Report::Refused { order: claimed(order), reason, at: now }], now).await
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

/// Returns the name that a refused order claims: nothing to trust, but the hub knows by it which order it was.
fn claimed(order: &Order) -> Option<OrderId> {
    let mandate: Mandate = serde_json::from_str(&order.mandate.body).ok()?;
    Some(mandate.order_id(order.index))
}
