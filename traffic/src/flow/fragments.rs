//! Puts pieces of IP packets together. Bounded in number, bytes and time; the oldest goes first.
//!
//! Overlap policy: pieces of IPv6 that overlap in part discard the packet (RFC 5722), and so do those that contradict its
//! length. Of IPv4 the first copy of a byte wins: current systems drop such packets, older ones do not, and what those take
//! is to be seen. A piece that lies wholly within what is held is passed over, as Linux does. Every overlap is counted, but
//! for copies that say the same.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols as Next};

use super::pieces::{Pieces, Shared};
use crate::decode::ip::{IpPacket, Piece};

/// Packets that wait for pieces.
pub(super) const MAX_PACKETS: usize = 1024;
/// Bytes of all of them.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// Pieces of one packet: the largest packet in those that the smallest link of IPv4 asks for would be 1,366; nobody has
/// that link.
pub(super) const MAX_PIECES: usize = 128;
/// The largest packet, RFC 791.
const MAX_PACKET: usize = 65_535;
/// How long a packet waits for its pieces; Linux waits as long.
pub(super) const WAIT: i64 = 30 * 1_000_000_000;
/// All pieces but the last are a multiple of this.
const UNIT: usize = 8;
/// What a piece takes in memory beside its bytes, roughly.
const PIECE: usize = 64;

/// Packets that wait for pieces.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: BTreeMap<Key, Packet>,
    /// By when they began to wait; names of packets that are gone may stand among them.
    order: VecDeque<(i64, u64, Key)>,
    begun: u64,
    bytes: usize,
    /// What happened since it was last asked.
    pub(super) counts: Counts,
}

/// What happened to pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) pieces: u64,
    pub(super) lost: u64,
    pub(super) overlaps: u64,
    pub(super) malformed: u64,
    /// Overlaps that no honest sender makes: other bytes, or of IPv6 in part (RFC 5722).
    pub(super) contradictions: u64,
}

/// RFC 791 and RFC 8200 §4.5, and where it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: (u16, u64),
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    /// IPv4 tells packets apart by this, too.
    protocol: u8,
}

#[derive(Debug)]
struct Packet {
    /// Never used twice.
    serial: u64,
    pieces: Pieces,
    length: Option<usize>,
    carries: IpNextHeaderProtocol,
    frames: u64,
    frame_bytes: u64,
    /// It was discarded: what still comes of it is dropped.
    is_dead: bool,
}

/// A packet that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    pub(super) carries: IpNextHeaderProtocol,
    /// How many frames brought it, and their bytes.
    pub(super) frames: u64,
    pub(super) frame_bytes: u64,
}

/// Where and when a piece was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The interface, and the hash of what stands around.
    pub(super) at: (u16, u64),
    pub(super) now: i64,
    pub(super) frame_bytes: u64,
}

impl Fragments {
    /// Takes a piece and returns the packet if it is whole now.
    pub(super) fn take(&mut self, ip: &IpPacket<'_>, piece: Piece, place: Place) -> Option<Whole> {
        self.counts.pieces += 1;
        let end = piece.offset + ip.payload.len();
        let is_odd = piece.more && !ip.payload.len().is_multiple_of(UNIT);
        if ip.is_cut || is_odd || ip.payload.is_empty() {
            self.counts.malformed += 1;
            return None;
        }
        let key = Key::of(ip, piece.id, place.at);
        self.begin(key, ip.carries, place.now);
        let packet = self.waiting.get_mut(&key)?;
        let before = packet.held();
        packet.frames += 1;
        packet.frame_bytes = packet.frame_bytes.saturating_add(place.frame_bytes);
        let fault = packet.add(piece, ip, end);
        self.bytes = self.bytes - before + packet.held();
        match fault {
            Some(Fault::Overlap { contradicts }) => {
                self.counts.overlaps += 1;
                self.counts.contradictions += u64::from(contradicts);
            }
            Some(Fault::Malformed) => self.counts.malformed += 1,
            None => {}
        }
        let whole = self.whole(key);
        self.make_room();
        whole
    }

