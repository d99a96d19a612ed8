//! The API's paths; each handler only reads the request, calls its room and answers.

mod agent;
mod body;
mod capture;
mod incident;
mod operator;
mod run;
mod scan;
mod single;

use std::{str::FromStr, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post, put},
};

use khien_core::problem::Cause;

use crate::{auth, fault::Fault, hub::Hub};

/// Puts all paths together. Only `/v1/enroll` is open to those without an admitted key.
pub(crate) fn all(hub: Arc<Hub>) -> Router {
    let agents = Router::new()
        .route("/v1/agent/hello", post(agent::hello))
        .route("/v1/agent/heartbeat", post(agent::heartbeat))
        .route("/v1/agent/batch", post(agent::batch))
        .route("/v1/agent/pack", get(agent::pack))
        .route("/v1/agent/compiled/{sha256}", get(agent::compiled))
        .route("/v1/agent/evidence/{order}", get(agent::evidence_have).put(agent::evidence_put))
        .route_layer(middleware::from_fn(auth::to_the_end))
        // A question that waits ends with its connection.
        .route("/v1/agent/orders", get(agent::orders))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&hub), auth::agents_only));
    let operators = Router::new()
        .route("/v1/incidents/{id}/evidence", post(incident::bring))
        .route("/v1/incidents/{id}/captures", post(capture::take))
        .route("/v1/uploads/{nonce}", put(incident::upload))
        .route_layer(middleware::from_fn(auth::to_the_end))
        .route("/v1/alerts", get(operator::alerts))
        .route("/v1/alerts/{id}", get(operator::alert))
        .route("/v1/alerts/{id}/ack", post(operator::acknowledge))
        .route("/v1/alerts/{id}/reopen", post(operator::reopen))
        .route("/v1/alerts/{id}/close", post(operator::close))
        .route("/v1/changes", get(operator::changes))
        .route("/v1/agents", get(operator::agents))
        .route("/v1/tokens", post(operator::token))
        .route("/v1/pack", get(operator::pack).put(operator::put_pack))
        .route("/v1/pack/signed", get(capture::pack))
        .route("/v1/compiled/{sha256}", put(operator::put_compiled))
        .route("/v1/incidents", get(incident::list).post(incident::open))
        .route("/v1/incidents/{id}", get(incident::show))
        .route("/v1/incidents/{id}/notes", post(incident::note))
        .route("/v1/incidents/{id}/close", post(incident::close))
        .route("/v1/incidents/{id}/reopen", post(incident::reopen))
        .route("/v1/incidents/{id}/reports", post(incident::report_drafted))
        .route("/v1/evidence/{sha256}", get(incident::evidence))
        .route("/v1/evidence-key", get(incident::evidence_key))
        .route("/v1/runs", get(run::list).post(run::start))
        .route("/v1/runs/{id}", get(run::show))
        .route("/v1/runs/{id}/approve", post(run::approve))
        .route("/v1/runs/{id}/refuse", post(run::refuse))
        .route("/v1/runs/{id}/undo", post(run::undo))
        .route("/v1/scans", get(scan::list).post(scan::start))
        .route("/v1/scans/{order}", get(scan::show))
        .route("/v1/scans/{order}/stop", post(scan::stop))
        .route("/v1/orders", post(single::give))
        .route("/v1/orders/{order}", get(single::show))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&hub), auth::operators_only));
    Router::new()
        .route("/v1/enroll", post(agent::enrol))
        .merge(agents)
        .merge(operators)
        .fallback(async || Fault::Missing(Cause::NoPath))
        .with_state(hub)
}

/// Reads an id out of a path; what is no id names nothing.
fn id<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|e: T::Err| unreadable(&e))
}

/// Says that the request's address cannot be read.
fn unreadable(error: &impl std::fmt::Display) -> Fault {
    Fault::Bad(Cause::AddressUnreadable { error: Cause::quoted(error) })
}
