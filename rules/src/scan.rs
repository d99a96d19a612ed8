//! Runs compiled rules over bytes, with a time limit, a typed outcome and bounded proof of what was found.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use khien_core::{
    RuleId, Severity, Untrusted,
    bundle::Pack,
    event::{EXCERPT_MATCH, EXCERPT_SIDE, Excerpt, Inside, MAX_EXCERPTS, ScanOutcome},
};
use serde::{Deserialize, Serialize};
use yara_x::ScanError;

use crate::{
    compile::{CompileError, Scope, compile},
    external::{self, Externals},
    route::{self, LoadError, Routed},
};

/// The most hits reported of one scan; the most severe are kept.
pub const MAX_HITS: usize = 64;
/// Matches kept per pattern during a scan, so that a file of one repeated byte cannot fill the memory.
const MAX_MATCHES: usize = 10_000;
/// The scanner counts ticks of a clock that beats once a second, so a limit of one second may end after a
/// millisecond. One beat more makes every limit last at least as long as it says.
const ONE_BEAT: Duration = Duration::from_secs(1);

/// Rules that are ready to run.
pub struct Engine {
    rules: Routed,
    known: HashMap<String, (RuleId, Severity)>,
}

/// Runs an engine's rules again and again on one thread: the first scan costs some milliseconds, later ones none of
/// them.
pub struct Scanner<'e> {
    engine: &'e Engine,
    scanner: route::Scanner<'e>,
    externals: Option<Externals>,
}

/// How a scan ended and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// How it ended.
    pub outcome: ScanOutcome,
    /// The rules that matched, most severe first.
    pub hits: Vec<Hit>,
}

/// One rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Which.
    pub rule: RuleId,
    /// Where, if it is in a file inside the scanned one.
    #[serde(default, skip_serializing_if = "Inside::is_empty")]
    pub inside: Inside,
    /// The bytes around its first matches.
    pub excerpts: Vec<Excerpt>,
}

impl Engine {
    /// Compiles a pack for one scope.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(pack: &Pack, scope: Scope) -> Result<Self, CompileError> {
        Ok(Self { rules: compile(pack, scope)?, known: known(pack) })
    }

    /// Loads what [`compiled`](Self::compiled) returned for the same pack and scope. It runs as machine code: the
    /// caller has verified a signature over it before.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(pack: &Pack, compiled: &[u8]) -> Result<Self, LoadError> {
        Ok(Self { rules: Routed::deserialize(compiled)?, known: known(pack) })
    }

    /// Returns the compiled form, which loads far faster than the rules compile.
    ///
    /// # Errors
    /// [`LoadError::Engine`].
    pub fn compiled(&self) -> Result<Vec<u8>, LoadError> {
        self.rules.serialize()
    }

    /// Returns the ids of the rules that run, private ones left out.
    pub fn rules(&self) -> impl Iterator<Item = &RuleId> {
        self.rules.rules().filter_map(|r| self.known.get(&*name(&r))).map(|(id, _)| id)
    }

    /// Returns a scanner for many scans on one thread.
    #[must_use]
    pub fn scanner(&self) -> Scanner<'_> {
        let mut scanner = self.rules.scanner();
        scanner.max_matches(MAX_MATCHES);
        Scanner { engine: self, scanner, externals: None }
    }

    /// Scans bytes once. Whoever scans often takes a [`scanner`](Self::scanner).
    #[must_use]
    pub fn scan(&self, bytes: &[u8], timeout: Duration) -> Scanned {
        self.scanner().scan(bytes, timeout)
    }
}

