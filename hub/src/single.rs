//! Orders that belong to no playbook run and are no scans: to search the records of the network, and to save packets. The
//! mandate, the order and its answer are kept as those of a run are. Packets become evidence of the incident that the
//! operator signed for.

use khien_core::{
    OrderId, Timestamp,
    api::{GiveOrder, GivenOrder},
    order::Verb,
    problem::Cause,
};

use crate::{
    fault::Fault,
    fleet, orders, runs,
    scans::Asked,
    store::{Operator, OrderRow, Read, Write},
};

/// Takes an order; the same mandate again is the same order.
pub(crate) fn give(
    tx: &mut dyn Write,
    caller: &Operator,
    wanted: &GiveOrder,
    now: Timestamp,
) -> Result<GivenOrder, Fault> {
    let asked = Asked::read(tx, &wanted.mandate)?;
    if !orders::given_before(tx, asked.run, &wanted.mandate)? {
        asked.is_free(tx, |allowed| is_single(&allowed.verb))?;
        asked.is_to_an_agent(tx)?;
        if let Verb::PreservePackets(packets) = &asked.allowed.verb {
            runs::check_open(tx, packets.incident())?;
        }
        asked.give(tx, caller, &wanted.mandate, now)?;
    }
    show(tx, asked.order)
}

/// Returns one.
pub(crate) fn show(tx: &dyn Read, id: OrderId) -> Result<GivenOrder, Fault> {
    let found = tx.order(id)?.filter(|order| is_single(&order.allowed.verb));
    shown(tx, found.ok_or(Fault::Missing(Cause::NoOrder { order: id }))?)
}

fn is_single(verb: &Verb) -> bool {
    matches!(verb, Verb::SearchRecords(_) | Verb::PreservePackets(_))
}

fn shown(tx: &dyn Read, order: OrderRow) -> Result<GivenOrder, Fault> {
    let agent = fleet::host(tx, order.allowed.agent)?.agent;
    let ended = order.receipt.as_ref().map(|receipt| receipt.at);
    Ok(GivenOrder {
        order: order.id,
        agent: agent.id,
        host: agent.host,
        verb: order.allowed.verb,
        by: order.by,
        asked: order.created,
        until: order.expires,
        answer: order.receipt.map(|receipt| receipt.outcome),
        ended,
    })
}
