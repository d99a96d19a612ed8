//! Evidence: bytes named by their SHA-256, and who held them when (ISO/IEC 27037: identify, collect, acquire, preserve).

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, EvidenceId, IncidentId, Nonce, OrderId, Sha256, Timestamp, Untrusted, seal::sealed_size,
};

/// The largest file that is taken as evidence, in bytes before it is sealed.
pub const MAX_EVIDENCE: u64 = 64 << 20;
/// The same once it is sealed.
pub const MAX_SEALED: u64 = sealed_size(MAX_EVIDENCE);

/// One piece of evidence of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// SHA-256 of the bytes, computed at the source and again at the hub.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
    /// Where they were.
    pub path: Untrusted,
    /// How they came here.
    #[serde(flatten)]
    pub origin: Origin,
    /// The incident to which they belong.
    pub incident: IncidentId,
    /// Who held them, first to last.
    pub custody: Vec<Custody>,
}

/// How evidence came to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    /// An agent took it.
    Taken {
        /// The agent.
        agent: AgentId,
        /// Its host.
        host: Untrusted,
        /// The order under which it was taken.
        order: OrderId,
    },
    /// A person brought it.
    Brought {
        /// Who.
        by: String,
        /// The upload: random, chosen by the program that sent it, so that the same one sent again is the same evidence.
        upload: Nonce,
    },
}

impl Origin {
    /// Names the evidence among all others: by its order, or else by its upload.
    #[must_use]
    pub fn id(&self) -> EvidenceId {
        match self {
            Self::Taken { order, .. } => (*order).into(),
            Self::Brought { upload, .. } => EvidenceId::brought(*upload),
        }
    }

    /// Says from where it came: the host, or else the person.
    #[must_use]
    pub fn source(&self) -> String {
        match self {
            Self::Taken { host, .. } => host.to_string(),
            Self::Brought { by, .. } => by.clone(),
        }
    }
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
    /// Whether that was after the end of the mandate under which they were taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// What was done with evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustodyAction {
    /// An operator ordered it to be taken.
    Ordered,
    /// The agent read it.
    Collected,
    /// An operator brought it from elsewhere.
    Brought,
    /// The hub received it and hashed it again.
    Received,
    /// An operator took a copy out.
    Exported,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_from_before_a_person_could_bring_some_still_reads_and_is_written_as_it_was() {
        let old = format!(
            r#"{{"sha256":"{}","size":3,"path":"/srv/a.php","agent":"{}","host":"web-1","order":"{}","incident":"SC-2026-0003","custody":[]}}"#,
            "ab".repeat(32),
            "cd".repeat(32),
            "ef".repeat(16)
        );

        let read: Evidence = serde_json::from_str(&old).unwrap();

        assert_eq!((read.origin.id(), read.origin.source()), (EvidenceId([0xef; 16]), "web-1".to_owned()));
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }

    #[test]
    fn evidence_that_a_person_brought_names_no_agent() {
        let origin = Origin::Brought { by: "thu".to_owned(), upload: Nonce([1; 16]) };
        let written = serde_json::to_string(&origin).unwrap();

        assert_eq!(written, format!(r#"{{"by":"thu","upload":"{}"}}"#, "01".repeat(16)));
        assert_eq!(serde_json::from_str::<Origin>(&written).unwrap(), origin);
    }
}
