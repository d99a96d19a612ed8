//! What the detectors ask for and what they conclude.

use khien_core::{
    Sha256, Timestamp, Untrusted,
    conduct::{Behaviour, Deed},
    event::{FileFacts, Process},
};

use super::content::Says;

/// What is to be seen of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    /// Samples, if it is an older file than its name.
    Linked,
    /// Samples.
    Samples,
    /// The same, of a file that took the place of a document: before all others.
    Suspect,
    /// Samples, digest and how old its neighbours are.
    Script,
    /// All of it, if that is not much, and its digest.
    Whole,
    /// How many pages it lists.
    Sitemap,
}

/// What was seen of a file. Its bytes are judged where they are read and let go there, so that many looks at once take
/// little memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its inode, as a detection shows it.
    pub(super) file: FileFacts,
    /// The last change of any kind.
    pub(super) changed: Timestamp,
    /// When it was made, under whatever name, if the file system tells.
    pub(super) born: Option<Timestamp>,
    /// What its bytes say.
    pub(super) says: Says,
    /// Whether it is foreign to its kind behind its head and was changed a moment ago: what it says then may be because it
    /// is being written.
    pub(super) unsettled: bool,
    /// Of its bytes, if all of them were read.
    pub(super) sha256: Option<Sha256>,
    /// Whether all of it was to be read and it is too large for that.
    pub(super) too_large: bool,
    /// What the other scripts around it say of their release.
    pub(super) release: Option<Release>,
    /// Pages that it lists, if they were counted.
    pub(super) pages: Option<u64>,
}

/// When the scripts around a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) scripts: usize,
    pub(super) oldest: Timestamp,
    pub(super) newest: Timestamp,
}

impl Release {
    /// Puts together when each changed; none if there are no scripts.
    pub(super) fn of(times: &[Timestamp]) -> Option<Self> {
        let (oldest, newest) = (*times.iter().min()?, *times.iter().max()?);
        Some(Self { scripts: times.len(), oldest, newest })
    }
}

/// One thing that was found, before those of one kind are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The web root or watched folder.
    pub(super) root: Untrusted,
    /// The file.
    pub(super) path: Untrusted,
    pub(super) deed: Deed,
    pub(super) file: Option<FileFacts>,
    pub(super) sha256: Option<Sha256>,
    pub(super) process: Option<Process>,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// A file, or the folder in which many were found.
    pub(super) path: Untrusted,
    pub(super) behaviour: Behaviour,
    pub(super) file: Option<FileFacts>,
    pub(super) sha256: Option<Sha256>,
    pub(super) process: Option<Process>,
}
