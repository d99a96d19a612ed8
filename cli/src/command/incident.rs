//! `khien incident`: the case, its timeline and the legal clocks.

use anyhow::Result;
use khien_core::{
    Lang, Timestamp,
    api::OpenIncident,
    incident::Incident,
    text::{Message, alert as words, command as t, hub::who},
};
use khien_reports::{Clock, ClockState, Profile, clocks};
use serde::Serialize;

use super::{Context, moment};
use crate::{
    args,
    output::{Facts, Table, print, print_json, sane, say},
};

/// Runs one of its verbs.
pub(crate) async fn run(context: &Context, what: args::Incident) -> Result<()> {
    let client = context.client()?;
    match what {
        args::Incident::Open { alerts, title } => {
            let incident = client.open_incident(OpenIncident { title, alerts }).await?;
            one(context, &incident)?;
            say(&t::INCIDENT_OPENED.with(context.lang, &[&incident.id, &incident.id]));
            Ok(())
        }
        args::Incident::List => list(context, &client.incidents().await?.incidents),
        args::Incident::Show { id } => one(context, &client.incident(id).await?),
        args::Incident::Note { id, text } => one(context, &client.note(id, text).await?),
        args::Incident::Close { id, reason } => one(context, &client.close_incident(id, reason).await?),
        args::Incident::Reopen { id } => one(context, &client.reopen_incident(id).await?),
    }
}

fn list(context: &Context, incidents: &[Incident]) -> Result<()> {
    if context.json {
        return print_json(incidents);
    }
    if incidents.is_empty() {
        say(t::NO_INCIDENTS.get(context.lang));
        return Ok(());
    }
    print(&table(incidents, context.lang))
}

/// An incident as `--json` prints it: the incident's own fields, and its legal clocks at this moment.
#[derive(Serialize)]
struct WithClocks<'a> {
    #[serde(flatten)]
    incident: &'a Incident,
    clocks: Vec<Clock>,
}

fn one(context: &Context, incident: &Incident) -> Result<()> {
    let now = Timestamp::now();
    if context.json {
        let clocks = clocks(&Profile::current(), incident.detected, now);
        return print_json(&WithClocks { incident, clocks });
    }
    print(&whole(incident, now, context.lang))
}

/// Draws the list.
fn table(incidents: &[Incident], lang: Lang) -> String {
    let heads = [t::ID, t::SEVERITY, t::STATUS, t::T0, t::OPENED_BY, t::ALERTS, t::AGENCIES, t::TITLE];
    let mut table = Table::new(&heads.map(|h| h.get(lang)));
    for i in incidents {
        table.row(vec![
            i.id.to_string(),
            words::severity(i.severity).get(lang).to_owned(),
            words::incident_status(i.status).get(lang).to_owned(),
            moment(i.detected),
            i.opened_by.clone(),
            i.alerts.len().to_string(),
            i.agencies.join(", "),
            i.title.get(lang).to_owned(),
        ]);
    }
    table.shown()
}

