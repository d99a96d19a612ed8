//! JPEG: segments that name their lengths, then the picture, in which each byte 0xFF is followed by a mark.

use super::{Place, Source, is_random, judge, places};

/// Segments before the picture that are passed over.
const MAX_SEGMENTS: usize = 128;
/// Bytes of the picture that are judged at each place.
const PART: usize = 4 << 10;
/// So many bytes 0xFF without a mark are no accident.
const UNMARKED: usize = 4;

/// What the segments lead to.
enum Segments {
    /// The picture, from here on.
    Picture(u64),
    /// What is no segment.
    Foreign,
    /// Nothing yet, or what is not understood.
    Unclear,
}

pub(super) fn is_broken(file: &dyn Source, seed: u64) -> bool {
    let from = match segments(file) {
        Segments::Picture(from) => from,
        Segments::Foreign => return true,
        Segments::Unclear => return false,
    };
    let (mut foreign, mut fits, mut again) = (0, 0, false);
    for at in places(from, file.length(), seed) {
        match marks(&file.read(at, PART)) {
            Place::Foreign => foreign += 1,
            Place::Fits => (fits, again) = (fits + 1, foreign > 0),
            Place::Blank => {}
        }
    }
    // A film may follow a picture, twice as long; behind a film no picture goes on.
    foreign > 1 && (again || foreign > 2 * fits)
}

fn segments(file: &dyn Source) -> Segments {
    let mut at = 2_u64;
    for _ in 0..MAX_SEGMENTS {
        let head = file.read(at, PART);
        match judge(&head, 4, |there| there[0] == 0xff) {
            Place::Fits => {}
            Place::Foreign => return Segments::Foreign,
            Place::Blank => return Segments::Unclear,
        }
        let length = u64::from(u16::from_be_bytes([head[2], head[3]]));
        at = match head[1] {
            0xff => at + 1,
            0xda => return Segments::Picture(at.saturating_add(2 + length)),
            0x01 | 0xd0..=0xd7 => at + 2,
            0xc0..=0xfe if head[1] != 0xd8 && head[1] != 0xd9 && length >= 2 => at + 2 + length,
            _ => return Segments::Unclear,
        };
    }
    Segments::Unclear
}

/// Judges bytes of a picture by what follows each byte 0xFF.
pub(super) fn marks(part: &[u8]) -> Place {
    let followers = || part.windows(2).filter(|w| w[0] == 0xff).map(|w| w[1]);
    let marked = followers().filter(|b| matches!(b, 0 | 0xd0..=0xd7)).count();
    // Others begin and end parts of a picture.
    let unmarked = followers().filter(|b| !matches!(b, 0 | 0xc0..=0xff)).count();
    match () {
        () if unmarked == 0 && marked > 0 => Place::Fits,
        () if unmarked >= UNMARKED && unmarked > 4 * marked && is_random(part) => Place::Foreign,
        () => Place::Blank,
    }
}
