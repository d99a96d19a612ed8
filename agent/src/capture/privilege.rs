//! What the threads of capture may do: open packet sockets, or nothing at all.
//!
//! Privileges on Linux are each thread's own. All threads of the agent share one memory, so this is a second wall behind
//! decoders that are safe Rust, not a sandbox like that of the scan workers.

use std::collections::BTreeMap;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use tracing::warn;

/// Keeps of all privileges the one to read packets.
pub(super) fn keep_packets() {
    let Ok(own) = rustix::thread::capabilities(None) else { return };
    keep(own.permitted & CapabilitySet::NET_RAW);
}

/// Keeps no privilege, and no call but those of memory, waiting and waking. Whoever takes hostile bytes apart needs no
/// more.
pub(super) fn keep_none() {
    keep(CapabilitySet::empty());
    if let Err(error) = filter_calls() {
        warn!(error, "the thread that looks at packets keeps its system calls");
    }
}

/// Gives up the rest for this thread, and for good.
fn keep(some: CapabilitySet) {
    let sets = CapabilitySets { effective: some, permitted: some, inheritable: CapabilitySet::empty() };
    let done = set_capabilities(None, sets).and_then(|()| set_no_new_privs(true));
    if let Err(error) = done {
        warn!(%error, "a thread of capture keeps its privileges");
    }
}

/// Refuses every other call with an error: what is not needed must not end the agent either.
fn filter_calls() -> Result<(), String> {
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(|e| format!("{e}"))?;
    let rules: BTreeMap<i64, Vec<_>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|e| format!("{e}"))?;
    seccompiler::apply_filter(&program).map_err(|e| format!("{e}"))
}

/// Memory, waiting, waking others (a write to their event), the words of a panic, and a clean end.
const ALLOWED: [i64; 28] = [
    libc::SYS_futex,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_membarrier,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the named set of the calling thread's privileges.
    fn set(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
    }

    fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().unwrap()
    }

    #[test]
    fn a_capture_thread_keeps_at_most_the_privilege_to_read_packets() {
        let before = set("CapPrm");

        let sets = on_a_thread(|| {
            keep_packets();
            [set("CapEff"), set("CapPrm"), set("CapInh")]
        });

        let raw = CapabilitySet::NET_RAW.bits() & before;
        assert_eq!(sets, [raw, raw, 0]);
        assert_eq!(set("CapPrm"), before, "others keep theirs");
    }

    #[test]
    fn the_thread_that_looks_has_no_privilege_and_opens_nothing() {
        let before = std::fs::read("/proc/self/status").is_ok();

        let (sets, opened) = on_a_thread(|| {
            keep(CapabilitySet::empty());
            let sets = [set("CapEff"), set("CapPrm"), set("CapInh")];
            keep_none();
            (sets, std::fs::File::open("/proc/self/status").map(drop).map_err(|e| e.kind()))
        });

        assert_eq!(sets, [0, 0, 0]);
        assert!(before);
        assert_eq!(opened, Err(std::io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn the_thread_that_looks_can_allocate_wait_wake_and_panic() {
        let (sender, receiver) = std::sync::mpsc::channel();

        let thread = std::thread::spawn(move || {
            keep_none();
            let large = vec![1u8; 64 << 20];
            sender.send(large.iter().map(|b| usize::from(*b)).sum::<usize>()).unwrap();
            panic!("its words are told");
        });

        assert_eq!(receiver.recv().unwrap(), 64 << 20);
        assert!(thread.join().is_err());
    }
}
