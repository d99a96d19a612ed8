//! Incidents: opened from alerts, with a timeline that only grows.

use std::collections::BTreeSet;

use khien_core::{
    AlertId, IncidentId, Severity, Timestamp, Untrusted,
    alert::Alert,
    api::{OpenIncident, ReportDrafted},
    incident::{Entry, EntryKind, Incident, IncidentStatus},
    problem::Cause,
    run::RunSummary,
    text::{Words, hub as words},
    time,
};

use crate::{
    fault::Fault,
    store::{IncidentRow, Read, Write},
};

/// The longest title in characters.
const MAX_TITLE: usize = 300;
/// The longest note, or reason to close, in bytes.
const MAX_NOTE: usize = 16 << 10;
/// The longest name of a form or a stage in the timeline, in bytes.
const MAX_FORM: usize = 64;
/// The most alerts with which an incident is opened.
const MAX_ALERTS: usize = 500;

/// Opens an incident from alerts that belong to no other open one.
pub(crate) fn open(
    tx: &mut dyn Write,
    wanted: &OpenIncident,
    by: &str,
    now: Timestamp,
) -> Result<Incident, Fault> {
    let alerts = free_alerts(tx, &wanted.alerts)?;
    let title = title(wanted.title.as_deref(), &alerts)?;
    let mut row = IncidentRow {
        id: IncidentId { year: 0, number: 0 },
        title: title.clone(),
        status: IncidentStatus::Open,
        opened: now,
        opened_by: by.to_owned(),
        revision: tx.next_revision(),
    };
    tx.add_incident(time::in_vietnam(now).year(), &mut row)?;
    let entry = Entry { at: now, who: by.to_owned(), kind: EntryKind::Opened, text: title };
    tx.add_entry(row.id, &entry)?;
    for alert in alerts {
        join(tx, row.id, alert)?;
    }
    show(tx, row.id)
}

fn free_alerts(tx: &dyn Read, ids: &[AlertId]) -> Result<Vec<Alert>, Fault> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MAX_ALERTS {
        return Err(Fault::Bad(Cause::BadAlertCount { limit: MAX_ALERTS as u64 }));
    }
    let mut alerts = Vec::with_capacity(ids.len());
    for id in ids {
        let alert = tx.alert(id)?.ok_or_else(|| Fault::Missing(Cause::NoAlert { alert: id }))?;
        if let Some(incident) = alert.incident {
            return Err(Fault::Conflict(Cause::AlertTaken { alert: id, incident }));
        }
        alerts.push(alert);
    }
    Ok(alerts)
}

/// Takes the title that somebody typed, or else the first alert's.
fn title(wanted: Option<&str>, alerts: &[Alert]) -> Result<Words, Fault> {
    let wanted = wanted.map(str::trim).filter(|t| !t.is_empty());
    let Some(title) = wanted else {
        return Ok(alerts.first().map(|a| a.title.clone()).unwrap_or_default());
    };
    if title.chars().count() > MAX_TITLE || title.chars().any(khien_core::untrusted::hides) {
        return Err(Fault::Bad(Cause::BadTitle { limit: MAX_TITLE as u64 }));
    }
    Ok(Words::same(title))
}

/// Says where an alert is, or what it saw.
fn place(alert: &Alert) -> Words {
    let path = alert.path.as_ref().map(|p| Words::same(p.to_string()));
    let flow = || alert.flow.as_ref().map(|f| Words::same(format!("{} → {}", f.client, f.server)));
    path.or_else(|| alert.what.clone()).or_else(flow).unwrap_or_default()
}

fn join(tx: &mut dyn Write, id: IncidentId, mut alert: Alert) -> Result<(), Fault> {
    let text = words::ALERT_LINE.words_with(&[&alert.id, &alert.title, &place(&alert)]);
    let who = format!("agent {}", alert.host);
    tx.add_entry(id, &Entry { at: alert.first_seen, who, kind: EntryKind::Detected, text })?;
    alert.incident = Some(id);
    alert.revision = tx.next_revision();
    Ok(tx.put_alert(&alert)?)
}

/// Writes a note.
pub(crate) fn note(
    tx: &mut dyn Write,
    id: IncidentId,
    text: &str,
    by: &str,
    now: Timestamp,
) -> Result<Incident, Fault> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_NOTE {
        return Err(Fault::Bad(Cause::BadNote { limit: MAX_NOTE as u64 }));
    }
    row(tx, id)?;
    write(tx, id, Entry { at: now, who: by.to_owned(), kind: EntryKind::Note, text: Words::same(text) })?;
    show(tx, id)
}

