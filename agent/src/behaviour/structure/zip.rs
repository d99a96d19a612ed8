//! Zip and all that is one: Office, OpenDocument. Its directory stands at its end and names where each entry begins.

use super::{END, PART, Place, Source, end, is_random, judge, last, u16_le, u32_le};

/// Entries that are looked for.
const MAX_ENTRIES: usize = 64;
/// Bytes of the directory that are read.
const MAX_DIRECTORY: usize = 16 << 10;
/// The end of the directory, without the comment of up to 64 KiB behind it.
const RECORD: usize = 22;
const MAX_COMMENT: usize = 64 << 10;
/// The fixed parts of an entry, and of an entry in the directory.
const ENTRY: usize = 30;
const LISTED: usize = 46;
/// In an entry: its sizes follow its content, or are masked.
const SIZES_ELSEWHERE: u16 = 0x2008;

pub(super) fn is_broken(file: &dyn Source) -> bool {
    let tail = match end(file, END) {
        near if last(&near, b"PK\x05\x06").is_some() => near,
        _ => end(file, RECORD + MAX_COMMENT),
    };
    match last(&tail, b"PK\x05\x06") {
        Some(at) => directory(file, &tail[at..]),
        None => chain(file) || is_random(&tail[tail.len().saturating_sub(END)..]),
    }
}

/// Looks for what the directory names.
fn directory(file: &dyn Source, record: &[u8]) -> bool {
    let (Some(length), Some(start)) = (u32_le(record, 12), u32_le(record, 16)) else { return false };
    if length == u32::MAX || start == u32::MAX || length == 0 {
        return false;
    }
    let wanted = usize::try_from(length).unwrap_or(MAX_DIRECTORY).min(MAX_DIRECTORY);
    let list = file.read(u64::from(start), wanted);
    let mut rest = &list[..];
    for _ in 0..MAX_ENTRIES {
        match judge(rest, 4, |there| there == b"PK\x01\x02") {
            Place::Fits => {}
            // Behind the last entry a signature may stand.
            Place::Foreign => return !rest.starts_with(b"PK"),
            Place::Blank => return false,
        }
        let Some((entry, further)) = listed(rest) else { return false };
        if judge(&file.read(entry, PART), 4, |there| there == b"PK\x03\x04") == Place::Foreign {
            return true;
        }
        rest = further;
    }
    false
}

/// Returns where an entry of the directory says that it begins, and the rest of the directory.
fn listed(list: &[u8]) -> Option<(u64, &[u8])> {
    let at = u32_le(list, 42).filter(|at| *at != u32::MAX)?;
    let texts =
        [28, 30, 32].into_iter().map(|at| u16_le(list, at).map(usize::from)).sum::<Option<usize>>()?;
    Some((u64::from(at), list.get(LISTED + texts..)?))
}

/// Goes from entry to entry as far as they tell their sizes. Tells whether something else stands where one must begin.
fn chain(file: &dyn Source) -> bool {
    let mut at = 0;
    for _ in 0..MAX_ENTRIES {
        let head = file.read(at, PART);
        match judge(&head, 4, |there| there.starts_with(b"PK")) {
            Place::Fits if head.starts_with(b"PK\x03\x04") => {}
            Place::Fits | Place::Blank => return false,
            Place::Foreign => return true,
        }
        let Some(next) = length(&head).and_then(|length| at.checked_add(length)) else { return false };
        at = next;
    }
    false
}

fn length(head: &[u8]) -> Option<u64> {
    let flags = u16_le(head, 6)?;
    let packed = u32_le(head, 18).filter(|size| flags & SIZES_ELSEWHERE == 0 && *size != u32::MAX)?;
    Some(ENTRY as u64 + u64::from(packed) + u64::from(u16_le(head, 26)?) + u64::from(u16_le(head, 28)?))
}
