//! Turns the bytes of a frame into a TCP segment or a UDP datagram, and streams into names and URLs.
//!
//! Pure. Takes any bytes: what is cut, odd or hostile gives an answer that says so, never a panic.

use std::net::SocketAddr;

pub(crate) mod dns;
pub(crate) mod http;
mod ip;
mod link;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod tls;
mod transport;

/// How a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// With an Ethernet header; loopback too.
    Ethernet,
    /// With the IP header: tunnels and point-to-point lines.
    Ip,
}

/// What a frame carried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
}

/// One TCP segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// To whom.
    pub(crate) destination: SocketAddr,
    /// The number of its first byte, or of the SYN before it.
    pub(crate) seq: u32,
    /// The next byte that the sender expects.
    pub(crate) ack: u32,
    /// The control bits that matter here.
    pub(crate) flags: Flags,
    /// What it carries.
    pub(crate) payload: &'a [u8],
}

/// The control bits of TCP that matter for following a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Opens.
    pub(crate) syn: bool,
    /// Carries an acknowledgement.
    pub(crate) ack: bool,
    /// The sender has no more to say.
    pub(crate) fin: bool,
    /// Ends at once.
    pub(crate) rst: bool,
}

/// One UDP datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// To whom.
    pub(crate) destination: SocketAddr,
    /// What it carries.
    pub(crate) payload: &'a [u8],
}

/// Why a frame was not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// It carries neither IPv4 nor IPv6.
    NotIp,
    /// It is a piece of a larger IP packet; pieces are not put together.
    Fragment,
    /// It carries neither TCP nor UDP.
    OtherTransport,
    /// Its headers contradict its length.
    Malformed,
}

/// Takes a frame apart.
pub(crate) fn packet(link: Link, frame: &[u8]) -> Result<Packet<'_>, Skipped> {
    let ip = match link {
        Link::Ethernet => link::ethernet(frame)?,
        Link::Ip => frame,
    };
    transport::packet(&ip::packet(ip)?)
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
