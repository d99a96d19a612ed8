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
                None => self.cut(),
            },
            HirKind::Repetition(repetition) => {
                self.cut();
                if repetition.min > 0 {
                    self.visit(&repetition.sub, depth + 1)?;
                    self.cut();
                }
            }
            HirKind::Capture(capture) => self.visit(&capture.sub, depth + 1)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|p| self.visit(p, depth + 1))?,
            HirKind::Alternation(ways) => {
                self.cut();
                self.must.sets.extend(one_of(ways, depth));
            }
        }
        Some(())
    }

    /// Adds a byte. A run is compared either exactly or without case, so it changes its kind as a whole.
    fn push(&mut self, byte: u8, folded: bool) {
        self.folded |= folded;
        self.bytes.push(byte);
    }

    fn cut(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let folded = std::mem::take(&mut self.folded);
        if !bytes.is_empty() {
            self.must.sets.push(vec![Run { bytes, folded }]);
        }
    }
}

/// Joins the best set of each alternative; one without any makes the whole unknown.
fn one_of(ways: &[Hir], depth: usize) -> Option<Vec<Run>> {
    if ways.len() > MAX_ALTERNATIVES {
        return None;
    }
    let mut all = Vec::new();
    for way in ways {
        let mut walk = Walk::default();
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
    }

    #[test]
    fn what_must_repeat_is_mandatory_but_its_neighbours_are_not_joined() {
        assert_eq!(runs("a(bcd){2,}e"), [["a"], ["bcd"], ["e"]]);
        assert_eq!(runs("a(b)c"), [["abc"]]);
    }

    #[test]
    fn angles_are_signs_and_boundaries_are_nothing() {
        assert_eq!(runs(r"\<body\>"), [["<body>"]]);
        assert_eq!(runs(r"\beval\b"), [["eval"]]);
        assert_eq!(runs("a.c"), [["a"], ["c"]]);
        assert_eq!(runs("[a]b[xy]c"), [["ab"], ["c"]]);
    }

    #[test]
    fn letters_without_case_are_folded() {
        let found = must("EvAl1", true, false).unwrap_or_default();

        assert_eq!(found.sets, [[Run { bytes: b"eval1".to_vec(), folded: true }]]);
    }
}
