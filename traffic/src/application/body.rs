//! Bodies as they were meant: without chunks (RFC 9112 §7.1) and without compression (gzip, zlib, bare deflate).
//!
//! Both work on pieces as they come and hold nothing of the body: any segmentation gives the same bytes.

use flate2::{Decompress, FlushDecompress, Status};
use khien_core::event::Direction;

use super::Said;

/// The longest line before a chunk, its extensions included; Apache takes 8 KiB with everything, others less.
const MAX_CHUNK_LINE: usize = 4 << 10;
/// The most bytes behind the last chunk.
const MAX_TRAILER: usize = 16 << 10;
/// Compression in compression: more is sent by nobody.
pub(super) const MAX_LAYERS: usize = 3;
/// Members of one gzip body. Each costs a fresh dictionary, and an empty one is 20 bytes long.
const MAX_MEMBERS: u32 = 64;
/// What a connection may unpack before it is asked how much it sent.
const FREE: u64 = 1 << 20;
/// What a connection may unpack beyond that, for each byte that it sent. Pages reach 20, logs 50, deflate can do 1,032.
const RATIO: u64 = 100;
/// What one body may unpack to.
const MAX_UNPACKED: u64 = 64 << 20;
/// How much is unpacked at a time.
const BLOCK: usize = 16 << 10;

/// Content that waits to be said, and where it stands.
#[derive(Debug)]
pub(super) struct Piece {
    direction: Direction,
    offset: u64,
    bytes: Vec<u8>,
    is_wanted: bool,
}

impl Piece {
    /// Begins at offset 0; without a reader nothing is copied.
    pub(super) fn new(direction: Direction, is_wanted: bool) -> Self {
        Self { direction, offset: 0, bytes: Vec::new(), is_wanted }
    }

    /// Makes room for what is to come, so that it is copied once.
    pub(super) fn expect(&mut self, bytes: usize) {
        if self.is_wanted {
            self.bytes.reserve(bytes);
        }
    }

    /// Adds bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.is_wanted {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Says what is there.
    pub(super) fn flush(&mut self, out: &mut Vec<Said>) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let offset = self.offset;
        self.offset = offset.saturating_add(bytes.len() as u64);
        out.push(Said::Body { direction: self.direction, offset, bytes });
    }

    /// Says what is there; what comes now is something new.
    pub(super) fn restart(&mut self, out: &mut Vec<Said>) {
        self.flush(out);
        self.offset = 0;
    }
}

/// Takes the chunks off a body.
///
/// Lenient where servers are: bare line feeds, blanks around the size. Extensions and trailers are passed over.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: Chunking,
    /// The size so far, once a digit came.
    size: Option<u64>,
    /// Bytes of the line, or of the trailer, so far.
    length: usize,
    has_extension: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Chunking {
    #[default]
    Size,
    /// Behind the size, up to the line's end.
    Rest,
    Data(u64),
    /// Behind the data, up to the line's end.
    After,
    /// Whether the line is empty so far.
    Trailer(bool),
    Broken,
}

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunked<'a> {
    /// All bytes were used.
    More,
    /// Content.
    Data(&'a [u8]),
    /// The body is complete.
    End,
    /// These are no chunks.
    Broken,
}

