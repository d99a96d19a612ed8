//! Reads lists of indicators as the world sends them: one per line, `sha256sum` output, CSV with or without a head,
//! MISP's `filename|sha256` pairs. A bad line is counted and told, and never stops the rest.

use std::io::{self, BufRead, Read};

use data_encoding::HEXLOWER_PERMISSIVE;
use khien_core::{bundle::SetKind, untrusted::escape};

use super::{
    keys::{self, Key, Keys, MAX_KEYS},
    names::{MAX_GLOBS, Name},
};

/// The longest line, in bytes; MISP comments stay far below.
pub const MAX_LINE: usize = 4_096;
/// The most bad lines that are told one by one; all are counted.
pub const MAX_TOLD: usize = 20;
/// Characters of a bad line that are shown.
const SHOWN: usize = 60;
/// Digests of nothing: they stand on many lists by mistake and would make every empty file an alert.
const EMPTY: [&str; 3] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "d41d8cd98f00b204e9800998ecf8427e",
];

/// What a list gave.
#[derive(Debug, Default)]
pub struct Imported {
    /// The digests, or the exact names.
    pub keys: Keys,
    /// The globs of a list of names.
    pub globs: Vec<String>,
    /// Lines that gave entries.
    pub good: usize,
    /// Lines that hold a digest of another kind only: right for another set.
    pub other: usize,
    /// Lines that gave nothing and should have.
    pub bad: usize,
    /// The first of them.
    pub told: Vec<BadLine>,
}

/// A line that gave no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}: `{text}`")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
    /// Its beginning, escaped.
    pub text: String,
}

impl BadLine {
    /// Says what is wrong with a line. Its text may come from anywhere; it is cut and escaped.
    #[must_use]
    pub fn new(line: usize, what: &str, text: &[u8]) -> Self {
        Self { line, what: what.to_owned(), text: escape(&text[..text.len().min(SHOWN)]) }
    }
}

/// Reads a list of one kind.
///
/// # Errors
/// Only if the list itself cannot be read.
pub fn read(list: impl BufRead, kind: SetKind) -> io::Result<Imported> {
    let mut import = Import { kind, keys: Vec::new(), found: Imported::default() };
    let mut lines = Lines::new(list);
    let mut number = 0;
    while let Some(fits) = lines.next()? {
        number += 1;
        import.take(number, if fits { Ok(&lines.line) } else { Err(&lines.line) });
    }
    import.found.keys = Keys::new(import.keys);
    Ok(import.found)
}

/// Lines of bounded length.
pub(super) struct Lines<R> {
    list: R,
    /// The last line that was read, as far as it was kept.
    pub(super) line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Begins before the first line.
    pub(super) fn new(list: R) -> Self {
        Self { list, line: Vec::new() }
    }

    /// Reads the next line and tells whether it fits; what is too long is skipped without being kept.
    pub(super) fn next(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let most = MAX_LINE as u64 + 1;
        if self.list.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        let fits = self.line.ends_with(b"\n") || self.line.len() <= MAX_LINE;
        if !fits {
            self.list.skip_until(b'\n')?;
        }
        Ok(Some(fits))
    }
}

struct Import {
    kind: SetKind,
    keys: Vec<Key>,
    found: Imported,
}

impl Import {
    fn take(&mut self, number: usize, line: Result<&[u8], &[u8]>) {
        let text = match line {
            Ok(line) => line.trim_ascii(),
            Err(line) => return self.bad(number, "is longer than 4096 bytes", line),
        };
        let text = if number == 1 { text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text) } else { text };
        if text.is_empty() || text.starts_with(b"#") || text.starts_with(b"//") {
            return;
        }
        if self.keys.len() >= MAX_KEYS {
            return self.bad(number, "is more than one set may hold", text);
        }
        match self.kind {
            SetKind::FileName => self.name(number, text),
            kind => self.digest(number, text, kind),
        }
    }

    fn name(&mut self, number: usize, text: &[u8]) {
        let Ok(name) = std::str::from_utf8(text) else { return self.bad(number, "is not UTF-8", text) };
        match Name::parse(name) {
            Ok(Name::Exact(key)) => self.keys.push(key),
            Ok(Name::Glob(_)) if self.found.globs.len() >= MAX_GLOBS => {
                return self.bad(number, "is one glob more than a set may hold", text);
            }
            Ok(Name::Glob(glob)) => self.found.globs.push(glob),
            Err(e) => return self.bad(number, &e.to_string(), text),
        }
        self.found.good += 1;
    }

    fn digest(&mut self, number: usize, text: &[u8], kind: SetKind) {
        let digits = digits(kind);
        let before = self.keys.len();
        let mut of_other_kind = false;
        for token in tokens(text) {
            let Some(digest) = hex(token) else { continue };
            if token.len() != digits {
                of_other_kind = true;
            } else if EMPTY.iter().any(|e| token.eq_ignore_ascii_case(e.as_bytes())) {
                return self.bad(number, "is the digest of an empty file", text);
            } else {
                self.keys.extend(keys::key(&digest));
            }
        }
        match self.keys.len() > before {
            true => self.found.good += 1,
            false if of_other_kind => self.found.other += 1,
            // The first line of a CSV names its columns.
            false if number == 1 && text.contains(&b',') => {}
            false => self.bad(number, &format!("holds no {} of {digits} hex digits", word(kind)), text),
        }
    }

    fn bad(&mut self, line: usize, what: &str, text: &[u8]) {
        self.found.bad += 1;
        if self.found.told.len() < MAX_TOLD {
            self.found.told.push(BadLine::new(line, what, text));
        }
    }
}

