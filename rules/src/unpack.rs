//! Looks into containers of files and hands every inner file, with its way in, to a visitor.
//!
//! ```text
//! bytes ─► kind ─► zip │ tar ar cpio rpm │ gzip xz zstd bzip2 │ 7z │ OLE + VBA │ RTF │ PDF │ mail │ edXML │ scripts
//!            ▲                                │
//!            └────────── inner file ◄─────────┴─► visitor (scans it)
//! ```
//! Nothing is written to disk and no name is ever a path. There is no clock here: the visitor says when to stop.
//! What could not be looked into is an [`Unseen`] with the place and the cause, never silence.

mod ar;
mod blob;
mod cpio;
mod dictionary;
mod edxml;
mod kind;
mod letters;
mod limits;
mod mail;
mod mime;
mod ole;
mod pdf;
mod rpm;
mod rtf;
mod scan;
mod seven;
mod sfx;
mod source;
mod squeeze;
mod tar;
mod text;
mod unfold;
mod vba;
mod walk;
mod wide;
mod zip;

pub use limits::Limits;
pub use scan::{Deep, scan};
pub use source::Source;

use khien_core::{
    Untrusted,
    event::{Inside, ScanOutcome, Unseen},
};

use self::walk::Walk;

/// The names of a file read in another way: the same bytes, other letters.
const VIEWS: [&[u8]; 5] = [b"[decoded]", b"[rot13]", b"[reversed]", b"[utf-16]", b"[utf-32]"];

/// Troubles that are told of one walk; the others are counted.
pub const MAX_TROUBLES: usize = 16;

/// Tells whether a name is that of a file read in another way.
pub(crate) fn is_view(name: &[u8]) -> bool {
    VIEWS.contains(&name)
}

/// Takes the inner files.
pub trait Visitor {
    /// Takes one inner file, or as much of it as the limits let through.
    fn file(&mut self, inside: &Inside, bytes: &[u8]) -> Flow;

    /// Is asked between pieces of work of at most some milliseconds. When it says no, the walk ends with
    /// [`NotSeen::Time`](khien_core::event::NotSeen::Time).
    fn keep_going(&mut self) -> bool;
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// With what is inside this file and after it.
    Go,
    /// No further.
    Stop,
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Outcome {
    /// Inner files that were handed to the visitor.
    pub files: u64,
    /// Bytes that were unpacked.
    pub bytes: u64,
    /// What was not looked into, the first [`MAX_TROUBLES`].
    pub troubles: Vec<Unseen>,
    /// How many more there were.
    pub untold: u64,
}

impl Outcome {
    /// Returns the outcome of the whole scan if the visitor found nothing.
    #[must_use]
    pub fn worst(&self) -> ScanOutcome {
        self.troubles.iter().map(|t| t.why.outcome()).max().unwrap_or(ScanOutcome::Clean)
    }
}

/// Walks through everything inside `source`. The source itself is not handed to the visitor. `name` is its file name,
/// from which nothing but the names of what it wraps is made.
pub fn walk(source: Source<'_>, name: &Untrusted, limits: &Limits, visitor: &mut dyn Visitor) -> Outcome {
    let mut walk = Walk::new(name.raw(), *limits, visitor);
    walk.look(source);
    walk.outcome
}
