//! How a file that is kept an eye on differs from what it was.

use serde::{Deserialize, Serialize};

use crate::text::Words;

/// How it differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Integrity {
    /// It was not there before.
    Added,
}

impl Integrity {
    /// Says how.
    #[must_use]
    pub fn words(&self) -> Words {
        match self {
            Self::Added => Words { vi: "tệp mới".to_owned(), en: "a new file".to_owned() },
        }
    }
}
