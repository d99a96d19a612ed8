//! Packets with a long header: where one ends, and what an Initial carries, RFC 9000 §17.2 and RFC 9001 §5.

use ring::{aead, hkdf};

use crate::application::reader::Reader;

const LONG: u8 = 0x80;
const FIXED: u8 = 0x40;
const MAX_ID: usize = 20;
/// What header protection looks at begins so many bytes behind the beginning of the packet number.
const SAMPLE_AT: usize = 4;
const SAMPLE: usize = 16;
const KEY: usize = 16;
const NONCE: usize = 12;
const SECRET: usize = 32;

/// How a version makes keys, and how it numbers the kinds of packets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    number: u32,
    salt: [u8; 20],
    /// What stands in the labels of its keys before their names.
    word: &'static str,
    initial: u8,
    retry: u8,
}

/// Those of RFC 9001 and RFC 9369.
static VERSIONS: [Version; 2] = [
    Version {
        number: 1,
        salt: [
            0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad,
            0xcc, 0xbb, 0x7f, 0x0a,
        ],
        word: "quic",
        initial: 0,
        retry: 3,
    },
    Version {
        number: 0x6b33_43cf,
        salt: [
            0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb,
            0xf9, 0xbd, 0x2e, 0xd9,
        ],
        word: "quicv2",
        initial: 1,
        retry: 0,
    },
];

/// A packet with a long header.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) version: &'static Version,
    pub(super) is_initial: bool,
    pub(super) destination: &'a [u8],
    /// The whole packet, to its end in the datagram.
    bytes: &'a [u8],
    /// Where its number begins.
    number_at: usize,
}

/// The keys of a client's Initial packets. No secret: all that goes into them stands in the packet.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) key: [u8; KEY],
    nonce: [u8; NONCE],
    pub(super) header: [u8; KEY],
}

impl Version {
    /// Returns the version with a number.
    pub(super) fn of(number: u32) -> Option<&'static Self> {
        VERSIONS.iter().find(|version| version.number == number)
    }
}

impl<'a> Packet<'a> {
    /// Reads the packet at the beginning of bytes, and returns what stands behind it in the datagram.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut rest = Reader(datagram);
        let first = rest.u8()?;
        let number = rest.u32()?;
        let version = Version::of(number)?;
        let (destination, source) = (rest.sized_u8()?, rest.sized_u8()?);
        let kind = first >> 4 & 3;
        let is_whole =
            first & (LONG | FIXED) == LONG | FIXED && destination.len().max(source.len()) <= MAX_ID;
        if !is_whole || kind == version.retry {
            return None;
        }
        let is_initial = kind == version.initial;
        if is_initial {
            let token = number_of(&mut rest)?;
            rest.take(token)?;
        }
        let length = number_of(&mut rest)?;
        let number_at = datagram.len() - rest.0.len();
        rest.take(length)?;
        let bytes = &datagram[..number_at + length];
        Some((Self { version, is_initial, destination, bytes, number_at }, rest.0))
    }

    /// Returns the frames, if the keys fit.
    pub(super) fn open(&self, keys: &Keys) -> Option<Vec<u8>> {
        let header = self.unmasked(keys)?;
        let nonce = keys.nonce(header.get(self.number_at..)?);
        let mut body = self.bytes.get(header.len()..)?.to_vec();
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, &keys.key).ok()?);
        let frames = key.open_in_place(nonce, aead::Aad::from(&header), &mut body).ok()?.len();
        body.truncate(frames);
        Some(body)
    }

    /// Returns the header without its mask, the packet number included.
    fn unmasked(&self, keys: &Keys) -> Option<Vec<u8>> {
        let sample = self.bytes.get(self.number_at + SAMPLE_AT..)?.get(..SAMPLE)?;
        let key = aead::quic::HeaderProtectionKey::new(&aead::quic::AES_128, &keys.header).ok()?;
        let [of_first, of_number @ ..] = key.new_mask(sample).ok()?;
        let mut header = self.bytes.get(..self.number_at + SAMPLE_AT)?.to_vec();
        header[0] ^= of_first & 0x0f;
        let digits = usize::from(header[0] & 3) + 1;
        header.truncate(self.number_at + digits);
        header[self.number_at..].iter_mut().zip(of_number).for_each(|(byte, mask)| *byte ^= mask);
        Some(header)
    }
}

impl Keys {
    /// Makes the client's keys for the id that its packets go to.
    pub(super) fn new(version: &Version, destination: &[u8]) -> Option<Self> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &version.salt).extract(destination);
        let client = expand::<SECRET>(&secret, "client in")?;
        let client = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &client);
        Some(Self {
            key: expand(&client, &format!("{} key", version.word))?,
            nonce: expand(&client, &format!("{} iv", version.word))?,
            header: expand(&client, &format!("{} hp", version.word))?,
        })
    }

    /// Makes the nonce of a packet from its number.
    pub(super) fn nonce(&self, number: &[u8]) -> aead::Nonce {
        let mut nonce = self.nonce;
        nonce.iter_mut().rev().zip(number.iter().rev()).for_each(|(byte, digit)| *byte ^= digit);
        aead::Nonce::assume_unique_for_key(nonce)
    }
}

/// HKDF-Expand-Label of RFC 8446 §7.1, without context.
fn expand<const LENGTH: usize>(secret: &hkdf::Prk, label: &str) -> Option<[u8; LENGTH]> {
    let length = u16::try_from(LENGTH).ok()?.to_be_bytes();
    let label = ["tls13 ", label].concat();
    let label_length = u8::try_from(label.len()).ok()?;
    let mut out = [0; LENGTH];
    let info: [&[u8]; 4] = [&length, &[label_length], label.as_bytes(), &[0]];
    secret.expand(&info, Length(LENGTH)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Takes a number of variable length, RFC 9000 §16.
pub(super) fn number_of(rest: &mut Reader<'_>) -> Option<usize> {
    let first = rest.u8()?;
    let more = rest.take((1 << (first >> 6)) - 1)?;
    let number = more.iter().fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}
