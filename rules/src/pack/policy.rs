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

    use khien_core::{
        Timestamp,
        policy::{Budget, Network},
    };

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
    fn budgets_are_read_bounded_and_as_usual_where_a_pack_is_silent() {
        let budget = |text: &str| read(text).map(|pack| pack.policy.unwrap().budget);
        let refused = |text: &str| budget(text).unwrap_err().to_string();

        assert_eq!(budget("").unwrap(), Budget::default());
        assert_eq!(base_policy().budget, Budget::default(), "the base pack shows the usual figures");
        assert_eq!(budget("[budget]\ncpu_percent = 20\n").unwrap().cpu_percent.get(), 20);
        for (field, range) in [
            ("cpu_percent", "1 to 100"),
            ("io_mb_per_second", "1 to 1000"),
            ("worker_memory_mb", "256 to 4096"),
        ] {
            for wrong in ["0", "-5", "100000", "2.5", "\"all\""] {
                let error = refused(&format!("[budget]\n{field} = {wrong}\n"));
                assert!(error.contains(range) && error.contains(field), "{error}");
            }
        }
        assert!(refused("[budget]\ncpu_procent = 5\n").ends_with("unknown field `budget.cpu_procent`"));
    }

    #[test]
    fn the_network_is_read_and_the_base_pack_shows_the_usual_figures() {
        let usual = Network { known: base_policy().network.known, ..Network::default() };
        let zone = "[[network.zones]]\nname = \"camera\"\nnetworks = [\"10.20.0.0/16\"]\n\
            only = [{ to = \"10.20.0.10\", service = \"554/tcp\" }]\n";

        assert_eq!(base_policy().network, usual);
        assert!(usual.is_known_name(b"vn.archive.ubuntu.com"));
        let read_zone = read(zone).unwrap().policy.unwrap().network.zones.remove(0);
        assert_eq!(read_zone.only.unwrap()[0].to.to_string(), "10.20.0.10/32");
        let refused = |text: &str| read(text).unwrap_err().to_string();
        assert!(refused(&zone.replace("only", "olny")).ends_with("unknown field `network.zones.olny`"));
        assert!(refused("[network.beacon]\nscore = 0\n").contains("1 to 100"));
        assert!(refused("[network]\nhome = [\"10.0.0.0/8/8\"]\n").contains("is no network"));
    }

    #[test]
    fn the_base_policy_names_what_attackers_change_and_no_more() {
        let policy = base_policy();
        let group = |path: &str| policy.group_at(path.as_bytes()).map_or("", |group| group.name.as_str());
        let table = [
            ("/var/spool/cron/crontabs/root", "cron"),
            ("/var/spool/cron/root", "cron"),
            ("/usr/lib/systemd/system/x.service", "systemd"),
            ("/home/an/.config/systemd/user/x.service", "systemd"),
            ("/home/an/.ssh/authorized_keys2", "ssh"),
            ("/etc/ssh/sshd_config.d/50.conf", "ssh"),
            ("/usr/lib64/security/pam_unix.so", "pam"),
            ("/usr/lib/x86_64-linux-gnu/security/pam_x.so", "pam"),
            ("/etc/sudoers.d/x", "sudoers"),
            ("/etc/ld.so.preload", "preload"),
            ("/etc/nginx/conf.d/x.conf", "webserver"),
            ("/etc/httpd/conf/httpd.conf", "webserver"),
            ("/opt/apache-tomcat-9.0.1/conf/server.xml", "webserver"),
            ("/var/www/html/index.php", "portal"),
            ("/var/www/congthongtin/config.php", "portal"),
            ("/opt/liferay-7/tomcat-9/webapps/ROOT/WEB-INF/web.xml", "portal"),
            ("/var/www/html/tai-ve/gca01-client-v2-x64-8.3.msi", "signer"),
            ("/var/www/html/uploads/2026/a.jpg", ""),
            ("/var/www/html/news/index.php", ""),
            ("/home/an/note.txt", ""),
        ];

        for (path, name) in table {
            assert_eq!(group(path), name, "{path}");
        }
        let portal = policy.group("portal").unwrap();
        assert!(
            ["config.php", "wp-config.php", "configuration.php"]
                .iter()
                .all(|n| portal.is_secret(n.as_bytes()))
        );
        assert!(!portal.is_secret(b"index.php"));
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
