//! The incident: what the team works on, from the first alert to the signed report.

use serde::{Deserialize, Serialize};

use crate::{
    AlertId, IncidentId, Severity, Timestamp,
    evidence::Evidence,
    run::RunSummary,
    text::{Words, words_or_text},
};

/// An incident. `khien incident show --json` prints this type as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number in the ledger.
    pub id: IncidentId,
    /// What it is about: as somebody typed it, or the first alert's title in both languages.
    #[serde(deserialize_with = "words_or_text")]
    pub title: Words,
    /// Where it stands.
    pub status: IncidentStatus,
    /// The highest severity of its alerts.
    pub severity: Severity,
    /// The agencies concerned, by name.
    pub agencies: Vec<String>,
    /// T0 of the legal clocks: when the first of its alerts was [detected](crate::alert::Alert::detected).
    pub detected: Timestamp,
    /// When it was opened.
    pub opened: Timestamp,
    /// Who opened it.
    pub opened_by: String,
    /// Its alerts.
    pub alerts: Vec<AlertId>,
    /// All that happened, oldest first.
    pub timeline: Vec<Entry>,
    /// Evidence taken for it.
    pub evidence: Vec<Evidence>,
    /// Playbook runs.
    pub runs: Vec<RunSummary>,
    /// Grows with every change at the hub.
    pub revision: u64,
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// The team works on it.
    Open,
    /// Done.
    Closed,
}

impl IncidentStatus {
    /// Decides whether an incident may go from here to there: closing and reopening, never to where it is.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        matches!((self, to), (Self::Open, Self::Closed) | (Self::Closed, Self::Open))
    }
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: an operator's name, `agent HOST`, or `hub`.
    pub who: String,
    /// What kind of thing.
    pub kind: EntryKind,
    /// The details: what a person typed is the same in both languages, what the program says is in each.
    #[serde(deserialize_with = "words_or_text")]
    pub text: Words,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A first detection of an alert of this incident.
    Detected,
    /// The incident was opened.
    Opened,
    /// An alert was added.
    AlertAdded,
    /// Somebody wrote a note.
    Note,
    /// A playbook run began.
    RunStarted,
    /// A person must decide.
    ApprovalAsked,
    /// A person decided for it.
    Approved,
    /// A person decided against it.
    Refused,
    /// A step ended well.
    StepDone,
    /// A step failed.
    StepFailed,
    /// A run ended.
    RunEnded,
    /// A person asked to undo a run.
    UndoAsked,
    /// Evidence was stored.
    EvidenceStored,
    /// A file of packets was looked at.
    CaptureScanned,
    /// A report was drafted.
    ReportDrafted,
    /// The incident was closed.
    Closed,
    /// The incident was opened again.
    Reopened,
}
