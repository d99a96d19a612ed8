//! What operators found in files of packets: alerts of an incident, each once, and a line of its timeline.
//!
//! The hub reads no packets. It takes findings as it takes those of agents: the words and the severity are the pack's, times
//! are never later than now, and a client that lies can make no more than so many alerts of one file.

use khien_core::{
    AgentId, IncidentId, Sha256, Timestamp, Untrusted,
    alert::Alert,
    api::{CaptureTaken, SendCapture},
    asset::NO_AGENCY,
    bundle::Pack,
    capture::{
        Capture, CaptureEnd, CaptureFinding, MAX_FINDING, MAX_HOST, MAX_NAME, MOST_ALERTS, MOST_FINDINGS,
    },
    event::FlowFacts,
    incident::{Entry, EntryKind},
    problem::Cause,
    text::{Words, hub as words},
};

use crate::{
    fault::Fault,
    incidents, runs,
    store::{CaptureRow, Finder, Read, Write},
    triage::{self, Finding},
};

/// The most findings that one finding says it stands for; no capture has more packets.
const MOST_COUNTED: u64 = 1 << 40;

/// What is needed beside the store.
pub(crate) struct Desk<'a> {
    /// The current pack, whose words describe findings.
    pub(crate) pack: Option<&'a Pack>,
    /// The operator's name.
    pub(crate) by: &'a str,
    pub(crate) now: Timestamp,
}

/// Checks what can be checked without the store.
pub(crate) fn check(wanted: &SendCapture) -> Result<(), Fault> {
    if wanted.findings.len() > MOST_FINDINGS {
        return Err(Fault::TooLarge(Cause::TooManyRecords { limit: MOST_FINDINGS as u64 }));
    }
    let too_large = |f: &CaptureFinding| serde_json::to_vec(f).is_ok_and(|json| json.len() > MAX_FINDING);
    match wanted.findings.iter().any(too_large) {
        true => Err(Fault::TooLarge(Cause::RecordTooLarge { limit: MAX_FINDING as u64 })),
        false => Ok(()),
    }
}

/// Takes findings in, and says in the timeline what the file was once they are all there. The same again changes nothing.
pub(crate) fn take(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    incident: IncidentId,
    wanted: SendCapture,
) -> Result<CaptureTaken, Fault> {
    runs::check_open(tx, incident)?;
    let pack = desk.pack.ok_or(Fault::Conflict(Cause::NoPack))?;
    if let Some(stranger) = wanted.findings.iter().find(|f| !f.is_of_packets()) {
        let rule = Untrusted::from(stranger.detection.rule.as_str());
        return Err(Fault::Bad(Cause::CaptureFinding { rule, pack: pack.version }));
    }
    let before = row(tx, incident, &wanted)?;
    let mut row = before.clone();
    let mut taken = CaptureTaken::default();
    for finding in wanted.findings {
        match is_described(&finding, pack) {
            true => add(tx, desk, &mut row, finding, &mut taken)?,
            // The pack is another one than that against which the file was held: the others are of use all the same.
            false => *taken.unknown.entry(finding.detection.rule).or_default() += 1,
        }
    }
    taken.alerts = row.alerts;
    if before.alerts == 0 && row.alerts > 0 && wanted.end.is_none() {
        // The end may never come; who the alerts are from must stand there all the same.
        let text = words::CAPTURE_BEGUN.words_with(&[&row.capture.name, &row.capture.sha256]);
        write(tx, desk, &row, text)?;
    }
    if taken.added > 0 {
        let revision = tx.next_revision();
        tx.touch_incident(incident, revision)?;
    }
    // The same again is no news; more alerts are, and so is another look that saw more of the file, or less.
    if let Some(end) = wanted.end.filter(|end| row.told != Some(row.alerts) || row.end.as_ref() != Some(end))
    {
        let unknown: u64 = taken.unknown.values().sum();
        tell(tx, desk, &row, &end, taken.left_out.saturating_add(unknown))?;
        (row.told, row.end) = (Some(row.alerts), Some(end));
    }
    if row != before || row.told.is_none() {
        tx.put_capture(&row)?;
    }
    Ok(taken)
}

