//! The closed list of what an agent may be told to do, and what it answers. There is no "run this command".

use serde::{Deserialize, Serialize};

use crate::{AgentId, OrderId, Sha256, StepId, Timestamp, Untrusted, reason::Reason, signature::Signed};

mod network;
mod packets;
mod records;
mod scan;

pub use network::{BadNetwork, Network};
pub use packets::{BadPacketTarget, MOST_PACKET_BYTES, MOST_SECONDS, PacketTarget};
pub use records::{
    BadRecordQuery, GapCause, MOST_FOUND, MOST_FOUND_BYTES, MOST_GAPS, RecordGap, RecordQuery, RecordsFound,
    Sought, addresses, name_in, names,
};
pub use scan::{
    BadScanTarget, Counted, MAX_PID, MOST_MISSED, MOST_PROCESSES, MOST_SCANNED, MemoryTarget, Missed,
    ScanEnd, ScanScope, ScanTarget, ScanTotals,
};

/// Stands for the path of a verb that is about none.
static NO_PATH: Untrusted = Untrusted::none();

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
    /// Scan a file, or all files below a folder, whether they are watched or not. It belongs to no playbook.
    ScanPath(ScanTarget),
    /// Scan the memory of processes. It belongs to no playbook.
    ScanMemory(MemoryTarget),
    /// End a scan that was ordered, before it met everything. It belongs to no playbook.
    StopScan {
        /// The order to scan.
        scan: OrderId,
    },
    /// Look something up in the records that are kept of the network. It belongs to no playbook.
    SearchRecords(RecordQuery),
    /// Save packets of the last seconds as evidence. It belongs to no playbook.
    PreservePackets(PacketTarget),
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
            Self::ScanPath(_) => "scan_path",
            Self::ScanMemory(_) => "scan_memory",
            Self::StopScan { .. } => "stop_scan",
            Self::SearchRecords(_) => "search_records",
            Self::PreservePackets(_) => "preserve_packets",
        }
    }

    /// Returns the file that it is about, if it is about one.
    #[must_use]
    pub fn file(&self) -> Option<&FileTarget> {
        match self {
            Self::PreserveFile(f)
            | Self::QuarantineFile(f)
            | Self::VerifyAbsent(f)
            | Self::RestoreFile(f)
            | Self::VerifyPresent(f) => Some(f),
            Self::ScanPath(_)
            | Self::ScanMemory(_)
            | Self::StopScan { .. }
            | Self::SearchRecords(_)
            | Self::PreservePackets(_) => None,
        }
    }

    /// Returns what it has scanned, if it is an order to scan.
    #[must_use]
    pub fn scans(&self) -> Option<ScanScope> {
        match self {
            Self::ScanPath(target) => Some(ScanScope::Files(target.clone())),
            Self::ScanMemory(target) => Some(ScanScope::Memory(target.clone())),
            _ => None,
        }
    }

    /// Tells whether it belongs to no playbook, so that its mandate names none.
    #[must_use]
    pub fn is_of_no_playbook(&self) -> bool {
        self.file().is_none()
    }

    /// Returns the path that it is about; an empty one if it is about none.
    #[must_use]
    pub fn path(&self) -> &Untrusted {
        match self {
            Self::PreserveFile(f)
            | Self::QuarantineFile(f)
            | Self::VerifyAbsent(f)
            | Self::RestoreFile(f)
            | Self::VerifyPresent(f) => &f.path,
            Self::ScanPath(target) => target.path(),
            Self::ScanMemory(_)
            | Self::StopScan { .. }
            | Self::SearchRecords(_)
            | Self::PreservePackets(_) => &NO_PATH,
        }
    }

    /// Tells whether its answer is evidence.
    #[must_use]
    pub fn preserves(&self) -> bool {
        matches!(self, Self::PreserveFile(_) | Self::PreservePackets(_))
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
        /// The evidence that was uploaded before this receipt, for `preserve_file` and `preserve_packets`.
        evidence: Option<Preserved>,
    },
    /// Scanned, for `scan_path` and `scan_memory`; what was found came as alerts.
    Scanned {
        /// Why it ended.
        ended: ScanEnd,
        /// What it met.
        totals: ScanTotals,
    },
    /// Looked through, for `search_records`.
    Searched {
        /// What was found.
        found: Box<RecordsFound>,
    },
    /// Not done; the host is as it was.
    Failed {
        /// Why.
        reason: Reason,
    },
}

