//! Tells in which bytes of streams no rule can match, so that they need no worker, no copy and no engine.
//!
//! ```text
//! piece of a stream ─► sieve ─┬─ a rule may match ─► copy ─► sandboxed worker ─► the engine says whether one does
//!                             └─ none can ─────────► counted
//! ```
//! These are the proofs by which a scan leaves rules out ([`route`](crate::route)), asked one step earlier: what the sieve
//! holds back is what the engine would have been asked nothing about. It takes nothing apart, holds nothing of what it is
//! shown, and its time grows with the length alone, so it may stand outside of the sandbox.

use std::collections::HashSet;

use khien_core::bundle::{Pack, Source};

use crate::{
    compile::{Scope, fitting},
    route::{Gate, Part},
};

/// What a pack's rules for streams need. Where nothing is known ([`Default`]) it lets everything through.
#[derive(Debug, Default)]
pub struct Sieve(Option<Gate>);

impl Sieve {
    /// Makes the sieve of a pack's rules for streams. A pack whose rules cannot be read has one that lets everything through.
    #[must_use]
    pub fn of_streams(pack: &Pack) -> Self {
        let rules = pack.rules.iter().filter(|rule| rule.streams);
        let names: HashSet<_> = rules.filter_map(|rule| rule.yara.as_deref()).collect();
        let sources = pack.sources.iter().filter(|source| may_declare(source, &names));
        let texts: Vec<_> = sources.map(|source| fitting(source, pack, Scope::Stream)).collect();
        let parts: Vec<_> = texts.iter().map(|text| Part { namespace: "default", text }).collect();
        Self(Gate::of(&parts))
    }

    /// Tells whether a rule may match these bytes, scanned as one piece. `false` is a proof, `true` is none.
    #[must_use]
    pub fn may_match(&self, bytes: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|gate| gate.is_open_for(bytes))
    }
}

/// A source that names no rule for streams brings none, and is not read. A global rule in it would only let fewer match.
fn may_declare(source: &Source, names: &HashSet<&str>) -> bool {
    let mut words = source.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    !names.is_empty() && words.any(|word| names.contains(word))
}
