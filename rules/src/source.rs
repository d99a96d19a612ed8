//! What a YARA source declares, read before it is compiled: which rules, and what they need.
//!
//! Works on the flat event stream of the parser, so depth of nesting costs nothing here.

use std::{collections::BTreeSet, ops::Range};

use yara_x_parser::{
    Parser,
    cst::{CSTStream, Event, SyntaxKind},
};

/// One YARA source, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Declared<'s> {
    pub(crate) rules: Vec<Rule<'s>>,
    pub(crate) has_include: bool,
    imports: Vec<Range<usize>>,
    includes: Vec<Range<usize>>,
}

/// One rule of a source.
#[derive(Debug, Default)]
pub(crate) struct Rule<'s> {
    pub(crate) name: &'s str,
    pub(crate) is_private: bool,
    pub(crate) is_global: bool,
    /// What it asks for that reassembled traffic cannot give: `filesize`, `entrypoint` or a module's name.
    pub(crate) needs_file: Option<&'s str>,
    place: Range<usize>,
}

/// Takes a source apart. Errors of syntax are left to the compiler, which names them better.
pub(crate) fn declared(text: &str) -> Declared<'_> {
    let modules = imported(text);
    let mut found = Declared::default();
    let mut current: Option<Rule<'_>> = None;
    for event in events(text) {
        match (event, &mut current) {
            (Event::Begin { kind: SyntaxKind::RULE_DECL, span }, _) => {
                current = Some(Rule { place: span.range(), ..Rule::default() });
            }
            (Event::End { kind: SyntaxKind::RULE_DECL, span }, _) => {
                let Some(mut rule) = current.take() else { continue };
                rule.place.end = span.end();
                found.rules.push(rule);
            }
            (Event::Begin { kind: SyntaxKind::IMPORT_STMT, span }, None) => found.imports.push(span.range()),
            (Event::Begin { kind: SyntaxKind::INCLUDE_STMT, span }, None) => {
                found.includes.push(span.range())
            }
            (Event::Token { kind: SyntaxKind::INCLUDE_KW, .. }, _) => found.has_include = true,
            (Event::Token { kind, span }, Some(rule)) => {
                rule.take(kind, text.get(span.range()).unwrap_or_default(), &modules);
            }
            _ => {}
        }
    }
    found
}

impl<'s> Rule<'s> {
    fn take(&mut self, kind: SyntaxKind, word: &'s str, modules: &BTreeSet<&str>) {
        match kind {
            SyntaxKind::PRIVATE_KW if self.name.is_empty() => self.is_private = true,
            SyntaxKind::GLOBAL_KW if self.name.is_empty() => self.is_global = true,
            SyntaxKind::IDENT if self.name.is_empty() => self.name = word,
            SyntaxKind::IDENT if modules.contains(word) => self.needs_file = Some(word),
            SyntaxKind::FILESIZE_KW | SyntaxKind::ENTRYPOINT_KW => self.needs_file = Some(word),
            _ => {}
        }
    }
}

impl Declared<'_> {
    /// Returns the text without its imports and without the rules that `keep` does not name. What is left out
    /// becomes blanks, so that line numbers in errors still hold.
    pub(crate) fn without(&self, text: &str, keep: impl Fn(&Rule<'_>) -> bool) -> String {
        let dropped = self.rules.iter().filter(|r| !keep(r)).map(|r| &r.place);
        blanked(text, self.imports.iter().chain(dropped))
    }

    /// Tells whether a place is in an `include`.
    pub(crate) fn is_include(&self, place: usize) -> bool {
        self.includes.iter().any(|i| i.contains(&place))
    }

    /// Returns the rules in which these places are, by their numbers, or `None` if one is in no rule.
    pub(crate) fn rules_at(&self, places: &[usize]) -> Option<BTreeSet<usize>> {
        let rule_at = |place: &usize| self.rules.iter().position(|r| r.place.contains(place));
        places.iter().map(rule_at).collect()
    }
}

/// Returns the text with blanks in the places of these rules and of every `include`.
pub(crate) fn without_rules(text: &str, declared: &Declared<'_>, rules: &[&Rule<'_>]) -> String {
    blanked(text, declared.includes.iter().chain(rules.iter().map(|r| &r.place)))
}

fn blanked<'r>(text: &str, places: impl Iterator<Item = &'r Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for place in places {
        let Some(part) = bytes.get_mut(place.clone()) else { continue };
        part.iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn events(text: &str) -> impl Iterator<Item = Event> {
    CSTStream::from(Parser::new(text.as_bytes())).whitespaces(false).newlines(false).comments(false)
}

/// Returns the names of the imported modules.
fn imported(text: &str) -> BTreeSet<&str> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for event in events(text) {
        match event {
            Event::Begin { kind: SyntaxKind::IMPORT_STMT, .. } => inside = true,
            Event::End { kind: SyntaxKind::IMPORT_STMT, .. } => inside = false,
            Event::Token { kind: SyntaxKind::STRING_LIT, span } if inside => {
                names.insert(text.get(span.range()).unwrap_or_default().trim_matches('"'));
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
import "elf"
// rule commented { condition: true }
private rule helper { condition: filesize < 10 }
rule one : tag { strings: $a = "rule fake { }" condition: $a }
rule two {
  condition: elf.type == elf.ET_EXEC
}
global rule three { condition: helper }
"#;

    #[test]
    fn every_rule_is_seen_with_its_needs() {
        let found = declared(SOURCE);

        let names: Vec<_> = found.rules.iter().map(|r| (r.name, r.needs_file)).collect();
        assert_eq!(
            names,
            [("helper", Some("filesize")), ("one", None), ("two", Some("elf")), ("three", None)]
        );
        assert!(found.rules[0].is_private && found.rules[3].is_global && !found.has_include);
    }

    #[test]
    fn what_is_left_out_keeps_its_lines() {
        let kept = declared(SOURCE).without(SOURCE, |r| r.name == "three");

        assert_eq!(kept.lines().count(), SOURCE.lines().count());
        assert!(kept.contains("global rule three") && !kept.contains("rule two") && !kept.contains("import"));
        assert_eq!(
            kept.lines().position(|l| l.contains("three")),
            SOURCE.lines().position(|l| l.contains("three"))
        );
    }

    #[test]
    fn an_include_is_seen_with_its_place() {
        let text = "include \"/etc/passwd\"\nrule r { condition: true }";
        let found = declared(text);

        assert!(found.has_include && found.is_include(3) && !found.is_include(30));
        assert_eq!(without_rules(text, &found, &[]).trim_start(), "rule r { condition: true }");
    }
}
