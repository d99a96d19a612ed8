//! Letters that are written as numbers: `\x65`, `\145`, `\u0065`, `%65`, `chr(101)` and lists such as `101,118,97,108`.

use super::super::text;

/// The fewest numbers of a list that are read as a text.
const MIN_LIST: usize = 8;
/// The most of one list.
const MAX_LIST: usize = 64 << 10;
/// The longest gap of blanks between a word and its number.
const MAX_GAP: usize = 16;

/// Writes all of them out, and counts the letters and digits among them: programs escape signs, people who hide
/// something escape words.
pub(super) fn written_out(script: &[u8]) -> (Vec<u8>, usize) {
    let (mut out, mut count, mut at) = (Vec::with_capacity(script.len()), 0, 0);
    while let Some(byte) = script.get(at) {
        let rest = &script[at..];
        let before = at.checked_sub(1).map_or(b' ', |before| script[before]);
        let starts_word = !before.is_ascii_alphanumeric() && before != b'_';
        let found = match byte {
            b'\\' | b'%' => escape(rest).map(|(letter, len)| (vec![letter], len)),
            b'c' | b'C' if starts_word => called(rest).map(|(letter, len)| (vec![b'"', letter, b'"'], len)),
            b'0'..=b'9' if starts_word && !matches!(before, b'.' | b'%' | b'\\' | b'#') => list(rest),
            _ => None,
        };
        let Some((text, len)) = found else {
            out.push(*byte);
            at += 1;
            continue;
        };
        let is_other = text != rest[..len];
        count += text.iter().filter(|_| is_other).filter(|b| b.is_ascii_alphanumeric()).count();
        out.extend(text);
        at += len;
    }
    (out, count)
}

/// Reads an escape of one printable letter.
fn escape(rest: &[u8]) -> Option<(u8, usize)> {
    let two = |at: usize| rest.get(at..).and_then(text::hex);
    let (letter, len) = match rest {
        [b'%', ..] => (two(1)?, 3),
        [b'\\', b'x' | b'X', ..] => (two(2)?, 4),
        [b'\\', b'u', b'{', digits @ ..] => {
            let len = digits.iter().take(8).position(|b| *b == b'}')?;
            let digits = std::str::from_utf8(&digits[..len]).ok()?;
            (u8::from_str_radix(digits, 16).ok()?, len + 4)
        }
        [b'\\', b'u', tail @ ..] => {
            let more = tail.iter().take(8).take_while(|b| **b == b'u').count();
            (tail[more..].strip_prefix(b"00").and_then(text::hex)?, more + 6)
        }
        [b'\\', a @ b'0'..=b'1', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), 4)
        }
        _ => return None,
    };
    matches!(letter, b' '..=b'~').then_some((letter, len))
}

/// Reads `chr(101)`, `Chr(&H65)` or `ChrW(101)`.
fn called(rest: &[u8]) -> Option<(u8, usize)> {
    if !rest.get(..3)?.eq_ignore_ascii_case(b"chr") {
        return None;
    }
    let mut at = 3 + usize::from(matches!(rest.get(3)?, b'w' | b'W' | b'b' | b'B'));
    at += blanks(&rest[at..]);
    if *rest.get(at)? != b'(' {
        return None;
    }
    at += 1 + blanks(&rest[at + 1..]);
    let (letter, len) = number(&rest[at..])?;
    at += len;
    at += blanks(&rest[at..]);
    (*rest.get(at)? == b')' && matches!(letter, b' '..=b'~')).then_some((letter, at + 1))
}

/// Reads a list of numbers of which each is a letter of a text. A list that is no text is taken as it is, at once.
fn list(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut letters, mut at) = (Vec::new(), 0);
    while letters.len() < MAX_LIST
        && let Some((letter, len)) = number(&rest[at..])
    {
        letters.push(letter);
        let end = at + len;
        let comma = end + blanks(&rest[end..]);
        at = end;
        if rest.get(comma) != Some(&b',') {
            break;
        }
        let next = comma + 1 + blanks(&rest[comma + 1..]);
        if !rest.get(next).is_some_and(u8::is_ascii_digit) {
            break;
        }
        at = next;
    }
    let words = letters.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let is_text = letters.iter().all(|b| matches!(b, 9 | 10 | 13 | 32..=126)) && words * 2 > letters.len();
    match letters.len() {
        ..MIN_LIST => None,
        _ if is_text => Some(([b"\"", &letters[..], b"\""].concat(), at)),
        _ => Some((rest[..at].to_vec(), at)),
    }
}

/// Reads a number below 256.
fn number(rest: &[u8]) -> Option<(u8, usize)> {
    if let [b'0', b'x' | b'X', digits @ ..] | [b'&', b'H' | b'h', digits @ ..] = rest {
        return (!digits.get(2).is_some_and(u8::is_ascii_hexdigit))
            .then(|| text::hex(digits))
            .flatten()
            .map(|n| (n, 4));
    }
    let len = rest.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    Some((std::str::from_utf8(&rest[..len]).ok()?.parse().ok()?, len))
}

fn blanks(rest: &[u8]) -> usize {
    rest.iter().take(MAX_GAP).take_while(|b| b.is_ascii_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: &str) -> (String, usize) {
        let (out, count) = written_out(script.as_bytes());
        (String::from_utf8(out).unwrap(), count)
    }

    #[test]
    fn every_way_to_write_a_letter_is_read() {
        for script in [r"\x65", r"\145", r"\u0065", r"\uuu0065", r"\u{65}", r"\u{0065}", "%65"] {
            assert_eq!(read(script), ("e".to_owned(), 1), "{script}");
        }
        for script in ["chr(101)", "Chr( &H65 )", "ChrW(101)", "chr (0x65)"] {
            assert_eq!(read(script), ("\"e\"".to_owned(), 1), "{script}");
        }
        assert_eq!(read("f(115,121, 0x73,116,101,109, 40,41)").0, "f(\"system()\")");
    }

    #[test]
    fn what_is_no_letter_stays_as_it_is() {
        for script in
            [r"\x00\xff", "100%", "%zz", "chr($x)", "chr(300)", "1,2,3,4,5,6,7,8,9", "\\", "\\u", "c"]
        {
            assert_eq!(read(script), (script.to_owned(), 0));
        }
        let signs = read(r"\u003c\x20%2F");
        assert_eq!(signs, ("< /".to_owned(), 0));
    }
}
