//! RPM: finds the packed cpio behind the headers of a package.

use khien_core::event::NotSeen;

use super::walk::Walk;

pub(super) const MAGIC: &[u8] = b"\xed\xab\xee\xdb";
/// What every package begins with, of no use any more.
const LEAD: usize = 96;
/// The start of each of the two headers.
const HEADER: &[u8] = b"\x8e\xad\xe8\x01";

/// Hands over what is packed.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let Some(payload) = payload(bytes) else { return walk.trouble(NotSeen::Unreadable) };
    if walk.count() && walk.spend(payload.len()) {
        walk.enter(b"payload", payload);
    }
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let signature = LEAD + header_size(bytes.get(LEAD..)?)?;
    let header = signature.next_multiple_of(8);
    bytes.get(header + header_size(bytes.get(header..)?)?..).filter(|rest| !rest.is_empty())
}

/// A header is an index of sixteen bytes each, and what that points into.
fn header_size(rest: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        let four = rest.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(four)).ok()
    };
    rest.starts_with(HEADER).then_some(())?;
    number(8)?.checked_mul(16)?.checked_add(number(12)?)?.checked_add(16)
}
