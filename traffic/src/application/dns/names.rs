//! Names on the wire, RFC 1035 §3.1 and §4.1.4: labels, and pointers to where the rest stands.

use crate::application::reader::Reader;

/// The longest name on the wire.
const MAX_NAME: usize = 255;
const MAX_LABEL: u8 = 63;
const POINTER: u8 = 0xc0;
/// The most pointers that are followed in one name: an honest one has fewer than labels, and those are at most 127. Whoever
/// goes round in circles comes to this end, or to that of [`MAX_NAME`].
const MAX_POINTERS: usize = 127;

/// Reads the name at a place of a message, labels joined by dots, no final dot. Labels may hold any byte.
pub(super) fn name(message: &[u8], at: usize) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut rest = Reader(message.get(at..)?);
    let mut pointers = 0;
    loop {
        let length = rest.u8()?;
        match length {
            0 => return Some(name),
            1..=MAX_LABEL => {
                let label = rest.take(usize::from(length))?;
                // The name takes two bytes more on the wire than joined: the first length and the final zero.
                if name.len() + usize::from(!name.is_empty()) + label.len() + 2 > MAX_NAME {
                    return None;
                }
                if !name.is_empty() {
                    name.push(b'.');
                }
                name.extend_from_slice(label);
            }
            POINTER.. if pointers < MAX_POINTERS => {
                pointers += 1;
                let to = u16::from_be_bytes([length & !POINTER, rest.u8()?]);
                rest = Reader(message.get(usize::from(to)..)?);
            }
            _ => return None,
        }
    }
}

/// Passes over a name, to its first pointer at most.
pub(super) fn pass(rest: &mut Reader<'_>) -> Option<()> {
    loop {
        match rest.u8()? {
            0 => return Some(()),
            length @ 1..=MAX_LABEL => rest.take(usize::from(length))?,
            POINTER.. => return rest.u8().map(|_| ()),
            _ => return None,
        };
    }
}
