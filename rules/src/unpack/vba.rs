//! Macros of Office (MS-OVBA): a module's stream is compiled code and then, compressed, its source.
//!
//! The source is looked for by what it looks like, not by what the project's directory says, which hostile documents
//! falsify and Office then makes good.

use memchr::memmem::Finder;

/// What a compressed container begins with.
const SIGNATURE: u8 = 1;
/// The most bytes of one chunk before it is compressed.
const CHUNK: usize = 4096;
/// How every source that Office writes begins, after the flags of its first letters.
const BEGIN: &[u8] = b"\x00Attribut";
/// Sources of one stream; there is one.
const MAX_SOURCES: usize = 4;

/// Returns the sources in a module's stream, or, if none looks like one, the container with which the stream begins. Of
/// each no more than `most` bytes, and whether that is all of it.
pub(super) fn sources(stream: &[u8], most: usize) -> Vec<(Vec<u8>, bool)> {
    let begin = Finder::new(BEGIN);
    let mut found: Vec<_> = begin
        .find_iter(stream)
        .filter_map(|at| stream.get(at.checked_sub(3)?..))
        .filter_map(|container| decompress(container, most))
        .take(MAX_SOURCES)
        .collect();
    if found.is_empty() {
        found.extend(decompress(stream, most).filter(|(source, _)| !source.is_empty()));
    }
    found
}

/// Decompresses a container. Chunks after a damaged one are left out.
fn decompress(container: &[u8], most: usize) -> Option<(Vec<u8>, bool)> {
    let (SIGNATURE, mut rest) = container.split_first().map(|(s, rest)| (*s, rest))? else { return None };
    let mut out = Vec::new();
    let mut chunks = 0;
    while let [low, high, after @ ..] = rest {
        let header = u16::from_le_bytes([*low, *high]);
        if header >> 12 & 7 != 3 {
            break;
        }
        let len = (usize::from(header & 0xfff) + 1).min(after.len());
        let (chunk, next) = after.split_at(len);
        chunks += 1;
        if header & 0x8000 == 0 {
            out.extend_from_slice(&chunk[..chunk.len().min(CHUNK)]);
        } else if expand(chunk, &mut out).is_none() {
            break;
        }
        if out.len() > most {
            out.truncate(most);
            return Some((out, false));
        }
        rest = next;
    }
    (chunks > 0).then_some((out, true))
}

/// Expands one chunk: a byte of flags, then for each of its bits a letter or a copy of earlier letters of the chunk.
fn expand(chunk: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let mut bytes = chunk.iter().copied();
    while let Some(flags) = bytes.next() {
        for bit in 0..8 {
            let Some(first) = bytes.next() else { return Some(()) };
            if flags >> bit & 1 == 0 {
                out.push(first);
            } else {
                let token = u16::from_le_bytes([first, bytes.next()?]);
                copy(token, start, out)?;
            }
            if out.len() - start > CHUNK {
                return None;
            }
        }
    }
    Some(())
}

/// Of a token's bits as many are the distance as the letters so far need, and the rest is the length.
fn copy(token: u16, start: usize, out: &mut Vec<u8>) -> Option<()> {
    let so_far = out.len() - start;
    let bits = usize::BITS - so_far.saturating_sub(1).leading_zeros();
    let bits = bits.clamp(4, 12);
    let length = usize::from(token & (0xffff >> bits)) + 3;
    let distance = usize::from(token >> (16 - bits)) + 1;
    let from = out.len().checked_sub(distance).filter(|from| *from >= start)?;
    for at in from..from + length {
        out.push(*out.get(at)?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(container: &[u8]) -> Option<Vec<u8>> {
        decompress(container, usize::MAX).map(|(out, _)| out)
    }

    /// The examples of the specification, section 3.2.
    #[test]
    fn the_examples_of_the_specification_are_decompressed() {
        let plain = b"\x01\x19\xb0\x00abcdefgh\x00ijklmnop\x00qrstuv.";
        assert_eq!(whole(plain).unwrap(), b"abcdefghijklmnopqrstuv.");

        let normal = b"\x01\x2f\xb0\x00#aaabcde\x82f\x00paghij\x018\x08akl\x000mnop\x06q\x02p\x04\x10rstuv\x10wxyz\x00<";
        assert_eq!(whole(normal).unwrap(), b"#aaabcdefaaaaghijaaaaaklaaamnopqaaaaaaaaaaaarstuvwxyzaaa");

        let most = b"\x01\x03\xb0\x02a\x45\x00";
        assert_eq!(whole(most).unwrap(), [b'a'; 73]);
    }

    #[test]
    fn a_container_is_decompressed_up_to_the_limit() {
        let chunk = b"\x03\xb0\x02a\xfc\x0f";
        let bomb = [&[SIGNATURE][..], &chunk.repeat(3)].concat();

        assert_eq!(decompress(&bomb, CHUNK * 3), Some((vec![b'a'; CHUNK * 3], true)));
        assert_eq!(decompress(&bomb, CHUNK + 1), Some((vec![b'a'; CHUNK + 1], false)));
    }

    #[test]
    fn what_is_no_container_is_none_and_damage_ends_it() {
        assert_eq!(whole(b"\x02\x19\xb0"), None);
        assert_eq!(whole(b"\x01\x19\x00abc"), None);
        assert_eq!(whole(b"\x01\x02\xb0\x01\xff\xff").unwrap(), b"");
        assert_eq!(whole(b"\x01\x05\xb0\x00ab").unwrap(), b"ab");
    }
}
