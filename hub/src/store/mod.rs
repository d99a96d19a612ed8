//! What the hub keeps, as the rooms see it: reads and writes inside one transaction.
//!
//! The rooms know only these two traits; `sqlite` is the store that comes with the program.

pub(crate) mod sqlite;

use khien_core::{
    AgentId, AlertId, EvidenceId, IncidentId, Nonce, OrderId, RunId, Sha256, Timestamp, Untrusted,
    alert::{Alert, Status, Verdict},
    asset::Agent,
    capture::{Capture, CaptureEnd},
    evidence::{Custody, Evidence},
    incident::{Entry, IncidentStatus},
    order::{Allowed, Order, Receipt},
    protocol::Mark,
    run::Run,
    signature::{OperatorKey, Signed},
    text::Words,
};
use khien_playbooks::run::Input;
use serde::{Deserialize, Serialize};

/// The store failed, or holds something that it should not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The engine failed.
    #[error("store: {0}")]
    Engine(#[from] rusqlite::Error),
    /// A stored value does not have its form.
    #[error("store: {what} cannot be read: {source}")]
    Unreadable {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// The store is stopping.
    #[error("store: stopped")]
    Stopped,
}

/// What a call of the store gives.
pub(crate) type Stored<T> = Result<T, StoreError>;

/// Somebody of the team.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// The identity of the certificate's key.
    pub(crate) id: Sha256,
    /// Name and signing key.
    pub(crate) key: OperatorKey,
    /// Whether it is shut out.
    pub(crate) revoked: bool,
}

impl Operator {
    /// Returns the name as the team knows it.
    pub(crate) fn name(&self) -> &str {
        &self.key.name
    }
}

/// An agent with what only the hub knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) agent: Agent,
    /// When it joined.
    pub(crate) enrolled: Timestamp,
    /// Whether it is shut out.
    pub(crate) revoked: bool,
    /// Since when it was silent when that was last alerted.
    pub(crate) silent_from: Option<Timestamp>,
}

/// Who found something, as its alert says: an agent, or an operator in a file of packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finder<'a> {
    pub(crate) agent: AgentId,
    pub(crate) host: &'a Untrusted,
    pub(crate) agency: &'a str,
    pub(crate) capture: Option<&'a Capture>,
}

impl Host {
    /// Returns the agent as the one who found something.
    pub(crate) fn finder(&self) -> Finder<'_> {
        let Agent { id, host, agency, .. } = &self.agent;
        Finder { agent: *id, host, agency, capture: None }
    }
}

/// A file of packets of which alerts were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CaptureRow {
    pub(crate) capture: Capture,
    pub(crate) incident: IncidentId,
    /// As its alerts name it.
    pub(crate) host: Untrusted,
    pub(crate) agency: String,
    /// How many alerts it has.
    pub(crate) alerts: u64,
    /// How many it had when the timeline last told of it; none before that.
    pub(crate) told: Option<u64>,
    /// What was told of the whole file then.
    #[serde(default)]
    pub(crate) end: Option<CaptureEnd>,
}

/// An enrolment token as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct TokenRow {
    pub(crate) hash: Sha256,
    pub(crate) agency: String,
    pub(crate) by: String,
    pub(crate) expires: Timestamp,
    pub(crate) used_by: Option<AgentId>,
}

/// An incident without what hangs on it.
#[derive(Debug, Clone)]
pub(crate) struct IncidentRow {
    pub(crate) id: IncidentId,
    pub(crate) title: Words,
    pub(crate) status: IncidentStatus,
    pub(crate) opened: Timestamp,
    pub(crate) opened_by: String,
    pub(crate) revision: u64,
}

/// An order as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct OrderRow {
    pub(crate) id: OrderId,
    pub(crate) run: RunId,
    pub(crate) nonce: Nonce,
    /// Its index in the mandate.
    pub(crate) place: u32,
    pub(crate) allowed: Allowed,
    /// Who signed for it.
    pub(crate) by: String,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    /// The answer; an order without one is open.
    pub(crate) receipt: Option<Receipt>,
}

/// A record as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventRow<'a> {
    pub(crate) agent: AgentId,
    pub(crate) mark: Mark,
    /// As the hub computed it.
    pub(crate) hash: Sha256,
    pub(crate) body: &'a str,
    pub(crate) received: Timestamp,
}

