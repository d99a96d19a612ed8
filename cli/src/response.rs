//! Plans what a run may do, signs it with the operator's key, and hands it to the hub.
//!
//! What is signed comes from this program's own copy of the playbook and from the targets that the operator saw. The
//! hub cannot add an order: [`describe`] shows every one of them before it is signed. A scan is one order of its own.

use std::collections::BTreeSet;

use anyhow::Result;
use khien_core::{
    AgentId, IncidentId, Lang, RunId, Sha256, StepId, Timestamp,
    alert::Alert,
    api::{Approve, GiveOrder, GivenOrder, OrderedScan, StartRun, StartScan, StopScan, Undo},
    mandate::{MAX_LIFE, MAX_ORDERS, Mandate, NO_PLAYBOOK},
    order::{Allowed, FileTarget, ScanScope, Verb},
    run::{Run, Target},
    signature::Signed,
    text::{Message, command as t},
    time::{self, SignedDuration},
};
use khien_playbooks::{
    Playbook,
    run::{orders_after, orders_from_start, undo_orders},
};

use crate::{
    client::Client,
    keys::{self, Keys},
};

/// Names the one step of an order that belongs to no playbook.
const SINGLE: &str = "single";
/// Names it where that is a scan.
const SCAN: &str = "scan";

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// The library has no such playbook.
    #[error("playbook `{0}` is not in the library of this program")]
    UnknownPlaybook(String),
    /// The run follows another text than ours.
    #[error("run follows another version of playbook `{0}` than this program has")]
    OtherPlaybook(String),
    /// The incident has no alert about a file.
    #[error("incident {0} has no alert about a file, so there is nothing to work on")]
    NoFiles(IncidentId),
    /// Its files were all found in files of packets, where no agent can act.
    #[error("incident {0} has files only from files of packets, where no agent can carry anything out")]
    NoAgent(IncidentId),
    /// The run waits for nobody.
    #[error("run {0} does not wait for an approval")]
    NothingWaits(RunId),
    /// Nothing was done that could be undone.
    #[error("run {0} has done nothing that can be undone")]
    NothingToUndo(RunId),
    /// More than a mandate may hold.
    #[error("plan has {0} orders, at most {MAX_ORDERS} are allowed")]
    TooManyOrders(usize),
}

impl PlanError {
    /// Returns the error in the reader's language.
    pub(crate) fn shown(&self, lang: Lang) -> String {
        match self {
            Self::UnknownPlaybook(id) => t::UNKNOWN_PLAYBOOK.with(lang, &[id]),
            Self::OtherPlaybook(id) => t::OTHER_PLAYBOOK.with(lang, &[id]),
            Self::NoFiles(id) => t::NO_FILES.with(lang, &[id]),
            Self::NoAgent(id) => t::NO_AGENT_FILES.with(lang, &[id]),
            Self::NothingWaits(id) => t::NOTHING_WAITS.with(lang, &[&id.short()]),
            Self::NothingToUndo(id) => t::NOTHING_TO_UNDO.with(lang, &[&id.short()]),
            Self::TooManyOrders(n) => t::TOO_MANY_ORDERS.with(lang, &[n, &MAX_ORDERS]),
        }
    }

    /// Returns what to do now.
    pub(crate) fn next(&self, lang: Lang) -> String {
        match self {
            Self::UnknownPlaybook(_) => t::NEXT_PLAYBOOKS.get(lang).to_owned(),
            Self::OtherPlaybook(_) => t::NEXT_VERSIONS.get(lang).to_owned(),
            Self::NoFiles(id) => t::NEXT_FILE_ALERT.with(lang, &[id]),
            Self::NoAgent(_) => t::NEXT_FIND_FILE.get(lang).to_owned(),
            Self::NothingWaits(id) | Self::NothingToUndo(id) => t::NEXT_RUN_SHOW.with(lang, &[&id.short()]),
            Self::TooManyOrders(_) => t::NEXT_FEWER.get(lang).to_owned(),
        }
    }
}

/// What a new run will work on and may do before a person is asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// This program's copy of the playbook.
    pub(crate) playbook: Playbook,
    /// The incident.
    pub(crate) incident: IncidentId,
    /// The files.
    pub(crate) targets: Vec<Target>,
    /// The orders up to the first approval.
    pub(crate) orders: Vec<Allowed>,
}

