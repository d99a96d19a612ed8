//! SQLite: pages of one size that begin with their kind, or with the number of another page.

use std::collections::BTreeSet;

use super::{PART, Source, is_random, places, u32_be};

/// So many pages that are none are no accident.
const FOREIGN: usize = 3;

pub(super) fn is_broken(file: &dyn Source, seed: u64) -> bool {
    let head = file.read(0, 32);
    let page = match head.get(16..18).map(|size| u64::from(u16::from_be_bytes([size[0], size[1]]))) {
        Some(1) => 65_536,
        Some(size) if size.is_power_of_two() && size >= 512 => size,
        _ => return false,
    };
    // A file that is cut short names pages that it has no more.
    let pages = (file.length() / page).max(u32_be(&head, 28).map_or(0, u64::from));
    let read = usize::try_from(page).unwrap_or(PART).min(PART);
    let begins: BTreeSet<u64> = places(page, file.length(), seed).map(|at| at / page * page).collect();
    begins.iter().filter(|at| is_foreign(&file.read(**at, read), pages)).count() >= FOREIGN
}

/// Neither a tree nor a list of pages, nor one that goes on at another page that there is.
fn is_foreign(page: &[u8], pages: u64) -> bool {
    let Some(next) = u32_be(page, 0) else { return false };
    !matches!(page[0], 1..=5 | 10 | 13) && u64::from(next) > pages && is_random(page)
}
