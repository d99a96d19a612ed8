//! Lays the document out with typst. The report is data for the template, never a part of it; no file but the two that
//! live in this program can be read.

use std::fmt::Write;

use khien_reports::document::Document;
use serde_json::Value;
use typst::{
    Library, LibraryExt, World,
    diag::{FileError, FileResult, SourceDiagnostic},
    foundations::{Bytes, Datetime, Duration, Smart},
    syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot},
    text::{Font, FontBook},
    utils::LazyHash,
};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};

const TEMPLATE: &str = include_str!("report.typ");
const TEMPLATE_PATH: &str = "/report.typ";
const DATA_PATH: &str = "/document.json";
/// Liberation Serif has the widths of Times New Roman and every Vietnamese letter.
const FONTS: [&[u8]; 4] = [
    include_bytes!("../fonts/LiberationSerif-Regular.ttf"),
    include_bytes!("../fonts/LiberationSerif-Bold.ttf"),
    include_bytes!("../fonts/LiberationSerif-Italic.ttf"),
    include_bytes!("../fonts/LiberationSerif-BoldItalic.ttf"),
];

/// The report was not rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    /// The report could not be handed to the template.
    #[error("{0}")]
    Data(#[from] serde_json::Error),
    /// A part of this program is not as it was built.
    #[error("{0}")]
    Broken(&'static str),
    /// The template complained; a warning counts, since what it warns about is missing from the page.
    #[error("{0}")]
    Typst(String),
}

/// Renders a document as PDF/A-2b.
pub(crate) fn pdf(document: &Document) -> Result<Vec<u8>, RenderError> {
    let page = Page::new(document)?;
    let compiled = typst::compile::<PagedDocument>(&page);
    if !compiled.warnings.is_empty() {
        return Err(complaint(&compiled.warnings));
    }
    let paged = compiled.output.map_err(|e| complaint(&e))?;
    let standards =
        PdfStandards::new(&[PdfStandard::A_2b]).map_err(|_| RenderError::Broken("PDF/A-2b is not known"))?;
    let creator = Smart::Custom(Some("Khiên".to_owned()));
    let options = PdfOptions { standards, creator, ..PdfOptions::default() };
    typst_pdf::pdf(&paged, &options).map_err(|e| complaint(&e))
}

fn complaint(diagnostics: &[SourceDiagnostic]) -> RenderError {
    let all: Vec<_> = diagnostics.iter().map(|d| d.message.as_str()).collect();
    RenderError::Typst(all.join("; "))
}

/// The world in which the template lives.
struct Page {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    data_id: FileId,
    data: Bytes,
}

impl Page {
    fn new(document: &Document) -> Result<Self, RenderError> {
        let fonts: Vec<_> = FONTS.iter().filter_map(|f| Font::new(Bytes::new(*f), 0)).collect();
        if fonts.len() != FONTS.len() {
            return Err(RenderError::Broken("a font cannot be read"));
        }
        let mut data = serde_json::to_value(document)?;
        spell(&mut data, &fonts);
        Ok(Self {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(file_id(TEMPLATE_PATH)?, TEMPLATE.to_owned()),
            data_id: file_id(DATA_PATH)?,
            data: Bytes::from_string(serde_json::to_string(&data)?),
        })
    }
}

fn file_id(path: &str) -> Result<FileId, RenderError> {
    let path = VirtualPath::new(path).map_err(|_| RenderError::Broken("a path cannot be read"))?;
    Ok(RootedPath::new(VirtualRoot::Project, path).intern())
}

/// Writes characters that a font lacks as `\u{…}`, so that nobody reads an empty box.
fn spell(value: &mut Value, fonts: &[Font]) {
    match value {
        Value::String(text) => *text = spelled(text, fonts),
        Value::Array(items) => items.iter_mut().for_each(|v| spell(v, fonts)),
        Value::Object(members) => members.values_mut().for_each(|v| spell(v, fonts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn spelled(text: &str, fonts: &[Font]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if fonts.iter().all(|f| f.info().coverage.contains(c.into())) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    out
}

impl World for Page {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.template.id() { Ok(self.template.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.data_id { Ok(self.data.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    /// The document brings its own date.
    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}
