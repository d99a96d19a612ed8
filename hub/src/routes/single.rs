//! What operators may ask about orders that belong to no playbook and are no scans.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use khien_core::{
    OrderId, Timestamp,
    api::{GiveOrder, GivenOrder},
};

use super::{body::Bounded, id};
use crate::{auth::OperatorPeer, fault::Fault, hub::Hub, single};

pub(super) async fn show(
    State(hub): State<Arc<Hub>>,
    Path(order): Path<String>,
) -> Result<Json<GivenOrder>, Fault> {
    let order: OrderId = id(&order)?;
    Ok(Json(hub.store.read(move |tx| single::show(tx, order)).await?))
}

pub(super) async fn give(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Bounded(wanted): Bounded<GiveOrder>,
) -> Result<Json<GivenOrder>, Fault> {
    Ok(Json(hub.store.write(move |tx| single::give(tx, &by, &wanted, Timestamp::now())).await?))
}
