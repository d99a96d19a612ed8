//! What a signed pack asks agents to keep an eye on beside content, how bad each change is, what scanning may take of a
//! host, and what is taken for an attack on the wire.
//!
//! Pure: patterns are compared with paths that the caller brings; nothing here looks at a disk. In a pack's folder it is
//! `policy.toml`; a newer pack may say more than this program knows, which is passed over.

use serde::{Deserialize, Serialize};

mod budget;
mod integrity;
pub mod network;
mod pattern;

pub use budget::{Budget, Within};
pub use integrity::{Group, GroupName, MAX_GROUPS, MAX_PATTERNS, NoGroupName, Severities, prefix_of};
pub use network::Network;
pub use pattern::{MAX_PATTERN, NoPattern, Pattern, fits};

/// A pack's policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Groups of files that must not change unnoticed.
    #[serde(default, deserialize_with = "integrity::groups", skip_serializing_if = "Vec::is_empty")]
    pub integrity: Vec<Group>,
    /// Whether file systems from the network, and those that a program serves, are looked at where one is mounted below a
    /// watched folder. Else they are left out, and that is said: many hosts walking one server bring it down, and a
    /// server that does not answer holds whoever asks.
    #[serde(default)]
    pub network_mounts: bool,
    /// What scanning may take of a host.
    #[serde(default)]
    pub budget: Budget,
    /// What belongs to whom on the wire, and what is taken for an attack there.
    #[serde(default)]
    pub network: Network,
}

impl Policy {
    /// Returns an integrity group by name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.integrity.iter().find(|g| g.name.as_str() == name)
    }

    /// Returns the first group that names a path.
    #[must_use]
    pub fn group_at(&self, path: &[u8]) -> Option<&Group> {
        self.integrity.iter().find(|g| g.paths.iter().any(|p| p.names(path)))
    }

    /// Returns the folders and files below which something is named, each once: what a watch has to observe.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        let mut places: Vec<String> =
            self.integrity.iter().flat_map(|g| &g.paths).map(|p| p.root().to_owned()).collect();
        places.sort();
        places.dedup();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Result<Policy, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_a_newer_pack_says_beyond_this_is_passed_over() {
        let read = policy(
            r#"{"moon": {}, "integrity": [{"name": "cron", "paths": ["/etc/crontab"], "severity": "high", "new": 1}]}"#,
        )
        .unwrap();

        assert_eq!(read.group_at(b"/etc/crontab").unwrap().name.as_str(), "cron");
        assert_eq!(policy("{}").unwrap(), Policy::default());
    }

    #[test]
    fn a_policy_beyond_its_bounds_is_refused() {
        let group = |name: &str, path: &str| {
            format!(r#"{{"name": "{name}", "paths": ["{path}"], "severity": "low"}}"#)
        };
        let of = |groups: &[String]| policy(&format!(r#"{{"integrity": [{}]}}"#, groups.join(",")));

        assert!(of(&[group("a", "/etc/a")]).is_ok());
        assert!(of(&[group("a b", "/etc/a")]).is_err());
        assert!(of(&[group("a", "etc/a")]).is_err());
        assert!(of(&[group("a", "/etc/a"), group("a", "/etc/b")]).is_err(), "two groups of one name");
        let many: Vec<String> = (0..=MAX_GROUPS).map(|n| group(&format!("g{n}"), "/etc/a")).collect();
        assert!(of(&many).is_err());
    }

    #[test]
    fn the_places_to_observe_are_told_once() {
        let read = policy(
            r#"{"integrity": [{"name": "a", "paths": ["/etc/cron.d/", "/home/*/.ssh/authorized_keys", "/etc/cron.d/*"], "severity": "low"}]}"#,
        )
        .unwrap();

        assert_eq!(read.places(), ["/etc/cron.d", "/home"]);
    }
}
