//! What a sensor reads of strangers to learn the names they ask for: DNS, TLS, QUIC and certificates. The first letter says
//! which, the second how it is cut.

use std::hash::{DefaultHasher, Hash, Hasher};

use khien_core::{Timestamp, event::Direction, traffic::MAX_ANSWERS};
use khien_traffic::application::{
    Follow, Said, certificate, dns,
    ja4::{Carrier, ja4},
    quic,
    tls::{self, ClientHello, MAX_HELLO},
};

/// The longest name of DNS, joined.
const LONGEST: usize = 253;
/// What a follower may hold beside the hello that it waits for: it grows by doubling.
const MOST_HELD: usize = 2 * MAX_HELLO + 4_096;

pub(super) const WORDS: &[&[u8]] = &[
    b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00",
    b"\x00\x07\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00",
    b"\x03www\x07example\x00\x00\x01\x00\x01",
    b"\xc0\x0c",
    b"\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x05",
    b"\x16\x03\x01\x00\x40",
    b"\x14\x03\x03\x00\x01\x01",
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"\x17\x03\x03",
    b"\x01\x00\x00\x3c\x03\x03",
    b"\x02\x00\x00\x26\x03\x03",
    b"\x0b\x00\x01\xd3\x00\x01\xd0\x00\x01\xcd",
    b"\x0e\x00\x00\x00",
    b"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91",
    b"\x00\x00\x00\x06\x00\x04\x00\x00\x01a",
    b"\x00\x10\x00\x05\x00\x03\x02h2",
    b"\x00\x2b\x00\x03\x02\x03\x04",
    b"\x00\x0d\x00\x04\x00\x02\x04\x03",
    b"\x0a\x0a\x00\x00",
    b"\xc0\x00\x00\x00\x01\x08",
    b"\xd0\x6b\x33\x43\xcf\x08",
    b"\x06\x00\x40\x20\x01\x00\x00\x1c",
    b"\x06\x20\x10",
    b"\x02\x00\x00\x00\x00",
    b"\x30\x82\x01\xc9",
    b"\x06\x03\x55\x04\x03\x0c\x01a",
    b"\xff\xff",
];

/// Reads one of them.
pub(super) fn read(bytes: &[u8], _: bool) -> u64 {
    let [letter, cut, body @ ..] = bytes else { return 0 };
    let size = usize::from(*cut % 64) + 1;
    let came = match letter.wrapping_sub(b'a') % 7 {
        0 => message(body),
        1 => stream(dns::Stream::default, body, size),
        2 => stream(tls::Handshake::default, body, size),
        3 => hello(body),
        4 => datagrams(body, size),
        5 => frames(body, size),
        _ => leaf(body),
    };
    let mut digest = DefaultHasher::new();
    came.hash(&mut digest);
    digest.finish()
}

/// What stands behind a message does not change its name.
fn message(body: &[u8]) -> Option<String> {
    let dns = dns::message(body)?;
    assert!(dns.query.raw().len() <= LONGEST && dns.answers.len() <= MAX_ANSWERS);
    assert_eq!(dns::message(&[body, &[0xff; 9]].concat()).unwrap().query, dns.query);
    Some(format!("{dns:?}"))
}

/// What is said does not depend on how the stream was cut, and little is held.
fn stream<F: Follow>(new: fn() -> F, body: &[u8], size: usize) -> Option<String> {
    let (first, second) = body.split_at(body.len() / 2);
    let said = |size: usize| {
        let (mut follower, mut out) = (new(), Vec::<Said>::new());
        for (direction, bytes) in [(Direction::ToServer, first), (Direction::ToClient, second)] {
            for part in bytes.chunks(size) {
                follower.take(direction, part, Timestamp::UNIX_EPOCH, &mut out);
                assert!(follower.held() <= MOST_HELD);
            }
        }
        follower.end(Timestamp::UNIX_EPOCH, &mut out);
        out
    };
    let came = said(size);
    assert_eq!(came, said(usize::MAX));
    Some(format!("{came:?}"))
}

/// Every hello has a fingerprint.
fn hello(body: &[u8]) -> Option<String> {
    let hello = ClientHello::parse(body)?;
    let both = [Carrier::Tcp, Carrier::Quic].map(|carrier| ja4(&hello, carrier).unwrap().to_string());
    assert_eq!(both[0][1..], both[1][1..]);
    Some(format!("{hello:?} {both:?}"))
}

fn datagrams(body: &[u8], size: usize) -> Option<String> {
    let mut initials = quic::Initials::default();
    let mut budget = quic::Budget::default();
    let mut told = Vec::new();
    for datagram in body.chunks(size * 16) {
        told.push((quic::is_initial(datagram), initials.take(datagram, (&mut budget, 0))));
    }
    assert!(told.iter().filter(|(_, tls)| tls.is_some()).count() <= 1);
    Some(format!("{told:?}"))
}

/// What is in packets that could be opened.
fn frames(body: &[u8], size: usize) -> Option<String> {
    let mut crypto = quic::Crypto::default();
    for packet in body.chunks(size * 16) {
        crypto.take(packet);
        assert!(crypto.held() <= MOST_HELD);
    }
    Some(format!("{:?} {}", crypto.hello(), crypto.is_odd()))
}

fn leaf(body: &[u8]) -> Option<String> {
    Some(format!("{:?}", certificate::leaf(body)))
}
