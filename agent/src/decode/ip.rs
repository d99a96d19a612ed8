//! IPv4 and IPv6 headers. Checksums are not looked at: network cards fill them in after capture.

use std::net::IpAddr;

use pnet::packet::{
    ip::{IpNextHeaderProtocol, IpNextHeaderProtocols as Next},
    ipv4::Ipv4Packet,
    ipv6::Ipv6Packet,
};

use super::Skipped;

/// More extension headers than any sender has a reason for.
const MAX_EXTENSIONS: usize = 8;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const MORE_FRAGMENTS: u8 = 0b001;

/// An IP packet with the protocol that it carries.
#[derive(Debug)]
pub(super) struct IpPacket<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) carries: IpNextHeaderProtocol,
    pub(super) payload: &'a [u8],
}

/// Reads an IP header of either version.
pub(super) fn packet(bytes: &[u8]) -> Result<IpPacket<'_>, Skipped> {
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
        n => n.min(bytes.len()),
    };
    if begin < IPV4_HEADER {
        return Err(Skipped::Malformed);
    }
    if header.get_flags() & MORE_FRAGMENTS != 0 || header.get_fragment_offset() != 0 {
        return Err(Skipped::Fragment);
    }
    Ok(IpPacket {
        source: header.get_source().into(),
        destination: header.get_destination().into(),
        carries: header.get_next_level_protocol(),
        payload: bytes.get(begin..end).ok_or(Skipped::Malformed)?,
    })
}

fn v6(bytes: &[u8]) -> Result<IpPacket<'_>, Skipped> {
    let header = Ipv6Packet::new(bytes).ok_or(Skipped::Malformed)?;
    let end = match usize::from(header.get_payload_length()) {
        0 => bytes.len(), // a jumbogram or a super-packet
        n => (IPV6_HEADER + n).min(bytes.len()),
    };
    let rest = bytes.get(IPV6_HEADER..end).ok_or(Skipped::Malformed)?;
    let (carries, payload) = past_extensions(header.get_next_header(), rest)?;
    Ok(IpPacket {
        source: header.get_source().into(),
        destination: header.get_destination().into(),
        carries,
        payload,
    })
}

fn past_extensions(
    mut next: IpNextHeaderProtocol,
    mut rest: &[u8],
) -> Result<(IpNextHeaderProtocol, &[u8]), Skipped> {
    for _ in 0..MAX_EXTENSIONS {
        let length = match (next, rest) {
            (Next::Hopopt | Next::Ipv6Route | Next::Ipv6Opts, [_, length, ..]) => {
                usize::from(*length) * 8 + 8
            }
            (Next::Ah, [_, length, ..]) => usize::from(*length) * 4 + 8,
            (Next::Ipv6Frag, [_, _, high, low, ..]) => {
                // An offset or a "more follow" bit; a packet that is its own only fragment is whole.
                if u16::from_be_bytes([*high, *low]) & 0xfff9 != 0 {
                    return Err(Skipped::Fragment);
                }
                8
            }
            (Next::Hopopt | Next::Ipv6Route | Next::Ipv6Opts | Next::Ah | Next::Ipv6Frag, _) => {
                return Err(Skipped::Malformed);
            }
            _ => return Ok((next, rest)),
        };
        next = IpNextHeaderProtocol(*rest.first().ok_or(Skipped::Malformed)?);
        rest = rest.get(length..).ok_or(Skipped::Malformed)?;
    }
    Err(Skipped::Malformed)
}
