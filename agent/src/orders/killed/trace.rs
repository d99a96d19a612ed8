//! Forks this process, follows the system calls of the child, and kills it before the one that is wanted. Tests only.
#![allow(unsafe_code, reason = "fork and ptrace, for which there is no safe library")]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Says where a child that is followed begins to be counted: a call that nothing else here makes.
pub(super) fn from_here() {
    let _ = rustix::process::getsid(None);
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was killed before the call that was wanted.
    Killed,
    /// It did its work before that many calls.
    Done,
    /// Its work panicked.
    Failed,
    /// This kernel or this container lets nobody follow a process.
    Untraceable,
}

const FAILED: i32 = 101;
const UNTRACEABLE: i32 = 77;
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// Calls that change and read nothing but the process itself: to die before one of them is to die before the next.
const OWN: [libc::c_long; 31] = [
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getsid,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_prctl,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
];

/// Does some work in a fork and returns how it ended.
///
/// Only for a process in which no other thread works: a fork has none of them, nor what they were about to unlock.
pub(super) fn forked(work: impl FnOnce()) -> End {
    let child = fork(work, false);
    loop {
        let (_, status) = wait(child);
        if let Some(end) = ended(status) {
            return end;
        }
    }
}

/// Does some work in a fork, which is killed before its `n`-th call since [`from_here`].
pub(super) fn killed_before(n: usize, work: impl FnOnce()) -> End {
    let child = fork(work, true);
    let (_, status) = wait(child);
    if let Some(end) = ended(status) {
        return end;
    }
    let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE;
    // SAFETY: the child stands still and is traced by this thread; the call takes numbers only.
    unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, 0, options) };
    go_on(child, 0);
    let mut left = None;
    loop {
        let (thread, status) = wait(-1);
        if let Some(end) = ended(status) {
            if thread == child {
                return end;
            }
            continue;
        }
        let signal = libc::WSTOPSIG(status);
        if signal == SYSCALL_STOP {
            if left == Some(0) || counted(thread, n, &mut left) {
                // SAFETY: kills a child that was not waited for yet, so its number is its own.
                unsafe { libc::kill(child, libc::SIGKILL) };
            }
            go_on(thread, 0);
        } else {
            // A new thread begins with a stop that is no signal of its own; events of ptrace are none either.
            let own = signal == libc::SIGSTOP || status >> 16 != 0;
            go_on(thread, if own { 0 } else { signal });
        }
    }
}

/// Counts a call that begins; tells whether it is the one before which to kill.
fn counted(thread: libc::pid_t, n: usize, left: &mut Option<usize>) -> bool {
    let Some(call) = begun(thread) else { return false };
    if call == libc::SYS_getsid && left.is_none() {
        *left = Some(n);
        return false;
    }
    let Some(left) = left.as_mut().filter(|_| !OWN.contains(&call)) else { return false };
    *left = left.saturating_sub(1);
    *left == 0
}

/// Returns the call before which a thread stands still; none if it stands after one.
fn begun(thread: libc::pid_t) -> Option<libc::c_long> {
    // SAFETY: the structure is plain numbers, for which zeros are good.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = std::mem::size_of_val(&info);
    // SAFETY: the kernel writes at most `size` bytes into `info`, which lives until after the call.
    let got = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, size, &raw mut info) };
    if got <= 0 || info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: `op` says that the kernel wrote this member.
    let number = unsafe { info.u.entry.nr };
    libc::c_long::try_from(number).ok()
}

fn fork(work: impl FnOnce(), traced: bool) -> libc::pid_t {
    // SAFETY: no other thread of this process works, so the child finds every lock open.
    match unsafe { libc::fork() } {
        -1 => panic!("cannot fork: {}", std::io::Error::last_os_error()),
        0 => {
            // SAFETY: both take numbers only and concern this process alone.
            let stopped = !traced
                || unsafe {
                    libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0 && libc::raise(libc::SIGSTOP) == 0
                };
            let code = match stopped.then(|| catch_unwind(AssertUnwindSafe(work))) {
                Some(Ok(())) => 0,
                Some(Err(_)) => FAILED,
                None => UNTRACEABLE,
            };
            // SAFETY: ends the child here and now; nothing of the parent's is to be unwound in it.
            unsafe { libc::_exit(code) }
        }
        child => child,
    }
}

fn go_on(thread: libc::pid_t, signal: i32) {
    // SAFETY: takes numbers only. It fails if the thread was killed meanwhile, which its end then tells.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, signal) };
}

/// Waits for a child or one of its threads, and for nobody else's.
fn wait(child: libc::pid_t) -> (libc::pid_t, i32) {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one number into `status`.
        let found = unsafe { libc::waitpid(child, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        match found {
            -1 if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            -1 => panic!("cannot wait: {}", std::io::Error::last_os_error()),
            _ => return (found, status),
        }
    }
}

fn ended(status: i32) -> Option<End> {
    match (libc::WIFSIGNALED(status), libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))) {
        (true, _) => Some(End::Killed),
        (_, Some(0)) => Some(End::Done),
        (_, Some(UNTRACEABLE)) => Some(End::Untraceable),
        (_, Some(_)) => Some(End::Failed),
        (false, None) => None,
    }
}
