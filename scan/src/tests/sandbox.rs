//! What a worker may do when it is taken over.

use khien_core::policy::{Budget, Policy, Within};

use super::{
    compiled::{compiled, started, unchanged},
    *,
};

/// All that a worker may try.
const ATTEMPTS: [Attempt; 12] = [
    Attempt::OpenFile,
    Attempt::CreateFile,
    Attempt::OpenSocket,
    Attempt::StartProgram,
    Attempt::StartThread,
    Attempt::KillParent,
    Attempt::MapCode,
    Attempt::MakeCode,
    Attempt::MapFile,
    Attempt::ShareMemory,
    Attempt::GrowDown,
    Attempt::ReachMemory,
];

#[test]
fn the_sandbox_stands_or_says_what_is_missing() {
    let pool = Tested::new();

    let coverage = pool.told.coverage.lock().unwrap().last().cloned().unwrap();

    assert_eq!(coverage.backend, "sandbox");
    match &coverage.reason {
        None => assert_eq!(coverage.sight, Sight::Full),
        Some(reason) => {
            println!("sandbox is reduced here: {reason}");
            assert_eq!(coverage.sight, Sight::Reduced);
        }
    }
    assert_eq!(*pool.told.pack.lock().unwrap(), 1);
}

#[test]
fn a_hijacked_worker_gets_nothing() {
    let pack = Brought::new(&marked_pack(1), None).unwrap();

    for attempt in ATTEMPTS {
        is_stopped(attempt, Process::start(&program(), &pack).unwrap());
    }
    assert!(!Path::new("/tmp/khien-probe").exists());
}

#[test]
fn a_worker_with_compiled_rules_has_the_same_sandbox() {
    let pack = marked_pack(1);

    for attempt in ATTEMPTS {
        is_stopped(attempt, started(&pack, compiled(&pack, unchanged)));
    }
}

#[test]
fn a_worker_may_take_as_much_memory_as_the_packs_policy_says() {
    let most = |megabytes: Option<u32>| {
        let budget = |mb| Budget { worker_memory_mb: Within::new(mb).unwrap(), ..Budget::default() };
        let policy = megabytes.map(|mb| Policy { budget: budget(mb), ..Policy::default() });
        let pack = Pack { policy, ..marked_pack(1) };
        let worker = Process::start(&program(), &Brought::new(&pack, None).unwrap()).unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", worker.pid())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max data size")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 20
    };
    let (least, usual, much) = (most(Some(256)), most(None), most(Some(1_024)));

    assert!((200..=312).contains(&(usual - least)), "{least} {usual}");
    assert!((700..=836).contains(&(much - least)), "{least} {much}");
}

#[test]
fn a_worker_leads_a_session_of_its_own() {
    let worker = Process::start(&program(), &Brought::new(&marked_pack(1), None).unwrap()).unwrap();
    let pid = Pid::from_raw(worker.pid().cast_signed()).unwrap();

    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
}

fn is_stopped(attempt: Attempt, mut worker: Process) {
    match worker.ask(&Request::Try(attempt), file_of(MARK).as_fd(), SOON) {
        Err(process::Gone::Crashed) | Ok(Reply::Tried { refused: Some(_) }) => {}
        other => panic!("{attempt:?} was not stopped: {other:?}"),
    }
}
