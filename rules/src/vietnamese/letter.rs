//! Letters and syllables: what they are made of and how else they may be written.

use unicode_normalization::{UnicodeNormalization, char::compose};

use super::BadPhrase;

/// The five tone marks: grave, acute, tilde, hook, dot below.
pub(super) const TONES: [char; 5] = ['\u{300}', '\u{301}', '\u{303}', '\u{309}', '\u{323}'];
/// Every letter with a mark, in the order of the tables of old encodings.
pub(super) const MARKED: &str = "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵ";
/// The marks that make another vowel: circumflex, breve, horn.
const QUALITIES: [char; 3] = ['\u{302}', '\u{306}', '\u{31B}'];

/// One letter, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Letter {
    /// In lower case, without marks; `đ` is a base of its own.
    pub(super) base: char,
    pub(super) quality: Option<char>,
    pub(super) tone: Option<char>,
}

/// One syllable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Syllable {
    pub(super) letters: Vec<Letter>,
}

impl Letter {
    /// Returns the letter in one character.
    pub(super) fn composed(self) -> char {
        [Some(self.base), self.quality, self.tone].into_iter().flatten().nfc().next().unwrap_or(self.base)
    }

    /// Returns the letter without marks.
    pub(super) fn bare(self) -> char {
        if self.base == 'đ' { 'd' } else { self.base }
    }

    pub(super) fn is_marked(self) -> bool {
        self.quality.is_some() || self.tone.is_some() || self.base == 'đ'
    }

    /// Returns every sequence of characters that shows this letter: composed, decomposed in any order, and between.
    pub(super) fn spellings(self) -> Vec<Vec<char>> {
        let Self { base, quality, tone } = self;
        let mut found = vec![vec![self.composed()]];
        for marks in [[quality, tone], [tone, quality]] {
            let marks: Vec<char> = marks.into_iter().flatten().collect();
            for kept in 0..marks.len() {
                let head = marks[..kept].iter().try_fold(base, |c, m| compose(c, *m));
                let spelled = head.map(|c| std::iter::once(c).chain(marks[kept..].iter().copied()).collect());
                found.extend(spelled.filter(|s| !found.contains(s)));
            }
        }
        found
    }
}

impl Syllable {
    pub(super) fn read(text: &str) -> Result<Self, BadPhrase> {
        let mut letters: Vec<Letter> = Vec::new();
        for c in text.nfd().flat_map(char::to_lowercase) {
            match letters.last_mut() {
                _ if c.is_ascii_alphanumeric() || c == 'đ' => {
                    letters.push(Letter { base: c, quality: None, tone: None });
                }
                Some(last) if QUALITIES.contains(&c) && last.quality.is_none() => last.quality = Some(c),
                Some(last) if TONES.contains(&c) && last.tone.is_none() => last.tone = Some(c),
                _ => return Err(BadPhrase::Letter(c)),
            }
        }
        match letters.iter().find(|l| l.is_marked() && !MARKED.contains(l.composed())) {
            Some(odd) => Err(BadPhrase::Letter(odd.composed())),
            None => Ok(Self { letters }),
        }
    }

    pub(super) fn is_marked(&self) -> bool {
        self.letters.iter().any(|l| l.is_marked())
    }

    /// Returns the ways to write this syllable: the tone on either vowel of `oa`, `oe`, `uy`, and `i` for a final `y`.
    pub(super) fn variants(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        all.extend(self.tone_moved());
        let other_ends: Vec<_> = all.iter().filter_map(Self::end_exchanged).collect();
        all.extend(other_ends);
        all
    }

    fn tone_moved(&self) -> Option<Self> {
        let plain = |l: &Letter, base| l.base == base && l.quality.is_none();
        let at = self.letters.windows(2).position(|pair| {
            [('o', 'a'), ('o', 'e'), ('u', 'y')]
                .iter()
                .any(|(a, b)| plain(&pair[0], *a) && plain(&pair[1], *b))
        })?;
        let (first, second) = (self.letters[at].tone, self.letters[at + 1].tone);
        if first.is_some() == second.is_some() {
            return None;
        }
        let mut moved = self.clone();
        (moved.letters[at].tone, moved.letters[at + 1].tone) = (second, first);
        Some(moved)
    }

    /// Exchanges `i` and `y` where both are written: at the end, after one of `h k l m s t`.
    fn end_exchanged(&self) -> Option<Self> {
        let [onset, end] = self.letters.as_slice() else { return None };
        let other = match end.base {
            'y' => 'i',
            'i' => 'y',
            _ => return None,
        };
        "hklmst".contains(onset.base).then(|| {
            let mut exchanged = self.clone();
            exchanged.letters[1].base = other;
            exchanged
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_with_two_marks_has_every_order_and_composition() {
        let spelled: Vec<String> =
            only("ế").spellings().into_iter().map(|s| s.into_iter().collect()).collect();

        assert_eq!(
            spelled,
            ["ế", "e\u{302}\u{301}", "ê\u{301}", "e\u{301}\u{302}", "é\u{302}"].map(str::to_owned)
        );
        assert!(spelled.iter().all(|s| s.nfc().eq("ế".nfc()) || s.contains('\u{302}')));
    }

    #[test]
    fn every_vietnamese_letter_is_read_and_written_back() {
        for c in "aàáãảạăằắẵẳặâầấẫẩậeèéẽẻẹêềếễểệiìíĩỉịoòóõỏọôồốỗổộơờớỡởợuùúũủụưừứữửựyỳýỹỷỵđ".chars()
        {
            assert_eq!(only(&c.to_string()).composed(), c);
        }
    }

    #[test]
    fn the_tone_moves_and_the_end_is_exchanged_only_where_both_are_written() {
        for (text, variants) in [
            ("hoà", vec!["hoà", "hòa"]),
            ("thủy", vec!["thủy", "thuỷ"]),
            ("ký", vec!["ký", "kí"]),
            ("cái", vec!["cái"]),
            ("khuyến", vec!["khuyến"]),
        ] {
            let of = |s: &Syllable| s.letters.iter().map(|l| l.composed()).collect::<String>();

            assert_eq!(Syllable::read(text).unwrap().variants().iter().map(of).collect::<Vec<_>>(), variants);
        }
    }

    fn only(text: &str) -> Letter {
        Syllable::read(text).unwrap().letters[0]
    }
}
