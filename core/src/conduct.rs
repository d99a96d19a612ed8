//! What was done to files of a host that a built-in detector judges by the deed and not by the content.
//!
//! A deed is a code with arguments; [`Conduct::words`] says it in both languages.

use serde::{Deserialize, Serialize};

use crate::text::Words;

mod also;
pub mod behaviour;
mod integrity;

pub use also::Also;
pub use behaviour::{Behaviour, Deed};
pub use integrity::{Differs, Facts, Integrity, Kind, MAX_EXAMPLES};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Conduct {
    /// A file that the policy keeps an eye on is not what it was.
    Integrity(Box<Integrity>),
    /// Files of a web root, or many files at once, were handled as attackers do.
    Behaviour(Behaviour),
}

impl Conduct {
    /// Says what was done.
    #[must_use]
    pub fn words(&self) -> Words {
        match self {
            Self::Integrity(integrity) => integrity.words(),
            Self::Behaviour(behaviour) => behaviour.words(),
        }
    }
}
