//! The signed pack of rules: what the team wrote and signed, and every agent runs.

mod form;
mod network;

use serde::{Deserialize, Serialize};

use crate::{
    RuleId, Severity, Timestamp,
    policy::Policy,
    signature::{OperatorKey, Purpose, SignatureError, Signed},
    text::Words,
};

pub use form::{FORM_PIECE, Form, MAX_FORM, MAX_FORM_INFLATED, MAX_FORMS, Machine, Release, Unfit, forms};
pub use network::{MAX_ALLOWED, MAX_NETWORK_SETS, NetworkKind, NetworkLists, NetworkSet};

/// The largest signed pack, in bytes of JSON.
pub const MAX_PACK: usize = 16 << 20;

/// A pack of rules and indicators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Grows with each release; an agent never goes back.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// What each rule is, for people; YARA rules and indicator lists alike.
    pub rules: Vec<RuleMeta>,
    /// YARA source files.
    pub sources: Vec<Source>,
    /// Names that must not be asked for.
    pub domains: Vec<DomainIndicator>,
    /// Digests and names of files that must not occur.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<IndicatorSet>,
    /// Addresses, names, URLs and fingerprints that must not be spoken to.
    #[serde(default, skip_serializing_if = "NetworkLists::is_empty")]
    pub network: NetworkLists,
    /// What agents keep an eye on beside content; absent is what the base pack says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// One YARA source file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its file name, for error texts.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What a rule is, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleMeta {
    /// Its stable name, such as `webshell.php.eval_request`.
    pub id: RuleId,
    /// The identifier of the YARA rule; none for an indicator list.
    pub yara: Option<String>,
    /// How bad a hit is.
    pub severity: Severity,
    /// The ATT&CK technique, such as `T1505.003`.
    pub technique: Option<String>,
    /// Whether it may run on reassembled traffic too.
    pub streams: bool,
    /// Whether it may run on the memory of processes too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub memory: bool,
    /// A short name.
    pub title: Words,
    /// What a hit means.
    pub explanation: Words,
    /// What to do next.
    pub next_step: Words,
}

/// A name that must not be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainIndicator {
    /// The name in lower case, without a final dot; names below it count too.
    pub domain: String,
    /// The list to which it belongs: the id of a [`RuleMeta`].
    pub rule: RuleId,
}

/// Digests or names of files that must not occur. Source, confidence and expiry belong to the whole set, so that an
/// entry costs ten bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndicatorSet {
    /// The list to which it belongs: the id of a [`RuleMeta`].
    pub rule: RuleId,
    /// What its entries are.
    pub kind: SetKind,
    /// Who says so.
    pub source: String,
    /// How sure they are, in percent.
    pub confidence: u8,
    /// From when on it is not asked any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How many entries it has.
    pub entries: u32,
    /// Its keys, sorted, in base64: the first twelve bytes of each digest, or of the SHA-256 of each name.
    pub body: String,
    /// File names of the form `*.locked`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub globs: Vec<String>,
}

/// What the entries of an [`IndicatorSet`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetKind {
    /// SHA-256 of content.
    Sha256,
    /// SHA-1 of content.
    Sha1,
    /// MD5 of content.
    Md5,
    /// Names of files, in lower case and composed.
    FileName,
}

impl Pack {
    /// Returns what is known of a rule.
    #[must_use]
    pub fn rule(&self, id: &RuleId) -> Option<&RuleMeta> {
        self.rules.iter().find(|r| r.id == *id)
    }
}

/// Reads a pack after a trusted operator's signature held.
///
/// # Errors
/// [`SignatureError`].
pub fn open(signed: &Signed, trusted: &[OperatorKey]) -> Result<Pack, SignatureError> {
    let (body, _signers) = signed.verify(Purpose::Pack, trusted)?;
    if body.len() > MAX_PACK {
        return Err(SignatureError::Unreadable("pack is larger than 16 MiB".to_owned()));
    }
    serde_json::from_str(body).map_err(|e| SignatureError::Unreadable(e.to_string()))
}
