//! Ids: UUIDv5 over the canonical JSON of a cyber observable as STIX 2.1 wants it, and for all else over the case.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::draft::Case;

/// The namespace that STIX 2.1 gives for cyber observables.
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// Khiên's own namespace; STIX forbids its own for anything but observables.
const KHIEN: Uuid = Uuid::from_u128(0x5f0c_2f6b_8f0d_4b7e_9d55_6b1e_4d5a_7c31);

/// Makes the ids of one case. They stay the same in every later draft. Two provinces may both have an SC-2026-0001, so
/// the moment of opening and the agent of the oldest alert are part of the seed.
pub(super) struct Ids(Uuid);

impl Ids {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let oldest = case.alerts.iter().min_by_key(|a| a.id).map(|a| a.agent);
        let seed = format!("{} {} {oldest:?}", case.incident.id, case.incident.opened);
        Self(Uuid::new_v5(&KHIEN, seed.as_bytes()))
    }

    /// Returns the id of an object that is no observable.
    pub(super) fn random_like(&self, kind: &str, key: &str) -> String {
        format!("{kind}--{}", Uuid::new_v5(&self.0, format!("{kind} {key}").as_bytes()))
    }
}

/// Returns the id of an observable from its contributing properties.
pub(super) fn observable(kind: &str, contributing: &Map<String, Value>) -> String {
    let text = canonical(&Value::Object(contributing.clone()));
    format!("{kind}--{}", Uuid::new_v5(&OBSERVABLES, text.as_bytes()))
}

/// Writes JSON in canonical form (RFC 8785) for what ids need: sorted ASCII keys, no floats.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(k, _)| *k);
            let member = |(k, v): (&String, &Value)| format!("{}:{}", Value::from(k.as_str()), canonical(v));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(kind: &str, contributing: Value) -> String {
        observable(kind, contributing.as_object().unwrap())
    }

    #[test]
    fn observables_get_the_ids_that_every_other_tool_gives_them() {
        // As the OASIS library `stix2` 3.0.2 makes them.
        assert_eq!(
            id("ipv4-addr", json!({ "value": "198.51.100.3" })),
            "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"
        );
    }

    #[test]
    fn the_order_of_properties_does_not_matter() {
        let hash = json!({ "name": "a.php", "hashes": { "SHA-256": "00" } });
        let same = json!({ "hashes": { "SHA-256": "00" }, "name": "a.php" });

        assert_eq!(id("file", hash), id("file", same));
    }
}
