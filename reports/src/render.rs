//! Renderers: one document, several files.

use crate::document::Document;

pub mod docx;
pub mod markdown;

/// The largest document that `khien-pdf` takes, in bytes of JSON.
pub const MAX_PDF_DATA: usize = 4 << 20;

/// Writes what `khien-pdf` takes on its standard input.
///
/// # Errors
/// Never for a document built here; the writer's error type is passed on.
pub fn pdf_data(document: &Document) -> Result<String, serde_json::Error> {
    serde_json::to_string(document)
}
