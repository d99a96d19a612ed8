//! The Internet checksum (RFC 1071), and whether a wrong one means anything.
//!
//! A card that fills in checksums itself is handed packets with the sum of the pseudo header only, or with nothing; a
//! sensor on that host sees them so. These are [`Sum::Unfinished`], which is no fault.

use std::net::IpAddr;

use super::ip::IpPacket;

/// What a checksum says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    /// There is none, or not all was captured that it covers.
    Unknown,
    /// It fits.
    Right,
    /// It was left to the card to fill in.
    Unfinished,
    /// A receiver drops this packet.
    Wrong,
}

/// Judges the header of an IPv4 packet.
pub(crate) fn header(bytes: &[u8]) -> Sum {
    match (sum(bytes), bytes.get(10..12)) {
        (0xffff, _) => Sum::Right,
        (_, Some([0, 0])) => Sum::Unfinished,
        _ => Sum::Wrong,
    }
}

/// Judges a TCP segment or a UDP datagram whose checksum stands at `place`.
pub(crate) fn carried(ip: &IpPacket<'_>, bytes: &[u8], place: usize) -> Sum {
    let Some(&[high, low]) = bytes.get(place..place + 2) else { return Sum::Unknown };
    if ip.is_cut {
        return Sum::Unknown;
    }
    let around = addresses(ip) + u64::from(ip.carries.0);
    let pseudo = around + bytes.len() as u64;
    let stated = u16::from_be_bytes([high, low]);
    if fold(pseudo + u64::from(sum(bytes))) == 0xffff {
        return Sum::Right;
    }
    // Some drivers leave the length out of what they hand to the card.
    let is_unfinished = stated == 0 || stated == fold(pseudo) || stated == fold(around);
    if is_unfinished { Sum::Unfinished } else { Sum::Wrong }
}

fn addresses(ip: &IpPacket<'_>) -> u64 {
    let one = |address: IpAddr| match address {
        IpAddr::V4(a) => u64::from(sum(&a.octets())),
        IpAddr::V6(a) => u64::from(sum(&a.octets())),
    };
    one(ip.source) + one(ip.destination)
}

/// Sums up bytes as numbers of 16 bits, in any order of bytes first: the sum does not mind (RFC 1071 §2).
fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    // A packet is far too short for 64 bits to run over; wrapping spares the check in the innermost loop.
    let total = words.iter().fold(0u64, |t, w| t.wrapping_add(u64::from(u32::from_ne_bytes(*w))));
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    u16::from_be(fold(total + u64::from(u32::from_ne_bytes(last))))
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    // Fits, by the line above.
    total as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::{
        ip,
        sample::{Frame, tcp},
    };

    #[test]
    fn the_example_of_the_rfc_sums_up_as_stated() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    #[test]
    fn right_unfinished_and_wrong_sums_are_told_apart() {
        for (from, to) in [("192.0.2.1:4000", "192.0.2.2:80"), ("[2001:db8::1]:4000", "[2001:db8::2]:80")] {
            let frame = Frame::new(from, to);
            let judge = |bytes: &[u8]| {
                let packet = ip::packet(&bytes[14..]).unwrap();
                carried(&packet, packet.payload, 16)
            };
            let mut right = frame.clone().summed().bytes(&tcp(1, b"odd"));
            assert_eq!(judge(&right), Sum::Right);
            assert_eq!(judge(&frame.bytes(&tcp(1, b"odd"))), Sum::Unfinished);
            let last = right.len() - 1;
            right[last] ^= 1;
            assert_eq!(judge(&right), Sum::Wrong);
        }
    }

    #[test]
    fn what_a_card_is_to_finish_is_no_fault() {
        let mut bytes = Frame::new("192.0.2.1:4000", "192.0.2.2:80").bytes(&tcp(1, b"x"));
        let packet = ip::packet(&bytes[14..]).unwrap();
        let pseudo = fold(addresses(&packet) + 6 + packet.payload.len() as u64);
        bytes[50..52].copy_from_slice(&pseudo.to_be_bytes());

        let packet = ip::packet(&bytes[14..]).unwrap();
        assert_eq!(carried(&packet, packet.payload, 16), Sum::Unfinished);
    }

    #[test]
    fn the_header_of_ipv4_is_judged() {
        let mut bytes = Frame::new("192.0.2.1:4000", "192.0.2.2:80").summed().bytes(&tcp(1, b"x"));
        assert_eq!(ip::packet(&bytes[14..]).unwrap().sum, Sum::Right);

        bytes[22] -= 1;
        assert_eq!(ip::packet(&bytes[14..]).unwrap().sum, Sum::Wrong);
        bytes[24..26].fill(0);
        assert_eq!(ip::packet(&bytes[14..]).unwrap().sum, Sum::Unfinished);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_plain_loop(bytes: Vec<u8>) {
            let numbers = bytes.chunks(2).map(|c| u64::from(c[0]) << 8 | c.get(1).map_or(0, |b| u64::from(*b)));
            prop_assert_eq!(sum(&bytes), fold(numbers.sum()));
        }
    }
}
