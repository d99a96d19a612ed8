//! GRE (RFC 2784, 2890), VXLAN (RFC 7348) and IP in IP (RFC 2003, 2473, 4213): what stands inside.

use khien_core::traffic::TunnelKind;
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols as Next};

use super::{Link, ip::IpPacket};

const UDP_HEADER: usize = 8;
const VXLAN_PORT: u16 = 4789;
const VXLAN_HEADER: usize = 8;
/// "The VNI is valid", which every VXLAN packet says.
const VXLAN_VALID: u8 = 0x08;
const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const GRE_VERSION: u16 = 0x0007;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const BRIDGED: u16 = 0x6558;

/// A packet inside a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inside<'a> {
    pub(crate) kind: TunnelKind,
    pub(crate) id: Option<u32>,
    pub(crate) link: Link,
    pub(crate) bytes: &'a [u8],
}

/// Returns what stands inside, if an IP packet is one of a tunnel.
pub(crate) fn inside<'a>(ip: &IpPacket<'a>) -> Option<Inside<'a>> {
    match ip.carries {
        Next::Tcp => None,
        Next::Udp => vxlan(ip.payload),
        Next::Gre => gre(ip.payload),
        IpNextHeaderProtocol(4 | 41) => {
            Some(Inside { kind: TunnelKind::Ipip, id: None, link: Link::Ip, bytes: ip.payload })
        }
        _ => None,
    }
}

fn vxlan(udp: &[u8]) -> Option<Inside<'_>> {
    let to = number(udp, 2)?;
    let header: &[u8; VXLAN_HEADER] = udp.get(UDP_HEADER..)?.first_chunk()?;
    let is_valid = to == VXLAN_PORT && header[0] & VXLAN_VALID != 0;
    is_valid.then(|| Inside {
        kind: TunnelKind::Vxlan,
        id: Some(u32::from_be_bytes([0, header[4], header[5], header[6]])),
        link: Link::Ethernet,
        bytes: &udp[UDP_HEADER + VXLAN_HEADER..],
    })
}

fn gre(bytes: &[u8]) -> Option<Inside<'_>> {
    let (flags, carries) = (number(bytes, 0)?, number(bytes, 2)?);
    if flags & (GRE_VERSION | GRE_ROUTING) != 0 {
        return None;
    }
    let mut at = 4;
    if flags & GRE_CHECKSUM != 0 {
        at += 4;
    }
    let id = match flags & GRE_KEY {
        0 => None,
        _ => {
            at += 4;
            Some(u32::from_be_bytes(*bytes.get(at - 4..)?.first_chunk()?))
        }
    };
    if flags & GRE_SEQUENCE != 0 {
        at += 4;
    }
    let link = match carries {
        IPV4 | IPV6 => Link::Ip,
        BRIDGED => Link::Ethernet,
        _ => return None,
    };
    Some(Inside { kind: TunnelKind::Gre, id, link, bytes: bytes.get(at..)? })
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_of_gre_is_read_and_its_options_are_passed() {
        let bytes = [&[0xb0, 0, 8, 0, 9, 9, 9, 9, 0, 0, 1, 2, 7, 7, 7, 7][..], b"E"].concat();

        let inside = gre(&bytes).unwrap();

        assert_eq!((inside.id, inside.link, inside.bytes), (Some(258), Link::Ip, &b"E"[..]));
        assert_eq!(gre(&[0, 0, 0x65, 0x58]).map(|i| i.link), Some(Link::Ethernet));
        assert_eq!(gre(&[0, 1, 8, 0]), None, "PPTP");
        assert_eq!(gre(&[0xb0, 0, 8, 0, 9]), None, "cut");
    }

    #[test]
    fn the_network_of_vxlan_is_read_and_other_datagrams_to_its_port_are_left() {
        let mut bytes = [&[0, 9, 0x12, 0xb5, 0, 17, 0, 0][..], &[8, 0, 0, 0, 0, 1, 2, 0], b"e"].concat();

        let inside = vxlan(&bytes).unwrap();
        assert_eq!((inside.id, inside.link, inside.bytes), (Some(258), Link::Ethernet, &b"e"[..]));
        bytes[8] = 0;
        assert_eq!(vxlan(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            gre(&bytes);
            vxlan(&bytes);
        }
    }
}
