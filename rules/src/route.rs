//! Sends each file only to the rules that may match it.
//!
//! ```text
//! pack ─► conditions are read ─► what each rule needs of a file ─► groups of rules, compiled apart
//! file ─► one pass for strings, head and size ─► the groups that may match ─► the engine, for those alone
//! ```
//!
//! For a small file most of the time goes into conditions that cannot be true. Here they are not evaluated. A proof
//! errs on one side only: a rule of which nothing is proved runs on every file, so the result is always that of all
//! rules. Routing opens no file and runs no rule of its own; what matches is decided by the engine.

mod blob;
mod lean;
mod literal;
mod need;
mod pattern;
mod plan;
mod prove;
mod regexp;
mod table;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use yara_x::{Rules, ScanError};

pub use blob::{ENGINE, LoadError};

use need::Need;
use plan::Planned;
use table::{MAX_GROUPS, Memory, Parts, Table};

/// The namespace of the rule that makes each group look for all of its patterns, whatever its conditions ask for, so
/// that the places reported for a rule do not depend on its neighbours.
const OWN_NAMESPACE: &str = "khien_route";
const OWN_RULE: &str = "private rule khien_search { strings: $a = \"khien\" condition: $a at 0 }";

/// Long enough to scan nothing.
const WARM_UP: Duration = Duration::from_secs(5);

/// One source of rules.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Where its rules live. Parts of one namespace stand side by side.
    pub namespace: &'a str,
    /// The rules.
    pub text: &'a str,
}

/// Why rules could not be compiled: what the engine says of which part.
#[derive(Debug)]
pub struct Refused {
    /// Which part, from 0.
    pub part: usize,
    /// What is wrong with it.
    pub error: Box<yara_x::errors::CompileError>,
}

/// Compiled rules that know which files they need not see.
pub struct Routed {
    groups: Vec<Rules>,
    table: Table,
}

/// What rules need, without the rules.
pub(crate) struct Gate(Table);

/// Scans file after file on one thread.
pub struct Scanner<'r> {
    routed: &'r Routed,
    scanners: Vec<Option<yara_x::Scanner<'r>>>,
    memory: Memory,
    globals: Vec<(String, String)>,
    max_matches: usize,
    ran: u64,
}

impl Routed {
    /// Compiles parts with compilers that `new` sets up, one for each group.
    ///
    /// # Errors
    /// [`Refused`], with places in the part as it was given.
    pub fn compile(parts: &[Part<'_>], new: &dyn Fn() -> yara_x::Compiler<'static>) -> Result<Self, Refused> {
        let planned = plan::groups(parts).filter(|groups| groups.len() <= MAX_GROUPS).unwrap_or_default();
        match grouped(parts, &planned, new) {
            Some(routed) => Ok(routed),
            None => Self::whole(parts, new),
        }
    }

    /// Compiles parts into one group that runs on every file.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn whole(parts: &[Part<'_>], new: &dyn Fn() -> yara_x::Compiler<'static>) -> Result<Self, Refused> {
        let sources = parts.iter().enumerate().map(|(at, part)| (at, part.text));
        let rules = compiled(parts, sources, true, new)?;
        let table = Table::new(Parts::of(&[(Need::always(), 0)]));
        Ok(Self { groups: vec![rules], table })
    }

    /// Returns every rule, private ones among them.
    pub fn rules(&self) -> impl Iterator<Item = yara_x::Rule<'_, '_>> {
        self.groups.iter().flat_map(Rules::iter).filter(|r| r.namespace() != OWN_NAMESPACE)
    }

    /// Returns how many groups there are and how many of their rules each has.
    pub fn groups(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().map(|g| g.iter().filter(|r| r.namespace() != OWN_NAMESPACE).count())
    }

    /// Returns a scanner for many scans on one thread.
    #[must_use]
    pub fn scanner(&self) -> Scanner<'_> {
        Scanner {
            routed: self,
            scanners: self.groups.iter().map(|_| None).collect(),
            memory: Memory::default(),
            globals: Vec::new(),
            max_matches: usize::MAX,
            ran: 0,
        }
    }
}

