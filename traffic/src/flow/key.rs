//! What names a flow, and its keyed hash.

use std::net::{IpAddr, SocketAddr};

use khien_core::{
    event::Transport,
    traffic::{Tunnel, TunnelKind},
};

use crate::decode::{Around, Message};

/// The two ends of a flow on one interface and in one tunnel, the smaller end first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    low: [u64; 2],
    high: [u64; 2],
    low_port: u16,
    high_port: u16,
    interface: u16,
    transport: Transport,
    is_v6: bool,
    /// The keyed hash of what stands around it; 0 for nothing.
    around: u64,
}

/// Who sent a packet, of the two ends of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Low,
    High,
}

impl Key {
    /// Names the flow of a TCP segment or a datagram.
    pub(super) fn of_ports(
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> (Self, From) {
        let (a, b) = (words(source.ip()), words(destination.ip()));
        let from_low = (a, source.port()) <= (b, destination.port());
        let ((low, low_port), (high, high_port)) = match from_low {
            true => ((a, source.port()), (b, destination.port())),
            false => ((b, destination.port()), (a, source.port())),
        };
        let is_v6 = source.is_ipv6();
        let key = Self { low, high, low_port, high_port, interface: 0, transport, is_v6, around: 0 };
        (key, if from_low { From::Low } else { From::High })
    }

    /// Names the flow of an ICMP message: its type and code stand for ports, those of an answer are those of the question.
    pub(super) fn of_message(message: &Message) -> (Self, From) {
        let (a, b) = (words(message.source), words(message.destination));
        let is_v6 = message.source.is_ipv6();
        let asked = asked(is_v6, message.kind);
        let from_low = match a == b {
            true => asked == message.kind,
            false => a < b,
        };
        let (low, high) = if from_low { (a, b) } else { (b, a) };
        let (low_port, high_port) = (u16::from(asked), u16::from(message.code));
        let transport = Transport::Icmp;
        let key = Self { low, high, low_port, high_port, interface: 0, transport, is_v6, around: 0 };
        (key, if from_low { From::Low } else { From::High })
    }

    /// Adds where it was seen.
    pub(super) fn seen(self, interface: u16, around: u64) -> Self {
        Self { interface, around, ..self }
    }

    /// Returns its interface's place.
    pub(super) fn interface(&self) -> u16 {
        self.interface
    }

    /// Returns its transport.
    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns one end; for ICMP the port of who asks is the type, that of who answers the code.
    pub(super) fn end(&self, which: From, is_client: bool) -> SocketAddr {
        let (ip, port) = match which {
            From::Low => (self.low, self.low_port),
            From::High => (self.high, self.high_port),
        };
        let port = match (self.transport, is_client) {
            (Transport::Icmp, true) => self.low_port,
            (Transport::Icmp, false) => self.high_port,
            _ => port,
        };
        SocketAddr::new(address(ip, self.is_v6), port)
    }

    /// Hashes it.
    pub(super) fn hash(&self, seed: Seed) -> u64 {
        let ports = u64::from(self.low_port) << 48 | u64::from(self.high_port) << 32;
        let place = u64::from(self.interface) << 8 | (self.transport as u64) << 1 | u64::from(self.is_v6);
        seed.hash([self.low[0], self.low[1], self.high[0], self.high[1], ports | place, self.around])
    }
}

/// Returns the type of the question that an ICMP message answers, or its own.
fn asked(is_v6: bool, kind: u8) -> u8 {
    match (is_v6, kind) {
        (false, 0) => 8,
        (false, 14 | 16 | 18) | (true, 129 | 136 | 140) => kind - 1,
        (true, 134) => 133,
        _ => kind,
    }
}

fn words(ip: IpAddr) -> [u64; 2] {
    match ip {
        IpAddr::V4(a) => [0, u64::from(a.to_bits())],
        // The two halves of it.
        IpAddr::V6(a) => [(a.to_bits() >> 64) as u64, a.to_bits() as u64],
    }
}

fn address(words: [u64; 2], is_v6: bool) -> IpAddr {
    match is_v6 {
        true => IpAddr::V6((u128::from(words[0]) << 64 | u128::from(words[1])).into()),
        // It was made of 32 bits.
        false => IpAddr::V4((words[1] as u32).into()),
    }
}

/// The secret of all hashes, so that no peer can choose flows that fall on each other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seed(pub(super) [u64; 2]);

impl Seed {
    /// Hashes words: SipHash-1-3.
    pub(super) fn hash<const N: usize>(self, words: [u64; N]) -> u64 {
        let [k0, k1] = self.0;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let length = (N as u64 * 8) << 56;
        for word in words.into_iter().chain([length]) {
            v[3] ^= word;
            round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    /// Hashes what stands around a packet, the same for both directions; 0 for nothing.
    pub(super) fn around(self, around: &Around) -> u64 {
        let tags = around.tags.ids().iter().fold(0, |hash, tag| self.hash([hash, u64::from(*tag) + 1]));
        around.tunnel.as_ref().map_or(tags, |tunnel| self.tunnel(tags, tunnel))
    }

    fn tunnel(self, tags: u64, tunnel: &Tunnel) -> u64 {
        let (a, b) = (words(tunnel.from), words(tunnel.to));
        let (low, high) = (a.min(b), a.max(b));
        let kind = match tunnel.kind {
            TunnelKind::Gre => 1,
            TunnelKind::Vxlan => 2,
            TunnelKind::Ipip => 3,
        };
        let id = tunnel.id.map_or(0, |id| u64::from(id) + 1);
        self.hash([tags, low[0], low[1], high[0], high[1], kind << 40 | id])
    }
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher};

    use super::*;

    #[test]
    fn both_directions_have_one_key_and_know_who_sent() {
        for (a, b) in [("192.0.2.1:40000", "198.51.100.2:80"), ("[2001:db8::1]:9", "[2001:db8::1]:8")] {
            let (a, b): (SocketAddr, SocketAddr) = (a.parse().unwrap(), b.parse().unwrap());
            let (there, from_a) = Key::of_ports(Transport::Tcp, a, b);
            let (back, from_b) = Key::of_ports(Transport::Tcp, b, a);

            assert_eq!(there, back);
            assert_ne!(from_a, from_b);
            assert_eq!((there.end(from_a, true), there.end(from_b, false)), (a, b));
        }
    }

    #[test]
    fn an_echo_and_its_answer_have_one_key() {
        let ask = Message {
            source: "192.0.2.1".parse().unwrap(),
            destination: "192.0.2.9".parse().unwrap(),
            kind: 8,
            code: 0,
            length: 0,
        };
        let answer = Message { source: ask.destination, destination: ask.source, kind: 0, ..ask };

        let ((there, from), (back, to)) = (Key::of_message(&ask), Key::of_message(&answer));

        assert_eq!(there, back);
        assert_eq!(there.end(from, true).to_string(), "192.0.2.1:8");
        assert_eq!(there.end(to, false).to_string(), "192.0.2.9:0");
    }

    #[test]
    fn the_hash_is_siphash_1_3() {
        // The standard library's hasher is SipHash-1-3 with the key 0.
        let mut known = DefaultHasher::new();
        known.write_u64(7);
        known.write_u64(u64::MAX);

        assert_eq!(Seed::default().hash([7, u64::MAX]), known.finish());
        assert_ne!(Seed([1, 0]).hash([7, u64::MAX]), known.finish());
    }
}
