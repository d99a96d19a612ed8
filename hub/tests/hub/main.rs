//! Drives the real hub over its API, as an operator and as agents, honest and not.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod captures;
#[path = "../common/mod.rs"]
mod common;
mod crash;
mod enrolment;
mod evidence;
mod incidents;
mod ingest;
mod language;
mod packs;
mod runs;
mod scans;
mod silence;
mod single;
mod triage;
