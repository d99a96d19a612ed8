//! What the agent and its workers use of the host: time of processors, and bytes read from disks.
//!
//! Bytes count only if a disk had to give them (`read_bytes` of `/proc/PID/io`). `rchar` would count what lies in memory
//! too, above all the file that somebody has just written, and sockets: that costs no disk anything. What is written is
//! little, and is what the team must hear. An agent that is not root cannot see what its workers read, since they are closed
//! to all but root; the pace of its walks bounds that (see `watch::pace`).

use std::{collections::HashMap, fs, time::Duration};

use crate::watch::pace;

/// What was used since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Used {
    /// Of all processors together.
    pub(crate) cpu: Duration,
    /// Bytes read from disks.
    pub(crate) read: u64,
}

/// Keeps account of processes.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// By process: what it had used when it was last looked at.
    last: HashMap<u32, Total>,
}

impl Usage {
    /// Returns what these processes used since the last look. Of one that is new nothing counts yet: what a worker needs
    /// to read its rules is not counted, since nothing is scanned without it. A new child gives way to all others from
    /// here on.
    pub(crate) fn since(&mut self, pids: impl Iterator<Item = u32>) -> Used {
        let now: HashMap<u32, Total> = pids.filter_map(|pid| Some((pid, Total::of(pid)?))).collect();
        let mut used = Used::default();
        for (pid, total) in &now {
            match self.last.get(pid) {
                Some(before) => used.add(before, total),
                None if total.leads && total.parent == std::process::id() => pace::worker_gives_way(*pid),
                None => {}
            }
        }
        self.last = now;
        used
    }
}

impl Used {
    fn add(&mut self, before: &Total, now: &Total) {
        self.cpu += now.cpu.saturating_sub(before.cpu);
        let read = now.read.zip(before.read).map_or(0, |(now, before)| now.saturating_sub(before));
        self.read = self.read.saturating_add(read);
    }
}

/// What one process has used since its start, and whose it is.
#[derive(Debug)]
struct Total {
    cpu: Duration,
    /// None if that may not be seen.
    read: Option<u64>,
    parent: u32,
    /// Whether it leads a session of its own.
    leads: bool,
}

impl Total {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let io = fs::read_to_string(format!("/proc/{pid}/io"));
        Some(Self { read: io.ok().and_then(|io| read_bytes(&io)), ..Self::parsed(pid, &stat)? })
    }

    /// Reads proc_pid_stat(5): parent (field 4), session (6), user and system time (14 and 15) in clock ticks.
    fn parsed(pid: u32, stat: &str) -> Option<Self> {
        let fields: Vec<u64> = stat.rsplit_once(") ")?.1.split(' ').map(|f| f.parse().unwrap_or(0)).collect();
        let [_, parent, _, session, _, _, _, _, _, _, _, user, system, ..] = fields[..] else { return None };
        Some(Self {
            cpu: ticks(user.saturating_add(system)),
            read: None,
            parent: parent.try_into().ok()?,
            leads: session == u64::from(pid),
        })
    }
}

fn read_bytes(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
}

/// Returns how long so many clock ticks are.
pub(super) fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(1_000) / rustix::param::clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        process::{Child, Command, Stdio},
        time::Instant,
    };

    use rustix::{
        fs::Advice,
        process::{Pid, getpriority_process},
    };

    use super::*;

    const SIZE: u64 = 4 << 20;

    #[test]
    fn the_time_that_a_process_uses_is_counted_once() {
        let (mut usage, own) = (Usage::default(), std::process::id());
        assert_eq!(usage.since([own].into_iter()), Used::default(), "what was used before the first look");
        let (begun, mut spent) = (Instant::now(), Duration::ZERO);

        while spent < Duration::from_millis(30) {
            assert!(begun.elapsed() < Duration::from_secs(20), "working hard, yet no time was used");
            std::hint::black_box((0..100_000u64).sum::<u64>());
            spent += usage.since([own].into_iter()).cpu;
        }
    }

    #[test]
    fn what_a_disk_gives_is_counted_and_what_lies_in_memory_is_not() {
        // Beside the tests: where temporary files lie, there may be no disk.
        let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let mut file = tempfile::NamedTempFile::new_in(beside).unwrap();
        file.write_all(&vec![7; usize::try_from(SIZE).unwrap()]).unwrap();
        file.as_file().sync_all().unwrap();
        rustix::fs::fadvise(file.as_file(), 0, None, Advice::DontNeed).unwrap();
        let mut reader = Reader::of(file.path());
        let mut usage = Usage::default();
        assert_eq!(usage.since([reader.0.id()].into_iter()), Used::default());
        let mut used = || {
            reader.read();
            usage.since([reader.0.id()].into_iter())
        };

        let (first, again) = (used(), used());

        assert!(first.read >= SIZE, "{first:?}");
        assert!(again.read < SIZE / 4, "{again:?}");
    }

    #[test]
    fn a_new_child_in_a_session_of_its_own_gives_way_and_no_other_process_does() {
        let nice = |child: &Child| {
            let pid = Pid::from_raw(child.id().cast_signed());
            getpriority_process(pid).unwrap()
        };
        // Where the kernel has no such groups, there is no such file.
        let group = |child: &Child| fs::read_to_string(format!("/proc/{}/autogroup", child.id())).ok();
        let own = getpriority_process(None).unwrap();
        let (mut worker, mut other, mut usage) = (sleeping(true), sleeping(false), Usage::default());
        let of_others = group(&other);

        usage.since([worker.id(), other.id(), std::process::id()].into_iter());

        assert!(nice(&worker) >= own.max(5), "{}", nice(&worker));
        assert!(group(&worker).is_none_or(|group| group.ends_with("nice 5\n")), "{:?}", group(&worker));
        assert_eq!((nice(&other), getpriority_process(None).unwrap()), (own, own));
        assert_eq!(group(&other), of_others);
        for child in [&mut worker, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_name_with_brackets_and_blanks_hides_no_field() {
        let stat = "7 (a) b ) c) S 3 5 7 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 1 0 5 6 7";

        let total = Total::parsed(7, stat).unwrap();

        assert_eq!((total.parent, total.leads, total.cpu), (3, true, ticks(200)));
        assert!(Total::parsed(7, "7 (x) S 3").is_none());
        assert_eq!(read_bytes("rchar: 5\nread_bytes: 4096\nwrite_bytes: 1\n"), Some(4_096));
    }

    /// A process that reads a file whenever it is told.
    struct Reader(Child);

    impl Reader {
        fn of(path: &std::path::Path) -> Self {
            let script = r#"while read -r _; do cat "$0" > /dev/null; echo; done"#;
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
            Self(command.spawn().unwrap())
        }

        fn read(&mut self) {
            writeln!(self.0.stdin.as_mut().unwrap()).unwrap();
            let mut answer = String::new();
            BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        }
    }

    impl Drop for Reader {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Returns a process that does nothing, in a session of its own or not.
    fn sleeping(alone: bool) -> Child {
        let script = "echo; exec sleep 600";
        let mut command = match alone {
            true => {
                let mut setsid = Command::new("setsid");
                setsid.arg("sh");
                setsid
            }
            false => Command::new("sh"),
        };
        let mut child = command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        child
    }
}