impl Scanner<'_> {
    /// Tells rules of others what the files to come are called and whose they are; `None`: nothing is known of them.
    pub fn describe(&mut self, externals: Option<Externals>) {
        if self.externals.is_some() && externals.is_none() {
            external::NAMES.iter().for_each(|name| _ = self.scanner.set_global(name, ""));
        }
        self.externals = externals;
    }

    /// Scans bytes. A scan that goes on ends at most about one second after the limit.
    #[must_use]
    pub fn scan(&mut self, bytes: &[u8], timeout: Duration) -> Scanned {
        self.scan_inside(&Inside::default(), bytes, timeout)
    }

    /// Scans the bytes of a file that is inside the one that was [described](Self::describe).
    #[must_use]
    pub fn scan_inside(&mut self, inside: &Inside, bytes: &[u8], timeout: Duration) -> Scanned {
        if let Some(externals) = &self.externals {
            for (name, value) in externals.of(inside, bytes) {
                self.scanner.set_global(name, &value);
            }
        }
        let known = &self.engine.known;
        let found = self.scanner.scan(bytes, timeout.saturating_add(ONE_BEAT), |rule| {
            known.get(&*name(rule)).map(|known| (known, excerpts(rule, bytes)))
        });
        match found {
            Ok(found) => Scanned::of(hits(found)),
            Err(e) => Scanned::without_hits(outcome_of(&e)),
        }
    }

    /// Puts the most severe hits first and leaves out what is more than [`MAX_HITS`].
    pub fn keep_severest(&self, hits: &mut Vec<Hit>) {
        let how_bad = |rule: &RuleId| {
            self.engine.known.values().find(|(id, _)| id == rule).map(|(_, severity)| *severity)
        };
        hits.sort_by_cached_key(|hit| (std::cmp::Reverse(how_bad(&hit.rule)), hit.rule.clone()));
        hits.truncate(MAX_HITS);
    }

    /// Starts the engine's clock thread and takes the memory that later scans need, while that is still allowed.
    pub fn warm_up(&mut self) {
        self.scanner.warm_up();
    }
}

impl Scanned {
    fn of(hits: Vec<Hit>) -> Self {
        let outcome = if hits.is_empty() { ScanOutcome::Clean } else { ScanOutcome::Matched };
        Self { outcome, hits }
    }

    fn without_hits(outcome: ScanOutcome) -> Self {
        Self { outcome, hits: Vec::new() }
    }
}

/// Returns what the pack says of each YARA rule.
fn known(pack: &Pack) -> HashMap<String, (RuleId, Severity)> {
    pack.rules.iter().filter_map(|r| Some((r.yara.clone()?, (r.id.clone(), r.severity)))).collect()
}

/// Returns the name by which a pack knows a rule. Rules of others keep the namespace of their source.
pub(crate) fn name<'r>(rule: &yara_x::Rule<'_, 'r>) -> Cow<'r, str> {
    match rule.namespace() {
        "default" => rule.identifier().into(),
        source => format!("{source}:{}", rule.identifier()).into(),
    }
}

fn outcome_of(error: &ScanError) -> ScanOutcome {
    match error {
        ScanError::Timeout => ScanOutcome::Timeout,
        // Bytes in memory need no file; a module that gives up has met a limit of its own.
        _ => ScanOutcome::LimitExceeded,
    }
}

fn hits(mut found: Vec<(&(RuleId, Severity), Vec<Excerpt>)>) -> Vec<Hit> {
    found.sort_by(|((a, how_bad_a), _), ((b, how_bad_b), _)| how_bad_b.cmp(how_bad_a).then(a.cmp(b)));
    found.truncate(MAX_HITS);
    found
        .into_iter()
        .map(|((id, _), excerpts)| Hit { rule: id.clone(), inside: Inside::default(), excerpts })
        .collect()
}

/// Takes the first match of each pattern, so that different reasons are shown, in the order of the bytes.
fn excerpts(rule: &yara_x::Rule<'_, '_>, bytes: &[u8]) -> Vec<Excerpt> {
    let mut places: Vec<_> = rule
        .patterns()
        .filter_map(|p| p.matches().next())
        .map(|m| m.range())
        .filter(|r| r.start <= r.end && r.end <= bytes.len())
        .collect();
    places.sort_by_key(|r| (r.start, std::cmp::Reverse(r.end)));
    places.dedup_by_key(|r| r.start);
    places.into_iter().take(MAX_EXCERPTS).map(|r| excerpt(bytes, r.start, r.end)).collect()
}

fn excerpt(bytes: &[u8], start: usize, end: usize) -> Excerpt {
    Excerpt {
        offset: start as u64,
        before: Untrusted::new(&bytes[start.saturating_sub(EXCERPT_SIDE)..start]),
        matched: Untrusted::cut(&bytes[start..end], EXCERPT_MATCH),
        after: Untrusted::cut(&bytes[end..], EXCERPT_SIDE),
    }
}
