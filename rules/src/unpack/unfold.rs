//! Scripts whose words are written in another form, as they read when that is undone: escapes, `chr(…)`, lists of
//! numbers, strings cut up and joined, short base64 and hexadecimal beside a word that decodes it.
//!
//! ```text
//! $f = "ba"."s\x6536".chr(52); run($f("b25l"));   ─►   $f = "base64"; run($f("one"));
//! ```
//! What is undone stays in its place, because rules look at what stands around it. This is a guess and no
//! interpreter: a decoded script is scanned beside the script as it is, never instead of it.

mod letters;
mod runs;

use memchr::memmem;

use super::{text, walk::Walk};

/// Bytes of a script that are undone. Web shells are far smaller; more only costs time.
const MAX_SCRIPT: usize = 4 << 20;
/// Where a zero says that a file is no text, unless a page's tag is somewhere in it.
const HEAD: usize = 1 << 10;

/// Hands over what the script reads like, in each form that differs from the script itself.
pub(super) fn walk(walk: &mut Walk<'_>, bytes: &[u8]) {
    let script = &bytes[..bytes.len().min(MAX_SCRIPT)];
    if !is_script(script) {
        return;
    }
    let view = unfolded(script);
    let read = view.as_deref().unwrap_or(script);
    let (turned, reversed) = (has_word(read, b"rot13"), has_word(read, b"strrev"));
    let tag: &[u8] = if has_tag(read) { b"<?php " } else { b"" };
    let turned = turned.then(|| [tag, &read.iter().map(|b| text::rot13(*b)).collect::<Vec<_>>()].concat());
    let reversed = reversed.then(|| [tag, &read.iter().rev().copied().collect::<Vec<_>>()].concat());
    let views = [(&b"[decoded]"[..], view), (b"[rot13]", turned), (b"[reversed]", reversed)];
    for (name, view) in views {
        let Some(view) = view else { continue };
        if !walk.may_go_on() || !walk.count() || !walk.spend(view.len()) {
            return;
        }
        walk.enter_view(name, &view);
    }
}

fn is_script(bytes: &[u8]) -> bool {
    has_tag(bytes) || memchr::memchr(0, &bytes[..bytes.len().min(HEAD)]).is_none()
}

/// Tells whether code of a server's page is in it.
fn has_tag(bytes: &[u8]) -> bool {
    [&b"<?"[..], b"<%", b"<jsp:"].iter().any(|tag| memmem::find(bytes, tag).is_some())
}

/// Finds a word of small letters, however it is written.
fn has_word(bytes: &[u8], word: &[u8]) -> bool {
    let (small, large) = (word[0], word[0].to_ascii_uppercase());
    memchr::memchr2_iter(small, large, bytes)
        .any(|at| bytes.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word)))
}

/// Returns a script with everything undone. `None`: nothing was to undo.
fn unfolded(script: &[u8]) -> Option<Vec<u8>> {
    let (plain, letters) = letters::written_out(script);
    let (joined, joints) = joined(&plain);
    let (decoded, runs) = runs::decoded(&joined);
    (letters + joints + runs > 0).then_some(decoded)
}

/// Joins strings that stand beside each other, and counts the joints.
fn joined(script: &[u8]) -> (Vec<u8>, usize) {
    let (mut out, mut count, mut from) = (Vec::with_capacity(script.len()), 0, 0);
    for at in memchr::memchr2_iter(b'"', b'\'', script) {
        // Empty strings and the insides of a joint that was passed are no joints.
        let follows_text = at > from && !is_literal(&script[at - 1..]);
        let Some(len) = (at >= from && follows_text).then(|| joint(&script[at..])).flatten() else {
            continue;
        };
        out.extend_from_slice(&script[from..at]);
        from = at + len;
        count += 1;
    }
    out.extend_from_slice(&script[from..]);
    (out, count)
}

/// Tells whether a quote ends an empty string or begins one of a single sign, as in `explode('.', $x)`.
fn is_literal(from_before: &[u8]) -> bool {
    match from_before {
        [b'"' | b'\'', ..] => true,
        [
            b' ' | b'\t' | b'(' | b',' | b'=' | b'[',
            a,
            b'.' | b'+' | b'&',
            b,
            b',' | b')' | b']' | b';',
            ..,
        ] => a == b,
        _ => false,
    }
}

/// Tells how long `" . "` is, with blanks and comments in it.
fn joint(rest: &[u8]) -> Option<usize> {
    let operator = 1 + gap(&rest[1..]);
    if !matches!(rest.get(operator)?, b'.' | b'+' | b'&') {
        return None;
    }
    let quote = operator + 1 + gap(&rest[operator + 1..]);
    let is_quote = matches!(rest.get(quote)?, b'"' | b'\'');
    let goes_on = rest.get(quote + 1).is_some_and(|b| !matches!(b, b'"' | b'\''));
    (is_quote && goes_on).then_some(quote + 1)
}

/// The longest gap between two strings that are joined.
const MAX_GAP: usize = 128;

/// Returns the length of blanks, the sign that goes on with a line, and comments.
fn gap(rest: &[u8]) -> usize {
    let rest = &rest[..rest.len().min(MAX_GAP)];
    let mut at = 0;
    loop {
        at += rest[at..].iter().take_while(|b| b.is_ascii_whitespace() || **b == b'_').count();
        if !rest[at..].starts_with(b"/*") {
            return at;
        }
        match memmem::find(&rest[at + 2..], b"*/") {
            Some(end) => at += 2 + end + 2,
            None => return at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: &str) -> String {
        String::from_utf8(unfolded(script.as_bytes()).unwrap_or_default()).unwrap()
    }

    #[test]
    fn strings_that_were_cut_are_joined() {
        assert_eq!(read(r#"f("ab"."cd" . 'ef' /* x */ . "g");"#), "f(\"abcdefg\");");
        assert_eq!(read("x = \"ab\" & _\r\n \"cd\""), "x = \"abcd\"");
        assert_eq!(read("'a' + 'b'"), "'ab'");
    }

    #[test]
    fn a_script_with_nothing_to_undo_has_no_other_form() {
        for script in ["<?php echo \"a\" . $b . \"c\";", "f(\"\", '.', \"\");", "1.5, 2.5", "it's . John's"] {
            assert_eq!(read(script), "", "{script}");
        }
    }
}
