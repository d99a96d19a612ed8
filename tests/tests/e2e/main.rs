//! The whole path with the real programs: one module for each paragraph of what a person does.
//!
//! Nothing here reaches into a program. Files are written, packets sent, keys typed, commands run.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod agents;
mod behaviour;
mod containers;
mod detectors;
mod evasion;
mod families;
mod files;
mod harness;
mod indicators;
mod integrity;
mod kill;
mod language;
mod listed;
mod memory;
mod net_host;
mod net_past;
mod ordered;
mod orders;
mod packs;
mod pcap;
mod pcap_case;
mod place;
mod playbook;
mod report;
mod scan;
mod sealed;
mod terminal;
mod traffic;
mod triage;
mod ui;
mod up;
