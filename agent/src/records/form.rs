//! The written form of a record: numbers in as many bytes as they need, texts behind their lengths, times as the distance from
//! the time before.
//!
//! ```text
//! record   time, which flow, kind (one byte), what stands in a record of that kind in the order of its fields
//! number   seven bits a byte, the lowest first, the highest bit set on all but the last (LEB128)
//! time     nanoseconds from another time, as a number: twice the distance, or for one back in time twice less one
//! text     its length and one more, as a number, and its bytes; 0 for none
//! ```
//! What is rare or has a form of its own (processes, letters, tunnels) is JSON behind its length. Written for
//! [`block`](super::block), which compresses it. Reading takes any bytes: what cannot be is no record.

use khien_core::{event::Transport, traffic::FlowEnd};

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::Reader;
pub(super) use write::Writer;

/// What comes first in a record of each kind.
#[derive(Clone, Copy)]
enum Kind {
    Flow = 0,
    Dns = 1,
    Tls = 2,
    Http = 3,
    Smtp = 4,
    File = 5,
}

const KINDS: [Kind; 6] = [Kind::Flow, Kind::Dns, Kind::Tls, Kind::Http, Kind::Smtp, Kind::File];
const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Icmp];
const FLOW_ENDS: [FlowEnd; 6] =
    [FlowEnd::Closed, FlowEnd::Reset, FlowEnd::Idle, FlowEnd::Evicted, FlowEnd::Ongoing, FlowEnd::CaptureEnd];

/// Bits of the byte that says how the ends of a flow are written; the two highest are the transport.
mod bit {
    pub(super) const SAW_SYN: u8 = 1;
    pub(super) const VLAN: u8 = 2;
    pub(super) const TUNNEL: u8 = 4;
    pub(super) const CLIENT_V6: u8 = 8;
    pub(super) const SERVER_V6: u8 = 16;
    /// The interface is another one than that of the record before.
    pub(super) const INTERFACE: u8 = 32;
    pub(super) const TRANSPORT: u8 = 6;
}
