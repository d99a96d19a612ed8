//! `khien hunt net`: looks something up in the records of the network that agents keep, over the whole fleet. What was not
//! searched is named: it is never clean.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use khien_core::{
    AgentId, Lang, Timestamp, Untrusted,
    asset::{Agent, Presence},
    event::Process,
    order::{GapCause, Outcome, RecordGap, RecordQuery, RecordsFound, Verb},
    text::{alert as words, command as t, fleet as f, hunt as h},
    time::{self, SignedDuration},
    traffic::{Record, What},
};
use serde::Serialize;
use tokio::{task::JoinSet, time::Instant};

use super::{Context, agent::find, moment};
use crate::{
    args::HuntNet,
    client::Client,
    exit::{Exit, Said, Stop, explain},
    keys::Keys,
    output::{Table, print, print_json_line, say},
    response,
};
use owner::Owners;
use sought::sought;

mod owner;
mod sought;

/// How soon it is asked for an answer, and how seldom at last.
const FIRST: Duration = Duration::from_millis(200);
const LAST: Duration = Duration::from_secs(2);
/// So many times of which records are missing stand in the line of a host; all of them are in the JSON.
const GAPS_SAID: usize = 3;
/// The shortest life of a mandate: clocks differ a little.
const LIFE: SignedDuration = SignedDuration::from_mins(2);

/// What came of one agent. With `--json` it is the line after its records.
#[derive(Debug, Serialize)]
struct Searched {
    agent: AgentId,
    host: Untrusted,
    /// Whether all records of the time that was asked for were there and were looked through.
    whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    searched: Option<RecordsFound>,
    /// Why it was not searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

impl Searched {
    fn records(&self) -> &[Record] {
        self.searched.as_ref().map_or(&[], |found| &found.records)
    }
}

/// One record that was found, with `--json`.
#[derive(Debug, Serialize)]
struct Row<'a> {
    agent: AgentId,
    host: &'a Untrusted,
    #[serde(flatten)]
    record: &'a Record,
    /// That of its flow; a flow has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<&'a Process>,
}

impl<'a> Row<'a> {
    fn new(one: &'a Searched, record: &'a Record, owners: &Owners<'a>) -> Self {
        let process = owners.of(record).filter(|_| !matches!(record.what, What::Flow(_)));
        Row { agent: one.agent, host: &one.host, record, process }
    }
}

/// Searches and prints.
pub(crate) async fn net(context: &Context, what: HuntNet) -> Result<()> {
    let lang = context.lang;
    let (client, keys) = context.connect()?;
    let now = Timestamp::now();
    let since = what.since.before(now);
    // What is seen while the order is on its way belongs to it.
    let until = time::after(now, LIFE);
    let query = sought(&what).and_then(|sought| RecordQuery::new(sought, (since, until), what.most).ok());
    let query =
        query.ok_or_else(|| Stop::new(Exit::Usage, h::BAD_QUERY.get(lang), h::NEXT_QUERY.get(lang)))?;
    let agents = chosen(client.agents().await?.agents, &what.agents, lang)?;
    say(f::SIGNED.get(lang));
    say(&h::LINE.with(lang, &[query.sought(), &moment(since), &agents.len()]));
    let hunt = Hunt { client, keys, query, since, patience: what.patience, lang };
    let all = hunt.over(agents).await;
    show(context, &all)?;
    judged(&all, lang)
}

fn chosen(all: Vec<Agent>, typed: &[String], lang: Lang) -> Result<Vec<Agent>> {
    if all.is_empty() {
        return Err(Stop::new(Exit::NotFound, h::NO_AGENTS.get(lang), h::NEXT_AGENTS.get(lang)).into());
    }
    match typed {
        [] => Ok(all),
        [one] if one == "all" => Ok(all),
        some => some.iter().map(|host| find(all.clone(), host, lang)).collect(),
    }
}

/// One hunt over the fleet.
struct Hunt {
    client: Client,
    keys: Keys,
    query: RecordQuery,
    since: Timestamp,
    patience: u32,
    lang: Lang,
}

