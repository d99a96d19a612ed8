//! What is needed: programs, and one file of packets for all tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Returns the path of a program of ours, built beside this test.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().parent().unwrap().with_file_name(name);
    assert!(path.exists(), "{} is not built; tests/run builds it", path.display());
    path
}

/// Prints why a test cannot run here; `tests/run` counts these lines.
#[allow(clippy::print_stdout, reason = "`tests/run` reads it")]
pub(crate) fn cannot_run(why: &str) {
    println!("cannot run here: {}: {why}", std::thread::current().name().unwrap_or("test"));
}

/// Tells whether a program is installed.
pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Returns a file of packets of real clients and servers, made once for all tests of this program.
pub(crate) fn captured() -> Option<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match MADE.get_or_init(make) {
        Ok(path) => Some(path),
        Err(why) => {
            cannot_run(why);
            None
        }
    }
}

fn make() -> Result<PathBuf, String> {
    if !is_there("tshark") {
        return Err("tshark is not installed".to_owned());
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers.pcap");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("load/traffic.py");
    let made = Command::new("python3").arg(script).arg(&path).output();
    let made = made.map_err(|e| format!("python3: {e}"))?;
    let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    match made.status.code() {
        Some(0) => Ok(path),
        // It says so when it lacks programs or rights.
        _ if said.starts_with("missing: ") || said.ends_with("need root") => Err(said),
        _ => panic!("tests/load/traffic.py: {said}"),
    }
}
