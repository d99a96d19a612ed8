//! What the sensors saw: files that changed, flows on the wire, and what scanning them gave.

use std::{net::SocketAddr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Timestamp, Untrusted,
    traffic::{MAX_VLANS, Tunnel},
};

mod act;
mod inside;
mod process;

pub use act::{Act, Did, MAX_ACTS};
pub use inside::{Inside, MAX_NAME, MAX_NAMES, NotSeen, Unseen};
pub use process::{Ancestor, MAX_ANCESTOR_TEXT, MAX_ANCESTORS, Process};

/// Bytes kept before, in and after a match; more is never sent.
pub const EXCERPT_SIDE: usize = 64;
/// Bytes of the match itself that are kept.
pub const EXCERPT_MATCH: usize = 128;
/// Excerpts kept of one detection.
pub const MAX_EXCERPTS: usize = 4;

/// One change of a file as a watch back end reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEvent {
    /// The file's absolute path.
    pub path: Untrusted,
    /// When the event was read, by the agent's clock.
    pub at: Timestamp,
    /// Who did it, where the kernel tells; one for all files that a process changes.
    pub process: Option<Arc<Process>>,
}

/// What is known of a file's inode when it was scanned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Size in bytes.
    pub size: u64,
    /// Permission bits and type, as in `st_mode`.
    pub mode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Owner's user name, if the host knows one.
    pub owner: Option<Untrusted>,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Where it was found, if that is in a file inside this one.
    #[serde(default, skip_serializing_if = "Inside::is_empty")]
    pub inside: Inside,
}

/// Bytes around a match, as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Where the match begins, in bytes from the start of the file or of the reassembled stream.
    pub offset: u64,
    /// Up to [`EXCERPT_SIDE`] bytes before.
    pub before: Untrusted,
    /// Up to [`EXCERPT_MATCH`] bytes of the match.
    pub matched: Untrusted,
    /// Up to [`EXCERPT_SIDE`] bytes after.
    pub after: Untrusted,
}

/// How a scan ended. Only [`Clean`](Self::Clean) means clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanOutcome {
    /// A rule matched.
    Matched,
    /// Every byte was scanned and no rule matched.
    Clean,
    /// The time limit ran out.
    Timeout,
    /// Larger than the size limit.
    TooLarge,
    /// Could not be opened or read, or changed its kind.
    Unreadable,
    /// A limit inside the scan was met.
    LimitExceeded,
    /// The worker died on it.
    Crashed,
    /// The policy said not to look.
    SkippedByPolicy,
}

impl ScanOutcome {
    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Clean => "clean",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::LimitExceeded => "limit_exceeded",
            Self::Crashed => "crashed",
            Self::SkippedByPolicy => "skipped_by_policy",
        }
    }

    /// Tells whether the file was neither matched nor scanned to its end.
    #[must_use]
    pub fn is_trouble(self) -> bool {
        !matches!(self, Self::Matched | Self::Clean | Self::SkippedByPolicy)
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, of IPv4 or IPv6; where a port is told it is the type (client) or the code (server).
    Icmp,
}

/// Which way the bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the side that opened the conversation.
    ToServer,
    /// From the side that answered.
    ToClient,
}

/// What a flow carried, as far as it was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Application {
    /// An HTTP/1 message.
    Http,
    /// A DNS message.
    Dns,
    /// A TLS handshake.
    Tls,
    /// QUIC, RFC 9000.
    Quic,
    /// SMTP.
    Smtp,
    /// SMB, any version.
    Smb,
    /// The Remote Desktop Protocol.
    Rdp,
    /// SSH.
    Ssh,
    /// Telnet.
    Telnet,
    /// FTP, its control connection.
    Ftp,
    /// X-Road's message protocol between security servers.
    XRoad,
    /// Management of VMware hosts.
    Vmware,
    /// Anything else.
    #[serde(other)]
    Unknown,
}

