//! RTF: the objects in it, which are OLE or a packed file in hexadecimal.
//!
//! Readers pass over nearly everything between two digits, so does this.

use memchr::memmem;

use super::{text, walk::Walk};

/// Three letters and not four: readers ask for no more.
pub(super) const MAGIC: &[u8] = b"{\\rt";
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// How far in an object its compound file may begin: behind a version and three names.
const OLE_WITHIN: usize = 4 << 10;
/// Fewer bytes are no object.
const SHORTEST: usize = 16;

/// Walks through the objects.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let mut end = 0;
    for at in memmem::find_iter(bytes, b"\\objdata") {
        // A word in the digits of an object before is no object of its own.
        if at < end {
            continue;
        }
        let (object, len) = object(&bytes[at + 8..]);
        end = at + 8 + len;
        if object.len() < SHORTEST {
            continue;
        }
        if !walk.may_go_on() || !walk.count() || !walk.spend(object.len()) {
            return;
        }
        let ole = memmem::find(&object[..object.len().min(OLE_WITHIN)], OLE).unwrap_or(0);
        walk.enter(format!("object@{at}").as_bytes(), &object[ole..]);
    }
}

/// Reads the digits up to the end of the group, and tells how far that was.
fn object(rest: &[u8]) -> (Vec<u8>, usize) {
    let (mut digits, mut depth, mut at) = (Vec::new(), 0_usize, 0);
    while let Some(byte) = rest.get(at) {
        at += 1;
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b'\\' => at += word(&rest[at..]),
            _ if byte.is_ascii_hexdigit() => digits.push(*byte),
            _ => {}
        }
    }
    (digits.chunks_exact(2).filter_map(text::hex).collect(), at)
}

/// Returns the length of a control word with its number, or of `'hh`, or of one sign.
fn word(rest: &[u8]) -> usize {
    let letters = rest.iter().take(32).take_while(|b| b.is_ascii_alphabetic()).count();
    match rest.first() {
        Some(b'\'') => 3,
        _ if letters == 0 => 1,
        _ => {
            letters
                + rest[letters..].iter().take(11).take_while(|b| b.is_ascii_digit() || **b == b'-').count()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_through_what_readers_pass_over() {
        assert_eq!(object(b" 41\r\n4 2{\\*\\x 4}3\\par12 44}45").0, b"ABCD");
        assert_eq!(object(b"41\\'00 42").0, b"AB");
    }
}
