//! What the engine saw and what it could not follow.

use super::fragments;
use crate::decode::Skipped;

/// What was seen and what could not be followed, since the last time it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Flows that began.
    pub flows: u64,
    /// Frames that carry no IP.
    pub not_ip: u64,
    /// Packets whose headers contradict their length, and impossible pieces.
    pub malformed: u64,
    /// Packets that carry neither TCP, UDP nor ICMP.
    pub other_transport: u64,
    /// Packets that were taken out of a tunnel.
    pub tunnelled: u64,
    /// Pieces of larger packets.
    pub pieces: u64,
    /// Larger packets that never became whole.
    pub pieces_lost: u64,
    /// Pieces that overlap others.
    pub pieces_overlap: u64,
    /// Packets with a checksum that a receiver drops; they are not followed.
    pub wrong_checksums: u64,
    /// Packets whose checksum was left to the card to fill in.
    pub unfinished_checksums: u64,
    /// Packets that may go another number of hops than the first of the same sender in their flow.
    pub hops_changed: u64,
    /// TCP segments of no flow that is known, which neither open one nor carry anything.
    pub unclaimed: u64,
    /// TCP segments that were left out because the caller said so.
    pub left_out: u64,
    /// Resets that the receiver would not obey.
    pub resets_ignored: u64,
    /// TCP segments that say something else than an earlier copy of the same bytes.
    pub conflicts: u64,
    /// TCP segments that lie where their receiver takes nothing, and those that say another end: behind the end, before the
    /// beginning, far outside of any window, without ACK. Their bytes are not read, unless the end was none.
    pub refused: u64,
    /// Streams that went on elsewhere, since their receivers did; what lay between was not seen.
    pub jumps: u64,
    /// What was odd in what flows carry: what two ends may read in two ways, and what is meant to exhaust its reader.
    pub odd: u64,
    /// Bytes of streams that never came by.
    pub missing: u64,
    /// Flows that were forgotten to make room.
    pub evicted: u64,
    /// Flows whose content was given up to make room; they are counted on.
    pub hushed: u64,
}

impl Counts {
    /// Adds what another time was counted.
    pub fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (mine, theirs) in self.each().into_iter().zip(other.each()) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Counts a packet that is not followed.
    pub(super) fn skip(&mut self, why: Skipped) {
        match why {
            Skipped::NotIp => self.not_ip += 1,
            Skipped::Malformed | Skipped::Fragment => self.malformed += 1,
            Skipped::OtherTransport => self.other_transport += 1,
        }
    }

    pub(super) fn add_pieces(&mut self, pieces: fragments::Counts) {
        self.pieces += pieces.pieces;
        self.pieces_lost += pieces.lost;
        self.pieces_overlap += pieces.overlaps;
        self.malformed += pieces.malformed;
    }

    fn each(&mut self) -> [&mut u64; 22] {
        [
            &mut self.frames,
            &mut self.flows,
            &mut self.not_ip,
            &mut self.malformed,
            &mut self.other_transport,
            &mut self.tunnelled,
            &mut self.pieces,
            &mut self.pieces_lost,
            &mut self.pieces_overlap,
            &mut self.wrong_checksums,
            &mut self.unfinished_checksums,
            &mut self.hops_changed,
            &mut self.unclaimed,
            &mut self.left_out,
            &mut self.resets_ignored,
            &mut self.conflicts,
            &mut self.refused,
            &mut self.jumps,
            &mut self.odd,
            &mut self.missing,
            &mut self.evicted,
            &mut self.hushed,
        ]
    }
}
