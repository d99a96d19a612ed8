//! One direction of a TCP connection, put together from its segments.
//!
//! Overlap policy: **the first copy of a byte wins**. What was taken is never replaced by a later segment. A stream may
//! be picked up in its middle. A hole is waited for until the caller gives up on it or the store of early segments is
//! full; then it is passed over and counted, and what follows is marked as not joined to what came before.
//!
//! Where it stands is what the receiver says: his acknowledgements tell which of two far places the stream goes on at, and
//! whether it ended where its sender said. What he cannot have taken is not taken here, and said to be
//! [refused](Taken::refused).
//!
//! A stream whose bytes nobody wants is only counted ([`skim`](Stream::skim)): nothing is held.

use std::{borrow::Cow, num::NonZero};

use super::pieces::Pieces;

/// Early bytes kept while a hole is waited for.
const MAX_HELD: usize = 256 << 10;
/// Early pieces kept while a hole is waited for.
const MAX_PIECES: usize = 256;
/// A segment farther ahead than any usual receive window is not believed.
const MAX_AHEAD: i64 = 8 << 20;
/// So many unbelievable segments in a row, each joined to the last, mean that it is we who lost the thread.
const STRAYS_TO_FOLLOW: u8 = 3;
/// As many while the receiver's acknowledgements say otherwise: they may have stopped coming by.
const STRAYS_DESPITE_ACKS: u8 = 64;

/// Some bytes of a stream, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'p> {
    /// Where it begins, counted from the first byte that was seen.
    pub(super) offset: u64,
    /// How many bytes before it are missing.
    pub(super) lost: u64,
    /// The bytes.
    pub(super) bytes: Cow<'p, [u8]>,
}

/// What a segment brought in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken<'p> {
    /// Its own bytes, without a copy, when nothing else was waited for.
    pub(super) now: Option<Piece<'p>>,
    /// What was held and is in order now.
    pub(super) held: Vec<Piece<'static>>,
    /// Whether it says something else than a held copy of the same bytes.
    pub(super) differs: bool,
    /// Whether bytes or an end of it lie where the receiver takes none.
    pub(super) refused: bool,
    /// Whether the stream goes on elsewhere with it.
    pub(super) jumped: bool,
}

impl Taken<'_> {
    /// Tells whether it brought bytes in order.
    pub(super) fn is_empty(&self) -> bool {
        self.now.is_none() && self.held.is_empty()
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The number of the first byte, if the opening was seen.
    first: Option<u32>,
    /// The sequence number of the next byte in order; none before the first segment.
    next: Option<u32>,
    /// The offset of that byte.
    offset: u64,
    /// Bytes before it that never came by.
    missing: u64,
    /// One more than where the stream ends, once the sender said so.
    end: Option<NonZero<u64>>,
    /// What came early; most streams never need it.
    held: Option<Box<Pieces>>,
    /// What the receiver said last that he waits for. There are many streams: whether he did stands with the other small fields.
    ack: u32,
    /// Where another stream may begin, once the receiver answers so.
    proposal: u32,
    /// Where the last unbelievable segment ended.
    stray: u32,
    /// How many unbelievable segments there were in a row.
    strays: u8,
    has_ack: bool,
    has_proposal: bool,
}

impl Stream {
    /// States the number of the first byte: from a SYN, or from the other side's acknowledgement of it.
    pub(super) fn begin(&mut self, first: u32) {
        if self.next.is_none() {
            (self.first, self.next) = (Some(first), Some(first));
        }
    }

    /// Begins at this number whatever came before: the receiver said so.
    pub(super) fn restart(&mut self, first: u32) {
        *self = Self {
            first: Some(first),
            next: Some(first),
            ack: self.ack,
            has_ack: self.has_ack,
            ..Self::default()
        };
    }

    /// Notes what the receiver waits for.
    pub(super) fn acknowledge(&mut self, ack: u32) {
        (self.ack, self.has_ack) = (ack, true);
    }

    /// Returns what the receiver said last that he waits for.
    fn acked(&self) -> Option<u32> {
        self.has_ack.then_some(self.ack)
    }

