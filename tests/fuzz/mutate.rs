//! Makes new inputs of old ones, always the same ones from the same numbers.

use crate::cover;

/// The longest input in bytes.
pub(crate) const MAX_LEN: usize = 32 << 10;
/// The longest piece that is copied, put in or taken out, but for the largest of them.
const PIECE: usize = 64;
/// Numbers at which something often changes.
const EDGES: [u64; 16] = [
    0,
    1,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x1000,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// A generator of numbers that are always the same (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number below another, 0 below 0.
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        // The high bits are the better ones.
        ((self.next() >> 32) as usize) % below.max(1)
    }

    fn coin(&mut self) -> bool {
        self.roll(2) == 0
    }

    /// A part of so many bytes: most often a short one.
    fn part(&mut self, len: usize) -> std::ops::Range<usize> {
        let most = if self.roll(8) == 0 { len } else { len.min(PIECE) };
        let size = self.roll(most + 1);
        let at = self.roll(len - size + 1);
        at..at + size
    }
}

/// Changes an input. `other` is another one to take pieces of, `words` are those of its language.
pub(crate) fn change(bytes: &mut Vec<u8>, other: &[u8], words: &[&[u8]], dice: &mut Dice) {
    for _ in 0..1 << dice.roll(4) {
        change_once(bytes, other, words, dice);
    }
    bytes.truncate(MAX_LEN);
}

fn change_once(bytes: &mut Vec<u8>, other: &[u8], words: &[&[u8]], dice: &mut Dice) {
    match dice.roll(14) {
        0 => flip(bytes, dice),
        1 => number(bytes, dice),
        2 => {
            bytes.drain(dice.part(bytes.len()));
        }
        3 => {
            let piece = vec![dice.next() as u8; dice.roll(PIECE) + 1];
            put(bytes, &piece, dice);
        }
        4 => {
            let piece = bytes[dice.part(bytes.len())].to_vec();
            put(bytes, &piece, dice);
        }
        5 | 6 => {
            let piece = &other[dice.part(other.len())];
            put(bytes, piece, dice);
        }
        7 | 8 if !words.is_empty() => put(bytes, words[dice.roll(words.len())], dice),
        9..=11 => compared(bytes, dice),
        12 => digits(bytes, dice),
        13 if dice.coin() => {
            // The start of one and the end of another.
            bytes.truncate(dice.roll(bytes.len() + 1));
            bytes.extend(&other[dice.roll(other.len() + 1)..]);
        }
        _ => {
            let at = dice.roll(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.next() as u8;
            }
        }
    }
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.roll(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << dice.roll(8);
    }
}

/// Puts a piece over what is there, or between.
fn put(bytes: &mut Vec<u8>, piece: &[u8], dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let over = if dice.coin() { piece.len().min(bytes.len() - at) } else { 0 };
    bytes.splice(at..at + over, piece.iter().copied());
}

/// Changes a number of one to eight bytes, either way round.
fn number(bytes: &mut [u8], dice: &mut Dice) {
    let width = 1 << dice.roll(4);
    if bytes.len() < width {
        return;
    }
    let at = dice.roll(bytes.len() - width + 1);
    let is_big = dice.coin();
    let field = &mut bytes[at..at + width];
    let mut eight = [0; 8];
    eight[..width].copy_from_slice(field);
    if is_big {
        eight[..width].reverse();
    }
    let value = u64::from_le_bytes(eight);
    let value = match dice.roll(3) {
        0 => EDGES[dice.roll(EDGES.len())],
        1 => value.wrapping_add(dice.roll(35) as u64),
        _ => value.wrapping_sub(dice.roll(35) as u64),
    };
    field.copy_from_slice(&value.to_le_bytes()[..width]);
    if is_big {
        field.reverse();
    }
}

/// Changes a number that is written in digits.
fn digits(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let from = dice.roll(bytes.len());
    let Some(at) = bytes[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
    let end = bytes[at..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |len| at + len);
    let value = match dice.coin() {
        true => EDGES[dice.roll(EDGES.len())],
        false => dice.roll(300) as u64,
    };
    bytes.splice(at..end, value.to_string().into_bytes());
}

/// Looks for one side of a comparison that failed, and writes the other side there.
fn compared(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let Some(pair) = cover::compared(dice.roll(usize::MAX)) else { return };
    let (old, new) = if dice.coin() { (pair.one, pair.other) } else { (pair.other, pair.one) };
    let new = [new, new.wrapping_add(1), new.wrapping_sub(1), new][dice.roll(4)];
    // A length is eight bytes wide where it is compared, and often less where it is written.
    let fits = |width: &usize| *width >= 8 || (old.max(new) >> (8 * width)) == 0;
    let widths: Vec<usize> = [8, 4, 2, 1].into_iter().filter(|w| *w <= pair.width).filter(fits).collect();
    let width = widths.get(dice.roll(widths.len())).copied().unwrap_or(8);
    let written = |value: u64, way: usize| -> Vec<u8> {
        match way {
            0 => value.to_le_bytes()[..width].to_vec(),
            1 => value.to_be_bytes()[8 - width..].to_vec(),
            2 => value.to_string().into_bytes(),
            3 => format!("{value:o}").into_bytes(),
            _ => format!("{value:X}").into_bytes(),
        }
    };
    let way = [0, 0, 0, 1, 1, 1, 2, 3, 4][dice.roll(9)];
    let (old, new) = (written(old, way), written(new, way));
    let from = dice.roll(bytes.len());
    let found = |from: usize| Some(from + bytes[from..].windows(old.len()).position(|w| w == old)?);
    match found(from).or_else(|| found(0)) {
        Some(at) => {
            bytes.splice(at..at + old.len(), new);
        }
        None if dice.roll(4) == 0 => put(bytes, &new, dice),
        None => {}
    }
}
