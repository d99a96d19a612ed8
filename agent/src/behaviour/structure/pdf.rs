//! PDF: its end names a table, the table names where each object begins.

use super::{END, PART, Place, Source, end, is_random, jpeg, judge, last, places};

/// Objects that are looked for.
const MAX_OBJECTS: usize = 64;
/// Bytes of the table that are read.
const TABLE: usize = 4 << 10;
/// A line of the table.
const LINE: usize = 20;
/// What is looked at where an object must begin.
const BEGIN: usize = 32;

pub(super) fn is_broken(file: &dyn Source, seed: u64) -> bool {
    let tail = end(file, END);
    match last(&tail, b"startxref") {
        Some(at) => number(&tail[at + b"startxref".len()..]).is_some_and(|table| misses_objects(file, table)),
        // Only where all of its second half is random: pages that were scanned are, but as pictures, and that can be seen.
        None => {
            is_random(&tail) && !places(file.length() / 2, file.length(), seed).any(|at| is_pdf(file, at))
        }
    }
}

fn is_pdf(file: &dyn Source, at: u64) -> bool {
    let part = file.read(at, END);
    let says = |mark: &[u8]| last(&part, mark).is_some();
    !is_random(&part[..part.len().min(PART)])
        || says(b" obj")
        || says(b"endstream")
        || jpeg::marks(&part) == Place::Fits
}

/// Tells whether binary stands where the table, or what it names, must be.
fn misses_objects(file: &dyn Source, table: u64) -> bool {
    let list = file.read(table, TABLE);
    if judge(&list, BEGIN, is_text) == Place::Foreign {
        return true;
    }
    let missing = |at: &u64| judge(&file.read(*at, PART), BEGIN, is_text) == Place::Foreign;
    offsets(&list).take(MAX_OBJECTS).filter(missing).count() > 1
}

/// Returns what the table names: lines of 20 bytes such as `0000000015 00000 n`.
fn offsets(list: &[u8]) -> impl Iterator<Item = u64> {
    let is_line =
        |w: &&[u8]| w[10] == b' ' && w[16] == b' ' && w[17] == b'n' && w[..10].iter().all(u8::is_ascii_digit);
    list.windows(LINE - 2).filter(is_line).filter_map(|line| number(&line[..10]))
}

/// Text, or an object that begins, though what follows it is binary.
fn is_text(there: &[u8]) -> bool {
    let foreign = |b: &&u8| **b >= 128 || (**b < 32 && !b.is_ascii_whitespace());
    last(there, b"obj").is_some() || there.iter().filter(foreign).count() * 4 < there.len()
}

fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take(12).take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}
