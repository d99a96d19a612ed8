//! The dictionaries of PDF, as far as they say how a stream is written: comments, levels, references.

use memchr::memmem;

/// The longest value of an object that is followed.
const MAX_VALUE: usize = 1 << 10;
/// The deepest level of a dictionary; deeper ones are all that level.
const MAX_LEVEL: usize = 64;

/// Returns text without its comments, each of which stands for a blank. In a string no comment begins.
pub(super) fn without_comments(text: &[u8]) -> Vec<u8> {
    stripped(text, true).or_else(|| stripped(text, false)).unwrap_or_default()
}

/// `None`: a string has no end, so that none was one.
fn stripped(text: &[u8], with_strings: bool) -> Option<Vec<u8>> {
    let (mut out, mut strings, mut at) = (Vec::with_capacity(text.len()), 0_usize, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'\\' if strings > 0 => at += 1,
            b'(' if with_strings => strings += 1,
            b')' if strings > 0 => strings -= 1,
            b'%' if strings == 0 => {
                at += text[at..].iter().take_while(|b| !matches!(b, b'\r' | b'\n')).count();
                out.push(b' ');
            }
            _ if strings == 0 => out.push(*byte),
            _ => {}
        }
    }
    (strings == 0).then_some(out)
}

/// Returns the keys and values of the outermost dictionary, without comments and the dictionaries in it.
pub(super) fn own_level(text: &[u8]) -> Vec<u8> {
    let plain = without_comments(text);
    let (mut out, mut level, mut at) = (Vec::new(), 0_usize, 0);
    let begins = memmem::find(&plain, b"<<").unwrap_or(0);
    while let Some(byte) = plain.get(begins + at) {
        let two = plain.get(begins + at..begins + at + 2).unwrap_or_default();
        match two {
            b"<<" => level = (level + 1).min(MAX_LEVEL),
            b">>" => level = level.saturating_sub(1),
            _ => {}
        }
        let is_edge = matches!(two, b"<<" | b">>");
        match is_edge {
            true => out.push(b' '),
            false if level <= 1 => out.push(*byte),
            false => {}
        }
        at += if is_edge { 2 } else { 1 };
    }
    out
}

/// Tells whether text ends with a dictionary's end, or with comments after one.
pub(super) fn ends(text: &[u8]) -> bool {
    let is_end = |text: &[u8]| text.trim_ascii_end().ends_with(b">>");
    is_end(text) || is_end(&without_comments(text))
}

/// Returns the name at the start of text.
pub(super) fn first_word(text: &[u8]) -> &[u8] {
    let len = text.iter().skip(1).take_while(|b| b.is_ascii_alphanumeric()).count();
    &text[..(len + 1).min(text.len())]
}

/// Returns the reference at the start of text, such as `12 0 R`, or nothing.
pub(super) fn first_reference(text: &[u8]) -> &[u8] {
    let end = text.iter().take(32).position(|b| *b == b'R').map_or(0, |at| at + 1);
    &text[..end]
}

/// Returns the names of a list, and of each reference the number of its object. Any other word is its own name, too.
pub(super) fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let is_name = rest.first()? == &b'/';
        let len = match is_name {
            true => first_word(rest).len(),
            false => match first_reference(rest).len() {
                0 => rest.len(),
                len => len,
            },
        };
        let (word, tail) = rest.split_at(len);
        rest = tail;
        let number = word.iter().take_while(|b| b.is_ascii_digit()).count();
        Some(if is_name { word } else { &word[..number] })
    })
}

/// Returns what an object holds, by its number.
pub(super) fn object<'f>(file: &'f [u8], number: &[u8]) -> Option<&'f [u8]> {
    if number.is_empty() {
        return None;
    }
    let starts = |at: usize| at == 0 || !file[at - 1].is_ascii_digit();
    let value = |at: usize| {
        let rest = file[at + number.len()..].strip_prefix(b" ")?;
        let generation = rest.iter().take(5).take_while(|b| b.is_ascii_digit()).count();
        rest[generation..].trim_ascii_start().strip_prefix(b"obj").filter(|_| generation > 0)
    };
    let found = memmem::find_iter(file, number).filter(|at| starts(*at)).find_map(value)?;
    let found = &found[..found.len().min(MAX_VALUE)];
    Some(&found[..memmem::find(found, b"endobj").unwrap_or(found.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_left_out_and_strings_hold_none() {
        assert_eq!(without_comments(b"<< %x >>\n/A (50%\\)) /B (%) /C>>"), b"<<  \n/A  /B  /C>>");
        assert_eq!(without_comments(b"binary ( << /A %x"), b"binary ( << /A  ");
        assert!(ends(b">> % >> no\n") && ends(b">>\r\n") && !ends(b"<< /A"));
    }

    #[test]
    fn only_the_outermost_level_is_kept() {
        assert_eq!(own_level(b"1 0 obj << /P << /F /A >> /F /B >>").trim_ascii(), b"/P    /F /B");
    }

    #[test]
    fn an_object_is_found_by_its_whole_number() {
        let file = b"112 0 obj 1 endobj 12 0 obj [/A] endobj 12 0 R";

        assert_eq!(object(file, b"12"), Some(&b" [/A] "[..]));
        assert_eq!(object(file, b"2"), None);
        assert_eq!(words(b"/A 12 0 R/B x").collect::<Vec<_>>(), [&b"/A"[..], b"12", b"/B", b""]);
    }
}
