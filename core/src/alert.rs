//! What the team triages. Field names are stable: `--json` prints this type as it is.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    AgentId, AlertId, IncidentId, RuleId, Severity, Sha256, Timestamp, Untrusted,
    event::{Excerpt, FileFacts, FlowFacts, Process},
    text::{Words, words_or_text},
};

/// One alert: all detections of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number.
    pub id: AlertId,
    /// What matched.
    pub rule: RuleId,
    /// A short name of it, in both languages.
    pub title: Words,
    /// How bad.
    pub severity: Severity,
    /// Where the team stands with it.
    pub status: Status,
    /// What the team found, once closed.
    pub verdict: Option<Verdict>,
    /// Why it was closed.
    pub reason: Option<String>,
    /// Who acknowledged or closed it.
    pub by: Option<String>,
    /// The agent that reported it.
    pub agent: AgentId,
    /// That agent's host name.
    pub host: Untrusted,
    /// The agency to which the host belongs.
    pub agency: String,
    /// The file's path.
    pub path: Option<Untrusted>,
    /// The file's SHA-256.
    pub sha256: Option<Sha256>,
    /// The file's inode.
    pub file: Option<FileFacts>,
    /// Who wrote the file.
    pub process: Option<Process>,
    /// The flow.
    pub flow: Option<FlowFacts>,
    /// What was seen, for an alert about an agent: safe to show, as it is in both languages.
    #[serde(default, deserialize_with = "some_words")]
    pub what: Option<Words>,
    /// What changed in a text file, lines that begin with `-` or `+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Untrusted>,
    /// The bytes around the matches.
    pub excerpts: Vec<Excerpt>,
    /// The ATT&CK technique, such as `T1505.003`.
    pub technique: Option<String>,
    /// What it means.
    pub explanation: Words,
    /// What to do next.
    pub next_step: Words,
    /// The first detection, by the agent's clock.
    pub first_seen: Timestamp,
    /// The last detection, by the agent's clock.
    pub last_seen: Timestamp,
    /// When the hub stored the first detection, by the hub's clock.
    pub received: Timestamp,
    /// How many detections.
    pub count: u64,
    /// The incident to which it belongs.
    pub incident: Option<IncidentId>,
    /// Grows with every change at the hub; the newest change has the largest.
    pub revision: u64,
}

/// Reads words that may be absent.
fn some_words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Words>, D::Error> {
    #[derive(Deserialize)]
    struct Kept(#[serde(deserialize_with = "words_or_text")] Words);
    Ok(Option::<Kept>::deserialize(from)?.map(|Kept(words)| words))
}

impl Alert {
    /// Writes the file's path and, if it was found in a file inside that one, the way in.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let path = self.path.as_ref()?;
        let inside = self.file.as_ref().map(|f| &f.inside).filter(|inside| !inside.is_empty());
        Some(inside.map_or_else(|| path.to_string(), |inside| format!("{path} › {inside}")))
    }
}

/// Where the team stands with an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody has looked.
    New,
    /// Somebody is on it.
    Acknowledged,
    /// Done.
    Closed,
}

impl Status {
    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

/// What the team found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The alert was right.
    TruePositive,
    /// The alert was wrong.
    FalsePositive,
}

impl Verdict {
    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TruePositive => "true_positive",
            Self::FalsePositive => "false_positive",
        }
    }
}
