//! Forms: which fields a report has, who fills them, and what is still missing.
//!
//! A form is data (`forms/`). What the incident knows is filled; what only a person may decide is left open and listed.

use std::{collections::BTreeMap, str::FromStr};

use jiff::civil::Date;
use khien_core::text::Words;
use serde::{Deserialize, Serialize};

mod facts;
mod fill;

pub use fill::{FillError, Filled, MissingField, Table, Value, fill};

/// The embedded forms.
const EMBEDDED: [&str; 1] = [include_str!("../forms/nd331-nhanh.toml")];

/// What a person answered: field id → text, or an option's id for a choice.
pub type Answers = BTreeMap<String, String>;

/// A form.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Its stable name, such as `nd331-nhanh`.
    pub id: String,
    /// The document type's code, such as `BC`.
    pub code: String,
    /// The type of document.
    pub title: Words,
    /// What it is about.
    pub subject: Words,
    /// To whom it goes if the organization names nobody else.
    pub recipient: String,
    /// Where the law asks for it.
    pub basis: String,
    /// The first day on which it is used.
    pub valid_from: Date,
    /// The fields of head and signature.
    pub head: Vec<Field>,
    /// The numbered sections.
    #[serde(rename = "section")]
    pub sections: Vec<Section>,
}

/// A numbered section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its heading.
    pub title: Words,
    /// Its fields.
    #[serde(rename = "field")]
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its stable name, such as `severity.serious`.
    pub id: String,
    /// Its label.
    pub label: Words,
    /// What kind of value it takes.
    #[serde(default)]
    pub kind: Kind,
    /// The stages at which it must be filled; `all` is every one.
    pub required: Vec<String>,
    /// The stages at which it is shown; empty is every one.
    #[serde(default)]
    pub shown: Vec<String>,
    /// It counts only if another field has this value.
    pub only_if: Option<OnlyIf>,
    /// Who fills it.
    pub source: Source,
    /// The boxes of a choice.
    #[serde(default)]
    pub options: Vec<Choice>,
}

/// The value of another field on which a field depends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlyIf {
    /// The other field.
    pub field: String,
    /// Its value.
    pub is: String,
}

/// What kind of value a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Words.
    #[default]
    Text,
    /// One of some boxes.
    Choice,
    /// A table that the incident fills.
    Table,
}

/// Who fills a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The incident.
    Incident,
    /// The organization's own file.
    Organization,
    /// The person who writes the report.
    Answer,
}

/// One box of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What an answer says to tick it.
    pub id: String,
    /// What stands beside it.
    pub label: Words,
}

/// Which report of one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Stage {
    /// At once.
    #[serde(rename = "now")]
    Now,
    /// The first notice.
    #[default]
    #[serde(rename = "24h")]
    First,
    /// Cause, scope, measures.
    #[serde(rename = "72h")]
    Full,
    /// An update.
    #[serde(rename = "update")]
    Update,
    /// The last one.
    #[serde(rename = "final")]
    Final,
}

impl Stage {
    /// Every stage, in the order in which they come.
    pub const ALL: [Self; 5] = [Self::Now, Self::First, Self::Full, Self::Update, Self::Final];

    /// Returns the stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::First => "24h",
            Self::Full => "72h",
            Self::Update => "update",
            Self::Final => "final",
        }
    }
}

/// The word names no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown stage, expected now, 24h, 72h, update or final")]
pub struct UnknownStage;

impl FromStr for Stage {
    type Err = UnknownStage;
    fn from_str(s: &str) -> Result<Self, UnknownStage> {
        Self::ALL.into_iter().find(|x| x.as_str() == s).ok_or(UnknownStage)
    }
}

/// The form's text cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("read a form")]
pub struct FormError(#[source] toml::de::Error);

impl Form {
    /// Reads a form from its TOML text.
    ///
    /// # Errors
    /// [`FormError`] if the text is no form.
    pub fn parse(text: &str) -> Result<Self, FormError> {
        toml::from_str(text).map_err(FormError)
    }

    /// Returns the embedded form of that name.
    #[must_use]
    pub fn find(id: &str) -> Option<Self> {
        library().into_iter().find(|f| f.id == id)
    }

    /// Returns every field, those of the head first.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.head.iter().chain(self.sections.iter().flat_map(|s| &s.fields))
    }
}

impl Field {
    /// Tells whether it stands in the report of that stage.
    #[must_use]
    pub fn is_shown(&self, stage: Stage) -> bool {
        self.shown.is_empty() || self.shown.iter().any(|s| s == stage.as_str())
    }

    /// Tells whether it must be filled at that stage.
    #[must_use]
    pub fn is_required(&self, stage: Stage) -> bool {
        self.required.iter().any(|s| s == "all" || s == stage.as_str())
    }
}

/// Returns every embedded form.
///
/// # Panics
/// Never: the embedded forms are read by a test.
#[must_use]
pub fn library() -> Vec<Form> {
    let read = |text| Form::parse(text).expect("the embedded forms are read by a test");
    EMBEDDED.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_embedded_form_is_whole() {
        for form in library() {
            let ids: BTreeSet<_> = form.fields().map(|f| f.id.as_str()).collect();
            assert_eq!(ids.len(), form.fields().count(), "{}: a field's name is used twice", form.id);
            for field in form.fields() {
                let known = |s: &String| s == "all" || s.parse::<Stage>().is_ok();
                assert!(field.required.iter().chain(&field.shown).all(known), "{}", field.id);
                assert_eq!(field.kind == Kind::Choice, !field.options.is_empty(), "{}", field.id);
                assert!(
                    field.only_if.as_ref().is_none_or(|o| ids.contains(o.field.as_str())),
                    "{}",
                    field.id
                );
            }
        }
    }

    #[test]
    fn the_three_contents_that_the_decree_demands_bind_at_72_hours() {
        let form = Form::find("nd331-nhanh").unwrap();

        for id in ["cause", "scope.assets", "measures.done"] {
            let field = form.fields().find(|f| f.id == id).unwrap();
            assert!(field.is_required(Stage::Full), "{id}");
        }
    }

    #[test]
    fn a_stage_reads_back_from_its_word() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(stage));
        }
        assert!("48h".parse::<Stage>().is_err());
    }
}