/// Plans a run on the files of an incident's alerts.
pub(crate) async fn plan_start(client: &Client, playbook: &str, incident: IncidentId) -> Result<Plan> {
    let playbook = own(playbook)?;
    let mut alerts = Vec::new();
    for id in client.incident(incident).await?.alerts {
        alerts.push(client.alert(id).await?);
    }
    let targets = targets(incident, &alerts)?;
    let orders = few(orders_from_start(&playbook, &targets))?;
    Ok(Plan { playbook, incident, targets, orders })
}

/// Plans what approving the step that waits allows.
pub(crate) fn plan_approve(run: &Run, step: &StepId) -> Result<Vec<Allowed>, PlanError> {
    if run.waiting_for.as_ref() != Some(step) {
        return Err(PlanError::NothingWaits(run.id));
    }
    few(orders_after(&own_of(run)?, step, &run.targets))
}

/// Plans how to undo what a run did.
pub(crate) fn plan_undo(run: &Run) -> Result<Vec<Allowed>, PlanError> {
    let orders = undo_orders(&own_of(run)?, run);
    match orders.is_empty() {
        true => Err(PlanError::NothingToUndo(run.id)),
        false => few(orders),
    }
}

/// Signs the first leg of a plan that a person saw, and starts it.
pub(crate) async fn start_planned(client: &Client, keys: &Keys, plan: Plan) -> Result<Run> {
    let run = keys::run_id()?;
    let hash = plan.playbook.hash;
    let mandate = signed(keys, run, hash, plan.orders)?;
    let start = StartRun {
        run,
        playbook: plan.playbook.id,
        playbook_hash: hash,
        incident: plan.incident,
        targets: plan.targets,
        mandate,
    };
    Ok(client.start_run(start).await?)
}

/// Signs the orders after an approval step and approves it.
pub(crate) async fn approve(client: &Client, keys: &Keys, run: &Run, step: &StepId) -> Result<Run> {
    let mandate = signed(keys, run.id, run.playbook_hash, plan_approve(run, step)?)?;
    Ok(client.approve(run.id, Approve { step: step.clone(), mandate }).await?)
}

/// Signs the undo orders of a run and undoes it.
pub(crate) async fn undo(client: &Client, keys: &Keys, run: &Run) -> Result<Run> {
    let mandate = signed(keys, run.id, run.playbook_hash, plan_undo(run)?)?;
    Ok(client.undo(run.id, Undo { mandate }).await?)
}

/// Signs an order that has an agent scan a path or memory, good for so many minutes, and gives it.
pub(crate) async fn start_scan(
    client: &Client,
    keys: &Keys,
    agent: AgentId,
    scope: ScanScope,
    minutes: u32,
) -> Result<OrderedScan> {
    let verb = match scope {
        ScanScope::Files(target) => Verb::ScanPath(target),
        ScanScope::Memory(target) => Verb::ScanMemory(target),
    };
    let life = SignedDuration::from_mins(minutes.into()).min(MAX_LIFE);
    let mandate = signed_alone(life, keys, agent, verb)?;
    Ok(client.start_scan(StartScan { mandate }).await?)
}

/// Signs an order that belongs to no playbook and is no scan, good for some time, and gives it.
pub(crate) async fn give(
    client: &Client,
    keys: &Keys,
    agent: AgentId,
    verb: Verb,
    life: SignedDuration,
) -> Result<GivenOrder> {
    let mandate = signed_alone(life.min(MAX_LIFE), keys, agent, verb)?;
    Ok(client.give(GiveOrder { mandate }).await?)
}

/// Signs an order that has a scan stopped, and gives it.
pub(crate) async fn stop_scan(client: &Client, keys: &Keys, scan: &OrderedScan) -> Result<OrderedScan> {
    let verb = Verb::StopScan { scan: scan.order };
    let mandate = signed_alone(MAX_LIFE, keys, scan.agent, verb)?;
    Ok(client.stop_scan(scan.order, StopScan { mandate }).await?)
}

