//! Reads a playbook from TOML text. An error names the file, the line and what is wrong.

use khien_core::{Sha256, StepId, text::Words};
use serde::Deserialize;

use crate::{
    check::{self, Unsound},
    model::{Playbook, Step, StepKind, VerbName},
};

/// The largest text of a playbook, in bytes.
pub const MAX_TEXT: usize = 256 << 10;

/// Why a text is no playbook.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Larger than [`MAX_TEXT`].
    #[error("{0}: playbook is larger than 256 KiB")]
    TooLarge(String),
    /// Not the wanted TOML; the source has the line.
    #[error("{name}: {source}")]
    Toml {
        /// The file.
        name: String,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
    /// Reads well but would do harm or nothing.
    #[error("{name}: {source}")]
    Unsound {
        /// The file.
        name: String,
        /// What is wrong.
        source: Unsound,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    id: String,
    title: Words,
    summary: Words,
    steps: Vec<StepText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    id: StepId,
    title: Words,
    kind: KindText,
    verb: Option<VerbName>,
    #[serde(default)]
    undo: Vec<VerbName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindText {
    Order,
    Approval,
}

/// Reads and checks a playbook; `name` is its file name, for the error.
///
/// # Errors
/// [`ParseError`].
pub fn playbook(name: &str, text: &str) -> Result<Playbook, ParseError> {
    if text.len() > MAX_TEXT {
        return Err(ParseError::TooLarge(name.to_owned()));
    }
    let Text { id, title, summary, steps } =
        toml::from_str(text).map_err(|e| ParseError::Toml { name: name.to_owned(), source: Box::new(e) })?;
    let unsound = |source| ParseError::Unsound { name: name.to_owned(), source };
    let steps = steps.into_iter().map(step).collect::<Result<_, _>>().map_err(unsound)?;
    let playbook = Playbook { id, title, summary, hash: Sha256::of(text.as_bytes()), steps };
    check::playbook(&playbook).map_err(unsound)?;
    Ok(playbook)
}

fn step(text: StepText) -> Result<Step, Unsound> {
    let StepText { id, title, kind, verb, undo } = text;
    let kind = match (kind, verb) {
        (KindText::Order, Some(verb)) => StepKind::Order { verb, undo },
        (KindText::Approval, None) if undo.is_empty() => StepKind::Approval,
        (KindText::Order, None) => return Err(Unsound::NoVerb(id)),
        (KindText::Approval, _) => return Err(Unsound::Verb(id)),
    };
    Ok(Step { id, title, kind })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_error_names_file_and_line() {
        let text = "id = \"x\"\ntitle = { vi = \"a\", en = \"b\" }\nsummary = 3\nsteps = []\n";

        let error = playbook("x.toml", text).unwrap_err().to_string();

        assert!(error.starts_with("x.toml: "), "{error}");
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_step_of_an_unknown_kind_or_verb_is_refused() {
        for step in ["kind = \"shell\"", "kind = \"order\"\nverb = \"run_command\""] {
            let text = format!(
                "id = \"x\"\ntitle = {{ vi = \"a\", en = \"b\" }}\nsummary = {{ vi = \"a\", en = \"b\" }}\n\
                 [[steps]]\nid = \"s\"\ntitle = {{ vi = \"a\", en = \"b\" }}\n{step}\n"
            );

            assert!(playbook("x.toml", &text).is_err(), "{step}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = playbook("x.toml", &text);
        }
    }
}
