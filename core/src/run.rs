//! A playbook run as the team sees it; `playbooks::run` decides how it goes on.

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, IncidentId, RunId, Sha256, StepId, Timestamp, Untrusted,
    order::{FileTarget, Outcome},
    text::Words,
};

/// A file on a host on which a run works.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The agent of the host.
    pub agent: AgentId,
    /// The file.
    #[serde(flatten)]
    pub file: FileTarget,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Orders are out.
    Running,
    /// A person must decide.
    WaitingForApproval,
    /// Every step is done.
    Done,
    /// A step failed; nothing goes on by itself.
    Failed,
    /// A person said no.
    Refused,
    /// Undo orders are out.
    Undoing,
    /// Undone.
    Undone,
    /// An undo step failed.
    UndoFailed,
}

impl RunState {
    /// Tells whether something still works or waits.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Running | Self::WaitingForApproval | Self::Undoing)
    }

    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::WaitingForApproval => "waiting_for_approval",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::UndoFailed => "undo_failed",
        }
    }
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The playbook.
    pub playbook: String,
    /// Where it stands.
    pub state: RunState,
}

/// A run, whole. `khien run show --json` prints this type as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The playbook's id.
    pub playbook: String,
    /// SHA-256 of the playbook's text.
    pub playbook_hash: Sha256,
    /// The incident.
    pub incident: IncidentId,
    /// Where it stands.
    pub state: RunState,
    /// On what it works.
    pub targets: Vec<Target>,
    /// Its steps in order, undo steps last.
    pub steps: Vec<StepProgress>,
    /// The approval step that waits for a person.
    pub waiting_for: Option<StepId>,
    /// Whether it has done something that can be undone.
    pub can_undo: bool,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started: Timestamp,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepProgress {
    /// The step.
    pub step: StepId,
    /// What it does.
    pub title: Words,
    /// How far.
    pub state: StepState,
    /// One line for each target that answered.
    pub results: Vec<TargetResult>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not yet.
    Pending,
    /// Orders are out, or a person is asked.
    Active,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Will not be done.
    Skipped,
}

/// What one target answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetResult {
    /// The agent.
    pub agent: AgentId,
    /// The file.
    pub path: Untrusted,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
}
