//! What every match of a regular expression must contain.
//!
//! The expression is read as the engine reads it: bytes, not characters, and `\<` and `\>` as signs. What cannot be read
//! proves nothing.

use regex_syntax::{
    ast::{self, AssertionKind, Ast, LiteralKind},
    hir::{Class, Hir, HirKind, translate::TranslatorBuilder},
};

/// Alternatives that are followed before the attempt is given up.
const MAX_ALTERNATIVES: usize = 64;
/// Bytes of a class that are told one by one.
const MAX_LETTERS: usize = 8;
/// Nesting that is followed.
const MAX_DEPTH: usize = 40;

/// A run of bytes that must be in every match. Cased letters are in lower case when `folded`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) bytes: Vec<u8>,
    pub(crate) folded: bool,
}

/// What a match must contain: all of these sets, and of each set one run.
#[derive(Debug, Default)]
pub(crate) struct Must {
    pub(crate) sets: Vec<Vec<Run>>,
}

/// Reads an expression. `None`: nothing is known.
pub(crate) fn must(source: &str, insensitive: bool, dot_is_all: bool) -> Option<Must> {
    let mut ast = ast::parse::ParserBuilder::new().empty_min_range(true).build().parse(source).ok()?;
    with_angles(&mut ast, 0)?;
    let mut translator = TranslatorBuilder::new()
        .case_insensitive(insensitive)
        .dot_matches_new_line(dot_is_all)
        .unicode(false)
        .utf8(false)
        .build();
    let hir = translator.translate(source, &ast).ok()?;
    let mut walk = Walk::default();
    walk.visit(&hir, 0)?;
    walk.cut();
    Some(walk.must)
}

/// Turns the signs `\<` and `\>` back into literals.
fn with_angles(ast: &mut Ast, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match ast {
        Ast::Assertion(found) => match found.kind {
            AssertionKind::WordBoundaryStartAngle => *ast = angle(found.span, '<'),
            AssertionKind::WordBoundaryEndAngle => *ast = angle(found.span, '>'),
            _ => {}
        },
        Ast::Repetition(r) => with_angles(&mut r.ast, depth + 1)?,
        Ast::Group(g) => with_angles(&mut g.ast, depth + 1)?,
        Ast::Alternation(a) => a.asts.iter_mut().try_for_each(|a| with_angles(a, depth + 1))?,
        Ast::Concat(c) => c.asts.iter_mut().try_for_each(|a| with_angles(a, depth + 1))?,
        _ => {}
    }
    Some(())
}

fn angle(span: ast::Span, c: char) -> Ast {
    Ast::literal(ast::Literal { span, kind: LiteralKind::Verbatim, c })
}

/// Collects runs from left to right.
#[derive(Default)]
struct Walk {
    must: Must,
    bytes: Vec<u8>,
    folded: bool,
}

impl Walk {
    fn visit(&mut self, hir: &Hir, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => literal.0.iter().for_each(|b| self.push(*b, false)),
            HirKind::Class(class) => match one_letter(class) {
                Some((byte, folded)) => self.push(byte, folded),
                None => self.one_of_few(class),
            },
            HirKind::Repetition(repetition) if repetition.min == 0 => self.cut(),
            HirKind::Repetition(repetition) => {
                // The first time stands behind what came before, the last time before what follows.
                self.visit(&repetition.sub, depth + 1)?;
                self.cut();
                let last = plain(&repetition.sub, depth + 1).unwrap_or_default();
                last.into_iter().for_each(|(byte, folded)| self.push(byte, folded));
            }
            HirKind::Capture(capture) => self.visit(&capture.sub, depth + 1)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|p| self.visit(p, depth + 1))?,
            HirKind::Alternation(ways) => {
                let before = Run { bytes: self.bytes.clone(), folded: self.folded };
                self.cut();
                self.must.sets.extend(one_of(ways, &before, depth));
            }
        }
        Some(())
    }

    /// Adds a byte. A run is compared either exactly or without case, so it changes its kind as a whole.
    fn push(&mut self, byte: u8, folded: bool) {
        self.folded |= folded;
        self.bytes.push(byte);
    }

    /// Ends a run with one of a few bytes.
    fn one_of_few(&mut self, class: &Class) {
        let (before, folded) = (self.bytes.clone(), self.folded);
        self.cut();
        let letters = letters(class).filter(|_| !before.is_empty());
        let run = |letter: u8| Run { bytes: [&before[..], &[letter]].concat(), folded };
        self.must.sets.extend(letters.map(|letters| letters.into_iter().map(run).collect()));
    }

    fn cut(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let folded = std::mem::take(&mut self.folded);
        if !bytes.is_empty() {
            self.must.sets.push(vec![Run { bytes, folded }]);
        }
    }
}

