//! Files by chance that almost fit the rules: their words in many spellings, behind the heads of programs.

use super::generate::{Dice, WORDS};

/// Returns a file of words, spelled in many ways, behind one of several heads.
pub(super) fn file(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = match dice.below(8) {
        0 => b"MZ".to_vec(),
        1 => program(),
        2 => b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00".to_vec(),
        3 => small_elf(),
        4 => b"alpha".to_vec(),
        _ => Vec::new(),
    };
    for _ in 0..dice.below(7) {
        let word = dice.one(WORDS).as_bytes().to_vec();
        bytes.extend(spelled(dice, &word));
        if dice.chance(50) {
            bytes.extend(dice.one(&[" ", "\n", "\0", "-", "_", "xx", "il"]).bytes());
        }
    }
    if dice.chance(10) {
        bytes.truncate(dice.below(bytes.len() + 1));
    }
    bytes
}

fn spelled(dice: &mut Dice, word: &[u8]) -> Vec<u8> {
    let wide = |w: &[u8]| w.iter().flat_map(|b| [*b, 0]).collect::<Vec<u8>>();
    match dice.below(12) {
        0 => word.to_ascii_uppercase(),
        1 => word.to_ascii_lowercase(),
        2 => wide(word),
        3 => wide(&word.to_ascii_uppercase()),
        4 => word.iter().map(|b| b ^ 2).collect(),
        5 => wide(word).iter().map(|b| b ^ 0x41).collect(),
        6 => data_encoding::BASE64.encode(word).into_bytes(),
        7 => wide(data_encoding::BASE64.encode(word).as_bytes()),
        8 => word.iter().map(|b| b ^ 0x20).collect(),
        _ => word.to_vec(),
    }
}

/// Returns the smallest program for Windows that the engine's module reads: one section, no imports.
fn program() -> Vec<u8> {
    let mut bytes = vec![0; 0x40];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes.extend(b"PE\0\0\x64\x86\x01\0");
    bytes.extend([1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0, 0x22, 0]);
    let mut optional = vec![0; 0xf0];
    optional[..2].copy_from_slice(b"\x0b\x02");
    optional[32..40].copy_from_slice(&[0, 0x10, 0, 0, 0, 2, 0, 0]);
    optional[108] = 16;
    bytes.extend(optional);
    let mut section = [0; 40];
    section[..5].copy_from_slice(b".text");
    bytes.extend(section);
    bytes
}

fn small_elf() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (bytes[16], bytes[18], bytes[20], bytes[52]) = (2, 0x3e, 1, 64);
    bytes
}
