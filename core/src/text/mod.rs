//! What users read, Vietnamese and English side by side. One file for each room that speaks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

pub mod agent;
pub mod alert;
pub mod builtin;
pub mod command;
pub mod fleet;
pub mod help;
pub mod hub;
pub mod hunt;
pub mod inside;
pub mod integrity;
pub mod pcap;
pub mod problem;
pub mod reason;
pub mod records;
pub mod scan;
pub mod traffic;
pub mod trouble;
pub mod tui;
pub mod usage;
pub mod walk;

/// A reader's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Vietnamese.
    #[default]
    Vi,
    /// English.
    En,
}

impl FromStr for Lang {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "vi" => Ok(Self::Vi),
            "en" => Ok(Self::En),
            _ => Err("unknown language, expected vi or en".to_owned()),
        }
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vi => "vi",
            Self::En => "en",
        })
    }
}

/// A text in both languages that is data: a rule's explanation, a playbook's step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Words {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Words {
    /// Takes a text as it is for both readers: what a person typed, a path, a name.
    #[must_use]
    pub fn same(text: impl Into<String>) -> Self {
        let vi = text.into();
        Self { en: vi.clone(), vi }
    }

    /// Tells whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vi.is_empty() && self.en.is_empty()
    }

    /// Returns one of the two.
    #[must_use]
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::Vi => &self.vi,
            Lang::En => &self.en,
        }
    }
}

/// Reads [`Words`], or one text for both languages.
///
/// # Errors
/// If it is neither.
pub fn words_or_text<'de, D: Deserializer<'de>>(from: D) -> Result<Words, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Both(Words),
        One(String),
    }
    Ok(match Written::deserialize(from)? {
        Written::Both(words) => words,
        Written::One(text) => Words::same(text),
    })
}

/// Something that takes the place of a `{}`: the same for both readers, or [`Words`].
pub trait Spoken {
    /// Says it in a language.
    fn said(&self, lang: Lang) -> String;
}

impl<T: fmt::Display> Spoken for T {
    fn said(&self, _: Lang) -> String {
        self.to_string()
    }
}

impl Spoken for Words {
    fn said(&self, lang: Lang) -> String {
        self.get(lang).to_owned()
    }
}

/// A text in both languages that is part of the program. `{}` marks the places of values, in the same order in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Vietnamese.
    pub vi: &'static str,
    /// English.
    pub en: &'static str,
}

impl Message {
    /// Pairs the two.
    #[must_use]
    pub const fn new(vi: &'static str, en: &'static str) -> Self {
        Self { vi, en }
    }

    /// Returns one of the two.
    #[must_use]
    pub const fn get(&self, lang: Lang) -> &'static str {
        match lang {
            Lang::Vi => self.vi,
            Lang::En => self.en,
        }
    }

    /// Returns one of the two with values in the places of `{}`.
    #[must_use]
    pub fn with(&self, lang: Lang, values: &[&dyn fmt::Display]) -> String {
        self.filled(lang, values.iter().map(ToString::to_string))
    }

    /// Returns both with values in the places of `{}`, each value in the language of its text.
    #[must_use]
    pub fn words_with(&self, values: &[&dyn Spoken]) -> Words {
        let one = |lang| self.filled(lang, values.iter().map(|v| v.said(lang)));
        Words { vi: one(Lang::Vi), en: one(Lang::En) }
    }

    fn filled(&self, lang: Lang, mut values: impl Iterator<Item = String>) -> String {
        let mut out = String::new();
        for (i, part) in self.get(lang).split("{}").enumerate() {
            if i > 0 {
                out.push_str(&values.next().unwrap_or_default());
            }
            out.push_str(part);
        }
        out
    }

    /// Returns both as data.
    #[must_use]
    pub fn words(&self) -> Words {
        Words { vi: self.vi.to_owned(), en: self.en.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_places_in_order() {
        let m = Message::new("{} tệp ở {}", "{} files in {}");

        assert_eq!(m.with(Lang::Vi, &[&3, &"/srv"]), "3 tệp ở /srv");
    }

    #[test]
    fn words_in_words_keep_their_language_and_braces_in_a_value_are_only_text() {
        let m = Message::new("{}: lý do {}", "{}: because {}");
        let why = Words { vi: "hết hạn".to_owned(), en: "expired".to_owned() };

        let words = m.words_with(&[&"/srv/{}.php", &why]);

        assert_eq!(words.vi, "/srv/{}.php: lý do hết hạn");
        assert_eq!(words.en, "/srv/{}.php: because expired");
    }

    #[test]
    fn a_text_that_was_kept_in_one_language_reads_as_both() {
        let read = |json: &str| words_or_text(&mut serde_json::Deserializer::from_str(json)).unwrap();

        assert_eq!(read(r#""cũ""#), Words::same("cũ"));
        assert_eq!(read(r#"{"vi":"a","en":"b"}"#).en, "b");
    }
}
