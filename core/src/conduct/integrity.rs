//! How a file that is kept an eye on differs from what it was.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Sha256, Untrusted,
    text::{Words, integrity as t},
};

/// The most paths that stand for many changes.
pub const MAX_EXAMPLES: usize = 12;

/// A change of a file that is kept an eye on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrity {
    /// What changed.
    #[serde(flatten)]
    pub differs: Differs,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Facts>,
    /// What it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Facts>,
    /// Whether it was done while no agent ran: found at the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Differs {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It has other content.
    Content,
    /// It has another mode or owner, and the same content.
    Rights,
    /// Its content was read before and cannot be read any more: too large now, or not allowed.
    Unread,
    /// It is a link that leads elsewhere.
    Link {
        /// Where it led.
        from: Untrusted,
        /// Where it leads.
        to: Untrusted,
    },
    /// Something of another kind is in its place.
    Replaced {
        /// What it was.
        from: Kind,
        /// What it is.
        to: Kind,
    },
    /// Many files changed within moments.
    Many {
        /// New ones.
        added: u64,
        /// Ones that are gone.
        removed: u64,
        /// Other content, link target or kind, or content that cannot be read any more.
        content: u64,
        /// Other mode or owner.
        rights: u64,
        /// Some of them.
        #[serde(deserialize_with = "some")]
        examples: Vec<Untrusted>,
    },
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A pipe, a socket or a device.
    Other,
}

/// What is compared of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Of its content, if that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Permission bits.
    pub mode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
}

impl Integrity {
    /// Says how.
    #[must_use]
    pub fn words(&self) -> Words {
        t::words(self)
    }
}

/// Reads no more examples than there may be.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Untrusted>, D::Error> {
    let mut all = Vec::<Untrusted>::deserialize(from)?;
    all.truncate(MAX_EXAMPLES);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduct::Conduct;

    #[test]
    fn a_change_reads_back_as_it_was_written() {
        let facts = |mode| Some(Facts { sha256: Some(Sha256::of(b"x")), mode, uid: 0, gid: 0 });
        let many = Differs::Many { added: 1, removed: 2, content: 3, rights: 4, examples: vec!["/a".into()] };
        let all = [
            Integrity { differs: Differs::Added, before: None, after: facts(0o644), unwatched: true },
            Integrity {
                differs: Differs::Rights,
                before: facts(0o644),
                after: facts(0o666),
                unwatched: false,
            },
            Integrity { differs: Differs::Unread, before: facts(0o644), after: None, unwatched: false },
            Integrity { differs: many, before: None, after: None, unwatched: false },
        ];
        for change in all {
            let written = serde_json::to_string(&Conduct::Integrity(Box::new(change.clone()))).unwrap();

            assert_eq!(
                serde_json::from_str::<Conduct>(&written).unwrap(),
                Conduct::Integrity(Box::new(change)),
                "{written}"
            );
        }
    }
}
