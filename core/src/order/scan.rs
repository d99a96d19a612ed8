//! What may be ordered to be scanned, and what an agent says at the end of such a scan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Untrusted, event::ScanOutcome};

/// The most files that one order may have scanned.
pub const MOST_SCANNED: u64 = 10_000_000;
/// The most processes that one order may name.
pub const MOST_PROCESSES: usize = 64;
/// No kernel gives a higher process id (`PID_MAX_LIMIT`).
pub const MAX_PID: u32 = 1 << 22;
/// So much of what was not scanned is named; the rest is counted.
pub const MOST_MISSED: usize = 16;
/// The longest path that the kernel opens, in bytes.
const MAX_PATH: usize = 4_096;
/// The longest path that is named of what was not scanned, in bytes; the rest is cut.
const MAX_NAMED: usize = 256;

/// What is scanned by order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ScanScope {
    /// Files.
    Files(ScanTarget),
    /// The memory of processes.
    Memory(MemoryTarget),
}

impl ScanScope {
    /// Returns what is counted.
    #[must_use]
    pub fn counted(&self) -> Counted {
        match self {
            Self::Files(_) => Counted::Files,
            Self::Memory(_) => Counted::Processes,
        }
    }
}

/// What to scan, and how much of it at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ScanTargetText")]
pub struct ScanTarget {
    path: Untrusted,
    most: u64,
    again: bool,
}

/// A [`ScanTarget`] as it is written.
#[derive(Deserialize)]
struct ScanTargetText {
    path: Untrusted,
    most: u64,
    #[serde(default)]
    again: bool,
}

/// Why something cannot be scanned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScanTarget {
    /// Another path.
    #[error("the path to scan must be absolute and plain, without `..`, at most {MAX_PATH} bytes long")]
    Path,
    /// No files or too many.
    #[error("the most files to scan must be 1 to {MOST_SCANNED}")]
    Most,
    /// No processes, too many, or one that cannot be.
    #[error("1 to {MOST_PROCESSES} processes must be named, by ids of 1 to {MAX_PID}")]
    Processes,
}

impl ScanTarget {
    /// Takes an absolute path, the most files that are looked at, and whether files are scanned `again` that are as they
    /// were when they were found clean.
    ///
    /// # Errors
    /// [`BadScanTarget`].
    pub fn new(path: Untrusted, most: u64, again: bool) -> Result<Self, BadScanTarget> {
        let raw = path.raw();
        let is_plain = raw.first() == Some(&b'/') && raw.len() <= MAX_PATH && !raw.contains(&0);
        if !is_plain || raw.split(|b| *b == b'/').any(|part| part == b"..") {
            return Err(BadScanTarget::Path);
        }
        match (1..=MOST_SCANNED).contains(&most) {
            true => Ok(Self { path, most, again }),
            false => Err(BadScanTarget::Most),
        }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Untrusted {
        &self.path
    }

    /// Returns the most files that are looked at.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Tells whether files are scanned that are as they were when they were found clean.
    #[must_use]
    pub fn again(&self) -> bool {
        self.again
    }
}

impl TryFrom<ScanTargetText> for ScanTarget {
    type Error = BadScanTarget;

    fn try_from(text: ScanTargetText) -> Result<Self, BadScanTarget> {
        Self::new(text.path, text.most, text.again)
    }
}

/// Which processes to scan the memory of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "MemoryTargetText")]
pub struct MemoryTarget {
    processes: Processes,
}

/// A [`MemoryTarget`] as it is written.
#[derive(Deserialize)]
struct MemoryTargetText {
    processes: Processes,
}

/// That all are wanted is said: an empty list is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Processes {
    All,
    Pids(BTreeSet<u32>),
}

impl MemoryTarget {
    /// Takes every process.
    #[must_use]
    pub fn all() -> Self {
        Self { processes: Processes::All }
    }

    /// Takes the processes with these ids.
    ///
    /// # Errors
    /// [`BadScanTarget::Processes`].
    pub fn of(pids: impl IntoIterator<Item = u32>) -> Result<Self, BadScanTarget> {
        let pids: BTreeSet<u32> = pids.into_iter().collect();
        let are_good = pids.iter().all(|pid| (1..=MAX_PID).contains(pid));
        match are_good && (1..=MOST_PROCESSES).contains(&pids.len()) {
            true => Ok(Self { processes: Processes::Pids(pids) }),
            false => Err(BadScanTarget::Processes),
        }
    }

