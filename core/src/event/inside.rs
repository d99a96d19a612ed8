//! Files inside files: the way in to one, and why one was not looked into.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::ScanOutcome;
use crate::Untrusted;

/// The most names of a way in; more than any limit of depth.
pub const MAX_NAMES: usize = 16;
/// The longest name of an inner file in bytes; the rest is cut.
pub const MAX_NAME: usize = 255;

/// The way in to a file inside files: the name at each layer, outermost first, without the outermost file itself.
/// Shown as `thongbao.docx › word/vbaProject.bin`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Inside(Vec<Untrusted>);

impl Inside {
    /// Takes the names, and cuts what is too much of them.
    #[must_use]
    pub fn new(names: Vec<Untrusted>) -> Self {
        let cut = |name: Untrusted| match name.raw().len() {
            ..=MAX_NAME => name,
            _ => Untrusted::cut(name.raw(), MAX_NAME),
        };
        Self(names.into_iter().take(MAX_NAMES).map(cut).collect())
    }

    /// Tells whether it is the outermost file itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether another way leads further in through this file.
    #[must_use]
    pub fn leads_to(&self, other: &Self) -> bool {
        self.0.len() < other.0.len() && other.0.starts_with(&self.0)
    }

    /// Returns the names, outermost first.
    #[must_use]
    pub fn names(&self) -> &[Untrusted] {
        &self.0
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { " › " })?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Inside {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::new(Vec::deserialize(d)?))
    }
}

/// Something inside a file that was not looked into, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// Where; empty is the outermost file itself.
    pub inside: Inside,
    /// Why.
    pub why: NotSeen,
}

/// Why something inside a file was not looked into, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSeen {
    /// It has a password.
    Encrypted,
    /// It is damaged, or made to look so.
    Unreadable,
    /// Its format or its compression is not understood here.
    Unsupported,
    /// It lies too deep.
    Depth,
    /// There are too many inner files.
    Entries,
    /// The inner files are too large together.
    Total,
    /// An inner file is too large.
    Entry,
    /// It unpacks to too many times its size.
    Ratio,
    /// It needs too much memory.
    Memory,
    /// There was no time left.
    Time,
    /// It is memory that lies in the swap space: reading would bring it back.
    Swapped,
}

impl NotSeen {
    /// Every cause.
    pub const ALL: [Self; 11] = [
        Self::Encrypted,
        Self::Unreadable,
        Self::Unsupported,
        Self::Depth,
        Self::Entries,
        Self::Total,
        Self::Entry,
        Self::Ratio,
        Self::Memory,
        Self::Time,
        Self::Swapped,
    ];

    /// Returns the outcome of a scan that ended like this.
    #[must_use]
    pub fn outcome(self) -> ScanOutcome {
        match self {
            Self::Encrypted | Self::Unreadable | Self::Unsupported => ScanOutcome::Unreadable,
            Self::Time => ScanOutcome::Timeout,
            Self::Depth
            | Self::Entries
            | Self::Total
            | Self::Entry
            | Self::Ratio
            | Self::Memory
            | Self::Swapped => ScanOutcome::LimitExceeded,
        }
    }

    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Unreadable => "unreadable",
            Self::Unsupported => "unsupported",
            Self::Depth => "depth",
            Self::Entries => "entries",
            Self::Total => "total",
            Self::Entry => "entry",
            Self::Ratio => "ratio",
            Self::Memory => "memory",
            Self::Time => "time",
            Self::Swapped => "swapped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_in_reads_from_the_outside_inwards() {
        let inside = Inside::new(vec!["thongbao.docx".into(), "word/vbaProject.bin".into()]);

        assert_eq!(inside.to_string(), "thongbao.docx › word/vbaProject.bin");
        assert_eq!(serde_json::to_string(&inside).unwrap(), r#"["thongbao.docx","word/vbaProject.bin"]"#);
    }

    #[test]
    fn a_way_leads_only_to_what_is_further_in() {
        let way = |names: &[&str]| Inside::new(names.iter().map(|n| Untrusted::from(*n)).collect());

        assert!(Inside::default().leads_to(&way(&["a"])));
        assert!(way(&["a"]).leads_to(&way(&["a", "b"])));
        assert!(!way(&["a"]).leads_to(&way(&["a"])));
        assert!(!way(&["a"]).leads_to(&way(&["b", "a"])));
    }

    #[test]
    fn a_way_in_of_a_stranger_is_cut() {
        let many = vec!["x".repeat(1_000); 1_000];

        let inside: Inside = serde_json::from_str(&serde_json::to_string(&many).unwrap()).unwrap();

        assert_eq!(inside.names().len(), MAX_NAMES);
        assert!(inside.names().iter().all(|name| name.raw().len() == MAX_NAME));
    }

    #[test]
    fn nothing_that_was_not_seen_is_clean() {
        assert!(NotSeen::ALL.iter().all(|why| why.outcome().is_trouble()));
        for why in NotSeen::ALL {
            assert_eq!(serde_json::to_string(&why).unwrap(), format!("\"{}\"", why.as_str()));
        }
    }
}
