//! Archives that open themselves: a program for Windows with an archive behind it.
//!
//! Zip is found by its end, whatever stands before. Here 7z is found by its signature and the sum of its header; RAR and
//! Cabinet are only told.

use khien_core::event::NotSeen;
use memchr::memmem;

use super::{kind::Kind, source::Source, walk::Walk};

pub(super) const MAGIC: &[u8] = b"MZ";
/// How far in the archive may begin: the programs before it have some hundred KiB.
const WITHIN: usize = 8 << 20;
const SEVEN: &[u8] = b"7z\xbc\xaf\x27\x1c";

/// Looks into the archive, if there is one.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let near = &bytes[..bytes.len().min(WITHIN)];
    if let Some(at) = memmem::find_iter(near, SEVEN).find(|at| is_seven(&bytes[*at..])) {
        return walk.look_as(Kind::Seven, Source::Bytes(&bytes[at..]));
    }
    let told = [(&b"Rar!\x1a\x07"[..], is_rar as fn(&[u8]) -> bool), (b"MSCF\0\0\0\0", is_cabinet)];
    if told.iter().any(|(magic, is)| memmem::find_iter(near, magic).any(|at| is(&bytes[at..]))) {
        walk.trouble(NotSeen::Unsupported);
    }
}

/// The sum of the header stands before it: the letters alone are in every program that reads such archives.
fn is_seven(rest: &[u8]) -> bool {
    let (Some(told), Some(header)) = (rest.get(8..12), rest.get(12..32)) else { return false };
    let mut sum = flate2::Crc::new();
    sum.update(header);
    sum.sum().to_le_bytes() == told
}

/// The first block is the main one, in both forms.
fn is_rar(rest: &[u8]) -> bool {
    match rest.get(6..) {
        Some([0, _, _, kind, ..]) => *kind == 0x73,
        Some([1, 0, _, _, _, _, _, kind, ..]) => *kind == 1,
        _ => false,
    }
}

fn is_cabinet(rest: &[u8]) -> bool {
    rest.get(24..26) == Some(&[3, 1])
}
