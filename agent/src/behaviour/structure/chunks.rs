//! PNG and MP4: each part tells its length and its name, and the next begins where it ends.

use super::{PART, Place, Source, judge, u32_be};

/// Parts that are passed over.
const MAX_CHUNKS: usize = 512;
/// The longest part of a PNG.
const MAX_LENGTH: u32 = 1 << 31;

/// Length, name, content, checksum.
pub(super) fn is_broken_png(file: &dyn Source) -> bool {
    let mut at = 8_u64;
    for _ in 0..MAX_CHUNKS {
        let head = file.read(at, PART);
        let is_chunk = |there: &[u8]| {
            there[4..].iter().all(u8::is_ascii_alphabetic) && u32_be(there, 0).is_some_and(|n| n < MAX_LENGTH)
        };
        match judge(&head, 8, is_chunk) {
            Place::Fits => {}
            Place::Foreign => return true,
            Place::Blank => return false,
        }
        let Some(length) = u32_be(&head, 0).filter(|_| head[4..8] != *b"IEND") else { return false };
        at = at.saturating_add(12 + u64::from(length));
    }
    false
}

/// Length with the head, name, a longer length if it does not fit, content.
pub(super) fn is_broken_mp4(file: &dyn Source) -> bool {
    let mut at = 0_u64;
    for _ in 0..MAX_CHUNKS {
        let head = file.read(at, PART);
        // Names are letters and digits; Apple's begin with the sign of copyright.
        let is_box =
            |there: &[u8]| there[4..].iter().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | 0xa9));
        match judge(&head, 8, is_box) {
            Place::Fits => {}
            Place::Foreign => return true,
            Place::Blank => return false,
        }
        let long = || head.get(8..16)?.try_into().ok().map(u64::from_be_bytes);
        let length = match u32_be(&head, 0) {
            Some(1) => long(),
            short => short.map(u64::from),
        };
        // Zero is: up to the end.
        let Some(length) = length.filter(|length| *length >= 8) else { return false };
        at = at.saturating_add(length);
    }
    false
}
