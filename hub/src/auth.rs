//! Who asks: the key of the connection's certificate, looked up among those the hub admitted.
//!
//! Names in payloads play no part. Whoever is neither an agent nor an operator may only enrol.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt;
use khien_core::{AgentId, Sha256, problem::Cause};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    fault::Fault,
    hub::Hub,
    memory::Hold,
    store::{Operator, Read},
};

/// How long an answer of the store about a key is believed: also the longest delay of a revocation.
const BELIEVED: Duration = Duration::from_secs(2);
/// Keys that are remembered; the memory starts anew beyond that.
const REMEMBERED: usize = 10_000;

/// The SHA-256 of the public key of a connection's client certificate, if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<Sha256>);

impl Peer {
    /// Reads it from the certificate that the handshake verified.
    pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let spki = certificates.and_then(|c| c.first()).and_then(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(Sha256::of(certificate.public_key().raw))
        });
        Self(spki)
    }
}

/// The agent that asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgentPeer(pub(crate) AgentId);

/// The operator who asks.
#[derive(Debug, Clone)]
pub(crate) struct OperatorPeer(pub(crate) Operator);

/// What a key may be.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// An agent that was admitted.
    Agent(AgentId),
    /// Somebody of the team.
    Operator(Box<Operator>),
    /// Anybody else, with a certificate or without.
    Nobody,
}

/// What is known of keys, for a moment.
#[derive(Default)]
pub(crate) struct Peers(RwLock<HashMap<Sha256, (Role, Instant)>>);

impl Peers {
    fn known(&self, key: &Sha256) -> Option<Role> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (role, since) = known.get(key)?;
        (since.elapsed() < BELIEVED).then(|| role.clone())
    }

    fn remember(&self, key: Sha256, role: &Role) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, (role.clone(), Instant::now()));
    }

    /// Asks the store anew next time, after a key was admitted.
    pub(crate) fn forget(&self, key: &Sha256) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Lets agents through and nobody else, each with no more than its share.
pub(crate) async fn agents_only(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Fault> {
    let Role::Agent(id) = role(&hub, peer(&request)).await? else {
        return Err(Fault::Forbidden(Cause::AgentsOnly));
    };
    // Whoever sends too much is heard all the same.
    hub.fleet.heard(id);
    let Some(place) = hub.under_way.take(id, hub.limits.under_way) else {
        return Err(Fault::TooMuch { seconds: 1 });
    };
    hub.quotas.request(id, Instant::now())?;
    let hold = hub.agents.hold(Sha256(id.0), Some(place));
    request.extensions_mut().insert(AgentPeer(id));
    request.extensions_mut().insert(hold.clone());
    let answer = next.run(request).await;
    hold.is_done();
    // The place is free once the answer is taken, so that nobody piles up answers by not reading them.
    Ok(answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _until_then = &hold;
            frame
        }))
    }))
}

/// Lets operators through and nobody else.
pub(crate) async fn operators_only(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Fault> {
    let Role::Operator(operator) = role(&hub, peer(&request)).await? else {
        return Err(Fault::Forbidden(Cause::OperatorsOnly));
    };
    let hold = hub.operators.hold(operator.id, None);
    request.extensions_mut().insert(hold.clone());
    request.extensions_mut().insert(OperatorPeer(*operator));
    let answer = next.run(request).await;
    hold.is_done();
    Ok(answer)
}

/// Carries a request that was begun to its end even if the peer cuts it: work that was handed to the store or the disk
/// goes on anyway, and must count as long as it does.
pub(crate) async fn to_the_end(request: Request, next: Next) -> Result<Response, Fault> {
    let hold = request.extensions().get::<Hold>().cloned();
    let work = tokio::spawn(async move {
        let answer = next.run(request).await;
        drop(hold);
        answer
    });
    work.await.map_err(|e| Fault::Internal(format!("answer a request: {e}")))
}

fn peer(request: &Request) -> Peer {
    request.extensions().get().copied().unwrap_or(Peer(None))
}

/// Says what the key of a connection is.
pub(crate) async fn role(hub: &Hub, peer: Peer) -> Result<Role, Fault> {
    let Peer(Some(key)) = peer else { return Ok(Role::Nobody) };
    if let Some(role) = hub.peers.known(&key) {
        return Ok(role);
    }
    let role = hub.store.read(move |tx| look_up(tx, &key)).await?;
    hub.peers.remember(key, &role);
    Ok(role)
}

fn look_up(tx: &dyn Read, key: &Sha256) -> Result<Role, Fault> {
    if let Some(operator) = tx.operator(key)? {
        return Ok(if operator.revoked { Role::Nobody } else { Role::Operator(Box::new(operator)) });
    }
    let host = tx.host(AgentId(key.0))?;
    Ok(host.filter(|h| !h.revoked).map_or(Role::Nobody, |h| Role::Agent(h.agent.id)))
}
