//! IPv4 and IPv6 headers.

use std::net::IpAddr;

use pnet::packet::{
    ip::{IpNextHeaderProtocol, IpNextHeaderProtocols as Next},
    ipv4::Ipv4Packet,
    ipv6::Ipv6Packet,
};

use super::{
    Skipped,
    checksum::{self, Sum},
};

/// More extension headers than any sender has a reason for.
const MAX_EXTENSIONS: usize = 8;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const MORE_FRAGMENTS: u8 = 0b001;
/// Offsets of pieces count in units of so many bytes.
const UNIT: usize = 8;

/// An IP packet with the protocol that it carries.
#[derive(Debug)]
pub(crate) struct IpPacket<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) carries: IpNextHeaderProtocol,
    pub(crate) payload: &'a [u8],
    /// How many hops it may still go.
    pub(crate) hops: u8,
    /// Set if it is a piece of a larger packet.
    pub(crate) piece: Option<Piece>,
    /// The header's checksum; IPv6 has none.
    pub(crate) sum: Sum,
    /// Whether fewer bytes were captured than there were.
    pub(crate) is_cut: bool,
}

/// Where a piece of a larger packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) id: u32,
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) more: bool,
}

/// Reads an IP header of either version.
pub(crate) fn packet(bytes: &[u8]) -> Result<IpPacket<'_>, Skipped> {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => v4(bytes),
        Some(6) => v6(bytes),
        Some(_) => Err(Skipped::NotIp),
        None => Err(Skipped::Malformed),
    }
}

fn v4(bytes: &[u8]) -> Result<IpPacket<'_>, Skipped> {
    let header = Ipv4Packet::new(bytes).ok_or(Skipped::Malformed)?;
    let begin = usize::from(header.get_header_length()) * 4;
    let end = match usize::from(header.get_total_length()) {
        0 => bytes.len(), // a super-packet of segmentation offload, longer than the field can say
        n => n,
    };
    if begin < IPV4_HEADER || bytes.len() < begin || end < begin {
        return Err(Skipped::Malformed);
    }
    let more = header.get_flags() & MORE_FRAGMENTS != 0;
    let offset = usize::from(header.get_fragment_offset()) * UNIT;
    let piece = Piece { id: u32::from(header.get_identification()), offset, more };
    Ok(IpPacket {
        source: header.get_source().into(),
        destination: header.get_destination().into(),
        carries: header.get_next_level_protocol(),
        payload: bytes.get(begin..end.min(bytes.len())).ok_or(Skipped::Malformed)?,
        hops: header.get_ttl(),
        piece: (more || offset > 0).then_some(piece),
        sum: checksum::header(&bytes[..begin]),
        is_cut: end > bytes.len(),
    })
}

fn v6(bytes: &[u8]) -> Result<IpPacket<'_>, Skipped> {
    let header = Ipv6Packet::new(bytes).ok_or(Skipped::Malformed)?;
    let end = match usize::from(header.get_payload_length()) {
        0 => bytes.len(), // a jumbogram or a super-packet
        n => IPV6_HEADER + n,
    };
    let rest = bytes.get(IPV6_HEADER..end.min(bytes.len())).ok_or(Skipped::Malformed)?;
    let (carries, payload, piece) = past_extensions(header.get_next_header(), rest)?;
    Ok(IpPacket {
        source: header.get_source().into(),
        destination: header.get_destination().into(),
        carries,
        payload,
        hops: header.get_hop_limit(),
        piece,
        sum: Sum::Unknown,
        is_cut: end > bytes.len(),
    })
}

/// Passes the extension headers up to what is carried, or to a piece of it.
pub(crate) fn past_extensions(
    mut next: IpNextHeaderProtocol,
    mut rest: &[u8],
) -> Result<(IpNextHeaderProtocol, &[u8], Option<Piece>), Skipped> {
    for _ in 0..MAX_EXTENSIONS {
        let mut piece = None;
        let length = match (next, rest) {
            (Next::Hopopt | Next::Ipv6Route | Next::Ipv6Opts, [_, length, ..]) => {
                usize::from(*length) * 8 + 8
            }
            (Next::Ah, [_, length, ..]) => usize::from(*length) * 4 + 8,
            (Next::Ipv6Frag, [_, _, high, low, id @ ..]) => {
                piece = fragment(u16::from_be_bytes([*high, *low]), id);
                8
            }
            (Next::Hopopt | Next::Ipv6Route | Next::Ipv6Opts | Next::Ah | Next::Ipv6Frag, _) => {
                return Err(Skipped::Malformed);
            }
            _ => return Ok((next, rest, None)),
        };
        next = IpNextHeaderProtocol(*rest.first().ok_or(Skipped::Malformed)?);
        rest = rest.get(length..).ok_or(Skipped::Malformed)?;
        if piece.is_some() {
            return Ok((next, rest, piece));
        }
    }
    Err(Skipped::Malformed)
}

/// Reads a fragment header; a packet that is its own only fragment is whole.
fn fragment(place: u16, id: &[u8]) -> Option<Piece> {
    let (offset, more) = (usize::from(place & 0xfff8), place & 1 != 0);
    let id = u32::from_be_bytes(*id.first_chunk()?);
    (more || offset > 0).then_some(Piece { id, offset, more })
}
