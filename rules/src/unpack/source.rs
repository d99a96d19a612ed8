//! The bytes of one container: in memory, or in an open file that is too large for it.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

use memchr::memmem::Finder;

/// Read at a time while searching a file.
const PIECE: u64 = 256 << 10;

/// Where the bytes of a container are. A file may shrink at any time: what is missing then reads as its end.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// In an open file, of which no more than so many bytes are looked at.
    File(&'a File, u64),
}

/// Reads a part of a source from its start to its end.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    source: Source<'a>,
    at: u64,
    end: u64,
}

impl<'a> Source<'a> {
    /// Returns how many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }

    /// Reads from a place; less than asked only at the end.
    pub(super) fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let len = into.len().min(bytes.len() - from);
                into[..len].copy_from_slice(&bytes[from..from + len]);
                Ok(len)
            }
            Self::File(file, size) => {
                let most = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX).min(into.len());
                read_file(file, at, &mut into[..most])
            }
        }
    }

    /// Returns exactly `N` bytes at a place.
    pub(super) fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.read_at(at, &mut bytes).ok()? == N).then_some(bytes)
    }

    /// Returns up to `most` bytes at a place, fewer where it ends.
    pub(super) fn bytes(&self, at: u64, most: u64) -> io::Result<Cow<'a, [u8]>> {
        let len = most.min(self.size().saturating_sub(at));
        let len = usize::try_from(len).map_err(io::Error::other)?;
        match self {
            Self::Bytes(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Cow::Borrowed(&bytes[from..from + len]))
            }
            Self::File(..) => {
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(len).map_err(io::Error::other)?;
                bytes.resize(len, 0);
                let got = self.read_at(at, &mut bytes)?;
                bytes.truncate(got);
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Returns a reader of `len` bytes at a place.
    pub(super) fn part(&self, at: u64, len: u64) -> Part<'a> {
        let end = at.saturating_add(len).min(self.size());
        Part { source: *self, at: at.min(end), end }
    }

    /// Returns where `what` is next, wholly between two places.
    pub(super) fn find(&self, what: &Finder<'_>, from: u64, to: u64) -> io::Result<Option<u64>> {
        let overlap = what.needle().len().saturating_sub(1) as u64;
        let to = to.min(self.size());
        let mut at = from;
        while at < to {
            let end = at.saturating_add(PIECE).saturating_add(overlap).min(to);
            let piece = self.bytes(at, end - at)?;
            if let Some(found) = what.find(&piece) {
                return Ok(Some(at + found as u64));
            }
            at = at.saturating_add(PIECE);
        }
        Ok(None)
    }
}

fn read_file(file: &File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut had = 0;
    while had < into.len() {
        match file.read_at(&mut into[had..], at.saturating_add(had as u64)) {
            Ok(0) => break,
            Ok(n) => had += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(had)
}

impl Part<'_> {
    /// Returns how many bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left()).unwrap_or(usize::MAX).min(into.len());
        let got = self.source.read_at(self.at, &mut into[..most])?;
        self.at += got as u64;
        Ok(got)
    }
}
