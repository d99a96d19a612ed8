//! Base64 inside scripts and other text: `eval(base64_decode("…"))` and its kin, also when it was deflated before.
//!
//! This is a guess and not a format, so that what does not decode is no trouble.

use std::{borrow::Cow, io::Read};

use khien_core::event::NotSeen;

use super::{kind, text, walk::Walk};

/// The shortest piece that is looked at; shorter ones are words and paths.
const MIN_PIECE: usize = 40;
/// The shortest run, all its pieces together.
pub(super) const MIN_RUN: usize = 60;
/// Blobs of one file that are decoded.
const MAX_BLOBS: u64 = 512;
/// Decoded bytes from which a blob need not look like anything to be scanned.
const MIN_ANY: usize = 256;
/// Decoded bytes by which a blob is judged.
const SAMPLE: usize = 128;
/// Bytes by which deflated bytes whose letters were turned are judged.
const TURNED: usize = 4 << 10;

/// Why a decoded blob is worth a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    AsItIs,
    /// Deflated, after so many bytes of header.
    Deflated(usize),
    /// The same with its letters turned by 13 places.
    Turned(usize),
}

/// Walks through the long runs of base64 in a file.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let (mut at, mut found) = (0, 0);
    while let Some((from, to, run)) = next_run(bytes, at) {
        at = to;
        if !walk.may_go_on() {
            return;
        }
        let Some((word, decoded, worth)) = decoded(run) else { continue };
        found += 1;
        if found > MAX_BLOBS {
            return walk.trouble(NotSeen::Entries);
        }
        if !walk.count() || !walk.spend(decoded.len()) {
            return;
        }
        let name = format!("{word}@{from}");
        match worth {
            Worth::AsItIs => walk.enter_blob(name.as_bytes(), &decoded),
            Worth::Deflated(skip) => walk.enter_deflated(name.as_bytes(), &decoded[skip..]),
            Worth::Turned(skip) => walk.enter_deflated(name.as_bytes(), &turned(&decoded)[skip..]),
        }
    }
}

/// Decodes a run that is worth a scan, and says as what.
fn decoded(run: Vec<u8>) -> Option<(&'static str, Vec<u8>, Worth)> {
    if is_filler(&run) {
        return None;
    }
    if let Some(bytes) = text::hex_digits(&run) {
        // Digests are numbers and no text, and by chance the start of a container.
        let worth = worth(&bytes).filter(|_| is_text(&bytes) || bytes.len() >= MIN_ANY)?;
        return Some(("hex", bytes, worth));
    }
    if is_number_or_filler(&run) {
        return None;
    }
    let bytes = text::base64(run);
    let worth = worth(&bytes)?;
    Some(("base64", bytes, worth))
}

/// Returns where the next long run starts and ends, and its letters without what joins them.
fn next_run(bytes: &[u8], mut at: usize) -> Option<(usize, usize, Vec<u8>)> {
    loop {
        let from = next_piece(bytes, at)?;
        let mut run = Vec::new();
        let mut end = from;
        loop {
            let piece = bytes[end..].iter().take_while(|b| text::is_base64(**b)).count();
            run.extend_from_slice(&bytes[end..end + piece]);
            end += piece;
            match joint(&bytes[end..]) {
                Some(len) if piece >= MIN_PIECE => end += len,
                _ => break,
            }
        }
        if run.len() >= MIN_RUN {
            return Some((from, end, run));
        }
        at = end;
    }
}

/// Looks at every so manieth byte only: a long enough piece cannot lie between two of them.
fn next_piece(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(byte) = bytes.get(at + MIN_PIECE - 1) {
        if !text::is_base64(*byte) {
            at += MIN_PIECE;
            continue;
        }
        let before = bytes[at..at + MIN_PIECE].iter().rev().take_while(|b| text::is_base64(**b)).count();
        if before == MIN_PIECE {
            return Some(at);
        }
        at += MIN_PIECE - before;
    }
    None
}

/// Tells how long what joins two pieces of one run is: a line break, written out or not, or two strings put together.
fn joint(rest: &[u8]) -> Option<usize> {
    let breaks = rest.iter().take(64).take_while(|b| b.is_ascii_whitespace()).count();
    if breaks > 0 && rest[..breaks].contains(&b'\n') {
        return goes_on(rest, breaks);
    }
    for written in [&b"\\r\\n"[..], b"\\n", b"\\\n"] {
        if rest.starts_with(written) {
            return goes_on(rest, written.len());
        }
    }
    let quote = *rest.first().filter(|b| matches!(b, b'"' | b'\''))?;
    let between = rest[1..].iter().take(64).position(|b| *b == quote)?;
    let is_plus = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'.' | b'+' | b'&' | b'_');
    rest[1..=between].iter().all(is_plus).then(|| goes_on(rest, between + 2)).flatten()
}

