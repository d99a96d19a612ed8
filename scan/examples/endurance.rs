//! Ten thousand files that are cut while they are scanned, five hundred over which a worker stands still, five hundred
//! over which it dies: prints how each kind ended. `cargo run --release --example endurance`, some minutes.
//!
//! `… --example endurance -- FOLDER` scans the files of a folder instead, with rules for which every module of the engine
//! reads all of each: samples that broke other readers, such as `tests/oss-fuzz` of `apt-get source yara`.

use std::{io::Write, path::Path, process::ExitCode};

#[path = "../tests/endurance/run.rs"]
mod run;

/// Scans so many files of one kind.
type Run = fn(&Path, usize) -> run::Ends;

fn main() -> ExitCode {
    let program = Path::new("/proc/self/exe");
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("worker") => return khien_scan::worker::main(),
        Some(folder) => {
            let ends = run::corpus(program, Path::new(folder));
            let _ = writeln!(
                std::io::stdout(),
                "{folder}: {} files, {}",
                ends.values().sum::<usize>(),
                told(&ends)
            );
            return ExitCode::SUCCESS;
        }
    }
    let kinds: [(&str, Run, usize); 3] =
        [("cut", run::cut, 10_000), ("stuck", run::stuck, 500), ("killed", run::killed, 500)];
    let mut all = true;
    for (name, run, files) in kinds {
        let ends = run(program, files);
        all &= ends.values().sum::<usize>() == files;
        let _ = writeln!(std::io::stdout(), "{name}: {files} files, {}", told(&ends));
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn told(ends: &run::Ends) -> String {
    let ends: Vec<_> = ends.iter().map(|(end, files)| format!("{files} {}", end.as_str())).collect();
    ends.join(", ")
}
