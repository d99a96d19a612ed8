use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{
    decode::Link,
    pcap::write::{About, Writer},
};

/// Writes numbers in one byte order.
#[derive(Clone, Copy)]
struct Ink(Order);

impl Ink {
    fn u16(self, number: u16) -> [u8; 2] {
        if self.0 == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        if self.0 == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn words(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| self.u32(*n)).collect()
    }

    /// A pcap file's header.
    fn header(self, magic: u32, link: u32) -> Vec<u8> {
        [&self.u32(magic)[..], &self.u16(2), &self.u16(4), &self.words(&[0, 0, 65_535, link])].concat()
    }

    fn record(self, seconds: u32, part: u32, bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len() as u32;
        [&self.words(&[seconds, part, length, length + 4]), bytes].concat()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let body = [body, &vec![0; body.len().next_multiple_of(4) - body.len()]].concat();
        let length = body.len() as u32 + 12;
        [&self.words(&[kind, length]), &body, &self.u32(length)[..]].concat()
    }

    fn section(self) -> Vec<u8> {
        let body = [&self.u32(0x1a2b_3c4d)[..], &self.u16(1), &self.u16(0), &[0xff; 8]].concat();
        self.block(block::SECTION, &body)
    }

    /// An interface of Ethernet with options: code and value.
    fn interface(self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&self.u16(1)[..], &[0; 2], &self.u32(0)].concat();
        for (code, value) in options {
            body.extend([self.u16(*code), self.u16(value.len() as u16)].as_flattened());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    fn packet(self, interface: u32, count: u64, bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len() as u32;
        let head = self.words(&[interface, (count >> 32) as u32, count as u32, length, length]);
        self.block(6, &[&head, bytes].concat())
    }
}

const INKS: [Ink; 2] = [Ink(Order::Big), Ink(Order::Little)];

type Seen = (usize, String, Vec<u8>, u32);

fn read(file: &[u8]) -> (Vec<Seen>, Counts, End) {
    let mut reader = Reader::new(file).unwrap();
    let mut seen = Vec::new();
    while let Some(frame) = reader.next_frame() {
        seen.push((frame.interface, frame.at.to_string(), frame.bytes.to_vec(), frame.length));
    }
    assert!(reader.next_frame().is_none(), "what is over stays over");
    let counts = reader.counts().clone();
    (seen, counts, reader.end.take().unwrap())
}

fn seen(interface: usize, at: &str, bytes: &[u8], length: u32) -> Seen {
    (interface, at.to_owned(), bytes.to_vec(), length)
}

#[test]
fn pcap_is_read_in_both_byte_orders_and_both_resolutions() {
    for ink in INKS {
        for (magic, part) in [(0xa1b2_c3d4, 500_000), (0xa1b2_3c4d, 500_000_000)] {
            let file = [ink.header(magic, 1), ink.record(1, part, b"one"), ink.record(2, 0, b"two")].concat();

            let (packets, counts, end) = read(&file);

            let first = seen(0, "1970-01-01T00:00:01.5Z", b"one", 7);
            assert_eq!(packets, [first, seen(0, "1970-01-01T00:00:02Z", b"two", 7)]);
            assert_eq!((counts.packets, counts.bytes, counts.shortened), (2, 14, 2));
            assert!(matches!(end, End::Whole));
        }
    }
}

#[test]
fn pcapng_is_read_with_all_its_interfaces_sections_and_kinds_of_packets() {
    let mut file = Vec::new();
    for ink in INKS {
        let simple = [&ink.u32(9)[..], b"simple..."].concat();
        let old = [&ink.u16(1)[..], &ink.u16(0), &ink.words(&[0, 7, 3, 3]), b"old"].concat();
        file.extend(
            [
                ink.section(),
                ink.interface(&[
                    (2, b"eth0"),
                    (14, &if ink.0 == Order::Big { 5i64.to_be_bytes() } else { 5i64.to_le_bytes() }),
                ]),
                ink.interface(&[(9, &[9])]),
                ink.block(0xbad, b"what nobody knows"),
                ink.packet(0, 1, b"micro"),
                ink.packet(1, 1, b"nano"),
                ink.block(3, &simple),
                ink.block(2, &old),
            ]
            .concat(),
        );
    }

    let (packets, counts, end) = read(&file);

    let of_section = |first: usize| {
        [
            seen(first, "1970-01-01T00:00:05.000001Z", b"micro", 5),
            seen(first + 1, "1970-01-01T00:00:00.000000001Z", b"nano", 4),
            // It has no time of its own.
            seen(first, "1970-01-01T00:00:00.000000001Z", b"simple...", 9),
            seen(first + 1, "1970-01-01T00:00:00.000000007Z", b"old", 3),
        ]
    };
    assert_eq!(packets, [of_section(0), of_section(2)].concat());
    assert_eq!((counts.packets, counts.damaged), (8, 0));
    assert!(matches!(end, End::Whole));
}

#[test]
fn a_file_that_was_cut_is_used_up_to_the_cut_and_that_is_told() {
    let [_, ink] = INKS;
    let pcap = [ink.header(0xa1b2_c3d4, 1), ink.record(1, 0, b"whole"), ink.record(2, 0, b"this one is cut")];
    let pcapng =
        [ink.section(), ink.interface(&[]), ink.packet(0, 1, b"whole"), ink.packet(0, 2, b"this one is cut")];
    for file in [pcap.concat(), pcapng.concat()] {
        for cut in 1..30 {
            let (packets, _, end) = read(&file[..file.len() - cut]);

            assert_eq!(packets.len(), 1);
            assert!(matches!(end, End::Cut), "{cut}: {end:?}");
        }
    }
}

#[test]
fn a_packed_file_is_unpacked_and_one_that_was_cut_is_used_as_far_as_it_goes() {
    let [_, ink] = INKS;
    // Such bytes that packing does not make them few.
    let noise: Vec<u8> =
        (0..40_000u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
    let file =
        [&ink.header(0xa1b2_c3d4, 1)[..], &ink.record(1, 0, b"first"), &ink.record(2, 0, &noise)].concat();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&file).unwrap();
    let packed = packer.finish().unwrap();
    let packets = |bytes: &[u8]| {
        let mut reader = Reader::new(plain(bytes).unwrap()).unwrap();
        let packets = std::iter::from_fn(|| reader.next_frame().map(|f| f.bytes.len())).collect::<Vec<_>>();
        (packets, reader.end.take().unwrap())
    };

    assert!(matches!(packets(&packed), (sizes, End::Whole) if sizes == [5, 40_000]));
    assert!(matches!(packets(&packed[..packed.len() / 2]), (sizes, End::Cut) if sizes == [5]));
    assert!(matches!(packets(&file), (sizes, End::Whole) if sizes == [5, 40_000]));
}

#[test]
fn lengths_that_lie_end_the_file_or_are_passed_over() {
    let [_, ink] = INKS;
    let head = ink.header(0xa1b2_c3d4, 1);
    let lying = [&head[..], &ink.record(1, 0, b"good"), &ink.words(&[1, 0, u32::MAX, 9]), &[0; 64]].concat();
    let (packets, _, end) = read(&lying);
    assert_eq!(packets.len(), 1);
    assert!(matches!(end, End::Damaged(at) if at == (24 + 16 + 4)), "{end:?}");

    let head = [ink.section(), ink.interface(&[])].concat();
    let mut other_end = ink.packet(0, 1, b"x");
    let last = other_end.len() - 4;
    other_end[last] ^= 4;
    for block in [other_end, ink.words(&[6, 13, 0]), ink.words(&[6, 8, 8])] {
        let (packets, _, end) =
            read(&[&head[..], &ink.packet(0, 1, b"good"), &block, &ink.packet(0, 2, b"after")].concat());
        assert_eq!(packets.len(), 1);
        assert!(matches!(end, End::Damaged(_)), "{end:?}");
    }

    // More is said to be kept than the block holds.
    let kept = ink.block(6, &ink.words(&[0, 0, 0, 999, 999]));
    let old = ink.block(2, &ink.words(&[0, 0, 0, u32::MAX, 1]));
    let large = ink.packet(0, 1, &vec![0; MAX_BLOCK]);
    let stranger = ink.packet(7, 1, b"of an interface that was not described");
    let (packets, counts, end) =
        read(&[&head[..], &kept, &old, &large, &stranger, &ink.packet(0, 2, b"after")].concat());
    assert_eq!(packets.len(), 1);
    assert_eq!((counts.damaged, counts.too_large, counts.packets), (3, 1, 1));
    assert!(matches!(end, End::Whole));
}

#[test]
fn an_interface_that_cannot_be_read_keeps_its_number() {
    let [_, ink] = INKS;
    let timeless = ink.interface(&[(9, &[200])]);
    let file = [
        ink.section(),
        ink.block(1, b"x"),
        timeless,
        ink.interface(&[]),
        ink.packet(0, 1, b"0"),
        ink.packet(1, 1, b"1"),
        ink.packet(2, 1, b"2"),
    ]
    .concat();

    let (packets, counts, _) = read(&file);

    assert_eq!(packets, [seen(2, "1970-01-01T00:00:00.000001Z", b"2", 1)]);
    assert_eq!(counts.damaged, 2);
}

#[test]
fn link_types_that_are_not_known_are_counted_by_their_number() {
    let [_, ink] = INKS;
    let file =
        [ink.header(0xa1b2_c3d4, 105), ink.record(1, 0, b"radio"), ink.record(2, 0, b"radio")].concat();

    let (packets, counts, _) = read(&file);

    assert_eq!(packets, []);
    assert_eq!((counts.packets, counts.looked_at()), (2, 0));
    assert_eq!(counts.other_links, BTreeMap::from([(105, 2)]));
}

#[test]
fn what_is_no_file_of_packets_says_so() {
    assert!(matches!(Reader::new(&b""[..]), Err(NotPackets::Empty)));
    assert!(matches!(Reader::new(&b"GIF89a is a picture, not a capture"[..]), Err(NotPackets::Other)));
    assert!(matches!(Reader::new(&[0xd4, 0xc3, 0xb2, 0xa1][..]), Err(NotPackets::Other)));
}

#[test]
fn an_interface_is_called_as_the_file_calls_it_and_by_no_other_name() {
    let [_, ink] = INKS;
    let file = [ink.section(), ink.interface(&[(2, b"eth0")]), ink.interface(&[])].concat();

    let reader = Reader::new(file.as_slice()).unwrap();

    let names = names(reader.interfaces());
    assert_eq!(names[..3], ["eth0".into(), Untrusted::none(), Untrusted::none()]);
    assert_eq!(names.len(), MAX_INTERFACES);
}

#[test]
fn an_interface_that_is_described_late_is_known_before_its_first_packet() {
    let [_, ink] = INKS;
    let head = [ink.section(), ink.interface(&[(2, b"eth0")]), ink.packet(0, 1, b"one")].concat();
    let file = [head, ink.interface(&[(2, b"eth1")]), ink.packet(1, 2, b"two")].concat();
    let mut reader = Reader::new(file.as_slice()).unwrap();

    let mut seen = Vec::new();
    while reader.look_ahead() {
        let known = reader.interfaces().len();
        seen.push((known, reader.next_frame().unwrap().bytes.to_vec()));
    }

    assert_eq!(seen, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    assert!(!reader.look_ahead() && reader.next_frame().is_none());
}

/// A good file to spoil.
fn sample(ng: bool) -> Vec<u8> {
    let [_, ink] = INKS;
    let mut writer = Writer::new(Vec::new(), &About { comment: "sample", ..About::default() }).unwrap();
    writer.interface(b"eth0", Link::Ethernet).unwrap();
    match ng {
        true => [writer.into_inner(), ink.packet(0, 1, b"one"), ink.packet(0, 2, &[7; 90])].concat(),
        false => [ink.header(0xa1b2_c3d4, 1), ink.record(1, 0, b"one"), ink.record(2, 0, &[7; 90])].concat(),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, kind in 0usize..4) {
        let heads = [&b""[..], &sample(true), &sample(false), &GZIP];
        let file = [heads[kind], &bytes].concat();

        if let Ok(mut reader) = Reader::new(plain(file.as_slice()).unwrap()) {
            while reader.next_frame().is_some() {}
            prop_assert!(reader.end().is_some());
        }
    }

    #[test]
    fn a_good_file_that_was_altered_and_cut_is_taken(ng: bool, at in 0usize..300, byte: u8, keep in 0usize..400) {
        let mut file = sample(ng);
        if let Some(b) = file.get_mut(at) {
            *b = byte;
        }
        file.truncate(keep);

        if let Ok(mut reader) = Reader::new(file.as_slice()) {
            while reader.next_frame().is_some() {}
            prop_assert!(reader.position() <= file.len() as u64);
        }
    }
}
