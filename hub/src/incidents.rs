//! Incidents: opened from alerts, with a timeline that only grows.

use khien_core::{
    AlertId, IncidentId, Severity, Timestamp,
    alert::Alert,
    api::OpenIncident,
    incident::{Entry, EntryKind, Incident, IncidentStatus},
    run::RunSummary,
    time,
};

use crate::{
    fault::Fault,
    store::{IncidentRow, Read, Write},
};

/// The longest title in characters.
const MAX_TITLE: usize = 300;
/// The longest note in bytes.
const MAX_NOTE: usize = 16 << 10;
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
        return Err(Fault::Bad(format!("an incident is opened from 1 to {MAX_ALERTS} alerts")));
    }
    let mut alerts = Vec::with_capacity(ids.len());
    for id in ids {
        let alert = tx.alert(id)?.ok_or_else(|| Fault::Missing(format!("alert {id}")))?;
        if let Some(other) = alert.incident {
            return Err(Fault::Conflict(format!("alert {id} belongs to incident {other} already")));
        }
        alerts.push(alert);
    }
    Ok(alerts)
}

fn title(wanted: Option<&str>, alerts: &[Alert]) -> Result<String, Fault> {
    let wanted = wanted.map(str::trim).filter(|t| !t.is_empty());
    let title =
        wanted.map_or_else(|| alerts.first().map(|a| a.title.vi.clone()).unwrap_or_default(), str::to_owned);
    if title.chars().count() > MAX_TITLE || title.chars().any(khien_core::untrusted::hides) {
        return Err(Fault::Bad(format!(
            "a title has at most {MAX_TITLE} characters, none of them control characters"
        )));
    }
    Ok(title)
}

fn join(tx: &mut dyn Write, id: IncidentId, mut alert: Alert) -> Result<(), Fault> {
    let place = alert.path.as_ref().or(alert.what.as_ref()).map(ToString::to_string);
    let place = place.or_else(|| alert.flow.as_ref().map(|f| format!("{} → {}", f.client, f.server)));
    let text = format!("{} {}: {}", alert.id, alert.title.vi, place.unwrap_or_default());
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
        return Err(Fault::Bad("a note has 1 byte to 16 KiB".to_owned()));
    }
    row(tx, id)?;
    write(tx, id, Entry { at: now, who: by.to_owned(), kind: EntryKind::Note, text: text.to_owned() })?;
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
    tx.incident(id)?.ok_or_else(|| Fault::Missing(format!("incident {id}")))
}

/// Returns an incident with all that hangs on it.
pub(crate) fn show(tx: &dyn Read, id: IncidentId) -> Result<Incident, Fault> {
    let row = tx.incident(id)?.ok_or_else(|| Fault::Missing(format!("incident {id}")))?;
    whole(tx, row)
}

/// Puts an incident together from what is stored about it.
pub(crate) fn whole(tx: &dyn Read, row: IncidentRow) -> Result<Incident, Fault> {
    let alerts = tx.alerts_of(row.id)?;
    let mut agencies: Vec<String> = alerts.iter().map(|a| a.agency.clone()).collect();
    agencies.sort_unstable();
    agencies.dedup();
    let runs = tx.runs_of(row.id)?;
    Ok(Incident {
        id: row.id,
        title: row.title,
        status: row.status,
        severity: alerts.iter().map(|a| a.severity).max().unwrap_or(Severity::Low),
        agencies,
        detected: alerts.iter().map(|a| a.first_seen).min().unwrap_or(row.opened),
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
