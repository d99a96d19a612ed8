//! Who changed a file: what `/proc` tells of a process while it is there, of those from which it comes, and of where it
//! runs.
//!
//! Writers may live for a millisecond only. Each is asked for when its first event is read; what it was then answers for
//! its later events, also when it is gone. It is known again by when it was started and by what it is called, so an id
//! that was given to another process, and a program that made way for another one, are seen. While it writes on and on, only
//! its name is looked at: the open file of its name is that process's own, whoever gets its id.

mod asker;
mod proc;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp, Untrusted,
    event::{Ancestor, MAX_ANCESTORS, Process},
};
use khien_scan::users::Users;

use self::proc::{Life, Name, Own};
use crate::scan::recent::Recent;

/// Processes remembered.
const REMEMBERED: usize = 1_024;
/// After this time a process is asked anew: it may have become another user.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// Processes that write on and on.
const BUSY: usize = 16;
/// For so long their name alone is looked at.
const NAME_FOR: Duration = Duration::from_millis(50);

/// Tells what processes are.
#[derive(Debug)]
pub(crate) struct Who {
    users: Users,
    seen: Recent<u32, Seen>,
    busy: Recent<u32, Busy>,
    /// Those from which others come.
    ancestors: Recent<u32, (Life, Ancestor)>,
    own: Own,
    strangers: u64,
}

/// A process that writes on and on.
#[derive(Debug)]
struct Busy {
    at: Instant,
    name: Name,
    process: Arc<Process>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    /// None where it was gone when it was asked.
    life: Option<Life>,
    process: Arc<Process>,
}

impl Default for Who {
    fn default() -> Self {
        let (seen, ancestors) = (Recent::new(REMEMBERED), Recent::new(REMEMBERED));
        let (users, busy, own) = (Users::default(), Recent::new(BUSY), Own::read());
        Self { users, seen, busy, ancestors, own, strangers: 0 }
    }
}

impl Who {
    /// Tells what a process is, or was a moment ago. `is_its_own` says whether the id still belongs to it.
    pub(crate) fn is(&mut self, pid: u32, is_its_own: impl Fn() -> bool) -> Arc<Process> {
        if let Some(busy) = self.busy.get(&pid).filter(|b| b.at.elapsed() < NAME_FOR && b.name.is_still()) {
            return Arc::clone(&busy.process);
        }
        // Opened before the look at its life: if the id goes over to another process in between, that is not the life
        // that is known.
        let name = self.seen.get(&pid).and_then(|_| Name::open(pid));
        let life = proc::life(pid);
        let before = self.seen.get(&pid).filter(|seen| seen.at.elapsed() < GOOD_FOR);
        if let Some(before) = before.filter(|before| life.is_some() && before.life == life) {
            let process = Arc::clone(&before.process);
            if let Some(name) = name {
                self.busy.put(pid, Busy { at: Instant::now(), name, process: Arc::clone(&process) });
            }
            return process;
        }
        let before = before.map(|seen| (seen.life.clone(), Arc::clone(&seen.process)));
        let now = life.filter(|_| is_its_own()).map(|life| (self.read(pid, &life), life));
        let (process, life) = match (now.filter(|(p, _)| p.uid.is_some() && is_its_own()), before) {
            (Some((now, life)), Some((was, before))) if was.as_ref().is_some_and(|w| w.is_same(&life)) => {
                (with_gaps_filled(now, Arc::unwrap_or_clone(before)), Some(life))
            }
            (Some((now, life)), _) => (now, Some(life)),
            (None, Some((_, before))) => return before,
            (None, None) => {
                self.strangers += 1;
                return Process::unknown(pid).into();
            }
        };
        self.strangers += 1;
        let process = Arc::new(process);
        self.seen.put(pid, Seen { at: Instant::now(), life, process: Arc::clone(&process) });
        process
    }

    /// Returns how many processes were asked for that were not known, or not as what they are now.
    pub(crate) fn strangers(&self) -> u64 {
        self.strangers
    }

    fn read(&mut self, pid: u32, life: &Life) -> Process {
        let uid = proc::real_user(pid);
        Process {
            pid,
            exe: proc::program(pid),
            command: proc::command(pid),
            uid,
            user: uid.and_then(|uid| self.users.name(uid)),
            parent: Some(life.parent).filter(|parent| *parent > 0),
            started: self.own.started(life),
            ancestors: self.ancestors(life),
            container: proc::container(pid),
            own_mounts: self.own.has_other_mounts(pid),
            acts: Vec::new(),
        }
    }

    /// Goes up from a process to those from which it comes. The last one is one of which only the id is known, if it is
    /// gone.
    fn ancestors(&mut self, life: &Life) -> Vec<Ancestor> {
        let (mut found, mut child) = (Vec::new(), life.clone());
        while child.parent > 0 && found.len() < MAX_ANCESTORS {
            let pid = child.parent;
            // A parent that was started later is another process with the id of the one that is gone.
            let Some(life) = proc::life(pid).filter(|life| life.start <= child.start) else {
                found.push(Ancestor::new(pid, None, None));
                break;
            };
            found.push(self.ancestor(pid, &life));
            child = life;
        }
        found
    }

