//! One finding of one agent, and the key by which equal findings become one alert.

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, RuleId, Sha256, Timestamp, Untrusted,
    conduct::Conduct,
    event::{Excerpt, FileFacts, FlowFacts, Inside, Process},
    text::{Message, Words},
};

mod traffic;

pub use traffic::{MAX_FLOWS, Pattern, TrafficSubject};

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
    /// In a process that runs.
    Process(ProcessSubject),
    /// In how traffic goes.
    Traffic(TrafficSubject),
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

/// A process about which, or in whose memory, something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSubject {
    /// Which, as it was then.
    pub process: Process,
    /// Where in its memory: rights, addresses and name of the region. Empty if it is about the process as a whole.
    #[serde(default, skip_serializing_if = "Inside::is_empty")]
    pub inside: Inside,
    /// Of its program, if that was read.
    pub sha256: Option<Sha256>,
    /// The bytes around the matches; offsets are addresses in its memory.
    pub excerpts: Vec<Excerpt>,
}

/// The most bytes of a program's path that are shown.
const MAX_PROGRAM: usize = 256;
/// A process: id, program.
const PROCESS: Message = Message::new("tiến trình {} {}", "process {} {}");
/// A place in its memory: id, program, region.
const REGION: Message = Message::new("tiến trình {} {}, vùng nhớ {}", "process {} {}, memory {}");

impl ProcessSubject {
    /// Says which process, and where in it.
    #[must_use]
    pub fn words(&self) -> Words {
        let exe = self.process.exe.as_ref().map_or_else(String::new, |exe| shown(exe.raw()));
        let pid = self.process.pid;
        match self.inside.is_empty() {
            true => PROCESS.words_with(&[&pid, &exe]),
            false => REGION.words_with(&[&pid, &exe, &self.inside.to_string()]),
        }
    }
}

fn shown(path: &[u8]) -> String {
    Untrusted::cut(path, MAX_PROGRAM).to_string()
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
/// same rule, same agent, same two hosts, service and name. Ephemeral client ports do not make a new alert, nor do other
/// processes of the same program.
#[must_use]
pub fn merge_key(agent: AgentId, rule: &RuleId, subject: &Subject) -> Sha256 {
    let what = match subject {
        Subject::File(f) => format!("file\0{}", f.path),
        Subject::Flow(f) => {
            let FlowFacts { client, server, transport, name, url, listed, .. } = &f.flow;
            // As it was before anything could be listed beside names, so that old alerts go on.
            let listed = listed.as_ref().map(|l| format!("\0{l}")).unwrap_or_default();
            format!("flow\0{transport:?}\0{}\0{server}\0{name:?}\0{url:?}{listed}", client.ip())
        }
        // Each content that a file was given is an alert of its own: a later change must not hide an earlier one.
        Subject::Conduct(ConductSubject { what: Conduct::Integrity(_), path, sha256, diff, .. }) => {
            format!("integrity\0{path}\0{sha256:?}\0{diff:?}")
        }
        Subject::Conduct(c) => format!("conduct\0{}", c.path),
        Subject::Process(p) => format!("process\0{:?}", p.process.exe),
        Subject::Traffic(t) => t.key(),
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
    /// A process runs a program that was removed from a folder for short-lived files.
    pub const PROCESS_DELETED: &str = "khien.process.deleted";
    /// A process runs a program that was never a file on a disk.
    pub const PROCESS_MEMFD: &str = "khien.process.memfd";
    /// A program was put into the memory of a process past the loader.
    pub const PROCESS_ELF: &str = "khien.process.elf";
    /// One client tried one port of many servers.
    pub const NET_SCAN_HORIZONTAL: &str = "khien.net.scan_horizontal";
    /// One client tried many ports of one server.
    pub const NET_SCAN_VERTICAL: &str = "khien.net.scan_vertical";
    /// One client logged in again and again.
    pub const NET_BRUTE_FORCE: &str = "khien.net.brute_force";
    /// A host calls a place outside at regular times.
    pub const NET_BEACON: &str = "khien.net.beacon";
    /// A host sent much more than usual to one server outside.
    pub const NET_EXFILTRATION: &str = "khien.net.exfiltration";
    /// A host carries data in the names that it asks for.
    pub const NET_DNS_TUNNEL: &str = "khien.net.dns_tunnel";
    /// A host of a zone spoke to somebody outside for the first time.
    pub const NET_FIRST_SEEN: &str = "khien.net.first_seen";
    /// A host of a zone spoke to somebody to whom its zone may not speak.
    pub const NET_NOT_ALLOWED: &str = "khien.net.not_allowed";
    /// A file share or a remote desktop was used from one zone to another.
    pub const NET_EAST_WEST: &str = "khien.net.east_west";
    /// Packets between two hosts say one thing to a sensor and another to the host.
    pub const NET_EVASION: &str = "khien.net.evasion";
    /// Every built-in detector.
    pub const ALL: [&str; 21] = [
        AGENT_SILENT,
        ORDER_REFUSED,
        PACK_REFUSED,
        SENSOR_BLIND,
        SCAN_FAILED,
        SCAN_KILLED,
        EVENT_FORK,
        AGENT_FLOOD,
        PROCESS_DELETED,
        PROCESS_MEMFD,
        PROCESS_ELF,
        NET_SCAN_HORIZONTAL,
        NET_SCAN_VERTICAL,
        NET_BRUTE_FORCE,
        NET_BEACON,
        NET_EXFILTRATION,
        NET_DNS_TUNNEL,
        NET_FIRST_SEEN,
        NET_NOT_ALLOWED,
        NET_EAST_WEST,
        NET_EVASION,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, exe: &str) -> ProcessSubject {
        let process = Process { exe: Some(exe.into()), ..Process::unknown(pid) };
        ProcessSubject { process, inside: Inside::default(), sha256: None, excerpts: Vec::new() }
    }

    #[test]
    fn a_process_is_named_with_its_region_and_a_hostile_name_stays_text() {
        let whole = process(7, "/tmp/a\u{1b}[2J (deleted)");
        let region = Inside::new(vec!["rwxp 7f00-8f00".into()]);
        let part = ProcessSubject { inside: region, ..whole.clone() };

        assert_eq!(whole.words().vi, "tiến trình 7 /tmp/a\\u{1b}[2J (deleted)");
        assert_eq!(part.words().en, "process 7 /tmp/a\\u{1b}[2J (deleted), memory rwxp 7f00-8f00");
    }

    #[test]
    fn processes_of_one_program_are_one_alert() {
        let key = |subject: ProcessSubject| {
            let rule = builtin::PROCESS_MEMFD.parse().unwrap();
            merge_key(AgentId([7; 32]), &rule, &Subject::Process(subject))
        };

        assert_eq!(key(process(7, "/tmp/a")), key(process(8, "/tmp/a")));
        assert_ne!(key(process(7, "/tmp/a")), key(process(7, "/tmp/b")));
    }

    #[test]
    fn what_is_found_in_a_process_comes_back_from_json() {
        let subject = Subject::Process(process(7, "/tmp/a"));

        let json = serde_json::to_string(&subject).unwrap();

        assert!(json.starts_with(r#"{"kind":"process","process":{"pid":7,"#), "{json}");
        assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
    }
}
