//! JA4: a fingerprint of what a TLS client offers, by the public description of FoxIO (JA4 itself is under the BSD licence).
//!
//! ```text
//! t13d1516h2_8daaf6152771_e5627efa2ab1
//! │││ │ │ │  │            └ SHA-256 of the sorted extensions without SNI and ALPN, and the signature algorithms as they stand
//! │││ │ │ │  └ SHA-256 of the sorted cipher suites
//! │││ │ │ └ first and last letter of the first protocol of ALPN
//! │││ │ └ how many extensions
//! │││ └ how many cipher suites
//! ││└ d: with SNI, i: without
//! │└ the version
//! └ t: TCP, q: QUIC
//! ```
//! Values that only grease count nowhere.

use khien_core::{Sha256, traffic::Ja4};

use super::tls::{ClientHello, PROTOCOLS, SERVER_NAME};

const HEX: [u8; 16] = *b"0123456789abcdef";
/// How many letters of a digest are kept.
const DIGEST: usize = 12;
/// Stands for the digest of nothing.
const NOTHING: [u8; DIGEST] = [b'0'; DIGEST];
/// Two digits is all there is room for.
const MOST: usize = 99;

/// What carries a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// TLS.
    Tcp,
    /// QUIC.
    Quic,
}

/// Makes the fingerprint of a hello.
pub fn ja4(hello: &ClientHello, carrier: Carrier) -> Option<Ja4> {
    let carried = if carrier == Carrier::Quic { b'q' } else { b't' };
    let [high, low] = version(hello.wanted());
    let name = if hello.extensions.contains(&SERVER_NAME) { b'd' } else { b'i' };
    let [suite_tens, suite_ones] = count(&hello.ciphers);
    let [extension_tens, extension_ones] = count(&hello.extensions);
    let [first, last] = protocol(hello.alpn.first().map_or(&[], Vec::as_slice));
    let head =
        [carried, high, low, name, suite_tens, suite_ones, extension_tens, extension_ones, first, last];
    Ja4::new(&[&head[..], b"_", &ciphers(hello), b"_", &extensions(hello)].concat())
}

fn version(number: u16) -> [u8; 2] {
    *match number {
        0x0304 => b"13",
        0x0303 => b"12",
        0x0302 => b"11",
        0x0301 => b"10",
        0x0300 => b"s3",
        0x0002 => b"s2",
        _ => b"00",
    }
}

fn count(values: &[u16]) -> [u8; 2] {
    let count = values.len().min(MOST);
    [HEX[count / 10], HEX[count % 10]]
}

/// Takes the first and the last letter; of bytes that are none, the first and the last digit of them all in hex.
fn protocol(name: &[u8]) -> [u8; 2] {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return *b"00" };
    match first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        true => [first, last],
        false => [HEX[usize::from(first >> 4)], HEX[usize::from(last & 0x0f)]],
    }
}

fn ciphers(hello: &ClientHello) -> [u8; DIGEST] {
    let mut suites = hello.ciphers.clone();
    suites.sort_unstable();
    digest(&listed(&suites))
}

fn extensions(hello: &ClientHello) -> [u8; DIGEST] {
    let kinds = hello.extensions.iter().copied().filter(|kind| ![SERVER_NAME, PROTOCOLS].contains(kind));
    let mut kinds: Vec<_> = kinds.collect();
    kinds.sort_unstable();
    match hello.signatures.is_empty() {
        true => digest(&listed(&kinds)),
        false => digest(&[&listed(&kinds)[..], b"_", &listed(&hello.signatures)].concat()),
    }
}

/// Writes values in four hex digits each.
fn listed(values: &[u16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(values.len() * 5);
    for value in values {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(value >> shift & 0xf)]));
    }
    text
}

