//! What the detectors ask for and what they conclude.

use khien_core::{
    Sha256, Timestamp, Untrusted,
    conduct::{Behaviour, Deed},
    event::{FileFacts, Process},
};

use super::content::Samples;

/// What is to be seen of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    /// A few samples.
    Samples,
    /// Samples, digest and how old its neighbours are.
    Script,
    /// All of it, if that is not much, and its digest.
    Whole,
    /// How many pages it lists.
    Sitemap,
}

/// What was seen of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its inode, as a detection shows it.
    pub(super) file: FileFacts,
    /// The last change of any kind.
    pub(super) changed: Timestamp,
    /// Some of its bytes.
    pub(super) samples: Samples,
    /// All of its bytes, if they were asked for and are not too many.
    pub(super) whole: Vec<u8>,
    /// Of its bytes, if they were read.
    pub(super) sha256: Option<Sha256>,
    /// When the other scripts around it changed.
    pub(super) neighbours: Vec<Timestamp>,
    /// Pages that it lists.
    pub(super) pages: u64,
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
