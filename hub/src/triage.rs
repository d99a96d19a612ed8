//! From findings to alerts: merge, describe, reopen; and what people decide about alerts.

use khien_core::{
    AlertId, RuleId, Severity, Sha256, Timestamp, Untrusted,
    alert::{Alert, Status, Verdict},
    api::CloseAlert,
    bundle::Pack,
    conduct::{Also, Behaviour, Conduct, Differs},
    detection::{Detection, MAX_DIFF, MAX_FLOWS, Subject, merge_key},
    event::{Excerpt, FileFacts, FlowFacts, MAX_EXCERPTS, Process},
    mandate::CLOCK_SLACK,
    policy::{self, Group},
    problem::Cause,
    text::{
        Words,
        builtin::{Builtin, builtin_rule},
        integrity,
    },
    time,
};

use crate::{
    fault::Fault,
    store::{Finder, HistoryLine, Host, Write},
};

/// The longest reason in bytes.
const MAX_REASON: usize = 16 << 10;
/// The longest text of an agent's own words that is kept, in bytes.
const MAX_WORDS: usize = 512;

/// One finding about a host, ready to be counted.
pub(crate) struct Finding {
    pub(crate) rule: RuleId,
    /// Equal keys are one alert.
    pub(crate) key: Sha256,
    pub(crate) at: Timestamp,
    pub(crate) path: Option<Untrusted>,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) file: Option<FileFacts>,
    pub(crate) process: Option<Process>,
    pub(crate) flow: Option<FlowFacts>,
    pub(crate) flows: Vec<FlowFacts>,
    pub(crate) what: Option<Words>,
    pub(crate) diff: Option<Untrusted>,
    pub(crate) excerpts: Vec<Excerpt>,
    /// What was done to a file that the policy keeps an eye on.
    pub(crate) differs: Option<Differs>,
    /// What was done to files of a web root, or to many files at once.
    pub(crate) deed: Option<Behaviour>,
    /// Whether a verdict of false positive also holds for the next one: never for what concerns an agent itself.
    pub(crate) can_be_known_false: bool,
    /// Whether the excerpts are of a process's memory: what lies around a match there is another each time, and so is where.
    pub(crate) in_memory: bool,
}

impl Finding {
    /// Takes over what an agent detected.
    pub(crate) fn detected(host: &Host, detection: Detection) -> Self {
        Self::keyed(merge_key(host.agent.id, &detection.rule, &detection.subject), detection)
    }

    /// Takes over a detection that counts with others of a key.
    pub(crate) fn keyed(key: Sha256, detection: Detection) -> Self {
        let mut it = Self::bare(detection.rule, key, detection.at);
        match detection.subject {
            Subject::File(f) => {
                it.path = Some(f.path);
                it.sha256 = Some(f.sha256);
                it.file = Some(f.file);
                it.process = f.process;
                it.excerpts = f.excerpts;
            }
            Subject::Flow(f) => {
                it.flow = Some(f.flow);
                it.excerpts = f.excerpts;
            }
            Subject::Conduct(c) => {
                // Without content to compare, the next one may be another deed in the same place.
                it.can_be_known_false = c.sha256.is_some() || c.diff.is_some();
                it.path = Some(c.path);
                it.sha256 = c.sha256;
                it.file = c.file;
                it.process = c.process;
                match c.what {
                    Conduct::Behaviour(deed) => it.deed = Some(deed),
                    Conduct::Integrity(change) => {
                        it.what = Some(change.words());
                        it.differs = Some(change.differs);
                    }
                }
                it.diff = c.diff.map(|diff| Untrusted::cut(diff.raw(), MAX_DIFF));
            }
            Subject::Process(p) => {
                it.what = Some(p.words());
                // Without content to compare, the next one may be another program of the same name.
                it.can_be_known_false = p.sha256.is_some() || !p.excerpts.is_empty();
                it.sha256 = p.sha256;
                it.process = Some(p.process);
                it.excerpts = p.excerpts;
                it.in_memory = true;
            }
            Subject::Traffic(t) => {
                it.what = Some(t.words());
                it.can_be_known_false = t.is_lasting();
                let mut flows = t.flows.into_iter();
                it.flow = flows.next();
                it.flows = flows.take(MAX_FLOWS - 1).collect();
            }
            Subject::Agent(a) => {
                it.what = Some(Words::same(short(&a.what)));
                it.can_be_known_false = false;
            }
        }
        it.excerpts.truncate(MAX_EXCERPTS);
        it
    }

