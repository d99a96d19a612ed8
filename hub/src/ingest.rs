//! What agents report: each record kept once, in order, acknowledged after the commit.
//!
//! A record that makes no sense is kept and counted; it never stops its lane.

use khien_core::{
    Sha256, Timestamp, Untrusted,
    asset::Presence,
    bundle::Pack,
    detection::builtin,
    event::ScanOutcome,
    order::Receipt,
    protocol::{Ack, Batch, MAX_RECORD, MAX_RECORDS, Mark, Record, Report},
    time,
};
use khien_playbooks::Playbook;

use crate::{
    fault::Fault,
    fleet, runs,
    store::{EventRow, Host, Write},
    triage::{self, Finding},
};

/// The longest text of an agent's own words that is kept.
const MAX_WORDS: usize = 512;

/// What ingest needs to know beside the store.
pub(crate) struct Desk<'a> {
    pub(crate) pack: Option<&'a Pack>,
    pub(crate) library: &'a [Playbook],
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
        return Err(Fault::TooLarge(format!("a batch has at most {MAX_RECORDS} records")));
    }
    if batch.records.iter().any(|r| r.body.len() > MAX_RECORD) {
        return Err(Fault::TooLarge(format!("a record has at most {MAX_RECORD} bytes")));
    }
    let rising = batch.records.windows(2).all(|pair| pair[0].seq.checked_add(1) == Some(pair[1].seq));
    let fits = batch.records.iter().all(|r| r.seq > 0 && i64::try_from(r.seq).is_ok());
    match rising && fits {
        true => Ok(()),
        false => Err(Fault::Bad("records of a batch are numbered from 1, rising by one".to_owned())),
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
    altered(tx, desk, host, at, "two contents came under one number")
}

fn altered(tx: &mut dyn Write, desk: &Desk<'_>, host: &Host, at: Mark, how: &str) -> Result<(), Fault> {
    let what = format!("{how}: record {} of lane {}", at.seq, at.epoch);
    let finding = Finding::about_agent(host, builtin::EVENT_FORK, &at.epoch.to_string(), what, desk.now);
    triage::take(tx, host, desk.pack, finding, desk.now)
}

fn keep(tx: &mut dyn Write, desk: &Desk<'_>, host: &mut Host, at: Mark, record: Record) -> Result<(), Fault> {
    let hash = Sha256::of(record.body.as_bytes());
    tx.put_event(&desk.event(host, at, hash, &record.body))?;
    if hash != record.hash {
        altered(tx, desk, host, at, "content does not fit its hash")?;
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
        Report::Detection(detection) => Finding::detected(host, detection),
        Report::NotScanned { path, outcome, at } => not_scanned(host, path, outcome, at),
        Report::Blind { scope, cause, from, until, lost } => {
            let cause = words(&cause);
            let lost = lost.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
            let what = format!("{scope}: {lost} events lost {}: {cause}", span(from, until));
            Finding::about_agent(host, builtin::SENSOR_BLIND, &format!("{scope}\0{cause}"), what, until)
        }
        Report::Dropped { count, from, until } => {
            let what = format!("spool was full {}, {count} records dropped", span(from, until));
            Finding::about_agent(host, builtin::SENSOR_BLIND, "spool", what, until)
        }
        Report::Refused { order, reason, at } => {
            let reason = words(&reason);
            if let Some(order) = order {
                runs::refused_by_agent(tx, &desk.runs(), host, order, &reason)?;
            }
            Finding::about_agent(host, builtin::ORDER_REFUSED, &reason, reason.clone(), at)
        }
        Report::PackRefused { reason, at } => {
            let reason = words(&reason);
            Finding::about_agent(host, builtin::PACK_REFUSED, &reason, reason.clone(), at)
        }
        Report::Receipt(receipt) => return runs::receipt(tx, &desk.runs(), host, bounded(receipt)),
        Report::Started { at, died_after } => return started(tx, desk, host, at, died_after),
        Report::Stopping { at: _ } => return fleet::set_presence(tx, host, Presence::Stopped),
    };
    triage::take(tx, host, desk.pack, finding, desk.now)
}

fn not_scanned(host: &Host, path: Untrusted, outcome: ScanOutcome, at: Timestamp) -> Finding {
    let about = format!("{}\0{path}", outcome.as_str());
    let what = outcome.as_str().to_owned();
    let path = Some(path);
    Finding { path, ..Finding::about_agent(host, builtin::SCAN_FAILED, &about, what, at) }
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
    let what = format!("agent did not run {}", span(from, at));
    let finding = Finding::about_agent(host, builtin::AGENT_SILENT, "", what, at);
    triage::take(tx, host, desk.pack, finding, desk.now)
}

fn bounded(mut receipt: Receipt) -> Receipt {
    if let khien_core::order::Outcome::Failed { reason } = &mut receipt.outcome {
        *reason = words(reason);
    }
    receipt
}

/// Writes an interval as a responder reads it.
fn span(from: Timestamp, until: Timestamp) -> String {
    format!("from {} until {} (Vietnam time)", time::shown(from), time::shown(until))
}

/// Makes an agent's own words safe and short.
fn words(text: &str) -> String {
    khien_core::untrusted::escape(text.as_bytes()).chars().take(MAX_WORDS).collect()
}
