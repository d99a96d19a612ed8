//! Turns a report's data into a PDF: JSON on standard input, PDF on standard output.
//!
//! It confines itself before it reads the first byte: no files, no network, no other programs, bounded time and memory.
//!
//! Exit codes: 0 done · 2 wrong use · 3 no sandbox at all · 4 input too large or no report · 5 not rendered · 6 not written.

use std::{
    env,
    io::{self, Read, Write},
    process::ExitCode,
};

use khien_reports::{
    document::{Document, FORMAT},
    render::MAX_PDF_DATA,
};

mod render;
mod sandbox;

/// What went wrong, with the exit code that says so.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("khien-pdf takes a report's JSON on standard input and no arguments but --version")]
    Usage,
    #[error("cannot confine itself, so it does not read: {0}")]
    Sandbox(String),
    #[error("read the report: larger than 4 MiB")]
    TooLarge,
    #[error("read the report: {0}")]
    Unreadable(io::Error),
    #[error("read the report: {0}")]
    Malformed(serde_json::Error),
    #[error("read the report: format {0}, this program knows {FORMAT}")]
    Format(u32),
    #[error("render the report: {0}")]
    Render(#[from] render::RenderError),
    #[error("write the PDF: {0}")]
    Write(io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Sandbox(_) => 3,
            Self::TooLarge | Self::Unreadable(_) | Self::Malformed(_) | Self::Format(_) => 4,
            Self::Render(_) => 5,
            Self::Write(_) => 6,
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("khien-pdf: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => {}
        [one] if one == "--version" => {
            return write(format!("khien-pdf {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
        }
        _ => return Err(Failure::Usage),
    }
    confine()?;
    let document = read()?;
    write(&render::pdf(&document)?)
}

/// One missing layer is said, two are too few.
fn confine() -> Result<(), Failure> {
    let missing = sandbox::confine();
    for layer in &missing {
        eprintln!("khien-pdf: reduced sandbox: {layer}");
    }
    if missing.len() > 1 { Err(Failure::Sandbox(missing.join("; "))) } else { Ok(()) }
}

fn read() -> Result<Document, Failure> {
    let limit = MAX_PDF_DATA as u64;
    let mut text = Vec::new();
    io::stdin().lock().take(limit + 1).read_to_end(&mut text).map_err(Failure::Unreadable)?;
    if text.len() > MAX_PDF_DATA {
        return Err(Failure::TooLarge);
    }
    let document: Document = serde_json::from_slice(&text).map_err(Failure::Malformed)?;
    if document.format != FORMAT {
        return Err(Failure::Format(document.format));
    }
    Ok(document)
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::Write)
}
