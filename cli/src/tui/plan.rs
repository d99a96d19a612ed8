//! What a playbook would have done, shown before anything is signed. [`crate::response`] does the planning.

use std::collections::BTreeSet;

use khien_core::{
    IncidentId, Lang,
    alert::Alert,
    order::{Allowed, FileTarget, Verb},
    run::{Run, Target},
    text::{Message, alert, tui as t},
};
use khien_playbooks::{Playbook, run::orders_from_start};

use super::{
    app::{Choice, Deed, Dialog},
    clean::clean,
};
use crate::response::{Plan, PlanError, plan_approve, plan_undo};

/// Returns the files of some alerts, each once.
pub(crate) fn targets(alerts: &[Alert]) -> Vec<Target> {
    let file = |a: &Alert| {
        let file = FileTarget { path: a.path.clone()?, sha256: a.sha256? };
        Some(Target { agent: a.reporter()?, file })
    };
    alerts.iter().filter_map(file).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the dialog that starts a playbook of the library.
pub(crate) fn start(incident: IncidentId, at: usize, targets: Vec<Target>) -> Option<Dialog> {
    let playbook = khien_playbooks::library().into_iter().nth(at)?;
    let orders = orders_from_start(&playbook, &targets);
    Some(Dialog::Confirm(Deed::Start(Box::new(Plan { playbook, incident, targets, orders })), 0))
}

/// Returns the dialog that lets a waiting run go on.
///
/// # Errors
/// [`PlanError`] if nothing waits or the run follows another text than ours.
pub(crate) fn decision(run: Run) -> Result<Dialog, PlanError> {
    let step = run.waiting_for.clone().ok_or(PlanError::NothingWaits(run.id))?;
    let orders = plan_approve(&run, &step)?;
    Ok(Dialog::Confirm(Deed::Decide { run: Box::new(run), step, orders }, 0))
}

/// Returns the dialog that undoes a run.
///
/// # Errors
/// [`PlanError`] if nothing can be undone or the run follows another text than ours.
pub(crate) fn undoing(run: Run) -> Result<Dialog, PlanError> {
    let orders = plan_undo(&run)?;
    Ok(Dialog::Confirm(Deed::Undo { run: Box::new(run), orders }, 0))
}

/// Returns the rows of a list to choose from.
pub(crate) fn rows(choice: &Choice, lang: Lang) -> Vec<String> {
    match choice {
        Choice::Playbook(..) => {
            let row = |p: Playbook| format!("{} – {}", p.id, p.title.get(lang));
            khien_playbooks::library().into_iter().map(row).map(|r| clean(&r)).collect()
        }
        Choice::Decide(runs) | Choice::Undo(runs) => runs.iter().map(|r| run_row(r, lang)).collect(),
    }
}

fn run_row(run: &Run, lang: Lang) -> String {
    let state = alert::run_state(run.state).get(lang);
    clean(&format!(
        "{} {} – {state} – {}",
        run.playbook,
        run.id.short(),
        khien_core::time::shown(run.started)
    ))
}

/// Says in words what an order does.
pub(crate) fn words(order: &Allowed) -> Message {
    match order.verb {
        Verb::PreserveFile(_) => t::VERB_PRESERVE,
        Verb::QuarantineFile(_) => t::VERB_QUARANTINE,
        Verb::VerifyAbsent(_) => t::VERB_VERIFY_ABSENT,
        Verb::RestoreFile(_) => t::VERB_RESTORE,
        Verb::VerifyPresent(_) => t::VERB_VERIFY_PRESENT,
        Verb::ScanPath(_) => t::VERB_SCAN,
        Verb::ScanMemory(_) => t::VERB_SCAN_MEMORY,
        Verb::StopScan { .. } => t::VERB_STOP_SCAN,
        Verb::SearchRecords(_) => t::VERB_SEARCH_RECORDS,
        Verb::PreservePackets(_) => t::VERB_PRESERVE_PACKETS,
    }
}
