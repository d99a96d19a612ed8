//! `khien playbook`: the library, and starting a run from it.

use anyhow::Result;
use khien_core::{
    Lang,
    text::{Words, command as t},
};
use khien_playbooks::{Playbook, StepKind};
use serde::Serialize;

use super::{Context, run::settled};
use crate::{
    args,
    output::{Facts, Table, print, print_json, say},
    response::{self, PlanError},
};

/// Runs one of its verbs.
pub(crate) async fn run(context: &Context, what: args::Playbook) -> Result<()> {
    match what {
        args::Playbook::List => list(context, &khien_playbooks::library()),
        args::Playbook::Show { id } => {
            let playbook = khien_playbooks::find(&id).ok_or(PlanError::UnknownPlaybook(id))?;
            one(context, &playbook)
        }
        args::Playbook::Run { id, incident, wait } => {
            let (client, keys) = context.connect()?;
            let plan = response::plan_start(&client, &id, incident).await?;
            say(&t::PLAN_START.with(context.lang, &[&plan.playbook.title.get(context.lang), &incident]));
            response::describe(&plan.orders, context.lang).iter().for_each(|l| say(l));
            let started = response::start_planned(&client, &keys, plan).await?;
            settled(context, &client, started, wait).await
        }
    }
}

/// A playbook as `--json` prints it.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    title: &'a Words,
    summary: &'a Words,
    hash: khien_core::Sha256,
    steps: Vec<ShownStep<'a>>,
}

#[derive(Serialize)]
struct ShownStep<'a> {
    id: &'a str,
    title: &'a Words,
    kind: &'static str,
    verb: Option<&'static str>,
    undo: Vec<&'static str>,
}

fn shown(p: &Playbook) -> Shown<'_> {
    let step = |s: &'_ khien_playbooks::Step| match &s.kind {
        StepKind::Order { verb, undo } => {
            ("order", Some(verb.as_str()), undo.iter().map(|v| v.as_str()).collect())
        }
        StepKind::Approval => ("approval", None, Vec::new()),
    };
    let steps = p.steps.iter().map(|s| {
        let (kind, verb, undo) = step(s);
        ShownStep { id: s.id.as_str(), title: &s.title, kind, verb, undo }
    });
    Shown { id: &p.id, title: &p.title, summary: &p.summary, hash: p.hash, steps: steps.collect() }
}

fn list(context: &Context, library: &[Playbook]) -> Result<()> {
    if context.json {
        return print_json(&library.iter().map(shown).collect::<Vec<_>>());
    }
    let lang = context.lang;
    let mut table = Table::new(&[t::ID.get(lang), t::TITLE.get(lang), t::SUMMARY.get(lang)]);
    for p in library {
        table.row(vec![p.id.clone(), p.title.get(lang).to_owned(), p.summary.get(lang).to_owned()]);
    }
    print(&table.shown())
}

fn one(context: &Context, playbook: &Playbook) -> Result<()> {
    match context.json {
        true => print_json(&shown(playbook)),
        false => print(&whole(playbook, context.lang)),
    }
}

fn whole(p: &Playbook, lang: Lang) -> String {
    let mut facts = Facts::new();
    facts.add(t::ID.get(lang), &p.id);
    facts.add(t::TITLE.get(lang), p.title.get(lang));
    facts.add(t::SUMMARY.get(lang), p.summary.get(lang));
    facts.add("SHA-256", p.hash);
    let mut table =
        Table::new(&[t::STEP.get(lang), t::KIND.get(lang), t::UNDO.get(lang), t::TITLE.get(lang)]);
    for s in shown(p).steps {
        let kind = s.verb.unwrap_or(t::APPROVAL.get(lang)).to_owned();
        table.row(vec![s.id.to_owned(), kind, s.undo.join(", "), s.title.get(lang).to_owned()]);
    }
    format!("{}\n\n{}", facts.shown(), table.shown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playbook_shows_where_a_person_is_asked() {
        let text = whole(&khien_playbooks::find("webshell").unwrap(), Lang::En);

        assert!(text.contains("approval"), "{text}");
        assert!(text.contains("quarantine_file"), "{text}");
    }
}
