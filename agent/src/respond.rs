//! Changes the host as an order says, and nothing else does. Every verb may be cut off anywhere and done again: it looks
//! first at what is done already, and a file is never in two places or in none.
//!
//! A path is walked from `/` without following a single link, and what was hashed is what is acted on: the same open
//! file, whose identity is looked at again right before its name is taken away.

use std::{io, path::PathBuf};

use khien_core::{
    Sha256,
    order::{FileTarget, Verb},
};
use rustix::io::Errno;

mod copy;
pub(crate) mod evidence;
mod place;
mod quarantine;
mod restore;
#[cfg(test)]
mod tests;
mod traits;
mod verify;

/// Why an order was not carried out; the host is as it was. Stable English words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    fn errno(what: &str, errno: Errno) -> Self {
        Self(format!("{what}: {}", words(errno)))
    }

    fn io(what: &str, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Self::errno(what, Errno::from_raw_os_error(code)),
            None => Self(format!("{what}: {error}")),
        }
    }
}

/// Names the errors that a responder is likely to meet; the rest in the words of the system.
fn words(errno: Errno) -> String {
    match errno {
        Errno::PERM => "not permitted, the file may be immutable".to_owned(),
        Errno::ACCESS => "permission denied".to_owned(),
        Errno::ROFS => "the file system is read-only".to_owned(),
        Errno::NOSPC | Errno::DQUOT => "no space left".to_owned(),
        Errno::LOOP => "a symbolic link is in the way".to_owned(),
        Errno::NOSYS => "the kernel is too old, openat2 needs Linux 5.6".to_owned(),
        other => io::Error::from(other).to_string(),
    }
}

/// Where responses keep what they took.
#[derive(Debug, Clone)]
pub(crate) struct Responder {
    /// Quarantined files.
    pub(crate) quarantine: PathBuf,
    /// Copies of files on their way to the hub.
    pub(crate) evidence: PathBuf,
    /// The agent's own folder, which no order touches.
    pub(crate) home: PathBuf,
}

/// Whether an order may still act, or only be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Act.
    Act,
    /// Its time is over: only find out whether it was done.
    Look,
}

impl Responder {
    /// Carries out a verb that needs nothing of the hub. Blocks on the disk.
    pub(crate) fn carry_out(&self, verb: &Verb, leave: Leave) -> Result<(), Failure> {
        let file = verb.file();
        self.keeps_out(file)?;
        match verb {
            Verb::QuarantineFile(_) => self.quarantine_file(file, leave),
            Verb::RestoreFile(_) => self.restore_file(file, leave),
            Verb::VerifyAbsent(_) => verify::absent(file),
            Verb::VerifyPresent(_) => verify::present(file),
            Verb::PreserveFile(_) => Err(Failure::new("a file is preserved with the hub's help")),
        }
    }

    /// Refuses what lies in the agent's own folder.
    fn keeps_out(&self, file: &FileTarget) -> Result<(), Failure> {
        use std::os::unix::ffi::OsStrExt;
        match std::path::Path::new(std::ffi::OsStr::from_bytes(file.path.raw())).starts_with(&self.home) {
            true => Err(Failure::new("the path lies in the agent's own folder")),
            false => Ok(()),
        }
    }
}

/// Names the room of a file in quarantine: by place and content, whatever order asks.
fn room(file: &FileTarget) -> String {
    let mut name = file.path.raw().to_vec();
    name.push(0);
    name.extend_from_slice(&file.sha256.0);
    Sha256::of(&name).to_string()
}

const EXPIRED: &str = "the mandate expired before the order was carried out";