    /// Returns the ids that are named; none if it is every process.
    #[must_use]
    pub fn pids(&self) -> Option<&BTreeSet<u32>> {
        match &self.processes {
            Processes::All => None,
            Processes::Pids(pids) => Some(pids),
        }
    }
}

impl TryFrom<MemoryTargetText> for MemoryTarget {
    type Error = BadScanTarget;

    fn try_from(text: MemoryTargetText) -> Result<Self, BadScanTarget> {
        match text.processes {
            Processes::All => Ok(Self::all()),
            Processes::Pids(pids) => Self::of(pids),
        }
    }
}

/// What the totals of a scan count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Files.
    #[default]
    Files,
    /// Processes.
    Processes,
}

/// What an ordered scan met. Every file or process that it looked at is in exactly one of the counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScanTotals {
    /// What is counted.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub of: Counted,
    /// Files or processes that were scanned or should have been, by outcome.
    pub outcomes: BTreeMap<ScanOutcome, u64>,
    /// Files that were as they were when they were found clean with the same pack.
    pub known: u64,
    /// Files that were gone when their turn came.
    pub gone: u64,
    /// Links, which are not followed.
    pub links: u64,
    /// Folders that could not be read, and those that are left out: mounts from the network, what the sysadmin excludes.
    pub unread: u64,
    /// Of those in which something was found, how many hold more that could not be looked into.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partly: u64,
    /// Processes that have no memory of their own: they ended meanwhile, or are the kernel's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub without_memory: u64,
    /// Processes of the agent itself, which hold the rules and are passed by.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub own: u64,
    /// The first of what was not scanned to its end.
    #[serde(default, deserialize_with = "few", skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed>,
}

/// Something that was not scanned to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The process, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The file, the folder, or the program of the process, cut if it is long.
    pub path: Untrusted,
    /// Why not.
    pub why: ScanOutcome,
}

impl Missed {
    /// Names a file or a folder.
    #[must_use]
    pub fn file(path: &Untrusted, why: ScanOutcome) -> Self {
        Self { pid: None, path: Untrusted::cut(path.raw(), MAX_NAMED), why }
    }

    /// Names a process and its program.
    #[must_use]
    pub fn process(pid: u32, exe: &Untrusted, why: ScanOutcome) -> Self {
        Self { pid: Some(pid), ..Self::file(exe, why) }
    }
}

impl ScanTotals {
    /// Begins to count.
    #[must_use]
    pub fn of(of: Counted) -> Self {
        Self { of, ..Self::default() }
    }

    /// Counts a file or a process that was scanned, or should have been.
    pub fn count(&mut self, outcome: ScanOutcome) {
        let n = self.outcomes.entry(outcome).or_default();
        *n = n.saturating_add(1);
    }

    /// Names something that was not scanned, if there is room.
    pub fn miss(&mut self, missed: Missed) {
        if self.missed.len() < MOST_MISSED {
            self.missed.push(missed);
        }
    }

    /// Returns in how many something was found.
    #[must_use]
    pub fn matched(&self) -> u64 {
        self.outcomes.get(&ScanOutcome::Matched).copied().unwrap_or(0)
    }

    /// Tells whether all that it met was scanned to its end. What lies beyond where it ended is another question.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_scanned = |outcome| matches!(outcome, ScanOutcome::Matched | ScanOutcome::Clean);
        let left = self.outcomes.iter().any(|(outcome, n)| *n > 0 && !is_scanned(*outcome));
        !left && [self.gone, self.unread, self.partly].iter().all(|n| *n == 0)
    }

    /// Returns how many files or processes were looked at.
    #[must_use]
    pub fn looked(&self) -> u64 {
        let counts = self.outcomes.values().chain([&self.known, &self.gone]);
        // An agent says how many: it may say anything.
        counts.fold(0, |all: u64, n| all.saturating_add(*n))
    }
}

fn few<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Missed>, D::Error> {
    let mut all = Vec::<Missed>::deserialize(d)?;
    all.truncate(MOST_MISSED);
    all.iter_mut().for_each(|missed| missed.path = Untrusted::cut(missed.path.raw(), MAX_NAMED));
    Ok(all)
}

