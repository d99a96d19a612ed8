//! What the UI does outside: asks the hub, signs orders, hears signals. Every answer comes back as a message.

use std::{collections::HashMap, time::Duration};

use khien_core::{
    AlertId, IncidentId, Lang, Timestamp,
    alert::{Alert, Verdict},
    api::{CloseAlert, OpenIncident, Refuse},
    text::{Message, tui as t},
    triage,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::msg::{CaseFile, Cmd, Msg};
use crate::{
    client::{Client, ClientError},
    exit,
    keys::Keys,
    response,
};

/// How often clocks are counted on.
const TICK: Duration = Duration::from_secs(1);
/// How often the agents are asked for.
const AGENTS: Duration = Duration::from_secs(3);
/// How long to wait before a hub that did not answer is asked again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Things to do that may wait for the one before.
const MAX_WAITING: usize = 64;
/// The alerts that are asked for at the start.
const MAX_ALERTS: u32 = 10_000;
/// The alerts of one incident that are fetched one by one.
const MAX_CASE_ALERTS: usize = 500;
/// The runs of one incident that are followed.
const MAX_RUNS: usize = 50;

/// Everything that goes on beside the screen. Dropping it stops all of it.
pub(crate) struct Outside {
    deeds: mpsc::Sender<Cmd>,
    loads: mpsc::Sender<Cmd>,
    inbox: mpsc::Sender<Msg>,
    lang: Lang,
    _tasks: JoinSet<()>,
}

impl Outside {
    /// Begins to watch the hub and to wait for things to do.
    pub(crate) fn start(client: Client, keys: Keys, lang: Lang, inbox: mpsc::Sender<Msg>) -> Self {
        let (deeds, to_do) = mpsc::channel(MAX_WAITING);
        let (loads, to_load) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(tick(inbox.clone()));
        tasks.spawn(hear_signals(inbox.clone()));
        tasks.spawn(watch_alerts(client.clone(), lang, inbox.clone()));
        tasks.spawn(watch_agents(client.clone(), lang, inbox.clone()));
        let worker = Worker { client, keys, lang, inbox: inbox.clone() };
        tasks.spawn(do_all(worker.clone(), to_do));
        tasks.spawn(load_all(worker, to_load));
        Self { deeds, loads, inbox, lang, _tasks: tasks }
    }

    /// Takes something to do. Loading that is asked for again each second is dropped while the last one is under way.
    pub(crate) fn ask(&self, cmd: Option<Cmd>) {
        let Some(cmd) = cmd else { return };
        if matches!(cmd, Cmd::LoadIncident(_) | Cmd::LoadIncidents) {
            // A full channel means that one is under way already; the next second asks again.
            self.loads.try_send(cmd).ok();
        } else if self.deeds.try_send(cmd).is_err() {
            let text = t::BUSY.get(self.lang).to_owned();
            self.inbox.try_send(Msg::Failed(text)).ok();
        }
    }
}

/// Says what the hub or the line said, and what to do now.
fn told(error: ClientError, lang: Lang) -> String {
    let stop = exit::explain(&error.into(), lang);
    format!("{} – {}", stop.what, stop.next)
}

/// Counts seconds. A second that nobody could take in is left out.
async fn tick(inbox: mpsc::Sender<Msg>) {
    let mut seconds = interval(TICK);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        seconds.tick().await;
        inbox.try_send(Msg::Tick(Timestamp::now())).ok();
    }
}

/// Leaves in good order when the program is told to stop or the line is cut.
async fn hear_signals(inbox: mpsc::Sender<Msg>) {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [Ok(mut term), Ok(mut int), Ok(mut hup)] = kinds.map(signal) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        _ = hup.recv() => {}
    }
    inbox.send(Msg::Stop).await.ok();
}

/// Gets every alert, then each change as it comes. What was read stays on the screen while the hub is away.
async fn watch_alerts(client: Client, lang: Lang, inbox: mpsc::Sender<Msg>) {
    let mut after = None;
    let mut wait = RETRY.0;
    loop {
        let answer = match after {
            None => client.alerts(None, Some(MAX_ALERTS)).await,
            Some(revision) => client.changes(revision).await,
        };
        let msg = match answer {
            Ok(alerts) => {
                wait = RETRY.0;
                let first = after.replace(alerts.revision).is_none();
                if first { Msg::Loaded(alerts) } else { Msg::Changed(alerts.alerts) }
            }
            Err(e) => {
                sleep_until(Instant::now() + wait).await;
                wait = (wait * 2).min(RETRY.1);
                Msg::Lost(told(e, lang))
            }
        };
        if inbox.send(msg).await.is_err() {
            return;
        }
    }
}

/// Asks for the agents every few seconds, which also shows that the hub is there.
async fn watch_agents(client: Client, lang: Lang, inbox: mpsc::Sender<Msg>) {
    let mut times = interval(AGENTS);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let msg = match client.agents().await {
            Ok(agents) => Msg::Agents(agents.agents),
            Err(e) => Msg::Lost(told(e, lang)),
        };
        if inbox.send(msg).await.is_err() {
            return;
        }
    }
}