impl Outcome {
    /// Tells whether an order with this verb can end so.
    #[must_use]
    pub fn fits(&self, verb: &Verb) -> bool {
        let searches = matches!(verb, Verb::SearchRecords(_));
        match (self, verb.scans()) {
            (Self::Failed { .. }, _) => true,
            (Self::Done { .. }, scope) => scope.is_none() && !searches,
            (Self::Scanned { totals, .. }, scope) => scope.is_some_and(|scope| totals.of == scope.counted()),
            (Self::Searched { .. }, _) => searches,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IncidentId, event::ScanOutcome};

    fn verbs() -> [Verb; 6] {
        let file = FileTarget { path: "/srv/a".into(), sha256: Sha256([1; 32]) };
        [
            Verb::QuarantineFile(file),
            Verb::ScanPath(ScanTarget::new("/srv/www".into(), 7, true).unwrap()),
            Verb::ScanMemory(MemoryTarget::of([812, 4]).unwrap()),
            Verb::StopScan { scan: OrderId([0xcd; 16]) },
            Verb::SearchRecords(
                RecordQuery::new(
                    Sought::Domain("evil.example".into()),
                    (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
                    9,
                )
                .unwrap(),
            ),
            Verb::PreservePackets(
                PacketTarget::new(IncidentId { year: 2026, number: 3 }, 60, 1 << 20).unwrap(),
            ),
        ]
    }

    #[test]
    fn an_order_to_scan_and_its_answer_read_back_as_they_were_written() {
        let outcomes = [(ScanOutcome::Matched, 1), (ScanOutcome::TooLarge, 2)].into();
        let totals = ScanTotals { outcomes, known: 3, gone: 1, ..ScanTotals::default() };
        let outcome = Outcome::Scanned { ended: ScanEnd::Bound, totals };
        let [_, files, memory, stop, ..] = verbs();
        let all = Verb::ScanMemory(MemoryTarget::all());
        let written = |verb: &Verb| serde_json::to_string(verb).unwrap();

        let wire = serde_json::to_string(&(&files, &outcome)).unwrap();

        assert!(
            wire.starts_with(
                r#"[{"verb":"scan_path","file":{"path":"/srv/www","most":7,"again":true}},{"outcome":"scanned","ended":"bound","#
            ),
            "{wire}"
        );
        assert_eq!(serde_json::from_str::<(Verb, Outcome)>(&wire).unwrap(), (files.clone(), outcome));
        assert_eq!(written(&memory), r#"{"verb":"scan_memory","file":{"processes":{"pids":[4,812]}}}"#);
        assert_eq!(written(&all), r#"{"verb":"scan_memory","file":{"processes":"all"}}"#);
        let scan = "cd".repeat(16);
        assert_eq!(written(&stop), format!(r#"{{"verb":"stop_scan","file":{{"scan":"{scan}"}}}}"#));
        assert_eq!((files.path().raw(), files.changes_host()), (&b"/srv/www"[..], false));
    }

    #[test]
    fn every_verb_reads_back_inside_what_a_mandate_allows() {
        for verb in verbs() {
            let allowed = Allowed { step: "scan".parse().unwrap(), agent: AgentId([1; 32]), verb };

            let wire = serde_json::to_string(&allowed).unwrap();

            assert_eq!(serde_json::from_str::<Allowed>(&wire).unwrap(), allowed, "{wire}");
        }
    }

    #[test]
    fn an_order_ends_only_as_its_verb_can_end() {
        let done = Outcome::Done { evidence: None };
        let scanned = |of| Outcome::Scanned { ended: ScanEnd::Whole, totals: ScanTotals::of(of) };
        let (files, processes) = (scanned(Counted::Files), scanned(Counted::Processes));
        let failed = Outcome::Failed { reason: Reason::AgentFailed };
        let searched = Outcome::Searched { found: Box::default() };
        let all = [&done, &files, &processes, &searched, &failed];
        let fits = |verb: &Verb| all.map(|outcome| outcome.fits(verb));

        let [quarantine, path, memory, stop, search, packets] = verbs();

        assert_eq!(fits(&quarantine), [true, false, false, false, true]);
        assert_eq!(fits(&path), [false, true, false, false, true]);
        assert_eq!(fits(&memory), [false, false, true, false, true]);
        assert_eq!(fits(&stop), [true, false, false, false, true]);
        assert_eq!(fits(&search), [false, false, false, true, true]);
        assert_eq!(fits(&packets), [true, false, false, false, true]);
        assert!([&path, &memory, &stop, &search, &packets].iter().all(|v| v.is_of_no_playbook()));
        assert!(packets.preserves() && !search.preserves());
        assert!(!quarantine.is_of_no_playbook());
    }
}
