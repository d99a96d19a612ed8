//! Writes every file of a report about a made-up incident into the folder that is named.
//!
//! `cargo run --release -p khien-reports --example draft -- FOLDER`

use std::{env, error::Error, fs, path::PathBuf};

use khien_reports::{Stage, draft};

#[path = "../tests/sample/mod.rs"]
mod sample;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or("which folder?")?);
    let sample = sample::Sample::new();
    let drafted = draft("nd331-nhanh", &sample.case(Stage::Full))?;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("report.docx"), &drafted.docx)?;
    fs::write(folder.join("report.pdf.json"), &drafted.pdf_data)?;
    fs::write(folder.join("report.stix.json"), &drafted.stix)?;
    fs::write(folder.join("report.md"), &drafted.markdown)?;
    for field in &drafted.missing {
        eprintln!("{}: {}", field.id, field.label.vi);
    }
    Ok(())
}