/// Tells whether the team's pack or this program describes what was found.
fn is_described(finding: &CaptureFinding, pack: &Pack) -> bool {
    let rule = &finding.detection.rule;
    rule.as_str().starts_with("khien.") || pack.rule(rule).is_some()
}

/// Returns what is known of the file. Who names it first names it for good.
fn row(tx: &dyn Read, incident: IncidentId, wanted: &SendCapture) -> Result<CaptureRow, Fault> {
    let sha256 = wanted.capture.sha256;
    match tx.capture(&sha256)? {
        Some(row) if row.incident == incident => Ok(row),
        Some(row) => Err(Fault::Conflict(Cause::CaptureTaken { sha256, incident: row.incident })),
        None => {
            let name = Untrusted::cut(wanted.capture.name.raw(), MAX_NAME);
            let host = wanted.host.as_ref().map(|host| Untrusted::cut(host.raw(), MAX_HOST));
            let host = host.filter(|host| !host.raw().is_empty()).unwrap_or_else(|| name.clone());
            let agency = agency(tx, incident)?;
            let capture = Capture { name, sha256 };
            Ok(CaptureRow { capture, incident, host, agency, alerts: 0, told: None, end: None })
        }
    }
}

/// Returns the agency of an incident, if it has just one.
fn agency(tx: &dyn Read, incident: IncidentId) -> Result<String, Fault> {
    let alerts = tx.alerts_of(incident)?;
    Ok(match &incidents::agencies(&alerts)[..] {
        [one] => one.clone(),
        _ => NO_AGENCY.to_owned(),
    })
}

/// Makes an alert of a finding that is new.
fn add(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    row: &mut CaptureRow,
    finding: CaptureFinding,
    taken: &mut CaptureTaken,
) -> Result<(), Fault> {
    let key = finding.key(&row.capture.sha256);
    if tx.alert_by_key(&key)?.is_some() {
        taken.known += 1;
    } else if row.alerts >= MOST_ALERTS {
        taken.left_out += 1;
    } else {
        let mut alert = alert(tx, desk, row, (key, finding));
        tx.add_alert(&key, &mut alert)?;
        (row.alerts, taken.added) = (row.alerts + 1, taken.added + 1);
    }
    Ok(())
}

fn alert(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    row: &CaptureRow,
    (key, finding): (Sha256, CaptureFinding),
) -> Alert {
    let CaptureFinding { detection, last, count, carried } = finding;
    let possible = |at: Timestamp| at.max(Timestamp::UNIX_EPOCH).min(desk.now);
    let (first, last) = (possible(detection.at), possible(last));
    let mut found = Finding::keyed(key, detection);
    found.at = first;
    found.flow.iter_mut().chain(&mut found.flows).for_each(forget_process);
    if let Some(carried) = carried {
        found.path = Some(carried.name).filter(|name| !name.raw().is_empty());
        found.sha256 = Some(carried.sha256);
    }
    let by =
        Finder { agent: AgentId::NONE, host: &row.host, agency: &row.agency, capture: Some(&row.capture) };
    let mut alert = triage::fresh(tx, &by, desk.pack, found, desk.now);
    alert.last_seen = last.max(first);
    alert.count = count.clamp(1, MOST_COUNTED);
    alert.incident = Some(row.incident);
    alert
}

/// Nobody owns the sockets of a file of packets.
fn forget_process(flow: &mut FlowFacts) {
    flow.process = None;
}

fn tell(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    row: &CaptureRow,
    end: &CaptureEnd,
    left_out: u64,
) -> Result<(), Fault> {
    let left_out = end.left_out.saturating_add(left_out);
    write(tx, desk, row, words::capture(&row.capture, end, row.alerts, left_out))
}

/// Writes a line of the timeline in the operator's name.
fn write(tx: &mut dyn Write, desk: &Desk<'_>, row: &CaptureRow, text: Words) -> Result<(), Fault> {
    let entry = Entry { at: desk.now, who: desk.by.to_owned(), kind: EntryKind::CaptureScanned, text };
    incidents::write(tx, row.incident, entry)
}
