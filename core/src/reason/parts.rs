//! What a reason carries: errors of the system and parts of the sandbox.

use std::io;

use serde::{Deserialize, Serialize};

use super::{MAX_TEXT, Reason, inner, short};
use crate::Untrusted;

/// What the operating system said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsError {
    /// Linux's number of the error; 0 if it has none.
    pub errno: i32,
    /// The system's or the library's own words.
    #[serde(deserialize_with = "short")]
    pub text: Untrusted,
}

/// A part of the sandbox that is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// Which part.
    pub part: SandboxPart,
    /// Why.
    #[serde(deserialize_with = "inner")]
    pub because: Box<Reason>,
}

/// What a scan worker's sandbox is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxPart {
    /// Namespaces without network.
    Namespaces,
    /// A user that owns nothing.
    User,
    /// No new privileges.
    Privileges,
    /// No memory image on a crash.
    MemoryImage,
    /// Its death with the agent's.
    Death,
    /// Limits of files and sizes.
    Limits,
    /// No file can be opened: landlock.
    Landlock,
    /// A limit of memory.
    Memory,
    /// Few system calls: seccomp.
    Seccomp,
    /// A newer agent's part that is not known here.
    #[serde(other)]
    Other,
}

impl From<&io::Error> for OsError {
    fn from(error: &io::Error) -> Self {
        let text = Untrusted::cut(error.to_string().as_bytes(), MAX_TEXT);
        Self { errno: error.raw_os_error().unwrap_or(0), text }
    }
}

impl From<io::Error> for OsError {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}
