//! `khien run`: what a playbook does right now, and a person's decisions about it.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use anyhow::Result;
use khien_core::{
    Lang, RunId,
    api::Refuse,
    order::{Allowed, Outcome},
    run::{Run, RunState, StepState},
    text::{alert as words, command as t},
};

use super::{Context, moment};
use crate::{
    args::{self, Wait},
    client::Client,
    exit::{Exit, Stop},
    output::{Facts, Table, confirmed, has_terminal, print, print_json, say},
    response::{self, PlanError},
};

/// How long `--wait` waits for agents that may be away; the run itself goes on without it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a run is asked for while waiting.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// The fewest characters by which a run is named.
const MIN_PREFIX: usize = 4;

/// Runs one of its verbs.
pub(crate) async fn run(context: &Context, what: args::Run) -> Result<()> {
    let (client, keys) = context.connect()?;
    let lang = context.lang;
    match what {
        args::Run::List => list(context, &client.runs().await?.runs),
        args::Run::Show { run } => one(context, &find(context, &client, &run).await?),
        args::Run::Approve { run, yes, wait } => {
            let run = find(context, &client, &run).await?;
            let step = run.waiting_for.clone().ok_or(PlanError::NothingWaits(run.id))?;
            agreed(lang, &response::plan_approve(&run, &step)?, yes)?;
            let run = response::approve(&client, &keys, &run, &step).await?;
            settled(context, &client, run, wait).await
        }
        args::Run::Refuse { run, reason } => {
            let run = find(context, &client, &run).await?;
            let step = run.waiting_for.clone().ok_or(PlanError::NothingWaits(run.id))?;
            one(context, &client.refuse(run.id, Refuse { step, reason }).await?)
        }
        args::Run::Undo { run, yes, wait } => {
            let run = find(context, &client, &run).await?;
            agreed(lang, &response::plan_undo(&run)?, yes)?;
            let run = response::undo(&client, &keys, &run).await?;
            settled(context, &client, run, wait).await
        }
    }
}

/// Shows what is about to be signed and gets a person's yes.
fn agreed(lang: Lang, orders: &[Allowed], yes: bool) -> Result<()> {
    say(t::WILL_SIGN.get(lang));
    response::describe(orders, lang).iter().for_each(|l| say(l));
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Stop::new(Exit::Usage, t::YES_WANTED.get(lang), t::NEXT_YES.get(lang)).into());
    }
    match confirmed(t::SIGN_QUESTION.get(lang)) {
        true => Ok(()),
        false => Err(Stop::new(Exit::Refused, t::NOT_SIGNED.get(lang), t::NEXT_REFUSE.get(lang)).into()),
    }
}

/// Finds the one run whose id begins as typed.
async fn find(context: &Context, client: &Client, typed: &str) -> Result<Run> {
    let lang = context.lang;
    if let Ok(id) = typed.parse::<RunId>() {
        return Ok(client.run(id).await?);
    }
    let prefix = typed.to_ascii_lowercase();
    if prefix.len() < MIN_PREFIX || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        let what = t::BAD_RUN.with(lang, &[&typed, &MIN_PREFIX]);
        return Err(Stop::new(Exit::Usage, what, t::NEXT_RUN_LIST.get(lang)).into());
    }
    let runs = client.runs().await?.runs;
    let mut fitting = runs.into_iter().filter(|r| r.id.to_string().starts_with(&prefix));
    match (fitting.next(), fitting.next()) {
        (Some(run), None) => Ok(run),
        (None, _) => {
            Err(Stop::new(Exit::NotFound, t::NO_RUN.with(lang, &[&typed]), t::NEXT_RUN_LIST.get(lang)).into())
        }
        (Some(_), Some(_)) => {
            Err(Stop::new(Exit::Usage, t::MANY_RUNS.with(lang, &[&typed]), t::NEXT_RUN_LIST.get(lang)).into())
        }
    }
}

/// Prints a run, after it settled if that is wanted, and says what a person can do next. A run that ended badly is
/// an error.
pub(crate) async fn settled(context: &Context, client: &Client, mut run: Run, wait: Wait) -> Result<()> {
    if wait.wait || (has_terminal() && !wait.no_wait) {
        run = waited(context.lang, client, run).await?;
    }
    one(context, &run)?;
    advice(&run, context.lang).iter().for_each(|l| say(l));
    match run.state {
        RunState::Failed | RunState::UndoFailed => {
            let what = t::RUN_FAILED.with(context.lang, &[&run.id.short()]);
            Err(Stop::new(Exit::Failed, what, t::NEXT_RUN_SHOW.with(context.lang, &[&run.id.short()])).into())
        }
        _ => Ok(()),
    }
}

