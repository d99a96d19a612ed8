//! What the engine may hold and how strict it is.

/// Slots have numbers of 32 bits, one of which means none.
pub(super) const MOST_FLOWS: usize = u32::MAX as usize - 1;

/// What the engine may hold. When it is full, what was quiet for longest goes first, and that is counted.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Flows; each takes less than 400 bytes.
    pub flows: usize,
    /// Bytes that all flows hold beside that: followers, early segments, what is to be scanned.
    pub bytes: usize,
    /// Whether streams are cut out to be scanned; if not, that costs nothing.
    pub scan: bool,
    /// Whether files that are carried are wanted, for their digests and to be scanned.
    pub files: bool,
    /// What is done about wrong checksums.
    pub checksums: Checksums,
    /// A secret, so that no peer can choose flows that slow the tables down. The caller draws it; the room has no chance.
    pub seed: [u64; 2],
}

impl Default for Limits {
    /// Stays below 64 MiB in all.
    fn default() -> Self {
        Self {
            flows: 1 << 17,
            bytes: 16 << 20,
            scan: true,
            files: true,
            checksums: Checksums::default(),
            seed: [0; 2],
        }
    }
}

/// What is done about wrong checksums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checksums {
    /// What a receiver would drop is dropped. A sum that was left to the card to fill in is no fault: on the host that
    /// sends, most are.
    #[default]
    Judge,
    /// A sum that was left to the card is wrong, too: for mirror ports and gateways, which only see what was on a wire.
    Strict,
    /// No sums are looked at: for captures that cut or change packets.
    Ignore,
}
