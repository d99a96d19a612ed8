//! Takes frames apart: link, tags, IP, what that carries, and a tunnel around it.
//!
//! ```text
//! frame ─ link: Ethernet, cooked, raw … ─ tags ─ IPv4 | IPv6 + extensions ─┬─ TCP | UDP | ICMP
//!                                          ▲                              ├─ piece of a datagram ─► put together by `flow`
//!                                          └───── once ───── GRE | VXLAN | IP in IP
//! ```
//! Pure. Takes any bytes: what is cut, odd or hostile gives an answer that says so, never a panic.

use std::net::{IpAddr, SocketAddr};

use khien_core::{Timestamp, traffic::Tunnel};

pub(crate) mod checksum;
pub(crate) mod ip;
pub(crate) mod link;
#[cfg(test)]
pub mod sample;
pub(crate) mod transport;
pub(crate) mod tunnel;

/// The most VLAN tags around a packet: four in the frame, one that the kernel took off.
pub const MAX_TAGS: usize = khien_core::traffic::MAX_VLANS;

/// A frame as it was captured.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The place of its interface among those that the engine was made with.
    pub interface: usize,
    /// How it begins.
    pub link: Link,
    /// When it was captured.
    pub at: Timestamp,
    /// The outer VLAN tag, where the kernel took it off and told it apart.
    pub vlan: Option<u16>,
    /// Its bytes, as many as were captured.
    pub bytes: &'a [u8],
    /// How long it was on the wire.
    pub length: u32,
}

/// How a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// With an Ethernet header; loopback of Linux too.
    Ethernet,
    /// With the IP header: tunnels and point-to-point lines.
    Ip,
    /// With the first header of Linux for "any interface".
    Sll,
    /// With the second header of Linux for "any interface".
    Sll2,
    /// With the address family: loopback of the BSDs.
    Null,
}

impl Link {
    /// Returns what a number in a file of packets (LINKTYPE_…) means; none for those that are not read.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            113 => Self::Sll,
            276 => Self::Sll2,
            0 | 108 => Self::Null,
            _ => return None,
        })
    }
}

/// The VLAN ids around a packet, outermost first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    ids: [u16; MAX_TAGS],
    count: u8,
}

impl Tags {
    /// Adds one further in; what does not fit is left out.
    pub fn push(&mut self, id: u16) {
        if let Some(place) = self.ids.get_mut(usize::from(self.count)) {
            *place = id;
            self.count += 1;
        }
    }

    /// Returns them.
    #[must_use]
    pub fn ids(&self) -> &[u16] {
        &self.ids[..usize::from(self.count)]
    }
}

/// What stands around a packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// VLAN tags outside the tunnel, then those inside.
    pub tags: Tags,
    /// The tunnel.
    pub tunnel: Option<Tunnel>,
}

impl Around {
    /// Tells whether nothing stands around it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.count == 0 && self.tunnel.is_none()
    }
}

/// What a frame carried.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
    /// An ICMP message, of either version.
    Icmp(Message),
}

/// One TCP segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// The number of its first byte, or of the SYN before it.
    pub seq: u32,
    /// The next byte that the sender expects.
    pub ack: u32,
    /// The control bits that matter here.
    pub flags: Flags,
    /// The urgent pointer, where it says that it counts: the byte before it is taken out of the stream, RFC 6093.
    pub urgent: Option<u16>,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The control bits of TCP that matter for following a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// Opens.
    pub syn: bool,
    /// Carries an acknowledgement.
    pub ack: bool,
    /// The sender has no more to say.
    pub fin: bool,
    /// Ends at once.
    pub rst: bool,
}

/// One UDP datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// What it carries.
    pub payload: &'a [u8],
}

/// One ICMP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// How many bytes stand behind its header.
    pub length: usize,
}

/// Why a frame was not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It carries neither IPv4 nor IPv6.
    NotIp,
    /// It is a piece of a larger IP packet, which one frame alone does not show.
    Fragment,
    /// It carries neither TCP, UDP nor ICMP.
    OtherTransport,
    /// Its headers contradict its length.
    Malformed,
}