    /// Forgets what waited too long.
    pub(super) fn tick(&mut self, now: i64) {
        while let Some((since, ..)) = self.order.front()
            && now.saturating_sub(*since) >= WAIT
        {
            self.forget_oldest();
        }
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub(super) fn next_wait(&self) -> Option<i64> {
        self.order.front().map(|(since, ..)| since.saturating_add(WAIT))
    }

    /// Forgets everything.
    pub(super) fn finish(&mut self) {
        while !self.order.is_empty() {
            self.forget_oldest();
        }
    }

    fn begin(&mut self, key: Key, carries: IpNextHeaderProtocol, now: i64) {
        if self.waiting.contains_key(&key) {
            return;
        }
        self.begun += 1;
        let packet = Packet {
            serial: self.begun,
            pieces: Pieces::default(),
            length: None,
            carries,
            frames: 0,
            frame_bytes: 0,
            is_dead: false,
        };
        self.waiting.insert(key, packet);
        self.order.push_back((now, self.begun, key));
    }

    fn whole(&mut self, key: Key) -> Option<Whole> {
        let packet = self.waiting.get(&key)?;
        if packet.is_dead || packet.length != Some(packet.pieces.bytes()) {
            return None;
        }
        let bytes = packet.pieces.joined()?;
        let packet = self.waiting.remove(&key)?;
        self.bytes -= packet.held();
        let Packet { carries, frames, frame_bytes, .. } = packet;
        Some(Whole { bytes, carries, frames, frame_bytes })
    }

    fn make_room(&mut self) {
        // Names of packets that are gone count too, so that they cannot pile up.
        while self.waiting.len() > MAX_PACKETS || self.bytes > MAX_BYTES || self.order.len() > 2 * MAX_PACKETS
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, serial, key)) = self.order.pop_front() else { return };
        if self.waiting.get(&key).is_none_or(|packet| packet.serial != serial) {
            return;
        }
        if let Some(packet) = self.waiting.remove(&key) {
            self.bytes -= packet.held();
            self.counts.lost += u64::from(!packet.is_dead);
        }
    }
}

enum Fault {
    Overlap { contradicts: bool },
    Malformed,
}

impl Packet {
    fn add(&mut self, piece: Piece, ip: &IpPacket<'_>, end: usize) -> Option<Fault> {
        if self.is_dead {
            return None;
        }
        let is_too_long = end > MAX_PACKET || self.length.is_some_and(|length| end > length);
        let is_other_end = !piece.more && self.length.is_some_and(|length| end != length);
        if is_too_long || is_other_end || self.pieces.count() >= MAX_PIECES {
            self.die();
            return Some(Fault::Malformed);
        }
        if piece.offset == 0 {
            self.carries = ip.carries;
        }
        if !piece.more {
            self.length = Some(end);
        }
        let overlap = self.pieces.add(piece.offset as u64, ip.payload);
        let is_forbidden = overlap.shared == Shared::Part && ip.source.is_ipv6();
        if is_forbidden {
            self.die();
        }
        let contradicts = overlap.differs || is_forbidden;
        (overlap.shared == Shared::Part || overlap.differs).then_some(Fault::Overlap { contradicts })
    }

    fn die(&mut self) {
        self.is_dead = true;
        self.pieces = Pieces::default();
    }

    fn held(&self) -> usize {
        self.pieces.bytes() + self.pieces.count() * PIECE
    }
}

