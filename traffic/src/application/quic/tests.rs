use khien_core::traffic::Ja4;
use proptest::prelude::*;
use ring::aead;

use super::{packet::Version, *};
use crate::application::tls::sample::{extension, hello as with_extensions, names};

/// The connection id of both RFCs' examples.
const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
/// The CRYPTO frame of both, RFC 9001 §A.2.
const FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c0000041301130201\
    0000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e00050005010000\
    0000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e04\
    03050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08011001048000\
    75300901100f088394c8f03e51570806048000ffff";
/// How the protected packets begin and end, RFC 9001 §A.2 and RFC 9369 §A.2.
const BEGINS: [&str; 2] = [
    "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c0bab7df5976d27cd449f",
    "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e75d6c96058bdbfb127cdfcbf9",
];
const ENDS: [&str; 2] = ["e221af44860018ab0856972e194cd934", "a18b2faa745b6fe189cf772a9f84cbfc"];
const V1: u32 = 1;
const V2: u32 = 0x6b33_43cf;

#[test]
fn the_examples_of_both_versions_are_made_and_read() {
    for (version, (begins, ends)) in [V1, V2].into_iter().zip(BEGINS.into_iter().zip(ENDS)) {
        let frames = padded(hex(FRAME), 1162);
        let datagram = seal(&Sealed { version, number: 2, ..Sealed::new(&frames) });

        assert_eq!(datagram.len(), 1200);
        assert!(datagram.starts_with(&hex(begins)) && datagram.ends_with(&hex(ends)), "{version:x}");
        assert!(is_initial(&datagram));
        let tls = Initials::default().read(&datagram).unwrap();
        let expected = Tls {
            quic: true,
            sni: Some("example.com".into()),
            alpn: vec!["alpn".into()],
            version: 0x0304,
            ja4: Ja4::new(b"q13d0211an_62ed6f6ca7ad_4d634acda6c0"),
            ..Tls::default()
        };
        assert_eq!((tls.ja4.unwrap().as_str(), &tls), (expected.ja4.unwrap().as_str(), &expected));
    }
}

/// aioquic 1.7 spoke to itself on one machine: with both versions, after a Retry, and with a hello that takes two datagrams.
#[test]
fn what_another_program_sends_is_read() {
    let captured: [&[u8]; 4] = [
        include_bytes!("../samples/quic.v1"),
        include_bytes!("../samples/quic.v2"),
        include_bytes!("../samples/quic.retry"),
        include_bytes!("../samples/quic.long"),
    ];
    for bytes in captured {
        let mut initials = Initials::default();
        let told: Vec<_> = bytes.chunks(1200).map(|datagram| initials.read(datagram)).collect();

        let Some((Some(tls), before)) = told.split_last() else { panic!("{told:?}") };
        assert!(before.iter().all(Option::is_none));
        assert_eq!((&tls.sni, tls.alpn.first()), (&Some("www.example".into()), Some(&"h3".into())));
        assert_eq!(tls.ja4.unwrap().as_str(), "q13d0307h3_55b375c5d22e_1cecd519fee8");
    }
}

#[test]
fn a_hello_in_shuffled_parts_over_several_packets_is_read() {
    let hello = hello();
    let mut parts: Vec<_> = (0..hello.len()).step_by(23).map(|at| crypto(&hello, at, 23)).collect();
    parts.reverse();
    let (first, second) = parts.split_at(parts.len() / 2);
    let mut initials = Initials::default();
    let datagram = |parts: &[Vec<u8>], number| {
        let frames = [&[1, 0, 0][..], &parts.concat(), &[2, 1, 0, 0, 0, 0]].concat();
        seal(&Sealed { number, ..Sealed::new(&padded(frames, 1162)) })
    };

    assert_eq!(initials.read(&datagram(first, 0)), None);
    assert!(initials.held() > 0);
    let tls = initials.read(&datagram(second, 1)).unwrap();

    assert_eq!((tls.sni, tls.alpn), (Some("c2.evil.example".into()), vec!["h3".into()]));
    assert!(initials.connections.iter().all(|c| c.is_over && c.crypto.held() == 0));
    assert_eq!(initials.read(&datagram(first, 2)), None, "told once");
}

