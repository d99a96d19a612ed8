//! Fuzz targets for what reads hostile bytes: unpackers, rules of others, lists, and what peers send.
//!
//! ```text
//! cargo test ─► runs every input of corpus/ once more, with every oracle
//! tests/fuzz/run ─► builds our crates with counters ─► a process for each target ─► new inputs, led by what they reach
//! ```
//! An input must not panic, overflow, take long, take more memory than its target says, or end differently when it is run
//! again; each target asserts more. Inputs are made from a fixed seed, up to 32 KiB, by [`mutate`]. The loop is ours
//! because libFuzzer wants a C++ compiler at every newcomer's and rebuilds all dependencies; the counters are LLVM's.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]
#![allow(clippy::print_stdout, reason = "a test program speaks on standard output")]

mod cover;
mod fuzzer;
mod jobs;
mod memory;
mod mutate;
mod targets;

use std::{env, fs, path::Path, process::ExitCode, time::Duration};

use fuzzer::Fuzzer;
use targets::{TARGETS, Target};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--fuzz", seconds, names @ ..] => jobs::run(&jobs::Plan { seconds, names, grow: false }),
        ["--grow", seconds, names @ ..] => jobs::run(&jobs::Plan { seconds, names, grow: true }),
        [how @ ("--child" | "--child-grow"), name, seconds, current] => {
            child(named(name), seconds, Path::new(current), *how == "--child-grow")
        }
        ["--try", name, files @ ..] => try_files(named(name), files),
        // What `cargo test` hands over: options of its own, and parts of names.
        rest => corpora(rest),
    }
}

fn named(name: &str) -> &'static Target {
    let names = || TARGETS.iter().map(|t| t.name).collect::<Vec<_>>().join(", ");
    TARGETS
        .iter()
        .find(|t| t.name == name)
        .unwrap_or_else(|| panic!("no target `{name}`, there are {}", names()))
}

/// Runs the inputs that are kept in the repository.
fn corpora(args: &[&str]) -> ExitCode {
    let wanted: Vec<_> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let is_wanted =
        |t: &&Target| wanted.is_empty() || wanted.iter().any(|w| format!("fuzz::{}", t.name).contains(**w));
    let (mut passed, mut failed) = (0, 0);
    for target in TARGETS.iter().filter(is_wanted) {
        let kept = fuzzer::kept(target);
        let faults: Vec<_> = kept
            .iter()
            .filter_map(|(path, bytes)| Some((path, fuzzer::hold(target, bytes).err()?)))
            .collect();
        faults.iter().for_each(|(path, fault)| eprintln!("{}: {}", path.display(), fault.0));
        // A corpus that is gone must not read as a good one.
        let good = faults.is_empty() && !kept.is_empty();
        println!(
            "test fuzz::{} ({} inputs) ... {}",
            target.name,
            kept.len(),
            if good { "ok" } else { "FAILED" }
        );
        if good { passed += 1 } else { failed += 1 }
    }
    println!(
        "test result: {}. {passed} passed; {failed} failed; 0 ignored",
        if failed == 0 { "ok" } else { "FAILED" }
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn try_files(target: &'static Target, files: &[&str]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match fuzzer::hold(target, &fs::read(file).unwrap()) {
            Ok(()) => println!("{file}: holds"),
            Err(fault) => {
                println!("{file}: {}", fault.0);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn child(target: &'static Target, seconds: &str, current: &Path, grow: bool) -> ExitCode {
    if !cover::is_on() {
        eprintln!("built without counters; use tests/fuzz/run");
        return ExitCode::FAILURE;
    }
    let mut fuzzer = Fuzzer::new(target, fs::File::create(current).unwrap());
    println!("{}", fuzzer.go(Duration::from_secs(seconds.parse().unwrap())));
    if grow {
        fuzzer.keep();
    }
    ExitCode::SUCCESS
}
