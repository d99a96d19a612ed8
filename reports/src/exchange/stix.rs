//! STIX 2.1: the incident, its alerts as indicators, observations and sightings, marked TLP:AMBER.
//!
//! The same case gives the same bytes. Bytes around matches, command lines and user names stay at home.

use std::collections::BTreeSet;

use khien_core::{
    Timestamp,
    alert::{Alert, Verdict},
    asset::NO_AGENCY,
    detection::builtin,
    evidence::Evidence,
    time::{SignedDuration, after},
};
use serde_json::{Map, Value, json};

use crate::{document::Text, draft::Case};

mod id;
mod observable;

use id::Ids;

/// TLP 2.0 AMBER as FIRST and OASIS define it.
const TLP_AMBER: &str = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421";
/// The extension that carries TLP 2.0.
const TLP_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
/// The largest count that STIX allows.
const MAX_COUNT: u64 = 999_999_999;

/// Builds the bundle of a case.
#[must_use]
pub fn bundle(case: &Case<'_>) -> Value {
    let mut bundle = Bundle::new(case);
    let incident = bundle.incident(case);
    for alert in case.alerts.iter().filter(|a| a.verdict != Some(Verdict::FalsePositive)) {
        bundle.alert(alert, &incident);
    }
    for evidence in &case.incident.evidence {
        bundle.evidence(evidence, &incident);
    }
    bundle.report(case);
    json!({
        "type": "bundle",
        "id": bundle.ids.random_like("bundle", &case.now.to_string()),
        "objects": bundle.objects,
    })
}

/// The objects so far.
struct Bundle {
    ids: Ids,
    objects: Vec<Value>,
    known: BTreeSet<String>,
    author: Option<String>,
    modified: Timestamp,
}

impl Bundle {
    fn new(case: &Case<'_>) -> Self {
        let mut bundle = Self {
            ids: Ids::of(case),
            objects: vec![tlp_amber()],
            known: BTreeSet::new(),
            author: None,
            modified: case.now,
        };
        let name = case.organization.field("org.name").map(str::to_owned);
        bundle.author = name.map(|n| bundle.identity(&n, "organization", case.incident.opened));
        bundle
    }

    /// Adds a domain or relationship object once and returns its id.
    fn add(&mut self, kind: &str, key: &str, created: Timestamp, mut own: Map<String, Value>) -> String {
        let id = self.ids.random_like(kind, key);
        if !self.known.insert(id.clone()) {
            return id;
        }
        own.insert("type".into(), kind.into());
        own.insert("spec_version".into(), "2.1".into());
        own.insert("id".into(), id.clone().into());
        own.insert("created".into(), stamp(created).into());
        own.insert("modified".into(), stamp(self.modified.max(created)).into());
        own.insert("object_marking_refs".into(), json!([TLP_AMBER]));
        if let Some(author) = &self.author {
            own.insert("created_by_ref".into(), author.clone().into());
        }
        self.objects.push(Value::Object(own));
        id
    }

    /// Adds cyber observables once and returns the id of the last one, which is the one that was meant.
    fn observe(&mut self, observables: Vec<Value>) -> Vec<String> {
        let mut ids = Vec::new();
        for observable in observables {
            let id = observable["id"].as_str().unwrap_or_default().to_owned();
            if self.known.insert(id.clone()) {
                self.objects.push(observable);
            }
            ids.push(id);
        }
        ids
    }

    fn identity(&mut self, name: &str, class: &str, created: Timestamp) -> String {
        let own = json!({ "name": Text::new(name), "identity_class": class });
        self.add("identity", &format!("{class} {name}"), created, fields(own))
    }

    fn incident(&mut self, case: &Case<'_>) -> String {
        let incident = case.incident;
        let own = json!({
            "name": Text::new(format!("{} – {}", incident.id, incident.title.en)),
            "description": format!("T0 {}; severity {}", stamp(incident.detected), incident.severity.as_str()),
            "external_references": [{ "source_name": "khien", "external_id": incident.id.to_string() }],
        });
        self.add("incident", "incident", incident.opened, fields(own))
    }

    fn alert(&mut self, alert: &Alert, incident: &str) {
        let refs = self.observe(observable::of_alert(alert));
        if refs.is_empty() {
            return;
        }
        // A file of packets of which nobody knows where it was taken is no place.
        let place = match alert.agency.as_str() {
            NO_AGENCY => {
                alert.system().map(|host| self.identity(&host.to_string(), "system", alert.received))
            }
            agency => Some(self.identity(agency, "organization", alert.received)),
        };
        let seen = self.observed(alert, &refs);
        self.relate(&seen, "related-to", incident, alert.received);
        for (what, pattern) in patterns(alert) {
            let indicator = self.indicator(alert, what, &pattern);
            self.relate(&indicator, "based-on", &seen, alert.received);
            self.relate(&indicator, "related-to", incident, alert.received);
            self.sighting(alert, &indicator, &seen, place.as_deref());
        }
    }

