//! A pack's YARA sources become rules that can run, or an error that says which line is at fault.

use khien_core::{
    bundle::{Pack, RuleMeta, Source},
    untrusted::escape,
};

use crate::{
    check::{self, Problem},
    route::{Part, Routed},
    source::{self, Rule},
};

/// The most sources of one pack.
pub const MAX_SOURCES: usize = 2_048;
/// The largest source, in bytes: what a person writes is far below, and the compiler needs many times its size.
pub const MAX_SOURCE: usize = 2 << 20;
/// The longest name of a source or reason of the compiler that an error repeats, in characters.
const MAX_SHOWN: usize = 160;

/// For what the rules are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Whole files: every rule.
    File,
    /// Reassembled traffic: only the rules that say they fit.
    Stream,
    /// Memory of processes: only the rules that say they fit.
    Memory,
}

/// Why a pack could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Too many sources.
    #[error("pack has {found} sources, at most {MAX_SOURCES} are allowed")]
    TooManySources {
        /// How many there are.
        found: usize,
    },
    /// One source is too large.
    #[error("source `{source_name}` has {size} bytes, at most {MAX_SOURCE} are allowed")]
    SourceTooLarge {
        /// Its name.
        source_name: String,
        /// Its size.
        size: usize,
    },
    /// The compiler broke off over a source.
    #[error("source `{source_name}` breaks the compiler, none of its rules run")]
    Broken {
        /// Its name.
        source_name: String,
    },
    /// Rules and metadata do not fit together.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
    /// The compiler refused a source.
    #[error("{source_name}:{line}: {reason} ({code})")]
    Refused {
        /// Its name.
        source_name: String,
        /// The line, from 1.
        line: usize,
        /// The compiler's own code for it, such as `E018`.
        code: &'static str,
        /// Why.
        reason: String,
    },
}

/// Shows the first problems and counts the rest: an error text is read by a person and sent over the wire.
fn list(problems: &[Problem]) -> String {
    let shown: Vec<_> = problems.iter().take(5).map(Problem::to_string).collect();
    let more = problems.len().saturating_sub(shown.len());
    let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join("; "))
}

/// Compiles a pack for one scope.
///
/// # Errors
/// [`CompileError`].
pub(crate) fn compile(pack: &Pack, scope: Scope) -> Result<Routed, CompileError> {
    bounded(pack)?;
    let problems = check::rules(pack);
    if !problems.is_empty() {
        return Err(CompileError::Problems(problems));
    }
    let texts: Vec<_> = pack.sources.iter().map(|source| fitting(source, pack, scope)).collect();
    let parts: Vec<_> = texts.iter().map(|text| Part { namespace: "default", text }).collect();
    Routed::compile(&parts, &strict).map_err(|refused| {
        let name = pack.sources.get(refused.part).map_or("", |s| &s.name);
        told(name, parts.get(refused.part).map_or("", |p| p.text), &refused.error)
    })
}

/// Refuses what is too much before any of it is parsed.
pub(crate) fn bounded(pack: &Pack) -> Result<(), CompileError> {
    if pack.sources.len() > MAX_SOURCES {
        return Err(CompileError::TooManySources { found: pack.sources.len() });
    }
    match pack.sources.iter().find(|s| s.text.len() > MAX_SOURCE) {
        Some(s) => Err(CompileError::SourceTooLarge { source_name: shown(&s.name), size: s.text.len() }),
        None => Ok(()),
    }
}

/// A compiler that reads no files and takes no rule that could stall a host.
fn strict() -> yara_x::Compiler<'static> {
    let mut compiler = yara_x::Compiler::new();
    compiler
        .enable_includes(false)
        .error_on_slow_pattern(true)
        .error_on_slow_loop(true)
        .colorize_errors(false);
    compiler
}

/// Returns the part of a source that runs in a scope. Private rules stay: others may lean on them.
pub(crate) fn fitting(source: &Source, pack: &Pack, scope: Scope) -> String {
    let fits: fn(&RuleMeta) -> bool = match scope {
        Scope::File => return source.text.clone(),
        Scope::Stream => |meta| meta.streams,
        Scope::Memory => |meta| meta.memory,
    };
    let runs = |rule: &Rule<'_>| {
        let mut metas = pack.rules.iter();
        rule.is_private || metas.any(|meta| fits(meta) && meta.yara.as_deref() == Some(rule.name))
    };
    let declared = source::declared(&source.text);
    declared.without(&source.text, |rule| rule.needs_file.is_none() && runs(rule))
}

/// Says in one line what the compiler has against a source.
pub(crate) fn told(name: &str, text: &str, error: &yara_x::errors::CompileError) -> CompileError {
    let label = error.labels().next();
    let at = place(error).min(text.len());
    let detail = label.map(|l| l.text().to_owned()).filter(|t| !t.is_empty());
    let reason = detail.map_or_else(|| error.title().to_owned(), |d| format!("{}: {d}", error.title()));
    CompileError::Refused {
        source_name: shown(name),
        line: text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1,
        code: error.code(),
        reason: shown(&reason),
    }
}

/// Returns where in its source an error is, in bytes.
pub(crate) fn place(error: &yara_x::errors::CompileError) -> usize {
    error.labels().next().map_or(0, |l| l.span().start())
}

/// Makes text of a pack fit for an error: cut and escaped.
pub(crate) fn shown(text: &str) -> String {
    escape(text.chars().take(MAX_SHOWN).collect::<String>().as_bytes())
}
