//! Lists of what must not be spoken to, as they travel in a signed pack.
//!
//! They stand in a field of their own: programs that know nothing of it read the pack as if it were not there.

use serde::{Deserialize, Serialize};

use crate::{RuleId, Timestamp};

/// The most lists of one pack.
pub const MAX_NETWORK_SETS: usize = 4_096;
/// The most exceptions of one pack.
pub const MAX_ALLOWED: usize = 65_536;

/// The lists of a pack that are about traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkLists {
    /// The lists, at most [`MAX_NETWORK_SETS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<NetworkSet>,
    /// Networks, names and URLs that lie within a listed one and are let be all the same, at most [`MAX_ALLOWED`].
    /// Entries that are let be themselves stand on no list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

impl NetworkLists {
    /// Tells whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.allowed.is_empty()
    }
}

/// One list. Source, confidence and expiry belong to the whole of it, so that an entry costs a few bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSet {
    /// Its rule: the id of a [`RuleMeta`](super::RuleMeta).
    pub rule: RuleId,
    /// What its entries are.
    pub kind: NetworkKind,
    /// Who says so.
    pub source: String,
    /// How sure they are, in percent.
    pub confidence: u8,
    /// From when on it is not asked any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How many entries it has.
    pub entries: u32,
    /// Its entries in base64: networks as sorted prefixes; of all else sorted keys, the first twelve bytes of the SHA-256 of
    /// each name, URL and fingerprint, or of the certificate.
    pub body: String,
}

/// What the entries of a [`NetworkSet`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkKind {
    /// Addresses and networks.
    Address,
    /// Names of hosts; names below them count too.
    Domain,
    /// URLs, by host and path.
    Url,
    /// JA4 fingerprints of TLS clients.
    Ja4,
    /// SHA-256 of certificates.
    Certificate,
    /// A kind that only newer programs know; it is passed over.
    #[serde(other)]
    Unknown,
}

impl NetworkKind {
    /// Returns its name as it stands in packs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Ja4 => "ja4",
            Self::Certificate => "certificate",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_a_kind_that_is_not_known_is_read_and_told_apart() {
        let set =
            r#"{"rule":"a.b","kind":"jarm","source":"x","confidence":1,"entries":1,"body":"AA","more":1}"#;

        let set: NetworkSet = serde_json::from_str(set).unwrap();

        assert_eq!(set.kind, NetworkKind::Unknown);
    }

    #[test]
    fn every_kind_is_written_as_it_is_called() {
        for kind in [
            NetworkKind::Address,
            NetworkKind::Domain,
            NetworkKind::Url,
            NetworkKind::Ja4,
            NetworkKind::Certificate,
        ] {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.as_str()));
        }
    }
}
