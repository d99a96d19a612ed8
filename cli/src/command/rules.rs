//! `khien rules`: checks a pack as its authors do, signs it and hands it to the hub.

mod lookup;

use std::{fmt::Display, path::Path};

use anyhow::{Context as _, Result};
use khien_core::{
    Lang, Timestamp,
    api::PackState,
    bundle::{MAX_PACK, NetworkKind, Pack, Release},
    signature::{Purpose, Signed},
    text::{command as t, trouble},
};
use khien_rules::{
    base_pack, check,
    check::CheckReport,
    compiled::Built,
    pack::{self, ListTold},
};
use serde::Serialize;

use super::Context;
use crate::{
    args,
    client::Client,
    compile,
    exit::{Exit, Stop},
    keys::Keys,
    output::{Facts, print, print_json, say},
    told::Told,
};

/// Runs one of its verbs.
pub(crate) async fn run(context: &Context, what: args::Rules) -> Result<()> {
    match what {
        args::Rules::Check { dir } => checked(context, &dir, true),
        args::Rules::Push { dir, .. } => push(context, dir.as_deref()).await,
        args::Rules::Lookup { value, pack } => lookup::run(context, &value, pack.as_deref()),
    }
}

/// What a check found, as `--json` prints it.
#[derive(Serialize)]
struct Shown {
    version: u64,
    rules: usize,
    stream_rules: usize,
    domains: usize,
    files: usize,
    lists: Vec<ListShown>,
    positive_samples: usize,
    clean_samples: usize,
    untested: Vec<String>,
    problems: Vec<String>,
}

/// What became of one list about traffic.
#[derive(Serialize)]
struct ListShown {
    file: String,
    rule: String,
    kind: NetworkKind,
    entries: u32,
    allowed: usize,
    refused: usize,
    other: usize,
    doubted: usize,
    notes: Vec<String>,
}