#[test]
fn parts_that_overlap_and_come_again_are_joined() {
    let hello = hello();
    let frames =
        [crypto(&hello, 30, 500), crypto(&hello, 0, 20), crypto(&hello, 0, 40), crypto(&hello, 10, 10)];

    let tls = Initials::default().read(&seal(&Sealed::new(&padded(frames.concat(), 1162)))).unwrap();

    assert_eq!(tls.sni, Some("c2.evil.example".into()));
}

#[test]
fn the_second_packet_of_a_datagram_is_read() {
    let hello = hello();
    let first = seal(&Sealed::new(&crypto(&hello, 0, 60)));
    let second = seal(&Sealed { number: 1, ..Sealed::new(&crypto(&hello, 60, 500)) });
    // A packet of another kind, which nobody can open, between them; random bytes behind.
    let other = [&[0xe0, 0, 0, 0, 1, 8][..], &ID, &[0, 5, 1, 2, 3, 4, 5]].concat();

    let tls = Initials::default().read(&[first, other, second, vec![0x55; 9]].concat());

    assert!(tls.is_some());
}

#[test]
fn a_client_that_uses_the_servers_id_is_still_read() {
    let hello = hello();
    let mut initials = Initials::default();

    assert_eq!(initials.read(&seal(&Sealed::new(&crypto(&hello, 0, 60)))), None);
    let second = Sealed { id: &[7; 5], keys_of: &ID, number: 1, ..Sealed::new(&[]) };
    let frames = crypto(&hello, 60, 500);

    assert!(initials.read(&seal(&Sealed { frames: &frames, ..second })).is_some());
}

#[test]
fn a_client_that_was_told_to_try_again_is_read() {
    let hello = hello();
    let mut initials = Initials::default();

    assert_eq!(initials.read(&seal(&Sealed::new(&crypto(&hello, 0, 60)))), None);
    let frames = crypto(&hello, 0, 500);
    let again = Sealed { id: &[9; 12], keys_of: &[9; 12], token: b"token", ..Sealed::new(&frames) };

    assert!(initials.read(&seal(&again)).is_some());
}

#[test]
fn packet_numbers_of_any_length_are_read() {
    let frames = crypto(&hello(), 0, 500);
    for digits in 1..=4 {
        let datagram = seal(&Sealed { number: 7, digits, ..Sealed::new(&frames) });

        assert!(Initials::default().read(&datagram).is_some(), "{digits}");
    }
}

#[test]
fn what_cannot_be_opened_or_is_altered_says_nothing() {
    let mut datagram = seal(&Sealed::new(&padded(crypto(&hello(), 0, 500), 1162)));
    *datagram.last_mut().unwrap() ^= 1;

    assert!(is_initial(&datagram));
    assert_eq!(Initials::default().read(&datagram), None);
}

#[test]
fn other_datagrams_are_no_initials() {
    let good = seal(&Sealed::new(&padded(hex(FRAME), 1162)));
    let altered = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert!(!is_initial(&[]) && !is_initial(b"\0\x07\x01\0\0\x01\0\0\0\0\0\0"));
    assert!(!is_initial(&good[..good.len() - 1]), "cut");
    assert!(!is_initial(&altered(0, 0x40)), "a short header");
    assert!(!is_initial(&altered(0, 0x80)), "without the fixed bit");
    assert!(!is_initial(&altered(0, 0xe0)), "a handshake packet");
    assert!(!is_initial(&altered(0, 0xf0)), "a retry");
    assert!(!is_initial(&altered(4, 2)), "another version");
    assert!(!is_initial(&altered(5, 21)), "a long id");
}