/// Signs one order that belongs to no playbook.
fn signed_alone(life: SignedDuration, keys: &Keys, agent: AgentId, verb: Verb) -> Result<Signed> {
    let step = match verb {
        Verb::SearchRecords(_) | Verb::PreservePackets(_) => SINGLE,
        _ => SCAN,
    };
    let step = step.parse().expect("it is a step's name");
    signed_for(life, keys, (keys::run_id()?, NO_PLAYBOOK), vec![Allowed { step, agent, verb }])
}

/// Writes each order as a line for the person who is to sign it.
pub(crate) fn describe(orders: &[Allowed], lang: Lang) -> Vec<String> {
    let line = |o: &Allowed| {
        let hash = o.verb.file().map_or_else(|| "–".to_owned(), |file| file.sha256.short());
        let verb = verb(&o.verb).get(lang);
        t::ORDER_LINE.with(lang, &[&verb, o.verb.path(), &hash, &o.agent.short()])
    };
    orders.iter().map(line).collect()
}

fn verb(verb: &Verb) -> Message {
    match verb {
        Verb::PreserveFile(_) => t::VERB_PRESERVE,
        Verb::QuarantineFile(_) => t::VERB_QUARANTINE,
        Verb::VerifyAbsent(_) => t::VERB_ABSENT,
        Verb::RestoreFile(_) => t::VERB_RESTORE,
        Verb::VerifyPresent(_) => t::VERB_PRESENT,
        Verb::ScanPath(_) => t::VERB_SCAN,
        Verb::ScanMemory(_) => t::VERB_SCAN_MEMORY,
        Verb::StopScan { .. } => t::VERB_STOP_SCAN,
        Verb::SearchRecords(_) => t::VERB_SEARCH_RECORDS,
        Verb::PreservePackets(_) => t::VERB_PRESERVE_PACKETS,
    }
}

/// Collects the files of alerts, each once.
fn targets(incident: IncidentId, alerts: &[Alert]) -> Result<Vec<Target>, PlanError> {
    let target = |a: &Alert| {
        let file = FileTarget { path: a.path.clone()?, sha256: a.sha256? };
        Some(Target { agent: a.reporter()?, file })
    };
    let targets: BTreeSet<Target> = alerts.iter().filter_map(target).collect();
    let is_of_packets = |a: &Alert| a.capture.is_some() && a.sha256.is_some();
    match targets.is_empty() {
        true if alerts.iter().any(is_of_packets) => Err(PlanError::NoAgent(incident)),
        true => Err(PlanError::NoFiles(incident)),
        false => Ok(targets.into_iter().collect()),
    }
}

fn own(playbook: &str) -> Result<Playbook, PlanError> {
    khien_playbooks::find(playbook).ok_or_else(|| PlanError::UnknownPlaybook(playbook.to_owned()))
}

/// Returns our copy of a run's playbook if the run follows exactly that text.
fn own_of(run: &Run) -> Result<Playbook, PlanError> {
    let playbook = own(&run.playbook)?;
    match playbook.hash == run.playbook_hash {
        true => Ok(playbook),
        false => Err(PlanError::OtherPlaybook(run.playbook.clone())),
    }
}

fn few(orders: Vec<Allowed>) -> Result<Vec<Allowed>, PlanError> {
    match orders.len() > MAX_ORDERS {
        true => Err(PlanError::TooManyOrders(orders.len())),
        false => Ok(orders),
    }
}

fn signed(keys: &Keys, run: RunId, playbook: Sha256, orders: Vec<Allowed>) -> Result<Signed> {
    signed_for(MAX_LIFE, keys, (run, playbook), orders)
}

fn signed_for(
    life: SignedDuration,
    keys: &Keys,
    (run, playbook): (RunId, Sha256),
    orders: Vec<Allowed>,
) -> Result<Signed> {
    let issued = Timestamp::now();
    let expires = time::after(issued, life);
    let mandate = Mandate { run, playbook, orders, issued, expires, nonce: keys::nonce()? };
    Ok(mandate.sign(keys.signing()))
}

#[cfg(test)]
mod tests {
    use khien_core::{mandate, order::Order, run::RunState};

    use super::*;
    use crate::command::samples;