async fn do_all(worker: Worker, mut to_do: mpsc::Receiver<Cmd>) {
    while let Some(cmd) = to_do.recv().await {
        if let Err(e) = worker.act(cmd).await {
            worker.say(worker.failure(&e)).await;
        }
    }
}

async fn load_all(worker: Worker, mut to_load: mpsc::Receiver<Cmd>) {
    let mut known = Known::default();
    while let Some(cmd) = to_load.recv().await {
        if let Err(e) = worker.load(cmd, &mut known).await {
            worker.say(worker.trouble(e)).await;
        }
    }
}

/// The alerts of the incident that was loaded last; they are fetched again only when the incident has changed.
#[derive(Default)]
struct Known {
    incident: Option<(IncidentId, u64)>,
    alerts: HashMap<AlertId, Alert>,
}

/// Does one thing after the other.
#[derive(Clone)]
struct Worker {
    client: Client,
    keys: Keys,
    lang: Lang,
    inbox: mpsc::Sender<Msg>,
}

impl Worker {
    async fn say(&self, msg: Msg) {
        // An inbox that is closed means that the UI is leaving.
        self.inbox.send(msg).await.ok();
    }

    async fn done(&self, message: Message) {
        self.say(Msg::Done(message)).await;
    }

    /// Says what went wrong and what to do now.
    fn failure(&self, error: &anyhow::Error) -> Msg {
        let stop = exit::explain(error, self.lang);
        Msg::Failed(t::FAILED.with(self.lang, &[&stop.what, &stop.next]))
    }

    fn trouble(&self, error: ClientError) -> Msg {
        match error {
            ClientError::Unreachable { .. } => Msg::Lost(told(error, self.lang)),
            _ => Msg::Failed(told(error, self.lang)),
        }
    }

    async fn act(&self, cmd: Cmd) -> anyhow::Result<()> {
        let client = &self.client;
        match cmd {
            Cmd::Acknowledge(ids) => {
                for id in ids {
                    self.say(Msg::Changed(vec![client.ack(id).await?])).await;
                }
                self.done(t::DONE_ACKNOWLEDGED).await;
            }
            Cmd::Reopen(ids) => {
                for id in ids {
                    self.say(Msg::Changed(vec![client.reopen(id).await?])).await;
                }
                self.done(t::DONE_REOPENED).await;
            }
            Cmd::Close { alerts, verdict, reason } => self.close(alerts, verdict, reason).await?,
            Cmd::OpenIncident { title, alerts } => {
                let incident = client.open_incident(OpenIncident { title: Some(title), alerts }).await?;
                self.say(Msg::Opened(Box::new(incident))).await;
            }
            Cmd::Note { incident, text } => {
                client.note(incident, text).await?;
                self.done(t::DONE_NOTE).await;
            }
            Cmd::Start(plan) => {
                response::start_planned(client, &self.keys, *plan).await?;
                self.done(t::DONE_STARTED).await;
            }
            Cmd::Approve { run, step } => {
                response::approve(client, &self.keys, &run, &step).await?;
                self.done(t::DONE_APPROVED).await;
            }
            Cmd::Refuse { run, step, reason, .. } => {
                client.refuse(run, Refuse { step, reason }).await?;
                self.done(t::DONE_REFUSED).await;
            }
            Cmd::Undo(run) => {
                response::undo(client, &self.keys, &run).await?;
                self.done(t::DONE_UNDO).await;
            }
            Cmd::Quit | Cmd::LoadIncident(_) | Cmd::LoadIncidents => {}
        }
        Ok(())
    }

    async fn close(&self, alerts: Vec<AlertId>, verdict: Verdict, reason: String) -> anyhow::Result<()> {
        for id in alerts {
            let how = CloseAlert { verdict, reason: reason.clone() };
            self.say(Msg::Changed(vec![self.client.close(id, how).await?])).await;
        }
        self.done(t::DONE_CLOSED).await;
        Ok(())
    }

    async fn load(&self, cmd: Cmd, known: &mut Known) -> Result<(), ClientError> {
        match cmd {
            Cmd::LoadIncident(id) => {
                let file = self.case(id, known).await?;
                self.say(Msg::Case(Box::new(file))).await;
            }
            _ => self.say(Msg::Incidents(self.client.incidents().await?.incidents)).await,
        }
        Ok(())
    }

    async fn case(&self, id: IncidentId, known: &mut Known) -> Result<CaseFile, ClientError> {
        let incident = self.client.incident(id).await?;
        if known.incident != Some((id, incident.revision)) {
            *known = Known { incident: Some((id, incident.revision)), alerts: HashMap::new() };
        }
        for id in incident.alerts.iter().take(MAX_CASE_ALERTS) {
            if !known.alerts.contains_key(id) {
                known.alerts.insert(*id, self.client.alert(*id).await?);
            }
        }
        let mut runs = Vec::new();
        for run in incident.runs.iter().take(MAX_RUNS) {
            runs.push(self.client.run(run.id).await?);
        }
        runs.sort_by_key(|r| std::cmp::Reverse(r.started));
        let mut alerts: Vec<Alert> = known.alerts.values().cloned().collect();
        triage::sort(&mut alerts);
        Ok(CaseFile { incident, alerts, runs })
    }
}
