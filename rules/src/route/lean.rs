//! The engine's compiled form without the portable code that it keeps beside the machine code.
//!
//! ```text
//! MAGIC · version u32 · names · expressions · relaxed u8 · literals · portable code · machine code · …
//! names, expressions, literals: count · (length · bytes)…      portable code: length · "\0asm"…
//! ```
//! The engine needs it only where the machine code does not fit the processor; then these rules are compiled from their
//! source instead. It is read byte by byte at every load and stays in memory for good. What is not laid out like this
//! is left as it is. Numbers are bincode's: one byte, or a mark and two, four or eight.

/// What the engine's compiled form begins with.
const MAGIC: &[u8] = b"YARA-X\0\0";
/// The version of its layout that is known here.
const VERSION: u32 = 8;
/// What portable code begins with.
const PORTABLE: &[u8] = b"\0asm";
/// How a length of nothing is written.
const NOTHING: u8 = 0;

/// Leaves the portable code out.
pub(super) fn lean(mut form: Vec<u8>) -> Vec<u8> {
    if let Some((from, to)) = portable(&form) {
        form.splice(from..to, [NOTHING]);
    }
    form
}

/// Returns where the portable code begins, with its length, and where it ends.
fn portable(form: &[u8]) -> Option<(usize, usize)> {
    let mut rest = form.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
    rest = strings(strings(rest)?)?;
    rest = strings(rest.split_first()?.1)?;
    let from = form.len() - rest.len();
    let (code, rest) = string(rest)?;
    code.starts_with(PORTABLE).then_some((from, form.len() - rest.len()))
}

/// Passes over a list of strings.
fn strings(rest: &[u8]) -> Option<&[u8]> {
    let (count, mut rest) = number(rest)?;
    for _ in 0..count {
        rest = string(rest)?.1;
    }
    Some(rest)
}

fn string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(rest)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn number(rest: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = rest.split_first()?;
    let width = match first {
        0..=250 => return Some((u64::from(*first), rest)),
        251 => 2,
        252 => 4,
        253 => 8,
        254.. => return None,
    };
    let (digits, rest) = rest.split_at_checked(width)?;
    let mut all = [0; 8];
    all[..width].copy_from_slice(digits);
    Some((u64::from_le_bytes(all), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "rule long_one { strings: $a = \"some text\" nocase $b = /expr[0-9]+ession/ $c = { 01 02 [2-4] 03 } \
                         condition: ($a or $b or $c) and filesize > 3 and not \"x\" matches /other/ }";

    #[test]
    fn without_portable_code_rules_are_smaller_and_match_as_before() {
        let rules = yara_x::compile(RULES).unwrap();
        let whole = rules.serialize().unwrap();

        let short = lean(whole.clone());

        let (from, to) = portable(&whole).expect("the engine's layout is the known one");
        assert_eq!(short.len(), whole.len() - (to - from) + 1);
        let loaded = yara_x::Rules::deserialize(&short).unwrap();
        for text in ["Some Text", "expr12ession", "\u{1}\u{2}...\u{3}", "nothing"] {
            let found =
                |rules| yara_x::Scanner::new(rules).scan(text.as_bytes()).unwrap().matching_rules().len();
            assert_eq!(found(&loaded), found(&rules), "{text}");
        }
        assert_eq!(lean(short.clone()), short, "there is nothing more to leave out");
    }

    #[test]
    fn what_is_laid_out_otherwise_stays_as_it_is() {
        let whole = yara_x::compile(RULES).unwrap().serialize().unwrap();
        let mut other = whole.clone();
        other[MAGIC.len()] ^= 1;

        assert_eq!(lean(other.clone()), other);
        for end in [0, 7, 12, 13, 40, 60] {
            assert_eq!(lean(whole[..end].to_vec()), whole[..end]);
        }
    }
}
