//! Fills a form: answers of a person first, then the organization's file, then what the incident knows.

use std::collections::BTreeMap;

use khien_core::text::{Words, trouble};
use serde::Serialize;

use super::{Field, Form, Kind, Source, facts};
use crate::draft::Case;

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 16 << 10;

/// A form with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Field id → value; a field that nobody filled is absent.
    pub values: BTreeMap<String, Value>,
    /// What must still be filled, in the order of the form.
    pub missing: Vec<MissingField>,
}

/// A filled field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words.
    Text(String),
    /// Some lines.
    Lines(Vec<String>),
    /// The id of the ticked box.
    Choice(String),
    /// A table.
    Table(Table),
}

/// A table that the incident fills.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Heads of the columns and their share of the width in percent.
    pub columns: Vec<(&'static str, u8)>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

/// A field that must still be filled. `--json` prints this type as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingField {
    /// The field.
    pub id: String,
    /// Its label.
    pub label: Words,
    /// The ids of its options, for a choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// An answer does not fit the form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The form has no such field.
    #[error("the form has no field `{0}`")]
    UnknownField(String),
    /// The field is none that a person fills.
    #[error("field `{0}` is filled from the incident")]
    NotAnAnswer(String),
    /// The choice has no such option.
    #[error("field `{field}` takes {options}")]
    UnknownOption {
        /// The field.
        field: String,
        /// What it takes.
        options: String,
    },
    /// The answer is too long.
    #[error("the answer for `{0}` is longer than 16 KiB")]
    TooLong(String),
}

impl FillError {
    /// Says it in both languages.
    #[must_use]
    pub fn words(&self) -> Words {
        match self {
            Self::UnknownField(field) => trouble::UNKNOWN_FIELD.words_with(&[field]),
            Self::NotAnAnswer(field) => trouble::NOT_AN_ANSWER.words_with(&[field]),
            Self::UnknownOption { field, options } => trouble::UNKNOWN_OPTION.words_with(&[field, options]),
            Self::TooLong(field) => trouble::ANSWER_TOO_LONG.words_with(&[field]),
        }
    }
}

/// Fills a form for a case.
///
/// # Errors
/// [`FillError`] if an answer does not fit the form.
pub fn fill(form: &Form, case: &Case<'_>) -> Result<Filled, FillError> {
    for (id, answer) in case.answers {
        accept(form, id, answer)?;
    }
    let values: BTreeMap<_, _> =
        form.fields().filter_map(|f| Some((f.id.clone(), value(f, case)?))).collect();
    let missing = form.fields().filter(|f| is_missing(f, case, &values)).map(missing).collect();
    Ok(Filled { values, missing })
}

fn accept(form: &Form, id: &str, answer: &str) -> Result<(), FillError> {
    let shown = || khien_core::untrusted::escape(id.chars().take(80).collect::<String>().as_bytes());
    let Some(field) = form.fields().find(|f| f.id == id) else {
        return Err(FillError::UnknownField(shown()));
    };
    if answer.len() > MAX_ANSWER {
        return Err(FillError::TooLong(shown()));
    }
    if !may_answer(field) {
        return Err(FillError::NotAnAnswer(shown()));
    }
    let fits = field.kind != Kind::Choice || field.options.iter().any(|o| o.id == answer.trim());
    if !fits && !answer.trim().is_empty() {
        let options: Vec<_> = field.options.iter().map(|o| o.id.as_str()).collect();
        return Err(FillError::UnknownOption { field: shown(), options: options.join(", ") });
    }
    Ok(())
}

/// A person may put the incident's words differently, but not its code, its T0, its tables or the stage.
fn may_answer(field: &Field) -> bool {
    let fixed = matches!(field.id.as_str(), "incident.code" | "incident.detected" | "report.stage");
    field.kind != Kind::Table && !fixed
}

fn value(field: &Field, case: &Case<'_>) -> Option<Value> {
    let answer = case.answers.get(&field.id).map(|a| a.trim()).filter(|a| !a.is_empty());
    if let Some(answer) = answer {
        return Some(match field.kind {
            Kind::Choice => Value::Choice(answer.to_owned()),
            Kind::Text | Kind::Table => Value::Text(answer.to_owned()),
        });
    }
    match field.source {
        Source::Incident => facts::of(case, &field.id),
        Source::Organization => case.organization.field(&field.id).map(|v| Value::Text(v.to_owned())),
        Source::Answer => None,
    }
}

fn is_missing(field: &Field, case: &Case<'_>, values: &BTreeMap<String, Value>) -> bool {
    let counts =
        field.only_if.as_ref().is_none_or(|o| values.get(&o.field) == Some(&Value::Choice(o.is.clone())));
    counts && field.is_shown(case.stage) && field.is_required(case.stage) && !values.contains_key(&field.id)
}

fn missing(field: &Field) -> MissingField {
    MissingField {
        id: field.id.clone(),
        label: field.label.clone(),
        options: field.options.iter().map(|o| o.id.clone()).collect(),
    }
}
