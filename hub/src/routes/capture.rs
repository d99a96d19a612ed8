//! What operators may ask who look at a file of packets: the pack as it was signed, and to take in what they found.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use khien_core::{
    IncidentId, Timestamp,
    api::{CaptureTaken, SendCapture},
};

use super::{body::Bounded, id};
use crate::{auth::OperatorPeer, bundles, captures, fault::Fault, hub::Hub};

pub(super) async fn pack(State(hub): State<Arc<Hub>>) -> Result<Response, Fault> {
    let head = [(header::CONTENT_TYPE, "application/json")];
    Ok((head, bundles::offered(&hub).await?).into_response())
}

pub(super) async fn take(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Extension<OperatorPeer>,
    Path(incident): Path<String>,
    Bounded(wanted): Bounded<SendCapture>,
) -> Result<Json<CaptureTaken>, Fault> {
    let incident: IncidentId = id(&incident)?;
    captures::check(&wanted)?;
    let _job = hub.jobs.begin(by.id, hub.limits.patience).await?;
    let pack = hub.pack();
    let work = hub.store.write(move |tx| {
        let desk = captures::Desk { pack: (*pack).as_ref(), by: by.name(), now: Timestamp::now() };
        captures::take(tx, &desk, incident, wanted)
    });
    Ok(Json(work.await?))
}
