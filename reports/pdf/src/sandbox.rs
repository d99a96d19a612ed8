//! Gives up everything but reading, writing and computing. Without `unsafe`: rustix, landlock and seccompiler do it.

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Seconds of processor time; a report of the largest size takes a few.
const CPU_SECONDS: u64 = 60;
/// Address space in bytes: typst peaks below 100 MiB, but every thread reserves far more than it uses.
const SPACE: u64 = 8 << 30;
/// The largest PDF, where standard output is a file.
const FILE: u64 = 256 << 20;

/// Confines this process and returns the layers that the kernel did not give. Call it before any other thread exists.
pub(crate) fn confine() -> Vec<String> {
    let layers = [
        ("limits", limits()),
        ("no new privileges", rustix::thread::set_no_new_privs(true).map_err(|e| e.to_string())),
        ("landlock", no_files()),
        ("seccomp", few_calls()),
    ];
    layers.into_iter().filter_map(|(name, done)| Some(format!("{name}: {}", done.err()?))).collect()
}

fn limits() -> Result<(), String> {
    let set = |resource, most| {
        // A lower limit that was given from outside stays.
        let had = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = Some(had.min(most));
        setrlimit(resource, Rlimit { current: most, maximum: most }).map_err(|e| e.to_string())
    };
    set(Resource::Core, 0)?;
    set(Resource::Cpu, CPU_SECONDS)?;
    set(Resource::As, SPACE)?;
    set(Resource::Fsize, FILE)
}

/// Handles every access that landlock knows and allows none of them.
fn no_files() -> Result<(), String> {
    let abi = ABI::V6;
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|r| r.handle_access(AccessNet::from_all(abi)))
        .and_then(|r| r.scope(Scope::from_all(abi)))
        .and_then(|r| r.create())
        .and_then(|r| r.restrict_self())
        .map_err(|e| e.to_string())?;
    match restricted.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("this kernel knows a part of it".to_owned()),
        RulesetStatus::NotEnforced => Err("this kernel does not have it".to_owned()),
    }
}

/// Every other call fails with EPERM, so that a harmless attempt (how many processors are there?) does not end it.
fn few_calls() -> Result<(), String> {
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(|_| "unknown processor".to_owned())?;
    let rules = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, denied, SeccompAction::Allow, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|e| e.to_string())?;
    seccompiler::apply_filter(&program).map_err(|e| e.to_string())
}

/// What reading, writing, memory, threads and a clean end need.
const CALLS: [i64; 37] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_sysinfo,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
