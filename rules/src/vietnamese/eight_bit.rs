//! Phrases in the encodings that Vietnam wrote in before Unicode: TCVN3 (ABC), VNI, VISCII and windows-1258.
//!
//! Old documents, mail and logs still carry them. A web page does not: no search engine reads the first three.

use super::{Letter, Syllable, alternatives, byte, bytes, cases, letter::MARKED};

/// TCVN3. A capital with a tone is the same byte in another font.
const TCVN3: [u8; 67] = [
    0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xA8, 0xBB, 0xBC, 0xBD, 0xBE, 0xC6, 0xA9, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB,
    0xAE, 0xCC, 0xCE, 0xCF, 0xD0, 0xD1, 0xAA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xDC, 0xDD, 0xDE,
    0xDF, 0xE1, 0xE2, 0xE3, 0xE4, 0xAB, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xAC, 0xEA, 0xEB, 0xEC, 0xED, 0xEE,
    0xEF, 0xF1, 0xF2, 0xF3, 0xF4, 0xAD, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE,
];
/// The capitals of TCVN3 that have bytes of their own.
const TCVN3_CAPITALS: [(char, u8); 7] =
    [('ă', 0xA1), ('â', 0xA2), ('ê', 0xA3), ('ô', 0xA4), ('ơ', 0xA5), ('ư', 0xA6), ('đ', 0xA7)];

const VISCII: [u8; 67] = [
    0xE0, 0xE4, 0xE3, 0xE1, 0xD5, 0xE5, 0xA2, 0xC6, 0xC7, 0xA1, 0xA3, 0xE2, 0xA5, 0xA6, 0xE7, 0xA4, 0xA7,
    0xF0, 0xE8, 0xEB, 0xA8, 0xE9, 0xA9, 0xEA, 0xAB, 0xAC, 0xAD, 0xAA, 0xAE, 0xEC, 0xEF, 0xEE, 0xED, 0xB8,
    0xF2, 0xF6, 0xF5, 0xF3, 0xF7, 0xF4, 0xB0, 0xB1, 0xB2, 0xAF, 0xB5, 0xBD, 0xB6, 0xB7, 0xDE, 0xBE, 0xFE,
    0xF9, 0xFC, 0xFB, 0xFA, 0xF8, 0xDF, 0xD7, 0xD8, 0xE6, 0xD1, 0xF1, 0xCF, 0xD6, 0xDB, 0xFD, 0xDC,
];
const VISCII_CAPITALS: [u8; 67] = [
    0xC0, 0xC4, 0xC3, 0xC1, 0x80, 0xC5, 0x82, 0x02, 0x05, 0x81, 0x83, 0xC2, 0x85, 0x86, 0x06, 0x84, 0x87,
    0xD0, 0xC8, 0xCB, 0x88, 0xC9, 0x89, 0xCA, 0x8B, 0x8C, 0x8D, 0x8A, 0x8E, 0xCC, 0x9B, 0xCE, 0xCD, 0x98,
    0xD2, 0x99, 0xA0, 0xD3, 0x9A, 0xD4, 0x90, 0x91, 0x92, 0x8F, 0x93, 0xB4, 0x96, 0x97, 0xB3, 0x95, 0x94,
    0xD9, 0x9C, 0x9D, 0xDA, 0x9E, 0xBF, 0xBB, 0xBC, 0xFF, 0xBA, 0xB9, 0x9F, 0x14, 0x19, 0xDD, 0x1E,
];

/// The phrase in any of the encodings.
pub(super) fn phrase(syllables: &[Syllable]) -> String {
    let encodings: [fn(Letter) -> String; 4] = [tcvn3, viscii, vni, windows];
    let all = encodings.map(|letter| {
        let of = |s: &Syllable| s.letters.iter().map(|l| encoded(*l, letter)).collect::<String>();
        let ways = |s: &Syllable| alternatives(&s.variants().iter().map(of).collect::<Vec<_>>());
        syllables.iter().map(ways).collect::<Vec<_>>().join(r"[\s\-_.\xA0]{1,4}")
    });
    format!(r"(^|[^0-9a-z\x80-\xFF]){}($|[^0-9a-z\x80-\xFF])", alternatives(&all))
}

fn encoded(letter: Letter, encoding: fn(Letter) -> String) -> String {
    if letter.is_marked() { encoding(letter) } else { letter.base.to_string() }
}

fn tcvn3(letter: Letter) -> String {
    let c = letter.composed();
    let small = place(c).map(|at| byte(TCVN3[at]));
    let capital = TCVN3_CAPITALS.iter().find(|(of, _)| *of == c).map(|(_, b)| byte(*b));
    alternatives(&small.into_iter().chain(capital).collect::<Vec<_>>())
}

fn viscii(letter: Letter) -> String {
    let at = place(letter.composed());
    alternatives(&at.map(|at| vec![byte(VISCII[at]), byte(VISCII_CAPITALS[at])]).unwrap_or_default())
}