    /// Tells whether the receiver acknowledged that the stream begins at this number.
    pub(super) fn is_acknowledged(&self, first: u32) -> bool {
        self.acked().is_some_and(|acked| (0..=MAX_AHEAD).contains(&distance(first, acked)))
    }

    /// Notes that another stream than this may begin at this number, if the receiver answers so.
    pub(super) fn propose(&mut self, first: u32) {
        (self.proposal, self.has_proposal) = (first, true);
    }

    /// Tells whether another stream was proposed to begin at this number.
    pub(super) fn was_proposed(&self, first: u32) -> bool {
        self.has_proposal && self.proposal == first
    }

    /// Tells whether the next byte in order has this number.
    pub(super) fn is_at(&self, seq: u32) -> bool {
        self.next == Some(seq)
    }

    /// Tells whether this number opens another stream than this one.
    pub(super) fn is_other(&self, first: u32) -> bool {
        self.next.is_some() && self.first != Some(first)
    }

    /// Tells whether the opening was seen.
    pub(super) fn has_begin(&self) -> bool {
        self.first.is_some()
    }

    /// Returns how many bytes are in order so far, or were passed over.
    pub(super) fn length(&self) -> u64 {
        self.offset
    }

    /// Returns how many of them never came by.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Counts bytes of something that has no order: a datagram.
    pub(super) fn count(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_add(bytes as u64);
    }

    /// Returns where a segment stands, if it was seen before, at least in part.
    pub(super) fn known(&self, seq: u32) -> Option<u64> {
        let behind = distance(seq, self.next?);
        (behind > 0).then(|| self.offset.checked_sub(behind as u64)).flatten()
    }

    /// Returns where a byte stands or would stand.
    pub(super) fn place_of(&self, seq: u32) -> u64 {
        self.offset.saturating_add_signed(self.next.map_or(0, |next| distance(next, seq)))
    }

