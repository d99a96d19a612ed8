//! Every number that bounds what peers can make the hub hold, in one place, and the sum of them.
//!
//! ```text
//! memory that peers can fill                                            at most
//!   bodies of agents as they come         agents.wire                    64 MiB
//!   bodies of agents inflated and parsed  agents.plain, until the commit 128 MiB
//!   bodies of operators, as they come     operators.wire                 40 MiB
//!   bodies of operators, parsed           operators.plain               128 MiB
//!   requests to join                      256 strangers × 64 KiB         16 MiB
//!   the signed pack, shared by all        once                           16 MiB
//!   connections                           0.5 MiB each: window 128 KiB, heads of 16 streams 256 KiB, TLS and frames
//!                                         128 KiB. A captured agent has 8, which is 4 MiB; a quiet one takes 40 KiB.
//!                                         4,096 that are all hostile and full: 2 GiB
//! ```
//! Without a captured agent that is below 400 MiB and 40 KiB for each quiet connection, and it grows by 4 MiB for each
//! captured agent. The answers of the store are bounded by the store's own limits.

use std::time::Duration;

use khien_core::{
    bundle::MAX_PACK,
    protocol::{MAX_BODY, MAX_INFLATED},
};

use crate::quota::Rates;

/// Requests at a time on one connection.
pub(crate) const MAX_STREAMS: u32 = 16;
/// The largest head of a request.
pub(crate) const MAX_HEAD: u32 = 16 << 10;
/// What a connection may send ahead of what is read of it, in bytes.
pub(crate) const WINDOW: u32 = 128 << 10;
/// How many bytes a parsed body takes for each byte of its text: the text itself and what is made of it, which is less
/// than twice as much for every type that agents send.
pub(crate) const PARSED: usize = 3;

/// All limits; tests use smaller ones.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Connections at a time.
    pub(crate) connections: u32,
    /// Handshakes at a time.
    pub(crate) handshakes: usize,
    /// Connections at a time of those who are neither agent nor operator, so that they never take others' room.
    pub(crate) strangers: usize,
    /// Handshakes at a time from one address (IPv6: from one /64): a whole agency may stand behind one, and whoever
    /// knocks there without end keeps new connections of that agency out, but of no other.
    pub(crate) handshakes_per_address: usize,
    /// Strangers at a time from one address; the next ones wait for as long as a handshake may take.
    pub(crate) strangers_per_address: usize,
    /// Connections at a time of one agent; it needs one, and another while the old one is not known to be cut.
    pub(crate) per_agent: usize,
    /// Connections at a time of one operator: each command line and each screen has one.
    pub(crate) per_operator: usize,
    /// Requests at a time of one agent, until the answer is taken; it needs seven.
    pub(crate) under_way: usize,
    /// How long a handshake may take.
    pub(crate) handshake: Duration,
    /// How long a stranger's connection may last: it is only good for joining.
    pub(crate) stranger: Duration,
    /// How long the head of an HTTP/1 request may take.
    pub(crate) head: Duration,
    /// How long each 64 KiB of a body, or its end, may take: 52 kbit/s is slower than any line that agencies have.
    pub(crate) step: Duration,
    /// How long a body waits for memory before it is refused.
    pub(crate) patience: Duration,
    /// Memory for the bodies of agents.
    pub(crate) agents: Memory,
    /// Memory for the bodies of operators, which captured agents cannot take.
    pub(crate) operators: Memory,
    /// What costs much for operators.
    pub(crate) jobs: Jobs,
    /// What one agent may send.
    pub(crate) rates: Rates,
}

/// How many uploads, captures and exports of evidence go on at once: each may hold a thread that reads, opens or hashes 64 MiB.
/// Those of all take a small part of the threads that also read the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jobs {
    /// Of one operator: one more than a person waits for.
    pub(crate) per_operator: usize,
    /// Of all operators.
    pub(crate) all: usize,
}

/// Memory for bodies, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// As they come.
    pub(crate) wire: usize,
    /// Inflated and parsed, until what they ask for is committed.
    pub(crate) plain: usize,
    /// What one peer may take of the first.
    pub(crate) wire_share: usize,
    /// What one peer may take of the second: one of the largest bodies at a time.
    pub(crate) plain_share: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // A signed pack holds its text as an escaped string.
        let pack = 2 * MAX_PACK;
        Self {
            connections: 4_096,
            handshakes: 512,
            strangers: 256,
            handshakes_per_address: 128,
            strangers_per_address: 64,
            per_agent: 8,
            per_operator: 64,
            under_way: 16,
            handshake: Duration::from_secs(5),
            stranger: Duration::from_secs(15),
            head: Duration::from_secs(10),
            step: Duration::from_secs(10),
            patience: Duration::from_secs(10),
            agents: Memory {
                wire: 64 << 20,
                plain: 128 << 20,
                wire_share: 4 * MAX_BODY,
                plain_share: PARSED * MAX_INFLATED,
            },
            operators: Memory {
                wire: 40 << 20,
                plain: 128 << 20,
                wire_share: pack,
                plain_share: PARSED * pack,
            },
            jobs: Jobs { per_operator: 2, all: 8 },
            rates: Rates::default(),
        }
    }
}