impl Application {
    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Smtp => "smtp",
            Self::Smb => "smb",
            Self::Rdp => "rdp",
            Self::Ssh => "ssh",
            Self::Telnet => "telnet",
            Self::Ftp => "ftp",
            Self::XRoad => "x_road",
            Self::Vmware => "vmware",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the name that people know it by; nothing for what was not recognised.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Http => "HTTP",
            Self::Dns => "DNS",
            Self::Tls => "TLS",
            Self::Quic => "QUIC",
            Self::Smtp => "SMTP",
            Self::Smb => "SMB",
            Self::Rdp => "RDP",
            Self::Ssh => "SSH",
            Self::Telnet => "Telnet",
            Self::Ftp => "FTP",
            Self::XRoad => "X-Road",
            Self::Vmware => "VMware",
            Self::Unknown => return None,
        })
    }
}

impl Transport {
    /// Returns the name that people know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
        }
    }
}

/// The five-tuple of a flow and what is known of it. `client` opened the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowFacts {
    /// TCP or UDP.
    pub transport: Transport,
    /// Address and port of the side that opened it.
    pub client: SocketAddr,
    /// Address and port of the side that answered.
    pub server: SocketAddr,
    /// Which way the matching bytes went.
    pub direction: Direction,
    /// The network interface on which it was seen; empty where a file of packets names none.
    pub interface: Untrusted,
    /// The VLAN ids around it, outermost first, at most [`MAX_VLANS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few_vlans")]
    pub vlan: Vec<u16>,
    /// The tunnel in which it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Box<Tunnel>>,
    /// What it carried.
    pub application: Application,
    /// The name asked for: DNS query, TLS SNI or HTTP host.
    pub name: Option<Untrusted>,
    /// The URL, for HTTP.
    pub url: Option<Untrusted>,
    /// What stood on a list, where it is neither the name nor the URL: an address, a fingerprint, a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Untrusted>,
    /// The process on the agent's host that owns one end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Box<Process>>,
}

impl FlowFacts {
    /// Writes the VLAN ids around it as people do, `20.30`; nothing where there are none.
    #[must_use]
    pub fn vlans(&self) -> Option<String> {
        let ids: Vec<String> = self.vlan.iter().map(u16::to_string).collect();
        (!ids.is_empty()).then(|| ids.join("."))
    }
}

/// Reads no more VLAN ids than there may be.
fn few_vlans<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u16>, D::Error> {
    let mut all = Vec::deserialize(from)?;
    all.truncate(MAX_VLANS);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an agent wrote that knew neither VLAN nor tunnel.
    const BEFORE: &str = r#"{"transport":"tcp","client":"10.0.0.5:1","server":"10.0.0.6:2","direction":"to_server","interface":"eth0","application":"http","name":null,"url":null}"#;

    #[test]
    fn a_flow_of_before_reads_and_one_without_vlan_and_tunnel_is_written_as_before() {
        let flow: FlowFacts = serde_json::from_str(BEFORE).unwrap();

        assert_eq!((&flow.vlan[..], &flow.tunnel, flow.vlans()), (&[][..], &None, None));
        assert_eq!(serde_json::to_string(&flow).unwrap(), BEFORE);
    }

    #[test]
    fn vlan_and_tunnel_of_a_flow_come_back_from_json_and_no_more_ids_than_there_may_be() {
        let around = r#""vlan":[20,30],"tunnel":{"kind":"vxlan","from":"192.0.2.1","to":"192.0.2.2","id":7},"application""#;
        let json = BEFORE.replace(r#""application""#, around);
        let many = json.replace("[20,30]", "[1,2,3,4,5,6,7]");

        let flow: FlowFacts = serde_json::from_str(&json).unwrap();

        assert_eq!(serde_json::to_string(&flow).unwrap(), json);
        assert_eq!(flow.vlans().as_deref(), Some("20.30"));
        assert_eq!(flow.tunnel.unwrap().to_string(), "VXLAN 7: 192.0.2.1 → 192.0.2.2");
        assert_eq!(serde_json::from_str::<FlowFacts>(&many).unwrap().vlan.len(), MAX_VLANS);
    }
}
