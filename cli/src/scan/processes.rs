//! Processes instead of files: which are scanned, and how the scan of one ended.

mod own;

use khien_core::{
    Untrusted,
    event::{Inside, NotSeen, ScanOutcome, Unseen},
    text::scan as t,
};
use khien_rules::{Hit, external::Externals};
use khien_scan::target::{self, MemoryScan, NoTarget, Target};

use self::own::Own;
use super::feed::{Answer, Done, Feed, How};
use crate::args;

/// Bytes of one process that are scanned when nobody says otherwise.
const MOST: u64 = 1 << 30;
/// A process that keeps beginning other programs is looked at so many times.
const TRIES: usize = 3;
/// The process that is always there. Who does not see it does not see those of others.
const FIRST: u32 = 1;

/// The processes that are scanned.
pub(super) struct Wanted {
    pub(super) pids: Vec<u32>,
    /// Whether each was named, so that one that is not there is told.
    pub(super) named: bool,
    /// Whether the host hides processes of others from who asks.
    pub(super) hidden: bool,
    /// Those that are Khiên's own and are left out.
    pub(super) own: Vec<u32>,
}

/// Tells whether processes were asked for.
pub(super) fn asked(what: &args::Scan) -> bool {
    what.processes || !what.pid.is_empty()
}

/// Returns which processes were asked for; none if it was files. Who names one of Khiên's own has it scanned.
pub(super) fn wanted(what: &args::Scan) -> Option<Wanted> {
    if what.processes {
        let khien = Own::here();
        let (own, pids): (Vec<u32>, Vec<u32>) = target::all().into_iter().partition(|pid| khien.has(*pid));
        let hidden = !pids.contains(&FIRST) && !own.contains(&FIRST);
        return Some(Wanted { pids, named: false, hidden, own });
    }
    let named = !what.pid.is_empty();
    named.then(|| Wanted { pids: what.pid.clone(), named, hidden: false, own: Vec::new() })
}

/// Returns how many bytes of one process are scanned.
pub(super) fn most(what: &args::Scan) -> u64 {
    what.max_size.map_or(MOST, |mib| mib << 20)
}

impl Feed {
    /// Scans the memory of a process. One that begins another program meanwhile is looked at again, as that.
    pub(super) fn process(&self, pid: u32, named: bool) -> Done {
        let mut tries = 1;
        loop {
            let (path, ended) = match Target::at(pid) {
                Err(why) => (Untrusted::default(), without_target(why, named)),
                Ok(target) => {
                    let ended = self.target(&target);
                    if tries < TRIES && is_of_another(&ended, &target) {
                        tries += 1;
                        continue;
                    }
                    (target.exe, ended)
                }
            };
            return Done { path, pid: Some(pid), ended };
        }
    }

    fn target(&self, target: &Target) -> How {
        let describe = || Externals { path: target.exe.clone(), owner: self.users.name(target.owner) };
        let externals = self.tells_names.then(describe);
        let scan = self.runtime.block_on(self.pool.scan_memory(target, self.most, externals));
        scan.map_or(How::NoMemory, |scan| How::Scanned(Box::new(answer(target, scan))))
    }
}

/// Tells that there may be processes that cannot be seen.
pub(super) fn hidden() -> Done {
    let why = t::CLOSED_PROCESS.words();
    let ended = How::NotScanned { outcome: ScanOutcome::Unreadable, why, size: None };
    Done { path: "/proc".into(), pid: None, ended }
}

fn without_target(why: NoTarget, named: bool) -> How {
    let why = match why {
        NoTarget::Nothing if !named => return How::NoMemory,
        NoTarget::Nothing => t::NO_PROCESS.words(),
        NoTarget::Refused => t::CLOSED_PROCESS.words(),
    };
    How::NotScanned { outcome: ScanOutcome::Unreadable, why, size: None }
}

/// Tells whether a process could not be read because it is another program by now.
fn is_of_another(ended: &How, target: &Target) -> bool {
    let is_unread = matches!(ended, How::Scanned(answer) if answer.outcome == ScanOutcome::Unreadable);
    is_unread && target.runs() && !target.is_same()
}

/// What is odd about the program itself comes first; then nothing that was not scanned may get lost.
fn answer(target: &Target, scan: MemoryScan) -> Answer {
    let MemoryScan { scanned, mut unseen, read, .. } = scan;
    let sign = target.hides().map(|rule| Hit { rule, inside: Inside::default(), excerpts: Vec::new() });
    let hits: Vec<Hit> = sign.into_iter().chain(scanned.hits).collect();
    let why = match scanned.outcome {
        ScanOutcome::Timeout => Some(NotSeen::Time),
        outcome if outcome.is_trouble() => Some(NotSeen::Unreadable),
        _ => None,
    };
    if let Some(why) = why.filter(|_| unseen.is_empty() && !hits.is_empty()) {
        unseen.push(Unseen { inside: Inside::default(), why });
    }
    let outcome = if hits.is_empty() { scanned.outcome } else { ScanOutcome::Matched };
    Answer { outcome, hits, unseen, sha256: None, size: read }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, os::fd::AsRawFd, process::Command};

    use khien_core::detection::builtin::PROCESS_MEMFD;
    use khien_rules::Scanned;

    use super::*;

    #[test]
    fn a_program_that_never_was_a_file_is_a_match_and_what_was_not_scanned_stays_told() {
        let mut memory =
            File::from(rustix::fs::memfd_create("khien-test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        memory.write_all(&std::fs::read("/bin/sleep").unwrap()).unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        let mut child = Command::new(path).arg("60").spawn().unwrap();
        let target = Target::at(child.id()).unwrap();
        let scan = |outcome| MemoryScan {
            scanned: Scanned { outcome, hits: Vec::new() },
            unseen: Vec::new(),
            read: 1,
            pack: 1,
        };

        let (whole, killed) = (answer(&target, scan(ScanOutcome::Clean)), scan(ScanOutcome::Timeout));
        let killed = answer(&target, killed);

        assert_eq!((whole.outcome, whole.hits[0].rule.as_str()), (ScanOutcome::Matched, PROCESS_MEMFD));
        assert!(whole.unseen.is_empty());
        assert_eq!((killed.outcome, killed.unseen[0].why), (ScanOutcome::Matched, NotSeen::Time));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
