//! Text that came from outside: file names, packets, matched bytes.
//!
//! Its one written form is safe in every sink: a terminal, a log, JSON, a document. Bytes that are not UTF-8, control
//! characters, and characters that reorder or hide text are written as `\xNN` or `\u{NNNN}`, a backslash as `\\`.
//! The form is lossless, so a path survives the way through spool, hub and export.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest written form that is read back; a Linux path is at most 4,096 bytes, each written with up to four.
pub const MAX_WRITTEN: usize = 32 * 1024;
/// How many bytes one byte is written with at most: `\u{7f}`.
const GROWTH: usize = 6;

/// Bytes that came from outside. Only ever shown escaped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Untrusted(Vec<u8>);

impl Untrusted {
    /// Wraps bytes as they came.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Returns an empty one.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Wraps at most `max` bytes, the rest is cut.
    #[must_use]
    pub fn cut(bytes: &[u8], max: usize) -> Self {
        Self(bytes[..bytes.len().min(max)].to_vec())
    }

    /// Returns the bytes as they came: for the kernel and for matching, never for a screen.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape(&self.0))
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl Serialize for Untrusted {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Untrusted {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.len() > MAX_WRITTEN {
            return Err(de::Error::custom("text from outside is too long"));
        }
        // A peer that writes raw control characters gets them escaped on the way in, never passed on. Written like that they
        // are longer: what could be stored and not be read again is not taken.
        let raw = unescape(&text);
        match raw.len() * GROWTH > MAX_WRITTEN && escape(&raw).len() > MAX_WRITTEN {
            true => Err(de::Error::custom("text from outside is too long once it is escaped")),
            false => Ok(Self(raw)),
        }
    }
}

/// Writes bytes in the safe form.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| escape_char(c, &mut out));
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("\\x{b:02x}")));
    }
    out
}

fn escape_char(c: char, out: &mut String) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if hides(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

/// Tells whether a character controls the terminal, reorders text or cannot be seen.
#[must_use]
pub fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Reads the safe form back. What is no valid escape is taken literally.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let used = unescape_one(rest, &mut out);
        rest = &rest[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Reads one escape at the start of `text` and returns how many bytes it took.
fn unescape_one(text: &str, out: &mut Vec<u8>) -> usize {
    if text.starts_with("\\\\") {
        out.push(b'\\');
        return 2;
    }
    if let Some(byte) = text.strip_prefix("\\x").and_then(|r| u8::from_str_radix(r.get(..2)?, 16).ok()) {
        out.push(byte);
        return 4;
    }
    let wide = text.strip_prefix("\\u{").and_then(|r| {
        let (hex, _) = r.split_once('}')?;
        Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, hex.len() + 4))
    });
    match wide {
        Some((c, used)) => {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            used
        }
        None => {
            out.push(b'\\');
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_fool_a_reader_is_shown_as_text() {
        let name = "evil\x1b]52;c;x\x07 \u{9b}31m \u{202e}fdp.exe".as_bytes();

        assert_eq!(escape(name), r"evil\u{1b}]52;c;x\u{7} \u{9b}31m \u{202e}fdp.exe");
    }

    #[test]
    fn vietnamese_is_left_as_it_is() {
        assert_eq!(escape("Công văn hoả tốc – Đắk Lắk".as_bytes()), "Công văn hoả tốc – Đắk Lắk");
    }

    #[test]
    fn what_is_taken_can_be_written_and_read_again() {
        let of = |count: usize| serde_json::from_str::<Untrusted>(&format!("\"{}\"", "\u{7f}".repeat(count)));

        let taken = of(MAX_WRITTEN / GROWTH).unwrap();
        let written = serde_json::to_string(&taken).unwrap();
        assert_eq!(serde_json::from_str::<Untrusted>(&written).unwrap(), taken);
        assert!(of(MAX_WRITTEN / GROWTH + 1).is_err());
    }

    proptest! {
        #[test]
        fn the_written_form_is_lossless_and_safe(bytes: Vec<u8>) {
            let written = escape(&bytes);

            prop_assert_eq!(unescape(&written), bytes);
            prop_assert!(!written.chars().any(hides));
        }

        #[test]
        fn any_text_reads_back(text: String) {
            let _ = unescape(&text);
        }
    }
}
