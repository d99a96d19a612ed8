//! One direction of a TCP connection, put together from its segments.
//!
//! Overlap policy: **the first copy of a byte wins**. What was taken is never replaced by a later segment. A stream may
//! be picked up in its middle. A hole is waited for until the caller gives up on it or the store of early segments is
//! full; then it is passed over and counted, and what follows is marked as not joined to what came before.

use std::collections::BTreeMap;

/// Early bytes kept while a hole is waited for.
const MAX_HELD: usize = 256 << 10;
/// Early pieces kept while a hole is waited for.
const MAX_PIECES: usize = 256;
/// A segment farther ahead than any usual receive window is not believed.
const MAX_AHEAD: i64 = 8 << 20;
/// So many unbelievable segments in a row, each joined to the last, mean that it is we who lost the thread.
const STRAYS_TO_FOLLOW: u32 = 3;

/// Some bytes of a stream, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it begins, counted from the first byte that was seen.
    pub(crate) offset: u64,
    /// How many bytes before it are missing.
    pub(crate) lost: u64,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The number of the first byte, if the opening was seen.
    first: Option<u32>,
    /// The sequence number of the next byte in order; none before the first segment.
    next: Option<u32>,
    /// The offset of that byte.
    offset: u64,
    held: BTreeMap<u64, Vec<u8>>,
    held_bytes: usize,
    /// Where the stream ends, once the sender said so.
    end: Option<u64>,
    /// Where the last unbelievable segment ended, and how many there were in a row.
    stray: (u32, u32),
}

impl Stream {
    /// States the number of the first byte: from a SYN, or from the other side's acknowledgement of it.
    pub(crate) fn begin(&mut self, first: u32) {
        if self.next.is_none() {
            (self.first, self.next) = (Some(first), Some(first));
        }
    }

    /// Tells whether this number opens another stream than this one.
    pub(crate) fn is_other(&self, first: u32) -> bool {
        self.next.is_some() && self.first != Some(first)
    }

    /// Returns how many bytes are in order so far.
    pub(crate) fn length(&self) -> u64 {
        self.offset
    }

    /// Takes a segment and returns what is now in order.
    pub(crate) fn take(&mut self, seq: u32, payload: &[u8], is_last: bool) -> Vec<Piece> {
        let next = *self.next.get_or_insert(seq);
        let mut ahead = i64::from(seq.wrapping_sub(next).cast_signed());
        let mut out = Vec::new();
        if !(-MAX_AHEAD..=MAX_AHEAD).contains(&ahead) {
            if !self.follow(seq, payload.len()) {
                return out;
            }
            out.extend(self.pass_hole());
            self.next = Some(seq);
            ahead = 0;
        }
        self.stray.1 = 0;
        // Bytes before `next` were taken before.
        let known = usize::try_from(-ahead).unwrap_or(0).min(payload.len());
        let from = self.offset.saturating_add_signed(ahead.max(0));
        if is_last && ahead + payload.len() as i64 >= 0 {
            self.end.get_or_insert(from + (payload.len() - known) as u64);
        }
        self.place(from, &payload[known..], &mut out);
        out
    }

    /// Tells whether every byte up to the sender's end was seen.
    pub(crate) fn is_whole(&self) -> bool {
        self.end.is_some_and(|end| end <= self.offset)
    }

    /// Tells whether bytes wait behind a hole.
    pub(crate) fn has_hole(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns how many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.held_bytes
    }

    /// Tells whether a reset with this number would be obeyed by the receiver.
    pub(crate) fn is_near(&self, seq: u32) -> bool {
        self.next.is_none_or(|next| {
            (0..=MAX_HELD as i64).contains(&i64::from(seq.wrapping_sub(next).cast_signed()))
        })
    }

    /// Gives up on the first hole and returns what follows it.
    pub(crate) fn pass_hole(&mut self) -> Vec<Piece> {
        let Some((&at, _)) = self.held.first_key_value() else { return Vec::new() };
        let lost = at - self.offset;
        self.advance(lost);
        let mut pieces = self.drain();
        if let Some(first) = pieces.first_mut() {
            first.lost = lost;
        }
        pieces
    }

    /// Counts segments that cannot be believed; the last of enough that continue each other is followed.
    fn follow(&mut self, seq: u32, length: usize) -> bool {
        let (end, count) = self.stray;
        let count = if count > 0 && end == seq { count + 1 } else { 1 };
        // Truncation is meant: sequence numbers wrap.
        self.stray = (seq.wrapping_add(length as u32), if length == 0 { 0 } else { count });
        self.stray.1 >= STRAYS_TO_FOLLOW
    }

    fn place(&mut self, from: u64, bytes: &[u8], out: &mut Vec<Piece>) {
        if bytes.is_empty() {
            return;
        }
        if from == self.offset && self.held.is_empty() {
            out.push(Piece { offset: from, lost: 0, bytes: bytes.to_vec() });
            self.advance(bytes.len() as u64);
            return;
        }
        self.hold(from, bytes);
        out.extend(self.drain());
        while self.held_bytes > MAX_HELD || self.held.len() > MAX_PIECES {
            out.extend(self.pass_hole());
        }
    }

