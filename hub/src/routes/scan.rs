//! What operators may ask about scans that they order.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use khien_core::{
    OrderId, Timestamp,
    api::{OrderedScan, Scans, StartScan, StopScan},
};

use super::{body::Bounded, id};
use crate::{auth::OperatorPeer, fault::Fault, hub::Hub, scans};

pub(super) async fn list(State(hub): State<Arc<Hub>>) -> Result<Json<Scans>, Fault> {
    Ok(Json(Scans { scans: hub.store.read(|tx| scans::list(tx)).await? }))
}

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Path(order): Path<String>,
) -> Result<Json<OrderedScan>, Fault> {
    let order: OrderId = id(&order)?;
    Ok(Json(hub.store.read(move |tx| scans::show(tx, order)).await?))
}

pub(super) async fn start(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Bounded(wanted): Bounded<StartScan>,
) -> Result<Json<OrderedScan>, Fault> {
    Ok(Json(hub.store.write(move |tx| scans::start(tx, &by, &wanted, Timestamp::now())).await?))
}

pub(super) async fn stop(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(order): Path<String>,
    Bounded(wanted): Bounded<StopScan>,
) -> Result<Json<OrderedScan>, Fault> {
    let order: OrderId = id(&order)?;
    Ok(Json(hub.store.write(move |tx| scans::stop(tx, &by, (order, &wanted), Timestamp::now())).await?))
}
