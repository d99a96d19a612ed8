//! Who asks: the key of the connection's certificate, looked up among those the hub admitted.
//!
//! Names in payloads play no part. Whoever is neither an agent nor an operator may only enrol.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use khien_core::{AgentId, Sha256};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    fault::Fault,
    hub::Hub,
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
enum Role {
    Agent(AgentId),
    Operator(Box<Operator>),
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

/// Lets agents through and nobody else.
pub(crate) async fn agents_only(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Fault> {
    let Role::Agent(id) = role(&hub, peer(&request)).await? else {
        return Err(Fault::Forbidden("this is for enrolled agents".to_owned()));
    };
    hub.fleet.heard(id);
    request.extensions_mut().insert(AgentPeer(id));
    Ok(next.run(request).await)
}

/// Lets operators through and nobody else.
pub(crate) async fn operators_only(
    State(hub): State<Arc<Hub>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Fault> {
    let Role::Operator(operator) = role(&hub, peer(&request)).await? else {
        return Err(Fault::Forbidden("this is for operators".to_owned()));
    };
    request.extensions_mut().insert(OperatorPeer(*operator));
    Ok(next.run(request).await)
}

fn peer(request: &Request) -> Peer {
    request.extensions().get().copied().unwrap_or(Peer(None))
}

async fn role(hub: &Hub, peer: Peer) -> Result<Role, Fault> {
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