impl Chunks {
    /// Takes bytes, returns how many were used and what they were.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> (usize, Chunked<'a>) {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                Chunking::Data(left) => {
                    let data = &bytes[at..at + up_to(left, bytes.len() - at)];
                    self.skip(data.len() as u64);
                    return (at + data.len(), Chunked::Data(data));
                }
                Chunking::Rest => at += self.rest(&bytes[at..]),
                Chunking::Broken => return (at, Chunked::Broken),
                _ => {
                    let is_end = self.byte(bytes[at]);
                    at += 1;
                    if is_end {
                        return (at, Chunked::End);
                    }
                }
            }
        }
        (at, if matches!(self.state, Chunking::Broken) { Chunked::Broken } else { Chunked::More })
    }

    /// Passes over bytes that never came by, if all of them are content of this chunk.
    pub(super) fn skip(&mut self, bytes: u64) -> bool {
        let Chunking::Data(left) = self.state else { return false };
        let Some(left) = left.checked_sub(bytes) else { return false };
        self.state = if left == 0 { Chunking::After } else { Chunking::Data(left) };
        true
    }

    /// Tells whether a chunk had extensions: nobody uses them, but some servers count them as the chunk's end.
    pub(super) fn has_extension(&self) -> bool {
        self.has_extension
    }

    fn byte(&mut self, byte: u8) -> bool {
        self.length += 1;
        match (self.state, byte) {
            (Chunking::Size, b'\n') => self.begin(),
            (Chunking::Size, b' ' | b'\t') if self.size.is_none() => {}
            (Chunking::Size, b' ' | b'\t' | b'\r' | b';') if self.size.is_some() => {
                self.has_extension |= byte == b';';
                self.state = Chunking::Rest;
            }
            (Chunking::Size, _) => {
                let digit = char::from(byte).to_digit(16).map(u64::from);
                let size = self.size.unwrap_or(0).checked_mul(16);
                self.size = digit.and_then(|d| size?.checked_add(d));
                if self.size.is_none() {
                    self.state = Chunking::Broken;
                }
            }
            (Chunking::After, b'\n') => (self.state, self.length) = (Chunking::Size, 0),
            (Chunking::After, b'\r') => {}
            (Chunking::Trailer(true), b'\n') => return true,
            (Chunking::Trailer(is_empty), b'\r' | b'\n') => {
                self.state = Chunking::Trailer(is_empty || byte == b'\n');
            }
            (Chunking::Trailer(_), _) => self.state = Chunking::Trailer(false),
            _ => self.state = Chunking::Broken,
        }
        self.bound();
        false
    }

    /// Passes over extensions.
    fn rest(&mut self, bytes: &[u8]) -> usize {
        let end = memchr::memchr(b'\n', bytes);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        self.has_extension |= memchr::memchr(b';', line).is_some();
        self.length = self.length.saturating_add(line.len());
        if end.is_some() {
            self.begin();
        }
        self.bound();
        line.len() + usize::from(end.is_some())
    }

    /// The line with the size is complete.
    fn begin(&mut self) {
        self.state = match self.size.take() {
            None => Chunking::Broken,
            Some(_) if self.length > MAX_CHUNK_LINE => Chunking::Broken,
            Some(0) => Chunking::Trailer(true),
            Some(size) => Chunking::Data(size),
        };
        self.length = 0;
    }

    fn bound(&mut self) {
        let most = if matches!(self.state, Chunking::Trailer(_)) { MAX_TRAILER } else { MAX_CHUNK_LINE };
        if self.length > most {
            self.state = Chunking::Broken;
        }
    }
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or without its head and sum, as some servers mean it.
    Deflate,
}

/// What a connection has sent packed and unpacked so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    packed: u64,
    unpacked: u64,
}

impl Budget {
    fn room(&self) -> u64 {
        self.packed.saturating_mul(RATIO).saturating_add(FREE).saturating_sub(self.unpacked)
    }
}

/// Undoes the compression of one body.
#[derive(Debug)]
pub(super) struct Unpacker {
    /// The outermost first.
    layers: Vec<Layer>,
    unpacked: u64,
    is_bomb: bool,
    /// Whether there were more layers than are undone.
    is_deep: bool,
}

#[derive(Debug)]
enum Layer {
    /// The first two bytes say what it is. Members are those before.
    Unsure {
        coding: Coding,
        first: Option<u8>,
        members: u32,
    },
    Inflate {
        inflate: Box<Decompress>,
        coding: Coding,
        members: u32,
    },
    /// No compression, or not any more: bytes pass as they are.
    Plain,
    /// Packed, and it cannot be undone: too many members, or damage.
    Blind,
}

impl Unpacker {
    /// Takes what was applied, the first first; none where there is nothing to undo.
    pub(super) fn new(codings: &[Coding]) -> Option<Self> {
        let layer = |coding: &Coding| Layer::Unsure { coding: *coding, first: None, members: 0 };
        let layers: Vec<_> = codings.iter().rev().map(layer).take(MAX_LAYERS).collect();
        let is_deep = codings.len() > MAX_LAYERS;
        (!layers.is_empty()).then_some(Self { layers, unpacked: 0, is_bomb: false, is_deep })
    }

    /// Takes packed bytes and brings unpacked ones.
    pub(super) fn push(&mut self, bytes: &[u8], budget: &mut Budget, sink: &mut dyn FnMut(&[u8])) {
        if self.is_bomb {
            return sink(bytes);
        }
        budget.packed = budget.packed.saturating_add(bytes.len() as u64);
        let mut room = budget.room().min(MAX_UNPACKED.saturating_sub(self.unpacked));
        let before = room;
        self.is_bomb = !run(&mut self.layers, bytes, &mut room, sink);
        budget.unpacked = budget.unpacked.saturating_add(before - room);
        self.unpacked = self.unpacked.saturating_add(before - room);
    }

