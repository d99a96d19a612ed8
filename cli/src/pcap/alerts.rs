//! Counts findings of one file of packets into alerts, as the hub does: equal things are one alert.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use khien_core::{
    Lang, RuleId, Severity, Sha256, Timestamp, Untrusted,
    capture::{CaptureFinding, Carried, finding_key},
    detection::{Detection, Pattern, Subject},
    event::{Direction, Excerpt, FlowFacts, MAX_EXCERPTS},
    text::Words,
    time,
};
use khien_traffic::sink::Origin;
use serde::Serialize;

use super::rules::Ready;

/// Alerts of one file that are counted; each further finding is told by itself.
const MAX_ALERTS: usize = 65_536;
/// Hits that are remembered: pieces of a stream overlap, and what stands in two of them is one finding.
const MAX_HITS: usize = 65_536;

/// One alert. Names of fields are those of `khien alert list --json`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Alert {
    pub(super) rule: RuleId,
    pub(super) title: Words,
    pub(super) severity: Severity,
    /// The file of packets.
    pub(super) capture: Untrusted,
    /// The name of the carried file in which it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Untrusted>,
    /// Its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Sha256>,
    pub(super) flow: Option<FlowFacts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) flows: Vec<FlowFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) what: Option<Words>,
    pub(super) excerpts: Vec<Excerpt>,
    pub(super) technique: Option<String>,
    pub(super) explanation: Words,
    pub(super) next_step: Words,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) count: u64,
    /// Where it was found first, if it is to be sent to a hub.
    #[serde(skip)]
    pub(super) subject: Option<Box<Subject>>,
}

/// Something that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) rule: RuleId,
    pub(super) at: Timestamp,
    pub(super) subject: Subject,
    /// The name and the digest of the carried file.
    pub(super) carried: Option<(Untrusted, Sha256)>,
}

/// The alerts of one file of packets.
#[derive(Debug)]
pub(super) struct Alerts {
    capture: Untrusted,
    /// Whether subjects are kept, because the alerts are to be sent.
    keeps: bool,
    alerts: HashMap<Sha256, Alert>,
    /// Findings for which there was no room.
    more: u64,
    hits: HashSet<(Origin, Direction, RuleId)>,
}

impl Alerts {
    pub(super) fn new(capture: Untrusted, keeps: bool) -> Self {
        Self { capture, keeps, alerts: HashMap::new(), more: 0, hits: HashSet::new() }
    }

    /// Tells whether a rule matches in this exchange for the first time.
    pub(super) fn is_new(&mut self, origin: Origin, direction: Direction, rule: &RuleId) -> bool {
        if self.hits.len() >= MAX_HITS {
            self.hits.clear();
        }
        self.hits.insert((origin, direction, rule.clone()))
    }

    /// Counts a finding; returns the alert if it is a new one.
    pub(super) fn count(&mut self, found: Found, ready: &Ready) -> Option<Alert> {
        let carried = found.carried.as_ref().map(|(_, digest)| digest);
        let key = finding_key(&found.rule, &found.subject, carried);
        let is_full = self.is_full();
        match self.alerts.entry(key) {
            Entry::Occupied(known) => {
                let alert = known.into_mut();
                alert.count += 1;
                alert.first_seen = alert.first_seen.min(found.at);
                alert.last_seen = alert.last_seen.max(found.at);
                alert.renew(found.subject);
                None
            }
            Entry::Vacant(_) if is_full => {
                self.more += 1;
                Some(fresh(found, &self.capture, ready))
            }
            Entry::Vacant(place) => {
                let subject = self.keeps.then(|| Box::new(found.subject.clone()));
                let told = fresh(found, &self.capture, ready);
                place.insert(Alert { subject, ..told.clone() });
                Some(told)
            }
        }
    }

    /// Returns all of them, the oldest first.
    pub(super) fn all(self) -> Vec<Alert> {
        let mut all: Vec<Alert> = self.alerts.into_values().collect();
        all.sort_by(|a, b| (a.first_seen, &a.rule).cmp(&(b.first_seen, &b.rule)));
        all
    }