/// Splits at whatever parts the columns of the known forms.
fn tokens(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| !b.is_ascii_alphanumeric()).filter(|t| t.len() >= 32)
}

fn hex(token: &[u8]) -> Option<Vec<u8>> {
    matches!(token.len(), 32 | 40 | 64).then(|| HEXLOWER_PERMISSIVE.decode(token).ok()).flatten()
}

fn digits(kind: SetKind) -> usize {
    match kind {
        SetKind::Sha256 => 64,
        SetKind::Sha1 => 40,
        SetKind::Md5 | SetKind::FileName => 32,
    }
}

fn word(kind: SetKind) -> &'static str {
    match kind {
        SetKind::Sha256 => "SHA-256",
        SetKind::Sha1 => "SHA-1",
        SetKind::Md5 => "MD5",
        SetKind::FileName => "file name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn every_known_form_of_a_line_gives_its_digest() {
        for line in [
            SHA256.to_owned(),
            SHA256.to_uppercase(),
            format!("{SHA256}  evil.bin"),
            format!("{SHA256} *evil.bin\r"),
            format!("\u{feff}{SHA256}"),
            format!("\"2026-11-01\",\"{MD5}\",\"{SHA256}\",\"seen, twice\""),
            format!("evil.exe|{SHA256}"),
            format!("5f1-uuid,12,Payload delivery,sha256,{SHA256},\"comment\",1"),
            format!("sha256:{SHA256}"),
        ] {
            let found = read(line.as_bytes(), SetKind::Sha256).unwrap();

            assert_eq!((found.good, found.bad, found.keys.len()), (1, 0, 1), "{line}");
            assert!(found.keys.contains(&keys::key(&khien_core::Sha256::of(b"abc").0).unwrap()));
        }
    }

    #[test]
    fn comments_blanks_and_a_head_are_no_errors_and_other_kinds_are_counted() {
        let list = format!("date,md5,sha256\n# note\n\n{MD5}\n{SHA256}\n");

        let found = read(list.as_bytes(), SetKind::Sha256).unwrap();

        assert_eq!((found.good, found.other, found.bad), (1, 1, 0));
    }

    #[test]
    fn bad_lines_are_counted_and_the_first_are_told_with_their_number() {
        let list = format!("{SHA256}\nnot a hash \x1b[31m\n{}\n{MD5}x\n{}\n", EMPTY[0], "zz\n".repeat(30));

        let found = read(list.as_bytes(), SetKind::Sha256).unwrap();

        assert_eq!((found.good, found.bad, found.told.len()), (1, 33, MAX_TOLD));
        assert_eq!(
            found.told[0].to_string(),
            "line 2: holds no SHA-256 of 64 hex digits: `not a hash \\u{1b}[31m`"
        );
        assert_eq!((found.told[1].line, found.told[1].what.as_str()), (3, "is the digest of an empty file"));
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_does_not_stop_the_rest() {
        let endless = io::repeat(b'a').take(50 << 20);
        let rest = format!("\n{SHA256}\n");
        let list = io::BufReader::new(endless.chain(rest.as_bytes()));

        let found = read(list, SetKind::Sha256).unwrap();

        assert_eq!((found.good, found.bad), (1, 1));
        assert_eq!((found.told[0].line, found.told[0].text.len()), (1, SHOWN));
    }

    #[test]
    fn names_and_globs_are_told_apart_and_too_wide_ones_are_bad() {
        let found =
            read(&b"readme_locked.txt\n*.khien-locked\n*.php\n\xFF\xFE\n"[..], SetKind::FileName).unwrap();

        assert_eq!((found.good, found.bad, found.keys.len()), (2, 2, 1));
        assert_eq!(found.globs, ["*.khien-locked"]);
    }
}
