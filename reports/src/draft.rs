//! The one entry for whoever drafts a report: a case in, every file of it out.

use khien_core::{
    Timestamp,
    alert::Alert,
    incident::Incident,
    run::Run,
    text::{Words, trouble},
};

use crate::{
    document::build,
    exchange::stix,
    form::{Answers, FillError, Form, MissingField, Stage, fill},
    organization::Organization,
    render,
};

/// All that is known when a report is drafted.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Its alerts.
    pub alerts: &'a [Alert],
    /// Its playbook runs.
    pub runs: &'a [Run],
    /// Who writes.
    pub organization: &'a Organization,
    /// What a person answered.
    pub answers: &'a Answers,
    /// Which report.
    pub stage: Stage,
    /// The day of the document.
    pub now: Timestamp,
}

/// A drafted report, every file of it.
#[derive(Debug, Clone)]
pub struct Drafted {
    /// The editable document.
    pub docx: Vec<u8>,
    /// The STIX 2.1 bundle, JSON.
    pub stix: String,
    /// What `khien-pdf` takes on its standard input, JSON.
    pub pdf_data: String,
    /// The document for a terminal.
    pub markdown: String,
    /// What must still be filled; blank in the document.
    pub missing: Vec<MissingField>,
}

/// The report cannot be drafted.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// There is no such form.
    #[error("unknown form `{form}`, expected {known}")]
    UnknownForm {
        /// What was asked for.
        form: String,
        /// What there is.
        known: String,
    },
    /// An answer does not fit.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// The document could not be written.
    #[error(transparent)]
    Docx(#[from] render::docx::DocxError),
    /// JSON could not be written.
    #[error("write the report as JSON")]
    Json(#[from] serde_json::Error),
}

impl DraftError {
    /// Says it in both languages.
    #[must_use]
    pub fn words(&self) -> Words {
        match self {
            Self::UnknownForm { form, known } => trouble::UNKNOWN_FORM.words_with(&[form, known]),
            Self::Fill(e) => e.words(),
            Self::Docx(_) | Self::Json(_) => trouble::NO_REPORT.words(),
        }
    }
}

/// Drafts the report of a case. It is never sent from here: a person reads, completes and signs it.
///
/// # Errors
/// [`DraftError`] if the form is unknown or an answer does not fit it; missing fields are no error.
pub fn draft(form: &str, case: &Case<'_>) -> Result<Drafted, DraftError> {
    let form = Form::find(form).ok_or_else(|| unknown(form))?;
    let filled = fill(&form, case)?;
    let document = build::document(&form, case, &filled);
    Ok(Drafted {
        docx: render::docx::docx(&document)?,
        stix: serde_json::to_string_pretty(&stix::bundle(case))?,
        pdf_data: render::pdf_data(&document)?,
        markdown: render::markdown::markdown(&document),
        missing: filled.missing,
    })
}

fn unknown(form: &str) -> DraftError {
    let known: Vec<_> = crate::form::library().into_iter().map(|f| f.id).collect();
    let form = khien_core::untrusted::escape(form.chars().take(80).collect::<String>().as_bytes());
    DraftError::UnknownForm { form, known: known.join(", ") }
}