fn place(c: char) -> Option<usize> {
    MARKED.chars().position(|l| l == c)
}

/// VNI: a letter and a second byte for all of its marks; the horn, `đ` and the toned `i` are bytes of their own.
/// Capitals are 32 lower.
fn vni(letter: Letter) -> String {
    let tone = letter.tone.map(|t| match t {
        '\u{300}' => 0xF8,
        '\u{301}' => 0xF9,
        '\u{309}' => 0xFB,
        '\u{303}' => 0xF5,
        _ => 0xEF,
    });
    let whole: Vec<u8> = match (letter.base, letter.quality) {
        ('đ', _) => vec![0xF1],
        ('o', Some('\u{31B}')) => std::iter::once(0xF4).chain(tone).collect(),
        ('u', Some('\u{31B}')) => std::iter::once(0xF6).chain(tone).collect(),
        ('i', _) => vec![vni_i(letter.tone)],
        ('y', _) if letter.tone == Some('\u{323}') => vec![0xEE],
        (base, Some(quality)) => vec![base as u8, vni_quality(quality, letter.tone)],
        (base, None) => std::iter::once(base as u8).chain(tone).collect(),
    };
    let pair = |b: &u8| if b.is_ascii() { byte(*b) } else { format!("[{}{}]", byte(*b), byte(b - 0x20)) };
    whole.iter().map(pair).collect()
}

fn vni_i(tone: Option<char>) -> u8 {
    match tone {
        Some('\u{300}') => 0xEC,
        Some('\u{301}') => 0xED,
        Some('\u{309}') => 0xE6,
        Some('\u{303}') => 0xF3,
        _ => 0xF2,
    }
}

/// The second byte of a letter with circumflex or breve, the tone included.
fn vni_quality(quality: char, tone: Option<char>) -> u8 {
    let [plain, grave, acute, hook, tilde, dot] = match quality {
        '\u{302}' => [0xE2, 0xE0, 0xE1, 0xE5, 0xE3, 0xE4],
        _ => [0xEA, 0xE8, 0xE9, 0xFA, 0xFC, 0xEB],
    };
    match tone {
        None => plain,
        Some('\u{300}') => grave,
        Some('\u{301}') => acute,
        Some('\u{309}') => hook,
        Some('\u{303}') => tilde,
        Some(_) => dot,
    }
}

/// windows-1258: the vowel with its quality, and the tone as a byte after it, or some composed as in Latin-1.
fn windows(letter: Letter) -> String {
    let vowel = |c: char| -> Option<u8> {
        Some(match c {
            'ă' => 0xE3,
            'Ă' => 0xC3,
            'đ' => 0xF0,
            'Đ' => 0xD0,
            'ơ' => 0xF5,
            'Ơ' => 0xD5,
            'ư' => 0xFD,
            'Ư' => 0xDD,
            _ if c.is_ascii() => c as u8,
            _ if "âêôàáèéíóùúÂÊÔÀÁÈÉÍÓÙÚ".contains(c) => {
                u8::try_from(u32::from(c)).ok()?
            }
            _ => return None,
        })
    };
    let tone = |t: char| match t {
        '\u{300}' => 0xCC,
        '\u{301}' => 0xEC,
        '\u{303}' => 0xDE,
        '\u{309}' => 0xD2,
        _ => 0xF2,
    };
    let mut ways = Vec::new();
    for c in cases(letter.composed()) {
        ways.extend(vowel(c).map(|b| bytes(&[b])));
    }
    if let Some(mark) = letter.tone {
        for c in cases(Letter { tone: None, ..letter }.composed()) {
            ways.extend(vowel(c).map(|b| bytes(&[b, tone(mark)])));
        }
    }
    alternatives(&ways)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_the_bytes_of_their_encodings() {
        for (text, t, v, n, w) in [
            ("à", r"\xB5", r"(\xE0|\xC0)", r"a[\xF8\xD8]", r"(\xE0|\xC0|a\xCC|A\xCC)"),
            ("ộ", r"\xE9", r"(\xB5|\x93)", r"o[\xE4\xC4]", r"(\xF4\xF2|\xD4\xF2)"),
            ("đ", r"(\xAE|\xA7)", r"(\xF0|\xD0)", r"[\xF1\xD1]", r"(\xF0|\xD0)"),
            ("ợ", r"\xEE", r"(\xFE|\x94)", r"[\xF4\xD4][\xEF\xCF]", r"(\xF5\xF2|\xD5\xF2)"),
            ("ỵ", r"\xFE", r"(\xDC|\x1E)", r"[\xEE\xCE]", r"(y\xF2|Y\xF2)"),
        ] {
            let letter = Syllable::read(text).unwrap().letters[0];

            assert_eq!([tcvn3(letter), viscii(letter), vni(letter), windows(letter)], [t, v, n, w], "{text}");
        }
    }
}