impl Hunt {
    /// Gives each agent its order, waits for all of them together, and says how far each is.
    async fn over(&self, agents: Vec<Agent>) -> Vec<Searched> {
        let (mut waiting, mut asked, mut all) = (JoinSet::new(), HashMap::new(), Vec::new());
        for agent in agents {
            if agent.presence != Presence::Online {
                let why = h::NOT_THERE.with(self.lang, &[&words::presence(agent.presence).get(self.lang)]);
                all.push(self.told(agent.id, agent.host, Err(why)));
                continue;
            }
            match self.ask(&agent).await {
                Ok(order) => {
                    let (client, patience) = (self.client.clone(), self.patience);
                    let task = waiting.spawn(async move { answer(&client, order, patience).await });
                    asked.insert(task.id(), (agent.id, agent.host));
                }
                Err(error) => all.push(self.told(agent.id, agent.host, Err(error))),
            }
        }
        while let Some(ended) = waiting.join_next_with_id().await {
            let (task, answer) = match ended {
                Ok((task, answer)) => (task, answer),
                // It failed by a fault of ours; its agent was not searched all the same.
                Err(error) => (error.id(), Ok(None)),
            };
            let Some((agent, host)) = asked.remove(&task) else { continue };
            let found = match answer {
                Ok(Some(Outcome::Searched { found })) => Ok(*found),
                Ok(Some(Outcome::Failed { reason })) => Err(reason.text(self.lang)),
                Ok(Some(_)) => Err(khien_core::reason::Reason::OtherAnswer.text(self.lang)),
                Ok(None) => Err(h::NO_ANSWER.with(self.lang, &[&self.patience])),
                Err(error) => Err(error.shown(self.lang)),
            };
            all.push(self.told(agent, host, found));
        }
        all
    }

    async fn ask(&self, agent: &Agent) -> Result<khien_core::OrderId, String> {
        let verb = Verb::SearchRecords(self.query.clone());
        let life = SignedDuration::from_secs(self.patience.into()).max(LIFE);
        let given = response::give(&self.client, &self.keys, agent.id, verb, life).await;
        given.map(|order| order.order).map_err(|error| explain(&error, self.lang).what)
    }

    /// Says what came of one agent.
    fn told(&self, agent: AgentId, host: Untrusted, found: Result<RecordsFound, String>) -> Searched {
        let whole = found.as_ref().is_ok_and(|found| found.is_whole(self.since));
        match &found {
            Ok(found) => {
                let far = reach(found, self.since, self.lang);
                say(&h::ANSWERED.with(self.lang, &[&host, &found.records.len(), &far]));
            }
            Err(why) => say(&h::UNANSWERED.with(self.lang, &[&host, why])),
        }
        let (searched, failed) = match found {
            Ok(found) => (Some(found), None),
            Err(why) => (None, Some(why)),
        };
        Searched { agent, host, whole, searched, failed }
    }
}

/// Waits for the answer to an order.
async fn answer(
    client: &Client,
    order: khien_core::OrderId,
    patience: u32,
) -> Result<Option<Outcome>, crate::client::ClientError> {
    let until = Instant::now() + Duration::from_secs(patience.into());
    let mut pause = FIRST;
    loop {
        let given = client.given(order).await?;
        if given.answer.is_some() || Instant::now() >= until {
            // What the hub says of another order is no answer to this one.
            return Ok(given.answer.filter(|_| given.order == order));
        }
        tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 3 / 2).min(LAST);
    }
}

/// Says how much of the time was looked through.
fn reach(found: &RecordsFound, since: Timestamp, lang: Lang) -> String {
    let mut parts = Vec::new();
    let is_late = found.kept_since.is_some_and(|kept| kept > since);
    let time = found.kept_since.zip(found.kept_until);
    let time = time.map(|(kept, until)| [moment(kept.max(since)), moment(until)]);
    match (found.kept_since, &time) {
        (None, _) => parts.push(h::NO_RECORDS.get(lang).to_owned()),
        (Some(_), Some([_, until])) if found.is_whole(since) => {
            return h::WHOLE.with(lang, &[&moment(since), until]);
        }
        (Some(_), Some([from, until])) => {
            parts.push(h::RANGE.with(lang, &[from, until]));
            parts.extend(is_late.then(|| h::BEFORE.get(lang).to_owned()));
        }
        (Some(kept), None) => {
            parts.extend(is_late.then(|| h::ONLY_SINCE.with(lang, &[&moment(kept)])));
            parts.push(h::GAPS_UNKNOWN.get(lang).to_owned());
        }
    }
    parts.extend((is_late && found.cut).then(|| h::CUT.get(lang).to_owned()));
    parts.extend(gaps(&found.gaps, lang));
    parts.extend((found.lost > 0).then(|| h::LOST.with(lang, &[&found.lost])));
    parts.extend((found.unread > 0).then(|| h::UNREAD.with(lang, &[&found.unread])));
    parts.extend(found.unfinished.then(|| h::UNFINISHED.get(lang).to_owned()));
    parts.extend(found.more.then(|| h::MORE.get(lang).to_owned()));
    parts.join("; ")
}