/// Closes an incident of which no run works or waits any more.
pub(crate) fn close(
    tx: &mut dyn Write,
    id: IncidentId,
    reason: &str,
    by: &str,
    now: Timestamp,
) -> Result<Incident, Fault> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > MAX_NOTE {
        return Err(Fault::Bad(Cause::ReasonNeeded { limit: MAX_NOTE as u64 }));
    }
    set_status(tx, id, IncidentStatus::Closed)?;
    if let Some(run) = tx.runs_of(id)?.into_iter().find(|r| r.state.is_under_way()) {
        return Err(Fault::Conflict(Cause::RunUnfinished { incident: id, run: run.id }));
    }
    let text = Words::same(reason);
    write(tx, id, Entry { at: now, who: by.to_owned(), kind: EntryKind::Closed, text })?;
    show(tx, id)
}

/// Opens a closed incident again.
pub(crate) fn reopen(
    tx: &mut dyn Write,
    id: IncidentId,
    by: &str,
    now: Timestamp,
) -> Result<Incident, Fault> {
    set_status(tx, id, IncidentStatus::Open)?;
    let text = Words::default();
    write(tx, id, Entry { at: now, who: by.to_owned(), kind: EntryKind::Reopened, text })?;
    show(tx, id)
}

fn set_status(tx: &mut dyn Write, id: IncidentId, to: IncidentStatus) -> Result<(), Fault> {
    let is = row(tx, id)?.status;
    if !is.may_become(to) {
        return Err(Fault::Conflict(Cause::IncidentStatus { incident: id, is }));
    }
    Ok(tx.set_incident_status(id, to)?)
}

/// Keeps in mind that a report was drafted.
pub(crate) fn report_drafted(
    tx: &mut dyn Write,
    id: IncidentId,
    report: &ReportDrafted,
    by: &str,
    now: Timestamp,
) -> Result<Incident, Fault> {
    row(tx, id)?;
    let [form, stage] = [&report.form, &report.stage].map(|t| Untrusted::cut(t.raw(), MAX_FORM));
    let text = words::REPORT_LINE.words_with(&[&form, &stage]);
    write(tx, id, Entry { at: now, who: by.to_owned(), kind: EntryKind::ReportDrafted, text })?;
    show(tx, id)
}

/// Writes a line in the timeline and tells those who follow.
pub(crate) fn write(tx: &mut dyn Write, id: IncidentId, entry: Entry) -> Result<(), Fault> {
    tx.add_entry(id, &entry)?;
    let revision = tx.next_revision();
    Ok(tx.touch_incident(id, revision)?)
}

/// Returns an incident's own row.
pub(crate) fn row(tx: &dyn Read, id: IncidentId) -> Result<IncidentRow, Fault> {
    tx.incident(id)?.ok_or_else(|| Fault::Missing(Cause::NoIncident { incident: id }))
}

/// Returns an incident with all that hangs on it.
pub(crate) fn show(tx: &dyn Read, id: IncidentId) -> Result<Incident, Fault> {
    let row = tx.incident(id)?.ok_or_else(|| Fault::Missing(Cause::NoIncident { incident: id }))?;
    whole(tx, row)
}

/// Puts an incident together from what is stored about it.
pub(crate) fn whole(tx: &dyn Read, row: IncidentRow) -> Result<Incident, Fault> {
    let alerts = tx.alerts_of(row.id)?;
    let agencies = agencies(&alerts);
    let runs = tx.runs_of(row.id)?;
    Ok(Incident {
        id: row.id,
        title: row.title,
        status: row.status,
        severity: alerts.iter().map(|a| a.severity).max().unwrap_or(Severity::Low),
        agencies,
        detected: alerts.iter().map(Alert::detected).min().unwrap_or(row.opened),
        opened: row.opened,
        opened_by: row.opened_by,
        alerts: alerts.iter().map(|a| a.id).collect(),
        timeline: tx.timeline(row.id)?,
        evidence: tx.evidence_of(row.id)?,
        runs: runs
            .into_iter()
            .map(|r| RunSummary { id: r.id, playbook: r.playbook, state: r.state })
            .collect(),
        revision: row.revision,
    })
}

/// Returns the agencies whose agents found something, each once, by name. A file of packets brings no agency of its own.
pub(crate) fn agencies(alerts: &[Alert]) -> Vec<String> {
    let of_agents = alerts.iter().filter(|a| a.capture.is_none()).map(|a| a.agency.clone());
    of_agents.collect::<BTreeSet<_>>().into_iter().collect()
}
