//! The digests of a file in one pass over its bytes, and only those that a loaded list asks for.

use khien_core::Sha256;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256 as Sha2};

/// Which digests are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-256.
    pub sha256: bool,
    /// SHA-1.
    pub sha1: bool,
    /// MD5.
    pub md5: bool,
}

/// The digests of one file, as far as they were asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// SHA-256.
    pub sha256: Option<Sha256>,
    /// SHA-1.
    pub sha1: Option<[u8; 20]>,
    /// MD5.
    pub md5: Option<[u8; 16]>,
}

/// Takes the bytes of a file piece by piece.
pub struct Digester {
    sha256: Option<Sha2>,
    sha1: Option<Sha1>,
    md5: Option<Md5>,
}

impl Digester {
    /// Begins with no bytes.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self {
            sha256: wanted.sha256.then(Sha2::new),
            sha1: wanted.sha1.then(Sha1::new),
            md5: wanted.md5.then(Md5::new),
        }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        if let Some(state) = &mut self.sha256 {
            state.update(bytes);
        }
        if let Some(state) = &mut self.sha1 {
            state.update(bytes);
        }
        if let Some(state) = &mut self.md5 {
            state.update(bytes);
        }
    }

    /// Returns the digests of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Digests {
        Digests {
            sha256: self.sha256.map(|state| Sha256(state.finalize().into())),
            sha1: self.sha1.map(|state| state.finalize().into()),
            md5: self.md5.map(|state| state.finalize().into()),
        }
    }
}

impl Digests {
    /// Returns the wanted digests of bytes, taken in pieces that stay in the cache between one digest and the next.
    #[must_use]
    pub fn of(bytes: &[u8], wanted: Wanted) -> Self {
        let mut digester = Digester::new(wanted);
        bytes.chunks(PIECE).for_each(|piece| digester.take(piece));
        digester.finish()
    }
}

/// Bytes given to each digest in turn: half of a small first-level cache.
const PIECE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    const ALL: Wanted = Wanted { sha256: true, sha1: true, md5: true };

    #[test]
    fn the_digests_are_those_of_the_standards() {
        let digests = Digests::of(b"abc", ALL);

        assert_eq!(
            digests.sha256.unwrap().to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(HEXLOWER.encode(&digests.sha1.unwrap()), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(HEXLOWER.encode(&digests.md5.unwrap()), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn pieces_give_the_same_as_the_whole_and_nothing_unasked_is_made() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut digester = Digester::new(ALL);
        bytes.chunks(777).for_each(|piece| digester.take(piece));

        assert_eq!(digester.finish(), Digests::of(&bytes, ALL));
        assert_eq!(Digests::of(&bytes, ALL).sha256, Some(Sha256::of(&bytes)));
        let one = Digests::of(&bytes, Wanted { md5: true, ..Wanted::default() });
        assert_eq!((one.sha256, one.sha1, one.md5.is_some()), (None, None, true));
    }
}
