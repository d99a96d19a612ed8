//! Runs compiled rules over bytes, with a time limit, a typed outcome and bounded proof of what was found.

use std::{cell::OnceCell, collections::HashMap, time::Duration};

use khien_core::{
    RuleId, Severity, Untrusted,
    bundle::Pack,
    event::{EXCERPT_MATCH, EXCERPT_SIDE, Excerpt, MAX_EXCERPTS, ScanOutcome},
};
use serde::{Deserialize, Serialize};
use yara_x::ScanError;

use crate::compile::{CompileError, Scope, compile};

/// The most hits reported of one scan; the most severe are kept.
pub const MAX_HITS: usize = 64;
/// Matches kept per pattern during a scan, so that a file of one repeated byte cannot fill the memory.
const MAX_MATCHES: usize = 10_000;
/// The scanner counts ticks of a clock that beats once a second, so a limit of one second may end after a
/// millisecond. One beat more makes every limit last at least as long as it says.
const ONE_BEAT: Duration = Duration::from_secs(1);

/// Rules that are ready to run.
pub struct Engine {
    rules: yara_x::Rules,
    known: HashMap<String, (RuleId, Severity)>,
}

/// Runs an engine's rules again and again on one thread: the first scan costs some milliseconds, later ones none of
/// them.
pub struct Scanner<'e> {
    engine: &'e Engine,
    scanner: OnceCell<yara_x::Scanner<'e>>,
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
    /// The bytes around its first matches.
    pub excerpts: Vec<Excerpt>,
}

impl Engine {
    /// Compiles a pack for one scope.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(pack: &Pack, scope: Scope) -> Result<Self, CompileError> {
        let known =
            pack.rules.iter().filter_map(|r| Some((r.yara.clone()?, (r.id.clone(), r.severity)))).collect();
        Ok(Self { rules: compile(pack, scope)?, known })
    }

    /// Returns the ids of the rules that run, private ones left out.
    pub fn rules(&self) -> impl Iterator<Item = &RuleId> {
        self.rules.iter().filter_map(|r| self.known.get(r.identifier())).map(|(id, _)| id)
    }

    /// Returns a scanner for many scans on one thread.
    #[must_use]
    pub fn scanner(&self) -> Scanner<'_> {
        Scanner { engine: self, scanner: OnceCell::new() }
    }

    /// Scans bytes once. Whoever scans often takes a [`scanner`](Self::scanner).
    #[must_use]
    pub fn scan(&self, bytes: &[u8], timeout: Duration) -> Scanned {
        self.scanner().scan(bytes, timeout)
    }
}

impl Scanner<'_> {
    /// Scans bytes. A scan that goes on ends at most about one second after the limit.
    #[must_use]
    pub fn scan(&mut self, bytes: &[u8], timeout: Duration) -> Scanned {
        let engine = self.engine;
        self.scanner.get_or_init(|| prepared(engine));
        let Some(scanner) = self.scanner.get_mut() else {
            return Scanned::without_hits(ScanOutcome::Crashed);
        };
        match scanner.set_timeout(timeout.saturating_add(ONE_BEAT)).scan(bytes) {
            Ok(results) => Scanned::of(hits(engine, &results, bytes)),
            Err(e) => {
                // What a broken-off scan left behind is not worth trusting.
                self.scanner = OnceCell::new();
                Scanned::without_hits(outcome_of(&e))
            }
        }
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

fn prepared(engine: &Engine) -> yara_x::Scanner<'_> {
    let mut scanner = yara_x::Scanner::new(&engine.rules);
    scanner.max_matches_per_pattern(MAX_MATCHES);
    scanner
}

fn outcome_of(error: &ScanError) -> ScanOutcome {
    match error {
        ScanError::Timeout => ScanOutcome::Timeout,
        // Bytes in memory need no file; a module that gives up has met a limit of its own.
        _ => ScanOutcome::LimitExceeded,
    }
}

fn hits(engine: &Engine, results: &yara_x::ScanResults<'_, '_>, bytes: &[u8]) -> Vec<Hit> {
    let matching = results.matching_rules();
    let mut known: Vec<_> =
        matching.filter_map(|rule| Some((engine.known.get(rule.identifier())?, rule))).collect();
    known.sort_by(|((a, how_bad_a), _), ((b, how_bad_b), _)| how_bad_b.cmp(how_bad_a).then(a.cmp(b)));
    known.truncate(MAX_HITS);
    known
        .into_iter()
        .map(|((id, _), rule)| Hit { rule: id.clone(), excerpts: excerpts(&rule, bytes) })
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
