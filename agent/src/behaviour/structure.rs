//! Whether a file goes on as its head begins: ransomware in a hurry leaves heads whole and encrypts what is behind them, or
//! every so much of it. Pure: callers pass what reads the file, and what draws the places.
//!
//! The bytes of a zip, a JPEG or a PDF look random by themselves, so how random they are says nothing. What says something
//! is where one part names the place of the next: there the next must stand.
//! ```text
//! zip   directory at the end ─► entries          jpeg  segments ─► scan in which 0xFF is marked
//! pdf   table at the end ─► objects              png   chunk ─► chunk       mp4  box ─► box
//! ole   head ─► tables of sectors                sqlite  pages that begin as pages do
//! ```
//! Where nothing stands yet, or zeros, a file may be in the making: that proves nothing.

use super::content::{SHORTEST, is_random};

mod chunks;
mod jpeg;
mod ole;
mod pdf;
mod sqlite;
mod zip;

/// Bytes of a sample that are judged by how random they are.
pub(super) const PART: usize = 1 << 10;
/// Places that are drawn in a large file.
const PLACES: u64 = 12;
/// A file has a further place for so many of its bytes.
const SPACED: u64 = 8 << 10;
/// What is judged as the end of a file.
const END: usize = 4 << 10;

/// Reads a file at any place.
pub(super) trait Source {
    /// Returns how long it is.
    fn length(&self) -> u64;
    /// Returns so many bytes from a place on; fewer where it ends, none where it cannot be read.
    fn read(&self, at: u64, length: usize) -> Vec<u8>;
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// What belongs there.
    Fits,
    /// What cannot stand there.
    Foreign,
    /// Nothing that says anything: no bytes yet, zeros, too few, or a mistake.
    Blank,
}

/// Tells whether a file of a known kind is foreign to its kind behind its head.
pub(super) fn is_broken(file: &dyn Source, seed: u64) -> bool {
    let head = file.read(0, 16);
    match &head[..] {
        [b'P', b'K', 3, 4, ..] => zip::is_broken(file),
        [b'%', b'P', b'D', b'F', ..] => pdf::is_broken(file, seed),
        [0xff, 0xd8, 0xff, ..] => jpeg::is_broken(file, seed),
        [0x89, b'P', b'N', b'G', ..] => chunks::is_broken_png(file),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => chunks::is_broken_mp4(file),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => ole::is_broken(file),
        [b'{', b'\\', b'r', b't', b'f', ..] => any_random(file, seed),
        _ if head.starts_with(b"SQLite format 3\0") => sqlite::is_broken(file, seed),
        _ => false,
    }
}

/// Returns places of a file from one on, one drawn in each of as many shares as its size is worth: nobody knows beforehand
/// what not to encrypt.
pub(super) fn places(from: u64, length: u64, seed: u64) -> impl Iterator<Item = u64> {
    let room = length.saturating_sub(from).saturating_sub(PART as u64);
    let count = (room / SPACED).clamp(1, PLACES);
    let share = (room / count).max(1);
    let mut state = seed | 1;
    (0..count).map(move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        from.saturating_add(n * share).saturating_add(state % share)
    })
}

fn any_random(file: &dyn Source, seed: u64) -> bool {
    places(0, file.length(), seed).any(|at| is_random(&file.read(at, PART)))
}

/// Judges the bytes from a place on where something of a length must stand. What else stands there is foreign only if it is
/// random: programs leave gaps and mistakes of their own.
fn judge(from: &[u8], length: usize, fits: impl FnOnce(&[u8]) -> bool) -> Place {
    match from.get(..length) {
        None => Place::Blank,
        Some(there) if fits(there) => Place::Fits,
        Some(_) if is_random(&from[..from.len().min(PART)]) || is_noise(from) => Place::Foreign,
        Some(_) => Place::Blank,
    }
}

/// Tells whether the last few bytes of a file, too few to say how random they are, are most likely no text, number or zeros.
fn is_noise(few: &[u8]) -> bool {
    few.len() < SHORTEST && few.iter().filter(|b| **b >= 128).count() * 3 > few.len()
}

/// Returns the last bytes of a file.
fn end(file: &dyn Source, length: usize) -> Vec<u8> {
    file.read(file.length().saturating_sub(length as u64), length)
}

fn last(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).rposition(|w| w == mark)
}

fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
