//! What `khien pcap scan` says of the file.

use std::{path::Path, process::Command, sync::OnceLock};

use khien_core::traffic::Record;

use crate::place::program;

/// Returns the records of the one file that all tests look at.
pub(crate) fn records(file: &Path) -> &'static [Record] {
    static READ: OnceLock<Vec<Record>> = OnceLock::new();
    READ.get_or_init(|| scanned(file))
}

/// Returns the records of a file.
pub(crate) fn scanned(file: &Path) -> Vec<Record> {
    let done = Command::new(program("khien"))
        .args(["pcap", "scan", "--no-rules", "--lang", "en", "--events", "-"])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    let lines = std::str::from_utf8(&done.stdout).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
