//! What files of packets are held against: a pack with its rules, lists and policy, or YARA rules of others.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use khien_core::{
    Lang, RuleId, Severity, Timestamp,
    bundle::Pack,
    text::{Words, builtin::builtin_rule, pcap as t, scan, trouble},
    untrusted::escape,
};
use khien_rules::{base_pack, pack};
use khien_scan::{Compiled, Gauge, Limits, Pool};
use tokio::runtime::Runtime;

use crate::{
    args, compile,
    exit::{Exit, Stop},
    scan::{
        Lacks,
        rules::{self, Loaded},
    },
    told::Told,
};

/// The file that makes a folder a pack.
const PACK: &str = "pack.toml";

/// Rules that are ready, and the workers that have them.
pub(super) struct Ready {
    pub(super) loaded: Loaded,
    pub(super) pool: Arc<Pool>,
}

/// What is said of a rule.
pub(super) struct Said {
    pub(super) title: Words,
    pub(super) severity: Severity,
    pub(super) technique: Option<String>,
    pub(super) explanation: Words,
    pub(super) next_step: Words,
}

impl Ready {
    /// Returns what is said of a rule of the pack, or of a detector.
    pub(super) fn said(&self, rule: &RuleId) -> Said {
        let severity = self.loaded.severity(rule);
        if let Some(meta) = self.loaded.meta(rule) {
            return Said {
                title: meta.title.clone(),
                severity,
                technique: meta.technique.clone(),
                explanation: meta.explanation.clone(),
                next_step: meta.next_step.clone(),
            };
        }
        let own = builtin_rule(rule.as_str());
        let words = |words: Option<Words>| words.unwrap_or_else(|| Words::same(String::new()));
        Said {
            title: words(own.map(|own| own.title.words())),
            severity,
            technique: own.and_then(|own| own.technique).map(str::to_owned),
            explanation: words(own.map(|own| own.explanation.words())),
            next_step: words(own.map(|own| own.next_step.words())),
        }
    }
}

/// Loads what was asked for, and starts the workers.
pub(super) fn load(what: &args::PcapScan, runtime: &Runtime, lang: Lang) -> Result<Ready> {
    match &what.rules[..] {
        [] => of_pack(base_pack(Timestamp::now()), runtime, lang),
        [dir] if is_pack(dir) => {
            let pack = pack::load_dir(dir, Timestamp::now());
            of_pack(pack.with_context(|| Told::path(trouble::CANNOT_USE, dir))?, runtime, lang)
        }
        several => match several.iter().find(|path| is_pack(path)) {
            Some(pack) => {
                let what = t::ONE_PACK.with(lang, &[&pack.display()]);
                Err(Stop::new(Exit::Usage, what, scan::NEXT_RULES.get(lang)).into())
            }
            None => of_others(several, runtime, lang),
        },
    }
}

fn is_pack(path: &Path) -> bool {
    path.join(PACK).is_file()
}

/// Compiled in a process of its own, whose memory goes with it.
pub(super) fn of_pack(pack: Pack, runtime: &Runtime, lang: Lang) -> Result<Ready> {
    let no_compile = |e: anyhow::Error| Told::new(scan::NO_COMPILE, &[&escape(format!("{e:#}").as_bytes())]);
    let built = runtime.block_on(compile::build(&pack)).map_err(no_compile)?;
    let compiled = Compiled { file: memory_file(&built.bytes)?, form: built.form };
    let loaded = rules::loaded(pack, Vec::new());
    let pool = pool(lang, |pool| runtime.block_on(pool.load_with(Arc::clone(&loaded.pack), Some(compiled))))?;
    Ok(Ready { loaded, pool })
}

fn of_others(named: &[PathBuf], runtime: &Runtime, lang: Lang) -> Result<Ready> {
    let loaded = rules::of_others(named, lang)?;
    let pool =
        pool(lang, |pool| runtime.block_on(pool.load_compiled(Arc::clone(&loaded.pack), &loaded.compiled)))?;
    Ok(Ready { loaded, pool })
}

fn pool(lang: Lang, load: impl FnOnce(&Pool) -> Result<(), khien_core::reason::Reason>) -> Result<Arc<Pool>> {
    let lacks = Arc::new(Lacks::default());
    let gauge = Arc::clone(&lacks) as Arc<dyn Gauge>;
    let pool = Pool::with_program("/proc/self/exe".into(), Limits::default(), gauge).in_a_hurry();
    load(&pool).map_err(|reason| Told::new(scan::NO_WORKER, &[&reason.words()]))?;
    lacks.tell(lang);
    Ok(Arc::new(pool))
}

/// Puts bytes in a file that is only in memory: workers are handed files.
pub(super) fn memory_file(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("khien", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}
