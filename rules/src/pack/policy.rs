//! `policy.toml` of a pack's folder: what agents keep an eye on beside content.

use khien_core::policy::Policy;

use super::PackError;

/// Its name.
pub(super) const FILE: &str = "policy.toml";

/// Reads a policy. Here a misspelt field is an error, since its author is there to mend it; agents pass over what is newer than they are.
pub(super) fn read(text: &str) -> Result<Policy, PackError> {
    let policy: Policy = toml::from_str(text).map_err(|e| PackError::Policy(e.to_string()))?;
    let written: toml::Value = toml::from_str(text).map_err(|e| PackError::Policy(e.to_string()))?;
    let known = toml::Value::try_from(&policy).map_err(|e| PackError::Policy(e.to_string()))?;
    match unknown(&written, &known) {
        Some(field) => Err(PackError::Policy(format!("unknown field `{field}`"))),
        None => Ok(policy),
    }
}

/// Finds a field that was written and was not understood.
fn unknown(written: &toml::Value, known: &toml::Value) -> Option<String> {
    match (written, known) {
        (toml::Value::Table(written), toml::Value::Table(known)) => {
            written.iter().find_map(|(name, value)| match known.get(name) {
                // What says nothing is left out when it is written again.
                None if is_empty(value) => None,
                None => Some(name.clone()),
                Some(known) => unknown(value, known).map(|below| format!("{name}.{below}")),
            })
        }
        (toml::Value::Array(written), toml::Value::Array(known)) => {
            written.iter().zip(known).find_map(|(written, known)| unknown(written, known))
        }
        _ => None,
    }
}

fn is_empty(value: &toml::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_table().is_some_and(toml::Table::is_empty)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use khien_core::Timestamp;

    use super::super::{PackError, base_policy, load_dir};

    fn read(text: &str) -> Result<khien_core::bundle::Pack, PackError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pack.toml"), "version = 1\n").unwrap();
        fs::write(folder.path().join("policy.toml"), text).unwrap();
        load_dir(folder.path(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_policy_is_read_and_a_misspelt_field_in_it_is_refused() {
        let good =
            "[[integrity]]\nname = \"cron\"\npaths = [\"/etc/crontab\"]\nseverity = \"high\"\nsecret = []\n";

        assert_eq!(read(good).unwrap().policy.unwrap().integrity[0].paths.len(), 1);
        let error = read(&good.replace("severity", "severety")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read policy.toml"), "{error}");
        let error = read(&format!("{good}texts = true\n")).unwrap_err().to_string();
        assert_eq!(error, "cannot read policy.toml: unknown field `integrity.texts`");
        assert!(read(&good.replace("/etc", "etc")).is_err());
    }

    #[test]
    fn every_group_of_the_base_policy_has_words_and_is_as_bad_as_they_say() {
        for group in base_policy().integrity {
            let words = khien_core::text::builtin::builtin_rule(group.rule().as_str());
            let words = words.unwrap_or_else(|| panic!("{} has no words", group.name));
            assert_eq!((words.severity, words.technique), (group.severity, group.technique.as_deref()));
        }
    }
}