fn goes_on(rest: &[u8], len: usize) -> Option<usize> {
    rest.get(len).is_some_and(|b| text::is_base64(*b)).then_some(len)
}

/// Hashes and other numbers, and rows of one letter.
pub(super) fn is_number_or_filler(run: &[u8]) -> bool {
    run.iter().all(u8::is_ascii_hexdigit) || is_filler(run)
}

fn is_filler(run: &[u8]) -> bool {
    run.iter().all(|b| *b == run[0])
}

fn worth(decoded: &[u8]) -> Option<Worth> {
    let sample = &decoded[..decoded.len().min(SAMPLE)];
    if is_text(sample) || kind::is_program_or_container(sample) {
        return Some(Worth::AsItIs);
    }
    if let Some(skip) = header(decoded) {
        return Some(Worth::Deflated(skip));
    }
    // The head decides, so that the rest of a picture is not turned for nothing.
    if let Some(skip) = header(&turned(&decoded[..decoded.len().min(TURNED)])) {
        return Some(Worth::Turned(skip));
    }
    (decoded.len() >= MIN_ANY).then_some(Worth::AsItIs)
}

/// Returns deflated bytes and where they begin, if they are a text that was deflated.
pub(super) fn deflated(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, usize)> {
    if let Some(skip) = header(bytes) {
        return Some((Cow::Borrowed(bytes), skip));
    }
    let skip = header(&turned(&bytes[..bytes.len().min(TURNED)]))?;
    Some((Cow::Owned(turned(bytes)), skip))
}

fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|b| text::rot13(*b)).collect()
}

/// Returns the length of the header before deflated text, which may be none.
fn header(bytes: &[u8]) -> Option<usize> {
    let zlib = if matches!(bytes, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]) { 2 } else { 0 };
    [zlib, 0].into_iter().find(|skip| inflates_to_text(&bytes[*skip..]))
}

fn inflates_to_text(deflated: &[u8]) -> bool {
    let mut sample = [0; SAMPLE];
    let mut reader = flate2::bufread::DeflateDecoder::new(deflated);
    let mut had = 0;
    while had < SAMPLE
        && let Ok(got @ 1..) = reader.read(&mut sample[had..])
    {
        had += got;
    }
    had >= MIN_PIECE && is_text(&sample[..had])
}

/// UTF-8, perhaps cut off at its end, or UTF-16 of mostly Latin letters, with hardly a control character.
pub(super) fn is_text(sample: &[u8]) -> bool {
    let strange = sample.iter().filter(|b| matches!(b, 1..=8 | 14..=31 | 127)).count();
    let zeros = sample.iter().filter(|b| **b == 0).count();
    let is_utf8 = std::str::from_utf8(sample).map_or_else(|e| e.error_len().is_none(), |_| true);
    let is_wide = zeros * 4 >= sample.len() && zeros * 4 <= sample.len() * 3;
    strange * 32 <= sample.len() && (is_wide || is_utf8 && zeros == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_over_lines_and_joined_strings() {
        let piece = "QUJD".repeat(15);
        for joint in ["\n", "\r\n    ", "\\n", "\" .\n \"", "' + '", "\" & _\r\n \""] {
            let text = format!("x = \"{piece}{joint}{piece}\";");

            let (from, to, run) = next_run(text.as_bytes(), 0).unwrap();

            assert_eq!((from, run.len()), (5, piece.len() * 2), "{joint:?}");
            assert_eq!(&text[to..], "\";");
        }
    }

    #[test]
    fn words_hashes_and_keys_of_few_bytes_are_left_alone() {
        let text = format!("{}\n{}\n{}\n", "word ".repeat(100), "0123456789abcdef".repeat(4), "A".repeat(99));
        let runs =
            std::iter::successors(next_run(text.as_bytes(), 0), |(_, to, _)| next_run(text.as_bytes(), *to));

        assert!(runs.map(|(.., run)| run).all(|run| is_number_or_filler(&run)));
        assert_eq!(worth(&[0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15].repeat(8)), None);
    }

    #[test]
    fn every_run_is_found_wherever_it_begins() {
        for from in 0..200 {
            let text = format!("{}{}.", ".".repeat(from), "QUJD".repeat(15));
            assert_eq!(next_run(text.as_bytes(), 0).map(|r| (r.0, r.1)), Some((from, from + 60)));
        }
    }
}
