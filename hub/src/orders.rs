//! Mandates and the orders under them: the hub relays what operators signed and can add nothing to it.

use khien_core::{
    AgentId, RunId, Sha256, Timestamp,
    mandate::{self, CLOCK_SLACK, MAX_LIFE, Mandate, Refusal},
    order::{Allowed, Order},
    problem::Cause,
    signature::{OperatorKey, Signed},
    time,
};

use crate::{
    fault::Fault,
    store::{MandateRow, Operator, OrderRow, Read, Write},
};

/// About how many bytes of orders one answer carries; an agent asks again for the rest.
const ANSWER: usize = 512 << 10;

/// What a mandate must say to be taken.
pub(crate) struct Expected {
    pub(crate) run: RunId,
    pub(crate) playbook: Sha256,
    pub(crate) orders: Vec<Allowed>,
}

/// Keeps a mandate that the caller signed and that allows exactly what is expected.
pub(crate) fn admit(
    tx: &mut dyn Write,
    signed: &Signed,
    caller: &Operator,
    expected: &Expected,
    now: Timestamp,
) -> Result<(), Fault> {
    let nonce = check(tx, signed, caller, expected, now)?.nonce;
    let row = MandateRow { run: expected.run, nonce, signed, by: caller.name(), added: now };
    Ok(tx.add_mandate(&row)?)
}

/// Tells whether this very mandate was taken for this run already: the answer to it was lost on the way.
pub(crate) fn given_before(tx: &dyn Read, run: RunId, signed: &Signed) -> Result<bool, Fault> {
    Ok(tx.newest_mandate(run)?.is_some_and(|(newest, _)| newest == *signed))
}

fn check(
    tx: &dyn Read,
    signed: &Signed,
    caller: &Operator,
    expected: &Expected,
    now: Timestamp,
) -> Result<Mandate, Fault> {
    let keys = trusted(tx)?;
    let refused = |why: Refusal| Fault::Forbidden(Cause::MandateRefused { reason: (&why).into() });
    let mandate = mandate::open(signed, &keys).map_err(refused)?;
    if !signed.signatures.iter().any(|s| Some(s.key) == caller.key.id()) {
        return Err(Fault::Forbidden(Cause::MandateNotBySender));
    }
    if mandate.expires.duration_since(mandate.issued) > MAX_LIFE {
        return Err(refused(Refusal::TooLong));
    }
    if mandate.issued > time::after(now, CLOCK_SLACK) {
        return Err(refused(Refusal::NotYet(mandate.issued)));
    }
    if mandate.expires < now {
        return Err(refused(Refusal::Expired(mandate.expires)));
    }
    if mandate.run != expected.run || mandate.playbook != expected.playbook {
        return Err(Fault::Conflict(Cause::MandateForOther));
    }
    if mandate.orders != expected.orders {
        return Err(Fault::Conflict(Cause::MandateOrders));
    }
    match tx.mandate_run(mandate.nonce)? {
        Some(_) => Err(Fault::Conflict(Cause::MandateUsed)),
        None => Ok(mandate),
    }
}

/// Returns the keys whose signatures count.
pub(crate) fn trusted(tx: &dyn Read) -> Result<Vec<OperatorKey>, Fault> {
    Ok(tx.operators()?.into_iter().filter(|o| !o.revoked).map(|o| o.key).collect())
}

/// Gives orders out under a run's newest mandate; returns those that it does not allow.
pub(crate) fn dispatch(
    tx: &mut dyn Write,
    run: RunId,
    wanted: Vec<Allowed>,
    now: Timestamp,
) -> Result<Vec<Allowed>, Fault> {
    let Some((signed, by)) = tx.newest_mandate(run)? else { return Ok(wanted) };
    let keys = trusted(tx)?;
    let mandate =
        mandate::open(&signed, &keys).map_err(|e| Fault::Internal(format!("stored mandate: {e}")))?;
    let mut not_allowed = Vec::new();
    for allowed in wanted {
        let place = mandate.orders.iter().position(|o| *o == allowed).and_then(|i| u32::try_from(i).ok());
        let Some(place) = place else {
            not_allowed.push(allowed);
            continue;
        };
        tx.add_order(&OrderRow {
            id: mandate.order_id(place),
            run,
            nonce: mandate.nonce,
            place,
            allowed,
            by: by.clone(),
            created: now,
            expires: mandate.expires,
            receipt: None,
        })?;
    }
    tx.wake_orders();
    Ok(not_allowed)
}

/// Returns an agent's orders that wait for an answer.
pub(crate) fn waiting(tx: &dyn Read, agent: AgentId, now: Timestamp) -> Result<Vec<Order>, Fault> {
    Ok(tx.open_orders(agent, now, ANSWER)?)
}
