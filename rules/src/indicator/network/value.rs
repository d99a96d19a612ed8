//! What a person or a list may name: an address, a name, a URL, a fingerprint, a digest; also as reports defang them.

use std::borrow::Cow;

use data_encoding::HEXLOWER_PERMISSIVE;
use khien_core::{Sha256, traffic::Ja4};

use super::{
    super::{is_specific, normal},
    prefix::Prefix,
    url::Url,
};

/// What is written for a dot, a colon or a slash, so that nobody follows a link by mistake.
const DEFANGED: [(&str, &str); 12] = [
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[DOT]", "."),
    ("[:]", ":"),
    ("(:)", ":"),
    ("[://]", "://"),
    ("[/]", "/"),
    ("\\.", "."),
];

/// One value, its kind known by its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An address or a network.
    Address(Prefix),
    /// The name of a host.
    Name(String),
    /// A URL.
    Url(Url),
    /// A fingerprint of a TLS client.
    Ja4(Ja4),
    /// The SHA-256 of a certificate or a file.
    Digest(Sha256),
}

impl Value {
    /// Reads a value, defanged or not. What has no known form is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = refanged(text.trim());
        let text = text.trim_matches(['"', '\'']);
        if let Some(prefix) = Prefix::parse(text) {
            return Some(Self::Address(prefix));
        }
        if let Some(ja4) = ja4(text) {
            return Some(Self::Ja4(ja4));
        }
        if let Some(digest) = digest(text) {
            return Some(Self::Digest(digest));
        }
        if text.contains('/') {
            return Url::parse(text).map(Self::Url);
        }
        let text = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
        normal(text).filter(|name| is_specific(name)).map(Self::Name)
    }

    /// Returns its one form as text; of what has none, nothing.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Address(prefix) => Some(prefix.to_string()),
            Self::Name(name) => Some(name.clone()),
            Self::Url(url) => String::from_utf8(url.as_bytes().to_vec()).ok(),
            Self::Ja4(ja4) => Some(ja4.to_string()),
            Self::Digest(digest) => Some(digest.to_string()),
        }
    }
}

/// Undoes what reports do to a value so that nobody follows it by mistake.
#[must_use]
pub fn refanged(text: &str) -> Cow<'_, str> {
    let is_defanged = text.contains(['[', '(', '{', '\\']) || has_masked_scheme(text);
    if !is_defanged {
        return Cow::Borrowed(text);
    }
    let mut clear = DEFANGED.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    if has_masked_scheme(&clear) {
        clear.replace_range(1..3, "tt");
    }
    Cow::Owned(clear)
}

/// `hxxp`, `hXXps`, `h**p`.
fn has_masked_scheme(text: &str) -> bool {
    let Some([h, a, b, p]) = text.as_bytes().first_chunk() else { return false };
    h.eq_ignore_ascii_case(&b'h')
        && p.eq_ignore_ascii_case(&b'p')
        && [a, b].iter().all(|c| matches!(c, b'x' | b'X' | b'*'))
}

/// Reads a fingerprint in any case.
pub(super) fn ja4(text: &str) -> Option<Ja4> {
    Ja4::new(text.to_ascii_lowercase().as_bytes())
}

/// Reads 64 hex digits, with or without colons between them.
pub(super) fn digest(text: &str) -> Option<Sha256> {
    let plain;
    let text = match text.len() {
        64 => text,
        95 => {
            plain = text.replace(':', "");
            &plain
        }
        _ => return None,
    };
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    Some(Sha256(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_known_by_its_form_also_defanged() {
        for (text, kind) in [
            ("203.0.113[.]7", "address 203.0.113.7"),
            ("203[dot]0(.)113{.}7", "address 203.0.113.7"),
            ("203.0.113.0/24", "address 203.0.113.0/24"),
            ("2001:db8::7", "address 2001:db8::7"),
            ("hxxps://evil[.]example/a", "url evil.example/a"),
            ("hXXp[:]//evil.example/a", "url evil.example/a"),
            ("http[://]evil.example/", "url evil.example/"),
            ("h**p://evil.example/a", "url evil.example/a"),
            ("evil[.]example/a", "url evil.example/a"),
            ("http://[2001:db8::7]/a", "url 2001:db8::7/a"),
            ("\"Evil.Example.\"", "name evil.example"),
            ("*.evil.example", "name evil.example"),
            ("t13d1516h2_8daaf6152771_b186095e22b6", "ja4 t13d1516h2_8daaf6152771_b186095e22b6"),
            (&"AB".repeat(32), &format!("digest {}", "ab".repeat(32))),
            (&["ab"; 32].join(":"), &format!("digest {}", "ab".repeat(32))),
        ] {
            assert_eq!(shown(text), kind, "{text}");
        }
        for none in ["", "evil", "com", "1.2.3", "a b.example", "hxxp", "http://"] {
            assert_eq!(Value::parse(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_none(text: String) {
            let _ = Value::parse(&text);
        }
    }

    fn shown(text: &str) -> String {
        match Value::parse(text) {
            Some(Value::Address(prefix)) => format!("address {prefix}"),
            Some(Value::Name(name)) => format!("name {name}"),
            Some(Value::Url(url)) => format!("url {}", String::from_utf8_lossy(url.as_bytes())),
            Some(Value::Ja4(ja4)) => format!("ja4 {ja4}"),
            Some(Value::Digest(digest)) => format!("digest {digest}"),
            None => "none".to_owned(),
        }
    }
}