    /// Says something about an agent; findings of one rule with equal `about` are one alert.
    pub(crate) fn about_agent(host: &Host, rule: &str, about: &str, what: Words, at: Timestamp) -> Self {
        let rule: RuleId = rule.parse().expect("names of built-in detectors are rule ids");
        let key = Sha256::of(format!("{}\0{rule}\0hub\0{about}", host.agent.id).as_bytes());
        Self { what: Some(what), can_be_known_false: false, ..Self::bare(rule, key, at) }
    }

    fn bare(rule: RuleId, key: Sha256, at: Timestamp) -> Self {
        Self {
            rule,
            key,
            at,
            path: None,
            sha256: None,
            file: None,
            process: None,
            flow: None,
            flows: Vec::new(),
            what: None,
            diff: None,
            excerpts: Vec::new(),
            differs: None,
            deed: None,
            can_be_known_false: true,
            in_memory: false,
        }
    }
}

/// Makes an agent's own words safe and short.
fn short(text: &Untrusted) -> String {
    Untrusted::cut(text.raw(), MAX_WORDS).to_string()
}

/// Counts a finding: a new alert, or one more of an alert that is there.
pub(crate) fn take(
    tx: &mut dyn Write,
    host: &Host,
    pack: Option<&Pack>,
    mut finding: Finding,
    now: Timestamp,
) -> Result<(), Fault> {
    // No host saw anything before it joined, or later than now: a wrong clock must not move the legal clocks.
    let earliest = time::after(host.enrolled, -CLOCK_SLACK);
    finding.at = finding.at.max(earliest).min(now);
    match tx.alert_by_key(&finding.key)? {
        None => {
            let key = finding.key;
            let mut alert = fresh(tx, &host.finder(), pack, finding, now);
            Ok(tx.add_alert(&key, &mut alert)?)
        }
        Some(alert) => merge(tx, host, pack, (alert, finding), now),
    }
}

/// Describes a finding that is new. It is not stored yet and has no number.
pub(crate) fn fresh(
    tx: &mut dyn Write,
    by: &Finder<'_>,
    pack: Option<&Pack>,
    f: Finding,
    now: Timestamp,
) -> Alert {
    let words = describe(&f.rule, pack, f.differs.as_ref());
    let mut also = Also::default();
    let what = f.deed.map(|deed| also.count(deed, None, None)).or(f.what);
    Alert {
        id: AlertId(0),
        rule: f.rule,
        title: words.title,
        severity: words.severity,
        status: Status::New,
        verdict: None,
        reason: None,
        by: None,
        agent: by.agent,
        host: by.host.clone(),
        agency: by.agency.to_owned(),
        capture: by.capture.cloned(),
        path: f.path,
        sha256: f.sha256,
        file: f.file,
        process: f.process,
        flow: f.flow,
        flows: f.flows,
        what,
        also,
        diff: f.diff,
        excerpts: f.excerpts,
        technique: words.technique,
        explanation: words.explanation,
        next_step: words.next_step,
        first_seen: f.at,
        last_seen: f.at,
        received: now,
        count: 1,
        incident: None,
        revision: tx.next_revision(),
    }
}