async fn waited(lang: Lang, client: &Client, mut run: Run) -> Result<Run> {
    let begun = Instant::now();
    let mut said = 0;
    loop {
        let lines = progress(&run, lang);
        lines.iter().skip(said).for_each(|l| say(l));
        said = lines.len().max(said);
        if !matches!(run.state, RunState::Running | RunState::Undoing) {
            return Ok(run);
        }
        if begun.elapsed() > PATIENCE {
            say(&t::STILL_RUNNING.with(lang, &[&run.id.short()]));
            return Ok(run);
        }
        tokio::time::sleep(ASK_EVERY).await;
        run = client.run(run.id).await?;
    }
}

/// Writes one line for each answer of a target, in order, so that a longer list begins with the shorter one.
fn progress(run: &Run, lang: Lang) -> Vec<String> {
    let results = run.steps.iter().flat_map(|s| s.results.iter().map(move |r| (s, r)));
    let mut results: Vec<_> = results.collect();
    results.sort_by_key(|(_, r)| r.at);
    let line = |(s, r): &(&khien_core::run::StepProgress, &khien_core::run::TargetResult)| {
        let outcome = match &r.outcome {
            Outcome::Done { .. } | Outcome::Scanned { .. } | Outcome::Searched { .. } => {
                words::step_state(StepState::Done).get(lang).to_owned()
            }
            Outcome::Failed { reason } => {
                format!("{}: {}", words::step_state(StepState::Failed).get(lang), reason.text(lang))
            }
        };
        format!("{}  {}  {}  {outcome}", moment(r.at), s.title.get(lang), r.path)
    };
    results.iter().map(line).collect()
}

/// Says what a person can do with the run now.
fn advice(run: &Run, lang: Lang) -> Vec<String> {
    let id = run.id.short();
    let waits = run.waiting_for.is_some().then(|| t::HOW_TO_APPROVE.with(lang, &[&id, &id]));
    let undo = (run.can_undo && run.state != RunState::Undoing).then(|| t::HOW_TO_UNDO.with(lang, &[&id]));
    waits.into_iter().chain(undo).collect()
}

fn list(context: &Context, runs: &[Run]) -> Result<()> {
    if context.json {
        return print_json(runs);
    }
    let lang = context.lang;
    if runs.is_empty() {
        say(t::NO_RUNS.get(lang));
        return Ok(());
    }
    print(&table(runs, lang))
}

fn table(runs: &[Run], lang: Lang) -> String {
    let heads = [t::ID, t::PLAYBOOK, t::INCIDENT, t::STATE, t::WAITS_FOR, t::STARTED, t::BY];
    let mut table = Table::new(&heads.map(|h| h.get(lang)));
    for r in runs {
        table.row(vec![
            r.id.short(),
            r.playbook.clone(),
            r.incident.to_string(),
            words::run_state(r.state).get(lang).to_owned(),
            r.waiting_for.as_ref().map(ToString::to_string).unwrap_or_default(),
            moment(r.started),
            r.started_by.clone(),
        ]);
    }
    table.shown()
}

fn one(context: &Context, run: &Run) -> Result<()> {
    match context.json {
        true => print_json(run),
        false => print(&whole(run, context.lang)),
    }
}

/// Writes all that is known of a run.
fn whole(run: &Run, lang: Lang) -> String {
    let mut facts = Facts::new();
    facts.add(t::ID.get(lang), run.id);
    facts.add(t::PLAYBOOK.get(lang), &run.playbook);
    facts.add(t::INCIDENT.get(lang), run.incident);
    facts.add(t::STATE.get(lang), words::run_state(run.state).get(lang));
    facts.maybe(t::WAITS_FOR.get(lang), run.waiting_for.as_ref());
    facts.add(t::STARTED.get(lang), format!("{} ({})", moment(run.started), run.started_by));
    let mut table = Table::new(&[t::STEP.get(lang), t::STATE.get(lang), t::TITLE.get(lang)]);
    for s in &run.steps {
        let state = words::step_state(s.state).get(lang).to_owned();
        table.row(vec![s.step.to_string(), state, s.title.get(lang).to_owned()]);
    }
    let answers = progress(run, lang);
    let answers = if answers.is_empty() { String::new() } else { format!("\n\n{}", answers.join("\n")) };
    format!("{}\n\n{}{answers}", facts.shown(), table.shown())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::samples;

    #[test]
    fn a_run_that_waits_says_for_what() {
        insta::assert_snapshot!(whole(&samples::run(), Lang::Vi));
    }

    #[test]
    fn the_list_in_english() {
        insta::assert_snapshot!(table(&[samples::run()], Lang::En));
    }

    #[test]
    fn a_person_is_told_how_to_approve() {
        let lines = advice(&samples::run(), Lang::En);

        assert!(lines[0].contains("khien run approve abababababab"), "{lines:?}");
    }

    #[test]
    fn without_a_terminal_nothing_is_signed_unless_told() {
        // Tests have no terminal at stdin in CI; where they have one the question is not asked either with `--yes`.
        assert!(agreed(Lang::En, &[], true).is_ok());
    }
}
