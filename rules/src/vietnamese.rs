//! One Vietnamese word or phrase becomes a YARA regular expression that finds every form in which a page can carry it.
//!
//! ```text
//! nhà cái   NFC, NFD and any order between      NHÀ CÁI, Nhà Cái       nh&agrave; c&#225;i, &#X00E0
//!           nh%C3%A0%20c%C3%A1i  nh\u00e0       nha-cai nha_cai        UTF-16 of both byte orders
//!           nhà&nbsp;cái, nhà<b>cái</b>         n­hà (soft hyphen)      TCVN3, VNI, VISCII, windows-1258
//! ```
//! `nocase` of YARA knows ASCII only, and no modifier knows a combining mark. A syllable is written with all of its
//! marks or with none: `nhà cai` is another word. Old and new places of the tone mark (`hoà`, `hòa`) and `y` for `i`
//! at the end of a syllable (`đăng kí`) are the same word. Whatever stands beside the phrase must end it.
//!
//! Nothing here reads a file. The same phrase and forms always give the same text.

mod border;
mod eight_bit;
pub mod gambling;
mod letter;
mod sixteen;
mod text;

use letter::{Letter, Syllable};

/// The most syllables of a phrase.
pub const MAX_SYLLABLES: usize = 6;
/// The most letters of a syllable: `nghiêng` has seven.
pub const MAX_LETTERS: usize = 10;
/// The longest expression that is made, in bytes. Longer ones say that a phrase wants fewer forms.
pub const MAX_REGEX: usize = 48 << 10;

/// Which forms of a phrase are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forms(u8);

impl Forms {
    /// With its marks in UTF-8: composed, decomposed or mixed, in any case, each letter also as an HTML entity,
    /// percent-encoded or as a JSON escape; blanks of every kind between syllables.
    pub const MARKED: Self = Self(1);
    /// Without marks, as in slugs: `nha-cai`.
    pub const BARE: Self = Self(2);
    /// Syllables may touch: `nhacai`. Only for phrases that are long enough to mean nothing else.
    pub const JOINED: Self = Self(4);
    /// Soft hyphens and zero-width characters between letters.
    pub const SPLIT: Self = Self(8);
    /// Every letter, plain ones too, as a numeric entity, percent-encoded or as an escape. Few pages are written so,
    /// and each of their letters begins a search: for a handful of phrases.
    pub const SPELLED: Self = Self(16);
    /// UTF-16 in both byte orders, marked and bare.
    pub const UTF16: Self = Self(32);
    /// TCVN3, VNI, VISCII and windows-1258: old documents and logs. Search engines do not read them.
    pub const LEGACY: Self = Self(64);
    /// What a web page or a script carries.
    pub const WEB: Self = Self(1 | 2 | 8 | 32);
    /// All but [`JOINED`](Self::JOINED).
    pub const ALL: Self = Self(1 | 2 | 8 | 16 | 32 | 64);

    /// Returns these forms and others.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Returns these forms without others.
    #[must_use]
    pub const fn without(self, fewer: Self) -> Self {
        Self(self.0 & !fewer.0)
    }

    /// Tells whether all of the other forms are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why a text is no phrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPhrase {
    /// Nothing, or too much of it.
    #[error("a phrase has 1 to {MAX_SYLLABLES} syllables of at most {MAX_LETTERS} letters")]
    Length,
    /// A character that Vietnamese does not write with.
    #[error("`{0}` is neither a Vietnamese letter nor a digit")]
    Letter(char),
    /// No form was asked for, or only forms that need marks of a phrase without any.
    #[error("no form of the phrase is left")]
    NoForm,
    /// The expression would be too large.
    #[error("the expression would have {0} bytes, at most {MAX_REGEX} are allowed")]
    TooLarge(usize),
}

/// A word or some words, read letter by letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    syllables: Vec<Syllable>,
}

impl std::str::FromStr for Phrase {
    type Err = BadPhrase;