#[test]
fn only_the_first_datagrams_are_looked_at() {
    let hello = hello();
    let mut initials = Initials::default();
    assert_eq!(initials.odd(), 0);
    for _ in 0..MAX_DATAGRAMS {
        assert_eq!(initials.read(&seal(&Sealed::new(&crypto(&hello, 9, 60)))), None);
    }

    assert_eq!((initials.is_done(), initials.odd()), (true, 1));
    assert_eq!(initials.read(&seal(&Sealed::new(&crypto(&hello, 0, 500)))), None);
}

#[test]
fn a_flood_of_beginnings_makes_so_many_keys_a_second_and_is_odd() {
    let (mut budget, mut odd) = (Budget::default(), 0);
    let datagram = seal(&Sealed::new(&crypto(&hello(), 0, 500)));
    for n in 0..MAX_KEYS + 3 {
        let mut initials = Initials::default();
        assert_eq!(initials.take(&datagram, (&mut budget, 7)).is_some(), n < MAX_KEYS);
        odd += initials.odd();
    }
    assert_eq!(odd, 3);
    assert!(Initials::default().take(&datagram, (&mut budget, 8)).is_some(), "the next second");
}

#[test]
fn parts_without_end_are_not_kept() {
    let mut crypto = Crypto::default();
    for at in 0..200_000u32 {
        crypto.take(&[&[6, 0x80 | (at >> 24) as u8][..], &at.to_be_bytes()[1..], &[1, 0]].concat());
        assert!(crypto.held() < 64 << 10);
    }

    assert!(crypto.is_odd());
    // Beyond what any hello reaches.
    let mut far = Crypto::default();
    far.take(&[6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]);
    assert_eq!(far.held(), 0);
}

#[test]
fn a_handshake_that_begins_with_something_else_is_given_up() {
    let frames = [&[6, 0, 4][..], &[2, 0, 0, 0]].concat();
    let mut initials = Initials::default();

    assert_eq!(initials.read(&seal(&Sealed::new(&padded(frames, 1162)))), None);
    assert_eq!((initials.is_done(), initials.odd()), (false, 1));
    let true_one = Sealed { id: &[9; 12], keys_of: &[9; 12], ..Sealed::new(&[]) };
    let frames = crypto(&hello(), 0, 500);
    assert!(initials.read(&seal(&Sealed { frames: &frames, ..true_one })).is_some());
}

#[test]
fn neither_rubbish_nor_another_hello_hides_the_true_one() {
    let frames = crypto(&hello(), 0, 500);
    let mut initials = Initials::default();
    let mut rubbish = seal(&Sealed { id: &[1; 8], ..Sealed::new(&frames) });
    *rubbish.last_mut().unwrap() ^= 1;
    (0..100).for_each(|_| assert_eq!(initials.read(&rubbish), None));
    assert!(
        initials.read(&seal(&Sealed { id: &[2; 8], keys_of: &[2; 8], ..Sealed::new(&frames) })).is_some()
    );

    let tls = initials.read(&seal(&Sealed::new(&frames)));

    assert_eq!(tls.unwrap().sni, Some("c2.evil.example".into()));
    assert_eq!(initials.odd(), 0);
    (0..MAX_SEALED).for_each(|_| assert_eq!(initials.read(&rubbish), None));
    assert_eq!((initials.is_done(), initials.odd()), (true, 1), "a bound is odd");
}