/// Says of which times records are missing, the newest first.
fn gaps(all: &[RecordGap], lang: Lang) -> Vec<String> {
    let one = |gap: &RecordGap| {
        let why = match (gap.why, &gap.scope) {
            (GapCause::Stopped, _) => h::STOPPED.get(lang).to_owned(),
            (GapCause::Died, _) => h::DIED.get(lang).to_owned(),
            (GapCause::Blind, Some(scope)) => h::BLIND.with(lang, &[scope]),
            (GapCause::Several, _) => h::SEVERAL.get(lang).to_owned(),
            (GapCause::Blind, None) | (GapCause::Other, _) => h::OTHER_GAP.get(lang).to_owned(),
        };
        h::GAP.with(lang, &[&moment(gap.since), &moment(gap.until), &why])
    };
    let mut said: Vec<String> = all.iter().rev().take(GAPS_SAID).map(one).collect();
    let more = all.len().saturating_sub(GAPS_SAID);
    said.extend((more > 0).then(|| h::MORE_GAPS.with(lang, &[&more])));
    said
}

fn show(context: &Context, all: &[Searched]) -> Result<()> {
    if context.json {
        for one in all {
            let records = one.records();
            let owners = Owners::new(records);
            for record in records {
                print_json_line(&Row::new(one, record, &owners))?;
            }
            let searched = one.searched.clone().map(|found| RecordsFound { records: Vec::new(), ..found });
            let (agent, host, failed) = (one.agent, one.host.clone(), one.failed.clone());
            print_json_line(&Searched { agent, host, whole: one.whole, searched, failed })?;
        }
        return Ok(());
    }
    match all.iter().any(|one| one.searched.iter().any(|found| !found.records.is_empty())) {
        true => print(&table(all, context.lang)),
        false => Ok(()),
    }
}

fn table(all: &[Searched], lang: Lang) -> String {
    let heads = [h::AT, t::HOST, h::KIND, h::CLIENT, h::SERVER, h::WHAT, h::PROCESS];
    let mut table = Table::new(&heads.map(|head| head.get(lang)));
    for one in all {
        let owners = Owners::new(one.records());
        for record in one.records() {
            let (kind, what) = said(&record.what);
            table.row(vec![
                moment(record.at),
                one.host.to_string(),
                kind.to_owned(),
                record.ends.client.to_string(),
                record.ends.server.to_string(),
                what,
                owners.of(record).map_or_else(String::new, process),
            ]);
        }
    }
    table.shown()
}

