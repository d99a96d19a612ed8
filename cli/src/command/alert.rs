//! `khien alert`: the queue and what a person does with it.

use anyhow::Result;
use khien_core::{
    AlertId, Lang, Untrusted,
    alert::{Alert, Verdict},
    api::{CloseAlert, MOST_ALERTS, SOME_ALERTS},
    event::{Excerpt, FlowFacts, Process},
    text::{alert as words, command as t, hub::who},
    triage,
    untrusted::escape,
};

use super::{Context, moment};
use crate::{
    args,
    client::{Client, ClientError},
    exit::{Exit, Stop},
    output::{Facts, Table, print, print_json, say},
};

/// Runs one of its verbs.
pub(crate) async fn run(context: &Context, what: args::Alert) -> Result<()> {
    let client = context.client()?;
    match what {
        args::Alert::List { status, find, limit } => {
            let most = looked_at(limit, find.is_some());
            let mut alerts = client.alerts(status, Some(most)).await?.alerts;
            if alerts.len() >= most as usize && (limit.is_none() || find.is_some()) {
                say(&t::LIST_CUT.with(context.lang, &[&alerts.len()]));
            }
            alerts.retain(|a| triage::fits(a, find.as_deref().unwrap_or_default()));
            list(context, &alerts)
        }
        args::Alert::Show { id } => one(context, &client.alert(id).await?),
        args::Alert::Ack { id } => many(context, id, Act::Ack, &client).await,
        args::Alert::Reopen { id } => many(context, id, Act::Reopen, &client).await,
        args::Alert::Close { id, verdict, reason } => {
            let how = closing(context, verdict.into(), reason)?;
            many(context, id, Act::Close(how), &client).await
        }
    }
}

/// Returns how many alerts are looked at: what is sought may be anywhere in the queue.
fn looked_at(limit: Option<u32>, sought: bool) -> u32 {
    limit.unwrap_or(if sought { MOST_ALERTS } else { SOME_ALERTS }).min(MOST_ALERTS)
}

/// What is done with each of some alerts.
enum Act {
    Ack,
    Reopen,
    Close(CloseAlert),
}

impl Act {
    async fn on(&self, id: AlertId, client: &Client) -> Result<Alert, ClientError> {
        match self {
            Self::Ack => client.ack(id).await,
            Self::Reopen => client.reopen(id).await,
            Self::Close(how) => client.close(id, how.clone()).await,
        }
    }
}

/// Refuses a false positive without a reason before the hub has to.
fn closing(context: &Context, verdict: Verdict, reason: String) -> Result<CloseAlert> {
    let lang = context.lang;
    match verdict == Verdict::FalsePositive && reason.trim().is_empty() {
        true => Err(Stop::new(Exit::Usage, t::REASON_WANTED.get(lang), t::NEXT_REASON.get(lang)).into()),
        false => Ok(CloseAlert { verdict, reason }),
    }
}

/// Does one thing to each; one alert is printed as an object, several as an array.
async fn many(context: &Context, ids: Vec<AlertId>, act: Act, client: &Client) -> Result<()> {
    let mut done = Vec::new();
    for id in ids {
        done.push(act.on(id, client).await?);
    }
    match done.as_slice() {
        [alert] if context.json => print_json(alert),
        several if context.json => print_json(several),
        several => several.iter().try_for_each(|a| print(&line(a, context.lang))),
    }
}

fn list(context: &Context, alerts: &[Alert]) -> Result<()> {
    if context.json {
        return print_json(alerts);
    }
    if alerts.is_empty() {
        say(t::NO_ALERTS.get(context.lang));
        return Ok(());
    }
    print(&table(alerts, context.lang))
}

/// Draws the queue.
pub(crate) fn table(alerts: &[Alert], lang: Lang) -> String {
    let heads =
        [t::ID, t::SEVERITY, t::STATUS, t::LAST_SEEN, t::COUNT, t::HOST, t::AGENCY, t::TITLE, t::WHERE];
    let mut table = Table::new(&heads.map(|h| h.get(lang)));
    for a in alerts {
        table.row(vec![
            a.id.to_string(),
            words::severity(a.severity).get(lang).to_owned(),
            words::status(a.status).get(lang).to_owned(),
            moment(a.last_seen),
            a.count.to_string(),
            a.host.to_string(),
            a.agency.clone(),
            a.title.get(lang).to_owned(),
            place(a, lang),
        ]);
    }
    table.shown()
}

/// Writes an alert in one line.
pub(crate) fn line(a: &Alert, lang: Lang) -> String {
    format!(
        "{}  {}  {}  {}  {}  ×{}  {}  {}  {}",
        moment(a.last_seen),
        a.id,
        words::severity(a.severity).get(lang),
        words::status(a.status).get(lang),
        a.title.get(lang),
        a.count,
        a.host,
        a.agency,
        place(a, lang)
    )
}