impl Key {
    fn of(ip: &IpPacket<'_>, id: u32, place: (u16, u64)) -> Self {
        // The header of a later piece of IPv6 need not say the same as that of the first.
        let protocol = if ip.source.is_ipv4() { ip.carries.0 } else { Next::Ipv6Frag.0 };
        Self { place, source: ip.source, destination: ip.destination, id, protocol }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::checksum::Sum;

    #[test]
    fn pieces_in_any_order_and_twice_give_the_packet_once() {
        let mut fragments = Fragments::default();

        assert_eq!(take(&mut fragments, 4, (16, false), b"c"), None);
        assert_eq!(take(&mut fragments, 4, (0, true), b"aaaaaaaa"), None);
        assert_eq!(take(&mut fragments, 4, (0, true), b"aaaaaaaa"), None);
        let whole = take(&mut fragments, 4, (8, true), b"bbbbbbbb").unwrap();

        assert_eq!(whole.bytes, b"aaaaaaaabbbbbbbbc");
        assert_eq!((whole.frames, whole.frame_bytes), (4, 400));
        assert_eq!(fragments.counts, Counts { pieces: 4, ..Counts::default() });
        assert_eq!((fragments.bytes, fragments.waiting.len()), (0, 0));
    }

    #[test]
    fn overlapping_pieces_of_ipv6_discard_the_packet_and_all_that_still_comes_of_it() {
        let mut fragments = Fragments::default();

        take(&mut fragments, 6, (0, true), b"aaaaaaaabbbbbbbb");
        take(&mut fragments, 6, (8, true), b"bbbbbbbbcccccccc");
        take(&mut fragments, 6, (0, true), b"aaaaaaaabbbbbbbb");

        assert_eq!(take(&mut fragments, 6, (16, false), b"cccccccc"), None);
        assert_eq!((fragments.counts.overlaps, fragments.bytes), (1, 0));
    }

    #[test]
    fn a_piece_of_which_all_is_held_is_passed_over_and_counted_if_it_differs() {
        for version in [4, 6] {
            let mut fragments = Fragments::default();

            take(&mut fragments, version, (0, true), b"aaaaaaaabbbbbbbb");
            take(&mut fragments, version, (8, true), b"BBBBBBBB");
            let whole = take(&mut fragments, version, (16, false), b"c").unwrap();

            assert_eq!((&whole.bytes[..], fragments.counts.overlaps), (&b"aaaaaaaabbbbbbbbc"[..], 1));
        }
    }

    #[test]
    fn of_overlapping_pieces_of_ipv4_the_first_copy_wins_and_it_is_counted() {
        let mut fragments = Fragments::default();

        take(&mut fragments, 4, (8, true), b"bbbbbbbb");
        take(&mut fragments, 4, (0, true), b"aaaaaaaaBBBBBBBB");
        let whole = take(&mut fragments, 4, (16, false), b"c").unwrap();

        assert_eq!((&whole.bytes[..], fragments.counts.overlaps), (&b"aaaaaaaabbbbbbbbc"[..], 1));
    }

    #[test]
    fn pieces_past_the_end_and_odd_pieces_are_malformed() {
        let mut fragments = Fragments::default();

        take(&mut fragments, 4, (65_528, false), &[0; 8]);
        take(&mut fragments, 4, (0, true), b"seven..");
        assert_eq!(fragments.counts.malformed, 2);

        let mut fragments = Fragments::default();
        take(&mut fragments, 4, (8, false), b"end");
        take(&mut fragments, 4, (16, true), b"behind..");
        assert_eq!((fragments.counts.malformed, fragments.bytes), (1, 0));
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_or_its_time_is_over() {
        let mut fragments = Fragments::default();
        for id in 0..5000 {
            let place = Place { at: (0, 0), now: i64::from(id), frame_bytes: 0 };
            fragments.take(&ip(4, &[0; 8000]), Piece { id, offset: 0, more: true }, place);
            assert!(fragments.bytes <= MAX_BYTES && fragments.waiting.len() <= MAX_PACKETS);
        }
        assert!(fragments.counts.lost > 4000);

        fragments.tick(WAIT + 5000);
        assert_eq!((fragments.waiting.len(), fragments.counts.lost), (0, 5000));
        assert_eq!(fragments.next_wait(), None);
    }

    #[test]
    fn whole_packets_leave_nothing_behind_however_many_come() {
        let mut fragments = Fragments::default();
        for _ in 0..10_000 {
            take(&mut fragments, 4, (0, true), &[0; 8]);
            take(&mut fragments, 4, (8, false), &[0; 8]).unwrap();
        }

        assert!(fragments.order.len() <= 2 * MAX_PACKETS);
        assert_eq!(fragments.counts.lost, 0);
    }

    proptest! {
        #[test]
        fn any_pieces_are_taken(
            parts in prop::collection::vec((any::<bool>(), 0usize..9000, any::<bool>(), 0usize..90, 0u32..3), 0..200)
        ) {
            let mut fragments = Fragments::default();
            for (v6, unit, more, length, id) in parts {
                let bytes = vec![7; length];
                let place = Place { at: (0, 0), now: 0, frame_bytes: 1 };
                let piece = Piece { id, offset: unit * UNIT, more };
                let whole = fragments.take(&ip(if v6 { 6 } else { 4 }, &bytes), piece, place);
                prop_assert!(whole.is_none_or(|w| w.bytes.len() <= MAX_PACKET && !w.bytes.is_empty()));
            }
            fragments.finish();
            prop_assert_eq!(fragments.bytes, 0);
        }
    }

    fn take(fragments: &mut Fragments, version: u8, at: (usize, bool), bytes: &[u8]) -> Option<Whole> {
        let place = Place { at: (0, 0), now: 0, frame_bytes: 100 };
        fragments.take(&ip(version, bytes), Piece { id: 1, offset: at.0, more: at.1 }, place)
    }

    fn ip(version: u8, payload: &[u8]) -> IpPacket<'_> {
        let address = |end| match version {
            4 => IpAddr::from([192, 0, 2, end]),
            _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(end)]),
        };
        IpPacket {
            source: address(1),
            destination: address(2),
            carries: Next::Udp,
            payload,
            hops: 64,
            piece: None,
            sum: Sum::Unknown,
            is_cut: false,
        }
    }
}
