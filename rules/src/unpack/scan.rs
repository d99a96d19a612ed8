//! Scans a file and everything inside it with one scanner.

use std::time::Duration;

use khien_core::{
    Untrusted,
    event::{Inside, ScanOutcome, Unseen},
};

use super::{Flow, Limits, Outcome, Source, Visitor, walk};
use crate::scan::{Hit, MAX_HITS, Scanned, Scanner};

/// How the scan of a file and of everything inside it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deep {
    /// The outcome and what was found, each hit with its way in. It is clean only if everything inside was scanned.
    pub scanned: Scanned,
    /// What was not looked into.
    pub troubles: Vec<Unseen>,
    /// How many inner files were scanned.
    pub files: u64,
}

/// Scans bytes and what is inside them. `left` tells how much time is left; it is asked often.
pub fn scan(
    scanner: &mut Scanner<'_>,
    bytes: &[u8],
    name: &Untrusted,
    limits: &Limits,
    left: &dyn Fn() -> Duration,
) -> Deep {
    let outer = scanner.scan(bytes, left());
    let mut inner = Inner { scanner, left, hits: outer.hits, worst: None };
    let outcome = match outer.outcome {
        ScanOutcome::Clean | ScanOutcome::Matched => walk(Source::Bytes(bytes), name, limits, &mut inner),
        _ => Outcome::default(),
    };
    let (mut hits, worst) = (inner.hits, inner.worst);
    scanner.keep_severest(&mut hits);
    let trouble = [Some(outer.outcome), worst, Some(outcome.worst())].into_iter().flatten();
    let ended = match hits.is_empty() {
        // A rule that matched outside only makes way for one inside, so that this is never a match.
        true => trouble.max().unwrap_or(ScanOutcome::Clean),
        false => ScanOutcome::Matched,
    };
    Deep { scanned: Scanned { outcome: ended, hits }, troubles: outcome.troubles, files: outcome.files }
}

/// Scans each inner file.
struct Inner<'s, 'e> {
    scanner: &'s mut Scanner<'e>,
    left: &'s dyn Fn() -> Duration,
    hits: Vec<Hit>,
    worst: Option<ScanOutcome>,
}

impl Visitor for Inner<'_, '_> {
    fn file(&mut self, inside: &Inside, bytes: &[u8]) -> Flow {
        let scanned = self.scanner.scan_inside(inside, bytes, (self.left)());
        if scanned.outcome.is_trouble() {
            self.worst = self.worst.max(Some(scanned.outcome));
        }
        for hit in scanned.hits {
            self.take(Hit { inside: inside.clone(), ..hit });
        }
        Flow::Go
    }

    fn keep_going(&mut self) -> bool {
        !(self.left)().is_zero()
    }
}

impl Inner<'_, '_> {
    /// Keeps of each rule the first hit, unless the same bytes are seen further in, which tells more. The same script
    /// read in another way tells less: its places are not the file's.
    fn take(&mut self, hit: Hit) {
        let is_view = hit.inside.names().last().is_some_and(|name| super::is_view(name.raw()));
        match self.hits.iter().position(|h| h.rule == hit.rule) {
            Some(at) if !is_view && self.hits[at].inside.leads_to(&hit.inside) => self.hits[at] = hit,
            None if self.hits.len() < MAX_HITS * 4 => self.hits.push(hit),
            Some(_) | None => {}
        }
    }
}
