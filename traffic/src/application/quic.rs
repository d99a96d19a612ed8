//! QUIC: the ClientHello in a client's Initial packets, RFC 9000, RFC 9001 and RFC 9369.
//!
//! Those packets are encrypted with keys that anyone makes from the connection id in front of them. Clients split the hello
//! over packets and shuffle the parts; they are put together here.
//!
//! ```text
//! datagram ─► packet: header, keys, bytes in clear ─► frames: CRYPTO ─► ClientHello ─► Tls
//! ```

mod frames;
mod packet;
#[cfg(test)]
mod tests;

use khien_core::traffic::Tls;

use super::ja4::Carrier;
pub use frames::Crypto;
use packet::{Keys, Packet};

/// The most datagrams with packets that can be opened, of which no hello comes. A hello with post-quantum keys takes two; an
/// address that has to be proven, or a loss, takes a few more.
const MAX_DATAGRAMS: u16 = 32;
/// The most datagrams that look like the beginning of a connection and cannot be opened.
const MAX_SEALED: u16 = 256;
/// Connections between the same ports that are put together at a time.
const MAX_CONNECTIONS: usize = 4;
/// The most packets of a datagram that are looked at.
const MAX_PACKETS: usize = 8;

/// Keys that are made in a second of the capture, for all flows: about 10 µs each, so that no flood of beginnings takes all the time.
const MAX_KEYS: u16 = 4_096;

/// What is left for making keys.
#[derive(Debug, Default)]
pub struct Budget {
    second: i64,
    spent: u16,
}

impl Budget {
    /// Tells whether keys may be made in this second.
    fn spend(&mut self, second: i64) -> bool {
        if self.second != second {
            *self = Self { second, spent: 0 };
        }
        let may = self.spent < MAX_KEYS;
        self.spent += u16::from(may);
        may
    }
}

/// Tells whether a datagram begins with an Initial packet of a version that is known.
pub fn is_initial(datagram: &[u8]) -> bool {
    Packet::parse(datagram).is_some_and(|(packet, _)| packet.is_initial)
}

/// Puts the ClientHellos of one flow together: one, but whoever sends may begin several, so that the first hides no other.
#[derive(Debug, Default)]
pub struct Initials {
    opened: u16,
    sealed: u16,
    connections: Vec<Connection>,
    told: u16,
    odd: u64,
    is_done: bool,
}

/// One connection, by the keys of the first packet that could be opened. A client goes on using them when the server has given it
/// another id.
#[derive(Debug)]
struct Connection {
    keys: Keys,
    crypto: Crypto,
    /// Whether its hello was told, or is none.
    is_over: bool,
}

impl Initials {
    /// Takes a datagram of the client at a second of the capture. Returns what the client asks for once that is complete, and only
    /// then.
    pub fn take(&mut self, datagram: &[u8], budget: (&mut Budget, i64)) -> Option<Tls> {
        if self.is_done {
            return None;
        }
        let (first, _) = Packet::parse(datagram)?;
        let (mut rest, mut at, mut is_initial) = (datagram, None, false);
        for _ in 0..MAX_PACKETS {
            let Some((packet, next)) = Packet::parse(rest) else { break };
            rest = next;
            // A receiver takes no packet to another id in the same datagram, RFC 9000 §12.2; so keys are made once for all.
            if !packet.is_initial || packet.destination != first.destination {
                continue;
            }
            let may_begin = !std::mem::replace(&mut is_initial, true);
            let opened = self.open(&packet, may_begin, (&mut *budget.0, budget.1));
            at = opened.or(at);
        }
        self.opened += u16::from(at.is_some());
        self.sealed += u16::from(is_initial && at.is_none());
        let hello = at.and_then(|at| self.hello(at));
        self.told += u16::from(hello.is_some());
        self.bound();
        hello
    }

    /// Tells whether no more datagrams are looked at.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Returns what was odd: hellos that are none, and what a bound passed over.
    pub fn odd(&self) -> u64 {
        self.odd
    }

    /// Returns how many bytes of memory it holds, roughly, beside itself.
    pub fn held(&self) -> usize {
        let crypto: usize = self.connections.iter().map(|c| c.crypto.held()).sum();
        crypto + self.connections.capacity() * size_of::<Connection>()
    }

    /// Opens a packet and returns its connection. What cannot be opened is not the client's.
    fn open(
        &mut self,
        packet: &Packet<'_>,
        may_begin: bool,
        (budget, second): (&mut Budget, i64),
    ) -> Option<usize> {
        let known = |(at, c): (usize, &Connection)| Some((at, packet.open(&c.keys)?));
        if let Some((at, frames)) = self.connections.iter().enumerate().find_map(known) {
            let connection = &mut self.connections[at];
            if !connection.is_over {
                connection.crypto.take(&frames);
            }
            return Some(at);
        }
        if !may_begin {
            return None;
        }
        if !budget.spend(second) {
            self.odd += 1;
            return None;
        }
        let keys = Keys::new(packet.version, packet.destination)?;
        let frames = packet.open(&keys)?;
        if self.connections.len() >= MAX_CONNECTIONS {
            self.odd += u64::from(!self.connections.remove(0).is_over);
        }
        let mut crypto = Crypto::default();
        crypto.take(&frames);
        self.connections.push(Connection { keys, crypto, is_over: false });
        Some(self.connections.len() - 1)
    }

    fn hello(&mut self, at: usize) -> Option<Tls> {
        let connection = self.connections.get_mut(at).filter(|c| !c.is_over)?;
        let hello = connection.crypto.hello();
        let is_odd = hello.is_none() && connection.crypto.is_odd();
        self.odd += u64::from(is_odd);
        if hello.is_some() || is_odd {
            connection.is_over = true;
            connection.crypto = Crypto::default();
        }
        hello.map(|hello| hello.tls(Carrier::Quic))
    }

    /// Ends it where it is more than any client does; what comes then is not looked at, which is odd.
    fn bound(&mut self) {
        let most = MAX_DATAGRAMS.saturating_add(self.told.saturating_mul(MAX_DATAGRAMS));
        if self.opened >= most.min(8 * MAX_DATAGRAMS) || self.sealed >= MAX_SEALED {
            self.is_done = true;
            self.odd += 1;
            self.connections = Vec::new();
        }
    }
}
