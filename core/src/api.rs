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
//! | `POST /v1/incidents/{id}/captures` | [`SendCapture`] | [`CaptureTaken`] |
//! | `POST /v1/runs` | [`StartRun`] | [`Run`] |
//! | `GET /v1/runs` | – | [`Runs`] |
//! | `GET /v1/runs/{id}` | – | [`Run`] |
//! | `POST /v1/runs/{id}/approve` | [`Approve`] | [`Run`] |
//! | `POST /v1/runs/{id}/refuse` | [`Refuse`] | [`Run`] |
//! | `POST /v1/runs/{id}/undo` | [`Undo`] | [`Run`] |
//! | `POST /v1/scans` | [`StartScan`] | [`OrderedScan`] |
//! | `GET /v1/scans` | – | [`Scans`] |
//! | `GET /v1/scans/{order}` | – | [`OrderedScan`] |
//! | `POST /v1/scans/{order}/stop` | [`StopScan`] | [`OrderedScan`] |
//! | `POST /v1/orders` | [`GiveOrder`] | [`GivenOrder`] |
//! | `GET /v1/orders/{order}` | – | [`GivenOrder`] |
//! | `GET /v1/agents` | – | [`Agents`] |
//! | `POST /v1/tokens` | [`NewToken`] | [`TokenSecret`] |
//! | `PUT /v1/pack` | a [`Signed`] pack | [`PackState`] |
//! | `GET /v1/pack` | – | [`PackState`] |
//! | `GET /v1/pack/signed` | – | the [`Signed`] pack |
//! | `PUT /v1/compiled/{sha256}` | a compiled form of rules, at most [`MAX_FORM`](crate::bundle::MAX_FORM) bytes | `null` |
//! | `GET /v1/evidence/{sha256}?incident=` | – | the bytes |
//! | `GET /v1/evidence-key` | – | [`EvidenceKey`] |
//! | `PUT /v1/uploads/{nonce}?offset=` | sealed bytes, at most [`EVIDENCE_CHUNK`](crate::protocol::EVIDENCE_CHUNK) | [`Have`] |
//! | `POST /v1/incidents/{id}/evidence` | [`BringEvidence`] | [`Evidence`](crate::evidence::Evidence) |
//!
//! Errors are a [`Problem`](crate::protocol::Problem) with 400, 403, 404, 409, 413 or 500.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AlertId, IncidentId, Nonce, OrderId, RuleId, RunId, SealKey, Sha256, StepId, Timestamp,
    Untrusted,
    alert::{Alert, Verdict},
    asset::{Agent, ScanProgress},
    capture::{Capture, CaptureEnd, CaptureFinding},
    incident::Incident,
    order::{Outcome, ScanScope, Verb},
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

/// Hands over what was found in a file of packets for an open incident. A file's findings come in any number of requests, the
/// last of which tells the `end`. The same once more changes nothing: an alert is known by the file's digest and what was found.
///
/// At most [`MOST_FINDINGS`](crate::capture::MOST_FINDINGS) in one request, each of at most
/// [`MAX_FINDING`](crate::capture::MAX_FINDING) bytes. 409 if the file was taken in for another incident or the incident is
/// closed, 400 for a finding that no file of packets shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendCapture {
    /// The file.
    pub capture: Capture,
    /// The host at which it was taken, where the operator knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Untrusted>,
    /// Some of what was found.
    pub findings: Vec<CaptureFinding>,
    /// With the last request: what else there is to say. It becomes a line of the timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<CaptureEnd>,
}

/// What became of the findings of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaptureTaken {
    /// Alerts that are new.
    pub added: u64,
    /// Findings whose alert was there already.
    pub known: u64,
    /// Findings above [`MOST_ALERTS`](crate::capture::MOST_ALERTS) of the file, of which nothing was made.
    pub left_out: u64,
    /// All alerts of the file so far.
    pub alerts: u64,
    /// Rules that the current pack does not have, and how many findings each had, of which nothing was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<RuleId, u64>,
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

/// Has one agent scan a path or the memory of processes. The mandate allows that one order, for [no playbook](crate::mandate::NO_PLAYBOOK).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartScan {
    /// The signed mandate; the same once more is the same scan.
    pub mandate: Signed,
}

/// Has an ordered scan stopped. The mandate allows that one order, for [no playbook](crate::mandate::NO_PLAYBOOK).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StopScan {
    /// The signed mandate; the same once more is the same wish.
    pub mandate: Signed,
}

/// A list of ordered scans, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scans {
    /// The scans.
    pub scans: Vec<OrderedScan>,
}

/// A scan that an operator ordered. `khien agent scans --json` prints this type as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedScan {
    /// The order.
    pub order: OrderId,
    /// The agent.
    pub agent: AgentId,
    /// Its host name.
    pub host: Untrusted,
    /// What is scanned.
    pub target: ScanScope,
    /// Who ordered it.
    pub by: String,
    /// Who ordered that it be stopped, unless it ended for another reason all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// When.
    pub asked: Timestamp,
    /// When it ends at the latest.
    pub until: Timestamp,
    /// How far it is, as the agent said last; none before it begins and after it ended.
    pub progress: Option<ScanProgress>,
    /// How it ended; none while it waits or goes on.
    pub answer: Option<Outcome>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// Has one agent search its records or save packets. The mandate allows that one order, for
/// [no playbook](crate::mandate::NO_PLAYBOOK).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GiveOrder {
    /// The signed mandate; the same once more is the same order.
    pub mandate: Signed,
}

/// A search or a request for packets that an operator ordered. `khien packets save --json` prints this type as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenOrder {
    /// The order.
    pub order: OrderId,
    /// The agent.
    pub agent: AgentId,
    /// Its host name.
    pub host: Untrusted,
    /// What it is to do.
    #[serde(flatten)]
    pub verb: Verb,
    /// Who ordered it.
    pub by: String,
    /// When.
    pub asked: Timestamp,
    /// When it is worth nothing any more.
    pub until: Timestamp,
    /// What came of it; none while it waits.
    pub answer: Option<Outcome>,
    /// When that was.
    pub ended: Option<Timestamp>,
}

/// The key to which evidence is sealed before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceKey {
    /// Its public half.
    pub key: SealKey,
}

/// How much of an upload the hub has, in bytes; it goes on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Sealed bytes.
    pub have: u64,
}

/// Makes an upload evidence of an incident, as something that the operator brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BringEvidence {
    /// The upload; the same once more is the same evidence.
    pub upload: Nonce,
    /// The file's name: 1 to [`MAX_EVIDENCE_NAME`] bytes, without the folder in which it lay.
    pub name: Untrusted,
    /// SHA-256 of the file before it was sealed.
    pub sha256: Sha256,
    /// When it was read, by the operator's clock.
    pub at: Timestamp,
}

/// The longest name of a file that is brought, in bytes.
pub const MAX_EVIDENCE_NAME: usize = 255;

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
