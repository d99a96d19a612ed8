//! `khien agent`: who reports, what they see, and how another one joins.

use anyhow::Result;
use data_encoding::BASE64;
use khien_core::{
    Lang,
    api::NewToken,
    asset::{Agent, Coverage, Sensor, Sight},
    protocol::Token,
    text::{alert as words, command as t, integrity, walk},
};
use serde::Serialize;

use super::{Context, moment};
use crate::{
    args,
    client::Client,
    config::Config,
    keys::Keys,
    output::{Table, print, print_json, say},
};

/// Runs one of its verbs.
pub(crate) async fn run(context: &Context, what: args::Agent) -> Result<()> {
    let (client, keys) = context.connect()?;
    match what {
        args::Agent::List => list(context, &client.agents().await?.agents),
        args::Agent::Token { agency, hours, hub } => {
            let config = Config::load(&context.home)?;
            let hub = hub.unwrap_or_else(|| config.hub.clone());
            let token = token(&client, &keys, &config, NewToken { agency, hours }, hub).await?;
            say(t::TOKEN_HINT.get(context.lang));
            match context.json {
                true => print_json(&Line { token }),
                false => print(&token),
            }
        }
    }
}

#[derive(Serialize)]
struct Line {
    token: String,
}

/// Makes an enrolment token: the hub's secret, and whom the new agent shall trust.
pub(crate) async fn token(
    client: &Client,
    keys: &Keys,
    config: &Config,
    what: NewToken,
    hub: String,
) -> Result<String> {
    let ca = std::fs::read_to_string(&config.ca)?;
    let secret = client.new_token(what).await?.secret;
    let token = Token { hub, ca, operators: vec![keys.public()], secret };
    Ok(BASE64.encode(serde_json::to_string(&token)?.as_bytes()))
}

fn list(context: &Context, agents: &[Agent]) -> Result<()> {
    if context.json {
        return print_json(agents);
    }
    let lang = context.lang;
    if agents.is_empty() {
        say(t::NO_AGENTS.get(lang));
        return Ok(());
    }
    print(&table(agents, lang))
}

fn table(agents: &[Agent], lang: Lang) -> String {
    let heads =
        [t::ID, t::HOST, t::AGENCY, t::PRESENCE, t::LAST_SEEN, t::VERSION, t::PACK, t::BACKLOG, t::COVERAGE];
    let mut table = Table::new(&heads.map(|h| h.get(lang)));
    for a in agents {
        let walk = a.health.walk.iter().map(|w| walk::progress(w, lang));
        let kept = a.health.integrity.iter().map(|i| integrity::kept(i, lang));
        let seen = a.health.coverage.iter().map(|c| covered(c, lang)).chain(walk).chain(kept);
        let seen: Vec<String> = seen.collect();
        table.row(vec![
            a.id.short(),
            a.host.to_string(),
            a.agency.clone(),
            words::presence(a.presence).get(lang).to_owned(),
            moment(a.last_seen),
            a.version.clone(),
            a.health.pack.to_string(),
            a.health.backlog.to_string(),
            seen.join("; "),
        ]);
    }
    table.shown()
}

/// Writes what one sensor sees: `/srv (notify, Bị giảm: no privilege for fanotify)`.
fn covered(c: &Coverage, lang: Lang) -> String {
    let sight = words::sight(c.sight).get(lang);
    let reason = c.reason.as_ref().map(|r| format!(": {}", r.text(lang))).unwrap_or_default();
    let sensor = sensor(c.sensor, lang);
    format!("{sensor} {} ({}, {sight}{reason})", c.scope, c.backend)
}

fn sensor(sensor: Sensor, lang: Lang) -> &'static str {
    match sensor {
        Sensor::File => t::SENSOR_FILE.get(lang),
        Sensor::Network => t::SENSOR_NETWORK.get(lang),
        Sensor::Scan => t::SENSOR_SCAN.get(lang),
        Sensor::Integrity => t::SENSOR_INTEGRITY.get(lang),
        Sensor::Behaviour => t::SENSOR_BEHAVIOUR.get(lang),
    }
}

/// Writes one plain line for everything that an agent sees less than fully.
pub(crate) fn reduced(agent: &Agent, lang: Lang) -> Vec<String> {
    let less = agent.health.coverage.iter().filter(|c| c.sight != Sight::Full);
    less.map(|c| t::REDUCED.with(lang, &[&agent.host, &covered(c, lang)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::samples;

    #[test]
    fn the_list_shows_what_each_agent_sees() {
        insta::assert_snapshot!(table(&[samples::agent()], Lang::Vi));
    }

    #[test]
    fn only_what_is_seen_less_is_told() {
        let lines = reduced(&samples::agent(), Lang::En);

        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("/srv/www") && lines[0].contains("fanotify is switched off"), "{lines:?}");
    }
}
