//! What agents report: each record kept once, in order, acknowledged after the commit.
//!
//! A record that makes no sense is kept and counted; it never stops its lane.

use std::time::Instant;

use khien_core::{
    Sha256, Timestamp, Untrusted,
    asset::Presence,
    bundle::Pack,
    detection::builtin,
    event::{ScanOutcome, Unseen},
    problem::Cause,
    protocol::{Ack, Batch, MAX_RECORD, MAX_RECORDS, Mark, Record, Report},
    reason::Reason,
    text::{Message, hub as words},
};
use khien_playbooks::Playbook;

use crate::{
    fault::Fault,
    fleet,
    quota::Quotas,
    runs,
    store::{EventRow, Host, Write},
    triage::{self, Finding},
};

/// What ingest needs to know beside the store.
pub(crate) struct Desk<'a> {
    pub(crate) pack: Option<&'a Pack>,
    pub(crate) library: &'a [Playbook],
    pub(crate) quotas: &'a Quotas,
    pub(crate) now: Timestamp,
}

impl<'a> Desk<'a> {
    fn runs(&self) -> runs::Desk<'a> {
        runs::Desk { library: self.library, now: self.now }
    }

    fn event<'b>(&self, host: &Host, mark: Mark, hash: Sha256, body: &'b str) -> EventRow<'b> {
        EventRow { agent: host.agent.id, mark, hash, body, received: self.now }
    }
}

/// Checks what can be checked without the store.
pub(crate) fn check(batch: &Batch) -> Result<(), Fault> {
    if batch.records.len() > MAX_RECORDS {
        return Err(Fault::TooLarge(Cause::TooManyRecords { limit: MAX_RECORDS as u64 }));
    }
    if batch.records.iter().any(|r| r.body.len() > MAX_RECORD) {
        return Err(Fault::TooLarge(Cause::RecordTooLarge { limit: MAX_RECORD as u64 }));
    }
    let rising = batch.records.windows(2).all(|pair| pair[0].seq.checked_add(1) == Some(pair[1].seq));
    let fits = batch.records.iter().all(|r| r.seq > 0 && i64::try_from(r.seq).is_ok());
    match rising && fits {
        true => Ok(()),
        false => Err(Fault::Bad(Cause::RecordsNotInOrder)),
    }
}

/// Takes a batch in. Identity comes from the connection, never from the batch.
pub(crate) fn take(tx: &mut dyn Write, desk: &Desk<'_>, host: &mut Host, batch: Batch) -> Result<Ack, Fault> {
    let epoch = batch.epoch;
    let acked = tx.acked(host.agent.id, epoch)?;
    let mut mark = Mark { epoch, seq: acked };
    if batch.records.first().is_some_and(|r| r.seq > acked + 1) {
        return Err(Fault::Gap(mark));
    }
    for record in batch.records {
        let at = Mark { epoch, seq: record.seq };
        if record.seq <= acked {
            seen_before(tx, desk, host, at, &record)?;
            continue;
        }
        keep(tx, desk, host, at, record)?;
        mark = at;
    }
    if mark.seq > acked {
        tx.set_acked(host.agent.id, mark)?;
    }
    Ok(Ack { mark })
}

/// Looks at a record whose number is stored already: the same again is nothing, other content is a fork.
fn seen_before(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    host: &Host,
    at: Mark,
    record: &Record,
) -> Result<(), Fault> {
    let hash = Sha256::of(record.body.as_bytes());
    if tx.event_hashes(host.agent.id, at)?.contains(&hash) {
        return Ok(());
    }
    tx.put_event(&desk.event(host, at, hash, &record.body))?;
    altered(tx, desk, host, at, words::TWO_CONTENTS)
}

fn altered(tx: &mut dyn Write, desk: &Desk<'_>, host: &Host, at: Mark, how: Message) -> Result<(), Fault> {
    let what = how.words_with(&[&at.seq, &at.epoch]);
    let finding = Finding::about_agent(host, builtin::EVENT_FORK, &at.epoch.to_string(), what, desk.now);
    raise(tx, desk, host, finding)
}

/// Counts a finding. What would be one more new alert than the agent's share is counted in one alert about the agent;
/// the record is kept like any other.
fn raise(tx: &mut dyn Write, desk: &Desk<'_>, host: &Host, mut finding: Finding) -> Result<(), Fault> {
    let is_new = tx.alert_by_key(&finding.key)?.is_none();
    if is_new && !desk.quotas.new_alert(host.agent.id, Instant::now()) {
        let what = words::MORE_ALERTS_THAN_ITS_SHARE.words_with(&[&finding.rule]);
        let flood = Finding::about_agent(host, builtin::AGENT_FLOOD, "", what, finding.at);
        finding = Finding { path: finding.path, ..flood };
    }
    triage::take(tx, host, desk.pack, finding, desk.now)
}