fn digest(text: &[u8]) -> [u8; DIGEST] {
    if text.is_empty() {
        return NOTHING;
    }
    let digest = Sha256::of(text).0;
    std::array::from_fn(|at| HEX[usize::from(digest[at / 2] >> (4 * (1 - at % 2)) & 0xf)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHROME_CIPHERS: [u16; 15] = [
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
        0x009d, 0x002f, 0x0035,
    ];
    const CHROME_EXTENSIONS: [u16; 16] = [
        0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
        0xff01, 0x000b, 0x000a, 0x0015,
    ];
    const CHROME_SIGNATURES: [u16; 8] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

    #[test]
    fn the_published_example_comes_out() {
        assert_eq!(of(&chrome(), Carrier::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn the_published_example_without_signature_algorithms_comes_out() {
        let hello = ClientHello { signatures: Vec::new(), ..chrome() };

        assert_eq!(of(&hello, Carrier::Tcp), "t13d1516h2_8daaf6152771_6d807ffa2a79");
    }

    #[test]
    fn a_newer_chrome_comes_out_as_others_saw_it() {
        let extensions = vec![
            0x002d, 0x0033, 0x0010, 0xfe0d, 0x0017, 0x44cd, 0x0000, 0x000b, 0x000a, 0x002b, 0xff01, 0x0023,
            0x0012, 0x0005, 0x000d, 0x001b,
        ];

        assert_eq!(
            of(&ClientHello { extensions, ..chrome() }, Carrier::Tcp),
            "t13d1516h2_8daaf6152771_d8a2da3f94cd"
        );
    }

    #[test]
    fn chrome_over_quic_comes_out_as_others_saw_it() {
        let hello = ClientHello {
            ciphers: vec![0x1301, 0x1302, 0x1303],
            extensions: vec![0, 0x10, 0x4469, 0x39, 0x33, 0x2d, 0x2b, 0x1b, 0x0d, 0x0a],
            alpn: vec![b"h3".to_vec()],
            signatures: [&CHROME_SIGNATURES[..], &[0x0201]].concat(),
            ..chrome()
        };

        assert_eq!(of(&hello, Carrier::Quic), "q13d0310h3_55b375c5d22e_cd85d2d88918");
    }

    #[test]
    fn a_hello_with_nothing_in_it_has_no_digests() {
        assert_eq!(of(&ClientHello::default(), Carrier::Tcp), "t00i000000_000000000000_000000000000");
    }

    #[test]
    fn name_and_protocols_do_not_change_the_last_part() {
        let mut bare = chrome();
        bare.extensions.retain(|kind| ![SERVER_NAME, PROTOCOLS].contains(kind));
        bare.alpn.clear();

        assert_eq!(of(&bare, Carrier::Tcp), "t13i151400_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn every_version_has_its_letters() {
        let versions = [0x0304, 0x0303, 0x0302, 0x0301, 0x0300, 0x0002, 0x7f1c];
        let letters =
            versions.map(|version| of(&ClientHello { version, ..ClientHello::default() }, Carrier::Tcp));

        assert_eq!(letters.map(|ja4| ja4[1..3].to_owned()), ["13", "12", "11", "10", "s3", "s2", "00"]);
    }

    #[test]
    fn protocols_that_are_no_letters_are_written_in_hex() {
        let examples: [(&[u8], &str); 10] = [
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (b"", "00"),
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"\x30\xab", "3b"),
            (b"\x30\x31\xab\xcd", "3d"),
            (b"\x30\xab\xcd\x31", "01"),
            (b"IMAP", "IP"),
        ];
        for (name, letters) in examples {
            assert_eq!(protocol(name), letters.as_bytes(), "{name:?}");
            let hello = ClientHello { alpn: vec![name.to_vec()], ..chrome() };
            assert_eq!(of(&hello, Carrier::Tcp)[8..10], *letters);
        }
    }

    #[test]
    fn no_count_takes_more_than_two_digits() {
        let hello = ClientHello { ciphers: vec![1; 100], extensions: vec![9; 100], ..ClientHello::default() };

        assert!(of(&hello, Carrier::Tcp).starts_with("t00i999900_"));
    }

    proptest! {
        #[test]
        fn every_hello_has_a_fingerprint(version: u16, ciphers: Vec<u16>, extensions: Vec<u16>, alpn: Vec<Vec<u8>>) {
            let hello = ClientHello { version, ciphers, extensions, alpn, ..ClientHello::default() };
            prop_assert!(ja4(&hello, Carrier::Quic).is_some());
        }
    }

    fn chrome() -> ClientHello {
        ClientHello {
            version: 0x0303,
            ciphers: CHROME_CIPHERS.to_vec(),
            extensions: CHROME_EXTENSIONS.to_vec(),
            sni: Some(b"example.com".to_vec()),
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            versions: vec![0x0303, 0x0304],
            signatures: CHROME_SIGNATURES.to_vec(),
        }
    }

    fn of(hello: &ClientHello, carrier: Carrier) -> String {
        ja4(hello, carrier).unwrap().to_string()
    }
}
