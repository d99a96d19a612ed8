//! Between whom a frame goes: just enough to choose frames by address and port. Pure; takes any bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use khien_core::event::Transport;
use khien_traffic::decode::Link;

/// VLAN tags around a packet that are looked behind.
const MAX_TAGS: usize = 4;
/// Extension headers of IPv6 that are looked behind.
const MAX_EXTENSIONS: usize = 6;
const ETHERNET: usize = 14;

/// The ends of a frame, the sender's first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addressed {
    pub(super) transport: Transport,
    pub(super) ends: [SocketAddr; 2],
}

/// Reads them. Pieces of a packet that have no ports, and what is no TCP, UDP or ICMP, have port 0.
pub(super) fn read(link: Link, frame: &[u8]) -> Option<Addressed> {
    let packet = if link == Link::Ip { frame } else { behind_tags(frame)? };
    match packet.first()? >> 4 {
        4 => of_ipv4(packet),
        6 => of_ipv6(packet),
        _ => None,
    }
}

fn behind_tags(frame: &[u8]) -> Option<&[u8]> {
    let mut at = ETHERNET;
    for _ in 0..=MAX_TAGS {
        match frame.get(at - 2..at)? {
            [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00] => at += 4,
            [0x08, 0x00] | [0x86, 0xdd] => return frame.get(at..),
            _ => return None,
        }
    }
    None
}

fn of_ipv4(packet: &[u8]) -> Option<Addressed> {
    let header = packet.get(..20)?;
    let payload = packet.get(usize::from(header[0] & 0xf) * 4..)?;
    let is_first = u16::from_be_bytes([header[6], header[7]]) & 0x1fff == 0;
    let address = |at: usize| -> IpAddr {
        Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]).into()
    };
    addressed(header[9], [address(12), address(16)], payload, is_first)
}

fn of_ipv6(packet: &[u8]) -> Option<Addressed> {
    let header = packet.get(..40)?;
    let address = |at: usize| -> Option<IpAddr> {
        Some(Ipv6Addr::from(<[u8; 16]>::try_from(header.get(at..at + 16)?).ok()?).into())
    };
    let (mut next, mut rest, mut is_first) = (header[6], packet.get(40..)?, true);
    for _ in 0..MAX_EXTENSIONS {
        let length = match next {
            0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
            51 => (usize::from(*rest.get(1)?) + 2) * 4,
            44 => {
                is_first &= u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) & 0xfff8 == 0;
                8
            }
            _ => break,
        };
        (next, rest) = (*rest.first()?, rest.get(length..)?);
    }
    addressed(next, [address(8)?, address(24)?], rest, is_first)
}

fn addressed(protocol: u8, between: [IpAddr; 2], payload: &[u8], is_first: bool) -> Option<Addressed> {
    let transport = match protocol {
        6 => Transport::Tcp,
        17 => Transport::Udp,
        1 | 58 => Transport::Icmp,
        _ => return None,
    };
    let port = |at: usize| match (payload.get(at..at + 2), is_first && transport != Transport::Icmp) {
        (Some(&[high, low]), true) => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    let [from, to] = between;
    Some(Addressed { transport, ends: [SocketAddr::new(from, port(0)), SocketAddr::new(to, port(2))] })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::frame, *};

    fn tagged(frame: &[u8], tags: usize) -> Vec<u8> {
        [&frame[..12], &[0x81, 0, 0, 20].repeat(tags), &frame[12..]].concat()
    }

    #[test]
    fn ends_are_read_behind_tags_and_extensions() {
        for (from, to) in [("192.0.2.1:5000", "203.0.113.7:443"), ("[2001:db8::1]:5000", "[2001:db8::7]:443")]
        {
            let ends = [from, to].map(|end| end.parse().unwrap());
            let plain = frame(from, to, b"x");

            for tags in 0..=MAX_TAGS {
                let read = read(Link::Ethernet, &tagged(&plain, tags));
                assert_eq!(read, Some(Addressed { transport: Transport::Tcp, ends }), "{tags} tags");
            }
            assert_eq!(read(Link::Ethernet, &tagged(&plain, MAX_TAGS + 1)), None);
            assert_eq!(read(Link::Ip, &plain[14..]).unwrap().ends, ends);
        }
        let mut behind = frame("[2001:db8::1]:5000", "[2001:db8::7]:443", b"");
        behind[14 + 6] = 0;
        behind.splice(54..54, [6, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read(Link::Ethernet, &behind).unwrap().ends[0].port(), 5_000);
    }

    #[test]
    fn a_later_piece_of_a_packet_has_no_ports() {
        let mut piece = frame("192.0.2.1:5000", "203.0.113.7:443", b"x");
        piece[14 + 7] = 8;

        assert_eq!(read(Link::Ethernet, &piece).unwrap().ends.map(|end| end.port()), [0, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0usize..3) {
            let mut bytes = bytes;
            let first = [0x45, 0x60, 0x4f][kind];
            if let Some(place) = bytes.get_mut(0) {
                *place = first;
            }
            let _ = (read(Link::Ip, &bytes), read(Link::Ethernet, &bytes));
            let _ = read(Link::Ethernet, &[&[0; 12], &[8, 0][..], &bytes].concat());
        }
    }
}