/// Says what a record is about, by its stable words.
fn said(what: &What) -> (&'static str, String) {
    let text = |all: &[Option<&Untrusted>]| {
        all.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    match what {
        What::Flow(flow) => {
            let (up, down) = (flow.to_server.bytes, flow.to_client.bytes);
            let name = flow.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
            ("flow", format!("{}{name} ↑{up} ↓{down}", flow.application.as_str()))
        }
        What::Dns(dns) => {
            let answers: Vec<String> = dns.answers.iter().map(ToString::to_string).collect();
            let arrow = if answers.is_empty() { "" } else { " → " };
            ("dns", format!("{}{arrow}{}", dns.query, answers.join(", ")))
        }
        What::Tls(tls) => {
            let ja4 = tls.ja4.map_or_else(String::new, |ja4| format!(" {ja4}"));
            ("tls", text(&[tls.sni.as_ref(), tls.subject.as_ref()]) + &ja4)
        }
        What::Http(http) => {
            let status = http.status.map_or_else(String::new, |status| format!(" {status}"));
            ("http", text(&[http.method.as_ref(), http.host.as_ref(), http.uri.as_ref()]) + &status)
        }
        What::Smtp(smtp) => ("smtp", text(&[smtp.from.as_ref(), smtp.subject.as_ref()])),
        What::File(file) => {
            let digest = file.sha256.map_or_else(String::new, |digest| format!(" {digest}"));
            ("file", text(&[file.name.as_ref(), file.content_type.as_ref()]) + &digest)
        }
    }
}

fn process(Process { pid, exe, .. }: &Process) -> String {
    exe.as_ref().map_or_else(|| format!("? ({pid})"), |exe| format!("{exe} ({pid})"))
}

/// Ends as the hunt did: done is only where all was searched and nothing found.
fn judged(all: &[Searched], lang: Lang) -> Result<()> {
    let found: Vec<usize> = all.iter().filter_map(|one| Some(one.searched.as_ref()?.records.len())).collect();
    let (records, hosts) = (found.iter().sum::<usize>(), found.iter().filter(|n| **n > 0).count());
    let whole = all.iter().filter(|one| one.whole).count();
    say(&h::SUM.with(lang, &[&records, &hosts, &whole, &all.len()]));
    if whole < all.len() {
        say(h::NOT_ALL.get(lang));
    }
    match (records > 0, whole == all.len()) {
        (true, _) => Err(Said(Exit::Matched).into()),
        (false, false) => Err(Said(Exit::Incomplete).into()),
        (false, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use khien_core::{
        event::{Application, Transport},
        traffic::{Dns, Ends, Flow, FlowEnd, Volume},
    };

    use super::*;

    fn since() -> Timestamp {
        "2026-11-01T00:00:00Z".parse().unwrap()
    }

    fn record() -> Record {
        let ends = Ends {
            flow: 7,
            interface: "eth0".into(),
            vlan: Vec::new(),
            tunnel: None,
            transport: Transport::Udp,
            client: "192.0.2.1:5000".parse().unwrap(),
            server: "198.51.100.2:53".parse().unwrap(),
            saw_syn: false,
        };
        let dns = Dns {
            id: 1,
            answer: true,
            query: "c2.evil.example".into(),
            query_type: 1,
            code: Some(0),
            answers: vec!["203.0.113.7".into(), "\u{1b}[2J".into()],
        };
        Record { at: "2026-11-23T07:00:00Z".parse().unwrap(), ends, what: What::Dns(Box::new(dns)) }
    }

    fn searched(found: Result<RecordsFound, &str>) -> Searched {
        Searched {
            agent: AgentId([1; 32]),
            host: "web1".into(),
            whole: found.as_ref().is_ok_and(|found| found.is_whole(since())),
            failed: found.as_ref().err().map(|&why| why.to_owned()),
            searched: found.ok(),
        }
    }

    fn whole(records: Vec<Record>) -> RecordsFound {
        let kept_until = Some("2026-11-23T00:00:00Z".parse().unwrap());
        RecordsFound { records, kept_since: Some(since()), kept_until, ..RecordsFound::default() }
    }

    #[test]
    fn a_hunt_is_done_only_where_all_was_searched_and_nothing_found() {
        let exit = |all: &[Searched]| judged(all, Lang::En).err().map(|e| e.downcast::<Said>().unwrap().0);
        let clean = || searched(Ok(whole(Vec::new())));

        assert_eq!(exit(&[clean(), clean()]), None);
        assert_eq!(exit(&[clean(), searched(Err("it is away"))]), Some(Exit::Incomplete));
        assert_eq!(exit(&[clean(), searched(Ok(RecordsFound::default()))]), Some(Exit::Incomplete));
        let found = searched(Ok(whole(vec![record()])));
        assert_eq!(exit(&[found, searched(Err("it is away"))]), Some(Exit::Matched));
    }

    #[test]
    fn how_far_an_answer_reaches_is_said() {
        let said = |found: RecordsFound| reach(&found, since(), Lang::En);
        let later = Some("2026-11-20T00:00:00Z".parse().unwrap());

        assert_eq!(
            said(whole(Vec::new())),
            "the whole time was searched, from 01/11/2026 07:00:00 to 23/11/2026 07:00:00"
        );
        assert_eq!(said(RecordsFound::default()), "there are no records at all");
        let less =
            RecordsFound { kept_since: later, cut: true, lost: 3, more: true, ..RecordsFound::default() };
        assert_eq!(
            said(less),
            "records only since 20/11/2026 07:00:00; nothing is known before; \
             an older agent: it does not say when it did not run, upgrade it; older records made room by age or size; \
             3 records were lost under load; there are more, only the newest are shown"
        );
    }

    #[test]
    fn times_of_which_records_are_missing_are_said_the_newest_first() {
        let gap = |day: u8, why, scope: Option<&str>| {
            let at = |hour: u8| format!("2026-11-{day:02}T{hour:02}:00:00Z").parse().unwrap();
            RecordGap { since: at(1), until: at(2), why, scope: scope.map(Into::into) }
        };
        let gaps = vec![
            gap(2, GapCause::Several, None),
            gap(3, GapCause::Blind, Some("eth0")),
            gap(4, GapCause::Died, None),
            gap(5, GapCause::Stopped, None),
        ];
        let found = RecordsFound { gaps, ..whole(Vec::new()) };

        assert_eq!(
            reach(&found, since(), Lang::En),
            "there are records from 01/11/2026 07:00:00 to 23/11/2026 07:00:00; \
             MISSING from 05/11/2026 08:00:00 to 05/11/2026 09:00:00: the agent did not run, or kept none; \
             MISSING from 04/11/2026 08:00:00 to 04/11/2026 09:00:00: the agent died; \
             MISSING from 03/11/2026 08:00:00 to 03/11/2026 09:00:00: nothing was seen of eth0; \
             and 1 more times are missing (see --json)"
        );
        let json = serde_json::to_value(searched(Ok(found))).unwrap();
        assert_eq!(
            (&json["whole"], json["searched"]["gaps"].as_array().map(Vec::len)),
            (&false.into(), Some(4))
        );
        assert_eq!(json["searched"]["kept_until"], "2026-11-23T00:00:00Z");
    }

    #[test]
    fn what_was_found_is_a_row_and_cannot_steer_the_terminal() {
        let text = table(&[searched(Ok(whole(vec![record()])))], Lang::En);

        let row = text.lines().nth(1).unwrap();
        assert!(
            row.starts_with("23/11/2026 14:00:00  web1  dns   192.0.2.1:5000  198.51.100.2:53  c2.evil.example → 203.0.113.7, "),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_record_names_the_process_of_its_flow_if_that_was_found_too() {
        let dns = record();
        let ours = flow(&dns, 0, 812);
        let mut other = flow(&dns, 0, 813);
        other.ends.client = "192.0.2.2:5000".parse().unwrap();
        // The agent was started anew and counts flows from the beginning.
        let later = flow(&dns, 3_600, 814);
        let with = |flows: &[&Record]| {
            let records = flows.iter().copied().chain([&dns]).cloned().collect();
            let one = searched(Ok(whole(records)));
            let text = table(std::slice::from_ref(&one), Lang::En);
            let record = one.records().last().unwrap();
            let row = serde_json::to_value(Row::new(&one, record, &Owners::new(one.records()))).unwrap();
            (text.lines().last().unwrap().ends_with("  ? (812)"), row["process"]["pid"].as_u64())
        };

        assert_eq!(with(&[&other, &ours, &later]), (true, Some(812)));
        assert_eq!(with(&[&other, &later]), (false, None));
        let one = searched(Ok(whole(vec![ours])));
        let row = Row::new(&one, &one.records()[0], &Owners::new(one.records()));
        let json = serde_json::to_string(&row).unwrap();
        assert_eq!(json.matches(r#""process":"#).count(), 1, "a flow has its own: {json}");
    }

    /// The flow of a record, which began so many seconds after a second before it.
    fn flow(record: &Record, after: i64, pid: u32) -> Record {
        let first = time::after(record.at, SignedDuration::from_secs(after - 1));
        let flow = Flow {
            first,
            last: first,
            ended: FlowEnd::Idle,
            application: Application::Dns,
            name: None,
            to_server: Volume::default(),
            to_client: Volume::default(),
            answered: true,
            process: Some(Box::new(Process::unknown(pid))),
        };
        Record { what: What::Flow(Box::new(flow)), ..record.clone() }
    }
}
