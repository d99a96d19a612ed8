//! Takes from a scan worker all that it does not need, before it reads the first hostile byte.
//!
//! Two steps, because compiling rules needs a thread and new code pages and scanning needs neither: [`confine`] comes
//! before the rules are compiled, [`close`] after. What a kernel does not allow is named, never passed over.
#![allow(unsafe_code, reason = "limits and filters of this process")]

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt};

use khien_core::{
    policy::{Budget, Within},
    reason::{Lack, Reason, SandboxPart, quoted},
};
use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::paged;

/// Address space while rules are compiled, beside what is set aside for large files: a pack that wants more is refused
/// by the kernel.
const COMPILE_SPACE: u64 = (4 << 30) + paged::MOST;
/// In this variable of its environment, which has no other, a worker finds how many megabytes of address space, and of
/// memory, scanning may take beyond what the compiled rules take.
pub(super) const MEMORY: &str = "KHIEN_WORKER_MEMORY";
/// Open files: the socket, two that lead nowhere, the passed file, and one to spare.
const OPEN_FILES: u64 = 8;
/// Private memory that the kernel may empty when it is short: glibc keeps the state of its random numbers there.
const MAP_DROPPABLE: libc::c_int = 0x08;
/// The user and group that own nothing.
const NOBODY: libc::uid_t = 65534;

/// What the second step needs from before the first.
pub(super) struct Confined {
    /// Parts of the sandbox that this host does not allow.
    pub(super) missing: Vec<Lack>,
    /// `/proc/self/statm`, opened while that was possible.
    statm: Option<File>,
}

/// Gives up files, network, identity and privileges. Call it before any other thread exists.
pub(super) fn confine() -> Confined {
    // A session of its own: a Ctrl-C at the terminal is for the caller, who then ends the worker, and where the kernel
    // shares the processors among sessions, the worker can give way without the caller. It fails where it leads one already.
    let _ = rustix::process::setsid();
    let statm = File::open("/proc/self/statm").ok();
    let mut missing = Vec::new();
    let mut step = |part, done| note(&mut missing, part, done);
    step(SandboxPart::Namespaces, unshare());
    step(SandboxPart::User, become_nobody());
    step(SandboxPart::Privileges, told(rustix::thread::set_no_new_privs(true)));
    step(SandboxPart::MemoryImage, told(set_dumpable_behavior(DumpableBehavior::NotDumpable)));
    step(SandboxPart::Death, told(set_parent_process_death_signal(Some(Signal::KILL))));
    step(SandboxPart::Limits, limits());
    step(SandboxPart::Landlock, deny_paths());
    Confined { missing, statm }
}

/// Forbids every system call but those of reading, answering and memory, on all threads, and code pages for good.
pub(super) fn close(confined: Confined) -> Vec<Lack> {
    let mut missing = confined.missing;
    note(&mut missing, SandboxPart::Memory, limit_space(confined.statm.as_ref()));
    drop(confined.statm);
    note(&mut missing, SandboxPart::Seccomp, filter_calls());
    missing
}

fn note(missing: &mut Vec<Lack>, part: SandboxPart, done: Result<(), Reason>) {
    if let Err(why) = done {
        missing.push(Lack { part, because: Box::new(why) });
    }
}

fn told(done: rustix::io::Result<()>) -> Result<(), Reason> {
    done.map_err(|e| os(e.into()))
}

fn os(error: io::Error) -> Reason {
    Reason::Os { error: error.into() }
}

/// For what has no code of the system.
fn said(error: impl std::fmt::Display) -> Reason {
    Reason::Said { text: quoted(&error.to_string()) }
}

/// Takes namespaces without network and IPC; without privilege, inside a user namespace.
fn unshare() -> Result<(), Reason> {
    let bare = libc::CLONE_NEWNET | libc::CLONE_NEWIPC;
    // SAFETY: no pointers; the process has one thread and nothing that depends on the namespaces it leaves.
    let done = unsafe { libc::unshare(bare) == 0 || libc::unshare(bare | libc::CLONE_NEWUSER) == 0 };
    if done { Ok(()) } else { Err(os(io::Error::last_os_error())) }
}

