//! What tests of the detectors are made from.

use std::sync::Arc;

use khien_core::{Timestamp, Untrusted, event::Process, time::SignedDuration};

use crate::activity::{Activity, Change};

pub(super) mod documents;

/// Returns a process by its program and user.
pub(super) fn process(exe: &str, user: &str) -> Process {
    let id: u32 = exe.bytes().map(u32::from).sum();
    serde_json::from_value(serde_json::json!({
        "pid": id, "exe": exe, "command": exe, "uid": 1000, "user": user, "parent": 1,
    }))
    .unwrap()
}

/// Stands for the programs of the system.
pub(super) fn systems(path: &[u8]) -> bool {
    path.starts_with(b"/usr/")
}

/// Returns an activity at so many milliseconds after the beginning.
pub(super) fn activity(path: &str, change: Change, process: Option<&Process>, millis: i64) -> Activity {
    let process = process.cloned().map(Arc::new);
    Activity { path: Untrusted::from(path), change, folder: false, at: at(millis), process }
}

/// Returns the moment so many milliseconds after the beginning.
pub(super) fn at(millis: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
    begin.saturating_add(SignedDuration::from_millis(millis)).unwrap()
}

/// Returns bytes that look encrypted, always the same.
pub(super) fn random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}