#[test]
fn keys_are_made_for_one_id_of_a_datagram() {
    let frames = crypto(&hello(), 0, 500);
    let other = seal(&Sealed { id: &[2; 8], keys_of: &[2; 8], ..Sealed::new(&frames) });

    let first = seal(&Sealed::new(&crypto(&hello(), 0, 60)));
    assert_eq!(Initials::default().read(&[first, other].concat()), None);
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, first: u8) {
        is_initial(&bytes);
        let mut initials = Initials::default();
        initials.read(&bytes);
        initials.read(&[&[first, 0, 0, 0, 1, 8][..], &ID, &bytes].concat());
        initials.read(&seal(&Sealed::new(&bytes)));
        let mut crypto = Crypto::default();
        crypto.take(&bytes);
        crypto.hello();
    }

    #[test]
    fn an_altered_datagram_is_taken(at in 0usize..1200, byte: u8) {
        let mut datagram = seal(&Sealed::new(&padded(hex(FRAME), 1162)));
        datagram[at] = byte;
        Initials::default().read(&datagram);
    }

    #[test]
    fn a_hello_in_any_parts_is_read(mut cuts in prop::collection::vec(1usize..150, 0..12), seed: u64) {
        let hello = hello();
        cuts.extend([0, hello.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<_> =
            cuts.windows(2).map(|cut| crypto(&hello, cut[0].min(hello.len()), cut[1] - cut[0])).collect();
        parts.sort_by_key(|part| part.iter().fold(seed, |all, b| all.wrapping_mul(31).wrapping_add(u64::from(*b))));
        prop_assert!(Initials::default().read(&seal(&Sealed::new(&parts.concat()))).is_some());
    }
}

impl Initials {
    /// Takes a datagram where keys cost nothing.
    fn read(&mut self, datagram: &[u8]) -> Option<Tls> {
        self.take(datagram, (&mut Budget::default(), 0))
    }
}

/// An Initial packet to be made.
#[derive(Clone, Copy)]
struct Sealed<'a> {
    version: u32,
    id: &'a [u8],
    /// The id that the keys are made from.
    keys_of: &'a [u8],
    token: &'a [u8],
    number: u32,
    /// How many bytes of the number are sent.
    digits: usize,
    frames: &'a [u8],
}

impl<'a> Sealed<'a> {
    fn new(frames: &'a [u8]) -> Self {
        Self { version: V1, id: &ID, keys_of: &ID, token: &[], number: 0, digits: 4, frames }
    }
}

/// Makes an Initial packet.
fn seal(sealed: &Sealed<'_>) -> Vec<u8> {
    // So that there is something to take a sample of.
    let mut body = padded(sealed.frames.to_vec(), 4);
    let version: &'static Version = Version::of(sealed.version).unwrap();
    let keys = Keys::new(version, sealed.keys_of).unwrap();
    let first = if sealed.version == V1 { 0xc0 } else { 0xd0 } | u8::try_from(sealed.digits - 1).unwrap();
    let length = (u16::try_from(body.len() + sealed.digits + 16).unwrap() | 0x4000).to_be_bytes();
    let ids = [&[u8::try_from(sealed.id.len()).unwrap()][..], sealed.id, &[0]].concat();
    let token = [&[u8::try_from(sealed.token.len()).unwrap()][..], sealed.token].concat();
    let mut header = [&[first][..], &sealed.version.to_be_bytes(), &ids, &token, &length].concat();
    let number_at = header.len();
    header.extend(&sealed.number.to_be_bytes()[4 - sealed.digits..]);

    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &keys.key).unwrap());
    let nonce = keys.nonce(&sealed.number.to_be_bytes());
    key.seal_in_place_append_tag(nonce, aead::Aad::from(&header), &mut body).unwrap();
    let mask = aead::quic::HeaderProtectionKey::new(&aead::quic::AES_128, &keys.header).unwrap();
    let mask = mask.new_mask(&body[4 - sealed.digits..][..16]).unwrap();
    header[0] ^= mask[0] & 0x0f;
    header[number_at..].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
    [header, body].concat()
}

fn crypto(hello: &[u8], at: usize, length: usize) -> Vec<u8> {
    let part = &hello[at..][..length.min(hello.len() - at)];
    let number = |n: usize| (u16::try_from(n).unwrap() | 0x4000).to_be_bytes();
    [&[6][..], &number(at), &number(part.len()), part].concat()
}

fn hello() -> Vec<u8> {
    let protocols = extension(16, b"\x00\x03\x02h3");
    with_extensions(&[
        extension(43, &[2, 3, 4]),
        names(&[(0, b"c2.evil.example")]),
        protocols,
        extension(57, &[0; 40]),
    ])
}

fn padded(mut frames: Vec<u8>, length: usize) -> Vec<u8> {
    frames.resize(length.max(frames.len()), 0);
    frames
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}
