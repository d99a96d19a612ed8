//! Groups of files that must not change unnoticed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::pattern::{Pattern, fits};
use crate::{RuleId, Severity, conduct::Differs, text::Words};

/// The most groups of one policy: what a person can name and keep apart.
pub const MAX_GROUPS: usize = 64;
/// The most patterns of one group, of either kind.
pub const MAX_PATTERNS: usize = 256;
/// The longest name of a group; it becomes a part of a rule's name.
const MAX_NAME: usize = 32;
/// How the rules of integrity groups begin.
const PREFIX: &str = "khien.integrity.";

/// Files that are never shown: keys, passwords and their stores. What stands in their place is a digest.
const SECRETS: [&str; 24] = [
    "shadow*",
    "gshadow*",
    "*.key",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "ssh_host_*_key",
    "*htpasswd*",
    ".env*",
    "*.keytab",
    ".pgpass",
    ".my.cnf",
    "*secret*",
    "*passwd-",
    "*token*",
    "*credential*",
    "opasswd*",
];

/// Files that must not change unnoticed, and what it means if one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// A short name of an alert about it, if it is none that the program has words for.
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub title: Words,
    /// What belongs to it.
    #[serde(deserialize_with = "some_patterns")]
    pub paths: Vec<Pattern>,
    /// How bad a change is.
    pub severity: Severity,
    /// How bad single kinds of change are, where that differs.
    #[serde(default, skip_serializing_if = "Severities::is_empty")]
    pub severities: Severities,
    /// Whether an alert shows which lines changed. Never of a file that holds a secret.
    #[serde(default)]
    pub text: bool,
    /// File names, with `*`, that hold secrets, beside those that always do.
    #[serde(default, deserialize_with = "some_names", skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<String>,
    /// The ATT&CK technique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technique: Option<String>,
}

/// How bad single kinds of change are; absent is as bad as the group says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Severities {
    /// A file that was not there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Severity>,
    /// A file that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Severity>,
    /// Other content, another link target, another kind of file, or content that cannot be read any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Severity>,
    /// Another mode or owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Severity>,
}

impl Severities {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Group {
    /// Returns how bad a change is; of many changes, the worst of their kinds.
    #[must_use]
    pub fn severity_of(&self, differs: &Differs) -> Severity {
        let Severities { added, removed, content, rights } = self.severities;
        let or_all = |s: Option<Severity>| s.unwrap_or(self.severity);
        match differs {
            Differs::Added => or_all(added),
            Differs::Removed => or_all(removed),
            Differs::Content | Differs::Unread | Differs::Link { .. } | Differs::Replaced { .. } => {
                or_all(content)
            }
            Differs::Rights => or_all(rights),
            Differs::Many { added: a, removed: r, rights: m, content: c, .. } => {
                [(a, added), (r, removed), (m, rights), (c, content)]
                    .into_iter()
                    .filter(|(count, _)| **count > 0)
                    .map(|(_, severity)| or_all(severity))
                    .max()
                    .unwrap_or(self.severity)
            }
        }
    }

    /// Tells whether a file's lines must never be shown or kept.
    #[must_use]
    pub fn is_secret(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default().to_ascii_lowercase();
        SECRETS.into_iter().chain(self.secret.iter().map(String::as_str)).any(|wanted| fits(wanted, &name))
    }

    /// Returns the rule under which its changes are reported.
    ///
    /// # Panics
    /// Never: the name of a group fits in the name of a rule.
    #[must_use]
    pub fn rule(&self) -> RuleId {
        format!("{PREFIX}{}", self.name).parse().expect("a group's name is a part of a rule id")
    }
}

/// Returns the group's name in the name of a rule of this detector.
#[must_use]
pub fn prefix_of(rule: &str) -> Option<&str> {
    rule.strip_prefix(PREFIX)
}

/// The name of a group: small letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// The text is no name of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a group, expected small letters, digits, `_` and `-`, at most {MAX_NAME}")]
pub struct NoGroupName(String);

impl TryFrom<String> for GroupName {
    type Error = NoGroupName;
    fn try_from(text: String) -> Result<Self, NoGroupName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        match !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(plain) {
            true => Ok(Self(text)),
            false => Err(NoGroupName(text.chars().take(40).collect())),
        }
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0
    }
}

impl GroupName {
    /// Returns it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads groups, each name once, as many as there may be.
pub(super) fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Group>, D::Error> {
    let groups = Vec::<Group>::deserialize(from)?;
    if groups.len() > MAX_GROUPS {
        return Err(de::Error::custom(format!("at most {MAX_GROUPS} integrity groups are allowed")));
    }
    let twice =
        groups.iter().enumerate().find(|(i, g)| groups[..*i].iter().any(|other| other.name == g.name));
    match twice {
        Some((_, group)) => {
            Err(de::Error::custom(format!("the integrity group `{}` is there twice", group.name)))
        }
        None => Ok(groups),
    }
}

fn some_patterns<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pattern>, D::Error> {
    few(Vec::deserialize(from)?)
}

fn some_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = few(Vec::deserialize(from)?)?;
    Ok(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
}

fn few<T, E: de::Error>(list: Vec<T>) -> Result<Vec<T>, E> {
    match list.len() <= MAX_PATTERNS {
        true => Ok(list),
        false => Err(E::custom(format!("at most {MAX_PATTERNS} patterns are allowed in one group"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(json: &str) -> Group {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_kind_of_change_is_as_bad_as_the_group_unless_it_says_otherwise() {
        let group = group(
            r#"{"name": "cron", "paths": [], "severity": "high", "severities": {"removed": "low", "added": "critical"}}"#,
        );

        assert_eq!(group.severity_of(&Differs::Content), Severity::High);
        assert_eq!(group.severity_of(&Differs::Removed), Severity::Low);
        let many =
            |added, removed| Differs::Many { added, removed, content: 0, rights: 0, examples: Vec::new() };
        assert_eq!(group.severity_of(&many(0, 900)), Severity::Low);
        assert_eq!(group.severity_of(&many(1, 900)), Severity::Critical);
    }

    #[test]
    fn secrets_are_known_by_name_in_any_case() {
        let group = group(r#"{"name": "x", "paths": [], "severity": "low", "secret": ["Vault*"]}"#);

        for path in [
            "/etc/shadow",
            "/etc/shadow-",
            "/etc/nginx/a.KEY",
            "/root/.ssh/id_rsa",
            "/x/.env.local",
            "/x/vault.ini",
        ] {
            assert!(group.is_secret(path.as_bytes()), "{path}");
        }
        for path in ["/etc/crontab", "/root/.ssh/authorized_keys", "/etc/passwd", "/etc/key.d/nginx.conf"] {
            assert!(!group.is_secret(path.as_bytes()), "{path}");
        }
    }
}
