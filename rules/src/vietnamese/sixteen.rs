//! Phrases in UTF-16, little-endian and big-endian. YARA's `wide` puts a zero after each byte and so knows no letter
//! beyond Latin-1.

use super::{Letter, Syllable, alternatives, byte, cases};

/// Which byte of a unit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// Blanks, hyphens and what is not seen.
const BLANKS: [char; 16] = [
    ' ', '\t', '\r', '\n', '-', '_', '.', '\u{A0}', '\u{AD}', '\u{200B}', '\u{200C}', '\u{200D}', '\u{2011}',
    '\u{202F}', '\u{2060}', '\u{FEFF}',
];

/// The phrase with all of its marks or with none.
pub(super) fn phrase(syllables: &[Syllable], order: Order) -> String {
    let blank = format!("({}){{1,8}}", BLANKS.map(|c| unit(c, order)).join("|"));
    let joined = |letter: &dyn Fn(&Letter) -> String| {
        let of = |s: &Syllable| s.letters.iter().map(letter).collect::<String>();
        let ways = |s: &Syllable| alternatives(&s.variants().iter().map(of).collect::<Vec<_>>());
        syllables.iter().map(ways).collect::<Vec<_>>().join(&blank)
    };
    let mut bodies = vec![joined(&|l| unit(l.bare(), order))];
    if syllables.iter().any(Syllable::is_marked) {
        bodies.push(joined(&|l| of_letter(*l, order)));
    }
    let (left, right) = borders(order);
    format!("{left}{}{right}", alternatives(&bodies))
}

fn of_letter(letter: Letter, order: Order) -> String {
    let of = |chars: &Vec<char>| chars.iter().map(|c| both_cases(*c, order)).collect::<String>();
    alternatives(&letter.spellings().iter().map(of).collect::<Vec<_>>())
}

fn both_cases(c: char, order: Order) -> String {
    if c.is_ascii() {
        return unit(c, order);
    }
    alternatives(&cases(c).into_iter().map(|c| unit(c, order)).collect::<Vec<_>>())
}

fn unit(c: char, order: Order) -> String {
    // Every character here is in the basic plane.
    let [high, low] = u16::try_from(u32::from(c)).unwrap_or_default().to_be_bytes().map(byte);
    match order {
        Order::Little => format!("{low}{high}"),
        Order::Big => format!("{high}{low}"),
    }
}

/// Before and after: the edge, a unit of ASCII or Latin-1 that is no letter, or one that Vietnamese has no letters in.
fn borders(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::Little => (
            r"(^|[^0-9a-z]\x00|[\x00-\xFF][^\x00\x1E])",
            r"($|[^a-z&%\\\xC0-\xFF]\x00|[\x00-\xFF][^\x00\x01\x03\x1E])",
        ),
        Order::Big => (
            r"(^|\x00[^0-9a-z]|[^\x00\x1E][\x00-\xFF])",
            r"($|\x00[^a-z&%\\\xC0-\xFF]|[^\x00\x01\x03\x1E][\x00-\xFF])",
        ),
    }
}