    fn from_str(text: &str) -> Result<Self, BadPhrase> {
        let syllables: Vec<_> = text
            .split([' ', '-', '_'])
            .filter(|s| !s.is_empty())
            .map(Syllable::read)
            .collect::<Result<_, _>>()?;
        let fits = (1..=MAX_SYLLABLES).contains(&syllables.len())
            && syllables.iter().all(|s| s.letters.len() <= MAX_LETTERS);
        if fits { Ok(Self { syllables }) } else { Err(BadPhrase::Length) }
    }
}

impl Phrase {
    /// Returns a YARA regular expression, delimiters and the `i` flag included, that finds the phrase in the forms.
    ///
    /// # Errors
    /// [`BadPhrase`].
    pub fn regex(&self, forms: Forms) -> Result<String, BadPhrase> {
        let all = self.expressions(forms);
        if all.is_empty() {
            return Err(BadPhrase::NoForm);
        }
        let regex = format!("/{}/i", alternatives(&all));
        if regex.len() > MAX_REGEX { Err(BadPhrase::TooLarge(regex.len())) } else { Ok(regex) }
    }

    fn expressions(&self, forms: Forms) -> Vec<String> {
        let marked = self.syllables.iter().any(Syllable::is_marked);
        let mut all = Vec::new();
        let style = text::Style { joined: forms.has(Forms::JOINED), split: forms.has(Forms::SPLIT) };
        let mut bodies = Vec::new();
        if forms.has(Forms::MARKED) && marked {
            bodies.push(text::marked(&self.syllables, style));
        }
        if forms.has(Forms::BARE) || (forms.has(Forms::MARKED) && !marked) {
            bodies.push(text::bare(&self.syllables, style));
        }
        if forms.has(Forms::SPELLED) {
            bodies.push(text::spelled(&self.syllables, false));
            if marked {
                bodies.push(text::spelled(&self.syllables, true));
            }
        }
        if !bodies.is_empty() {
            all.push(format!("{}{}{}", border::LEFT, alternatives(&bodies), border::RIGHT));
        }
        if forms.has(Forms::UTF16) {
            all.extend(
                [sixteen::Order::Little, sixteen::Order::Big].map(|o| sixteen::phrase(&self.syllables, o)),
            );
        }
        if forms.has(Forms::LEGACY) && marked {
            all.push(eight_bit::phrase(&self.syllables));
        }
        all
    }
}

/// Joins expressions of which any may match.
fn alternatives(all: &[String]) -> String {
    match all {
        [one] => one.clone(),
        _ => format!("({})", all.join("|")),
    }
}

/// Writes one byte so that no byte means anything to a regular expression.
fn byte(b: u8) -> String {
    if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("\\x{b:02X}") }
}

fn bytes(all: &[u8]) -> String {
    all.iter().map(|b| byte(*b)).collect()
}

/// Returns a lower-case letter and its upper-case form, if that is another one.
fn cases(c: char) -> Vec<char> {
    let mut both = vec![c];
    both.extend(c.to_uppercase().filter(|u| *u != c));
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_phrase_is_refused() {
        for (text, why) in [
            ("", BadPhrase::Length),
            ("a b c d e f g", BadPhrase::Length),
            ("aaaaaaaaaaa", BadPhrase::Length),
            ("nhà/cái", BadPhrase::Letter('/')),
            ("ñandú", BadPhrase::Letter('ñ')),
            ("a\u{301}\u{300}", BadPhrase::Letter('\u{300}')),
        ] {
            assert_eq!(text.parse::<Phrase>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_phrase_is_the_same_however_it_was_typed() {
        let one: Phrase = "nhà cái".parse().unwrap();

        for other in ["NHÀ CÁI", "nha\u{300}  ca\u{301}i", "Nhà-Cái"] {
            assert_eq!(other.parse(), Ok(one.clone()), "{other}");
        }
    }

    #[test]
    fn expressions_are_bounded_and_the_longest_phrase_fits() {
        let word: Phrase = "nhà cái".parse().unwrap();
        let long: Phrase = ["nghiễng"; MAX_SYLLABLES].join(" ").parse().unwrap();

        assert!(word.regex(Forms::WEB).unwrap().len() < 8_000);
        assert!(long.regex(Forms::MARKED).is_ok());
        assert_eq!(word.regex(Forms(0)), Err(BadPhrase::NoForm));
        assert!(word.regex(Forms::ALL).unwrap().is_ascii());
    }
}
