//! Files for other programs.

pub mod stix;
