//! Names of things. Each is a type of its own, so that one can never be passed for another.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest;

/// The text is not a valid name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct BadId {
    text: String,
    wanted: &'static str,
}

/// Cuts what a stranger sent before it is put into an error text.
fn bad(text: &str, wanted: &'static str) -> BadId {
    BadId { text: crate::untrusted::escape(text.chars().take(80).collect::<String>().as_bytes()), wanted }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

macro_rules! bytes_as_hex {
    ($(#[$doc:meta])* $name:ident, $len:literal, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Returns the first twelve hex digits, enough to tell things apart on a screen.
            #[must_use]
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..6])
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> {
                let bytes = (s.len() == 2 * $len)
                    .then(|| HEXLOWER.decode(s.to_ascii_lowercase().as_bytes()).ok())
                    .flatten();
                match bytes.and_then(|b| b.try_into().ok()) {
                    Some(b) => Ok(Self(b)),
                    None => Err(bad(s, $wanted)),
                }
            }
        }
        as_text!($name);
    };
}

bytes_as_hex!(
    /// Names an agent: the SHA-256 of its certificate's public key (SubjectPublicKeyInfo).
    AgentId, 32, "an agent id (64 hex digits)"
);
bytes_as_hex!(
    /// A SHA-256 digest.
    Sha256, 32, "a SHA-256 (64 hex digits)"
);
bytes_as_hex!(
    /// Sixteen random bytes that are used once.
    Nonce, 16, "a nonce (32 hex digits)"
);
bytes_as_hex!(
    /// Names one run of a playbook; chosen by the operator who starts it, so that a repeated start is the same run.
    RunId, 16, "a run id (32 hex digits)"
);
bytes_as_hex!(
    /// Names one order of one mandate, so that a repeated delivery is seen to be the same order.
    OrderId, 16, "an order id (32 hex digits)"
);
bytes_as_hex!(
    /// Names a piece of evidence at the hub: the order under which it was taken, or what [`EvidenceId::brought`] makes of an upload.
    EvidenceId, 16, "an evidence id (32 hex digits)"
);
bytes_as_hex!(
    /// The public half of the key to which evidence is sealed (X25519, RFC 7748).
    SealKey, 32, "a key to seal with (64 hex digits)"
);
bytes_as_hex!(
    /// Names such a key: the first eight bytes of the SHA-256 of its public half.
    SealKeyId, 8, "the id of a key to seal with (16 hex digits)"
);

impl From<OrderId> for EvidenceId {
    fn from(order: OrderId) -> Self {
        Self(order.0)
    }
}

impl EvidenceId {
    /// Names what a person brings, by the upload's nonce; hashed, so that nobody can choose one that is an order's.
    #[must_use]
    pub fn brought(upload: Nonce) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::of(&[b"khien brought v1\0".as_slice(), &upload.0].concat()).0[..16]);
        Self(id)
    }
}

impl AgentId {
    /// Names no agent: what was found in a file of packets was reported by none. No key has this digest.
    pub const NONE: Self = Self([0; 32]);
}

impl Sha256 {
    /// Hashes bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&format!(concat!($prefix, "{}"), self.0))
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            /// Takes the shown form, in any case, or the bare number.
            fn from_str(s: &str) -> Result<Self, BadId> {
                let upper = s.to_ascii_uppercase();
                match upper.strip_prefix($prefix).unwrap_or(&upper).parse() {
                    Ok(n) if n > 0 => Ok(Self(n)),
                    _ => Err(bad(s, $wanted)),
                }
            }
        }
        as_text!($name);
    };
}

numbered!(
    /// Numbers an alert in the order in which the hub saw it: `A-12`.
    AlertId, "A-", "an alert id such as A-12"
);

/// Names an incident as the agencies' own ledgers do (form BM-SC-01): `SC-2026-0001`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId {
    /// The Vietnamese calendar year in which it was opened.
    pub year: i16,
    /// Its number within that year, from 1.
    pub number: u32,
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("SC-{}-{:04}", self.year, self.number))
    }
}

impl FromStr for IncidentId {
    type Err = BadId;
    fn from_str(s: &str) -> Result<Self, BadId> {
        let upper = s.to_ascii_uppercase();
        let parsed = upper.strip_prefix("SC-").and_then(|r| {
            let (year, number) = r.split_once('-')?;
            Some(Self { year: year.parse().ok()?, number: number.parse().ok()? })
        });
        parsed
            .filter(|id| (2000..=9999).contains(&id.year) && id.number > 0)
            .ok_or_else(|| bad(s, "an incident id such as SC-2026-0001"))
    }
}
as_text!(IncidentId);

/// The longest rule or step name; longer is refused, not cut.
pub const MAX_NAME: usize = 96;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns the name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> {
                let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
                if s.is_empty() || s.len() > MAX_NAME || !s.bytes().all(fits) {
                    return Err(bad(s, $wanted));
                }
                Ok(Self(s.to_owned()))
            }
        }
        as_text!($name);
    };
}

named!(
    /// Names a rule or a built-in detector: letters, digits, `.`, `_` and `-`, at most [`MAX_NAME`].
    RuleId, "a rule id (letters, digits, `.`, `_`, `-`)"
);
named!(
    /// Names a step of a playbook, same alphabet as [`RuleId`].
    StepId, "a step id (letters, digits, `.`, `_`, `-`)"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_from_their_text() {
        assert_eq!("a-12".parse(), Ok(AlertId(12)));
        assert_eq!("12".parse(), Ok(AlertId(12)));
        assert_eq!("sc-2026-0007".parse(), Ok(IncidentId { year: 2026, number: 7 }));
        let hash = Sha256::of(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "A-", "A-0", "A--1", "SC-26", "../etc"] {
            assert!(text.parse::<AlertId>().is_err(), "{text}");
            assert!(text.parse::<IncidentId>().is_err(), "{text}");
        }
        assert!("a/b".parse::<RuleId>().is_err());
        assert!("é".repeat(20).parse::<Sha256>().is_err());
    }
}