    /// Tells whether it stopped because too much came out; from there on bytes pass packed.
    pub(super) fn is_bomb(&self) -> bool {
        self.is_bomb
    }

    /// Tells whether some of what came out is still packed, as far as is known by now.
    pub(super) fn is_blind(&self) -> bool {
        self.is_bomb || self.is_deep || self.layers.iter().any(|layer| matches!(layer, Layer::Blind))
    }

    /// Returns how many bytes it holds, roughly: a window and tables for each layer.
    pub(super) fn held(&self) -> usize {
        self.layers.len() * (48 << 10)
    }

    /// Hears that bytes are missing: what follows cannot be unpacked and passes as it is.
    pub(super) fn lose(&mut self) {
        self.layers = vec![Layer::Plain];
    }
}

/// Brings bytes through the layers; false once there is no more room.
fn run(layers: &mut [Layer], bytes: &[u8], room: &mut u64, sink: &mut dyn FnMut(&[u8])) -> bool {
    let Some((layer, inner)) = layers.split_first_mut() else {
        let some = &bytes[..up_to(*room, bytes.len())];
        *room -= some.len() as u64;
        sink(some);
        return some.len() == bytes.len();
    };
    layer.push(bytes, &mut |block| {
        // What a layer makes for another counts too, or much could be made of which nothing comes out.
        let cost = if inner.is_empty() { 0 } else { block.len() as u64 };
        let has_room = cost <= *room;
        *room = room.saturating_sub(cost);
        has_room && run(inner, block, room, sink)
    })
}

impl Layer {
    fn push(&mut self, mut bytes: &[u8], next: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        while !bytes.is_empty() {
            match self {
                Self::Plain | Self::Blind => return next(bytes),
                Self::Unsure { first: first @ None, .. } => {
                    *first = Some(bytes[0]);
                    bytes = &bytes[1..];
                }
                Self::Unsure { coding, first: Some(first), members } => {
                    let first = *first;
                    *self = Self::told(*coding, [first, bytes[0]], *members);
                    if !self.push(&[first], next) {
                        return false;
                    }
                }
                Self::Inflate { .. } => match self.inflate(bytes, next) {
                    Some(used) => bytes = &bytes[used..],
                    None => return false,
                },
            }
        }
        true
    }

    /// Tells by the first two bytes what is really there.
    fn told(coding: Coding, first: [u8; 2], members: u32) -> Self {
        let is_zlib = first[0] & 0x0f == 8 && u16::from_be_bytes(first).is_multiple_of(31);
        let inflate = match coding {
            Coding::Gzip if first != [0x1f, 0x8b] => return Self::Plain,
            Coding::Gzip if members == MAX_MEMBERS => return Self::Blind,
            Coding::Gzip => Decompress::new_gzip(15),
            Coding::Deflate => Decompress::new(is_zlib),
        };
        Self::Inflate { inflate: Box::new(inflate), coding, members: members + 1 }
    }

    /// Inflates until the bytes are used or the stream ends; none if what came out found no room.
    fn inflate(&mut self, bytes: &[u8], next: &mut dyn FnMut(&[u8]) -> bool) -> Option<usize> {
        let Self::Inflate { inflate, coding, members } = self else { return Some(0) };
        let mut block = [0; BLOCK];
        let mut used = 0;
        loop {
            let (taken, given) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(&bytes[used..], &mut block, FlushDecompress::None);
            let taken = usize::try_from(inflate.total_in() - taken).unwrap_or(0);
            let given = usize::try_from(inflate.total_out() - given).unwrap_or(0);
            used = (used + taken).min(bytes.len());
            if given > 0 && !next(&block[..given.min(BLOCK)]) {
                return None;
            }
            match status {
                Ok(Status::StreamEnd) => {
                    *self = Self::after(*coding, *members);
                    return Some(used);
                }
                Ok(_) if used == bytes.len() && given < BLOCK => return Some(used),
                Ok(_) if taken > 0 || given > 0 => {}
                Ok(_) | Err(_) => {
                    *self = Self::Blind;
                    return Some(used);
                }
            }
        }
    }

    /// What comes behind the end: perhaps another member, else bytes that are what they are.
    fn after(coding: Coding, members: u32) -> Self {
        match coding {
            Coding::Gzip => Self::Unsure { coding, first: None, members },
            Coding::Deflate => Self::Plain,
        }
    }
}

/// Returns a count of bytes that is at most `most`, whatever a peer declared.
pub(super) fn up_to(declared: u64, most: usize) -> usize {
    usize::try_from(declared).unwrap_or(usize::MAX).min(most)
}

#[cfg(test)]
mod tests;