/// Writes where something was found: a path, a flow, or what is with the agent.
pub(crate) fn place(a: &Alert, lang: Lang) -> String {
    let flow = |f: &FlowFacts| {
        let name = f.url.as_ref().or(f.name.as_ref()).map(|n| format!(" {n}")).unwrap_or_default();
        format!("{} → {}{name}", f.client, f.server)
    };
    let path = a.place();
    let flow = a.flow.as_ref().map(flow);
    let what = a.what.as_ref().map(|w| w.get(lang).to_owned());
    path.or(flow).or(what).unwrap_or_default()
}

fn one(context: &Context, alert: &Alert) -> Result<()> {
    match context.json {
        true => print_json(alert),
        false => print(&whole(alert, context.lang)),
    }
}

/// Writes all that is known of an alert.
pub(crate) fn whole(a: &Alert, lang: Lang) -> String {
    let mut facts = Facts::new();
    facts.add(t::ID.get(lang), a.id);
    facts.add(t::TITLE.get(lang), a.title.get(lang));
    facts.add(t::RULE.get(lang), &a.rule);
    facts.add(t::SEVERITY.get(lang), words::severity(a.severity).get(lang));
    facts.add(t::STATUS.get(lang), words::status(a.status).get(lang));
    facts.maybe(t::VERDICT.get(lang), a.verdict.map(|v| words::verdict(v).get(lang)));
    facts.maybe(t::REASON.get(lang), a.reason.as_ref());
    facts.maybe(t::BY.get(lang), a.by.as_ref().map(|by| who(by, lang)));
    facts.maybe(t::INCIDENT.get(lang), a.incident);
    facts.add(t::HOST.get(lang), &a.host);
    facts.add(t::AGENCY.get(lang), &a.agency);
    facts.maybe(t::AGENT.get(lang), a.reporter().map(|agent| agent.short()));
    facts.maybe(t::CAPTURE.get(lang), a.capture.as_ref().map(|c| &c.name));
    facts.maybe(t::CAPTURE_SHA256.get(lang), a.capture.as_ref().map(|c| c.sha256));
    file_facts(a, lang, &mut facts);
    if let Some(flow) = &a.flow {
        flow_facts(flow, lang, &mut facts);
    }
    for flow in &a.flows {
        facts.add(t::FLOW.get(lang), ends(flow));
    }
    let owner = a.process.as_ref().or(a.flow.as_ref().and_then(|flow| flow.process.as_deref()));
    let story = owner.and_then(Process::story);
    facts.maybe(t::STORY.get(lang), story.as_ref().map(|told| told.get(lang)));
    facts.maybe(t::SEEN.get(lang), a.what.as_ref().map(|w| w.get(lang)));
    facts.maybe(t::TECHNIQUE.get(lang), a.technique.as_ref());
    facts.add(t::FIRST_SEEN.get(lang), moment(a.first_seen));
    facts.add(t::LAST_SEEN.get(lang), moment(a.last_seen));
    facts.add(t::RECEIVED.get(lang), moment(a.received));
    facts.add(t::COUNT.get(lang), a.count);
    facts.add(t::EXPLANATION.get(lang), a.explanation.get(lang));
    facts.add(t::NEXT_STEP.get(lang), a.next_step.get(lang));
    facts.maybe(t::DIFF.get(lang), a.diff.as_ref().map(diff));
    for e in &a.excerpts {
        facts.add(t::EXCERPT.get(lang), excerpt(e));
    }
    facts.shown()
}

fn file_facts(a: &Alert, lang: Lang, facts: &mut Facts) {
    facts.maybe(t::FILE.get(lang), a.place());
    facts.maybe("SHA-256", a.sha256);
    if let Some(f) = &a.file {
        let owner = f.owner.as_ref().map(|o| format!("{o} ({})", f.uid)).unwrap_or_else(|| f.uid.to_string());
        facts.add(t::SIZE.get(lang), t::BYTES.with(lang, &[&f.size]));
        facts.add(t::OWNER.get(lang), format!("{owner}, {:04o}", f.mode & 0o7777));
        facts.add(t::MODIFIED.get(lang), moment(f.modified));
    }
    if let Some(p) = &a.process {
        facts.add(t::PROCESS.get(lang), process(p));
        facts.maybe(t::LINEAGE.get(lang), p.lineage());
        facts.maybe(t::CONTAINER.get(lang), container(p, lang));
    }
}

