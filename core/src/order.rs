//! The closed list of what an agent may be told to do, and what it answers. There is no "run this command".

use serde::{Deserialize, Serialize};

use crate::{AgentId, OrderId, Sha256, StepId, Timestamp, Untrusted, reason::Reason, signature::Signed};

/// What an agent may be told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "verb", content = "file", rename_all = "snake_case")]
pub enum Verb {
    /// Copy the file's bytes to the hub as evidence.
    PreserveFile(FileTarget),
    /// Move the file out of its place into the agent's quarantine, so that it can be put back whole.
    QuarantineFile(FileTarget),
    /// Look whether the file is gone from its path.
    VerifyAbsent(FileTarget),
    /// Put a quarantined file back with content, owner, mode, times and extended attributes.
    RestoreFile(FileTarget),
    /// Look whether the file is at its path with its content.
    VerifyPresent(FileTarget),
}

impl Verb {
    /// Returns the stable word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PreserveFile(_) => "preserve_file",
            Self::QuarantineFile(_) => "quarantine_file",
            Self::VerifyAbsent(_) => "verify_absent",
            Self::RestoreFile(_) => "restore_file",
            Self::VerifyPresent(_) => "verify_present",
        }
    }

    /// Returns the file that it is about.
    #[must_use]
    pub fn file(&self) -> &FileTarget {
        match self {
            Self::PreserveFile(f)
            | Self::QuarantineFile(f)
            | Self::VerifyAbsent(f)
            | Self::RestoreFile(f)
            | Self::VerifyPresent(f) => f,
        }
    }

    /// Tells whether it changes the host.
    #[must_use]
    pub fn changes_host(&self) -> bool {
        matches!(self, Self::QuarantineFile(_) | Self::RestoreFile(_))
    }
}

/// A file by place and content. An order for other content at the same path does nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileTarget {
    /// Absolute path.
    pub path: Untrusted,
    /// The content's SHA-256.
    pub sha256: Sha256,
}

/// One thing that a mandate allows: this agent, this verb, this file, for this step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Allowed {
    /// The step of the playbook.
    pub step: StepId,
    /// The agent.
    pub agent: AgentId,
    /// What it may do.
    #[serde(flatten)]
    pub verb: Verb,
}

/// An order on the wire: a signed mandate and which of its entries to carry out now. The hub can add nothing to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The mandate, a signed [`Mandate`](crate::mandate::Mandate).
    pub mandate: Signed,
    /// The index of the entry in the mandate's list.
    pub index: u32,
}

/// What an agent answers, once per order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The order.
    pub order: OrderId,
    /// When it ended, by the agent's clock.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Done, or found done already.
    Done {
        /// The evidence that was uploaded before this receipt, for `preserve_file`.
        evidence: Option<Preserved>,
    },
    /// Not done; the host is as it was.
    Failed {
        /// Why.
        reason: Reason,
    },
}

/// Evidence as the agent took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preserved {
    /// SHA-256 of the bytes.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
    /// Where they were.
    pub path: Untrusted,
    /// When they were read, by the agent's clock.
    pub at: Timestamp,
}
