//! Text in UTF-16 and UTF-32, told by its mark or by where its zeros are, as the same text in UTF-8.
//!
//! Servers run JSP, ASPX and PHP pages in these forms, and rules for text are written in letters of one byte.

use super::walk::Walk;

/// Bytes of the start by which text without a mark is judged.
const SAMPLE: usize = 4 << 10;
/// Fewer are a number and not a text.
const SHORTEST: usize = 16;

/// How wide letters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    width: usize,
    is_little: bool,
    /// Bytes of the mark.
    mark: usize,
}

/// The forms in the order in which they are tried: a mark of four bytes begins like one of two.
const MARKS: [(&[u8], Form); 4] = [
    (b"\xff\xfe\0\0", Form { width: 4, is_little: true, mark: 4 }),
    (b"\0\0\xfe\xff", Form { width: 4, is_little: false, mark: 4 }),
    (b"\xff\xfe", Form { width: 2, is_little: true, mark: 2 }),
    (b"\xfe\xff", Form { width: 2, is_little: false, mark: 2 }),
];
/// Without a mark, the first letter of a page tells, as it does to readers of XML.
const OPENINGS: [(&[u8], Form); 4] = [
    (b"<\0\0\0", Form { width: 4, is_little: true, mark: 0 }),
    (b"\0\0\0<", Form { width: 4, is_little: false, mark: 0 }),
    (b"<\0", Form { width: 2, is_little: true, mark: 0 }),
    (b"\0<", Form { width: 2, is_little: false, mark: 0 }),
];

impl Form {
    /// Tells the form of a text by its head. `None`: it is not written in wide letters.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let by = |list: &[(&[u8], Self)]| list.iter().find(|(start, _)| head.starts_with(start)).map(|f| f.1);
        let form = by(&MARKS).or_else(|| by(&OPENINGS));
        let judged = || OPENINGS.map(|(_, form)| form).into_iter().find(|form| form.fits(head));
        form.filter(|f| head.len() > f.mark + f.width).or_else(judged)
    }

    /// Most letters are printable ones of one byte, and hardly one is the number zero.
    fn fits(self, head: &[u8]) -> bool {
        let sample = &head[..head.len().min(SAMPLE)];
        let all = sample.len() / self.width;
        let of = |is: fn(u32) -> bool| self.units(sample).filter(|unit| is(*unit)).count();
        let latin = of(|unit| matches!(unit, 9 | 10 | 13 | 32..=126));
        sample.len() >= SHORTEST && latin * 2 > all && of(|unit| unit == 0) * 50 <= all
    }

    fn units(self, bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.chunks_exact(self.width).map(move |unit| {
            let add = |n: u32, byte: &u8| n << 8 | u32::from(*byte);
            if self.is_little { unit.iter().rev().fold(0, add) } else { unit.iter().fold(0, add) }
        })
    }

    fn word(self) -> &'static [u8] {
        if self.width == 2 { b"[utf-16]" } else { b"[utf-32]" }
    }

    /// Returns the text in UTF-8. What is no letter becomes the mark for that.
    pub(super) fn utf8(self, bytes: &[u8]) -> Vec<u8> {
        let units = self.units(bytes.get(self.mark..).unwrap_or_default());
        let mut out = Vec::with_capacity(bytes.len() / self.width);
        let mut put = |letter: char| out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        if self.width == 2 {
            let units = units.map(|unit| u16::try_from(unit).unwrap_or_default());
            char::decode_utf16(units).for_each(|c| put(c.unwrap_or(char::REPLACEMENT_CHARACTER)));
        } else {
            units.for_each(|unit| put(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)));
        }
        out
    }
}

/// Hands over the text in UTF-8.
pub(super) fn walk(walk: &mut Walk<'_>, form: Form, bytes: &[u8]) {
    if !walk.count() {
        return;
    }
    let text = form.utf8(bytes);
    if walk.spend(text.len()) {
        walk.enter(form.word(), &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn the_form_is_told_without_a_mark() {
        let text = "Công văn số 12: a page of some letters";
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let long: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();

        for bytes in [wide(text), big, long] {
            assert_eq!(Form::of(&bytes).map(|f| f.utf8(&bytes)), Some(text.as_bytes().to_vec()));
        }
    }

    #[test]
    fn tables_of_numbers_and_plain_text_are_no_wide_text() {
        let table: Vec<u8> = (0..2_000u32).flat_map(|n| n.to_le_bytes()).collect();
        let small: Vec<u8> = (0..2_000u16).flat_map(|n| (n % 7).to_le_bytes()).collect();

        for bytes in [&table[..], &small, b"a plain text of some length", b"a\0", b"\xff\xfe", &[0; 99]] {
            assert_eq!(Form::of(bytes), None);
        }
    }
}
