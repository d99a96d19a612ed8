//! Evidence: bytes named by their SHA-256, and who held them when (ISO/IEC 27037: identify, collect, acquire, preserve).

use serde::{Deserialize, Serialize};

use crate::{AgentId, IncidentId, OrderId, Sha256, Timestamp, Untrusted};

/// The largest file that is taken as evidence.
pub const MAX_EVIDENCE: u64 = 64 << 20;

/// One piece of evidence of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// SHA-256 of the bytes, computed at the source and again at the hub.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
    /// Where they were.
    pub path: Untrusted,
    /// The agent that took them.
    pub agent: AgentId,
    /// That agent's host.
    pub host: Untrusted,
    /// The incident for which they were taken.
    pub incident: IncidentId,
    /// The order under which they were taken.
    pub order: OrderId,
    /// Who held them, first to last.
    pub custody: Vec<Custody>,
}

/// One entry of the custody record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// When, by the clock of the one who acted.
    pub at: Timestamp,
    /// Who: an operator's name, `agent HOST`, or `hub`.
    pub who: String,
    /// What was done.
    pub action: CustodyAction,
    /// With which program and version.
    pub tool: String,
    /// SHA-256 of the bytes as this holder saw them.
    pub sha256: Sha256,
}

/// What was done with evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustodyAction {
    /// An operator ordered it to be taken.
    Ordered,
    /// The agent read it.
    Collected,
    /// The hub received it and hashed it again.
    Received,
    /// An operator took a copy out.
    Exported,
}