/// A mandate as it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MandateRow<'a> {
    pub(crate) run: RunId,
    pub(crate) nonce: Nonce,
    pub(crate) signed: &'a Signed,
    /// Who gave it.
    pub(crate) by: &'a str,
    pub(crate) added: Timestamp,
}

/// The pack that is offered.
#[derive(Debug, Clone)]
pub(crate) struct PackRow {
    pub(crate) version: u64,
    pub(crate) sha256: Sha256,
    pub(crate) signed: Signed,
}

/// Which alerts are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) status: Option<Status>,
    /// Last seen at or after this.
    pub(crate) since: Option<Timestamp>,
    pub(crate) limit: u32,
}

/// One line of what was done with an alert.
#[derive(Debug, Clone)]
pub(crate) struct HistoryLine {
    pub(crate) alert: AlertId,
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    pub(crate) status: Status,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) reason: Option<String>,
}

/// Reads one state of the store.
pub(crate) trait Read {
    /// The newest revision.
    fn revision(&self) -> Stored<u64>;

    /// Everybody who was ever admitted, by name.
    fn operators(&self) -> Stored<Vec<Operator>>;
    /// One of them.
    fn operator(&self, id: &Sha256) -> Stored<Option<Operator>>;
    /// One agent.
    fn host(&self, id: AgentId) -> Stored<Option<Host>>;
    /// Every agent.
    fn hosts(&self) -> Stored<Vec<Host>>;
    /// A token by the hash of its secret.
    fn token(&self, hash: &Sha256) -> Stored<Option<TokenRow>>;

    /// How far a lane is stored; 0 is nothing.
    fn acked(&self, agent: AgentId, epoch: Nonce) -> Stored<u64>;
    /// The hashes that are stored under one number.
    fn event_hashes(&self, agent: AgentId, mark: Mark) -> Stored<Vec<Sha256>>;

    /// One alert.
    fn alert(&self, id: AlertId) -> Stored<Option<Alert>>;
    /// The alert of a merge key.
    fn alert_by_key(&self, key: &Sha256) -> Stored<Option<Alert>>;
    /// Alerts in triage order.
    fn alerts(&self, filter: &Filter) -> Stored<Vec<Alert>>;
    /// Alerts above a revision, in its order.
    fn changes(&self, after: u64, limit: u32) -> Stored<Vec<Alert>>;
    /// The alerts of an incident, by number.
    fn alerts_of(&self, incident: IncidentId) -> Stored<Vec<Alert>>;

    /// One file of packets, by the digest of its bytes.
    fn capture(&self, sha256: &Sha256) -> Stored<Option<CaptureRow>>;

    /// One incident.
    fn incident(&self, id: IncidentId) -> Stored<Option<IncidentRow>>;
    /// Incidents, newest first.
    fn incidents(&self, limit: u32) -> Stored<Vec<IncidentRow>>;
    /// An incident's timeline, oldest first.
    fn timeline(&self, id: IncidentId) -> Stored<Vec<Entry>>;
    /// An incident's evidence with its custody.
    fn evidence_of(&self, id: IncidentId) -> Stored<Vec<Evidence>>;
    /// One piece of evidence with its custody.
    fn evidence(&self, id: EvidenceId) -> Stored<Option<Evidence>>;

    /// One run.
    fn run(&self, id: RunId) -> Stored<Option<Run>>;
    /// Runs, newest first.
    fn runs(&self, limit: u32) -> Stored<Vec<Run>>;
    /// The runs of an incident, oldest first.
    fn runs_of(&self, id: IncidentId) -> Stored<Vec<Run>>;
    /// All that happened to a run, oldest first.
    fn inputs(&self, id: RunId) -> Stored<Vec<Input>>;
    /// The run to which a mandate belongs.
    fn mandate_run(&self, nonce: Nonce) -> Stored<Option<RunId>>;
    /// The newest mandate of a run and who gave it.
    fn newest_mandate(&self, run: RunId) -> Stored<Option<(Signed, String)>>;
    /// One order.
    fn order(&self, id: OrderId) -> Stored<Option<OrderRow>>;
    /// The newest orders to scan.
    fn scan_orders(&self, limit: u32) -> Stored<Vec<OrderRow>>;
    /// The first order to stop a scan.
    fn stop_order(&self, scan: OrderId) -> Stored<Option<OrderRow>>;
    /// An agent's orders that wait for an answer and are still worth something, oldest first, up to about so many
    /// bytes of mandates but at least one.
    fn open_orders(&self, agent: AgentId, now: Timestamp, bytes: usize) -> Stored<Vec<Order>>;
    /// Open orders that expired before a moment.
    fn expired_orders(&self, before: Timestamp) -> Stored<Vec<OrderRow>>;

