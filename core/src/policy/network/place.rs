//! A place outside, as policy names it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::net::{Cidr, NoCidr};

/// A place outside: a network, or a domain name and everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A network.
    Network(Cidr),
    /// A domain name, in small letters.
    Name(String),
}

/// The text is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place, expected a network such as 203.0.113.0/24 or a domain name such as update.example"
)]
pub struct NoPlace(String);

/// The longest domain name.
const MAX_DOMAIN: usize = 253;

impl FromStr for Place {
    type Err = NoPlace;
    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let network: Result<Cidr, NoCidr> = text.parse();
        if let Ok(network) = network {
            return Ok(Self::Network(network));
        }
        let label = |l: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !l.is_empty() && l.len() < 64 && l.bytes().all(plain)
        };
        // A name that ends in a number is an address with a fault in it.
        let is_word = text.rsplit('.').next().is_some_and(|l| l.bytes().any(|b| b.is_ascii_alphabetic()));
        match text.len() <= MAX_DOMAIN && text.contains('.') && is_word && text.split('.').all(label) {
            true => Ok(Self::Name(text.to_ascii_lowercase())),
            false => Err(NoPlace(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
