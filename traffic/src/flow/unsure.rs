//! The first bytes of both sides of a connection, while it is not clear yet what it is.

use std::borrow::Cow;

use khien_core::event::{Application, Direction};

use crate::application::{
    Follow, Wants,
    recognise::{Recognised, recognise},
};

/// Bytes of both sides that are kept until it is clear.
const MAX_KEPT: usize = 4 << 10;

/// The first bytes of both sides, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Unsure {
    bytes: [Vec<u8>; 2],
    turns: Vec<(Direction, usize)>,
}

/// Whether it is clear what it is.
pub(super) enum Sure {
    /// More bytes are needed.
    NotYet,
    /// It is this.
    Known(Application, Option<Box<dyn Follow>>),
    /// It is nothing that is known.
    Never,
}

impl Unsure {
    /// Takes more bytes of one side and tells what is clear.
    pub(super) fn take(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        (server_port, wants): (u16, Wants),
    ) -> Sure {
        let side = direction as usize;
        let mut both = self.bytes.each_ref().map(|b| Cow::Borrowed(&b[..]));
        match self.bytes[side].is_empty() {
            true => both[side] = Cow::Borrowed(bytes),
            false => both[side].to_mut().extend_from_slice(bytes),
        }
        let length = both[0].len() + both[1].len();
        let recognised = recognise(&both[0], &both[1], server_port, wants);
        drop(both);
        let is_known = !matches!(recognised, Recognised::More);
        if is_known || length <= MAX_KEPT {
            self.bytes[side].extend_from_slice(bytes);
            self.turns.push((direction, bytes.len()));
        }
        match recognised {
            Recognised::Known(application, follower) => Sure::Known(application, follower),
            Recognised::Unknown => Sure::Never,
            Recognised::More if length > MAX_KEPT => Sure::Never,
            Recognised::More => Sure::NotYet,
        }
    }

    /// Returns what was kept, in the order in which it came.
    pub(super) fn kept(self) -> Vec<(Direction, Vec<u8>)> {
        let mut rest = self.bytes.each_ref().map(|b| &b[..]);
        let mut out = Vec::with_capacity(self.turns.len());
        for (direction, length) in self.turns {
            let (bytes, later) = rest[direction as usize].split_at(length);
            rest[direction as usize] = later;
            out.push((direction, bytes.to_vec()));
        }
        out
    }

    /// Returns how many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.bytes[0].len() + self.bytes[1].len() + self.turns.len() * size_of::<(Direction, usize)>()
    }
}