    /// The version of the newest pack; 0 is none.
    fn pack_version(&self) -> Stored<u64>;
    /// The newest pack.
    fn pack(&self) -> Stored<Option<PackRow>>;
}

/// Changes the store; everything inside one transaction, kept or dropped as a whole.
pub(crate) trait Write: Read {
    /// Takes the next revision.
    fn next_revision(&mut self) -> u64;
    /// Wakes the agents that wait for orders once this is committed.
    fn wake_orders(&mut self);

    /// Adds an agent or replaces what is known of it.
    fn put_host(&mut self, host: &Host) -> Stored<()>;
    /// Counts a record of an agent that could not be read.
    fn count_unreadable(&mut self, agent: AgentId) -> Stored<()>;
    /// Keeps a token.
    fn put_token(&mut self, token: &TokenRow) -> Stored<()>;
    /// Uses a token up.
    fn use_token(&mut self, hash: &Sha256, by: AgentId, now: Timestamp) -> Stored<()>;

    /// Moves the end of a lane.
    fn set_acked(&mut self, agent: AgentId, mark: Mark) -> Stored<()>;
    /// Keeps a record as it came; the same number and hash again is nothing.
    fn put_event(&mut self, event: &EventRow<'_>) -> Stored<()>;

    /// Keeps a new alert and gives it its number.
    fn add_alert(&mut self, key: &Sha256, alert: &mut Alert) -> Stored<()>;
    /// Replaces an alert.
    fn put_alert(&mut self, alert: &Alert) -> Stored<()>;
    /// Remembers what was done with an alert.
    fn add_history(&mut self, line: &HistoryLine) -> Stored<()>;

    /// Keeps a file of packets, or what is known of it now.
    fn put_capture(&mut self, capture: &CaptureRow) -> Stored<()>;

    /// Opens an incident under the next number of a year.
    fn add_incident(&mut self, year: i16, incident: &mut IncidentRow) -> Stored<()>;
    /// Closes an incident or opens it again.
    fn set_incident_status(&mut self, id: IncidentId, status: IncidentStatus) -> Stored<()>;
    /// Gives an incident a revision.
    fn touch_incident(&mut self, id: IncidentId, revision: u64) -> Stored<()>;
    /// Writes in an incident's timeline.
    fn add_entry(&mut self, id: IncidentId, entry: &Entry) -> Stored<()>;

    /// Adds a run or replaces it.
    fn put_run(&mut self, run: &Run) -> Stored<()>;
    /// Remembers what happened to a run.
    fn add_input(&mut self, run: RunId, input: &Input, who: &str, at: Timestamp) -> Stored<()>;
    /// Keeps a mandate.
    fn add_mandate(&mut self, mandate: &MandateRow<'_>) -> Stored<()>;
    /// Keeps an order; the same order again is nothing.
    fn add_order(&mut self, order: &OrderRow) -> Stored<()>;
    /// Keeps the answer to an order.
    fn close_order(&mut self, receipt: &Receipt) -> Stored<()>;
    /// Puts an answer in the place of the one that is kept.
    fn replace_receipt(&mut self, receipt: &Receipt) -> Stored<()>;

    /// Keeps evidence and its custody record so far.
    fn add_evidence(&mut self, evidence: &Evidence) -> Stored<()>;
    /// Goes on with a custody record.
    fn add_custody(&mut self, evidence: EvidenceId, custody: &Custody) -> Stored<()>;

    /// Keeps a pack.
    fn put_pack(&mut self, pack: &PackRow, by: &str, now: Timestamp) -> Stored<()>;
}
