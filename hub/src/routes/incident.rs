//! What operators may ask about incidents and their evidence.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use khien_core::{
    IncidentId, Nonce, Sha256, Timestamp,
    api::{AddNote, BringEvidence, CloseIncident, EvidenceKey, Have, Incidents, OpenIncident, ReportDrafted},
    evidence::Evidence,
    incident::Incident,
    protocol::EVIDENCE_CHUNK,
};
use serde::Deserialize;

use super::{
    body::{self, Bounded},
    id, unreadable,
};
use crate::{auth::OperatorPeer, evidence as bytes, fault::Fault, hub::Hub, incidents};

/// The most incidents in one answer.
const MOST: u32 = 500;

type Answer<T> = Result<Json<T>, Fault>;

/// `?incident=`
#[derive(Debug, Deserialize)]
pub(super) struct Of {
    incident: IncidentId,
}

pub(super) async fn list(State(hub): State<Arc<Hub>>) -> Answer<Incidents> {
    let read =
        hub.store.read(|tx| tx.incidents(MOST)?.into_iter().map(|i| incidents::whole(tx, i)).collect());
    Ok(Json(Incidents { incidents: read.await? }))
}

pub(super) async fn open(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Bounded(wanted): Bounded<OpenIncident>,
) -> Answer<Incident> {
    Ok(Json(hub.store.write(move |tx| incidents::open(tx, &wanted, by.name(), Timestamp::now())).await?))
}

pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(incident): Path<String>) -> Answer<Incident> {
    let incident = id(&incident)?;
    Ok(Json(hub.store.read(move |tx| incidents::show(tx, incident)).await?))
}

pub(super) async fn note(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(incident): Path<String>,
    Bounded(note): Bounded<AddNote>,
) -> Answer<Incident> {
    let incident = id(&incident)?;
    let work =
        hub.store.write(move |tx| incidents::note(tx, incident, &note.text, by.name(), Timestamp::now()));
    Ok(Json(work.await?))
}

pub(super) async fn close(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(incident): Path<String>,
    Bounded(how): Bounded<CloseIncident>,
) -> Answer<Incident> {
    let incident = id(&incident)?;
    let work =
        hub.store.write(move |tx| incidents::close(tx, incident, &how.reason, by.name(), Timestamp::now()));
    Ok(Json(work.await?))
}

pub(super) async fn reopen(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(incident): Path<String>,
) -> Answer<Incident> {
    let incident = id(&incident)?;
    let work = hub.store.write(move |tx| incidents::reopen(tx, incident, by.name(), Timestamp::now()));
    Ok(Json(work.await?))
}

pub(super) async fn report_drafted(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(incident): Path<String>,
    Bounded(report): Bounded<ReportDrafted>,
) -> Answer<Incident> {
    let incident = id(&incident)?;
    let work = hub
        .store
        .write(move |tx| incidents::report_drafted(tx, incident, &report, by.name(), Timestamp::now()));
    Ok(Json(work.await?))
}

pub(super) async fn evidence(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(sha256): Path<String>,
    of: Result<Query<Of>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(of) = of.map_err(|e| unreadable(&e.body_text()))?;
    let sha256: Sha256 = id(&sha256)?;
    let job = hub.jobs.begin(by.id, hub.limits.patience).await?;
    let (kept, size) = bytes::export(&hub, sha256, of.incident, by.name().to_owned(), job).await?;
    let pieces = stream::try_unfold(kept, bytes::next_bytes);
    let head = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ];
    Ok((head, Body::from_stream(pieces)).into_response())
}

pub(super) async fn evidence_key(State(hub): State<Arc<Hub>>) -> Json<EvidenceKey> {
    Json(EvidenceKey { key: hub.evidence_key.public() })
}

/// `?offset=`
#[derive(Debug, Deserialize)]
pub(super) struct From {
    offset: u64,
}

pub(super) async fn upload(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(upload): Path<String>,
    from: Result<Query<From>, QueryRejection>,
    request: Request,
) -> Answer<Have> {
    let (head, body) = request.into_parts();
    let Query(from) = from.map_err(|e| unreadable(&e.body_text()))?;
    let upload: Nonce = id(&upload)?;
    let piece = body::read(&head, body, EVIDENCE_CHUNK, hub.limits.step).await?;
    // Only now: who sends slowly costs nothing.
    let _job = hub.jobs.begin(by.id, hub.limits.patience).await?;
    Ok(Json(bytes::brought_piece(&hub, upload, from.offset, piece).await?))
}

pub(super) async fn bring(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(incident): Path<String>,
    Bounded(wanted): Bounded<BringEvidence>,
) -> Answer<Evidence> {
    let _job = hub.jobs.begin(by.id, hub.limits.patience).await?;
    Ok(Json(bytes::bring(&hub, id(&incident)?, wanted, by.name().to_owned()).await?))
}
