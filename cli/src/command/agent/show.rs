//! `khien agent show`: all that is known of one agent, and when it saw nothing.

use anyhow::Result;
use khien_core::{
    AlertId, Lang, Timestamp,
    alert::Alert,
    api::MOST_ALERTS,
    asset::Agent,
    text::{Words, alert as words, command as t, fleet as f, hub, integrity, records, walk},
};
use serde::Serialize;

use super::{covered, find};
use crate::{
    client::Client,
    command::{Context, moment},
    output::{Facts, print, print_json},
};

/// A time in which an agent, or one of its senses, saw nothing.
#[derive(Debug, Serialize)]
struct Blind<'a> {
    /// The alert that tells of it.
    alert: AlertId,
    rule: &'a str,
    last_seen: Timestamp,
    /// What was not seen: where, from when until when, and why.
    what: Option<&'a Words>,
}

/// An agent as `--json` prints it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    agent: &'a Agent,
    blind: Vec<Blind<'a>>,
}

/// Shows one.
pub(super) async fn run(context: &Context, client: &Client, typed: &str) -> Result<()> {
    let agent = find(client.agents().await?.agents, typed, context.lang)?;
    let alerts = client.alerts(None, Some(MOST_ALERTS)).await?.alerts;
    let blind = blind(&agent, &alerts);
    match context.json {
        true => print_json(&Shown { agent: &agent, blind }),
        false => print(&whole(&agent, &blind, context.lang)),
    }
}

/// Returns when an agent saw nothing, the newest first.
fn blind<'a>(agent: &Agent, alerts: &'a [Alert]) -> Vec<Blind<'a>> {
    let tells = |a: &&Alert| a.agent == agent.id && a.is_blindness();
    let one = |a: &'a Alert| Blind {
        alert: a.id,
        rule: a.rule.as_str(),
        last_seen: a.last_seen,
        what: a.what.as_ref(),
    };
    let mut all: Vec<_> = alerts.iter().filter(tells).map(one).collect();
    all.sort_by_key(|b| std::cmp::Reverse((b.last_seen, b.alert)));
    all
}

fn whole(agent: &Agent, blind: &[Blind<'_>], lang: Lang) -> String {
    let (health, mut facts) = (&agent.health, Facts::new());
    let lines = |lines: Vec<String>| Some(lines.join("\n")).filter(|text| !text.is_empty());
    facts.add(t::ID.get(lang), agent.id);
    facts.add(t::HOST.get(lang), &agent.host);
    facts.add(t::AGENCY.get(lang), &agent.agency);
    facts.add(f::OS.get(lang), &agent.os);
    facts.add(t::VERSION.get(lang), &agent.version);
    facts.add(t::PRESENCE.get(lang), words::presence(agent.presence).get(lang));
    facts.add(t::LAST_SEEN.get(lang), moment(agent.last_seen));
    facts.add(t::PACK.get(lang), health.pack);
    facts.add(t::BACKLOG.get(lang), health.backlog);
    facts.maybe(t::COVERAGE.get(lang), lines(health.coverage.iter().map(|c| covered(c, lang)).collect()));
    facts.maybe(f::WALK.get(lang), health.walk.as_ref().map(|w| walk::progress(w, lang)));
    facts.maybe(f::ORDERED.get(lang), health.ordered.as_ref().map(|scan| walk::ordered(scan, lang)));
    facts.maybe(f::INTEGRITY.get(lang), health.integrity.as_ref().map(|i| integrity::kept(i, lang)));
    facts.add(f::SCANS.get(lang), hub::scans(health, lang));
    let all = f::PACKETS_LINE.with(lang, &[&health.packets, &health.packets_dropped]);
    let wires = health.wires.iter().map(|wire| f::wire(wire, lang));
    facts.maybe(f::PACKETS.get(lang), lines(std::iter::once(all).chain(wires).collect()));
    facts.maybe(records::RECORDS.get(lang), health.records.as_ref().map(|r| records::kept(r, lang)));
    let line = |b: &Blind<'_>| {
        let what = b.what.map_or(b.rule, |what| what.get(lang));
        f::BLIND_LINE.with(lang, &[&b.alert, &moment(b.last_seen), &what])
    };
    let never = || f::NEVER_BLIND.get(lang).to_owned();
    facts.add(f::BLIND.get(lang), lines(blind.iter().map(line).collect()).unwrap_or_else(never));
    facts.shown()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::samples;

    #[test]
    fn an_agent_shows_outcomes_by_kind_the_end_of_its_walk_and_when_it_was_blind() {
        let (agent, alerts) = (samples::busy_agent(), [samples::blind_alert(), samples::file_alert()]);

        insta::assert_snapshot!(whole(&agent, &blind(&agent, &alerts), Lang::En));
    }

    #[test]
    fn the_blindness_of_another_agent_is_not_shown_here() {
        let other = Agent { id: khien_core::AgentId([9; 32]), ..samples::agent() };

        assert!(blind(&other, &[samples::blind_alert()]).is_empty());
    }
}
