//! The agent on an agency server: watches files and traffic, scans, spools, reports, and obeys signed orders.

mod health;

fn main() {}