    fn observed(&mut self, alert: &Alert, refs: &[String]) -> String {
        let own = json!({
            "first_observed": stamp(alert.first_seen),
            "last_observed": stamp(alert.last_seen.max(alert.first_seen)),
            "number_observed": alert.count.clamp(1, MAX_COUNT),
            "object_refs": refs,
        });
        self.add("observed-data", &alert.id.to_string(), alert.received, fields(own))
    }

    fn indicator(&mut self, alert: &Alert, what: &str, pattern: &str) -> String {
        let mut own = json!({
            "name": Text::new(format!("{} ({what})", alert.title.en)),
            "description": Text::new(format!("{} — {}", alert.explanation.en, alert.rule)),
            "indicator_types": ["malicious-activity"],
            "pattern": pattern,
            "pattern_type": "stix",
            "pattern_version": "2.1",
            "valid_from": stamp(alert.first_seen),
        });
        if let Some(technique) = &alert.technique {
            own["external_references"] = json!([{ "source_name": "mitre-attack", "external_id": technique }]);
        }
        self.add("indicator", &format!("{} {pattern}", alert.rule), alert.received, fields(own))
    }

    fn sighting(&mut self, alert: &Alert, indicator: &str, seen: &str, place: Option<&str>) {
        let last = alert.last_seen.max(after(alert.first_seen, SignedDuration::from_millis(1)));
        let mut own = json!({
            "first_seen": stamp(alert.first_seen),
            "last_seen": stamp(last),
            "count": alert.count.clamp(1, MAX_COUNT),
            "sighting_of_ref": indicator,
            "observed_data_refs": [seen],
        });
        if let Some(place) = place {
            own["where_sighted_refs"] = json!([place]);
        }
        self.add("sighting", &format!("{} {indicator}", alert.id), alert.received, fields(own));
    }

    /// Evidence is the file that was taken, tied to the incident.
    fn evidence(&mut self, evidence: &Evidence, incident: &str) {
        let Some(taken) = evidence.custody.iter().map(|c| c.at).min() else { return };
        let refs = self.observe(observable::of_evidence(evidence));
        let own = json!({
            "first_observed": stamp(taken),
            "last_observed": stamp(taken),
            "number_observed": 1,
            "object_refs": refs,
        });
        let key = format!("evidence {} {}", evidence.origin.id(), evidence.sha256);
        let seen = self.add("observed-data", &key, taken, fields(own));
        self.relate(&seen, "related-to", incident, taken);
    }

    fn relate(&mut self, from: &str, how: &str, to: &str, created: Timestamp) {
        let own = json!({ "relationship_type": how, "source_ref": from, "target_ref": to });
        self.add("relationship", &format!("{from} {how} {to}"), created, fields(own));
    }

    fn report(&mut self, case: &Case<'_>) {
        let refs: Vec<_> = self.objects.iter().skip(1).map(|o| o["id"].clone()).collect();
        let own = json!({
            "name": Text::new(format!("{} – {}", case.incident.id, case.incident.title.en)),
            "report_types": ["observed-data"],
            "published": stamp(case.now),
            "object_refs": refs,
        });
        self.add("report", "report", case.incident.opened, fields(own));
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// STIX wants milliseconds and `Z`.
fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn tlp_amber() -> Value {
    json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TLP_AMBER,
        "created": "2022-10-01T00:00:00.000Z",
        "name": "TLP:AMBER",
        "extensions": { TLP_EXTENSION: { "extension_type": "property-extension", "tlp_2_0": "amber" } },
    })
}

/// What others can look for, each with a word for what it is. An alert about an agent gives nothing, and an address
/// only if exactly one side of the flow is public: which side is the stranger is then plain.
fn patterns(alert: &Alert) -> Vec<(&'static str, String)> {
    if builtin::ALL.contains(&alert.rule.as_str()) {
        return Vec::new();
    }
    let mut all = Vec::new();
    if let Some(hash) = alert.sha256 {
        all.push(("file", format!("[file:hashes.'SHA-256' = '{hash}']")));
    }
    let Some(flow) = &alert.flow else { return all };
    if let Some(name) = observable::domain(flow) {
        all.push(("domain", format!("[domain-name:value = '{name}']")));
    } else if let Some(stranger) = observable::stranger(flow) {
        let kind = if stranger.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
        all.push(("address", format!("[{kind}:value = '{stranger}']")));
    }
    all
}
