//! Run a playbook: evidence, approval, quarantine, verification, undo; and the run survives `kill -9` anywhere.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use serde_json::Value;

use crate::{
    harness::{Site, Up, sha256, web_shell},
    place::{cannot_run, is_root},
};

/// Opens an incident about one web shell.
pub(crate) fn incident(site: &Site, up: &mut Up<'_>, name: &str) -> String {
    let alert = site.shell_alert(up, name);
    let incident = site.json(&["incident", "open", alert["id"].as_str().unwrap()]);
    incident["id"].as_str().unwrap().to_owned()
}

/// Starts the playbook and waits until it asks a person; returns the run's id.
pub(crate) fn asked(site: &Site, incident: &str) -> String {
    let run = site.json(&["playbook", "run", "webshell", "--incident", incident, "--no-wait"]);
    let id = run["id"].as_str().unwrap().to_owned();
    state(site, &id, "waiting_for_approval");
    id
}

/// Waits until a run stands somewhere.
pub(crate) fn state(site: &Site, run: &str, state: &str) -> Value {
    site.until(&["run", "show", run], state, |r| r["state"] == state)
}

/// What undo must bring back, as the system's own tools tell it.
fn traits(path: &Path) -> (String, u32, u32, u32, i64, i64, String) {
    let meta = fs::metadata(path).unwrap();
    let attributes =
        Command::new("getfattr").args(["-d", "-m", "-", "--absolute-names"]).arg(path).output().unwrap();
    let attributes = String::from_utf8(attributes.stdout).unwrap();
    let content = fs::read_to_string(path).unwrap();
    (content, meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec(), attributes)
}

fn run(program: &str, args: &[&str], path: &Path) {
    let out = Command::new(program).args(args).arg(path).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_web_shell_is_preserved_quarantined_with_approval_and_put_back_whole() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "shell.php");
    let path = site.web.join("shell.php");
    if is_root() {
        run("chown", &["33:33"], &path);
    }
    run("setfattr", &["-n", "user.khien", "-v", "đúng"], &path);
    run("chmod", &["640"], &path);
    run("touch", &["-d", "2024-02-29 12:34:56.789012345"], &path);
    let before = traits(&path);

    let id = asked(&site, &incident);

    assert!(path.exists(), "nothing is touched before a person said yes");
    let shown = site.json(&["incident", "show", &incident]);
    let evidence = &shown["evidence"][0];
    assert_eq!(evidence["sha256"], sha256(&web_shell("shell.php")));
    assert_eq!(evidence["path"], path.to_str().unwrap());
    let custody = evidence["custody"].to_string();
    for action in ["ordered", "collected", "received"] {
        assert!(custody.contains(action), "custody tells who {action}: {custody}");
    }
    let copy = site.home.join("copy");
    let hash = evidence["sha256"].as_str().unwrap();
    let (code, _, err) =
        site.cli(&["evidence", "get", hash, "--incident", &incident, "--out", copy.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(fs::read_to_string(&copy).unwrap(), before.0);

    let (code, _, _) = site.cli(&["run", "approve", &id]);
    assert_ne!(code, 0, "without a terminal a yes must be typed");
    assert!(path.exists());
    site.json(&["run", "approve", &id, "--yes", "--wait"]);
    state(&site, &id, "done");
    assert!(!path.exists(), "it is quarantined");

    site.json(&["run", "undo", &id, "--yes", "--wait"]);
    state(&site, &id, "undone");
    assert_eq!(traits(&path), before, "content, mode, owner, times and attributes came back");

    let timeline = site.json(&["incident", "show", &incident])["timeline"].to_string();
    for kind in [
        "run_started",
        "approval_asked",
        "approved",
        "step_done",
        "evidence_stored",
        "undo_asked",
        "run_ended",
    ] {
        assert!(timeline.contains(kind), "the timeline tells {kind}: {timeline}");
    }
}

#[test]
fn a_refused_run_leaves_the_file_where_it_is() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "keep.php");
    let id = asked(&site, &incident);

    site.json(&["run", "refuse", &id, "--reason", "đang theo dõi kẻ tấn công"]);

    state(&site, &id, "refused");
    assert!(site.web.join("keep.php").exists());
}

#[test]
fn a_file_that_changed_meanwhile_is_not_quarantined() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "changed.php");
    let id = asked(&site, &incident);
    let path = site.write("changed.php", "<?php echo 'đã sửa'; ?>\n");

    site.cli(&["run", "approve", &id, "--yes", "--wait"]);

    state(&site, &id, "failed");
    assert!(path.exists(), "the order was for other content");
}

/// The hub or the agent is killed at each step of the run, and no step is done twice or left out.
#[test]
fn a_run_survives_a_kill_at_any_step() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    for victim in ["khien-hub", "khien-agent"] {
        let name = format!("{victim}.php");
        let incident = incident(&site, &mut up, &name);
        let path = site.web.join(&name);

        // While evidence is taken.
        let run = site.json(&["playbook", "run", "webshell", "--incident", &incident, "--no-wait"]);
        let id = run["id"].as_str().unwrap();
        let old = up.kill(victim);
        up.new_child(victim, old);
        state(&site, id, "waiting_for_approval");

        // While a person thinks.
        let old = up.kill(victim);
        up.new_child(victim, old);
        state(&site, id, "waiting_for_approval");

        // While the file is quarantined.
        site.until(&["run", "approve", id, "--yes", "--no-wait"], "approval", |_| true);
        let old = up.kill(victim);
        up.new_child(victim, old);
        state(&site, id, "done");
        assert!(!path.exists());
        let quarantined = fs::read_dir(site.home.join("agent/quarantine")).unwrap().count();

        // While it is put back.
        site.until(&["run", "undo", id, "--yes", "--no-wait"], "undo", |_| true);
        let old = up.kill(victim);
        up.new_child(victim, old);
        state(&site, id, "undone");
        assert_eq!(fs::read_to_string(&path).unwrap(), web_shell(&name));
        assert!(quarantined >= 1, "it was kept meanwhile");
        let evidence = site.json(&["incident", "show", &incident]);
        let custody = evidence["evidence"][0]["custody"].as_array().unwrap();
        let collected = custody.iter().filter(|c| c["action"] == "collected").count();
        assert_eq!(collected, 1, "evidence was taken once: {evidence}");
        let ended = |kind: &str| timeline(&evidence).filter(|e| e["kind"] == kind).count();
        // Four steps forward (one of them the person's) and two back, each told once.
        assert_eq!((ended("step_done"), ended("step_failed")), (6, 0), "each step ended once: {evidence}");
    }
}

fn timeline(incident: &Value) -> impl Iterator<Item = &Value> {
    incident["timeline"].as_array().unwrap().iter()
}

#[test]
fn quarantine_refuses_a_file_with_a_second_name() {
    if !is_root() {
        return cannot_run("needs the same rights as the agent of a server");
    }
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "twin.php");
    let id = asked(&site, &incident);
    let (path, twin) = (site.web.join("twin.php"), site.home.join("twin"));
    fs::hard_link(&path, &twin).unwrap();

    site.cli(&["run", "approve", &id, "--yes", "--wait"]);

    state(&site, &id, "failed");
    assert!(path.exists() && twin.exists());
}