    /// Tells whether there is no room for one more: it is told at once and counted by itself.
    pub(super) fn is_full(&self) -> bool {
        self.alerts.len() >= MAX_ALERTS
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> u64 {
        self.alerts.len() as u64 + self.more
    }
}

fn fresh(found: Found, capture: &Untrusted, ready: &Ready) -> Alert {
    let said = ready.said(&found.rule);
    let (mut flow, mut flows, mut what, mut excerpts) = (None, Vec::new(), None, Vec::new());
    match found.subject {
        Subject::Flow(subject) => (flow, excerpts) = (Some(subject.flow), subject.excerpts),
        Subject::Traffic(subject) => {
            what = Some(subject.words());
            let mut all = subject.flows.into_iter();
            flow = all.next();
            flows = all.collect();
        }
        // Nothing else is found on the wire.
        _ => {}
    }
    excerpts.truncate(MAX_EXCERPTS);
    let (path, sha256) = found.carried.unzip();
    Alert {
        rule: found.rule,
        title: said.title,
        severity: said.severity,
        capture: capture.clone(),
        path: path.filter(|path| !path.raw().is_empty()),
        sha256,
        flow,
        flows,
        what,
        excerpts,
        technique: said.technique,
        explanation: said.explanation,
        next_step: said.next_step,
        first_seen: found.at,
        last_seen: found.at,
        count: 1,
        subject: None,
    }
}

impl Alert {
    /// Takes over what says more than what came before it: of many pairs of hosts each finding counts all so far.
    fn renew(&mut self, subject: Subject) {
        let Subject::Traffic(found) = &subject else { return };
        if !matches!(found.what, Pattern::EvasionSpread { .. }) {
            return;
        }
        self.what = Some(found.words());
        if let Some(kept) = &mut self.subject {
            **kept = subject;
        }
    }

    /// Returns what a hub is told of it; none if that was not kept.
    pub(super) fn finding(self, pack: u64) -> Option<CaptureFinding> {
        let subject = *self.subject?;
        let name = self.path.unwrap_or_default();
        let carried = self.sha256.map(|sha256| Carried { name, sha256 });
        let detection = Detection { rule: self.rule, at: self.first_seen, pack, subject };
        Some(CaptureFinding { detection, last: self.last_seen, count: self.count, carried })
    }

    /// Writes it behind its severity: rule, when and where.
    pub(super) fn line(&self, lang: Lang) -> String {
        let at = time::shown(self.first_seen);
        let flow = self.flow.as_ref().map(|f| {
            let name = f.url.as_ref().or(f.name.as_ref()).map(|name| format!(" {name}")).unwrap_or_default();
            let listed = f.listed.as_ref().map(|listed| format!(" [{listed}]")).unwrap_or_default();
            format!("{} → {}{name}{listed}", f.client, f.server)
        });
        let what = self.what.as_ref().map(|what| what.get(lang).to_owned());
        let place = what.or(flow).unwrap_or_default();
        let inside = self.path.as_ref().map(|path| format!(" › {path}")).unwrap_or_default();
        format!("{}  {at}  {}: {place}{inside}", self.rule, self.capture)
    }
}

#[cfg(test)]
mod tests {
    use khien_core::detection::TrafficSubject;

    use super::*;

    fn spread(pairs: u64) -> Subject {
        Subject::Traffic(TrafficSubject {
            what: Pattern::EvasionSpread { pairs, seconds: 60 },
            client: "10.0.0.5".parse().unwrap(),
            server: None,
            service: None,
            name: None,
            flows: Vec::new(),
        })
    }

    #[test]
    fn of_many_pairs_of_hosts_the_last_count_is_told_and_sent() {
        let said = |text: &str| Words { vi: text.to_owned(), en: text.to_owned() };
        let mut alert = Alert {
            rule: "khien.net.evasion".parse().unwrap(),
            title: said("a"),
            severity: Severity::High,
            capture: "a.pcap".into(),
            path: None,
            sha256: None,
            flow: None,
            flows: Vec::new(),
            what: None,
            excerpts: Vec::new(),
            technique: None,
            explanation: said("a"),
            next_step: said("a"),
            first_seen: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
            count: 1,
            subject: Some(Box::new(spread(1))),
        };

        [2, 4, 8].into_iter().for_each(|pairs| alert.renew(spread(pairs)));

        assert!(alert.line(Lang::En).contains(" 8 more pairs "), "{}", alert.line(Lang::En));
        assert_eq!(alert.finding(7).unwrap().detection.subject, spread(8));
    }
}