impl Gate {
    /// Reads what the rules of some parts need. `None`: they cannot be read, or it was not to go on, and may match anything.
    pub(crate) fn of(parts: &[Part<'_>], goes_on: &dyn Fn() -> bool) -> Option<Self> {
        let needs: Vec<_> = plan::needs(parts, goes_on)?.into_iter().map(|need| (need, 0)).collect();
        Some(Self(Table::new(Parts::of(&needs))))
    }

    /// Tells whether a rule may match these bytes.
    pub(crate) fn is_open_for(&self, bytes: &[u8]) -> bool {
        self.0.groups(bytes, &mut Memory::default()) != 0
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("strings", &self.0.parts.entries.len()).finish_non_exhaustive()
    }
}

impl<'r> Scanner<'r> {
    /// Keeps at most so many matches of each pattern.
    pub fn max_matches(&mut self, most: usize) -> &mut Self {
        self.max_matches = most;
        self.scanners.iter_mut().for_each(|s| *s = None);
        self
    }

    /// Sets a variable that the rules were compiled with, for all scans to come.
    pub fn set_global(&mut self, name: &str, value: &str) -> &mut Self {
        match self.globals.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.globals.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Scans nothing once with every group. That starts the engine's clock thread and takes the memory that later
    /// scans then need not ask for: a sandbox that forbids both may close behind it.
    pub fn warm_up(&mut self) {
        for group in 0..self.scanners.len() {
            if let Some(scanner) = self.prepared(group) {
                let _ = scanner.set_timeout(WARM_UP).scan(b"");
            }
        }
    }

    /// Scans bytes and hands each rule that matches to `take`. Private rules are not among them.
    ///
    /// # Errors
    /// [`ScanError`], such as the end of the time; the scanner is fresh afterwards.
    pub fn scan<T>(
        &mut self,
        bytes: &[u8],
        timeout: Duration,
        mut take: impl FnMut(&yara_x::Rule<'_, '_>) -> Option<T>,
    ) -> Result<Vec<T>, ScanError> {
        let begun = Instant::now();
        let mut on = self.routed.table.groups(bytes, &mut self.memory);
        self.ran = on;
        let mut found = Vec::new();
        while on != 0 {
            let group = on.trailing_zeros() as usize;
            on &= on - 1;
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(ScanError::Timeout);
            }
            let Some(scanner) = self.prepared(group) else { continue };
            match scanner.set_timeout(left).scan(bytes) {
                Ok(results) => found.extend(results.matching_rules().filter_map(|r| take(&r))),
                Err(e) => {
                    // What a broken-off scan left behind is not worth trusting.
                    self.scanners[group] = None;
                    return Err(e);
                }
            }
        }
        Ok(found)
    }

    /// Returns how many groups the last scan asked.
    #[must_use]
    pub fn asked(&self) -> u32 {
        self.ran.count_ones()
    }

    fn prepared(&mut self, group: usize) -> Option<&mut yara_x::Scanner<'r>> {
        let rules: &'r Rules = self.routed.groups.get(group)?;
        let most = self.max_matches;
        let scanner = self.scanners.get_mut(group)?.get_or_insert_with(|| {
            let mut scanner = yara_x::Scanner::new(rules);
            scanner.max_matches_per_pattern(most);
            scanner
        });
        for (name, value) in &self.globals {
            // A variable that no rule of the group was compiled with is not missed.
            let _ = scanner.set_global(name, value.as_str());
        }
        Some(scanner)
    }
}

/// Compiles the groups of a plan. `None`: a group does not compile, or there is none.
fn grouped(
    parts: &[Part<'_>],
    planned: &[Planned],
    new: &dyn Fn() -> yara_x::Compiler<'static>,
) -> Option<Routed> {
    let mut groups = Vec::new();
    let mut needs = Vec::new();
    for (at, group) in planned.iter().enumerate() {
        let sources = group.sources.iter().map(|(part, text)| (*part, text.as_str()));
        groups.push(compiled(parts, sources, group.has_patterns, new).ok()?);
        let at = u8::try_from(at).ok()?;
        needs.extend(group.needs.iter().map(|need| (need.clone(), at)));
    }
    (!groups.is_empty()).then(|| Routed { groups, table: Table::new(Parts::of(&needs)) })
}

fn compiled<'s>(
    parts: &[Part<'_>],
    sources: impl Iterator<Item = (usize, &'s str)>,
    searches: bool,
    new: &dyn Fn() -> yara_x::Compiler<'static>,
) -> Result<Rules, Refused> {
    let mut compiler = new();
    let mut namespace = "default";
    for (part, text) in sources {
        if parts[part].namespace != namespace {
            namespace = parts[part].namespace;
            compiler.new_namespace(namespace);
        }
        compiler.add_source(text).map_err(|error| Refused { part, error: Box::new(error) })?;
    }
    if searches {
        compiler.new_namespace(OWN_NAMESPACE);
        compiler.add_source(OWN_RULE).map_err(|error| Refused { part: 0, error: Box::new(error) })?;
    }
    Ok(compiler.build())
}
