//! Ten thousand files that are cut while they are scanned, five hundred over which a worker stands still, five hundred
//! over which it dies: prints how each kind ended. `cargo run --release --example endurance`, some minutes.

use std::{io::Write, path::Path, process::ExitCode};

#[path = "../tests/endurance/run.rs"]
mod run;

/// Scans so many files of one kind.
type Run = fn(&Path, usize) -> run::Ends;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return khien_scan::worker::main();
    }
    let program = Path::new("/proc/self/exe");
    let kinds: [(&str, Run, usize); 3] =
        [("cut", run::cut, 10_000), ("stuck", run::stuck, 500), ("killed", run::killed, 500)];
    let mut all = true;
    for (name, run, files) in kinds {
        let ends = run(program, files);
        all &= ends.values().sum::<usize>() == files;
        let ends: Vec<_> = ends.iter().map(|(end, files)| format!("{files} {}", end.as_str())).collect();
        let _ = writeln!(std::io::stdout(), "{name}: {files} files, {}", ends.join(", "));
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
