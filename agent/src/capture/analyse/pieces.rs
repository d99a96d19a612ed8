//! What waits for a scan, and what gets the next place.
//!
//! A piece of a stream is here because a rule may match it (see `rules::sieve`); of carried files nothing is known, and most are
//! what everybody is served. So pieces go first, but never so many in a row that no file gets its turn.

use std::collections::VecDeque;

use khien_core::event::FlowFacts;
use khien_traffic::sink::{Content, Job, Origin};

/// So many pieces are scanned before a file that waits.
const BEFORE_A_FILE: u32 = 3;

/// Something to scan.
#[derive(Debug)]
pub(super) struct Piece {
    /// What a hit is counted for.
    pub(super) origin: Origin,
    /// The flow as it was known then.
    pub(super) facts: FlowFacts,
    /// Where it begins in its stream.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// What else is known of it, if it is a file.
    pub(super) file: Option<Box<Content>>,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    streams: VecDeque<Piece>,
    files: VecDeque<Piece>,
    /// Pieces that were taken while a file waited, since the last one was.
    in_a_row: u32,
}

impl Pieces {
    /// Takes something that is to be scanned.
    pub(super) fn put(&mut self, piece: Piece) {
        let line = if piece.file.is_some() { &mut self.files } else { &mut self.streams };
        line.push_back(piece);
    }

    /// Returns what is scanned next.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let files_wait = !self.files.is_empty();
        let is_files_turn = files_wait && self.in_a_row >= BEFORE_A_FILE;
        let piece = if is_files_turn { None } else { self.streams.pop_front() };
        self.in_a_row = if piece.is_some() && files_wait { self.in_a_row + 1 } else { 0 };
        piece.or_else(|| self.files.pop_front())
    }

    /// Lets go of all that waits.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Piece> + use<> {
        let Self { streams, files, .. } = std::mem::take(self);
        streams.into_iter().chain(files)
    }
}

impl From<Job> for Piece {
    fn from(job: Job) -> Self {
        let Job { origin, facts, offset, bytes } = job;
        Self { origin, facts, offset, bytes, file: None }
    }
}

impl From<Content> for Piece {
    fn from(mut content: Content) -> Self {
        Self {
            origin: content.origin,
            facts: FlowFacts { direction: content.direction, ..content.facts.clone() },
            offset: 0,
            bytes: std::mem::take(&mut content.bytes),
            file: Some(content.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::analyse::tests::made;

    #[test]
    fn pieces_in_which_a_rule_may_match_go_before_files_and_files_get_their_turn() {
        let mut pieces = Pieces::default();
        (0..2).for_each(|flow| pieces.put(made::content(flow).into()));
        (10..17).for_each(|flow| pieces.put(made::job_of(flow).into()));

        let order: Vec<_> = std::iter::from_fn(|| pieces.next()).map(|piece| piece.origin.flow).collect();

        assert_eq!(order, [10, 11, 12, 0, 13, 14, 15, 1, 16]);
    }

    #[test]
    fn what_is_let_go_is_all_of_it() {
        let mut pieces = Pieces::default();
        pieces.put(made::content(0).into());
        pieces.put(made::job_of(1).into());

        assert_eq!(pieces.take_all().count(), 2);
        assert!(pieces.next().is_none());
    }
}