fn shown(report: &CheckReport) -> Shown {
    Shown {
        version: report.version,
        rules: report.rules,
        stream_rules: report.stream_rules,
        domains: report.domains,
        files: report.files,
        lists: report.lists.iter().map(list_shown).collect(),
        positive_samples: report.positive,
        clean_samples: report.clean,
        untested: report.untested.iter().map(ToString::to_string).collect(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
    }
}

fn list_shown(list: &ListTold) -> ListShown {
    ListShown {
        file: list.file.clone(),
        rule: list.rule.to_string(),
        kind: list.kind,
        entries: list.entries,
        allowed: list.counts.allowed,
        refused: list.counts.refused,
        other: list.counts.other,
        doubted: list.counts.doubted,
        notes: list.notes.clone(),
    }
}

/// Checks a folder; anything wrong with it is an error.
fn checked(context: &Context, dir: &Path, tell: bool) -> Result<()> {
    let lang = context.lang;
    let report = check::directory(dir).with_context(|| Told::path(trouble::CANNOT_USE, dir))?;
    let it = shown(&report);
    if tell {
        match context.json {
            true => print_json(&it)?,
            false => print(&whole(&it, lang))?,
        }
    }
    match it.problems.is_empty() {
        true => Ok(()),
        false => {
            let what = t::PACK_WRONG.with(lang, &[&it.problems.len(), &it.problems.join("; ")]);
            Err(Stop::new(Exit::Failed, what, t::NEXT_PACK_FIX.get(lang)).into())
        }
    }
}

fn whole(it: &Shown, lang: Lang) -> String {
    let mut facts = Facts::new();
    facts.add(t::VERSION.get(lang), it.version);
    facts.add(t::RULES.get(lang), t::RULES_COUNT.with(lang, &[&it.rules, &it.stream_rules]));
    facts.add(t::DOMAINS.get(lang), it.domains);
    facts.maybe(t::FILES_LISTED.get(lang), (it.files > 0).then_some(it.files));
    for list in &it.lists {
        let label = t::LIST.with(lang, &[&lookup::word(list.kind).get(lang), &list.file]);
        let counts: [&dyn Display; 5] =
            [&list.entries, &list.allowed, &list.refused, &list.other, &list.doubted];
        facts.add(&label, t::LIST_COUNTS.with(lang, &counts));
        list.notes.iter().for_each(|note| facts.add(t::LOOK_AT.get(lang), note));
    }
    facts.add(t::SAMPLES.get(lang), t::SAMPLES_COUNT.with(lang, &[&it.positive_samples, &it.clean_samples]));
    facts.maybe(t::UNTESTED.get(lang), (!it.untested.is_empty()).then(|| it.untested.join(", ")));
    for problem in &it.problems {
        facts.add(t::PROBLEM.get(lang), problem);
    }
    facts.shown()
}

async fn push(context: &Context, dir: Option<&Path>) -> Result<()> {
    let (client, keys) = context.connect()?;
    let now = Timestamp::now();
    let pack = match dir {
        Some(dir) => {
            checked(context, dir, false)?;
            pack::load_dir(dir, now).with_context(|| Told::path(trouble::CANNOT_USE, dir))?
        }
        None => base_pack(now),
    };
    let state = hand_over(context, &client, &keys, build(pack).await).await?;
    told(context, &state)
}

/// A pack and its compiled form for machines like this one.
pub(crate) struct Ready {
    pack: Pack,
    compiled: Result<Built>,
}

/// Compiles a pack, so that agents need not.
pub(crate) async fn build(pack: Pack) -> Ready {
    Ready { compiled: compile::build(&pack).await, pack }
}

/// Hands a compiled form to the hub, then the pack that names it, signed. Without one agents compile the rules
/// themselves, which is told.
pub(crate) async fn hand_over(
    context: &Context,
    client: &Client,
    keys: &Keys,
    ready: Ready,
) -> Result<PackState> {
    let mut release = Release { pack: ready.pack, forms: Vec::new() };
    match ready.compiled {
        Ok(Built { form, bytes }) => {
            // The source is signed and there: a hub that takes no form only makes its agents slower.
            match client.put_compiled(form.sha256, bytes).await {
                Ok(()) => release.forms.push(form),
                Err(why) => say(&t::NO_COMPILED_FORM.with(context.lang, &[&why])),
            }
        }
        Err(why) => say(&t::NO_COMPILED_FORM.with(context.lang, &[&why])),
    }
    Ok(client.put_pack(&sign(&release, keys, context.lang)?).await?)
}

/// Signs a pack with the operator's key.
fn sign(release: &Release, keys: &Keys, lang: Lang) -> Result<Signed> {
    let body = release.body().context("pack has no JSON form")?;
    match body.len() > MAX_PACK {
        true => {
            let what = t::PACK_TOO_LARGE.with(lang, &[&body.len(), &MAX_PACK]);
            Err(Stop::new(Exit::Failed, what, t::NEXT_PACK_SMALLER.get(lang)).into())
        }
        false => Ok(Signed::new(body, Purpose::Pack, keys.signing())),
    }
}

fn told(context: &Context, state: &PackState) -> Result<()> {
    match context.json {
        true => print_json(state),
        false => print(&t::PACK_PUSHED.with(context.lang, &[&state.version])),
    }
}

#[cfg(test)]
mod tests {
    use khien_core::bundle;
    use khien_rules::compiled;

    use super::*;

    #[test]
    fn the_base_pack_is_signed_so_that_agents_take_it() {
        let keys = Keys::for_tests([7; 32]);
        let pack = base_pack(Timestamp::UNIX_EPOCH);
        let built = compiled::build(&pack).unwrap();

        let release = Release { pack: pack.clone(), forms: vec![built.form.clone()] };
        let signed = sign(&release, &keys, Lang::En).unwrap();

        assert_eq!(bundle::open(&signed, &[keys.public()]).unwrap(), pack);
        let opened = Release::open(&signed, &[keys.public()]).unwrap();
        let form = opened.form(&compiled::machine()).unwrap();
        assert!(compiled::load(&opened.pack, form.sha256, form.inflated, &built.bytes).is_ok());
    }
}
