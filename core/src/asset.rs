//! The hosts and what their agents can see.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, OrderId, Timestamp, Untrusted, event::ScanOutcome, order::ScanTotals, reason::Reason,
    time::SignedDuration,
};
pub use records::RecordsState;
pub use uncertain::Uncertain;

mod records;
mod uncertain;

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
    /// The back end at work: `fanotify`, `notify`, `af_packet` (a ring), `packet_socket`, `sandbox`, or `none`.
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
    /// The same since this pack is loaded, if another one was loaded before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scans_with_pack: BTreeMap<ScanOutcome, u64>,
    /// Packets seen since start.
    pub packets: u64,
    /// Packets the kernel or the agent dropped since start.
    pub packets_dropped: u64,
    /// The same and more, by interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wires: Vec<Wire>,
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
    /// The ordered scan that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<ScanProgress>,
    /// What is kept of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<RecordsState>,
}

/// What came by on one interface since the agent started, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wire {
    /// The interface.
    pub interface: Untrusted,
    /// Whether it takes packets for others, too: a mirror port, a gateway.
    pub promiscuous: bool,
    /// Packets, lost ones included.
    pub packets: u64,
    /// Bytes of those that were not lost, as they were on the wire.
    pub bytes: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub kernel: u64,
    /// Packets that the kernel dropped while the agent was too busy to empty the ring.
    pub queue: u64,
    /// Pieces of streams and files that were not scanned because too many waited.
    pub busy: u64,
    /// Pieces of streams and files whose scan did not end.
    pub failed: u64,
    /// Conversations that were forgotten to make room.
    pub evicted: u64,
    /// Entries that detectors forgot to make room: what these would have become is not known.
    pub forgotten: u64,
    /// Flows of which the process was not looked for, because too many were new, and alerts that did not wait for it.
    pub unowned: u64,
    /// Packets that were counted and not looked into: the agent's own, trusted ones, the rest of large encrypted flows.
    pub shunted: u64,
    /// Bytes of them that were not looked into.
    pub shunted_bytes: u64,
    /// What of it was not certain; nothing from agents that do not say it.
    #[serde(skip_serializing_if = "Uncertain::is_none")]
    pub uncertain: Uncertain,
}

impl Wire {
    /// Returns how many packets were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.kernel.saturating_add(self.queue)
    }
}

/// How far a scan is that an operator ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanProgress {
    /// The order.
    pub order: OrderId,
    /// What is scanned; nothing if it is the memory of processes.
    pub path: Untrusted,
    /// When it began.
    pub since: Timestamp,
    /// When it ends at the latest.
    pub until: Timestamp,
    /// What it met so far.
    pub totals: ScanTotals,
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
    /// About when it will end, if it goes on as before; none while that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Of those looked at, the ones that were scanned: the others are as they were when they were found clean.
    pub scanned: u64,
    /// Folders that could not be read.
    pub unread: u64,
    /// The version of the rule pack that is scanned with.
    pub pack: u64,
    /// Of those scanned, the ones that were as they were and had their turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<ReadAgain>,
}

/// The files that a walk reads again though size, times and inode are as they were when they were found clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAgain {
    /// In so many walks all have their turn.
    pub walks: u64,
    /// Files read again so far.
    pub files: u64,
    /// Of those, the ones that hold something else now.
    pub altered: u64,
}

impl WalkProgress {
    /// Returns one that has just begun.
    #[must_use]
    pub fn begun(since: Timestamp) -> Self {
        Self { since, ended: None, looked: 0, of: 0, ends: None, scanned: 0, unread: 0, pack: 0, again: None }
    }

    /// States when it will end if the rest takes as long for each file as those looked at until now.
    pub fn estimate(&mut self, now: Timestamp) {
        let took = now.duration_since(self.since).as_secs_f64();
        let known = self.ended.is_none() && self.looked > 0 && self.of >= self.looked && took > 0.0;
        let left = self.of.saturating_sub(self.looked) as f64 / self.looked.max(1) as f64 * took;
        let left = SignedDuration::try_from_secs_f64(left).ok().filter(|_| known);
        self.ends = left.and_then(|left| now.checked_add(left).ok());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_goes_on_as_before_has_an_end_and_one_that_has_not_begun_has_none() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut walk = WalkProgress { of: 400, ..WalkProgress::begun(at(1_000)) };

        walk.estimate(at(1_010));
        assert_eq!(walk.ends, None, "nothing was looked at yet");
        walk.looked = 100;
        walk.estimate(at(1_010));
        assert_eq!(walk.ends, Some(at(1_040)));
        walk.of = 0;
        walk.estimate(at(1_010));
        assert_eq!(walk.ends, None, "they are still counted");
        (walk.of, walk.ended) = (400, Some(at(1_020)));
        walk.estimate(at(1_020));
        assert_eq!(walk.ends, None, "it ended");
    }
}
