//! One finding of one agent, and the key by which equal findings become one alert.

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, RuleId, Sha256, Timestamp, Untrusted,
    conduct::Conduct,
    event::{Excerpt, FileFacts, FlowFacts, Process},
};

/// What an agent found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// The rule, indicator list or built-in detector that matched.
    pub rule: RuleId,
    /// When, by the agent's clock.
    pub at: Timestamp,
    /// The version of the rule pack that was loaded.
    pub pack: u64,
    /// Where it was found.
    pub subject: Subject,
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// In a file.
    File(FileSubject),
    /// In traffic.
    Flow(FlowSubject),
    /// In what was done to files.
    Conduct(ConductSubject),
    /// In the conduct or the health of an agent itself.
    Agent(AgentSubject),
}

/// A file in which something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSubject {
    /// Its absolute path.
    pub path: Untrusted,
    /// The SHA-256 of the bytes that were scanned.
    pub sha256: Sha256,
    /// Its inode.
    pub file: FileFacts,
    /// Who wrote it, where the kernel told.
    pub process: Option<Process>,
    /// The bytes around the matches.
    pub excerpts: Vec<Excerpt>,
}

/// A flow in which something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSubject {
    /// The flow.
    pub flow: FlowFacts,
    /// The bytes around the matches.
    pub excerpts: Vec<Excerpt>,
}

/// Something done to files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConductSubject {
    /// The absolute path of the file, or of the folder in which it was done.
    pub path: Untrusted,
    /// What was done.
    pub what: Conduct,
    /// The file's inode as it is now, if it is there.
    pub file: Option<FileFacts>,
    /// Of its content now, if that was read.
    pub sha256: Option<Sha256>,
    /// Who did it, where the kernel told.
    pub process: Option<Process>,
    /// What changed in a text: lines that begin with `-` or `+`.
    pub diff: Option<Untrusted>,
}

/// The most bytes of a [`diff`](ConductSubject::diff).
pub const MAX_DIFF: usize = 4 << 10;

/// Something about an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSubject {
    /// What was seen, for a person to read, in stable English words.
    pub what: Untrusted,
}

/// Returns the key by which detections of one thing are counted as one alert: same rule, same agent, same file; or
/// same rule, same agent, same two hosts, service and name. Ephemeral client ports do not make a new alert.
#[must_use]
pub fn merge_key(agent: AgentId, rule: &RuleId, subject: &Subject) -> Sha256 {
    let what = match subject {
        Subject::File(f) => format!("file\0{}", f.path),
        Subject::Flow(f) => {
            let FlowFacts { client, server, transport, name, url, .. } = &f.flow;
            format!("flow\0{transport:?}\0{}\0{server}\0{name:?}\0{url:?}", client.ip())
        }
        // Each content that a file was given is an alert of its own: a later change must not hide an earlier one.
        Subject::Conduct(ConductSubject { what: Conduct::Integrity(_), path, sha256, diff, .. }) => {
            format!("integrity\0{path}\0{sha256:?}\0{diff:?}")
        }
        Subject::Conduct(c) => format!("conduct\0{}", c.path),
        Subject::Agent(a) => format!("agent\0{}", a.what),
    };
    Sha256::of(format!("{agent}\0{rule}\0{what}").as_bytes())
}

/// The built-in detectors of agent and hub. Rules of packs never begin with `khien.`.
pub mod builtin {
    /// An agent stopped reporting.
    pub const AGENT_SILENT: &str = "khien.agent.silent";
    /// An agent refused an order.
    pub const ORDER_REFUSED: &str = "khien.order.refused";
    /// An agent refused a rule pack.
    pub const PACK_REFUSED: &str = "khien.pack.refused";
    /// A sensor lost events for a while.
    pub const SENSOR_BLIND: &str = "khien.sensor.blind";
    /// A file could not be scanned.
    pub const SCAN_FAILED: &str = "khien.scan.failed";
    /// A file killed the scan workers that looked at it.
    pub const SCAN_KILLED: &str = "khien.scan.killed";
    /// An event came twice with different content.
    pub const EVENT_FORK: &str = "khien.event.fork";
    /// An agent sends more than its share.
    pub const AGENT_FLOOD: &str = "khien.agent.flood";
    /// Every built-in detector.
    pub const ALL: [&str; 8] = [
        AGENT_SILENT,
        ORDER_REFUSED,
        PACK_REFUSED,
        SENSOR_BLIND,
        SCAN_FAILED,
        SCAN_KILLED,
        EVENT_FORK,
        AGENT_FLOOD,
    ];
}
