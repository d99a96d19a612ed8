//! Which processes deserve a look into their memory: by what the kernel tells of their program and their mappings.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

use khien_core::{RuleId, Untrusted};
use khien_scan::target::{NoTarget, Target};

/// More of one `/proc/PID/maps` is not read: some hundred thousand mappings.
const MAX_MAPS: u64 = 16 << 20;

/// What a sweep saw.
pub(super) struct Looked {
    pub(super) suspects: Vec<Suspect>,
    /// Processes that may not be looked at.
    pub(super) closed: u64,
}

/// A process whose memory is worth a scan. It is not kept open: there may be thousands of them.
pub(super) struct Suspect {
    pub(super) pid: u32,
    /// When it was started, in ticks since the host was.
    pub(super) started: u64,
    pub(super) exe: Untrusted,
    pub(super) why: Why,
}

/// Why it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// Its program is hidden: the built-in rule that says so.
    Hides(RuleId),
    /// Its program has no name any more, perhaps because a newer one took its place.
    Unnamed,
    /// It has code that can be written to, or that never was a file.
    OddCode,
}

/// Looks at processes, but for this one and its `own` workers.
pub(super) fn look(pids: Vec<u32>, own: &[u32]) -> Looked {
    let me = std::process::id();
    let mut looked = Looked { suspects: Vec::new(), closed: 0 };
    for pid in pids.into_iter().filter(|pid| *pid != me && !own.contains(pid)) {
        match Target::at(pid) {
            Ok(target) => looked.suspects.extend(suspect(target)),
            Err(NoTarget::Refused) => looked.closed += 1,
            Err(NoTarget::Nothing) => {}
        }
    }
    looked
}

fn suspect(target: Target) -> Option<Suspect> {
    let why = why(&target)?;
    Some(Suspect { pid: target.pid, started: target.started, exe: target.exe, why })
}

impl Suspect {
    /// Returns which process it is: its id, and when it was started.
    pub(super) fn life(&self) -> (u32, u64) {
        (self.pid, self.started)
    }

    /// Tells whether its program is hidden.
    pub(super) fn hides(&self) -> bool {
        matches!(self.why, Why::Hides(_))
    }
}

fn why(target: &Target) -> Option<Why> {
    if let Some(rule) = target.hides() {
        return Some(Why::Hides(rule));
    }
    if target.is_unnamed() {
        return Some(Why::Unnamed);
    }
    target.mappings().is_ok_and(has_odd_code).then_some(Why::OddCode)
}

fn has_odd_code(maps: File) -> bool {
    let (mut maps, mut line) = (BufReader::new(maps.take(MAX_MAPS)), Vec::new());
    while maps.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if is_odd(&line) {
            return true;
        }
        line.clear();
    }
    // A list that goes on hides what comes next.
    maps.get_ref().limit() == 0
}

/// `from-until access offset device inode   NAME`: written and executed, or executed from what never was a file.
fn is_odd(line: &[u8]) -> bool {
    let mut words = line.splitn(6, |b| *b == b' ');
    let access = words.nth(1).unwrap_or_default();
    let name = words.nth(3).unwrap_or_default().trim_ascii_start();
    access.get(2) == Some(&b'x') && (access.get(1) == Some(&b'w') || name.starts_with(b"/memfd:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_can_be_written_or_never_was_a_file_is_odd() {
        assert!(is_odd(b"7f00-8f00 rwxp 00000000 00:00 0 "));
        assert!(is_odd(b"7f00-8f00 rwxs 00000000 08:01 77      /tmp/a b"));
        assert!(is_odd(b"7f00-8f00 r-xp 00000000 00:01 9      /memfd:x (deleted)"));
        assert!(!is_odd(b"7f00-8f00 r--p 00000000 00:01 9      /memfd:x (deleted)"));
        assert!(!is_odd(b"7f00-8f00 r-xp 00000000 08:01 77      /usr/bin/bash"));
        assert!(!is_odd(b"7f00-8f00 rw-p 00000000 00:00 0      [heap]"));
        assert!(!is_odd(b"") && !is_odd(b"x"));
    }
}
