//! What is done to files of a web root, or to many files at once.

use serde::{Deserialize, Serialize};

use crate::text::Words;

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Behaviour {
    /// A script appeared in a folder into which visitors upload.
    ScriptInUploads,
}

impl Behaviour {
    /// Says what.
    #[must_use]
    pub fn words(&self) -> Words {
        match self {
            Self::ScriptInUploads => Words {
                vi: "tập lệnh mới trong thư mục tải lên".to_owned(),
                en: "a new script in an upload folder".to_owned(),
            },
        }
    }
}
