//! The small filters of PDF: LZW, run lengths, hexadecimal and base-85. Each gives at most so many bytes and says
//! whether those are all. What is no part of the form ends it or is passed over, as readers do.

use super::text;

/// LZW's codes for a fresh table and for the end.
const CLEAR: usize = 256;
const END: usize = 257;
/// LZW's widest code has 12 bits.
const MAX_CODES: usize = 4096;

/// Undoes `LZWDecode`, with the early change that it has unless told otherwise.
pub(super) fn lzw(data: &[u8], most: usize) -> (Vec<u8>, bool) {
    let mut out: Vec<u8> = Vec::new();
    // Where in `out` the string of each code begins, and how long it is.
    let mut table: Vec<(usize, usize)> = Vec::new();
    let mut last: Option<(usize, usize)> = None;
    let (mut bits, mut count) = (0u32, 0u32);
    let mut bytes = data.iter();
    loop {
        let width = width(table.len());
        while count < width {
            let Some(byte) = bytes.next() else { return (out, true) };
            bits = (bits & 0xffff) << 8 | u32::from(*byte);
            count += 8;
        }
        count -= width;
        let code = (bits >> count) as usize & ((1 << width) - 1);
        if code == CLEAR {
            table.clear();
            last = None;
            continue;
        }
        let Some(string) = emit(&mut out, &table, last, code) else { return (out, true) };
        if out.len() > most {
            out.truncate(most);
            return (out, false);
        }
        if let Some((from, len)) = last
            && table.len() + END + 1 < MAX_CODES
        {
            // The last string and one byte more, which follows it in what was written.
            table.push((from, len + 1));
        }
        last = Some(string);
    }
}

fn width(codes: usize) -> u32 {
    match codes + END + 2 {
        ..512 => 9,
        512..1024 => 10,
        1024..2048 => 11,
        _ => 12,
    }
}

fn emit(
    out: &mut Vec<u8>,
    table: &[(usize, usize)],
    last: Option<(usize, usize)>,
    code: usize,
) -> Option<(usize, usize)> {
    let start = out.len();
    match code {
        ..CLEAR => out.push(code as u8),
        CLEAR | END => return None,
        _ => {
            let (from, len) = match table.get(code - END - 1) {
                Some(string) => *string,
                // The string that is made by this very code.
                None if code - END - 1 == table.len() => last.map(|(from, len)| (from, len + 1))?,
                None => return None,
            };
            for at in from..from + len {
                out.push(*out.get(at)?);
            }
        }
    }
    Some((start, out.len() - start))
}

/// Undoes `RunLengthDecode`.
pub(super) fn run_length(data: &[u8], most: usize) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut rest = data;
    while let [length, tail @ ..] = rest {
        match usize::from(*length) {
            128 => break,
            n @ ..128 => {
                let (copied, after) = tail.split_at((n + 1).min(tail.len()));
                out.extend_from_slice(copied);
                rest = after;
            }
            n => {
                let [byte, after @ ..] = tail else { break };
                out.resize(out.len() + 257 - n, *byte);
                rest = after;
            }
        }
        if out.len() > most {
            out.truncate(most);
            return (out, false);
        }
    }
    (out, true)
}

/// Undoes `ASCIIHexDecode`.
pub(super) fn hex(data: &[u8], most: usize) -> (Vec<u8>, bool) {
    let end = data.iter().position(|b| *b == b'>').unwrap_or(data.len());
    let mut digits: Vec<u8> = data[..end].iter().copied().filter(u8::is_ascii_hexdigit).collect();
    if digits.len() % 2 == 1 {
        digits.push(b'0');
    }
    let all = digits.len() / 2;
    (digits.chunks_exact(2).take(most).filter_map(text::hex).collect(), all <= most)
}

/// Undoes `ASCII85Decode`.
pub(super) fn base85(data: &[u8], most: usize) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut group = Vec::with_capacity(5);
    for byte in data.strip_prefix(b"<~").unwrap_or(data) {
        match byte {
            b'z' if group.is_empty() => out.extend_from_slice(&[0; 4]),
            b'!'..=b'u' => group.push(byte - b'!'),
            b'~' => break,
            _ => {}
        }
        if group.len() == 5 {
            out.extend_from_slice(&group_of_85(&group));
            group.clear();
        }
        if out.len() > most {
            out.truncate(most);
            return (out, false);
        }
    }
    if group.len() > 1 {
        let bytes = group.len() - 1;
        group.resize(5, 84);
        out.extend_from_slice(&group_of_85(&group)[..bytes]);
    }
    (out, true)
}

fn group_of_85(group: &[u8]) -> [u8; 4] {
    group.iter().fold(0u32, |n, digit| n.wrapping_mul(85).wrapping_add(u32::from(*digit))).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_is_undone() {
        // The example of the PDF standard.
        assert_eq!(
            lzw(&[0x80, 0x0b, 0x60, 0x50, 0x22, 0x0c, 0x0c, 0x85, 0x01], 99).0,
            [45, 45, 45, 45, 45, 65, 45, 45, 45, 66]
        );
        assert_eq!(run_length(&[2, b'a', b'b', b'c', 254, b'x', 128, 9], 99).0, b"abcxxx");
        assert_eq!(hex(b"61 62\n7>63", 99).0, b"abp");
        assert_eq!(base85(b"<~87cURD]i,\"Ebo80~>", 99).0, b"Hello World!");
        assert_eq!(base85(b"z", 99).0, [0; 4]);
    }

    #[test]
    fn each_filter_stops_at_the_limit_and_says_so() {
        let many = [129, b'x'].repeat(1_000);
        assert_eq!(run_length(&many, 100), (vec![b'x'; 100], false));
        assert_eq!(hex(&[b'6'; 400], 100), (vec![0x66; 100], false));
        assert_eq!(base85(&[b'z'; 400], 100), (vec![0; 100], false));
        assert!(!lzw(&[0x80, 0x0b, 0x60, 0x50], 1).1);
    }

    #[test]
    fn a_long_lzw_stream_widens_its_codes() {
        // Each byte once, as nine, ten, eleven and twelve bits, with a fresh table in between.
        let (mut bits, mut codes, mut expected) = (Vec::new(), 0, Vec::new());
        let mut put = |code: usize, wide: u32| (0..wide).rev().for_each(|n| bits.push(code >> n & 1));
        put(CLEAR, 9);
        for n in 0..3_000usize {
            put(n % 256, width(codes));
            expected.push((n % 256) as u8);
            codes = if n == 0 { 0 } else { codes + 1 };
        }
        put(END, width(codes));
        let data: Vec<u8> = bits
            .chunks(8)
            .map(|c| c.iter().enumerate().fold(0, |b, (n, bit)| b | (*bit as u8) << (7 - n)))
            .collect();

        assert_eq!(lzw(&data, 9_999).0, expected);
    }
}
