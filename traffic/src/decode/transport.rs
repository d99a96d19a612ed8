//! TCP, UDP and ICMP headers.

use std::net::SocketAddr;

use pnet::packet::{
    ip::IpNextHeaderProtocols as Next,
    tcp::{TcpFlags, TcpPacket},
    udp::UdpPacket,
};

use super::{
    Datagram, Flags, Message, Packet, Segment, Skipped,
    checksum::{self, Sum},
    ip::IpPacket,
};

const TCP_HEADER: usize = 20;
const TCP_SUM: usize = 16;
const UDP_HEADER: usize = 8;
const UDP_SUM: usize = 6;
const ICMP_HEADER: usize = 8;

/// Reads what an IP packet carries.
pub(crate) fn packet<'a>(ip: &IpPacket<'a>) -> Result<Packet<'a>, Skipped> {
    match ip.carries {
        Next::Tcp => tcp(ip).map(Packet::Tcp).ok_or(Skipped::Malformed),
        Next::Udp => udp(ip).map(Packet::Udp).ok_or(Skipped::Malformed),
        Next::Icmp | Next::Icmpv6 => icmp(ip).map(Packet::Icmp).ok_or(Skipped::Malformed),
        _ => Err(Skipped::OtherTransport),
    }
}

/// Judges the checksum of what an IP packet carries.
pub(crate) fn sum(ip: &IpPacket<'_>) -> Sum {
    match ip.carries {
        Next::Tcp => checksum::carried(ip, ip.payload, TCP_SUM),
        Next::Udp => match udp_length(ip.payload) {
            // Without a checksum, which IPv4 allows.
            Some(_) if ip.payload.get(UDP_SUM..UDP_HEADER) == Some(&[0, 0]) => Sum::Unknown,
            Some(length) if length <= ip.payload.len() => {
                checksum::carried(ip, &ip.payload[..length], UDP_SUM)
            }
            _ => Sum::Unknown,
        },
        _ => Sum::Unknown,
    }
}

fn tcp<'a>(ip: &IpPacket<'a>) -> Option<Segment<'a>> {
    let header = TcpPacket::new(ip.payload)?;
    let begin = usize::from(header.get_data_offset()) * 4;
    let flags = header.get_flags();
    let has = |flag| flags & flag != 0;
    Some(Segment {
        source: SocketAddr::new(ip.source, header.get_source()),
        destination: SocketAddr::new(ip.destination, header.get_destination()),
        seq: header.get_sequence(),
        ack: header.get_acknowledgement(),
        flags: Flags {
            syn: has(TcpFlags::SYN),
            ack: has(TcpFlags::ACK),
            fin: has(TcpFlags::FIN),
            rst: has(TcpFlags::RST),
        },
        urgent: has(TcpFlags::URG).then(|| header.get_urgent_ptr()),
        payload: ip.payload.get(begin..).filter(|_| begin >= TCP_HEADER)?,
    })
}

fn udp<'a>(ip: &IpPacket<'a>) -> Option<Datagram<'a>> {
    let header = UdpPacket::new(ip.payload)?;
    let end = udp_length(ip.payload)?.min(ip.payload.len());
    Some(Datagram {
        source: SocketAddr::new(ip.source, header.get_source()),
        destination: SocketAddr::new(ip.destination, header.get_destination()),
        payload: ip.payload.get(UDP_HEADER..end)?,
    })
}

fn udp_length(bytes: &[u8]) -> Option<usize> {
    Some(match usize::from(UdpPacket::new(bytes)?.get_length()) {
        0 => bytes.len(), // as in a jumbogram
        n => n,
    })
}

fn icmp(ip: &IpPacket<'_>) -> Option<Message> {
    let [kind, code, ..] = *ip.payload else { return None };
    Some(Message {
        source: ip.source,
        destination: ip.destination,
        kind,
        code,
        length: ip.payload.len().checked_sub(ICMP_HEADER)?,
    })
}
