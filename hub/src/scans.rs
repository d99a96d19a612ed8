//! Scans that operators order, and have stopped. They belong to no playbook run: a run works on what the alerts of its incident
//! are about and on nothing else, and a scan looks where there is no alert yet. The mandate, the order and its answer are kept
//! as those of a run are; what is found comes as alerts.

use khien_core::{
    OrderId, RunId, Timestamp,
    api::{OrderedScan, StartScan, StopScan},
    mandate::{self, NO_PLAYBOOK, Refusal},
    order::{Allowed, Outcome, ScanEnd, Verb},
    problem::Cause,
    signature::Signed,
};

use crate::{
    fault::Fault,
    fleet,
    orders::{self, Expected},
    store::{Operator, OrderRow, Read, Write},
};

/// The most scans in one answer.
const MOST: u32 = 200;

/// Takes an order to scan; the same mandate again is the same scan.
pub(crate) fn start(
    tx: &mut dyn Write,
    caller: &Operator,
    wanted: &StartScan,
    now: Timestamp,
) -> Result<OrderedScan, Fault> {
    let asked = Asked::read(tx, &wanted.mandate)?;
    if !orders::given_before(tx, asked.run, &wanted.mandate)? {
        asked.is_free(tx, |allowed| allowed.verb.scans().is_some())?;
        asked.is_to_an_agent(tx)?;
        asked.give(tx, caller, &wanted.mandate, now)?;
    }
    show(tx, asked.order)
}

/// Takes an order to stop a scan; the same mandate again is the same wish. One that ended stays as it is.
pub(crate) fn stop(
    tx: &mut dyn Write,
    caller: &Operator,
    (id, wanted): (OrderId, &StopScan),
    now: Timestamp,
) -> Result<OrderedScan, Fault> {
    let scan = found(tx, id)?;
    let asked = Asked::read(tx, &wanted.mandate)?;
    if !orders::given_before(tx, asked.run, &wanted.mandate)? {
        asked.is_free(tx, |allowed| {
            allowed.verb == Verb::StopScan { scan: id } && allowed.agent == scan.allowed.agent
        })?;
        if scan.receipt.is_none() {
            asked.give(tx, caller, &wanted.mandate, now)?;
        }
    }
    show(tx, id)
}

/// Returns one.
pub(crate) fn show(tx: &dyn Read, id: OrderId) -> Result<OrderedScan, Fault> {
    shown(tx, found(tx, id)?)
}

/// Returns the newest.
pub(crate) fn list(tx: &dyn Read) -> Result<Vec<OrderedScan>, Fault> {
    tx.scan_orders(MOST)?.into_iter().map(|order| shown(tx, order)).collect()
}

/// Tells whether an order asks for a scan.
fn is_scan(order: &OrderRow) -> bool {
    order.allowed.verb.scans().is_some()
}

/// A mandate for one order that belongs to no run, after its signature held.
pub(crate) struct Asked {
    /// As what it is kept.
    pub(crate) run: RunId,
    /// The order.
    pub(crate) order: OrderId,
    /// What it allows.
    pub(crate) allowed: Allowed,
    /// Whether it says that it belongs to none.
    is_of_no_playbook: bool,
}

impl Asked {
    /// Reads one.
    pub(crate) fn read(tx: &dyn Read, signed: &Signed) -> Result<Self, Fault> {
        let refused = |why: Refusal| Fault::Forbidden(Cause::MandateRefused { reason: (&why).into() });
        let mandate = mandate::open(signed, &orders::trusted(tx)?).map_err(refused)?;
        let order = mandate.order_id(0);
        let is_of_no_playbook = mandate.playbook == NO_PLAYBOOK;
        match <[Allowed; 1]>::try_from(mandate.orders) {
            Ok([allowed]) => Ok(Self { run: mandate.run, order, allowed, is_of_no_playbook }),
            Err(_) => Err(Fault::Bad(Cause::BadTargetCount { limit: 1 })),
        }
    }

    /// Refuses what is not as wanted, or belongs to a run.
    pub(crate) fn is_free(&self, tx: &dyn Read, wanted: impl Fn(&Allowed) -> bool) -> Result<(), Fault> {
        let belongs_to_a_run = tx.run(self.run)?.is_some() || tx.newest_mandate(self.run)?.is_some();
        match !belongs_to_a_run && self.is_of_no_playbook && wanted(&self.allowed) {
            true => Ok(()),
            false => Err(Fault::Conflict(Cause::MandateForOther)),
        }
    }

    /// Refuses an order to an agent that is shut out.
    pub(crate) fn is_to_an_agent(&self, tx: &dyn Read) -> Result<(), Fault> {
        match fleet::host(tx, self.allowed.agent)?.revoked {
            true => Err(Fault::Missing(Cause::NoAgent { agent: self.allowed.agent })),
            false => Ok(()),
        }
    }

    /// Keeps the mandate and gives the order out.
    pub(crate) fn give(
        &self,
        tx: &mut dyn Write,
        caller: &Operator,
        signed: &Signed,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let orders = vec![self.allowed.clone()];
        let expected = Expected { run: self.run, playbook: NO_PLAYBOOK, orders: orders.clone() };
        orders::admit(tx, signed, caller, &expected, now)?;
        orders::dispatch(tx, self.run, orders, now)?;
        Ok(())
    }
}

fn found(tx: &dyn Read, id: OrderId) -> Result<OrderRow, Fault> {
    tx.order(id)?.filter(is_scan).ok_or(Fault::Missing(Cause::NoScan { order: id }))
}

fn shown(tx: &dyn Read, order: OrderRow) -> Result<OrderedScan, Fault> {
    let Some(target) = order.allowed.verb.scans() else {
        return Err(Fault::Missing(Cause::NoScan { order: order.id }));
    };
    let agent = fleet::host(tx, order.allowed.agent)?.agent;
    let progress = agent.health.ordered.filter(|p| p.order == order.id && order.receipt.is_none());
    let ended = order.receipt.as_ref().map(|receipt| receipt.at);
    Ok(OrderedScan {
        order: order.id,
        agent: agent.id,
        host: agent.host,
        target,
        stopped_by: stopped_by(tx, &order)?,
        by: order.by,
        asked: order.created,
        until: order.expires,
        progress,
        answer: order.receipt.map(|receipt| receipt.outcome),
        ended,
    })
}

/// Returns who had it stopped, unless it ended for another reason all the same.
fn stopped_by(tx: &dyn Read, order: &OrderRow) -> Result<Option<String>, Fault> {
    match order.receipt.as_ref().map(|receipt| &receipt.outcome) {
        Some(Outcome::Scanned { ended, .. }) if *ended != ScanEnd::Cancelled => Ok(None),
        _ => Ok(tx.stop_order(order.id)?.map(|stop| stop.by)),
    }
}
