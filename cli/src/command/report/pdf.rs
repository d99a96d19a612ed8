//! Asks `khien-pdf` for a PDF: data on its stdin, the PDF on its stdout, bounded in size and time.

use std::{path::PathBuf, process::Stdio, time::Duration};

use khien_core::{
    Lang,
    text::{self, trouble},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use crate::told::system;

/// How long one document may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The largest PDF.
const MAX_PDF: u64 = 64 << 20;
/// How much of what it complains is read.
const MAX_COMPLAINT: u64 = 4 << 10;

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PdfError {
    /// The program is not there.
    #[error("{} is not there", .0.display())]
    NotBuilt(PathBuf),
    /// It could not be started or spoken to.
    #[error("khien-pdf could not be used: {0}")]
    Io(#[from] std::io::Error),
    /// It took too long.
    #[error("khien-pdf took longer than {} seconds", LIMIT.as_secs())]
    Timeout,
    /// It said no.
    #[error("khien-pdf failed: {0}")]
    Failed(String),
    /// What it gave is no PDF, or too large.
    #[error("khien-pdf did not return a PDF of at most {MAX_PDF} bytes")]
    NoPdf,
}

impl PdfError {
    /// Says it in a language.
    pub(crate) fn shown(&self, lang: Lang) -> String {
        match self {
            Self::NotBuilt(path) => text::command::PDF_NOT_BUILT.with(lang, &[&path.display()]),
            Self::Io(e) => trouble::PDF_UNUSABLE.with(lang, &[&system(e, lang)]),
            Self::Timeout => trouble::PDF_SLOW.with(lang, &[&LIMIT.as_secs()]),
            Self::Failed(said) => trouble::PDF_SAID.with(lang, &[said]),
            Self::NoPdf => trouble::PDF_NONE.get(lang).to_owned(),
        }
    }
}

/// Renders a document.
pub(crate) async fn render(data: &[u8]) -> Result<Vec<u8>, PdfError> {
    let program = crate::up::beside("khien-pdf")?;
    if !program.is_file() {
        return Err(PdfError::NotBuilt(program));
    }
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Dropping the child at the end of its time kills it.
    timeout(LIMIT, rendered(command.spawn()?, data)).await.map_err(|_| PdfError::Timeout)?
}

async fn rendered(mut child: Child, data: &[u8]) -> Result<Vec<u8>, PdfError> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(output), Some(complaint)) = pipes else { return Err(PdfError::NoPdf) };
    let feed = async move {
        // If it stops reading, its exit code and its complaint say why.
        input.write_all(data).await.ok();
    };
    let (mut pdf, mut said) = (Vec::new(), Vec::new());
    let mut output = output.take(MAX_PDF + 1);
    let mut complaint = complaint.take(MAX_COMPLAINT);
    let (_, read, heard) = tokio::join!(feed, output.read_to_end(&mut pdf), complaint.read_to_end(&mut said));
    read?;
    heard?;
    if pdf.len() as u64 > MAX_PDF {
        return Err(PdfError::NoPdf);
    }
    match child.wait().await?.success() {
        true if pdf.starts_with(b"%PDF-") => Ok(pdf),
        true => Err(PdfError::NoPdf),
        false => Err(PdfError::Failed(String::from_utf8_lossy(&said).trim().to_owned())),
    }
}
