//! Who may import whom. The table is docs/ARCHITECTURE.md's; any other edge between our crates fails.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

/// Crate and what it may import.
const MAY: [(&str, &[&str]); 11] = [
    ("khien-core", &[]),
    ("khien-rules", &["khien-core"]),
    ("khien-traffic", &["khien-core"]),
    ("khien-scan", &["khien-core", "khien-rules"]),
    ("khien-playbooks", &["khien-core"]),
    ("khien-reports", &["khien-core"]),
    ("khien-pdf", &["khien-core", "khien-reports"]),
    ("khien-agent", &["khien-core", "khien-rules", "khien-scan", "khien-traffic"]),
    ("khien-hub", &["khien-core", "khien-playbooks", "khien-reports"]),
    (
        "khien",
        &["khien-core", "khien-rules", "khien-scan", "khien-traffic", "khien-playbooks", "khien-reports"],
    ),
    ("khien-tests", &["khien-core", "khien-rules", "khien-playbooks", "khien-reports"]),
];

/// What pure crates must not bring in: anything that does I/O, waits or logs.
const PURE: [&str; 3] = ["khien-core", "khien-traffic", "khien-playbooks"];
const IMPURE: [&str; 8] = ["tokio", "reqwest", "hyper", "axum", "rusqlite", "notify", "tracing", "rustix"];

#[test]
fn crates_import_only_downwards() {
    let packages = packages();

    for package in &packages {
        let name = name(package);
        let (_, may) = MAY.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name} has no floor"));
        for import in imports(package).iter().filter(|i| i.starts_with("khien")) {
            assert!(may.contains(&import.as_str()), "{name} must not import {import}");
        }
    }
    assert_eq!(packages.len(), MAY.len(), "a crate of the table is missing");
}

#[test]
fn pure_crates_bring_in_nothing_that_does_io() {
    for package in packages().iter().filter(|p| PURE.contains(&name(p))) {
        for import in imports(package) {
            assert!(!IMPURE.contains(&import.as_str()), "{} must not import {import}", name(package));
        }
    }
}

/// Only crates that have a module made for it may lift the ban on `unsafe`.
#[test]
fn unsafe_stays_in_modules_made_for_it() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let found = Command::new("git")
        .args(["-C", root, "grep", "-l", "--untracked", "-E", r"^#!?\[allow\(unsafe_code", "--", "*.rs"])
        .output()
        .unwrap();

    let files = String::from_utf8(found.stdout).unwrap();
    assert!(!files.is_empty(), "the search itself must work: fanotify and the packet ring are unsafe");
    for file in files.lines() {
        let file = file.trim_start_matches("../");
        let has_room = ["agent/src/", "scan/src/", "reports/pdf/src/", "tests/fuzz/"]
            .iter()
            .any(|r| file.starts_with(r));
        assert!(has_room, "{file} lifts the ban");
    }
}

fn packages() -> Vec<Value> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// Returns what a crate's product imports; tests of a crate may use more.
fn imports(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let product = dependencies.filter(|d| d["kind"].is_null());
    product.map(|d| d["name"].as_str().unwrap().to_owned()).collect()
}
