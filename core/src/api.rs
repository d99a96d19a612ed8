//! `khien` ⇄ hub: JSON over HTTP/2 and TLS 1.3 with an operator's certificate.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/alerts?status=&since=&limit=` | – | [`Alerts`] |
//! | `GET /v1/alerts/{id}` | – | [`Alert`] |
//! | `POST /v1/alerts/{id}/ack` | – | [`Alert`] |
//! | `POST /v1/alerts/{id}/reopen` | – | [`Alert`] |
//! | `POST /v1/alerts/{id}/close` | [`CloseAlert`] | [`Alert`] |
//! | `GET /v1/changes?after=N` | – | [`Alerts`], waits up to [`protocol::POLL_SECONDS`](crate::protocol::POLL_SECONDS) for a revision above N |
//! | `POST /v1/incidents` | [`OpenIncident`] | [`Incident`] |
//! | `GET /v1/incidents` | – | [`Incidents`] |
//! | `GET /v1/incidents/{id}` | – | [`Incident`] |
//! | `POST /v1/incidents/{id}/notes` | [`AddNote`] | [`Incident`] |
//! | `POST /v1/incidents/{id}/close` | [`CloseIncident`] | [`Incident`] |
//! | `POST /v1/incidents/{id}/reopen` | – | [`Incident`] |
//! | `POST /v1/incidents/{id}/reports` | [`ReportDrafted`] | [`Incident`] |
//! | `POST /v1/runs` | [`StartRun`] | [`Run`] |
//! | `GET /v1/runs` | – | [`Runs`] |
//! | `GET /v1/runs/{id}` | – | [`Run`] |
//! | `POST /v1/runs/{id}/approve` | [`Approve`] | [`Run`] |
//! | `POST /v1/runs/{id}/refuse` | [`Refuse`] | [`Run`] |
//! | `POST /v1/runs/{id}/undo` | [`Undo`] | [`Run`] |
//! | `GET /v1/agents` | – | [`Agents`] |
//! | `POST /v1/tokens` | [`NewToken`] | [`TokenSecret`] |
//! | `PUT /v1/pack` | a [`Signed`] pack | [`PackState`] |
//! | `GET /v1/pack` | – | [`PackState`] |
//! | `PUT /v1/compiled/{sha256}` | a compiled form of rules, at most [`MAX_FORM`](crate::bundle::MAX_FORM) bytes | `null` |
//! | `GET /v1/evidence/{sha256}?incident=` | – | the bytes |
//!
//! Errors are a [`Problem`](crate::protocol::Problem) with 400, 403, 404, 409, 413 or 500.

use serde::{Deserialize, Serialize};

use crate::{
    AlertId, IncidentId, RunId, Sha256, StepId, Untrusted,
    alert::{Alert, Verdict},
    asset::Agent,
    incident::Incident,
    run::{Run, Target},
    signature::Signed,
};

/// Alerts in one answer if the caller does not say.
pub const SOME_ALERTS: u32 = 1_000;
/// The most alerts in one answer.
pub const MOST_ALERTS: u32 = 10_000;

/// A list of alerts, in triage order for `/v1/alerts`, in revision order for `/v1/changes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Alerts {
    /// The alerts.
    pub alerts: Vec<Alert>,
    /// The newest revision at the hub when it answered.
    pub revision: u64,
}

/// Closes an alert.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloseAlert {
    /// What the team found.
    pub verdict: Verdict,
    /// Why; may not be empty for a false positive.
    pub reason: String,
}

/// Opens an incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenIncident {
    /// What it is about; the first alert's title if absent.
    pub title: Option<String>,
    /// Its alerts, at least one.
    pub alerts: Vec<AlertId>,
}

/// A list of incidents, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Incidents {
    /// The incidents.
    pub incidents: Vec<Incident>,
}

/// Writes a note in an incident's timeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddNote {
    /// The text.
    pub text: String,
}

/// Closes an incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloseIncident {
    /// Why; may not be empty.
    pub reason: String,
}

/// Tells the timeline of an incident that a report was drafted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportDrafted {
    /// The form's id.
    pub form: Untrusted,
    /// Which report of the incident.
    pub stage: Untrusted,
}

/// Starts a playbook run. The mandate allows the orders up to the first approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartRun {
    /// Chosen by the operator; starting the same run twice is one start.
    pub run: RunId,
    /// The playbook's id.
    pub playbook: String,
    /// SHA-256 of its text as the operator has it; the hub refuses another.
    pub playbook_hash: Sha256,
    /// The incident.
    pub incident: IncidentId,
    /// On what to work.
    pub targets: Vec<Target>,
    /// The signed mandate.
    pub mandate: Signed,
}

/// A list of runs, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Runs {
    /// The runs.
    pub runs: Vec<Run>,
}

/// Approves the step that waits, and allows the orders up to the next one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Approve {
    /// The step; the hub refuses any but the one that waits.
    pub step: StepId,
    /// The signed mandate.
    pub mandate: Signed,
}

/// Says no to the step that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refuse {
    /// The step.
    pub step: StepId,
    /// Why.
    pub reason: String,
}

/// Undoes what a run did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Undo {
    /// The signed mandate for the undo orders.
    pub mandate: Signed,
}

/// A list of agents, by agency and host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Agents {
    /// The agents.
    pub agents: Vec<Agent>,
}

/// Invites one agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewToken {
    /// The agency to which the agent will belong.
    pub agency: String,
    /// For how long the token is good; at most 24 hours.
    pub hours: u32,
}

/// The answer to [`NewToken`]; the operator's program adds the keys it trusts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenSecret {
    /// 32 random bytes, hex; the hub keeps only their hash.
    pub secret: String,
}

/// The pack that the hub offers to agents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackState {
    /// Its version; 0 is none.
    pub version: u64,
    /// SHA-256 of its signed text.
    pub sha256: Option<Sha256>,
}
