//! Runs targets in processes of their own, some at a time, and says how to run again what ended one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use crate::{
    named,
    targets::{TARGETS, Target},
};

/// How many run at a time. More than the smallest machine for tests has processors: it is time that a test run lacks, and two
/// rounds of a minute are enough for all.
const AT_A_TIME: usize = 7;

/// What to run.
pub(crate) struct Plan<'a> {
    pub(crate) seconds: &'a str,
    /// None is all of them.
    pub(crate) names: &'a [&'a str],
    /// Whether to keep what reached more.
    pub(crate) grow: bool,
}

/// Runs targets; fails if one does.
pub(crate) fn run(plan: &Plan<'_>) -> ExitCode {
    let targets: Vec<&Target> = match plan.names {
        [] => TARGETS.iter().collect(),
        names => names.iter().map(|name| named(name)).collect(),
    };
    let (next, faults) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Relaxed)) {
            if !went_well(target, plan) {
                faults.fetch_add(1, Relaxed);
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    match faults.into_inner() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn went_well(target: &Target, plan: &Plan<'_>) -> bool {
    let program = env::current_exe().unwrap();
    let current = place(&program).join(format!("{}.current", target.name));
    let how = if plan.grow { "--child-grow" } else { "--child" };
    let ended = Command::new(&program).args([how, target.name, plan.seconds]).arg(&current).status().unwrap();
    if !ended.success() {
        tell(target, &current, &ended.to_string());
    }
    let _ = fs::remove_file(&current);
    ended.success()
}

/// Beside what cargo builds: the repository itself must stay as it is.
fn place(program: &Path) -> PathBuf {
    let place = program.ancestors().nth(3).unwrap().join("fuzz");
    fs::create_dir_all(&place).unwrap();
    place
}

/// Keeps the input over which a process ended, and says how to run it again.
fn tell(target: &Target, current: &Path, ended: &str) {
    let Some(bytes) = input(current) else {
        return eprintln!("{}: ended without an input: {ended}", target.name);
    };
    let name = format!("{}-{}", target.name, &khien_core::Sha256::of(&bytes).to_string()[..12]);
    let path = current.with_file_name(name);
    fs::write(&path, bytes).unwrap();
    eprintln!(
        "{name}: ended ({ended}) over the input in {path}\n  run it again: tests/fuzz/run --try {name} {path}\n  once \
         mended, keep it: cp {path} tests/fuzz/corpus/{name}/",
        name = target.name,
        path = path.display()
    );
}

/// Reads the input that ran last: its length, then its bytes, then what is left of longer ones.
fn input(current: &Path) -> Option<Vec<u8>> {
    let file = fs::read(current).ok()?;
    let (len, bytes) = file.split_first_chunk::<8>()?;
    Some(bytes.get(..usize::try_from(u64::from_le_bytes(*len)).ok()?)?.to_vec())
}
