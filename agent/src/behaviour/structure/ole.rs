//! Office documents before 2007: the head names the sectors that hold the table of which sector follows which.

use super::{PART, Place, Source, judge, u16_le, u32_le};

/// The head, in which the first places of the table stand.
const HEAD: usize = 512;
const FIRST: usize = 76;
/// Sectors of the table that are looked at; each stands for 64 KiB and more.
const MAX_TABLES: usize = 32;
/// From here on a number is a sign and no sector.
const SIGNS: u32 = 0xffff_fffa;

pub(super) fn is_broken(file: &dyn Source) -> bool {
    let head = file.read(0, HEAD);
    let size = match u16_le(&head, 30) {
        Some(9) => 512_u64,
        Some(12) => 4_096,
        _ => return false,
    };
    let sectors = file.length() / size;
    let mut tables = (0..MAX_TABLES).filter_map(|n| u32_le(&head, FIRST + 4 * n)).filter(|n| *n < SIGNS);
    tables.any(|n| {
        let there = file.read((u64::from(n) + 1).saturating_mul(size), PART);
        judge(&there, HEAD, |table| is_table(table, sectors)) == Place::Foreign
    })
}

/// Most of it names sectors that there are, or is a sign.
fn is_table(table: &[u8], sectors: u64) -> bool {
    let numbers = table.chunks_exact(4).filter_map(|four| u32_le(four, 0));
    let known = numbers.filter(|n| *n >= SIGNS || u64::from(*n) <= sectors).count();
    known * 8 > table.len()
}