/// Takes one frame apart by itself: tunnels are not opened, pieces are not put together.
pub fn packet(link: Link, frame: &[u8]) -> Result<Packet<'_>, Skipped> {
    let ip = ip::packet(link::strip(link, frame, &mut Tags::default())?)?;
    match ip.piece {
        Some(_) => Err(Skipped::Fragment),
        None => transport::packet(&ip),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use sample::{Frame, tcp, udp};

    #[test]
    fn a_segment_is_found_in_ipv4_and_ipv6_with_and_without_tags() {
        for (client, server) in
            [("192.0.2.1:4000", "198.51.100.2:80"), ("[2001:db8::1]:4000", "[2001:db8::2]:80")]
        {
            for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
                let frame = Frame::new(client, server).tags(tags).bytes(&tcp(7, b"hello"));

                let Ok(Packet::Tcp(segment)) = packet(Link::Ethernet, &frame) else {
                    panic!("{client} {tags:?}")
                };
                assert_eq!(segment.source.to_string(), client);
                assert_eq!(segment.destination.to_string(), server);
                assert_eq!((segment.seq, segment.payload), (7, &b"hello"[..]));
            }
        }
    }

    #[test]
    fn padding_of_short_frames_is_not_payload() {
        let mut frame = Frame::new("192.0.2.1:5353", "192.0.2.2:53").bytes(&udp(b"q"));
        frame.resize(60, 0);

        let Ok(Packet::Udp(datagram)) = packet(Link::Ethernet, &frame) else { panic!() };
        assert_eq!(datagram.payload, b"q");
    }

    #[test]
    fn a_length_of_zero_means_to_the_end_of_the_frame() {
        let mut frame = Frame::new("192.0.2.1:4000", "192.0.2.2:80").bytes(&tcp(1, &[b'x'; 3000]));
        frame[16..18].fill(0);

        let Ok(Packet::Tcp(segment)) = packet(Link::Ethernet, &frame) else { panic!() };
        assert_eq!(segment.payload.len(), 3000);
    }

    #[test]
    fn extension_headers_are_passed_and_fragments_are_named() {
        let frame = Frame::new("[2001:db8::1]:4000", "[2001:db8::2]:80");

        let passed = frame.clone().extension(0, &[0; 6]).extension(60, &[0; 14]).bytes(&tcp(1, b"x"));
        assert!(matches!(packet(Link::Ethernet, &passed), Ok(Packet::Tcp(_))));
        let whole = frame.clone().extension(44, &[0; 6]).bytes(&tcp(1, b"x"));
        assert!(matches!(packet(Link::Ethernet, &whole), Ok(Packet::Tcp(_))));
        let part = frame.extension(44, &[0, 1, 0, 0, 0, 9]).bytes(&tcp(1, b"x"));
        assert_eq!(packet(Link::Ethernet, &part), Err(Skipped::Fragment));

        let mut v4 = Frame::new("192.0.2.1:4000", "192.0.2.2:80").bytes(&tcp(1, b"x"));
        v4[20] = 0x20;
        assert_eq!(packet(Link::Ethernet, &v4), Err(Skipped::Fragment));
    }

    #[test]
    fn a_frame_without_a_link_header_is_read_from_its_ip_header() {
        let frame = Frame::new("192.0.2.1:4000", "192.0.2.2:80").bytes(&tcp(1, b"x"));

        assert!(matches!(packet(Link::Ip, &frame[14..]), Ok(Packet::Tcp(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = packet(Link::Ethernet, &bytes);
            let _ = packet(Link::Ip, &bytes);
        }

        #[test]
        fn a_good_frame_that_was_altered_and_cut_is_taken(
            v6: bool, at in 0usize..90, byte: u8, keep in 0usize..120, kind in 0u8..64
        ) {
            let frame = match v6 {
                true => Frame::new("[2001:db8::1]:4000", "[2001:db8::2]:80").extension(kind, &[byte; 6]),
                false => Frame::new("192.0.2.1:4000", "192.0.2.2:80").tags(&[0x8100]),
            };
            let mut bytes = frame.bytes(&tcp(1, &[b'x'; 40]));
            if let Some(b) = bytes.get_mut(at) {
                *b = byte;
            }
            bytes.truncate(keep);

            let _ = packet(Link::Ethernet, &bytes);
        }
    }
}
