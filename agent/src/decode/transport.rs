//! TCP and UDP headers.

use std::net::SocketAddr;

use pnet::packet::{
    ip::IpNextHeaderProtocols as Next,
    tcp::{TcpFlags, TcpPacket},
    udp::UdpPacket,
};

use super::{Datagram, Flags, Packet, Segment, Skipped, ip::IpPacket};

const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// Reads what an IP packet carries.
pub(super) fn packet<'a>(ip: &IpPacket<'a>) -> Result<Packet<'a>, Skipped> {
    match ip.carries {
        Next::Tcp => tcp(ip).map(Packet::Tcp).ok_or(Skipped::Malformed),
        Next::Udp => udp(ip).map(Packet::Udp).ok_or(Skipped::Malformed),
        _ => Err(Skipped::OtherTransport),
    }
}

fn tcp<'a>(ip: &IpPacket<'a>) -> Option<Segment<'a>> {
    let header = TcpPacket::new(ip.payload)?;
    let begin = usize::from(header.get_data_offset()) * 4;
    let has = |flag| header.get_flags() & flag != 0;
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
        payload: ip.payload.get(begin..).filter(|_| begin >= TCP_HEADER)?,
    })
}

fn udp<'a>(ip: &IpPacket<'a>) -> Option<Datagram<'a>> {
    let header = UdpPacket::new(ip.payload)?;
    let end = match usize::from(header.get_length()) {
        0 => ip.payload.len(), // as in a jumbogram
        n => n.min(ip.payload.len()),
    };
    Some(Datagram {
        source: SocketAddr::new(ip.source, header.get_source()),
        destination: SocketAddr::new(ip.destination, header.get_destination()),
        payload: ip.payload.get(UDP_HEADER..end)?,
    })
}
