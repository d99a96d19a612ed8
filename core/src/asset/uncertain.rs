//! What a sensor met on the wire and could not be certain of.

use serde::{Deserialize, Serialize};

/// What could be read in two ways, or not at all, since the agent started. Some of it is everyday noise; who sends packets past a
/// sensor makes it grow. docs/NETWORK.md says what each stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Uncertain {
    /// TCP segments that say something else than an earlier copy of the same bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub conflicts: u64,
    /// Resets that their receiver would not obey.
    #[serde(skip_serializing_if = "is_zero")]
    pub resets_ignored: u64,
    /// Packets that may go another number of hops than the first of the same sender in their flow.
    #[serde(skip_serializing_if = "is_zero")]
    pub hops_changed: u64,
    /// Pieces of IP packets that overlap others.
    #[serde(skip_serializing_if = "is_zero")]
    pub pieces_overlap: u64,
    /// IP packets in pieces that never became whole.
    #[serde(skip_serializing_if = "is_zero")]
    pub pieces_lost: u64,
    /// Packets whose headers contradict their length, and impossible pieces.
    #[serde(skip_serializing_if = "is_zero")]
    pub malformed: u64,
    /// Packets with a checksum that a receiver drops.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrong_checksums: u64,
    /// TCP segments that lie where their receiver takes nothing.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Streams that went on elsewhere, since their receivers did.
    #[serde(skip_serializing_if = "is_zero")]
    pub jumps: u64,
    /// What two ends may read in two ways in what flows carry, and what is meant to exhaust its reader.
    #[serde(skip_serializing_if = "is_zero")]
    pub odd: u64,
    /// TCP segments of no flow that is known, which open none.
    #[serde(skip_serializing_if = "is_zero")]
    pub unclaimed: u64,
    /// Bytes of streams that never came by.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing: u64,
}

impl Uncertain {
    /// Tells whether there was nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