/// Tells whether excerpts show nothing but what was seen before.
fn is_known(before: &[Excerpt], f: &Finding) -> bool {
    let is_among = |now: &Excerpt| before.iter().any(|seen| seen.matched == now.matched);
    if f.in_memory { f.excerpts.iter().all(is_among) } else { before == f.excerpts }
}

fn merge(
    tx: &mut dyn Write,
    host: &Host,
    pack: Option<&Pack>,
    (mut alert, f): (Alert, Finding),
    now: Timestamp,
) -> Result<(), Fault> {
    let known_false = f.can_be_known_false
        && alert.verdict == Some(Verdict::FalsePositive)
        && alert.sha256 == f.sha256
        && alert.diff == f.diff
        && is_known(&alert.excerpts, &f);
    if alert.status == Status::Closed && !known_false {
        let reason = alert.reason.clone();
        let by = format!("agent {}", host.agent.host);
        let decision = Decision { to: Status::New, verdict: None, reason: None, by: &by, at: now };
        set_status(tx, &mut alert, &decision)?;
        if f.deed.is_some() {
            // What was judged is over: another hand begins.
            (alert.also, alert.process) = (Also::default(), None);
        }
        tracing::info!(alert = %alert.id, ?reason, "a closed alert was seen again");
    }
    if f.differs.is_some() {
        // One file may be changed in several ways, one worse than the other.
        alert.severity = alert.severity.max(describe(&f.rule, pack, f.differs.as_ref()).severity);
    }
    count(&mut alert, f);
    alert.revision = tx.next_revision();
    Ok(tx.put_alert(&alert)?)
}

/// Takes over what is newest. Of deeds the first hand stays, and the others stand beside it: who comes later, or makes a
/// stir, must not hide who began.
fn count(alert: &mut Alert, f: Finding) {
    let is_newest = f.at >= alert.last_seen;
    let is_deed = f.deed.is_some();
    let words = f.deed.map(|deed| alert.also.count(deed, alert.process.as_ref(), f.process.as_ref()));
    if is_deed {
        alert.process = alert.process.take().or(f.process);
    } else if is_newest {
        let same_content = alert.sha256 == f.sha256;
        alert.process = f.process.or(alert.process.take().filter(|_| same_content));
    }
    if is_newest {
        alert.last_seen = f.at;
        alert.sha256 = f.sha256;
        alert.file = f.file;
        alert.flow = f.flow;
        alert.flows = f.flows;
        alert.what = words.or(f.what);
        alert.diff = f.diff;
        alert.excerpts = f.excerpts;
    }
    alert.first_seen = alert.first_seen.min(f.at);
    alert.count += 1;
}

struct Described {
    severity: Severity,
    technique: Option<String>,
    title: Words,
    explanation: Words,
    next_step: Words,
}

/// Finds the words for a rule. The severity is the team's, never the agent's.
fn describe(rule: &RuleId, pack: Option<&Pack>, differs: Option<&Differs>) -> Described {
    if let Some(name) = policy::prefix_of(rule.as_str()) {
        let group = pack.and_then(|p| p.policy.as_ref()).and_then(|p| p.group(name));
        return of_group(rule, name, group, differs);
    }
    if let Some(b) = builtin_rule(rule.as_str()) {
        return built_in(b);
    }
    if let Some(m) = pack.and_then(|p| p.rule(rule)) {
        return Described {
            severity: m.severity,
            technique: m.technique.clone(),
            title: m.title.clone(),
            explanation: m.explanation.clone(),
            next_step: m.next_step.clone(),
        };
    }
    let name = rule.to_string();
    Described {
        severity: Severity::Medium,
        technique: None,
        title: Words { vi: name.clone(), en: name },
        explanation: Words::default(),
        next_step: Words::default(),
    }
}

fn built_in(b: &Builtin) -> Described {
    Described {
        severity: b.severity,
        technique: b.technique.map(str::to_owned),
        title: b.title.words(),
        explanation: b.explanation.words(),
        next_step: b.next_step.words(),
    }
}

