//! Finds what is wrong with a pack before it reaches an agent: metadata, consistency, cost, and its own samples.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use khien_core::{
    RuleId,
    bundle::{IndicatorSet, MAX_ALLOWED, MAX_NETWORK_SETS, NetworkSet, Pack, RuleMeta},
    text::Words,
    untrusted::{escape, hides},
};

use crate::{
    compile::{self, CompileError, Scope},
    indicator, source,
};

mod samples;

pub use samples::{CheckError, CheckReport, directory, directory_with_samples};

/// Ids that begin so belong to the detectors built into agent and hub.
pub const RESERVED: &str = "khien.";
/// The longest title, in characters: it must fit into a line of a table.
pub const MAX_TITLE: usize = 100;
/// The longest explanation or next step, in characters: a screen full.
pub const MAX_TEXT: usize = 1_500;

/// One thing wrong with one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The rule's id, or the name of the YARA rule or of the file if there is none.
    pub rule: String,
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong with it and what is allowed.
    pub what: String,
}

impl Problem {
    /// Names a rule, a field and what is wrong. The rule's name may come from anywhere; it is cut and escaped.
    #[must_use]
    pub fn new(rule: &str, field: &'static str, what: impl Into<String>) -> Self {
        let rule = escape(rule.chars().take(khien_core::id::MAX_NAME).collect::<String>().as_bytes());
        Self { rule, field, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`: {}: {}", self.rule, self.field, self.what)
    }
}

impl std::error::Error for Problem {}

/// Checks all of a pack that can be checked without samples: metadata, indicators, and that it compiles in every
/// scope.
#[must_use]
pub fn pack(pack: &Pack) -> Vec<Problem> {
    let mut found: Vec<_> = metadata(pack)
        .into_iter()
        .chain(rules_if_bounded(pack))
        .chain(domains(pack))
        .chain(sets(pack))
        .chain(network(pack))
        .collect();
    if found.is_empty() {
        let errors =
            [Scope::File, Scope::Stream, Scope::Memory].map(|scope| compile::compile(pack, scope).err());
        found.extend(errors.into_iter().flatten().flat_map(problems_of));
    }
    found.sort();
    found.dedup();
    found
}

fn rules_if_bounded(pack: &Pack) -> Vec<Problem> {
    match compile::bounded(pack) {
        Ok(()) => rules(pack),
        Err(e) => problems_of(e),
    }
}

fn problems_of(error: CompileError) -> Vec<Problem> {
    match error {
        CompileError::Problems(problems) => problems,
        CompileError::Refused { ref source_name, .. }
        | CompileError::Broken { ref source_name }
        | CompileError::SourceTooLarge { ref source_name, .. } => {
            vec![Problem::new(source_name, "source", error.to_string())]
        }
        CompileError::TooManySources { .. } => vec![Problem::new("pack", "sources", error.to_string())],
    }
}

/// Checks what people read of each rule.
#[must_use]
pub fn metadata(pack: &Pack) -> Vec<Problem> {
    pack.rules.iter().flat_map(of_one_rule).collect()
}

fn of_one_rule(rule: &RuleMeta) -> Vec<Problem> {
    let id = rule.id.as_str();
    let technique = rule.technique.as_deref().filter(|t| !is_technique(t));
    let mut found = Vec::new();
    if id.starts_with(RESERVED) {
        found.push(Problem::new(id, "id", format!("ids that begin with `{RESERVED}` belong to the program")));
    }
    if let Some(t) = technique {
        let t = escape(t.chars().take(40).collect::<String>().as_bytes());
        found.push(Problem::new(id, "technique", format!("`{t}` is not of the form T1505 or T1505.003")));
    }
    found.extend(of_words(id, ["title.vi", "title.en"], &rule.title, MAX_TITLE));
    found.extend(of_words(id, ["explanation.vi", "explanation.en"], &rule.explanation, MAX_TEXT));
    found.extend(of_words(id, ["next_step.vi", "next_step.en"], &rule.next_step, MAX_TEXT));
    found
}

fn of_words(id: &str, fields: [&'static str; 2], words: &Words, max: usize) -> Vec<Problem> {
    let fault = |text: &str| match text {
        t if t.trim().is_empty() => Some("is missing or empty".to_owned()),
        t if t.chars().count() > max => Some(format!("is longer than {max} characters")),
        t if t.chars().any(|c| hides(c) && c != '\n') => {
            Some("holds a control or hidden character".to_owned())
        }
        _ => None,
    };
    let both = fields.into_iter().zip([&words.vi, &words.en]);
    both.filter_map(|(field, text)| Some(Problem::new(id, field, fault(text)?))).collect()
}

/// Tells whether a text has the form of an ATT&CK technique, such as `T1505` or `T1505.003`.
#[must_use]
pub fn is_technique(text: &str) -> bool {
    let digits = |t: &str, n: usize| t.len() == n && t.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = text.strip_prefix('T') else { return false };
    match rest.split_once('.') {
        Some((main, sub)) => digits(main, 4) && digits(sub, 3),
        None => digits(rest, 4),
    }
}

/// Checks that metadata, sources and lists belong together. The compiler asks for this too: a hit without an id, or
/// an id without a rule, would be a hole.
#[must_use]
pub(crate) fn rules(pack: &Pack) -> Vec<Problem> {
    let mut found = duplicates(pack);
    let by_name: BTreeMap<&str, &RuleMeta> =
        pack.rules.iter().filter_map(|r| Some((r.yara.as_deref()?, r))).collect();
    let mut written = BTreeSet::new();
    for source in &pack.sources {
        let declared = source::declared(&source.text);
        if declared.has_include {
            found.push(Problem::new(&source.name, "source", "include is not allowed"));
        }
        for rule in &declared.rules {
            written.insert(rule.name.to_owned());
            found.extend(of_source_rule(rule, by_name.get(rule.name).copied()));
        }
    }
    found.extend(pack.rules.iter().filter_map(|meta| unwritten(pack, meta, &written)));
    found
}

fn duplicates(pack: &Pack) -> Vec<Problem> {
    let mut ids = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for rule in &pack.rules {
        if !ids.insert(&rule.id) {
            found.push(Problem::new(rule.id.as_str(), "id", "is used twice"));
        }
        if let Some(name) = rule.yara.as_deref().filter(|n| !names.insert(*n)) {
            let name = escape(name.chars().take(80).collect::<String>().as_bytes());
            found.push(Problem::new(rule.id.as_str(), "yara", format!("`{name}` is used twice")));
        }
    }
    found
}

fn of_source_rule(rule: &source::Rule<'_>, meta: Option<&RuleMeta>) -> Option<Problem> {
    if rule.is_global {
        return Some(Problem::new(
            rule.name,
            "source",
            "global rules are not allowed: one could silence all others",
        ));
    }
    match (meta, rule.needs_file) {
        (None, _) if !rule.is_private => {
            Some(Problem::new(rule.name, "id", "the YARA rule has no metadata in the pack"))
        }
        (Some(meta), _) if rule.is_private => {
            Some(Problem::new(meta.id.as_str(), "yara", "the YARA rule is private, so it can never hit"))
        }
        (Some(meta), Some(need)) if meta.streams => Some(Problem::new(
            meta.id.as_str(),
            "streams",
            format!("is true, but the rule uses `{need}`, which traffic does not have"),
        )),
        (Some(meta), Some(need)) if meta.memory => Some(Problem::new(
            meta.id.as_str(),
            "memory",
            format!("is true, but the rule uses `{need}`, which the memory of a process does not have"),
        )),
        _ => None,
    }
}

fn unwritten(pack: &Pack, meta: &RuleMeta, written: &BTreeSet<String>) -> Option<Problem> {
    match &meta.yara {
        Some(name) if written.contains(name) => None,
        Some(name) => {
            let name = escape(name.chars().take(80).collect::<String>().as_bytes());
            Some(Problem::new(meta.id.as_str(), "yara", format!("no source has a rule `{name}`")))
        }
        None if pack.domains.iter().any(|d| d.rule == meta.id) => None,
        None if pack.sets.iter().any(|s| s.rule == meta.id) => None,
        None if pack.network.sets.iter().any(|s| s.rule == meta.id) => None,
        None => Some(Problem::new(meta.id.as_str(), "yara", "the rule has neither a YARA rule nor a list")),
    }
}

/// Checks the sets of digests and file names.
#[must_use]
pub fn sets(pack: &Pack) -> Vec<Problem> {
    let known = listed(pack);
    let fault = |set: &IndicatorSet| match indicator::files::check(set) {
        Err(e) if known.contains(&set.rule) => Some(e.to_string()),
        _ => fault_of_list(&known, &set.rule, set.confidence, &set.source),
    };
    pack.sets.iter().filter_map(|s| Some(Problem::new(s.rule.as_str(), "sets", fault(s)?))).collect()
}

/// Checks the lists about traffic.
#[must_use]
pub fn network(pack: &Pack) -> Vec<Problem> {
    let known = listed(pack);
    let fault = |set: &NetworkSet| match indicator::network::check(set) {
        Err(e) if known.contains(&set.rule) => Some(e.to_string()),
        _ => fault_of_list(&known, &set.rule, set.confidence, &set.source),
    };
    let of_sets =
        pack.network.sets.iter().filter_map(|s| Some(Problem::new(s.rule.as_str(), "list", fault(s)?)));
    let too_many = [
        (pack.network.sets.len() > MAX_NETWORK_SETS, format!("are more than {MAX_NETWORK_SETS}")),
        (
            pack.network.allowed.len() > MAX_ALLOWED,
            format!("leave out more than {MAX_ALLOWED} of their entries"),
        ),
    ];
    let too_many =
        too_many.into_iter().filter(|(is, _)| *is).map(|(_, what)| Problem::new("pack", "lists", what));
    of_sets.chain(too_many).collect()
}

/// Returns the rules that may have a list.
fn listed(pack: &Pack) -> BTreeSet<&RuleId> {
    pack.rules.iter().filter(|r| r.yara.is_none()).map(|r| &r.id).collect()
}

fn fault_of_list(known: &BTreeSet<&RuleId>, rule: &RuleId, confidence: u8, source: &str) -> Option<String> {
    if !known.contains(rule) {
        return Some("its list has no metadata in the pack".to_owned());
    }
    if confidence > 100 {
        return Some("confidence is more than 100 percent".to_owned());
    }
    let is_unsaid = source.trim().is_empty() || source.chars().any(hides);
    is_unsaid.then(|| "source must say who made the list".to_owned())
}

/// Checks the lists of names.
#[must_use]
pub fn domains(pack: &Pack) -> Vec<Problem> {
    let known = listed(pack);
    let fault = |name: &str, rule: &RuleId| match indicator::normal(name) {
        _ if !known.contains(rule) => Some("its list has no metadata in the pack"),
        None => Some("is not a host name"),
        Some(normal) if normal != name => Some("must be in lower case and without a final dot"),
        Some(normal) if !indicator::is_specific(&normal) => Some("is a whole top-level domain or an address"),
        Some(_) => None,
    };
    let of_one = |name: &str, rule: &RuleId| {
        let what = fault(name, rule)?;
        let name = escape(name.chars().take(80).collect::<String>().as_bytes());
        Some(Problem::new(rule.as_str(), "domains", format!("`{name}` {what}")))
    };
    pack.domains.iter().filter_map(|d| of_one(&d.domain, &d.rule)).collect()
}
