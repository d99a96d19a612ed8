//! What operators signed: exactly which orders may be given, to whom, until when. The hub only relays.

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, Nonce, OrderId, RunId, Sha256, Timestamp,
    order::{Allowed, Order},
    signature::{OperatorKey, Purpose, SignatureError, Signed},
    time::{self, SignedDuration},
};

/// The longest life of a mandate; a longer one is refused even if signed.
pub const MAX_LIFE: SignedDuration = SignedDuration::from_mins(15);
/// How far an agent's clock may run behind the operator's.
pub const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(2);
/// The most orders in one mandate.
pub const MAX_ORDERS: usize = 1_000;

/// Stands for the playbook's text in a mandate for an order that belongs to none. No text has this digest.
pub const NO_PLAYBOOK: Sha256 = Sha256([0; 32]);

/// What operators allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mandate {
    /// The run for which it is given.
    pub run: RunId,
    /// SHA-256 of the playbook's text, or [`NO_PLAYBOOK`].
    pub playbook: Sha256,
    /// The orders that may be given, each once.
    pub orders: Vec<Allowed>,
    /// When it was signed, by the operator's clock.
    pub issued: Timestamp,
    /// After this it is worth nothing.
    pub expires: Timestamp,
    /// Makes it unlike any other.
    pub nonce: Nonce,
}

impl Mandate {
    /// Returns the name of one of its orders.
    #[must_use]
    pub fn order_id(&self, index: u32) -> OrderId {
        order_id(self.nonce, index)
    }

    /// Signs it.
    ///
    /// # Panics
    /// Never: a mandate has no map with keys other than text, so it always has a JSON form.
    #[must_use]
    pub fn sign(&self, key: &ed25519_dalek::SigningKey) -> Signed {
        let body = serde_json::to_string(self).expect("a mandate always has a JSON form");
        Signed::new(body, Purpose::Mandate, key)
    }
}

fn order_id(nonce: Nonce, index: u32) -> OrderId {
    let digest = Sha256::of(&[&nonce.0[..], &index.to_be_bytes()].concat());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.0[..16]);
    OrderId(id)
}

/// Returns the name that an order claims, also where a newer program wrote what it allows: nothing to trust, but whoever gave it
/// knows by it which one is refused.
#[must_use]
pub fn claimed_id(order: &Order) -> Option<OrderId> {
    #[derive(Deserialize)]
    struct Named {
        nonce: Nonce,
    }
    let named: Named = serde_json::from_str(&order.mandate.body).ok()?;
    Some(order_id(named.nonce, order.index))
}

/// Why an agent does not obey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No good signature.
    #[error("mandate {0}")]
    Signature(#[from] SignatureError),
    /// Past its time.
    #[error("mandate expired at {0}")]
    Expired(Timestamp),
    /// From the future.
    #[error("mandate is dated {0}, which is not yet")]
    NotYet(Timestamp),
    /// Lives longer than allowed.
    #[error("mandate lives longer than fifteen minutes")]
    TooLong,
    /// Meant for another agent.
    #[error("order is meant for agent {0}")]
    WrongTarget(AgentId),
    /// The mandate has no such entry.
    #[error("mandate has no order {0}")]
    OutOfBounds(u32),
    /// Was carried out and answered before.
    #[error("order {0} was carried out before")]
    Replayed(OrderId),
}

/// Reads a mandate after a trusted operator's signature held.
///
/// # Errors
/// [`Refusal::Signature`].
pub fn open(signed: &Signed, trusted: &[OperatorKey]) -> Result<Mandate, Refusal> {
    let (body, _signers) = signed.verify(Purpose::Mandate, trusted)?;
    let mandate: Mandate =
        serde_json::from_str(body).map_err(|e| SignatureError::Unreadable(e.to_string()))?;
    match mandate.orders.len() > MAX_ORDERS {
        true => Err(SignatureError::Unreadable("too many orders".to_owned()).into()),
        false => Ok(mandate),
    }
}

