//! YARA rules of others, as they are published: compiled without what a pack says of its own rules.
//!
//! Each source is a namespace of its own, so a name may come twice. A rule that does not compile is told and left out,
//! with those that lean on it; the others run. Nothing is included from elsewhere: an `include` is told and left out
//! in the same way. Nothing here reads a file.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Write as _,
};

use khien_core::{
    RuleId, Severity, Timestamp,
    bundle::{NetworkLists, Pack, RuleMeta, Source},
    text::Words,
};
use yara_x::MetaValue;

use crate::{
    compile::{CompileError, place, shown, told},
    external, quiet,
    route::{LoadError, Part, Routed},
    scan,
    source::{self, Rule},
};

/// The most sources: the large public collections have some thousands.
pub const MAX_SOURCES: usize = 20_000;
/// The most text of all sources together, in bytes: several times the largest public collection.
pub const MAX_TEXT: usize = 128 << 20;
/// How often rules are taken out of a source before it is left out whole: each time those that lean on others go.
const MAX_ROUNDS: usize = 8;
/// Begins a text in UTF-8 that some editor wrote.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The longest description that is kept of a rule, in characters.
const MAX_DESCRIPTION: usize = 200;
/// The longest part of a rule's name that is kept in its id, which leaves room for a number.
const MAX_ID: usize = khien_core::id::MAX_NAME - 8;

/// From this score on, where authors give one of at most 100, a match is to be looked at now.
const HIGH_SCORE: i64 = 80;
/// From this score on a match is to be looked at today.
const MEDIUM_SCORE: i64 = 60;
/// Up to this number it is no score but a step on some scale that nobody told.
const NO_SCORE: i64 = 10;

/// Rules that are ready for a worker.
#[derive(Debug)]
pub struct Foreign {
    /// What each rule is, without its source.
    pub pack: Pack,
    /// The compiled form of all of them.
    pub compiled: Vec<u8>,
    /// Where each rule comes from.
    pub origins: HashMap<RuleId, Origin>,
    /// What did not compile and was left out.
    pub refused: Vec<CompileError>,
}

/// Where a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name in the source.
    pub yara: String,
    /// The name of the source.
    pub source: String,
}

/// Why nothing can be run.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// More than allowed.
    #[error(
        "rules have {sources} sources and {bytes} bytes, at most {MAX_SOURCES} and {MAX_TEXT} are allowed"
    )]
    TooMuch {
        /// How many sources.
        sources: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// Each source compiles, but not all together.
    #[error("rules do not compile together: {0}")]
    Together(CompileError),
    /// The compiled form cannot be made.
    #[error("rules have no compiled form")]
    Form(#[source] LoadError),
}

/// Returns the text of a source. YARA takes bytes that are no UTF-8, in strings and in comments; here each of them is
/// written as the escape that means the same byte, so that a comment in another alphabet costs no rule.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Behind a backslash that is none itself the escape has begun already.
            let has_begun = text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
            let backslash = if has_begun { "" } else { "\\" };
            // A string takes all that is written to it.
            let _ = write!(text, "{backslash}x{byte:02x}");
        }
    }
    text
}

/// Compiles sources of others.
///
/// # Errors
/// [`ForeignError`]. A source that does not compile is none, but [told](Foreign::refused).
pub fn compile(sources: &[Source]) -> Result<Foreign, ForeignError> {
    let bytes = sources.iter().map(|s| s.text.len()).sum();
    if sources.len() > MAX_SOURCES || bytes > MAX_TEXT {
        return Err(ForeignError::TooMuch { sources: sources.len(), bytes });
    }
    let mut refused = Vec::new();
    let sound: Vec<_> = sources.iter().map(|source| sound(source, &mut refused)).collect();
    let spaces: Vec<_> = (0..sources.len()).map(|at| format!("s{at}")).collect();
    let parts = spaces
        .iter()
        .zip(&sound)
        .filter_map(|(namespace, text)| Some(Part { namespace, text: text.as_deref()? }));
    let parts: Vec<_> = parts.collect();
    let routed = Routed::compile(&parts, &relaxed).map_err(|e| {
        let text = parts.get(e.part).map_or("", |p| p.text);
        ForeignError::Together(told("", text, &e.error))
    })?;
    let (pack, origins) = named(&routed, sources);
    let compiled = routed.serialize().map_err(ForeignError::Form)?;
    Ok(Foreign { pack, compiled, origins, refused })
}

/// A compiler that takes what published rules need: their variables and the looser syntax of regular expressions.
fn relaxed() -> yara_x::Compiler<'static> {
    let mut compiler = yara_x::Compiler::new();
    compiler.enable_includes(false).relaxed_re_syntax(true).colorize_errors(false).switch_all_warnings(false);
    for name in external::NAMES {
        // The names are new and the type is known: nothing can go wrong.
        let _ = compiler.define_global(name, "");
    }
    compiler
}

