//! What operators may ask about alerts, agents and packs.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
};
use khien_core::{
    AlertId, Timestamp,
    alert::{Alert, Status},
    api::{Agents, Alerts, CloseAlert, MOST_ALERTS, NewToken, PackState, SOME_ALERTS, TokenSecret},
    bundle::{MAX_FORM, MAX_PACK},
    problem::Cause,
    signature::Signed,
    triage as order,
};
use serde::Deserialize;

use super::{
    body::{self, Bounded},
    id, unreadable,
};
use crate::{
    auth::OperatorPeer, bundles, enrol, fault::Fault, fleet, forms, hub::Hub, store::Filter, stream, triage,
};

/// The largest signed pack as JSON in JSON: quotes and line ends are escaped once more.
const MAX_PACK_BODY: usize = 2 * MAX_PACK;

type Answer<T> = Result<Json<T>, Fault>;
type Asked<T> = Result<Query<T>, QueryRejection>;

/// `?status=&since=&limit=`
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    status: Option<Status>,
    since: Option<Timestamp>,
    limit: Option<u32>,
}

/// `?after=`
#[derive(Debug, Deserialize)]
pub(super) struct After {
    #[serde(default)]
    after: u64,
}

pub(super) async fn alerts(State(hub): State<Arc<Hub>>, wanted: Asked<Wanted>) -> Answer<Alerts> {
    let Query(wanted) = wanted.map_err(|e| unreadable(&e.body_text()))?;
    let limit = wanted.limit.unwrap_or(SOME_ALERTS).min(MOST_ALERTS);
    let filter = Filter { status: wanted.status, since: wanted.since, limit };
    let read = hub.store.read(move |tx| Ok((tx.alerts(&filter)?, tx.revision()?)));
    let (mut alerts, revision) = read.await?;
    order::sort(&mut alerts);
    Ok(Json(Alerts { alerts, revision }))
}

pub(super) async fn alert(State(hub): State<Arc<Hub>>, Path(alert): Path<String>) -> Answer<Alert> {
    let alert: AlertId = id(&alert)?;
    let found = hub.store.read(move |tx| Ok(tx.alert(alert)?)).await?;
    found.map(Json).ok_or_else(|| Fault::Missing(Cause::NoAlert { alert }))
}

pub(super) async fn acknowledge(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(alert): Path<String>,
) -> Answer<Alert> {
    let alert = id(&alert)?;
    Ok(Json(hub.store.write(move |tx| triage::acknowledge(tx, alert, by.name(), Timestamp::now())).await?))
}

pub(super) async fn reopen(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(alert): Path<String>,
) -> Answer<Alert> {
    let alert = id(&alert)?;
    Ok(Json(hub.store.write(move |tx| triage::reopen(tx, alert, by.name(), Timestamp::now())).await?))
}

pub(super) async fn close(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(alert): Path<String>,
    Bounded(how): Bounded<CloseAlert>,
) -> Answer<Alert> {
    let alert = id(&alert)?;
    let work = hub.store.write(move |tx| triage::close(tx, alert, &how, by.name(), Timestamp::now()));
    Ok(Json(work.await?))
}

pub(super) async fn changes(State(hub): State<Arc<Hub>>, after: Asked<After>) -> Answer<Alerts> {
    let Query(After { after }) = after.map_err(|e| unreadable(&e.body_text()))?;
    Ok(Json(stream::changes(&hub, after).await?))
}

pub(super) async fn agents(State(hub): State<Arc<Hub>>) -> Answer<Agents> {
    Ok(Json(Agents { agents: fleet::list(&hub).await? }))
}

pub(super) async fn token(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Bounded(wanted): Bounded<NewToken>,
) -> Answer<TokenSecret> {
    Ok(Json(enrol::invite(&hub, &by, wanted).await?))
}

pub(super) async fn pack(State(hub): State<Arc<Hub>>) -> Answer<PackState> {
    Ok(Json(hub.store.read(|tx| bundles::state(tx)).await?))
}

pub(super) async fn put_pack(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    request: Request,
) -> Answer<PackState> {
    let signed: Signed = body::json(request, &hub, MAX_PACK_BODY, MAX_PACK_BODY).await?;
    Ok(Json(bundles::put(&hub, by, signed).await?))
}

/// Takes a compiled form before the pack that names it.
pub(super) async fn put_compiled(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer<()> {
    let (head, body) = request.into_parts();
    let bytes = body::read(&head, body, MAX_FORM, hub.limits.step).await?;
    Ok(Json(forms::keep(&hub, id(&name)?, bytes).await?))
}