/// Joins the best set of each alternative, behind what stands before all of them; one without any makes the whole unknown.
fn one_of(ways: &[Hir], before: &Run, depth: usize) -> Option<Vec<Run>> {
    if ways.len() > MAX_ALTERNATIVES {
        return None;
    }
    let mut all = Vec::new();
    for way in ways {
        let Run { bytes, folded } = before.clone();
        let mut walk = Walk { bytes, folded, ..Walk::default() };
        walk.visit(way, depth + 1)?;
        walk.cut();
        let shortest = |set: &Vec<Run>| set.iter().map(|r| r.bytes.len()).min().unwrap_or(0);
        all.extend(walk.must.sets.into_iter().max_by_key(shortest)?);
        if all.len() > MAX_ALTERNATIVES {
            return None;
        }
    }
    Some(all)
}

/// Returns the bytes of an expression that is nothing but these.
fn plain(hir: &Hir, depth: usize) -> Option<Vec<(u8, bool)>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.iter().map(|byte| (*byte, false)).collect()),
        HirKind::Class(class) => Some(vec![one_letter(class)?]),
        HirKind::Capture(capture) if depth < MAX_DEPTH => plain(&capture.sub, depth + 1),
        HirKind::Concat(parts) if depth < MAX_DEPTH => {
            let parts: Option<Vec<_>> = parts.iter().map(|part| plain(part, depth + 1)).collect();
            Some(parts?.concat())
        }
        _ => None,
    }
}

/// Returns the bytes of a class of few.
fn letters(class: &Class) -> Option<Vec<u8>> {
    let Class::Bytes(class) = class else { return None };
    let letters: Vec<_> = class.iter().flat_map(|r| r.start()..=r.end()).take(MAX_LETTERS + 1).collect();
    (letters.len() <= MAX_LETTERS).then_some(letters)
}

/// Returns the byte of a class that is one byte, or one letter in both cases.
fn one_letter(class: &Class) -> Option<(u8, bool)> {
    let Class::Bytes(class) = class else { return None };
    let mut bytes = class.iter().flat_map(|r| r.start()..=r.end());
    let (first, second, third) = (bytes.next()?, bytes.next(), bytes.next());
    match (second, third) {
        (None, _) => Some((first, false)),
        (Some(second), None) if first.is_ascii_uppercase() && first.to_ascii_lowercase() == second => {
            Some((second, true))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(source: &str) -> Vec<Vec<String>> {
        let sets = must(source, false, false).unwrap_or_default().sets;
        let text = |r: &Run| String::from_utf8_lossy(&r.bytes).into_owned();
        sets.iter().map(|set| set.iter().map(text).collect()).collect()
    }

    #[test]
    fn what_may_be_left_out_is_not_mandatory() {
        assert_eq!(runs("abc(def)?ghi"), [["abc"], ["ghi"]]);
        assert_eq!(runs("ab(cd)*"), [["ab"]]);
        assert_eq!(runs("x{0,3}yy"), [["yy"]]);
        assert_eq!(runs("(ab|cd*)e"), [vec!["ab", "c"], vec!["e"]]);
        assert_eq!(runs("(ab|)e"), [["e"]]);
        assert_eq!(runs("_(GET|POST)x"), [vec!["_"], vec!["_GET", "_POST"], vec!["x"]]);
        assert_eq!(runs("_(GET|)x"), [vec!["_"], vec!["_GET", "_"], vec!["x"]]);
    }

    #[test]
    fn what_must_repeat_is_mandatory_with_what_stands_right_before_and_behind_it() {
        assert_eq!(runs("a(bcd){2,}e"), [["abcd"], ["bcde"]]);
        assert_eq!(
            runs(r"(\\u{1,4}00[2-3]x){9}"),
            [vec![r"\u"], vec!["u00"], vec!["u002", "u003"], vec!["x"]]
        );
        assert_eq!(runs("a([xy]b){2}c"), [vec!["a"], vec!["ax", "ay"], vec!["b"], vec!["c"]]);
        assert_eq!(runs("a(b)c"), [["abc"]]);
    }

    #[test]
    fn angles_are_signs_and_boundaries_are_nothing() {
        assert_eq!(runs(r"\<body\>"), [["<body>"]]);
        assert_eq!(runs(r"\beval\b"), [["eval"]]);
        assert_eq!(runs("a.c"), [["a"], ["c"]]);
        assert_eq!(runs("[a]b[xy]c"), [vec!["ab"], vec!["abx", "aby"], vec!["c"]]);
        assert_eq!(runs("ab[0-9]c"), [["ab"], ["c"]]);
    }

    #[test]
    fn letters_without_case_are_folded() {
        let found = must("EvAl1", true, false).unwrap_or_default();

        assert_eq!(found.sets, [[Run { bytes: b"eval1".to_vec(), folded: true }]]);
    }
}
