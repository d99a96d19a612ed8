//! The whole path with the real programs: one module for each paragraph of what a person does.
//!
//! Nothing here reaches into a program. Files are written, packets sent, keys typed, commands run.

mod agents;
mod files;
mod harness;
mod orders;
mod place;
mod playbook;
mod report;
mod terminal;
mod traffic;
mod triage;
mod ui;
mod up;