/// Finds the words for a group of files; the pack's policy has the last word on how bad a change is.
fn of_group(rule: &RuleId, name: &str, group: Option<&Group>, differs: Option<&Differs>) -> Described {
    let own = builtin_rule(rule.as_str());
    let mut said = built_in(own.unwrap_or_else(|| integrity::other()));
    if own.is_none() {
        said.title = integrity::OTHER_TITLE.words_with(&[&name]);
    }
    let Some(group) = group else { return said };
    said.severity = differs.map_or(group.severity, |d| group.severity_of(d));
    said.technique = group.technique.clone().or(said.technique);
    if !group.title.is_empty() {
        said.title = group.title.clone();
    }
    said
}

/// What somebody decided about an alert.
struct Decision<'a> {
    to: Status,
    verdict: Option<Verdict>,
    reason: Option<&'a str>,
    by: &'a str,
    at: Timestamp,
}

/// Marks that somebody is on it.
pub(crate) fn acknowledge(tx: &mut dyn Write, id: AlertId, by: &str, at: Timestamp) -> Result<Alert, Fault> {
    let decision = Decision { to: Status::Acknowledged, verdict: None, reason: None, by, at };
    change(tx, id, Status::New, &decision)
}

/// Takes a verdict back.
pub(crate) fn reopen(tx: &mut dyn Write, id: AlertId, by: &str, at: Timestamp) -> Result<Alert, Fault> {
    let decision = Decision { to: Status::New, verdict: None, reason: None, by, at };
    change(tx, id, Status::Closed, &decision)
}

/// Closes an alert with a verdict; a false positive needs a reason.
pub(crate) fn close(
    tx: &mut dyn Write,
    id: AlertId,
    how: &CloseAlert,
    by: &str,
    at: Timestamp,
) -> Result<Alert, Fault> {
    let reason = how.reason.trim();
    if how.verdict == Verdict::FalsePositive && reason.is_empty() {
        return Err(Fault::Bad(Cause::FalsePositiveNeedsReason));
    }
    if reason.len() > MAX_REASON {
        return Err(Fault::Bad(Cause::ReasonTooLong { limit: MAX_REASON as u64 }));
    }
    let from = found(tx, id)?.status;
    if from == Status::Closed {
        return Err(Fault::Conflict(Cause::AlertIsClosed { alert: id }));
    }
    let reason = Some(reason).filter(|r| !r.is_empty());
    change(tx, id, from, &Decision { to: Status::Closed, verdict: Some(how.verdict), reason, by, at })
}

fn found(tx: &mut dyn Write, id: AlertId) -> Result<Alert, Fault> {
    tx.alert(id)?.ok_or_else(|| Fault::Missing(Cause::NoAlert { alert: id }))
}

fn change(tx: &mut dyn Write, id: AlertId, from: Status, decision: &Decision<'_>) -> Result<Alert, Fault> {
    let mut alert = found(tx, id)?;
    if alert.status != from {
        return Err(Fault::Conflict(Cause::AlertStatus { alert: id, is: alert.status, needs: from }));
    }
    set_status(tx, &mut alert, decision)?;
    tx.put_alert(&alert)?;
    Ok(alert)
}

/// Sets a status and remembers it; the history keeps every verdict and reason that is taken back.
fn set_status(tx: &mut dyn Write, alert: &mut Alert, decision: &Decision<'_>) -> Result<(), Fault> {
    alert.status = decision.to;
    alert.verdict = decision.verdict;
    alert.reason = decision.reason.map(str::to_owned);
    alert.by = (decision.to != Status::New).then(|| decision.by.to_owned());
    alert.revision = tx.next_revision();
    Ok(tx.add_history(&HistoryLine {
        alert: alert.id,
        at: decision.at,
        who: decision.by.to_owned(),
        status: decision.to,
        verdict: alert.verdict,
        reason: alert.reason.clone(),
    })?)
}

#[cfg(test)]
mod tests;