fn container(p: &Process, lang: Lang) -> Option<String> {
    let own_mounts = p.own_mounts.then(|| t::OWN_MOUNTS.get(lang).to_owned());
    let parts: Vec<String> = p.container.iter().map(ToString::to_string).chain(own_mounts).collect();
    (!parts.is_empty()).then(|| parts.join(" – "))
}

fn process(p: &Process) -> String {
    let program = p.command.as_ref().or(p.exe.as_ref()).map(ToString::to_string).unwrap_or_default();
    let user = p.user.as_ref().map(ToString::to_string).or_else(|| p.uid.map(|u| u.to_string()));
    let user = user.map(|u| format!(" ({u})")).unwrap_or_default();
    let started = p.started.map(|at| format!(", {}", moment(at))).unwrap_or_default();
    format!("{} {program}{user}{started}", p.pid)
}

fn flow_facts(f: &FlowFacts, lang: Lang, facts: &mut Facts) {
    let direction = match f.direction {
        khien_core::event::Direction::ToServer => t::TO_SERVER,
        khien_core::event::Direction::ToClient => t::TO_CLIENT,
    };
    facts.add(t::FLOW.get(lang), ends(f));
    facts.add(t::DIRECTION.get(lang), direction.get(lang));
    facts.maybe(t::INTERFACE.get(lang), Some(&f.interface).filter(|name| !name.raw().is_empty()));
    facts.maybe("VLAN", f.vlans());
    facts.maybe(t::TUNNEL.get(lang), f.tunnel.as_ref());
    facts.maybe(t::NAME.get(lang), f.name.as_ref());
    facts.maybe("URL", f.url.as_ref());
    facts.maybe(t::LISTED.get(lang), f.listed.as_ref());
    facts.maybe(t::OWNED_BY.get(lang), f.process.as_deref().map(process));
}

/// Writes the two ends of a flow: `tcp 192.0.2.1:40000 → 192.0.2.2:443`.
fn ends(f: &FlowFacts) -> String {
    format!("{} {} → {}", f.transport.name().to_lowercase(), f.client, f.server)
}

/// Writes each line of a diff on a line of its own, safely.
fn diff(diff: &Untrusted) -> String {
    diff.raw().split(|b| *b == b'\n').map(escape).collect::<Vec<_>>().join("\n")
}

fn excerpt(e: &Excerpt) -> String {
    format!("@{} {}⟦{}⟧{}", e.offset, e.before, e.matched, e.after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::samples;

    #[test]
    fn an_alert_of_a_capture_names_the_file_and_no_agent() {
        let shown = whole(&samples::capture_alert(), Lang::En);

        assert!(shown.contains("mirror\\u{1b}[2J.pcapng") && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.contains(&"09".repeat(32)), "{shown}");
        assert!(!shown.contains("Agent") && !shown.contains("Interface"), "{shown}");
        for sought in ["mirror pcapng", &"09".repeat(32)] {
            assert!(khien_core::triage::fits(&samples::capture_alert(), sought), "{sought}");
            assert!(!khien_core::triage::fits(&samples::file_alert(), sought), "{sought}");
        }
    }

    #[test]
    fn what_is_sought_is_sought_in_as_much_of_the_queue_as_the_hub_gives() {
        assert_eq!([looked_at(None, false), looked_at(None, true)], [SOME_ALERTS, MOST_ALERTS]);
        assert_eq!([looked_at(Some(5), true), looked_at(Some(u32::MAX), false)], [5, MOST_ALERTS]);
    }

    #[test]
    fn an_alert_about_traffic_says_its_numbers_and_shows_its_flows() {
        insta::assert_snapshot!(whole(&samples::traffic_alert(), Lang::En));
    }

    #[test]
    fn the_queue_in_vietnamese() {
        let alerts = [samples::file_alert(), samples::flow_alert()];

        insta::assert_snapshot!(table(&alerts, Lang::Vi));
    }

    #[test]
    fn a_file_alert_in_whole() {
        insta::assert_snapshot!(whole(&samples::file_alert(), Lang::Vi));
    }

    #[test]
    fn a_flow_alert_in_whole() {
        insta::assert_snapshot!(whole(&samples::flow_alert(), Lang::En));
    }

    #[test]
    fn what_changed_is_shown_line_by_line_and_cannot_steer_the_terminal() {
        let mut alert = samples::file_alert();
        alert.diff = Some("-* * * * * root /bin/true\n+* * * * * root \u{1b}[2J/tmp/x\u{202e}".into());

        let whole = whole(&alert, Lang::En);

        let from = whole.find("Changed:").unwrap();
        insta::assert_snapshot!(whole[from..].lines().take(2).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_line_of_the_feed() {
        insta::assert_snapshot!(line(&samples::file_alert(), Lang::En));
    }
}
