//! What agents may ask.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
};
use khien_core::{
    OrderId, Timestamp,
    protocol::{
        Ack, Batch, EVIDENCE_CHUNK, Enroll, Enrolled, Heartbeat, HeartbeatReply, Hello, Orders, Welcome,
    },
    signature::Signed,
};

use super::{
    body::{self, Bounded},
    id,
};
use crate::{
    auth::AgentPeer,
    bundles, enrol as joining,
    evidence::{self, Have, Piece},
    fault::Fault,
    fleet,
    hub::Hub,
    ingest::{self, Desk},
    stream,
};

type Answer<T> = Result<Json<T>, Fault>;

/// The largest request to join: a key's request, a secret and a host's name. Strangers send it, so it is small.
const MAX_ENROLL: usize = 16 << 10;

pub(super) async fn enrol(State(hub): State<Arc<Hub>>, request: Request) -> Answer<Enrolled> {
    let wanted: Enroll = body::json(request, &hub, MAX_ENROLL, MAX_ENROLL).await?;
    Ok(Json(joining::enrol(&hub, wanted).await?))
}

pub(super) async fn hello(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
    Bounded(hello): Bounded<Hello>,
) -> Answer<Welcome> {
    Ok(Json(hub.store.write(move |tx| fleet::hello(tx, id, &hello, Timestamp::now())).await?))
}

pub(super) async fn heartbeat(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
    Bounded(beat): Bounded<Heartbeat>,
) -> Answer<HeartbeatReply> {
    Ok(Json(hub.store.write(move |tx| fleet::heartbeat(tx, id, beat, Timestamp::now())).await?))
}

pub(super) async fn batch(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
    Bounded(batch): Bounded<Batch>,
) -> Answer<Ack> {
    ingest::check(&batch)?;
    let (pack, library) = (hub.pack(), Arc::clone(&hub.library));
    let work = hub.store.write(move |tx| {
        let desk = Desk { pack: (*pack).as_ref(), library: &library, now: Timestamp::now() };
        let mut host = fleet::host(tx, id)?;
        ingest::take(tx, &desk, &mut host, batch)
    });
    Ok(Json(work.await?))
}

pub(super) async fn orders(
    State(hub): State<Arc<Hub>>,
    Extension(AgentPeer(id)): Extension<AgentPeer>,
) -> Answer<Orders> {
    Ok(Json(Orders { orders: stream::orders(&hub, id).await? }))
}

pub(super) async fn pack(State(hub): State<Arc<Hub>>) -> Answer<Signed> {
    Ok(Json(hub.store.read(|tx| bundles::signed(tx)).await?))
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
    let Query(piece) = piece.map_err(|e| Fault::Bad(e.body_text()))?;
    let order = id::<OrderId>(&order)?;
    let bytes = body::read(&head.headers, body, EVIDENCE_CHUNK).await?;
    Ok(Json(evidence::receive(&hub, agent, order, piece, bytes).await?))
}
