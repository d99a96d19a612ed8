//! Which rules a scan runs: the pack that comes with the program, a pack's folder, or YARA sources of others.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use khien_core::{
    Lang, RuleId, Severity, Timestamp,
    bundle::{Pack, RuleMeta, Source},
    text::{builtin::builtin_rule, scan as t, trouble},
    untrusted::escape,
};
use khien_rules::{
    Engine, Scope, base_pack,
    foreign::{self, MAX_SOURCES, MAX_TEXT, Origin},
    pack,
};

use super::{feed::shown, processes};
use crate::{
    args,
    exit::{Exit, Stop},
    told::Told,
};

/// Folders inside a folder of rules.
const MAX_DEEP: usize = 32;

/// Rules that are ready for the workers.
pub(crate) struct Loaded {
    /// What each rule is.
    pub(crate) pack: Arc<Pack>,
    /// The compiled form.
    pub(crate) compiled: Vec<u8>,
    /// Whether they are of others, and ask what a file is called.
    pub(crate) is_foreign: bool,
    /// How many sources.
    pub(crate) sources: usize,
    /// What was left out, in words.
    pub(crate) refused: Vec<String>,
    metas: HashMap<RuleId, RuleMeta>,
    origins: HashMap<RuleId, Origin>,
}

impl Loaded {
    /// Returns how bad a match is.
    pub(crate) fn severity(&self, rule: &RuleId) -> Severity {
        let own = || builtin_rule(rule.as_str()).map_or(Severity::Medium, |own| own.severity);
        self.metas.get(rule).map_or_else(own, |meta| meta.severity)
    }

    /// Returns what is said of a rule of the pack.
    pub(crate) fn meta(&self, rule: &RuleId) -> Option<&RuleMeta> {
        self.metas.get(rule)
    }

    /// Returns what a rule is called.
    pub(crate) fn title(&self, rule: &RuleId, lang: Lang) -> &str {
        let own = || builtin_rule(rule.as_str()).map_or("", |own| own.title.get(lang));
        self.metas.get(rule).map_or_else(own, |meta| meta.title.get(lang))
    }

    /// Returns the YARA name of a rule and the source that it is from, if it is of others.
    pub(crate) fn origin(&self, rule: &RuleId) -> Option<&Origin> {
        self.origins.get(rule)
    }
}

/// Loads the rules that were asked for.
pub(crate) fn load(what: &args::Scan, lang: Lang) -> Result<Loaded> {
    let scope = if processes::asked(what) { Scope::Memory } else { Scope::File };
    match (&what.rules[..], &what.pack) {
        ([], None) => own(base_pack(Timestamp::now()), scope),
        ([], Some(dir)) => {
            let pack = pack::load_dir(dir, Timestamp::now());
            own(pack.with_context(|| Told::path(trouble::CANNOT_USE, dir))?, scope)
        }
        (rules, _) => of_others(rules, lang),
    }
}

fn own(mut pack: Pack, scope: Scope) -> Result<Loaded> {
    let engine = Engine::compile(&pack, scope);
    let engine = engine.map_err(|e| Told::new(t::NO_COMPILE, &[&escape(e.to_string().as_bytes())]))?;
    let compiled = engine.compiled()?;
    if scope == Scope::Memory {
        pack.rules.retain(|meta| meta.memory);
    }
    Ok(loaded(pack, compiled))
}

/// Pairs a pack with its compiled form.
pub(crate) fn loaded(pack: Pack, compiled: Vec<u8>) -> Loaded {
    Loaded {
        compiled,
        is_foreign: false,
        sources: pack.sources.len(),
        refused: Vec::new(),
        metas: pack.rules.iter().map(|meta| (meta.id.clone(), meta.clone())).collect(),
        origins: HashMap::new(),
        pack: Arc::new(pack),
    }
}

/// Compiles YARA sources, which are named or lie in folders that are.
pub(crate) fn of_others(named: &[PathBuf], lang: Lang) -> Result<Loaded> {
    let mut read = Sources::default();
    for path in named {
        read.named(path, lang)?;
    }
    let made = foreign::compile(&read.sources);
    let made = made.map_err(|e| Told::new(t::NO_COMPILE, &[&escape(e.to_string().as_bytes())]))?;
    let refused: Vec<String> = made.refused.iter().map(ToString::to_string).collect();
    if made.pack.rules.is_empty() {
        let paths: Vec<_> = named.iter().map(|p| shown(p).to_string()).collect();
        let first = refused.first().map(|r| format!(": {r}")).unwrap_or_default();
        let what = format!("{}{first}", t::NO_RULES.with(lang, &[&paths.join(", ")]));
        return Err(Stop::new(Exit::Usage, what, t::NEXT_RULES.get(lang)).into());
    }
    let sources = read.sources.len();
    let loaded = loaded(made.pack, made.compiled);
    Ok(Loaded { is_foreign: true, sources, refused, origins: made.origins, ..loaded })
}

/// Sources as they are read.
#[derive(Default)]
struct Sources {
    sources: Vec<Source>,
    bytes: usize,
}

impl Sources {
    /// A file is read whatever its name, a folder by the names in it.
    fn named(&mut self, path: &Path, lang: Lang) -> Result<()> {
        let meta = fs::metadata(path).with_context(|| Told::path(trouble::CANNOT_READ, path))?;
        match meta.is_dir() {
            true => self.folder(path, MAX_DEEP, lang),
            false => self.file(path, lang),
        }
    }

    /// In the order of the names, so that numbers in ids stay. Links are not followed.
    fn folder(&mut self, path: &Path, deep: usize, lang: Lang) -> Result<()> {
        let unreadable = || Told::path(trouble::CANNOT_READ, path);
        let entries = fs::read_dir(path).with_context(unreadable)?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>().with_context(unreadable)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().with_context(unreadable)?;
            if kind.is_dir() && deep > 0 {
                self.folder(&entry.path(), deep - 1, lang)?;
            } else if kind.is_file() && is_source(&entry.path()) {
                self.file(&entry.path(), lang)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, lang: Lang) -> Result<()> {
        let left = MAX_TEXT - self.bytes;
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|f| f.take(left as u64 + 1).read_to_end(&mut bytes));
        read.with_context(|| Told::path(trouble::CANNOT_READ, path))?;
        // Bytes that are no UTF-8 are longer in text.
        let text = foreign::text(&bytes);
        if text.len().max(bytes.len()) > left || self.sources.len() >= MAX_SOURCES {
            let what = t::TOO_MANY_RULES.with(lang, &[&MAX_SOURCES, &(MAX_TEXT >> 20)]);
            return Err(Stop::new(Exit::Usage, what, t::NEXT_RULES.get(lang)).into());
        }
        self.bytes += text.len();
        self.sources.push(Source { name: shown(path).to_string(), text });
        Ok(())
    }
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yar") || e.eq_ignore_ascii_case("yara"))
}
