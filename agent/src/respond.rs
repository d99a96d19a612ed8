//! Changes the host as an order says, and nothing else does. Every verb may be cut off anywhere and done again: it looks
//! first at what is done already, and a file is never in two places or in none.
//!
//! A path is walked from `/` without following a single link, and what was hashed is what is acted on: the same open
//! file, whose identity is looked at again before its name is taken away, and once more when it is.

use std::path::PathBuf;

use khien_core::{
    Sha256,
    order::{FileTarget, Verb},
    reason::{OsError, Reason},
};
use rustix::io::Errno;

mod aside;
mod copy;
pub(crate) mod evidence;
mod place;
mod quarantine;
#[cfg(test)]
mod race;
mod restore;
#[cfg(test)]
mod tests;
mod traits;
mod verify;

#[cfg(test)]
pub(crate) use tests::{access_list, opened, taking};

/// Takes what the system said as the argument of a reason.
fn os(errno: Errno) -> OsError {
    std::io::Error::from(errno).into()
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
    pub(crate) fn carry_out(&self, verb: &Verb, leave: Leave) -> Result<(), Reason> {
        let file = verb.file().ok_or(Reason::NoScanner)?;
        self.keeps_out(file)?;
        match verb {
            Verb::QuarantineFile(_) => self.quarantine_file(file, leave),
            Verb::RestoreFile(_) => self.restore_file(file, leave),
            Verb::VerifyAbsent(_) => verify::absent(file),
            Verb::VerifyPresent(_) => verify::present(file),
            Verb::PreserveFile(_) => Err(Reason::NeedsHub),
            Verb::PreservePackets(_) => Err(Reason::NeedsHub),
            Verb::SearchRecords(_) => Err(Reason::RecordsNotKept),
            Verb::ScanPath(_) | Verb::ScanMemory(_) | Verb::StopScan { .. } => Err(Reason::NoScanner),
        }
    }

    /// Removes what orders that were cut off left half done. For a start, when every order that was begun is answered.
    pub(crate) fn sweep(&self) -> std::io::Result<()> {
        evidence::sweep(&self.evidence)?;
        quarantine::sweep(&self.quarantine)
    }

    /// Refuses what lies in the agent's own folder.
    fn keeps_out(&self, file: &FileTarget) -> Result<(), Reason> {
        use std::os::unix::ffi::OsStrExt;
        match std::path::Path::new(std::ffi::OsStr::from_bytes(file.path.raw())).starts_with(&self.home) {
            true => Err(Reason::OwnFolder),
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
