//! What the team triages. Field names are stable: `--json` prints this type as it is.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    AgentId, AlertId, IncidentId, RuleId, Severity, Sha256, Timestamp, Untrusted,
    capture::Capture,
    conduct::Also,
    detection::builtin,
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
    /// The agent that reported it; [`AgentId::NONE`] where `capture` is told. Ask [`Alert::reporter`].
    pub agent: AgentId,
    /// That agent's host name. Of a file of packets the host that the operator named, else the name of the file.
    pub host: Untrusted,
    /// The agency to which the host belongs; of a file of packets the agency of its incident.
    pub agency: String,
    /// The file of packets in which an operator found it; such an alert has no agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// The file's path.
    pub path: Option<Untrusted>,
    /// The file's SHA-256.
    pub sha256: Option<Sha256>,
    /// The file's inode.
    pub file: Option<FileFacts>,
    /// Who wrote the file.
    pub process: Option<Process>,
    /// The flow; the newest one, if there are several.
    pub flow: Option<FlowFacts>,
    /// Other flows of an alert about how traffic goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<FlowFacts>,
    /// What was seen, for an alert about an agent, about deeds or about how traffic goes: safe to show, as it is in both
    /// languages.
    #[serde(default, deserialize_with = "some_words")]
    pub what: Option<Words>,
    /// Who and what else was counted into an alert of behaviour; `process` and `what` name the first.
    #[serde(default, skip_serializing_if = "Also::is_empty")]
    pub also: Also,
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
    /// Tells whether it is about a time in which an agent, or one of its senses, saw nothing.
    #[must_use]
    pub fn is_blindness(&self) -> bool {
        [builtin::SENSOR_BLIND, builtin::AGENT_SILENT].contains(&self.rule.as_str())
    }

    /// Returns the agent that reported it; none for what was found in a file of packets.
    #[must_use]
    pub fn reporter(&self) -> Option<AgentId> {
        self.capture.is_none().then_some(self.agent)
    }

    /// Returns the host that it is about; none for a file of packets of which nobody said where it was taken.
    #[must_use]
    pub fn system(&self) -> Option<&Untrusted> {
        let is_file = self.capture.as_ref().is_some_and(|capture| capture.name == self.host);
        (!is_file).then_some(&self.host)
    }

    /// Returns when the team could know of it, from which legal clocks count: by the agent's first detection, of a file of
    /// packets when it was looked at, however old its packets are.
    #[must_use]
    pub fn detected(&self) -> Timestamp {
        if self.capture.is_some() { self.received } else { self.first_seen }
    }

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
