//! What stands in a ClientHello and a ServerHello, RFC 8446 §4.1.

use khien_core::{
    Untrusted,
    traffic::{MAX_LISTED, Tls},
};
use tls_parser::{parse_tls_handshake_client_hello, parse_tls_handshake_server_hello};

use crate::application::{
    ja4::{Carrier, ja4},
    reader::Reader,
};

pub(crate) const SERVER_NAME: u16 = 0;
const SIGNATURES: u16 = 13;
pub(crate) const PROTOCOLS: u16 = 16;
const VERSIONS: u16 = 43;

const TLS_1_3: u16 = 0x0304;
const HOST_NAME: u8 = 0;
/// The most bytes of a name that are kept: the longest name of DNS.
const MAX_NAME: usize = 255;
/// What stands in place of the server's random number if it wants another hello: the SHA-256 of "HelloRetryRequest".
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a client offers, without the values that only grease (RFC 8701).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The version that stands in front, as its number.
    pub version: u16,
    /// The cipher suites, as offered.
    pub ciphers: Vec<u16>,
    /// The kinds of the extensions, as they stand.
    pub extensions: Vec<u16>,
    /// The name that is asked for.
    pub sni: Option<Vec<u8>>,
    /// The protocols.
    pub alpn: Vec<Vec<u8>>,
    /// The versions, if they stand in an extension.
    pub versions: Vec<u16>,
    /// The signature algorithms, as offered.
    pub signatures: Vec<u16>,
}

impl ClientHello {
    /// Reads one, without the header of the message. Extensions are taken each by itself: one that is odd does not hide the
    /// others.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (_, read) = parse_tls_handshake_client_hello(body).ok()?;
        let mut hello = Self {
            version: read.version.0,
            ciphers: read.ciphers.iter().map(|c| c.0).filter(|c| !is_grease(*c)).collect(),
            ..Self::default()
        };
        for (kind, content) in extensions(read.ext.unwrap_or_default()) {
            if !is_grease(kind) {
                hello.extend(kind, Reader(content));
            }
        }
        Some(hello)
    }

    /// Of an extension that comes twice, which servers refuse, the first that says something counts.
    fn extend(&mut self, kind: u16, mut content: Reader<'_>) {
        self.extensions.push(kind);
        match kind {
            SERVER_NAME if self.sni.is_none() => self.sni = host_name(content),
            PROTOCOLS if self.alpn.is_empty() => self.alpn = protocols(content),
            VERSIONS if self.versions.is_empty() => {
                let length = content.u8().unwrap_or_default();
                self.versions = numbers(content, length.into());
            }
            SIGNATURES if self.signatures.is_empty() => {
                let length = content.u16().unwrap_or_default();
                self.signatures = numbers(content, length.into());
            }
            _ => {}
        }
    }

    /// Returns the version that the client wants most.
    pub fn wanted(&self) -> u16 {
        self.versions.iter().copied().max().unwrap_or(self.version)
    }

    /// Makes a record of it.
    pub(crate) fn tls(&self, carrier: Carrier) -> Tls {
        Tls {
            quic: carrier == Carrier::Quic,
            sni: self.sni.as_ref().map(|name| Untrusted::cut(name, MAX_NAME)),
            alpn: self.alpn.iter().take(MAX_LISTED).map(|p| Untrusted::new(p.as_slice())).collect(),
            version: self.wanted(),
            ja4: ja4(self, carrier),
            ..Tls::default()
        }
    }
}

/// What a server agrees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) version: u16,
    pub(super) cipher: u16,
    /// Whether it wants another ClientHello and answers again.
    pub(super) is_retry: bool,
}

impl ServerHello {
    /// Reads one, without the header of the message.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let (_, read) = parse_tls_handshake_server_hello(body).ok()?;
        let chosen = extensions(read.ext.unwrap_or_default()).find(|(kind, _)| *kind == VERSIONS);
        let chosen = chosen.and_then(|(_, content)| Reader(content).u16());
        Some(Self {
            version: chosen.unwrap_or(read.version.0),
            cipher: read.cipher.0,
            is_retry: read.random == RETRY,
        })
    }

    /// Tells whether nothing behind it is open, the certificate included.
    pub(super) fn is_encrypted_from_here(self) -> bool {
        self.version >= TLS_1_3
    }
}

/// Tells whether a value stands for nothing: 0x0a0a, 0x1a1a, to 0xfafa.
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && high & 0x0f == 0x0a
}

/// Splits extensions; what is cut ends them.
fn extensions(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = Reader(bytes);
    std::iter::from_fn(move || Some((rest.u16()?, rest.sized_u16()?)))
}

/// Finds the first host name, which may not be empty. The list's length may lie: the names have lengths of their own.
fn host_name(mut content: Reader<'_>) -> Option<Vec<u8>> {
    content.u16()?;
    loop {
        let (kind, name) = (content.u8()?, content.sized_u16()?);
        if kind == HOST_NAME && !name.is_empty() {
            return Some(name.to_vec());
        }
    }
}

fn protocols(mut content: Reader<'_>) -> Vec<Vec<u8>> {
    content.u16();
    let grease = |name: &&[u8]| matches!(**name, [a, b] if is_grease(u16::from_be_bytes([a, b])));
    let names = std::iter::from_fn(|| content.sized_u8()).filter(|name| !grease(name));
    names.map(<[u8]>::to_vec).collect()
}

fn numbers(mut content: Reader<'_>, length: usize) -> Vec<u16> {
    let mut rest = Reader(content.take_up_to(length));
    std::iter::from_fn(|| rest.u16()).filter(|number| !is_grease(*number)).collect()
}
