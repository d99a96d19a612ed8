//! What users read, Vietnamese and English side by side. One file for each room that speaks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub mod agent;
pub mod alert;
pub mod command;
pub mod help;
pub mod tui;

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
    /// Returns one of the two.
    #[must_use]
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::Vi => &self.vi,
            Lang::En => &self.en,
        }
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
        let mut out = String::new();
        let mut values = values.iter();
        for (i, part) in self.get(lang).split("{}").enumerate() {
            if i > 0 {
                out.push_str(&values.next().map(|v| v.to_string()).unwrap_or_default());
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
}
