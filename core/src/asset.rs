//! The hosts and what their agents can see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AgentId, Timestamp, Untrusted, event::ScanOutcome, reason::Reason};

/// Stands for the agency of an agent until somebody names it; reports leave it out.
pub const NO_AGENCY: &str = "–";

/// What an agent says of its host. Data, never identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Host name.
    pub host: Untrusted,
    /// Operating system and kernel, for people.
    pub os: Untrusted,
    /// The agent's version.
    pub version: String,
}

/// Which sense of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensor {
    /// Watches files.
    File,
    /// Watches packets.
    Network,
    /// Scans in a sandboxed worker.
    Scan,
    /// Compares files with what they were.
    Integrity,
    /// Judges what is done to files: web roots, mass encryption.
    Behaviour,
}

/// How much of a scope a sensor sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// All that this sensor can see.
    Full,
    /// Less than that; the reason says why.
    Reduced,
    /// Nothing.
    Blind,
}

/// What one sensor sees of one scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Which sensor.
    pub sensor: Sensor,
    /// A folder or an interface.
    pub scope: Untrusted,
    /// The back end at work: `fanotify`, `notify`, `af_packet`, `sandbox`, or `none`.
    pub backend: String,
    /// How much it sees.
    pub sight: Sight,
    /// Why it sees less.
    pub reason: Option<Reason>,
}

/// An agent's state as it reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// What it sees.
    pub coverage: Vec<Coverage>,
    /// Records in its spool that the hub has not acknowledged.
    pub backlog: u64,
    /// Scans since start, by outcome.
    pub scans: BTreeMap<ScanOutcome, u64>,
    /// Packets seen since start.
    pub packets: u64,
    /// Packets the kernel or the agent dropped since start.
    pub packets_dropped: u64,
    /// Version of the loaded rule pack; 0 is none.
    pub pack: u64,
    /// Resident memory in bytes, agent and workers.
    pub memory: u64,
    /// The last walk over all watched files, or the one that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk: Option<WalkProgress>,
    /// What is compared with what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<IntegrityState>,
}

/// What an agent compares with what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrityState {
    /// Since when it is compared.
    pub since: Timestamp,
    /// When all of it was last looked at.
    pub looked: Option<Timestamp>,
    /// How many files, links and folders.
    pub files: u64,
    /// Of those and the folders with them, how many cannot be read.
    pub unread: u64,
    /// Changes since start that are as the package manager says, so that they are no alerts.
    pub packaged: u64,
    /// The names of the groups that have files.
    pub groups: Vec<String>,
}

/// How far an agent's walk over all watched files is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkProgress {
    /// When it began.
    pub since: Timestamp,
    /// When it ended; none while it goes on.
    pub ended: Option<Timestamp>,
    /// Files looked at so far.
    pub looked: u64,
    /// About how many there are; 0 while they are still counted.
    pub of: u64,
    /// Of those looked at, the ones that were scanned: the others are as they were when they were found clean.
    pub scanned: u64,
    /// Folders that could not be read.
    pub unread: u64,
    /// The version of the rule pack that is scanned with.
    pub pack: u64,
}

impl WalkProgress {
    /// Returns one that has just begun.
    #[must_use]
    pub fn begun(since: Timestamp) -> Self {
        Self { since, ended: None, looked: 0, of: 0, scanned: 0, unread: 0, pack: 0 }
    }
}

/// Whether an agent can be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It reports.
    Online,
    /// It said that it stops.
    Stopped,
    /// It stopped reporting without a word.
    Silent,
}

/// An agent as the hub knows it. `khien agent list --json` prints this type as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its identity.
    pub id: AgentId,
    /// Its host name.
    pub host: Untrusted,
    /// Its agency, given by the operator who made its enrolment token.
    pub agency: String,
    /// Operating system and kernel.
    pub os: Untrusted,
    /// Its version.
    pub version: String,
    /// Whether it can be heard.
    pub presence: Presence,
    /// When the hub last heard it.
    pub last_seen: Timestamp,
    /// Its last health report.
    #[serde(flatten)]
    pub health: Health,
}