/// Returns the text of a source with blanks for what does not compile; `None` if nothing of it can run.
fn sound(source: &Source, refused: &mut Vec<CompileError>) -> Option<String> {
    let mut text = source.text.clone();
    for _ in 0..MAX_ROUNDS {
        let mut compiler = relaxed();
        // YARA-X 1.22.1 panics over a brace before a letter outside ASCII in the looser syntax of regular expressions.
        let Some(is_sound) = quiet::caught(|| compiler.add_source(text.as_str()).is_ok()) else {
            refused.push(CompileError::Broken { source_name: shown(&source.name) });
            return None;
        };
        if is_sound {
            return Some(text);
        }
        let errors = compiler.errors();
        refused.extend(errors.iter().map(|e| told(&source.name, &text, e)));
        text = without(&text, &errors.iter().map(place).collect::<Vec<_>>())?;
    }
    None
}

/// Takes out the rules and includes at these places. `None` if an error is in none, or if others would match more
/// without the rules. Without what it would include, a source can match more too; but to run none of it would find less.
fn without(text: &str, places: &[usize]) -> Option<String> {
    let declared = source::declared(text);
    let (included, in_rules): (Vec<usize>, Vec<usize>) =
        places.iter().partition(|place| declared.is_include(**place));
    let at: BTreeSet<usize> = declared.rules_at(&in_rules)?;
    let bad: Vec<&Rule<'_>> = at.iter().filter_map(|at| declared.rules.get(*at)).collect();
    let is_less = !bad.is_empty() || !included.is_empty();
    let goes_on = is_less && !bad.iter().any(|r| r.is_global) && bad.len() < declared.rules.len();
    goes_on.then(|| source::without_rules(text, &declared, &bad))
}

/// Gives each public rule an id, and says where it comes from. In the order of the sources, whatever group a rule is in,
/// so that the same sources have the same ids.
fn named(routed: &Routed, sources: &[Source]) -> (Pack, HashMap<RuleId, Origin>) {
    let (mut rules, mut origins, mut ids) = (Vec::new(), HashMap::new(), HashSet::new());
    let at = |rule: &yara_x::Rule<'_, '_>| rule.namespace().strip_prefix('s')?.parse::<usize>().ok();
    let public = routed.rules().filter(|r| !r.is_private());
    let mut public: Vec<_> = public.filter_map(|r| Some((at(&r)?, r))).collect();
    public.sort_by_key(|(at, _)| *at);
    for (at, rule) in &public {
        let Some((source, id)) = sources.get(*at).zip(id(rule.identifier(), &mut ids)) else { continue };
        origins.insert(id.clone(), Origin { yara: rule.identifier().into(), source: source.name.clone() });
        rules.push(meta(id, rule));
    }
    let pack = Pack {
        version: 0,
        created: Timestamp::UNIX_EPOCH,
        rules,
        sources: Vec::new(),
        domains: Vec::new(),
        sets: Vec::new(),
        network: NetworkLists::default(),
        policy: None,
    };
    (pack, origins)
}

/// Makes an id of a rule's name. The second of a name, from another source, has a number.
fn id(name: &str, taken: &mut HashSet<String>) -> Option<RuleId> {
    let name: String = name.chars().take(MAX_ID).collect();
    let numbered = (2..).map(|n| format!("{name}.{n}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|id| !taken.contains(id))?;
    taken.insert(free.clone());
    free.parse().ok()
}

fn meta(id: RuleId, rule: &yara_x::Rule<'_, '_>) -> RuleMeta {
    RuleMeta {
        id,
        yara: Some(scan::name(rule).into_owned()),
        severity: severity(rule),
        technique: None,
        streams: false,
        memory: false,
        title: Words::same(description(rule)),
        explanation: Words::default(),
        next_step: Words::default(),
    }
}

fn description(rule: &yara_x::Rule<'_, '_>) -> String {
    let said = rule.metadata().find_map(|(key, value)| match value {
        MetaValue::String(text) if key == "description" => Some(text.chars().take(MAX_DESCRIPTION).collect()),
        _ => None,
    });
    said.unwrap_or_else(|| rule.identifier().to_owned())
}

/// Returns what the author says of how bad a match is, in one of the usual ways, else the middle.
fn severity(rule: &yara_x::Rule<'_, '_>) -> Severity {
    let said =
        |wanted: &str| rule.metadata().find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, v)| v);
    let read = |value| match value {
        MetaValue::Integer(n) => of_score(n),
        MetaValue::String(text) => of_word(text),
        _ => None,
    };
    ["severity", "score"].into_iter().find_map(|key| read(said(key)?)).unwrap_or(Severity::Medium)
}

fn of_score(score: i64) -> Option<Severity> {
    match score {
        HIGH_SCORE.. => Some(Severity::High),
        MEDIUM_SCORE..HIGH_SCORE => Some(Severity::Medium),
        ..=NO_SCORE => None,
        _ => Some(Severity::Low),
    }
}

fn of_word(word: &str) -> Option<Severity> {
    let word = word.trim().to_ascii_lowercase();
    let read = word.parse().ok().or_else(|| of_score(word.parse().ok()?));
    read.or_else(|| matches!(&*word, "info" | "informational" | "none").then_some(Severity::Low))
}

#[cfg(test)]
mod tests;
