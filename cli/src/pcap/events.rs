//! Writes records, a line of JSON each. Their names are stable: they are those of `core::traffic`.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context as _, Result};
use khien_core::{Untrusted, text::trouble, traffic::Record};
use serde::Serialize;

use crate::told::Told;

/// What names standard output.
pub(super) const STANDARD: &str = "-";
/// Bytes that are written at once.
const AT_ONCE: usize = 256 << 10;
/// Who else may read what went over the wire: nobody.
const MODE: u32 = 0o600;

/// Where records go.
pub(super) struct Events {
    out: BufWriter<Out>,
    pub(super) count: u64,
}

/// A record, and the file in which it was seen.
#[derive(Serialize)]
struct Line<'a> {
    capture: &'a Untrusted,
    #[serde(flatten)]
    record: &'a Record,
}

enum Out {
    Standard(io::Stdout),
    File(File),
}

impl Events {
    /// Begins a file, or standard output.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let out = match path.as_os_str() == STANDARD {
            true => Out::Standard(io::stdout()),
            false => {
                let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path);
                Out::File(file.with_context(|| Told::path(trouble::CANNOT_WRITE, path))?)
            }
        };
        Ok(Self { out: BufWriter::with_capacity(AT_ONCE, out), count: 0 })
    }

    /// Writes a record of a file.
    pub(super) fn write(&mut self, capture: &Untrusted, record: &Record) -> Result<()> {
        self.count += 1;
        serde_json::to_writer(&mut self.out, &Line { capture, record }).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Writes what is still held.
    pub(super) fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => {
                // Past its own buffer, which would look for the ends of lines in what is buffered already.
                let mut out = out.lock();
                out.write_all(bytes)?;
                Ok(bytes.len())
            }
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}
