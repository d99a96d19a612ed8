//! What is let be though it stands on a list, or lies within an entry of one: the team's own addresses, names and URLs.
//!
//! Entries that are let be themselves are left out when a pack is made. What travels is what lies within an entry and
//! must not be an alert: `vncert.github.io` below a listed `github.io`. It travels as text: keys that two texts could
//! share by work would be a way to hide. Each kind is for itself: a name that is let be says nothing of its URLs.

use std::{
    collections::HashSet,
    io::{self, BufRead},
};

use khien_core::{Sha256, bundle::MAX_ALLOWED, traffic::Ja4};

use super::{
    broad,
    groups::Groups,
    import::{self, BadLine, MAX_TOLD},
    prefix::{Prefix, Prefixes},
    url::Url,
    value::Value,
};

/// The most entries that are read, all files of a pack together; MISP's lists of popular sites have a million.
const MAX_READ: usize = 4_000_000;

/// What is let be.
#[derive(Debug, Default)]
pub struct Allow {
    prefixes: Prefixes,
    names: HashSet<Box<str>>,
    urls: HashSet<Box<[u8]>>,
    ja4: HashSet<Ja4>,
    digests: HashSet<Sha256>,
    values: Vec<Value>,
}

/// What files of things that are let be hold.
#[derive(Debug, Default)]
pub struct Read {
    values: Vec<Value>,
    /// Lines that are nothing that can be let be, as they are told: the first of them.
    pub told: Vec<BadLine>,
    /// How many they are.
    pub bad: usize,
}

impl Read {
    /// Reads one more file: values one per line, or one of MISP's warning lists.
    ///
    /// # Errors
    /// Only if the file itself cannot be read.
    pub fn file(&mut self, list: impl BufRead) -> io::Result<()> {
        import::lines(list, |number, line| {
            let text = line.map(import::without_comment);
            let fault = match text {
                Ok("") => return,
                Ok(text) => match Value::parse(text) {
                    _ if self.values.len() >= MAX_READ => "is more than may be let be",
                    Some(value) => match too_broad(&value) {
                        Some(why) => why,
                        None => return self.values.push(value),
                    },
                    None => "is no address, network, name, URL or fingerprint",
                },
                Err(why) => why,
            };
            self.bad += 1;
            if self.told.len() < MAX_TOLD {
                self.told.push(BadLine::new(number, fault, text.unwrap_or_default().as_bytes()));
            }
        })
    }
}

/// A gap that would silence a whole list.
fn too_broad(value: &Value) -> Option<&'static str> {
    match value {
        Value::Address(prefix) if prefix.is_too_wide() => Some("is wider than /8, or /19 of IPv6"),
        Value::Name(name) if broad::is_suffix(name) => Some("is a name under which anybody may have one"),
        _ => None,
    }
}

impl Allow {
    /// Takes what was read.
    #[must_use]
    pub fn new(read: Read) -> Self {
        Self::of(read.values, true)
    }

    /// Takes what a pack brings, at most [`MAX_ALLOWED`]. What has no known form is left out: then its alerts come.
    #[must_use]
    pub fn shipped(texts: &[String]) -> Self {
        Self::of(texts.iter().take(MAX_ALLOWED).filter_map(|text| Value::parse(text)).collect(), false)
    }

    fn of(values: Vec<Value>, keep: bool) -> Self {
        let mut allow = Self::default();
        let mut prefixes = Vec::new();
        for value in &values {
            match value {
                Value::Address(prefix) => prefixes.push((*prefix, 0)),
                Value::Name(name) => {
                    allow.names.insert(name.as_str().into());
                }
                Value::Url(url) => {
                    allow.urls.insert(url.as_bytes().into());
                }
                Value::Ja4(ja4) => {
                    allow.ja4.insert(*ja4);
                }
                Value::Digest(digest) => {
                    allow.digests.insert(*digest);
                }
            }
        }
        allow.prefixes = Prefixes::new(prefixes, &mut Groups::new(1));
        allow.values = if keep { values } else { Vec::new() };
        allow
    }

    /// Returns what it was made of.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Tells whether all of a network is let be.
    #[must_use]
    pub fn has_network(&self, prefix: &Prefix) -> bool {
        self.prefixes.cover(prefix)
    }

    /// Tells whether a name in lower case is let be, by itself or below one that is.
    #[must_use]
    pub fn has_name(&self, name: &[u8]) -> bool {
        !self.names.is_empty()
            && std::str::from_utf8(name).is_ok_and(|name| above(name).any(|name| self.names.contains(name)))
    }

    /// Tells whether a URL is let be, by itself, its path or a folder above.
    #[must_use]
    pub fn has_url(&self, url: &Url) -> bool {
        !self.urls.is_empty() && url.candidates().any(|candidate| self.urls.contains(candidate))
    }

    /// Tells whether a fingerprint is let be.
    #[must_use]
    pub fn has_ja4(&self, ja4: &Ja4) -> bool {
        self.ja4.contains(ja4)
    }

    /// Tells whether the digest of a certificate or a file is let be.
    #[must_use]
    pub fn has_digest(&self, digest: &Sha256) -> bool {
        self.digests.contains(digest)
    }
}

/// Returns a name and those above it.
fn above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |rest| Some(rest.split_once('.')?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_is_let_be_and_what_lies_beside_is_not() {
        let allow = allow("# ours\n203.0.113.0/24 # lab\nVNCERT.example\nhttp://a.example/kit/\n");

        let has = |text: &str| match Value::parse(text).unwrap() {
            Value::Address(prefix) => allow.has_network(&prefix),
            Value::Name(name) => allow.has_name(name.as_bytes()),
            Value::Url(url) => allow.has_url(&url),
            Value::Ja4(_) | Value::Digest(_) => false,
        };
        for text in
            ["203.0.113.9", "203.0.113.128/25", "vncert.example", "www.vncert.example", "a.example/kit/x?y"]
        {
            assert!(has(text), "{text}");
        }
        for text in ["203.0.114.9", "203.0.112.0/23", "notvncert.example", "a.example/kit2", "a.example"] {
            assert!(!has(text), "{text}");
        }
    }

    #[test]
    fn a_warning_list_of_misp_is_read_and_what_would_silence_all_is_refused() {
        let json =
            r#"{"name":"x","type":"hostname","list":["a.example","com","gov.vn","203.0.113.7"],"version":1}"#;
        let mut read = Read::default();

        read.file(json.as_bytes()).unwrap();
        read.file(&b"0.0.0.0/0\n"[..]).unwrap();

        assert_eq!((read.values.len(), read.bad), (2, 3));
        assert!(read.told.iter().any(|bad| bad.text == "gov.vn"), "{:?}", read.told);
    }

    fn allow(text: &str) -> Allow {
        let mut read = Read::default();
        read.file(text.as_bytes()).unwrap();
        assert_eq!(read.bad, 0, "{:?}", read.told);
        Allow::new(read)
    }
}
