//! Who changed a file: what `/proc` tells of a process while it is there.
//!
//! Writers may live for a millisecond only. Each is asked for when its first event is read; what it was then answers for its
//! later events when it is gone.

use std::{
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    time::{Duration, Instant},
};

use khien_core::{Untrusted, event::Process};
use khien_scan::users::Users;

use crate::scan::recent::Recent;

/// Processes remembered.
const REMEMBERED: usize = 1_024;
/// After this time a process id may belong to another.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// The longest command line that is kept.
const MAX_COMMAND: u64 = 512;
/// More of `/proc/PID/status` is not read.
const MAX_STATUS: u64 = 8 << 10;

/// Tells what processes are.
#[derive(Debug)]
pub(super) struct Who {
    users: Users,
    seen: Recent<u32, (Instant, Process)>,
}

impl Default for Who {
    fn default() -> Self {
        Self { users: Users::default(), seen: Recent::new(REMEMBERED) }
    }
}

impl Who {
    /// Tells what a process is, or was a moment ago. `is_its_own` says whether the id still belongs to it.
    pub(super) fn is(&mut self, pid: u32, is_its_own: impl Fn() -> bool) -> Process {
        let before = self.seen.get(&pid).filter(|(at, _)| at.elapsed() < GOOD_FOR).map(|(_, p)| p.clone());
        let now = is_its_own().then(|| self.read(pid)).filter(|p| p.uid.is_some() && is_its_own());
        let process = match (now, before) {
            (Some(now), Some(before)) => with_gaps_filled(now, before),
            (Some(now), None) => now,
            (None, Some(before)) => return before,
            (None, None) => return nothing_known(pid),
        };
        self.seen.put(pid, (Instant::now(), process.clone()));
        process
    }

    fn read(&self, pid: u32) -> Process {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        let status = head(pid, "status", MAX_STATUS).unwrap_or_default();
        let uid = field(&status, b"Uid:");
        Process {
            pid,
            exe: exe.map(|exe| Untrusted::new(exe.as_os_str().as_bytes())),
            command: head(pid, "cmdline", MAX_COMMAND).and_then(command),
            uid,
            user: uid.and_then(|uid| self.users.name(uid)),
            parent: field(&status, b"PPid:"),
            ..Process::unknown(pid)
        }
    }
}

/// A process that has ended but was not waited for has lost its program and arguments already.
fn with_gaps_filled(now: Process, before: Process) -> Process {
    Process { exe: now.exe.or(before.exe), command: now.command.or(before.command), ..now }
}

fn nothing_known(pid: u32) -> Process {
    Process::unknown(pid)
}

fn head(pid: u32, name: &str, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/{name}")).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn command(mut arguments: Vec<u8>) -> Option<Untrusted> {
    while arguments.last() == Some(&0) {
        arguments.pop();
    }
    arguments.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b' ');
    (!arguments.is_empty()).then(|| Untrusted::new(arguments))
}

/// Reads the first number after a word at the start of a line.
fn field(status: &[u8], word: &[u8]) -> Option<u32> {
    let line = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(word))?;
    std::str::from_utf8(line).ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_process_is_known() {
        let me = Who::default().is(std::process::id(), || true);

        assert_eq!(me.uid, Some(rustix::process::getuid().as_raw()));
        assert_eq!(me.exe.unwrap().raw(), std::env::current_exe().unwrap().as_os_str().as_bytes());
        assert_eq!(me.parent, rustix::process::getppid().map(|p| p.as_raw_nonzero().get().cast_unsigned()));
    }

    #[test]
    fn a_process_seen_a_moment_ago_is_still_known_when_it_is_gone() {
        let mut who = Who::default();
        let there = who.is(std::process::id(), || true);

        let gone = who.is(std::process::id(), || false);

        assert_eq!(gone, there);
    }

    #[test]
    fn an_id_that_is_not_its_own_any_more_tells_nothing() {
        let stranger = Who::default().is(std::process::id(), || false);

        assert_eq!(stranger, nothing_known(std::process::id()));
    }
}