/// Writes all that is known of an incident; `now` is for the clocks.
pub(crate) fn whole(i: &Incident, now: Timestamp, lang: Lang) -> String {
    let mut facts = Facts::new();
    facts.add(t::ID.get(lang), i.id);
    facts.add(t::TITLE.get(lang), i.title.get(lang));
    facts.add(t::STATUS.get(lang), words::incident_status(i.status).get(lang));
    facts.add(t::SEVERITY.get(lang), words::severity(i.severity).get(lang));
    facts.add(t::AGENCIES.get(lang), i.agencies.join(", "));
    facts.add(t::T0.get(lang), moment(i.detected));
    facts.add(t::OPENED.get(lang), format!("{} ({})", moment(i.opened), i.opened_by));
    facts.add(t::ALERTS.get(lang), i.alerts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let parts = [
        Some((t::CLOCKS, clock_table(&clocks(&Profile::current(), i.detected, now), lang))),
        (!i.runs.is_empty()).then(|| (t::RUNS, run_table(i, lang))),
        (!i.evidence.is_empty()).then(|| (t::EVIDENCE, evidence_table(i, lang))),
        Some((t::TIMELINE, timeline(i, lang))),
    ];
    let parts = parts.into_iter().flatten().map(|(head, body)| format!("\n\n{}\n{body}", head.get(lang)));
    facts.shown() + &parts.collect::<String>()
}

/// Draws the clocks; under each duty stand its recipient, its basis and its condition.
fn clock_table(clocks: &[Clock], lang: Lang) -> String {
    let heads = [t::STATE, t::LEFT, t::DEADLINE, t::DUTY];
    let mut table = Table::new(&heads.map(|h| h.get(lang)));
    for c in clocks {
        let state = clock_state(c.state).get(lang).to_owned();
        table.row(vec![state, left(c, lang), moment(c.deadline), c.title.get(lang).to_owned()]);
        let mut under = |label: Message, text: &str| {
            let text = format!("  {}: {text}", label.get(lang));
            table.row(vec![String::new(), String::new(), String::new(), text]);
        };
        under(t::RECIPIENT, c.to.get(lang));
        under(t::BASIS, &c.basis);
        if let Some(condition) = &c.condition {
            under(t::CONDITION, condition.get(lang));
        }
    }
    table.shown()
}

/// Writes what is left of a deadline, or by how much it is over.
fn left(clock: &Clock, lang: Lang) -> String {
    if clock.state == ClockState::Immediate {
        return t::AT_ONCE.get(lang).to_owned();
    }
    let seconds = clock.remaining_seconds;
    let sign = if seconds < 0 { "−" } else { "" };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{}h{:02}", minutes / 60, minutes % 60)
}

fn clock_state(state: ClockState) -> Message {
    match state {
        ClockState::Immediate => t::CLOCK_IMMEDIATE,
        ClockState::Running => t::CLOCK_RUNNING,
        ClockState::Warning6h => t::CLOCK_6H,
        ClockState::Warning2h => t::CLOCK_2H,
        ClockState::Overdue => t::CLOCK_OVERDUE,
    }
}

fn run_table(i: &Incident, lang: Lang) -> String {
    let mut table = Table::new(&[t::ID.get(lang), t::PLAYBOOK.get(lang), t::STATE.get(lang)]);
    for r in &i.runs {
        table.row(vec![r.id.short(), r.playbook.clone(), words::run_state(r.state).get(lang).to_owned()]);
    }
    table.shown()
}

/// Draws the evidence.
pub(crate) fn evidence_table(i: &Incident, lang: Lang) -> String {
    let heads = ["SHA-256", t::SIZE.get(lang), t::EVIDENCE_FROM.get(lang), t::FILE.get(lang)];
    let mut table = Table::new(&heads);
    for e in &i.evidence {
        table.row(vec![e.sha256.to_string(), e.size.to_string(), e.origin.source(), e.path.to_string()]);
    }
    table.shown()
}

/// Writes the timeline; a note of several lines keeps them, each under the text column.
fn timeline(i: &Incident, lang: Lang) -> String {
    let mut table = Table::new(&[]);
    for e in &i.timeline {
        let mut lines = e.text.get(lang).lines();
        let head = words::entry(e.kind).get(lang).to_owned();
        table.row(vec![moment(e.at), who(&e.who, lang), head, sane(lines.next().unwrap_or_default())]);
        lines.for_each(|l| table.row(vec![String::new(), String::new(), String::new(), sane(l)]));
    }
    table.shown().trim_start_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::samples;

    #[test]
    fn an_incident_shows_its_clocks_and_its_timeline() {
        let now = "2026-11-22T04:00:01Z".parse().unwrap();

        insta::assert_snapshot!(whole(&samples::incident(), now, Lang::Vi));
    }

    #[test]
    fn the_list_in_english() {
        insta::assert_snapshot!(table(&[samples::incident()], Lang::En));
    }

    #[test]
    fn a_deadline_that_has_passed_counts_on() {
        let t0 = samples::incident().detected;
        let now = khien_core::time::after(t0, khien_core::time::SignedDuration::from_mins(24 * 60 + 90));

        let all = clocks(&Profile::current(), t0, now);
        let day = all.iter().find(|c| c.id == "anm.24h").unwrap();

        assert_eq!(left(day, Lang::En), "−1h30");
    }
}
