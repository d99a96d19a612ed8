//! Tells in which bytes of streams no rule can match, so that they need no worker, no copy and no engine.
//!
//! ```text
//! piece of a stream ─► sieve ─┬─ a rule may match ─► copy ─► sandboxed worker ─► the engine says whether one does
//!                             └─ none can ─────────► counted
//! ```
//! These are the proofs by which a scan leaves rules out ([`route`](crate::route)), asked one step earlier: what the sieve
//! holds back is what the engine would have been asked nothing about. It takes nothing apart, holds nothing of what it is
//! shown, and its time grows with the length alone, so it may stand outside of the sandbox.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use khien_core::bundle::{Pack, Source};

use crate::{
    compile::{Scope, fitting},
    route::{Gate, Part},
};

/// The most text of sources with rules for streams of which a sieve is made in bounds: thirty times all of the shipped pack's.
const MOST_TEXT: usize = 4 << 20;

/// What a pack's rules for streams need. Where nothing is known ([`Default`]) it lets everything through.
#[derive(Debug, Default)]
pub struct Sieve {
    gate: Option<Gate>,
    /// The version of its pack, and that of the pack with which scans are made.
    stands: Option<(u64, Arc<AtomicU64>)>,
}

/// Why there is no sieve: everything passes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSieve {
    /// Too much text.
    #[error("sources with rules for streams have {size} bytes, a sieve is made of at most {MOST_TEXT}")]
    TooLarge {
        /// How much.
        size: usize,
    },
    /// It took too long.
    #[error("rules for streams were not read in time")]
    TooLate,
    /// Rules cannot be read.
    #[error("rules for streams cannot be taken apart")]
    Unreadable,
}

impl Sieve {
    /// Makes the sieve of a pack's rules for streams. A pack whose rules cannot be read has one that lets everything through.
    #[must_use]
    pub fn of_streams(pack: &Pack) -> Self {
        Self { gate: gate(pack, &sources(pack), &|| true), stands: None }
    }

    /// The same in bounds of size and time, for who must go on whatever stands in a pack. One source of it may be begun before
    /// the time is over.
    ///
    /// # Errors
    /// [`NoSieve`].
    pub fn of_streams_by(pack: &Pack, until: Instant) -> Result<Self, NoSieve> {
        let sources = sources(pack);
        let size = sources.iter().map(|source| source.text.len()).sum();
        if size > MOST_TEXT {
            return Err(NoSieve::TooLarge { size });
        }
        let goes_on = || Instant::now() < until;
        match gate(pack, &sources, &goes_on) {
            Some(gate) => Ok(Self { gate: Some(gate), stands: None }),
            None if goes_on() => Err(NoSieve::Unreadable),
            None => Err(NoSieve::TooLate),
        }
    }

    /// Has it hold something back only while scans are made with its own pack, of this version: `scanning` is the version of
    /// the pack with which they are, told before the first scan with it.
    #[must_use]
    pub fn while_scanning_with(self, version: u64, scanning: Arc<AtomicU64>) -> Self {
        Self { stands: Some((version, scanning)), ..self }
    }

    /// Tells whether a rule may match these bytes, scanned as one piece. `false` is a proof, `true` is none.
    #[must_use]
    pub fn may_match(&self, bytes: &[u8]) -> bool {
        let is_over =
            self.stands.as_ref().is_some_and(|(version, now)| now.load(Ordering::Acquire) != *version);
        is_over || self.gate.as_ref().is_none_or(|gate| gate.is_open_for(bytes))
    }
}

/// Returns the sources that may have rules for streams.
fn sources(pack: &Pack) -> Vec<&Source> {
    let rules = pack.rules.iter().filter(|rule| rule.streams);
    let names: HashSet<_> = rules.filter_map(|rule| rule.yara.as_deref()).collect();
    pack.sources.iter().filter(|source| may_declare(source, &names)).collect()
}

/// Reads what their rules for streams need.
fn gate(pack: &Pack, sources: &[&Source], goes_on: &dyn Fn() -> bool) -> Option<Gate> {
    let text = |source: &&Source| goes_on().then(|| fitting(source, pack, Scope::Stream));
    let texts: Vec<_> = sources.iter().map(text).collect::<Option<_>>()?;
    let parts: Vec<_> = texts.iter().map(|text| Part { namespace: "default", text }).collect();
    Gate::of(&parts, goes_on)
}

/// A source that names no rule for streams brings none, and is not read. A global rule in it would only let fewer match.
fn may_declare(source: &Source, names: &HashSet<&str>) -> bool {
    let mut words = source.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    !names.is_empty() && words.any(|word| names.contains(word))
}
