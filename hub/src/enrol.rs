//! How an agent joins: a secret that an operator gave out once, and a key that the agent proves to hold.

use khien_core::{
    AgentId, Sha256, Timestamp, Untrusted,
    api::{NewToken, TokenSecret},
    asset::{Agent, Health, HostFacts, Presence},
    problem::Cause,
    protocol::{Enroll, Enrolled},
    time::{self, SignedDuration},
};

use crate::{
    authority::Request,
    fault::Fault,
    hub::Hub,
    store::{Host, Operator, TokenRow, Write},
};

/// The longest life of a token in hours.
const MAX_HOURS: u32 = 24;
/// The longest agency name in bytes.
const MAX_AGENCY: usize = 200;
/// The longest host or system name in bytes.
const MAX_FACT: usize = 255;
/// The longest version in bytes.
const MAX_VERSION: usize = 64;

/// Makes a token's secret; the hub keeps only its hash.
pub(crate) async fn invite(hub: &Hub, by: &Operator, wanted: NewToken) -> Result<TokenSecret, Fault> {
    let agency = wanted.agency.trim().to_owned();
    if agency.is_empty() || agency.len() > MAX_AGENCY || agency.chars().any(khien_core::untrusted::hides) {
        return Err(Fault::Bad(Cause::BadAgency { limit: MAX_AGENCY as u64 }));
    }
    if !(1..=MAX_HOURS).contains(&wanted.hours) {
        let (limit, hours) = (MAX_HOURS.into(), wanted.hours.into());
        return Err(Fault::Bad(Cause::BadHours { limit, hours }));
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| Fault::Internal(format!("get random bytes: {e}")))?;
    let expires = time::after(Timestamp::now(), SignedDuration::from_hours(i64::from(wanted.hours)));
    let row =
        TokenRow { hash: Sha256::of(&secret), agency, by: by.name().to_owned(), expires, used_by: None };
    hub.store.write(move |tx| Ok(tx.put_token(&row)?)).await?;
    Ok(TokenSecret { secret: Sha256(secret).to_string() })
}

/// Admits an agent if its token is good, and uses the token up.
pub(crate) async fn enrol(hub: &Hub, wanted: Enroll) -> Result<Enrolled, Fault> {
    // A secret has the form of 32 bytes in hex; hashing it before the look-up leaves no timing to learn from.
    let secret: Sha256 = wanted.secret.parse().map_err(|_| refused())?;
    let hash = Sha256::of(&secret.0);
    let request = Request::read(&wanted.csr)?;
    let agent = AgentId(request.id.0);
    let facts = bounded(&wanted.host);
    hub.store.write(move |tx| admit(tx, &hash, agent, facts, Timestamp::now())).await?;
    hub.peers.forget(&request.id);
    hub.fleet.heard(agent);
    let certificate = hub.authority.certify(&request, &format!("agent {}", agent.short()))?;
    tracing::info!(%agent, "agent enrolled");
    Ok(Enrolled { agent, certificate })
}

fn admit(
    tx: &mut dyn Write,
    hash: &Sha256,
    id: AgentId,
    facts: HostFacts,
    now: Timestamp,
) -> Result<(), Fault> {
    let token = tx.token(hash)?.ok_or_else(refused)?;
    if let Some(first) = token.used_by {
        tracing::warn!(%first, second = %id, by = token.by, "enrolment token was used a second time");
        return Err(refused());
    }
    let known = tx.host(id)?;
    if token.expires < now || known.is_some_and(|h| h.revoked) || tx.operator(&Sha256(id.0))?.is_some() {
        return Err(refused());
    }
    tx.use_token(hash, id, now)?;
    let agent = Agent {
        id,
        host: facts.host,
        agency: token.agency,
        os: facts.os,
        version: facts.version,
        presence: Presence::Online,
        last_seen: now,
        health: Health::default(),
    };
    tx.put_host(&Host { agent, enrolled: now, revoked: false, silent_from: None })?;
    tx.next_revision();
    Ok(())
}

/// Says no without saying which part was wrong.
fn refused() -> Fault {
    Fault::Forbidden(Cause::TokenRefused)
}

/// Cuts what an agent says of its host.
pub(crate) fn bounded(facts: &HostFacts) -> HostFacts {
    let shown = khien_core::untrusted::escape(facts.version.as_bytes());
    HostFacts {
        host: Untrusted::cut(facts.host.raw(), MAX_FACT),
        os: Untrusted::cut(facts.os.raw(), MAX_FACT),
        version: shown.chars().take(MAX_VERSION).collect(),
    }
}
