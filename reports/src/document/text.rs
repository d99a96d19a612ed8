//! Text of a document: bounded and inert.

use std::fmt;

use khien_core::untrusted::hides;
use serde::{Deserialize, Deserializer, Serialize};

/// The longest text of one paragraph or cell, in bytes; a Linux path in its written form still fits.
pub const MAX_TEXT: usize = 20_000;
const CUT: &str = " […]";

/// Text without control, hidden, reordering or unassigned special characters. They are shown as `\u{…}`; a line break
/// becomes a space. Longer than [`MAX_TEXT`] is cut with a visible mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Text(String);

impl Text {
    /// Makes any text inert.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let mut out = String::new();
        for c in text.as_ref().trim().chars() {
            if out.len() > MAX_TEXT {
                out.push_str(CUT);
                break;
            }
            push(c, &mut out);
        }
        Self(out)
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn push(c: char, out: &mut String) {
    match c {
        '\n' | '\r' | '\t' => out.push(' '),
        c if hides(c) || is_special(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

/// Noncharacters, which XML does not allow, and private use, which looks different in every font.
fn is_special(c: char) -> bool {
    let n = c as u32;
    n & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&n) || (0xe000..=0xf8ff).contains(&n) || n >= 0xe_0000
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<T: AsRef<str>> From<T> for Text {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::new(String::deserialize(d)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_fool_a_reader_is_written_out() {
        let text = Text::new("a\u{202e}fdp.exe\u{0}\u{ffff}\u{e000}\nb");

        assert_eq!(text.as_str(), r"a\u{202e}fdp.exe\u{0}\u{ffff}\u{e000} b");
    }

    #[test]
    fn long_text_is_cut_where_the_reader_sees_it() {
        let text = Text::new("đ".repeat(MAX_TEXT));

        assert!(text.as_str().len() < MAX_TEXT + 16);
        assert!(text.as_str().ends_with("[…]"));
    }

    #[test]
    fn text_from_json_is_made_inert_too() {
        let text: Text = serde_json::from_str(r#""a\u0007b""#).unwrap();

        assert_eq!(text.as_str(), r"a\u{7}b");
    }

    proptest! {
        #[test]
        fn any_text_becomes_what_xml_allows(text: String) {
            let inert = Text::new(text);

            prop_assert!(!inert.as_str().chars().any(|c| hides(c) || is_special(c)));
        }
    }
}