fn is_usual(of: &Counted) -> bool {
    *of == Counted::Files
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Why an ordered scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanEnd {
    /// It met everything.
    Whole,
    /// It looked at as many files as it was allowed to.
    Bound,
    /// Its mandate expired.
    Expired,
    /// The tree was too wide to be walked to its end.
    Cut,
    /// An operator had it stopped.
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Verb;

    #[test]
    fn an_agent_that_says_absurd_numbers_is_no_overflow() {
        let outcomes = [(ScanOutcome::Clean, u64::MAX), (ScanOutcome::Matched, 1)].into();
        let mut totals = ScanTotals { outcomes, known: u64::MAX, gone: 1, ..ScanTotals::default() };

        totals.count(ScanOutcome::Clean);

        assert_eq!(totals.looked(), u64::MAX);
    }

    #[test]
    fn what_is_to_be_scanned_is_a_plain_path_with_a_bound_however_it_comes() {
        let read = |path: &str, most: u64| {
            let json = serde_json::json!({ "verb": "scan_path", "file": { "path": path, "most": most } });
            serde_json::from_value::<Verb>(json).is_ok()
        };

        assert!(read("/srv/a b", 1) && read("/", MOST_SCANNED) && read("/srv/..a", 5));
        for path in ["", "srv", "../etc", "/srv/../etc", "/srv/..", &format!("/{}", "x".repeat(MAX_PATH))] {
            assert!(!read(path, 1), "{path}");
        }
        assert!(!read("/srv", 0) && !read("/srv", MOST_SCANNED + 1));
    }

    #[test]
    fn processes_are_all_or_a_few_that_can_be_however_they_come() {
        let read = |processes: serde_json::Value| {
            let json = serde_json::json!({ "verb": "scan_memory", "file": { "processes": processes } });
            serde_json::from_value::<Verb>(json).is_ok()
        };
        let many: Vec<u32> = (1..=65).collect();

        assert!(read("all".into()) && read(serde_json::json!({ "pids": [1, MAX_PID, 1] })));
        assert!(read(serde_json::json!({ "pids": many[..MOST_PROCESSES] })));
        assert!(!read(serde_json::json!({ "pids": many })));
        for bad in
            ["{\"pids\":[]}", "{\"pids\":[0]}", "{\"pids\":[4194305]}", "{\"pids\":[-1]}", "[]", "null"]
        {
            assert!(!read(serde_json::from_str(bad).unwrap()), "{bad}");
        }
    }

    #[test]
    fn what_is_scanned_reads_back_as_files_or_memory() {
        let files = ScanScope::Files(ScanTarget::new("/srv".into(), 3, false).unwrap());
        for scope in [files, ScanScope::Memory(MemoryTarget::all())] {
            let wire = serde_json::to_string(&scope).unwrap();

            assert_eq!(serde_json::from_str::<ScanScope>(&wire).unwrap(), scope, "{wire}");
        }
    }

    #[test]
    fn only_what_was_scanned_to_its_end_is_whole() {
        let with = |change: fn(&mut ScanTotals)| {
            let mut totals = ScanTotals { known: 3, links: 2, own: 2, ..ScanTotals::default() };
            totals.count(ScanOutcome::Clean);
            totals.count(ScanOutcome::Matched);
            change(&mut totals);
            totals.is_whole()
        };

        assert!(with(|_| ()) && with(|t| t.without_memory = 1));
        assert!(!with(|t| t.gone = 1) && !with(|t| t.unread = 1) && !with(|t| t.partly = 1));
        assert!(!with(|t| t.count(ScanOutcome::SkippedByPolicy)) && !with(|t| t.count(ScanOutcome::Timeout)));
    }

    #[test]
    fn of_what_was_missed_a_little_is_named_whatever_an_agent_says() {
        let long =
            Missed { pid: None, path: Untrusted::new(vec![b'x'; 4_000]), why: ScanOutcome::Unreadable };
        let said = ScanTotals { missed: vec![long.clone(); 100], ..ScanTotals::default() };

        let read: ScanTotals = serde_json::from_str(&serde_json::to_string(&said).unwrap()).unwrap();

        assert_eq!((read.missed.len(), read.missed[0].path.raw().len()), (MOST_MISSED, MAX_NAMED));
        let mut counted = ScanTotals::default();
        (0..100).for_each(|_| counted.miss(Missed::process(9, &long.path, long.why)));
        assert_eq!((counted.missed.len(), counted.missed[0].path.raw().len()), (MOST_MISSED, MAX_NAMED));
    }
}