    /// Keeps those bytes that are not held yet.
    fn hold(&mut self, from: u64, bytes: &[u8]) {
        let end = from + bytes.len() as u64;
        let mut at = from;
        while at < end {
            let before = self.held.range(..=at).next_back().map_or(0, |(s, piece)| s + piece.len() as u64);
            if before > at {
                at = before;
                continue;
            }
            let stop = self.held.range(at..).next().map_or(end, |(s, _)| (*s).min(end));
            let piece = &bytes[(at - from) as usize..(stop - from) as usize];
            self.held_bytes += piece.len();
            self.held.insert(at, piece.to_vec());
            at = stop;
        }
    }

    /// Returns what is held and in order.
    fn drain(&mut self) -> Vec<Piece> {
        let mut out = Vec::new();
        while let Some(entry) = self.held.first_entry()
            && *entry.key() == self.offset
        {
            let (offset, bytes) = entry.remove_entry();
            self.held_bytes -= bytes.len();
            self.advance(bytes.len() as u64);
            out.push(Piece { offset, lost: 0, bytes });
        }
        out
    }

    fn advance(&mut self, by: u64) {
        self.offset += by;
        // Truncation is meant: sequence numbers wrap.
        self.next = self.next.map(|n| n.wrapping_add(by as u32));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segments_in_any_order_give_the_stream_once() {
        let mut stream = Stream::default();
        stream.begin(u32::MAX - 2);

        let mut got = joined(stream.take(3, b"ghi", true));
        got += &joined(stream.take(0, b"def", false));
        got += &joined(stream.take(u32::MAX - 2, b"abc", false));
        got += &joined(stream.take(0, b"def", false));

        assert_eq!(got, "abcdefghi");
        assert!(stream.is_whole() && !stream.has_hole() && stream.held() == 0);
    }

    #[test]
    fn the_first_copy_of_a_byte_wins() {
        let mut stream = Stream::default();
        stream.begin(0);

        let mut got = joined(stream.take(4, b"GOOD", false));
        got += &joined(stream.take(2, b"--evilevil", false));
        got += &joined(stream.take(0, b"ab", false));
        got += &joined(stream.take(0, b"XXXXXXXXXXXX!", false));

        assert_eq!(got, "ab--GOODevil!");
    }

    #[test]
    fn a_stream_is_picked_up_in_its_middle() {
        let mut stream = Stream::default();

        assert_eq!(joined(stream.take(77_000, b"abc", false)), "abc");
        assert_eq!(joined(stream.take(77_003, b"def", false)), "def");
    }

    #[test]
    fn a_hole_is_passed_and_counted_when_the_store_is_full() {
        let mut stream = Stream::default();
        stream.begin(0);
        let mut pieces = Vec::new();
        let mut seq = 10;

        while pieces.is_empty() {
            pieces = stream.take(seq, &[b'x'; 1000], false);
            seq += 1000;
        }

        assert_eq!((pieces[0].offset, pieces[0].lost), (10, 10));
        assert!(seq as usize <= MAX_HELD + 3000);
    }

    #[test]
    fn one_unbelievable_segment_does_not_move_the_stream_but_a_row_of_them_does() {
        let mut stream = Stream::default();
        stream.begin(0);
        let far = 1 << 30;

        assert!(stream.take(far, b"evil", false).is_empty());
        assert_eq!(joined(stream.take(0, b"good", false)), "good");
        assert!(stream.take(far, b"abc", false).is_empty());
        assert!(stream.take(far + 3, b"def", false).is_empty());
        assert_eq!(joined(stream.take(far + 6, b"ghi", false)), "ghi");
    }

    proptest! {
        #[test]
        fn any_segments_are_taken_within_the_limits(
            segments in prop::collection::vec((any::<u32>(), 0usize..4000, any::<bool>()), 0..60)
        ) {
            let mut stream = Stream::default();
            for (seq, length, last) in segments {
                stream.take(seq % 40_000, &vec![b'x'; length], last);
                prop_assert!(stream.held() <= MAX_HELD && stream.held.len() <= MAX_PIECES);
            }
        }

        #[test]
        fn a_shuffled_stream_comes_out_as_it_was(
            text in prop::collection::vec(any::<u8>(), 1..2000), first: u32, order: Vec<prop::sample::Index>, size in 8usize..90
        ) {
            let mut parts: Vec<(usize, &[u8])> = text.chunks(size).enumerate().map(|(i, c)| (i * size, c)).collect();
            for (i, other) in order.iter().enumerate() {
                let i = i % parts.len();
                let j = other.index(parts.len());
                parts.swap(i, j);
            }
            let mut stream = Stream::default();
            stream.begin(first);
            let mut got = Vec::new();
            for (at, part) in parts {
                let seq = first.wrapping_add(u32::try_from(at).unwrap());
                got.extend(stream.take(seq, part, false).into_iter().flat_map(|p| p.bytes));
            }
            prop_assert_eq!(got, text);
        }
    }

    fn joined(pieces: Vec<Piece>) -> String {
        pieces.into_iter().map(|p| String::from_utf8(p.bytes).unwrap()).collect()
    }
}
