//! What operators may ask about playbook runs.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use khien_core::{
    RunId, Timestamp,
    api::{Approve, Refuse, Runs, StartRun, Undo},
    problem::Cause,
    run::Run,
};

use super::{body::Bounded, id};
use crate::{auth::OperatorPeer, fault::Fault, hub::Hub, runs};

/// The most runs in one answer.
const MOST: u32 = 200;

type Answer = Result<Json<Run>, Fault>;
type Caller = Extension<OperatorPeer>;

pub(super) async fn list(State(hub): State<Arc<Hub>>) -> Result<Json<Runs>, Fault> {
    Ok(Json(Runs { runs: hub.store.read(|tx| Ok(tx.runs(MOST)?)).await? }))
}

pub(super) async fn show(State(hub): State<Arc<Hub>>, Path(run): Path<String>) -> Answer {
    let run: RunId = id(&run)?;
    let found = hub.store.read(move |tx| Ok(tx.run(run)?)).await?;
    found.map(Json).ok_or_else(|| Fault::Missing(Cause::NoRun { run }))
}

pub(super) async fn start(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Caller,
    Bounded(wanted): Bounded<StartRun>,
) -> Answer {
    let library = Arc::clone(&hub.library);
    Ok(Json(hub.store.write(move |tx| runs::start(tx, &library, &by, wanted, Timestamp::now())).await?))
}

pub(super) async fn approve(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Caller,
    Path(run): Path<String>,
    Bounded(wanted): Bounded<Approve>,
) -> Answer {
    let (run, library) = (id(&run)?, Arc::clone(&hub.library));
    let work = hub.store.write(move |tx| runs::approve(tx, &library, &by, (run, wanted), Timestamp::now()));
    Ok(Json(work.await?))
}

pub(super) async fn refuse(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Caller,
    Path(run): Path<String>,
    Bounded(wanted): Bounded<Refuse>,
) -> Answer {
    let (run, library) = (id(&run)?, Arc::clone(&hub.library));
    let work = hub.store.write(move |tx| runs::refuse(tx, &library, &by, (run, wanted), Timestamp::now()));
    Ok(Json(work.await?))
}

pub(super) async fn undo(
    State(hub): State<Arc<Hub>>,
    Extension(OperatorPeer(by)): Caller,
    Path(run): Path<String>,
    Bounded(wanted): Bounded<Undo>,
) -> Answer {
    let (run, library) = (id(&run)?, Arc::clone(&hub.library));
    let work = hub.store.write(move |tx| runs::undo(tx, &library, &by, (run, wanted), Timestamp::now()));
    Ok(Json(work.await?))
}
