//! File names that must not occur: exact ones as keys, and simple globs.
//!
//! Names are compared folded: composed (NFC) and in lower case, because archives and other systems bring the same
//! name decomposed. A name without a slash stands for the last part of a path, one with a slash for the whole path.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::keys::{Key, key_of_text};

/// The longest listed name or path, in bytes.
pub const MAX_NAME: usize = 1_024;
/// The most globs of one list: each costs some nanoseconds for every file.
pub const MAX_GLOBS: usize = 1_024;
/// The most stars of one glob.
pub const MAX_STARS: usize = 8;
/// The fewest bytes of a glob that are neither `*` nor `?`: less would be found everywhere.
pub const MIN_LITERAL: usize = 5;

/// Why a line is no name that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing, or too much.
    #[error("a name has 1 to {MAX_NAME} bytes")]
    Length,
    /// Bytes that no name has.
    #[error("a name holds no control character")]
    Control,
    /// A glob that would be found everywhere.
    #[error("a glob has at least {MIN_LITERAL} bytes beside `*` and `?`, and at most {MAX_STARS} stars")]
    TooWide,
}

/// One listed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// This name.
    Exact(Key),
    /// Names of this form: `*` stands for any bytes but a slash, `?` for one of them.
    Glob(String),
}

impl Name {
    /// Reads one line of a list.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let folded = folded(text.as_bytes());
        if folded.is_empty() || folded.len() > MAX_NAME {
            return Err(BadName::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(BadName::Control);
        }
        let stars = folded.iter().filter(|b| **b == b'*').count();
        let wild = stars + folded.iter().filter(|b| **b == b'?').count();
        match wild {
            0 => Ok(Self::Exact(key_of_text(&folded))),
            _ if stars > MAX_STARS || folded.len() - wild < MIN_LITERAL => Err(BadName::TooWide),
            // It was text before it was folded.
            _ => Ok(Self::Glob(String::from_utf8_lossy(&folded).into_owned())),
        }
    }
}

/// The globs of a list, by the byte with which a name must end.
#[derive(Debug, Default)]
pub struct Globs {
    by_end: std::collections::BTreeMap<u8, Vec<Box<[u8]>>>,
    open: Vec<Box<[u8]>>,
}

impl Globs {
    /// Takes globs as [`Name::parse`] gave them; those beyond [`MAX_GLOBS`] are left out.
    pub fn new<'g>(globs: impl IntoIterator<Item = &'g str>) -> Self {
        let mut found = Self::default();
        for glob in globs.into_iter().filter(|g| !g.is_empty()).take(MAX_GLOBS) {
            let list = match glob.as_bytes().last() {
                Some(b'*' | b'?') | None => &mut found.open,
                Some(end) => found.by_end.entry(*end).or_default(),
            };
            list.push(glob.as_bytes().into());
        }
        found
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_end.is_empty() && self.open.is_empty()
    }

    /// Tells whether a folded path has one of the forms.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let ending = path.last().and_then(|b| self.by_end.get(b)).into_iter().flatten();
        ending.chain(&self.open).any(|glob| {
            let subject = if glob.contains(&b'/') { path } else { last_part(path) };
            fits(glob, subject)
        })
    }
}

/// Returns the keys under which a folded path may be listed: its last part, and the whole.
pub(crate) fn keys_of(path: &[u8]) -> [Key; 2] {
    [key_of_text(last_part(path)), key_of_text(path)]
}

/// Composes and lowers a name. Bytes that are not text are lowered as ASCII.
#[must_use]
pub fn folded(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) if text.is_ascii() => text.to_ascii_lowercase().into_bytes(),
        Ok(text) if is_nfc_quick(text.chars()) == IsNormalized::Yes => text.to_lowercase().into_bytes(),
        Ok(text) => text.nfc().collect::<String>().to_lowercase().into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// Tells whether a text has a glob's form. Goes back to the last star only, so it never takes more than the product
/// of both lengths.
fn fits(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(b) if *b == text[t] || (*b == b'?' && text[t] != b'/') => (g, t) = (g + 1, t + 1),
            _ => match star {
                Some((at, from)) if text[from] != b'/' => {
                    star = Some((at, from + 1));
                    (g, t) = (at + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
    glob[g..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_glob_stays_within_one_part_of_a_path() {
        for (glob, path, fit) in [
            ("*-decrypt.txt", "/home/a/readme-decrypt.txt", true),
            ("*-decrypt.txt", "/home/a/readme-decrypt.txt.bak", false),
            ("how?to?decrypt*", "/how_to-decrypt-files", true),
            ("/tmp/*/miner", "/tmp/x/miner", true),
            ("/tmp/*/miner", "/tmp/x/y/miner", false),
            ("/tmp/?/miner", "/tmp///miner", false),
            ("**ab*c**", "/xabyyc", true),
            ("*abcde*", "/abcdabcd", false),
        ] {
            assert_eq!(Globs::new([glob]).matches(path.as_bytes()), fit, "{glob} {path}");
        }
    }

    #[test]
    fn a_name_is_the_same_in_any_case_and_composition() {
        let listed = Name::parse("Giải-Mã Đọc.txt").unwrap();

        for path in ["/a/GIẢI-MÃ ĐỌC.TXT", "/a/giải-mã đọc.txt", "/a/Giải-Mã Đọc.txt"] {
            let [last, _] = keys_of(&folded(path.as_bytes()));
            assert_eq!(Name::Exact(last), listed, "{path}");
        }
    }

    #[test]
    fn names_that_would_be_found_everywhere_are_refused() {
        for (text, why) in [
            ("", BadName::Length),
            ("*", BadName::TooWide),
            ("*.php", BadName::TooWide),
            ("a*b*c*d*e*f*g*h*i*j", BadName::TooWide),
            ("a\tb", BadName::Control),
        ] {
            assert_eq!(Name::parse(text), Err(why), "{text}");
        }
        assert_eq!(Name::parse(&"a".repeat(MAX_NAME + 1)), Err(BadName::Length));
    }

    proptest! {
        #[test]
        fn a_text_always_fits_the_glob_made_of_it(text in "[a-z]{5,30}", cut in 0_usize..5) {
            let glob = format!("{}*{}", &text[..cut], &text[cut..]);

            prop_assert!(fits(glob.as_bytes(), text.as_bytes()));
            let longer = format!("{text}!");
            prop_assert!(!fits(glob.as_bytes(), longer.as_bytes()));
        }

        #[test]
        fn any_bytes_can_be_asked_for(path: Vec<u8>, glob: String) {
            let _ = (Globs::new([glob.as_str()]).matches(&path), keys_of(&folded(&path)));
        }
    }
}
