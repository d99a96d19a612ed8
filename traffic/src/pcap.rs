//! Files of packets, as `tcpdump` and Wireshark write them: pcap and pcapng.
//!
//! ```text
//! bytes, perhaps gzip ─► read::plain ─► read::Reader ─► Frame ─► flow::Engine
//!                                        Frame ─► write::Writer ─► bytes (pcapng)
//! ```
//! Pure: bytes come from a [`Read`](std::io::Read) and go to a [`Write`](std::io::Write) that the caller brings. A file that
//! ends early, lies about a length or holds what nobody knows is used as far as it goes, and what was left out is told.

pub mod read;
pub mod write;

mod block;
mod clock;
mod input;

/// The largest packet, and the largest block of a pcapng file, that is looked at; what is larger is passed over and counted.
/// Capture programs cut at 256 KiB.
pub const MAX_BLOCK: usize = 1 << 20;
/// The most interfaces of one file whose packets are looked at. Hosts have some; each is a name that is kept.
pub const MAX_INTERFACES: usize = 256;
/// The longest name of an interface that is kept: Linux has 15 bytes, Windows a path with a GUID.
pub const MAX_NAME: usize = 128;
