//! Phrases in text of one byte a unit: UTF-8 with entities and escapes, plain ASCII, and letters spelled as numbers.

use super::{Letter, Syllable, alternatives, border, bytes, cases};

/// How loosely letters and syllables may stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) joined: bool,
    pub(super) split: bool,
}

/// Every letter with its marks.
pub(super) fn marked(syllables: &[Syllable], style: Style) -> String {
    phrase(syllables, style, |l| of_letter(*l))
}

/// Every letter without marks.
pub(super) fn bare(syllables: &[Syllable], style: Style) -> String {
    phrase(syllables, style, |l| l.bare().to_string())
}

/// Every letter as a number, all with their marks or all without.
pub(super) fn spelled(syllables: &[Syllable], marked: bool) -> String {
    let letter = |l: &Letter| if marked { spelled_letter(*l) } else { spelled_character(l.bare()) };
    phrase(syllables, Style { joined: true, split: false }, letter)
}

fn phrase(syllables: &[Syllable], style: Style, letter: impl Fn(&Letter) -> String) -> String {
    let between = if style.split { border::UNSEEN } else { "" };
    let of = |s: &Syllable| s.letters.iter().map(&letter).collect::<Vec<_>>().join(between);
    let all = syllables.iter().map(|s| {
        let mut ways: Vec<_> = s.variants().iter().map(of).collect();
        ways.dedup();
        alternatives(&ways)
    });
    all.collect::<Vec<_>>().join(&border::between(style.joined))
}

fn of_letter(letter: Letter) -> String {
    let spelled: Vec<String> = letter
        .spellings()
        .iter()
        .map(|chars| chars.iter().map(|c| character(*c)).collect::<String>())
        .collect();
    alternatives(&spelled)
}

/// One character in both cases, as bytes and in every escape.
fn character(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    let both = cases(c);
    let raw = both.iter().map(|c| bytes(c.encode_utf8(&mut [0; 4]).as_bytes()));
    let mut ways: Vec<String> = raw.collect();
    ways.push(entity(c, &both));
    ways.extend(both.iter().map(|c| percent(*c)));
    ways.push(escape(&both));
    format!("({})", ways.join("|"))
}

fn entity(c: char, both: &[char]) -> String {
    let named = name(c).map(|n| format!("{n}|")).unwrap_or_default();
    let (decimal, hex) = numbers(both);
    format!("&({named}#0*({decimal})|#x0*({hex}));?")
}

/// Returns the numbers of characters in decimal and in hex.
fn numbers(both: &[char]) -> (String, String) {
    let written =
        |of: fn(u32) -> String| both.iter().map(|c| of(u32::from(*c))).collect::<Vec<_>>().join("|");
    (written(|n| n.to_string()), written(|n| format!("{n:x}")))
}

fn percent(c: char) -> String {
    c.encode_utf8(&mut [0; 4]).bytes().map(|b| format!("%(25)?{b:02x}")).collect()
}

/// The escapes of JSON and JavaScript, also those of a string within a string.
fn escape(both: &[char]) -> String {
    let fixed: Vec<_> = both.iter().map(|c| format!("{:04x}", u32::from(*c))).collect();
    let (_, hex) = numbers(both);
    format!(r"[\\%]{{1,2}}(u({})|u\{{0*({hex})\}}|x0*({hex}))", fixed.join("|"))
}

/// A letter of which nothing is written as itself: all characters are numbers.
fn spelled_letter(letter: Letter) -> String {
    let of = |chars: &Vec<char>| chars.iter().map(|c| spelled_character(*c)).collect::<String>();
    alternatives(&letter.spellings().iter().map(of).collect::<Vec<_>>())
}

fn spelled_character(c: char) -> String {
    let both = cases(c);
    let (decimal, hex) = numbers(&both);
    let fixed: Vec<_> = both.iter().map(|c| format!("{:04x}", u32::from(*c))).collect();
    let percent: Vec<_> = both.iter().map(|c| percent(*c)).collect();
    format!(r"(&#(0*({decimal})|x0*({hex}));?|{}|[\\%]{{1,2}}u({}))", percent.join("|"), fixed.join("|"))
}

/// The name of a letter in HTML, without case.
fn name(c: char) -> Option<&'static str> {
    Some(match c {
        'à' => "agrave",
        'á' => "aacute",
        'â' => "acirc",
        'ã' => "atilde",
        'ă' => "abreve",
        'đ' => "dstrok",
        'è' => "egrave",
        'é' => "eacute",
        'ê' => "ecirc",
        'ì' => "igrave",
        'í' => "iacute",
        'ĩ' => "itilde",
        'ò' => "ograve",
        'ó' => "oacute",
        'ô' => "ocirc",
        'õ' => "otilde",
        'ù' => "ugrave",
        'ú' => "uacute",
        'ũ' => "utilde",
        'ý' => "yacute",
        _ => return None,
    })
}