/// Decides whether `me` may carry out an order now, and returns its name and what it allows. Whether it was carried
/// out before is for the caller to ask, who keeps that record.
///
/// # Errors
/// [`Refusal`] says why not.
pub fn judge(
    order: &Order,
    me: AgentId,
    trusted: &[OperatorKey],
    now: Timestamp,
) -> Result<(OrderId, Allowed), Refusal> {
    let mandate = open(&order.mandate, trusted)?;
    let allowed = mandate.orders.get(order.index as usize).ok_or(Refusal::OutOfBounds(order.index))?;
    if allowed.agent != me {
        return Err(Refusal::WrongTarget(allowed.agent));
    }
    if mandate.expires.duration_since(mandate.issued) > MAX_LIFE {
        return Err(Refusal::TooLong);
    }
    if mandate.issued > time::after(now, CLOCK_SLACK) {
        return Err(Refusal::NotYet(mandate.issued));
    }
    if mandate.expires < now {
        return Err(Refusal::Expired(mandate.expires));
    }
    Ok((mandate.order_id(order.index), allowed.clone()))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::{
        Untrusted,
        order::{FileTarget, Verb},
        signature::operator_key,
    };

    const ME: AgentId = AgentId([1; 32]);

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn now() -> Timestamp {
        "2026-11-22T03:00:00Z".parse().unwrap()
    }

    fn mandate() -> Mandate {
        let file = FileTarget { path: Untrusted::from("/srv/www/a.php"), sha256: Sha256([2; 32]) };
        let verb = Verb::QuarantineFile(file);
        Mandate {
            run: RunId([3; 16]),
            playbook: Sha256([4; 32]),
            orders: vec![Allowed { step: "quarantine".parse().unwrap(), agent: ME, verb }],
            issued: now(),
            expires: time::after(now(), MAX_LIFE),
            nonce: Nonce([5; 16]),
        }
    }

    fn judged(mandate: &Mandate, change: impl Fn(&mut Order)) -> Result<OrderId, Refusal> {
        let mut order = Order { mandate: mandate.sign(&key()), index: 0 };
        change(&mut order);
        judge(&order, ME, &[operator_key("thu", &key())], now()).map(|(id, _)| id)
    }

    #[test]
    fn a_signed_order_for_me_in_time_is_obeyed() {
        assert_eq!(judged(&mandate(), |_| ()), Ok(mandate().order_id(0)));
    }

    #[test]
    fn an_unsigned_or_altered_order_is_refused() {
        assert_eq!(
            judged(&mandate(), |o| o.mandate.signatures.clear()),
            Err(SignatureError::Unsigned.into())
        );
        assert_eq!(
            judged(&mandate(), |o| o.mandate.body = o.mandate.body.replace("a.php", "b.php")),
            Err(SignatureError::Altered.into())
        );
        assert_eq!(
            judged(&mandate(), |o| o.mandate.signatures[0].key = Sha256([9; 32])),
            Err(SignatureError::UnknownKey.into())
        );
        assert_eq!(judged(&mandate(), |o| o.index = 1), Err(Refusal::OutOfBounds(1)));
    }

    #[test]
    fn a_signature_over_a_pack_is_none_over_a_mandate() {
        let body = serde_json::to_string(&mandate()).unwrap();

        let got = judged(&mandate(), |o| o.mandate = Signed::new(body.clone(), Purpose::Pack, &key()));

        assert_eq!(got, Err(SignatureError::Altered.into()));
    }

    #[test]
    fn an_expired_early_or_long_mandate_is_refused() {
        let at = |issued: i64, expires: i64| {
            let mut m = mandate();
            m.issued = time::after(now(), SignedDuration::from_mins(issued));
            m.expires = time::after(now(), SignedDuration::from_mins(expires));
            judged(&m, |_| ())
        };

        assert!(matches!(at(-10, -1), Err(Refusal::Expired(_))));
        assert!(matches!(at(5, 10), Err(Refusal::NotYet(_))));
        assert_eq!(at(-1, 15), Err(Refusal::TooLong));
    }

    #[test]
    fn an_order_with_a_verb_of_a_newer_program_is_refused_by_its_name() {
        let body = serde_json::to_string(&mandate()).unwrap().replace("quarantine_file", "dance");
        let order = Order { mandate: Signed::new(body, Purpose::Mandate, &key()), index: 0 };

        let got = judge(&order, ME, &[operator_key("thu", &key())], now());

        assert!(matches!(got, Err(Refusal::Signature(SignatureError::Unreadable(_)))), "{got:?}");
        assert_eq!(claimed_id(&order), Some(mandate().order_id(0)));
    }

    #[test]
    fn an_order_for_another_agent_is_refused() {
        let mut m = mandate();
        m.orders[0].agent = AgentId([8; 32]);

        assert_eq!(judged(&m, |_| ()), Err(Refusal::WrongTarget(AgentId([8; 32]))));
    }
}