    fn run(state: RunState, waiting_for: Option<&str>) -> Run {
        let playbook = khien_playbooks::find("webshell").unwrap();
        Run {
            playbook_hash: playbook.hash,
            state,
            waiting_for: waiting_for.map(|s| s.parse().unwrap()),
            ..samples::run()
        }
    }

    fn approval() -> String {
        let playbook = khien_playbooks::find("webshell").unwrap();
        let is_approval = |s: &&khien_playbooks::Step| matches!(s.kind, khien_playbooks::StepKind::Approval);
        playbook.steps.iter().find(is_approval).unwrap().id.to_string()
    }

    #[test]
    fn two_alerts_about_one_file_are_one_target() {
        let alert = samples::file_alert();
        let mut other = alert.clone();
        other.rule = "another.rule".parse().unwrap();
        let incident = samples::incident().id;

        assert_eq!(targets(incident, &[alert, other]).unwrap().len(), 1);
        assert_eq!(targets(incident, &[samples::flow_alert()]), Err(PlanError::NoFiles(incident)));
    }

    #[test]
    fn what_was_found_in_packets_is_no_target_and_the_reason_is_said() {
        let incident = samples::incident().id;
        let (found, ours) = (samples::capture_alert(), samples::file_alert());

        let error = targets(incident, std::slice::from_ref(&found)).unwrap_err();

        assert_eq!(error, PlanError::NoAgent(incident));
        assert!(error.shown(Lang::Vi).contains("không tác tử nào"), "{}", error.shown(Lang::Vi));
        let both = targets(incident, &[found, ours.clone()]).unwrap();
        assert_eq!(both.iter().map(|t| t.agent).collect::<Vec<_>>(), [ours.agent]);
    }

    #[test]
    fn the_first_leg_changes_no_host() {
        let playbook = khien_playbooks::find("webshell").unwrap();
        let targets = targets(samples::incident().id, &[samples::file_alert()]).unwrap();

        let orders = orders_from_start(&playbook, &targets);

        assert!(!orders.is_empty());
        assert!(orders.iter().all(|o| !o.verb.changes_host()));
    }

    #[test]
    fn only_the_step_that_waits_can_be_approved() {
        let step = approval();
        let waiting = run(RunState::WaitingForApproval, Some(&step));

        assert!(
            plan_approve(&waiting, &step.parse().unwrap()).unwrap().iter().any(|o| o.verb.changes_host())
        );
        assert_eq!(plan_approve(&waiting, &"x".parse().unwrap()), Err(PlanError::NothingWaits(waiting.id)));
        let running = run(RunState::Running, None);
        assert_eq!(plan_approve(&running, &step.parse().unwrap()), Err(PlanError::NothingWaits(running.id)));
    }

    #[test]
    fn a_run_of_another_playbook_text_is_never_signed() {
        let step = approval();
        let mut other = run(RunState::WaitingForApproval, Some(&step));
        other.playbook_hash = Sha256([0; 32]);

        let got = plan_approve(&other, &step.parse().unwrap());

        assert_eq!(got, Err(PlanError::OtherPlaybook("webshell".to_owned())));
    }

    #[test]
    fn what_is_signed_is_what_the_agent_obeys() {
        let keys = Keys::for_tests([7; 32]);
        let step = approval();
        let run = run(RunState::WaitingForApproval, Some(&step));
        let orders = plan_approve(&run, &step.parse().unwrap()).unwrap();

        let order =
            Order { mandate: signed(&keys, run.id, run.playbook_hash, orders.clone()).unwrap(), index: 0 };
        let me: AgentId = orders[0].agent;
        let (_, allowed) = mandate::judge(&order, me, &[keys.public()], Timestamp::now()).unwrap();

        assert_eq!(allowed, orders[0]);
    }

    #[test]
    fn every_order_is_shown_before_it_is_signed() {
        let step = approval();
        let run = run(RunState::WaitingForApproval, Some(&step));
        let orders = plan_approve(&run, &step.parse().unwrap()).unwrap();

        let lines = describe(&orders, Lang::En);

        assert_eq!(lines.len(), orders.len());
        assert!(lines[0].contains("/srv/www/a.php"), "{}", lines[0]);
    }
}