    /// Takes a segment and returns what is now in order.
    pub(super) fn take<'p>(&mut self, seq: u32, payload: &'p [u8], is_last: bool) -> Taken<'p> {
        let mut taken = Taken::default();
        let (ahead, lost) = match self.locate(seq, payload.len()) {
            Place::By(ahead) => (ahead, 0),
            Place::Elsewhere => {
                taken.jumped = true;
                while self.has_hole() {
                    taken.held.extend(self.pass_hole());
                }
                (0, self.jump(seq))
            }
            Place::Nowhere => {
                taken.refused = !payload.is_empty() || is_last;
                return taken;
            }
        };
        let (known, from) = self.place(ahead, payload.len());
        let fits = self.fits(from, payload.len() - known);
        taken.refused = fits.is_other | self.finish_at(ahead, from, payload.len(), is_last);
        self.put(from, &payload[known..known + fits.length], &mut taken);
        if let Some(piece) = taken.now.take_if(|_| taken.jumped) {
            // Not joined to what was waited for, which comes first.
            let bytes = Cow::Owned(piece.bytes.into_owned());
            taken.held.push(Piece { offset: piece.offset, lost, bytes });
        }
        taken
    }

    /// Takes the numbers of a segment without its bytes. A late segment is taken to fill what is missing.
    pub(super) fn skim(&mut self, seq: u32, length: usize, is_last: bool) {
        let ahead = match self.locate(seq, length) {
            Place::By(ahead) => ahead,
            Place::Elsewhere => {
                self.jump(seq);
                0
            }
            Place::Nowhere => return,
        };
        let (known, from) = self.place(ahead, length);
        let fits = self.fits(from, length - known);
        self.finish_at(ahead, from, length, is_last);
        let gap = from - self.offset;
        self.missing = (self.missing - self.missing.min(known as u64)).saturating_add(gap);
        self.advance(gap + fits.length as u64);
    }

    /// Tells whether every byte up to the sender's end was seen.
    pub(super) fn is_whole(&self) -> bool {
        self.end().is_some_and(|end| end <= self.offset)
    }

    /// Tells whether bytes wait behind a hole.
    pub(super) fn has_hole(&self) -> bool {
        self.held.is_some()
    }

    /// Returns how many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes() + held.count() * PIECE)
    }

    /// Tells whether a reset with this number is obeyed by the receiver: RFC 5961, section 3.2, wants exactly the next byte. What is
    /// next for him may lie farther on than what was seen.
    pub(super) fn obeys(&self, seq: u32) -> bool {
        let Some(next) = self.next else { return true };
        let held = self.held.as_ref().and_then(|held| held.end());
        // Truncation is meant: sequence numbers wrap.
        let held = held.map(|end| next.wrapping_add((end - self.offset) as u32));
        // The end takes a number of its own.
        let end = self.is_whole().then(|| next.wrapping_add(1));
        let acked = self.acked().filter(|acked| distance(next, *acked) > 0);
        seq == next || [held, end, acked].contains(&Some(seq))
    }

    /// Tells whether a number lies behind what was seen of the stream.
    pub(super) fn is_ahead(&self, seq: u32) -> bool {
        self.next.is_some_and(|next| distance(next, seq) > 0)
    }

    /// Gives up on the first hole and returns what follows it.
    pub(super) fn pass_hole(&mut self) -> Vec<Piece<'static>> {
        let Some(at) = self.held.as_ref().and_then(|held| held.first()) else { return Vec::new() };
        let lost = at - self.offset;
        self.missing = self.missing.saturating_add(lost);
        self.advance(lost);
        let mut pieces = self.drain();
        if let Some(first) = pieces.first_mut() {
            first.lost = lost;
        }
        pieces
    }

    /// Tells where a segment stands.
    fn locate(&mut self, seq: u32, length: usize) -> Place {
        let next = *self.next.get_or_insert(seq);
        let ahead = distance(next, seq);
        if !(-MAX_AHEAD..=MAX_AHEAD).contains(&ahead) {
            return match self.follow(seq, length) {
                true => Place::Elsewhere,
                false => Place::Nowhere,
            };
        }
        self.strays = 0;
        let behind = (-ahead).max(0) as u64;
        if behind <= self.offset || length as u64 > behind || is_alive(behind - self.offset, length) {
            return Place::By(ahead);
        }
        match self.begins_before(seq) {
            true => Place::Elsewhere,
            false => Place::Nowhere,
        }
    }

    /// Tells whether what was taken for the beginning of this stream is not: its receiver stands before that.
    fn begins_before(&self, seq: u32) -> bool {
        let Some(next) = self.next else { return false };
        match self.acked() {
            Some(acked) => {
                // Truncation is meant: sequence numbers wrap.
                let begin = next.wrapping_sub(self.offset as u32);
                distance(begin, acked) < 0 && is_nearer(acked, seq, next)
            }
            None => self.has_begin() && self.offset == 0 && !self.has_hole(),
        }
    }

    /// Goes on elsewhere, and returns how much is missing before that: of what lies behind, no more is known than that it is.
    fn jump(&mut self, seq: u32) -> u64 {
        let ahead = self.next.map_or(0, |next| distance(next, seq));
        let lost = ahead.max(1).unsigned_abs();
        self.missing = self.missing.saturating_add(lost);
        self.offset = self.offset.saturating_add(lost);
        (self.next, self.end, self.strays) = (Some(seq), None, 0);
        lost
    }

    /// Returns how many bytes at the beginning of a segment were taken before, and where the others stand.
    fn place(&self, ahead: i64, length: usize) -> (usize, u64) {
        let known = usize::try_from(-ahead).unwrap_or(0).min(length);
        (known, self.offset.saturating_add_signed(ahead.max(0)))
    }

    /// Tells how many bytes lie before the end. If the receiver did not acknowledge that end, it was none.
    fn fits(&mut self, from: u64, length: usize) -> Fits {
        let Some(end) = self.end() else { return Fits { length, is_other: false } };
        if length == 0 || from.saturating_add(length as u64) <= end {
            return Fits { length, is_other: false };
        }
        if self.is_end_sure() {
            let length = usize::try_from(end.saturating_sub(from)).map_or(length, |room| room.min(length));
            return Fits { length, is_other: true };
        }
        self.end = None;
        Fits { length, is_other: true }
    }

    /// Notes where the stream ends, and tells whether it ended elsewhere before. The receiver tells which is right.
    fn finish_at(&mut self, ahead: i64, from: u64, length: usize, is_last: bool) -> bool {
        if !is_last {
            return false;
        }
        let past = ahead.saturating_add_unsigned(length as u64);
        if past < 0 {
            return true;
        }
        let end = from.saturating_add(past.min(length as i64) as u64);
        let before = self.end().filter(|before| *before != end);
        if before.is_none() || !self.is_end_sure() {
            self.end = NonZero::new(end.saturating_add(1));
        }
        before.is_some()
    }

    fn end(&self) -> Option<u64> {
        self.end.map(|end| end.get() - 1)
    }

    /// Tells whether the receiver acknowledged the end, which takes a number of its own.
    fn is_end_sure(&self) -> bool {
        let (Some(end), Some(next), Some(acked)) = (self.end, self.next, self.acked()) else { return false };
        // Truncation is meant: sequence numbers wrap.
        acked == next.wrapping_add(end.get().wrapping_sub(self.offset) as u32)
    }

    /// Counts segments that cannot be believed, and tells whether the stream goes on with this one: the receiver stands there, or
    /// enough of them continue each other and nothing is known of him.
    fn follow(&mut self, seq: u32, length: usize) -> bool {
        let goes_on = self.strays > 0 && self.stray == seq;
        self.strays = match length {
            0 => 0,
            _ if goes_on => self.strays.saturating_add(1),
            _ => 1,
        };
        // Truncation is meant: sequence numbers wrap.
        self.stray = seq.wrapping_add(length as u32);
        match (self.acked(), self.next) {
            (Some(acked), Some(next)) if is_nearer(acked, seq, next) => length > 0,
            (Some(_), _) => self.strays >= STRAYS_DESPITE_ACKS,
            (None, _) => self.strays >= STRAYS_TO_FOLLOW,
        }
    }

    fn put<'p>(&mut self, from: u64, bytes: &'p [u8], taken: &mut Taken<'p>) {
        if bytes.is_empty() {
            return;
        }
        if from == self.offset && self.held.is_none() {
            taken.now = Some(Piece { offset: from, lost: 0, bytes: Cow::Borrowed(bytes) });
            self.advance(bytes.len() as u64);
            return;
        }
        taken.differs = self.held.get_or_insert_default().add(from, bytes).differs;
        taken.held.extend(self.drain());
        while self.held.as_ref().is_some_and(|h| h.bytes() > MAX_HELD || h.count() > MAX_PIECES) {
            taken.held.extend(self.pass_hole());
        }
    }

    /// Returns what is held and in order.
    fn drain(&mut self) -> Vec<Piece<'static>> {
        let mut out = Vec::new();
        while let Some(bytes) = self.held.as_mut().and_then(|held| held.take(self.offset)) {
            let offset = self.offset;
            self.advance(bytes.len() as u64);
            out.push(Piece { offset, lost: 0, bytes: Cow::Owned(bytes) });
        }
        self.held.take_if(|held| held.count() == 0);
        out
    }

    fn advance(&mut self, by: u64) {
        self.offset = self.offset.saturating_add(by);
        // Truncation is meant: sequence numbers wrap.
        self.next = self.next.map(|n| n.wrapping_add(by as u32));
    }
}

/// Where a segment stands.
enum Place {
    /// So many bytes after the next byte in order; before it if negative.
    By(i64),
    /// Somewhere else, and the stream goes on there.
    Elsewhere,
    /// Where the receiver takes nothing.
    Nowhere,
}

/// How many bytes of a segment lie before the end of the stream, and whether some do not.
struct Fits {
    length: usize,
    is_other: bool,
}

/// Returns how far it is from one number to another, by the shorter way.
fn distance(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
}

/// Tells whether the receiver stands nearer to a new place than to the old one.
fn is_nearer(acked: u32, new: u32, old: u32) -> bool {
    distance(acked, new).abs() < distance(acked, old).abs()
}

/// Tells whether a segment before the beginning only asks whether the other side is alive: one old byte, RFC 9293 section 3.8.4.
fn is_alive(before: u64, length: usize) -> bool {
    before <= 1 && length <= 1
}

/// What a held piece takes in memory beside its bytes, roughly.
const PIECE: usize = 64;

#[cfg(test)]
mod tests;
