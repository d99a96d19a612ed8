//! Bytes that came before their turn, each once: **the first copy of a byte wins**.

use std::collections::BTreeMap;

/// Pieces that do not overlap, by where they begin.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    held: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

/// What a new piece has in common with those that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlap {
    /// How much of it was held already.
    pub(super) shared: Shared,
    /// Whether any of that says something else.
    pub(super) differs: bool,
}

/// How much of a piece was held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    Nothing,
    Part,
    All,
}

impl Pieces {
    /// Keeps those bytes that are not held yet.
    pub(super) fn add(&mut self, from: u64, bytes: &[u8]) -> Overlap {
        let end = from.saturating_add(bytes.len() as u64);
        let (mut at, mut shared, mut differs) = (from, 0, false);
        while at < end {
            let rest = &bytes[(at - from) as usize..];
            if let Some(known) = self.known(at) {
                let length = known.len().min(rest.len());
                differs |= known[..length] != rest[..length];
                shared += length;
                at += length as u64;
                continue;
            }
            let stop = self.held.range(at..).next().map_or(end, |(start, _)| (*start).min(end));
            let fresh = &rest[..(stop - at) as usize];
            self.bytes += fresh.len();
            self.held.insert(at, fresh.to_vec());
            at = stop;
        }
        let shared = match shared {
            0 => Shared::Nothing,
            n if n == bytes.len() => Shared::All,
            _ => Shared::Part,
        };
        Overlap { shared, differs }
    }

    /// Takes out the piece that begins at `at`.
    pub(super) fn take(&mut self, at: u64) -> Option<Vec<u8>> {
        let piece = self.held.remove(&at)?;
        self.bytes -= piece.len();
        Some(piece)
    }

    /// Returns where the first piece begins.
    pub(super) fn first(&self) -> Option<u64> {
        self.held.first_key_value().map(|(at, _)| *at)
    }

    /// Returns where the last piece ends.
    pub(super) fn end(&self) -> Option<u64> {
        self.held.last_key_value().map(|(at, piece)| at + piece.len() as u64)
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// Returns how many bytes they have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Joins all, if they lie side by side from 0.
    pub(super) fn joined(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(self.bytes);
        for (at, piece) in &self.held {
            if *at != out.len() as u64 {
                return None;
            }
            out.extend_from_slice(piece);
        }
        Some(out)
    }

    /// Returns the held bytes from `at` on to the end of their piece.
    fn known(&self, at: u64) -> Option<&[u8]> {
        let (start, piece) = self.held.range(..=at).next_back()?;
        piece.get((at - start) as usize..).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn overlaps_are_told_apart() {
        let mut pieces = Pieces::default();

        let mut added = |from, bytes: &[u8]| {
            let Overlap { shared, differs } = pieces.add(from, bytes);
            (shared, differs)
        };
        assert_eq!(added(4, b"GOOD"), (Shared::Nothing, false));
        assert_eq!(added(4, b"GOOD"), (Shared::All, false));
        assert_eq!(added(5, b"OX"), (Shared::All, true));
        assert_eq!(added(6, b"ODx"), (Shared::Part, false));
        assert_eq!(added(0, b"abcdEVIL"), (Shared::Part, true));
        assert_eq!(pieces.joined().as_deref(), Some(&b"abcdGOODx"[..]));
    }

    proptest! {
        #[test]
        fn the_first_copy_of_each_byte_is_held(
            parts in prop::collection::vec((0u64..200, prop::collection::vec(any::<u8>(), 0..60)), 0..30)
        ) {
            let mut pieces = Pieces::default();
            let mut plain: BTreeMap<u64, u8> = BTreeMap::new();
            for (from, part) in &parts {
                pieces.add(*from, part);
                for (at, byte) in (*from..).zip(part) {
                    plain.entry(at).or_insert(*byte);
                }
            }
            prop_assert_eq!(pieces.bytes(), plain.len());
            let held = pieces.held.iter().flat_map(|(from, p)| (*from..).zip(p.iter().copied()));
            prop_assert!(held.eq(plain));
        }
    }
}
