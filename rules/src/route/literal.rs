//! Byte strings that must be in a file, and a guess of how rare each is.
//!
//! The guess decides which of several mandatory strings is looked for; it never decides whether a rule may match.

/// The longest piece of a string that is compared: longer ones are no rarer in practice.
const LONGEST: usize = 24;
/// Pieces shorter than this cannot be looked up.
pub(crate) const SHORTEST: usize = 4;
/// What is in so many clean files that finding it says little, in lower case.
const COMMON: &[&str] = &[
    "<?php",
    "http://",
    "https://",
    "www.",
    ".com/",
    "<html",
    "<script",
    "</script>",
    "<?xml version=",
    "function ",
    "return ",
    "document",
    "content-type",
    "application/",
    "mozilla/5.0",
    "windows nt",
    "user-agent",
    "copyright",
    "license",
    "password",
    "username",
    "system",
    "error",
    "string",
    "version",
    "include",
    "import ",
    "public ",
    "private ",
    "static ",
    "default",
    "process",
    "/bin/sh",
    "/bin/bash",
    "#!/",
    "/dev/null",
    "/tmp/",
    "/etc/",
    "/usr/",
    "base64_decode",
    "$_server",
    "$_post",
    "$_get",
    "$_request",
    "this program cannot be run in dos mode",
    "kernel32.dll",
    "user32.dll",
    "getprocaddress",
    "loadlibrary",
    "microsoft",
    "windows",
    "python",
    "javascript",
    "subprocess",
    "socket",
    "connect",
    "exec",
    "eval(",
    "echo ",
    "print",
    "file_get_contents",
    "request",
    "response",
    "download",
    "update",
    "command",
    "shell",
    "admin",
    "config",
    "debug",
    "info",
    "name",
    "text/html",
    "charset=utf-8",
    "select ",
    "insert ",
    "delete",
    "create",
    "object",
    "array",
    "length",
    "value",
    "class ",
    "main",
    "test",
    "init",
    "libc.so.6",
    "__libc_start_main",
    "_start",
    "gcc: (",
    ".text",
    ".data",
    ".rodata",
    "chmod",
    "curl ",
    "wget ",
];

/// A piece of a pattern; a file without it cannot match the pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Literal {
    pub(crate) bytes: Vec<u8>,
    /// Upper and lower case of ASCII letters are the same.
    pub(crate) folded: bool,
    /// Where its rarest four bytes begin.
    pub(crate) key_at: u8,
    /// How much of a surprise finding it is, in tenths of a bit.
    tenths: u16,
}

impl Literal {
    /// Takes the rarest piece of a byte string, or nothing when it is too short to look up.
    pub(crate) fn rarest(bytes: &[u8], folded: bool) -> Option<Self> {
        let length = bytes.len().min(LONGEST);
        let piece = bytes.windows(length.max(1)).filter(|p| p.len() >= SHORTEST).max_by(|a, b| {
            let (a, b) = (weight(a), weight(b));
            a.total_cmp(&b)
        })?;
        let bytes = if folded { piece.to_ascii_lowercase() } else { piece.to_vec() };
        let tenths = (surprise(&bytes) * 10.0) as u16;
        let key_at = key_at(&bytes);
        Some(Self { bytes, folded, key_at, tenths })
    }

    /// Takes a piece as it was stored.
    pub(crate) fn stored(bytes: Vec<u8>, folded: bool, key_at: u8) -> Option<Self> {
        (usize::from(key_at) + SHORTEST <= bytes.len()).then_some(Self { bytes, folded, key_at, tenths: 0 })
    }

    /// Returns about how many bits of surprise finding it is.
    pub(crate) fn bits(&self) -> f32 {
        f32::from(self.tenths) / 10.0
    }

    /// Tells whether the bytes that begin at a place are this piece.
    pub(crate) fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(found) = at.checked_add(self.bytes.len()).and_then(|end| bytes.get(at..end)) else {
            return false;
        };
        if self.folded { found.eq_ignore_ascii_case(&self.bytes) } else { found == self.bytes }
    }
}

/// Returns where the rarest four bytes of a piece begin.
fn key_at(piece: &[u8]) -> u8 {
    let weights = piece.windows(SHORTEST).map(weight).zip(0..);
    weights.max_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(0, |(_, at)| at)
}

/// Guesses how many bits finding a piece tells; what is common in clean files tells little.
fn surprise(bytes: &[u8]) -> f32 {
    let text: String =
        bytes.iter().filter(|b| **b != 0).map(|b| char::from(*b).to_ascii_lowercase()).collect();
    let all = weight(bytes);
    if COMMON.iter().any(|c| c.contains(&text)) {
        return all.min(3.0);
    }
    let common = COMMON.iter().filter(|c| text.contains(*c)).map(|c| weight(c.as_bytes()) - 3.0);
    (all - common.fold(0.0_f32, f32::max)).max(0.0)
}

/// Sums up what each byte tells beyond the one before it.
fn weight(bytes: &[u8]) -> f32 {
    let mut before = None;
    let mut sum = 0.0;
    for byte in bytes {
        sum += if before == Some(*byte) { 0.7 } else { of_byte(*byte) };
        before = Some(*byte);
    }
    sum
}

fn of_byte(byte: u8) -> f32 {
    match byte.to_ascii_lowercase() {
        0 | 0xff => 1.5,
        b' ' | b'\n' | b'\r' | b'\t' => 1.6,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 2.0,
        b'a'..=b'z' => 2.8,
        b'0'..=b'9' => 2.8,
        b'_' | b'-' | b'/' | b'.' | b'"' | b'\'' | b'=' | b'(' | b')' | b',' | b';' | b':' => 2.4,
        0x21..=0x7e => 3.2,
        0x8b | 0x89 | 0xe8 | 0xc3 | 0xcc => 3.0,
        _ => 4.5,
    }
}
