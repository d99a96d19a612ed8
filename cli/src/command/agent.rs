//! `khien agent`: who reports, what they see, and how another one joins.

use anyhow::Result;
use data_encoding::BASE64;
use khien_core::{
    Lang,
    api::NewToken,
    asset::{Agent, Coverage, Sensor, Sight},
    protocol::Token,
    text::{alert as words, command as t, fleet as f, hub, integrity, tui, walk},
};
use serde::Serialize;

use super::{Context, moment};
use crate::{
    args,
    client::Client,
    config::Config,
    exit::{Exit, Stop},
    keys::Keys,
    output::{Table, print, print_json, say},
};

mod scan;
mod show;

/// The fewest characters of an id by which an agent is named.
const MIN_PREFIX: usize = 4;

/// Runs one of its verbs.
pub(crate) async fn run(context: &Context, what: args::Agent) -> Result<()> {
    let (client, keys) = context.connect()?;
    match what {
        args::Agent::List => list(context, &client.agents().await?.agents),
        args::Agent::Show { host } => show::run(context, &client, &host).await,
        args::Agent::Scan(what) => scan::order(context, (&client, &keys), what).await,
        args::Agent::Scans => scan::list(context, &client.scans().await?.scans),
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

/// Finds the one agent on a host of this name, or whose id begins as typed.
pub(super) fn find(agents: Vec<Agent>, typed: &str, lang: Lang) -> Result<Agent> {
    let is_id = typed.len() >= MIN_PREFIX && typed.bytes().all(|b| b.is_ascii_hexdigit());
    let prefix = typed.to_ascii_lowercase();
    let fits = |a: &Agent| a.host.to_string() == typed || is_id && a.id.to_string().starts_with(&prefix);
    let mut fitting: Vec<Agent> = agents.into_iter().filter(fits).collect();
    let next = f::NEXT_AGENT.get(lang);
    match (fitting.pop(), fitting.is_empty()) {
        (Some(agent), true) => Ok(agent),
        (None, _) => Err(Stop::new(Exit::NotFound, f::NO_AGENT.with(lang, &[&typed]), next).into()),
        (Some(last), false) => {
            let named = |a: &Agent| format!("{} ({})", a.id.short(), a.agency);
            let ids: Vec<_> = fitting.iter().chain([&last]).map(named).collect();
            let what = f::MANY_AGENTS.with(lang, &[&typed, &ids.join(", ")]);
            Err(Stop::new(Exit::Usage, what, next).into())
        }
    }
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
        let ordered = a.health.ordered.iter().map(|scan| walk::ordered(scan, lang));
        let seen = a.health.coverage.iter().map(|c| covered(c, lang)).chain(walk).chain(ordered).chain(kept);
        let ends = Some(&a.health.scans).filter(|scans| !scans.is_empty());
        let seen =
            seen.chain(ends.map(|scans| format!("{}: {}", tui::SCANS.get(lang), hub::outcomes(scans, lang))));
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
    use khien_core::event::ScanOutcome;

    use super::*;
    use crate::command::samples;

    #[test]
    fn the_list_shows_what_each_agent_sees() {
        insta::assert_snapshot!(table(&[samples::agent()], Lang::Vi));
    }

    #[test]
    fn the_list_says_how_scans_ended() {
        let mut agent = samples::agent();
        agent.health.scans = [(ScanOutcome::Clean, 12), (ScanOutcome::Timeout, 1)].into();

        assert!(table(&[agent], Lang::En).contains("; Scans: clean 12, too slow 1"));
    }

    #[test]
    fn an_agent_is_named_by_its_host_or_by_how_its_id_begins() {
        let (one, other) = (samples::agent(), Agent { id: khien_core::AgentId([2; 32]), ..samples::agent() });
        let found = |agents: &[&Agent], typed: &str| {
            find(agents.iter().map(|a| (*a).clone()).collect(), typed, Lang::En)
        };
        let refused = |agents: &[&Agent], typed: &str| {
            found(agents, typed).unwrap_err().downcast::<Stop>().map(|stop| stop.exit).unwrap()
        };

        assert_eq!(found(&[&one], "web1").unwrap().id, one.id);
        assert_eq!(found(&[&one, &other], "0202").unwrap().id, other.id);
        assert_eq!(refused(&[&one, &other], "web1"), Exit::Usage);
        assert_eq!(refused(&[&one], "02"), Exit::NotFound);
        assert_eq!(refused(&[], "web1"), Exit::NotFound);
    }

    #[test]
    fn only_what_is_seen_less_is_told() {
        let lines = reduced(&samples::agent(), Lang::En);

        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("/srv/www") && lines[0].contains("fanotify is switched off"), "{lines:?}");
    }
}
