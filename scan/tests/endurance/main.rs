//! A part of what `cargo run --release --example endurance` does in full.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;

use khien_core::event::ScanOutcome;

mod run;

#[test]
fn a_file_that_is_cut_while_it_is_scanned_has_an_outcome_and_kills_no_worker() {
    let ends = run::cut(&program(), 500);

    assert_eq!(ends.values().sum::<usize>(), 500);
    let bad = [ScanOutcome::Crashed, ScanOutcome::Timeout, ScanOutcome::TooLarge];
    assert!(bad.iter().all(|end| !ends.contains_key(end)), "{ends:?}");
}

#[test]
fn a_worker_that_stands_still_is_killed_and_the_file_timed_out() {
    assert_eq!(run::stuck(&program(), 25), [(ScanOutcome::Timeout, 25)].into());
}

#[test]
fn a_worker_that_dies_costs_no_more_than_the_scan_of_its_file() {
    let ends = run::killed(&program(), 25);

    // One that dies before it was asked is replaced, and the file is scanned.
    let asked = ends.get(&ScanOutcome::Crashed).copied().unwrap_or(0);
    let replaced = ends.get(&ScanOutcome::Matched).copied().unwrap_or(0);
    assert_eq!((asked + replaced, asked > 0), (25, true), "{ends:?}");
}

/// The smallest program that has workers lies beside the test programs.
fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().and_then(|deps| deps.parent()).unwrap().join("examples/worker");
    assert!(
        program.exists(),
        "{} is missing: run all tests of the crate, which builds it",
        program.display()
    );
    program
}