    fn ancestor(&mut self, pid: u32, life: &Life) -> Ancestor {
        if let Some((_, known)) = self.ancestors.get(&pid).filter(|(known, _)| known == life) {
            return known.clone();
        }
        let ancestor = Ancestor::new(pid, proc::program(pid), proc::command(pid));
        self.ancestors.put(pid, (life.clone(), ancestor.clone()));
        ancestor
    }
}

/// A process that has ended but was not waited for has lost its program and arguments already; one whose parent ended
/// has got another one.
fn with_gaps_filled(now: Process, before: Process) -> Process {
    let first_had_parents = !before.ancestors.is_empty();
    let (parent, ancestors) = match first_had_parents {
        true => (before.parent, before.ancestors),
        false => (now.parent, now.ancestors),
    };
    let exe = now.exe.or(before.exe);
    let command = now.command.or(before.command);
    let container: Option<Untrusted> = now.container.or(before.container);
    let started: Option<Timestamp> = now.started.or(before.started);
    let own_mounts = now.own_mounts || before.own_mounts;
    Process { exe, command, parent, ancestors, container, started, own_mounts, ..now }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::ffi::OsStrExt,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_living_process_is_known() {
        let me = Arc::unwrap_or_clone(Who::default().is(std::process::id(), || true));

        assert_eq!(me.uid, Some(rustix::process::getuid().as_raw()));
        assert_eq!(me.exe.as_ref().unwrap().raw(), std::env::current_exe().unwrap().as_os_str().as_bytes());
        assert_eq!(me.parent, rustix::process::getppid().map(|p| p.as_raw_nonzero().get().cast_unsigned()));
        let age = Timestamp::now().duration_since(me.started.unwrap());
        assert!((-2..3_600).contains(&age.as_secs()), "{age:?}");
        assert!(!me.own_mounts);
    }

    #[test]
    fn a_process_is_the_same_one_for_all_who_ask() {
        let started = || Who::default().is(std::process::id(), || true).started;

        let all: std::collections::HashSet<_> = (0..20).map(|_| started()).collect();

        assert!(all.len() == 1 && started().is_some(), "{all:?}");
    }

    #[test]
    fn those_from_which_a_process_comes_are_known_up_to_the_first() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();

        let sleep = Who::default().is(child.id(), || true);

        let me = &sleep.ancestors[0];
        assert_eq!((me.pid, sleep.parent), (std::process::id(), Some(std::process::id())));
        assert_eq!(me.exe, Who::default().is(std::process::id(), || true).exe);
        let last = sleep.ancestors.last().unwrap();
        assert!(sleep.ancestors.len() == MAX_ANCESTORS || last.pid == 1 || last.exe.is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_seen_a_moment_ago_is_still_known_when_it_is_gone() {
        let (mut who, mut child) = (Who::default(), Command::new("sleep").arg("60").spawn().unwrap());
        let there = who.is(child.id(), || true);
        child.kill().unwrap();
        child.wait().unwrap();

        let gone = who.is(child.id(), || false);

        assert_eq!(gone, there);
    }

    #[test]
    fn a_program_that_makes_way_for_another_is_seen_while_it_writes_on_and_on() {
        let mut command = Command::new("sh");
        command.args(["-c", "read go; exec sleep 60"]).stdin(Stdio::piped());
        let (mut child, mut who) = (command.spawn().unwrap(), Who::default());
        let shell = who.is(child.id(), || true);
        assert_eq!((who.is(child.id(), || true), who.busy.is_empty()), (shell.clone(), false));

        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        while std::fs::read(format!("/proc/{}/comm", child.id())).unwrap() != b"sleep\n" {
            who.is(child.id(), || true);
        }
        let sleep = who.is(child.id(), || true);

        assert!(sleep.exe.as_ref().unwrap().raw().ends_with(b"/sleep"), "{sleep:?}");
        assert_ne!(sleep.exe, shell.exe);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_whose_parent_ended_still_comes_from_it() {
        let before = Process {
            parent: Some(900),
            ancestors: vec![Ancestor::new(900, Some("/bin/bash".into()), None)],
            ..Process::unknown(7)
        };
        let now = Process {
            parent: Some(1),
            ancestors: vec![Ancestor::new(1, Some("/sbin/init".into()), None)],
            ..Process::unknown(7)
        };

        let known = with_gaps_filled(now, before.clone());

        assert_eq!((known.parent, known.ancestors), (before.parent, before.ancestors));
    }

    #[test]
    fn a_process_is_a_stranger_the_first_time_it_is_asked_for() {
        let (mut who, me) = (Who::default(), std::process::id());

        let strangers: Vec<_> = (0..3).map(|_| (who.is(me, || true), who.strangers()).1).collect();
        who.is(u32::MAX, || false);

        assert_eq!(strangers, [1; 3]);
        assert_eq!(who.strangers(), 2, "one that is gone is a stranger each time");
    }

    #[test]
    fn an_id_that_is_not_its_own_any_more_tells_nothing() {
        let stranger = Who::default().is(std::process::id(), || false);

        assert_eq!(*stranger, Process::unknown(std::process::id()));
    }
}