/// Becomes nobody when started as root. Another user stays itself: it has nothing to give up.
fn become_nobody() -> Result<(), Reason> {
    if !rustix::process::getuid().is_root() {
        return Ok(());
    }
    // SAFETY: an empty list may have a null pointer; the other calls take numbers. Groups go before the user, who
    // could not give them up any more.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(NOBODY, NOBODY, NOBODY) == 0
            && libc::setresuid(NOBODY, NOBODY, NOBODY) == 0
    };
    if done { Ok(()) } else { Err(os(io::Error::last_os_error())) }
}

fn limits() -> Result<(), Reason> {
    let set = |resource, most| told(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }));
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    set(Resource::Nofile, OPEN_FILES)?;
    told(setrlimit(Resource::As, Rlimit { current: Some(COMPILE_SPACE), maximum: None }))
}

/// Handles every access that landlock knows and allows none of them.
fn deny_paths() -> Result<(), Reason> {
    let abi = ABI::V6;
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|r| r.handle_access(AccessNet::from_all(abi)))
        .and_then(|r| r.scope(Scope::from_all(abi)))
        .and_then(|r| r.create())
        .and_then(|r| r.restrict_self())
        .map_err(said)?;
    match restricted.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err(Reason::KernelHasPart),
        RulesetStatus::NotEnforced => Err(Reason::KernelLacks),
    }
}

/// Of `statm` the first field is the address space and the sixth what may be written to. The second has a limit of its
/// own, because a hijacked worker could give back the addresses that are set aside for large files and take memory.
fn limit_space(statm: Option<&File>) -> Result<(), Reason> {
    let mut head = [0; 128];
    let got = statm.ok_or(Reason::OwnSizeUnknown)?.read_at(&mut head, 0).map_err(os)?;
    let fields: Vec<u64> = std::str::from_utf8(&head[..got])
        .map(|text| text.split_whitespace().map_while(|field| field.parse().ok()).collect())
        .unwrap_or_default();
    let [space, _, _, _, _, data, ..] = fields[..] else { return Err(Reason::OwnSizeUnknown) };
    let own = u64::from(memory()) << 20;
    for (resource, pages) in [(Resource::As, space), (Resource::Data, data)] {
        let most = pages.saturating_mul(rustix::param::page_size() as u64).saturating_add(own);
        told(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }))?;
    }
    Ok(())
}

/// Returns the megabytes of the pack's policy.
fn memory() -> u32 {
    let said = std::env::var(MEMORY).ok().and_then(|text| Within::new(text.parse().ok()?));
    said.unwrap_or(Budget::default().worker_memory_mb).get()
}

fn filter_calls() -> Result<(), Reason> {
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(|_| Reason::UnknownProcessor)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let own = [libc::MAP_PRIVATE, MAP_DROPPABLE].map(own_memory).into_iter().collect::<Result<Vec<_>, _>>();
    rules.insert(libc::SYS_mmap, own.map_err(said)?);
    rules.insert(libc::SYS_mprotect, vec![without_code().map_err(said)?]);
    rules.insert(libc::SYS_prctl, vec![own_name().map_err(said)?]);
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(said)?;
    seccompiler::apply_filter_all_threads(&program).map_err(said)
}

/// New memory of this process alone: none that others see, none that is a file's, none that grows by itself, none that
/// can be executed. The third argument is what may be done with it, the fourth what it is.
fn own_memory(kind: libc::c_int) -> Result<SeccompRule, seccompiler::BackendError> {
    let asked = libc::MAP_TYPE | libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN;
    SeccompRule::new(vec![masked(2, libc::PROT_EXEC, 0)?, masked(3, asked, kind | libc::MAP_ANONYMOUS)?])
}

/// Memory whose use changes, but not into code, and not more of it than is named.
fn without_code() -> Result<SeccompRule, seccompiler::BackendError> {
    let refused = libc::PROT_EXEC | libc::PROT_GROWSDOWN | libc::PROT_GROWSUP;
    SeccompRule::new(vec![masked(2, refused, 0)?])
}

/// Of an argument's bits in the mask exactly these are set.
fn masked(
    argument: u8,
    mask: libc::c_int,
    set: libc::c_int,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    let (mask, set) = (u64::from(mask.cast_unsigned()), u64::from(set.cast_unsigned()));
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), set)
}

/// The engine's clock thread may still be on its way when the filter comes, and gives itself a name.
fn own_name() -> Result<SeccompRule, seccompiler::BackendError> {
    let set_name = libc::PR_SET_NAME as u64;
    SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, set_name)?])
}

/// What reading, answering, memory, the start of the clock thread and a clean end need.
const ALLOWED: [i64; 36] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
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
