//! Triage from the command line.

use serde_json::Value;

use crate::{
    harness::{Site, web_shell},
    playbook::asked,
};

#[test]
fn alerts_are_listed_acknowledged_and_closed_with_a_reason() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let alert = site.shell_alert(&mut up, "one.php");
    let id = alert["id"].as_str().unwrap();
    for field in [
        "id",
        "rule",
        "severity",
        "status",
        "host",
        "agency",
        "path",
        "sha256",
        "flow",
        "first_seen",
        "last_seen",
        "count",
    ] {
        assert!(alert.get(field).is_some(), "{field} is a stable field: {alert}");
    }

    assert_eq!(site.json(&["alert", "show", id])["sha256"], alert["sha256"]);
    let acked = first(site.json(&["alert", "ack", id]));
    assert_eq!(acked["status"], "acknowledged");
    assert!(acked["by"].is_string(), "it is known who did it: {acked}");
    let (code, _, err) = site.cli(&["alert", "close", id, "--verdict", "false-positive"]);
    assert_ne!(code, 0, "a false positive needs a reason");
    assert!(!err.is_empty());
    let closed = first(site.json(&[
        "alert",
        "close",
        id,
        "--verdict",
        "false-positive",
        "--reason",
        "bài tập của lớp ATTT",
    ]));
    assert_eq!((&closed["status"], &closed["verdict"]), (&"closed".into(), &"false_positive".into()));
    assert_eq!(closed["reason"], "bài tập của lớp ATTT");

    let (code, _, _) = site.cli(&["alert", "show", "A-999999"]);
    assert_eq!(code, 3, "what is not there is told apart");
}

#[test]
fn the_list_is_sorted_by_severity_then_time() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    site.shell_alert(&mut up, "older.php");
    let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let path = site.write("eicar.com", &eicar);
    up.alert("the test file", |a| crate::harness::is_at(a, &path));
    site.shell_alert(&mut up, "newer.php");

    let alerts = site.json(&["alert", "list"]);

    let rank =
        |a: &Value| ["critical", "high", "medium", "low"].iter().position(|s| a["severity"] == *s).unwrap();
    let ranks: Vec<_> = alerts.as_array().unwrap().iter().map(rank).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
    assert!(ranks.len() >= 3, "{alerts}");
    let at = |name: &str| {
        alerts.as_array().unwrap().iter().position(|a| a["path"].as_str().unwrap().ends_with(name))
    };
    assert!(at("newer.php") < at("older.php"), "the newest of equals comes first");
}

#[test]
fn an_incident_is_opened_from_alerts_and_keeps_its_timeline_and_clocks() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let first = site.shell_alert(&mut up, "one.php");
    let second = site.shell_alert(&mut up, "two.php");
    let ids = [first["id"].as_str().unwrap(), second["id"].as_str().unwrap()];

    let incident =
        site.json(&["incident", "open", ids[0], ids[1], "--title", "Webshell trên cổng thông tin"]);
    let id = incident["id"].as_str().unwrap();

    assert!(id.starts_with("SC-2"), "{id}");
    assert_eq!(incident["alerts"].as_array().unwrap().len(), 2);
    assert_eq!(incident["detected"], first["first_seen"].clone().min_text(&second["first_seen"]));
    site.json(&["incident", "note", id, "Đã gọi quản trị viên lúc 03:10"]);
    let shown = site.json(&["incident", "show", id]);
    let timeline = shown["timeline"].to_string();
    assert!(timeline.contains("Đã gọi quản trị viên lúc 03:10"), "{timeline}");
    assert!(timeline.contains("opened") && timeline.contains("detected"), "{timeline}");
    assert_eq!(site.json(&["incident", "list"])[0]["id"], id);
    assert_eq!(site.json(&["alert", "show", ids[0]])["incident"], id);
    let (_, text, _) = site.cli(&["incident", "show", id]);
    assert!(text.contains("23h") && text.contains("71h"), "the legal clocks run: {text}");

    let (code, _, err) = site.cli(&["incident", "open", ids[0]]);
    assert_ne!(code, 0, "an alert belongs to one open incident");
    assert!(err.contains(id), "and the error names it: {err}");
}

#[test]
fn an_incident_is_closed_for_a_reason_and_opened_again() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let alert = site.shell_alert(&mut up, "one.php");
    let incident = site.json(&["incident", "open", alert["id"].as_str().unwrap()]);
    let id = incident["id"].as_str().unwrap();
    let run = asked(&site, id);

    let (code, _, err) = site.cli(&["incident", "close", id, "--reason", "xong"]);
    assert_ne!(code, 0, "a run waits for a person");
    assert!(err.contains("khien run show"), "and the error says the next step: {err}");
    site.json(&["run", "refuse", &run, "--reason", "bài tập"]);
    assert_ne!(site.cli(&["incident", "close", id]).0, 0, "closing needs a reason");
    let closed = site.json(&["incident", "close", id, "--reason", "bài tập của lớp ATTT"]);
    let open = site.json(&["incident", "reopen", id]);

    assert_eq!((&closed["status"], &open["status"]), (&"closed".into(), &"open".into()));
    let (_, text, _) = site.cli(&["incident", "show", id]);
    assert!(text.contains("bài tập của lớp ATTT"), "the timeline keeps why: {text}");
}

#[test]
fn a_false_positive_stays_closed_for_the_same_content_only() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let alert = site.shell_alert(&mut up, "lesson.php");
    let id = alert["id"].as_str().unwrap();
    site.json(&["alert", "close", id, "--verdict", "false-positive", "--reason", "bài giảng"]);

    site.write("lesson.php", &web_shell("another lesson"));

    site.until(&["alert", "show", id], "the alert opens again for new content", |a| a["status"] == "new");
}

/// A command on several alerts prints a list; on one it may print the alert itself.
fn first(value: Value) -> Value {
    match value {
        Value::Array(all) => all.into_iter().next().unwrap(),
        one => one,
    }
}

trait MinText {
    fn min_text(self, other: &Value) -> Value;
}

impl MinText for Value {
    /// RFC 3339 in UTC sorts as text.
    fn min_text(self, other: &Value) -> Value {
        if self.as_str() <= other.as_str() { self } else { other.clone() }
    }
}
