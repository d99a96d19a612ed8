//! What was seen on the wire: one record for each flow, question, handshake, exchange, letter and file.
//!
//! These are the records that agents keep, that `khien hunt net` brings back and that `khien pcap scan --events` writes as
//! NDJSON (there with the file as `capture`): `{"at": …, "flow": 7, "transport": "tcp", "client": …, "server": …, "kind": "dns", …}`.
//! Field names are stable.

use std::{fmt, net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    RuleId, Sha256, Timestamp, Untrusted,
    event::{Application, Direction, Process, Transport},
};

/// The most answers that are kept of a DNS message.
pub const MAX_ANSWERS: usize = 16;
/// The most names that are kept of a list: protocols of a handshake, recipients of a letter, its attachments.
pub const MAX_LISTED: usize = 32;

/// The most VLAN ids around a packet: four in its frame, and one that the kernel took off.
pub const MAX_VLANS: usize = 5;

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was complete, by the clock of who captured it.
    pub at: Timestamp,
    /// In which flow.
    #[serde(flatten)]
    pub ends: Ends,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Which flow, and between whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// Its number; never used twice by one sensor while that runs.
    pub flow: u64,
    /// The interface on which it was seen; empty where a file of packets names none.
    pub interface: Untrusted,
    /// The VLAN ids around it, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vlan: Vec<u16>,
    /// The tunnel in which it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// TCP, UDP or ICMP.
    pub transport: Transport,
    /// Who opened it; for ICMP the port is the type.
    pub client: SocketAddr,
    /// Who answered; for ICMP the port is the code.
    pub server: SocketAddr,
    /// Whether a SYN was seen, so that it is certain who opened it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saw_syn: bool,
}

/// A tunnel around a flow, outermost addresses as they stood in the packet that opened the flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// How it wraps.
    pub kind: TunnelKind,
    /// Who sent the packet.
    pub from: std::net::IpAddr,
    /// To whom.
    pub to: std::net::IpAddr,
    /// Its number: VNI of VXLAN, key of GRE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.map(|id| format!(" {id}")).unwrap_or_default();
        write!(f, "{}{id}: {} → {}", self.kind.name(), self.from, self.to)
    }
}

/// How a tunnel wraps packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// RFC 2784, 2890.
    Gre,
    /// RFC 7348.
    Vxlan,
    /// RFC 2003, 2473, 4213.
    Ipip,
}

impl TunnelKind {
    /// Returns the name that people know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gre => "GRE",
            Self::Vxlan => "VXLAN",
            Self::Ipip => "IP-in-IP",
        }
    }
}

/// What was seen of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// The flow as a whole, at its end or after a while.
    Flow(Box<Flow>),
    /// A DNS message.
    Dns(Box<Dns>),
    /// A TLS or QUIC handshake as far as it is open.
    Tls(Box<Tls>),
    /// An HTTP/1 exchange.
    Http(Box<Http>),
    /// A letter over SMTP.
    Smtp(Box<Smtp>),
    /// A file that was carried.
    File(Box<File>),
}

/// A flow as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The first packet.
    pub first: Timestamp,
    /// The last packet.
    pub last: Timestamp,
    /// Why it is told now.
    pub ended: FlowEnd,
    /// What it carried.
    pub application: Application,
    /// The name that was asked for: DNS query, TLS SNI or HTTP host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Untrusted>,
    /// From the client.
    pub to_server: Volume,
    /// From the server.
    pub to_client: Volume,
    /// Whether the server took the connection: its SYN was answered, or for others anything came back. Where nothing of the
    /// server was seen, a client that goes on behind its SYN counts as taken.
    pub answered: bool,
    /// The process on this host that owns one end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Box<Process>>,
}

/// What went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Packets.
    pub packets: u64,
    /// Bytes of whole frames as they were on the wire.
    pub bytes: u64,
    /// Bytes that the transport carried, each once for TCP.
    pub payload: u64,
    /// Bytes of a TCP stream that never came by.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
}

/// Why a flow is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowEnd {
    /// Both sides said their end.
    Closed,
    /// One side ended it at once.
    Reset,
    /// Nothing came for long.
    Idle,
    /// Room was needed.
    Evicted,
    /// It goes on; what is told is so far.
    Ongoing,
    /// The capture ended.
    CaptureEnd,
}

/// A DNS message, RFC 1035; also over TCP and mDNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Its number, which question and answer share.
    pub id: u16,
    /// Whether it answers.
    pub answer: bool,
    /// The name of the first question, labels joined by dots.
    pub query: Untrusted,
    /// The type of the first question, as its number.
    pub query_type: u16,
    /// The result of an answer, as its number; 3 is "no such name".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// What was answered: addresses, names, texts, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Untrusted>,
}