fn keep(tx: &mut dyn Write, desk: &Desk<'_>, host: &mut Host, at: Mark, record: Record) -> Result<(), Fault> {
    let hash = Sha256::of(record.body.as_bytes());
    tx.put_event(&desk.event(host, at, hash, &record.body))?;
    if hash != record.hash {
        altered(tx, desk, host, at, words::OTHER_HASH)?;
    }
    match serde_json::from_str(&record.body) {
        Ok(report) => match understand(tx, desk, host, report) {
            Err(fault) if !fault.is_failure() => {
                // One odd record must never hold up those behind it.
                tracing::error!(agent = %host.agent.id, seq = at.seq, %fault, "record is kept, nothing follows from it");
                Ok(tx.count_unreadable(host.agent.id)?)
            }
            done => done,
        },
        Err(error) => {
            tracing::warn!(agent = %host.agent.id, seq = at.seq, %error, "record cannot be read, kept as it is");
            Ok(tx.count_unreadable(host.agent.id)?)
        }
    }
}

/// Does what a report asks for.
fn understand(tx: &mut dyn Write, desk: &Desk<'_>, host: &mut Host, report: Report) -> Result<(), Fault> {
    let finding = match report {
        Report::Detection(detection) => Finding::detected(host, *detection),
        Report::NotScanned { path, outcome, at, unseen } => not_scanned(host, path, (outcome, &unseen), at),
        Report::Blind { scope, cause, from, until, lost } => {
            let what = words::events_lost(&scope, lost, &words::span(from, until), &cause.words());
            let about = format!("{scope}\0{}", cause.code());
            Finding::about_agent(host, builtin::SENSOR_BLIND, &about, what, until)
        }
        Report::Dropped { count, from, until } => {
            let what = words::SPOOL_FULL.words_with(&[&count, &words::span(from, until)]);
            Finding::about_agent(host, builtin::SENSOR_BLIND, "spool", what, until)
        }
        Report::Refused { order, reason, at } => {
            let finding = refusal(host, builtin::ORDER_REFUSED, &reason, at);
            if let Some(order) = order {
                runs::refused_by_agent(tx, &desk.runs(), host, order, reason)?;
            }
            finding
        }
        Report::PackRefused { reason, at } => refusal(host, builtin::PACK_REFUSED, &reason, at),
        Report::Receipt(receipt) => return runs::receipt(tx, &desk.runs(), host, receipt),
        Report::Started { at, died_after } => return started(tx, desk, host, at, died_after),
        Report::Stopping { at: _ } => return fleet::set_presence(tx, host, Presence::Stopped),
    };
    raise(tx, desk, host, finding)
}

/// Says that an agent refused something; each cause is an alert of its own.
fn refusal(host: &Host, rule: &str, reason: &Reason, at: Timestamp) -> Finding {
    let about = match reason {
        Reason::OthersUnreported { because, .. } => because.code(),
        it => it.code(),
    };
    Finding::about_agent(host, rule, &about, reason.words(), at)
}

fn not_scanned(
    host: &Host,
    path: Untrusted,
    (outcome, unseen): (ScanOutcome, &[Unseen]),
    at: Timestamp,
) -> Finding {
    let about = format!("{}\0{path}", outcome.as_str());
    let what = khien_core::text::inside::not_scanned(outcome, unseen);
    let path = Some(path);
    Finding { path, ..Finding::about_agent(host, rule_of(outcome), &about, what, at) }
}

/// A file over which two workers died is more than one that could not be scanned.
fn rule_of(outcome: ScanOutcome) -> &'static str {
    match outcome {
        ScanOutcome::Crashed => builtin::SCAN_KILLED,
        _ => builtin::SCAN_FAILED,
    }
}

/// Notes a start. If the agent died before it, the host was unwatched for a while: that is an alert, unless the hub
/// has raised it for the same silence already.
fn started(
    tx: &mut dyn Write,
    desk: &Desk<'_>,
    host: &mut Host,
    at: Timestamp,
    died_after: Option<Timestamp>,
) -> Result<(), Fault> {
    let alerted = host.silent_from.take();
    fleet::set_presence(tx, host, Presence::Online)?;
    let Some(from) = died_after else { return Ok(()) };
    if alerted.is_some_and(|s| fleet::is_same_silence(s, from)) {
        return Ok(());
    }
    let what = words::DID_NOT_RUN.words_with(&[&words::span(from, at)]);
    let finding = Finding::about_agent(host, builtin::AGENT_SILENT, "", what, at);
    triage::take(tx, host, desk.pack, finding, desk.now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_kills_scan_workers_is_an_alert_of_its_own() {
        assert_eq!(rule_of(ScanOutcome::Crashed), "khien.scan.killed");
        assert_eq!(rule_of(ScanOutcome::TooLarge), "khien.scan.failed");
    }
}
