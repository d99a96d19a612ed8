//! What agents may ask.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension, Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use khien_core::{
    AgentId, OrderId, Timestamp,
    api::Have,
    detection::builtin,
    protocol::{
        Ack, Batch, EVIDENCE_CHUNK, Enroll, Enrolled, Heartbeat, HeartbeatReply, Hello, Orders, Welcome,
    },
    text::hub as hub_text,
};

use serde::Deserialize;

use super::{
    body::{self, Bounded},
    id, unreadable,
};
use crate::{
    auth::AgentPeer,
    bundles, enrol as joining,
    evidence::{self, Piece},
    fault::Fault,
    fleet, forms,
    hub::Hub,
    ingest::{self, Desk},
    stream,
    triage::{self, Finding},
};

type Answer<T> = Result<Json<T>, Fault>;

/// The largest request to join: a key's request, a secret and a host's name. Strangers send it, so it is small.
const MAX_ENROLL: usize = 16 << 10;
/// The largest word about an agent itself: 256 lines of coverage with their reasons.
const MAX_WORD: usize = 512 << 10;

pub(super) async fn enrol(State(hub): State<Arc<Hub>>, request: Request) -> Answer<Enrolled> {
    let wanted: Enroll = body::json(request, &hub, MAX_ENROLL, MAX_ENROLL).await?;
    Ok(Json(joining::enrol(&hub, wanted).await?))
}

pub(super) async fn hello(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
    Bounded(hello): Bounded<Hello, MAX_WORD>,
) -> Answer<Welcome> {
    let welcome = hub.store.write(move |tx| fleet::hello(tx, id, &hello, Timestamp::now())).await?;
    Ok(Json(Welcome { evidence_key: Some(hub.evidence_key.public()), ..welcome }))
}

pub(super) async fn heartbeat(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
    Bounded(beat): Bounded<Heartbeat, MAX_WORD>,
) -> Answer<HeartbeatReply> {
    Ok(Json(hub.store.write(move |tx| fleet::heartbeat(tx, id, beat, Timestamp::now())).await?))
}

pub(super) async fn batch(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
    Bounded(batch): Bounded<Batch>,
) -> Answer<Ack> {
    ingest::check(&batch)?;
    let bytes = batch.records.iter().map(|r| r.body.len()).sum();
    if let Err(over) = hub.quotas.batch(id, batch.records.len(), bytes, Instant::now()) {
        tell_the_team(&hub, id).await?;
        return Err(over);
    }
    let (pack, library, quotas) = (hub.pack(), Arc::clone(&hub.library), Arc::clone(&hub.quotas));
    let work = hub.store.write(move |tx| {
        let desk = Desk { pack: (*pack).as_ref(), library: &library, quotas: &quotas, now: Timestamp::now() };
        let mut host = fleet::host(tx, id)?;
        ingest::take(tx, &desk, &mut host, batch)
    });
    Ok(Json(work.await?))
}

/// Makes an agent that sends more than its share an alert: one, however often it tries.
async fn tell_the_team(hub: &Arc<Hub>, id: AgentId) -> Result<(), Fault> {
    if !hub.quotas.is_news(id, Instant::now()) {
        return Ok(());
    }
    let work = hub.store.write(move |tx| {
        let (host, now) = (fleet::host(tx, id)?, Timestamp::now());
        let what = hub_text::MORE_THAN_ITS_SHARE.words();
        let finding = Finding::about_agent(&host, builtin::AGENT_FLOOD, "", what, now);
        triage::take(tx, &host, None, finding, now)
    });
    work.await
}

pub(super) async fn orders(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
) -> Answer<Orders> {
    Ok(Json(Orders { orders: stream::orders(&hub, id).await? }))
}

pub(super) async fn pack(State(hub): State<Arc<Hub>>) -> Result<Response, Fault> {
    let head = [(header::CONTENT_TYPE, "application/json")];
    Ok((head, bundles::offered(&hub).await?).into_response())
}

/// `?offset=`
#[derive(Debug, Deserialize)]
pub(super) struct From {
    #[serde(default)]
    offset: u64,
}

pub(super) async fn compiled(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(from) = from.map_err(|e| unreadable(&e.body_text()))?;
    let bytes = forms::piece(&hub, id(&name)?, from.offset).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

pub(super) async fn evidence_have(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(agent)): Extension<AgentPeer>,
    Path(order): Path<String>,
) -> Answer<Have> {
    Ok(Json(evidence::have(&hub, agent, id::<OrderId>(&order)?).await?))
}

pub(super) async fn evidence_put(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(agent)): Extension<AgentPeer>,
    Path(order): Path<String>,
    piece: Result<Query<Piece>, QueryRejection>,
    request: Request,
) -> Answer<Have> {
    let (head, body) = request.into_parts();
    let Query(piece) = piece.map_err(|e| unreadable(&e.body_text()))?;
    let order = id::<OrderId>(&order)?;
    let bytes = body::read(&head, body, EVIDENCE_CHUNK, hub.limits.step).await?;
    if let Err(over) = hub.quotas.evidence(agent, bytes.len(), Instant::now()) {
        tell_the_team(&hub, agent).await?;
        return Err(over);
    }
    Ok(Json(evidence::receive(&hub, agent, order, piece, bytes).await?))
}