/// A handshake of TLS (RFC 5246, 8446) or QUIC (RFC 9001).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Whether it came in QUIC.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quic: bool,
    /// The name that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<Untrusted>,
    /// The protocols that the client offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<Untrusted>,
    /// The version that was agreed, or that the client wanted most, as its number: 0x0304 is TLS 1.3.
    pub version: u16,
    /// The cipher suite that was agreed, as its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cipher: Option<u16>,
    /// The client's JA4 fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ja4: Option<Ja4>,
    /// The subject of the server's certificate, where it is open (up to TLS 1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Untrusted>,
    /// Its issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Untrusted>,
    /// The digest of the whole certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Sha256>,
}

/// A JA4 fingerprint of a TLS client (FoxIO, BSD licence): 36 characters such as `t13d1516h2_8daaf6152771_b186095e22b6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ja4([u8; 36]);

impl Ja4 {
    /// Takes a fingerprint if its form is right: lower case but for the letters of a protocol, `_` where it belongs.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        let text: [u8; 36] = text.try_into().ok()?;
        let is_part = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_digest = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let fits = text[..8].iter().all(is_part)
            && text[8..10].iter().all(u8::is_ascii_alphanumeric)
            && text[10] == b'_'
            && text[11..23].iter().all(is_digest)
            && text[23] == b'_'
            && text[24..].iter().all(is_digest);
        fits.then_some(Self(text))
    }

    /// Returns it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Ja4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Ja4 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Ja4 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text.as_bytes()).ok_or_else(|| serde::de::Error::custom("no JA4 fingerprint"))
    }
}

/// An HTTP/1 exchange, RFC 9112.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Untrusted>,
    /// The host that was asked for, without port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Untrusted>,
    /// The target as it stood in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<Untrusted>,
    /// The client's name for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Untrusted>,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The answer's Content-Type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Untrusted>,
    /// Bytes of the request's body as they were sent, before unpacking.
    pub request_bytes: u64,
    /// Bytes of the answer's body as they were sent, before unpacking.
    pub response_bytes: u64,
}

/// A letter over SMTP, RFC 5321.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smtp {
    /// How the client called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<Untrusted>,
    /// The sender of the envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Untrusted>,
    /// The recipients of the envelope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Untrusted>,
    /// The subject, as it stood in the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Untrusted>,
    /// The names of the attachments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Untrusted>,
    /// Whether the session went over to TLS; what follows is not seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

/// A file that was carried by HTTP or SMTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Which way it went.
    pub direction: Direction,
    /// Its name, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Untrusted>,
    /// The type that the sender stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Untrusted>,
    /// Its size in bytes, unpacked, as far as it was seen.
    pub size: u64,
    /// Whether all of it was seen, within the caps.
    pub whole: bool,
    /// Of what was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

/// The lists of a pack against which traffic is held; each look-up returns the list's rule.
pub trait Lists {
    /// Looks an address up: by itself or in a listed network.
    fn address(&self, address: std::net::IpAddr) -> Option<&RuleId>;
    /// Looks a name up: by itself or below a listed name.
    fn name(&self, name: &[u8]) -> Option<&RuleId>;
    /// Looks a URL up, by host and target.
    fn url(&self, host: &[u8], target: &[u8]) -> Option<&RuleId>;
    /// Looks a fingerprint up.
    fn ja4(&self, ja4: &Ja4) -> Option<&RuleId>;
    /// Looks the digest of a certificate up.
    fn certificate(&self, digest: &Sha256) -> Option<&RuleId>;
    /// Looks the digest of a file up.
    fn file(&self, digest: &Sha256) -> Option<&RuleId>;
    /// Tells whether a rule for streams may match these bytes, scanned as one piece; `true` where that is not known.
    fn may_match(&self, bytes: &[u8]) -> bool {
        let _ = bytes;
        true
    }
}

impl<L: Lists + ?Sized> Lists for Arc<L> {
    fn address(&self, address: std::net::IpAddr) -> Option<&RuleId> {
        (**self).address(address)
    }
    fn name(&self, name: &[u8]) -> Option<&RuleId> {
        (**self).name(name)
    }
    fn url(&self, host: &[u8], target: &[u8]) -> Option<&RuleId> {
        (**self).url(host, target)
    }
    fn ja4(&self, ja4: &Ja4) -> Option<&RuleId> {
        (**self).ja4(ja4)
    }
    fn certificate(&self, digest: &Sha256) -> Option<&RuleId> {
        (**self).certificate(digest)
    }
    fn file(&self, digest: &Sha256) -> Option<&RuleId> {
        (**self).file(digest)
    }
    fn may_match(&self, bytes: &[u8]) -> bool {
        (**self).may_match(bytes)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
