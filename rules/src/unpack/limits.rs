//! What one walk may cost.

/// The bounds of one walk. A bound that is met ends the entry or the walk with a typed trouble; what was unpacked before
/// is still handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Containers in containers. Documents in an archive in an official message take five.
    pub depth: usize,
    /// Inner files of all containers together.
    pub entries: u64,
    /// Bytes of all inner files together: what a scan engine reads in some seconds.
    pub total: u64,
    /// Bytes of one inner file; no larger than the largest plain file that is scanned.
    pub entry: u64,
    /// Bytes of inner files that are in memory at one time, each inside the one before.
    pub held: u64,
    /// How many times larger than its packed form an inner file may be. Text reaches 20, logs 100.
    pub ratio: u64,
    /// Bytes up to which an inner file may be of any ratio.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 8,
            entries: 10_000,
            total: 256 << 20,
            entry: 64 << 20,
            held: 128 << 20,
            ratio: 200,
            ratio_from: 1 << 20,
        }
    }
}
