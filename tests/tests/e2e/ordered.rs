//! Scans that an operator orders, of what nobody watches.

use std::fs::{self, File};

use serde_json::Value;

use crate::{
    harness::{Site, is_at, web_shell},
    place::is_root,
};

#[test]
fn an_ordered_scan_finds_what_lies_outside_the_watched_folders_and_tells_its_totals() {
    let site = Site::new();
    let outside = site.web.with_file_name("outside");
    fs::create_dir_all(outside.join("sub")).unwrap();
    let outside = outside.canonicalize().unwrap();
    let shell = outside.join("sub/a.php");
    fs::write(&shell, web_shell("ordered")).unwrap();
    fs::write(outside.join("plain.txt"), "nothing to see").unwrap();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let agents = site.until(&["agent", "list"], "a pack", |a| a[0]["pack"].as_u64() > Some(0));
    let host = agents[0]["host"].as_str().unwrap();
    let path = outside.to_str().unwrap();

    let (code, scan) = ordered(&site, &[host, path, "--wait"]);

    assert_eq!(code, 6, "something matched");
    assert_eq!((&scan["answer"]["outcome"], &scan["answer"]["ended"]), (&"scanned".into(), &"whole".into()));
    let totals = &scan["answer"]["totals"];
    assert_eq!(
        (&totals["outcomes"]["matched"], &totals["outcomes"]["clean"]),
        (&1.into(), &1.into()),
        "{scan}"
    );
    let alert = up.alert("alert for what was found", |a| is_at(a, &shell));
    assert_eq!(alert["rule"], "webshell.php.request_exec");
    // Once more: what was found is found again, and is no second alert.
    let (code, again) = ordered(&site, &[host, path, "--again", "--minutes", "1"]);
    assert_eq!(code, 6, "it waits without being told to");
    assert_eq!(again["answer"]["totals"]["outcomes"]["matched"], 1, "{again}");
    let found = site.json(&["alert", "show", alert["id"].as_str().unwrap()]);
    assert_eq!(found["count"], 1, "{found}");
    let (code, listed, _) = site.cli(&["agent", "scans"]);
    assert_eq!(
        (code, listed.matches("all was looked at; 2 files looked at (matched 1, clean 1)").count()),
        (0, 2)
    );
    assert!(listed.contains(path), "{listed}");
}

#[test]
fn what_cannot_be_scanned_as_ordered_is_said_with_the_reason() {
    let site = Site::new();
    let _up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let agents = site.until(&["agent", "list"], "a pack", |a| a[0]["pack"].as_u64() > Some(0));
    let host = agents[0]["host"].as_str().unwrap();
    let own = site.home.join("agent").canonicalize().unwrap();
    let refused = |args: &[&str]| site.cli(&[&["agent", "scan", host], args].concat());

    for (path, why) in [
        ("/nothing/here", "the file is not there"),
        ("/proc/self", "holds no files that anyone stored"),
        (own.to_str().unwrap(), "in the agent's own folder"),
    ] {
        let (code, out, err) = refused(&[path]);
        assert!(code == 1 && err.contains(why), "{path}: {code} {out}{err}");
    }
    let (code, out, err) = refused(&["--processes"]);
    assert!(code == 1 && err.contains("administrator switched"), "{code} {out}{err}");
    assert_eq!(refused(&["srv/www"]).0, 2, "a path that is not absolute");
    assert_eq!(refused(&["/srv/../etc"]).0, 2);
    for args in [&["/srv", "--pid", "1"][..], &["--pid", "0"], &["--processes", "--pid", "1"], &[]] {
        assert_eq!(refused(args).0, 2, "{args:?}");
    }
    assert_eq!(site.cli(&["agent", "scan", "no-such-host", "/srv"]).0, 3);
}

#[test]
fn one_agent_is_shown_with_its_outcomes_and_the_end_of_its_walk() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    site.shell_alert(&mut up, "shown.php");
    let agents = site.until(&["agent", "list"], "an outcome and a walk", |a| {
        a[0]["scans"]["matched"].as_u64() > Some(0) && a[0]["walk"]["ended"].is_string()
    });
    let host = agents[0]["host"].as_str().unwrap();

    let shown = site.json(&["agent", "show", host]);
    let (code, text, err) = site.cli(&["agent", "show", agents[0]["id"].as_str().unwrap()]);

    assert!(shown["blind"].is_array() && shown["scans"]["matched"].as_u64() > Some(0), "{shown}");
    assert_eq!(code, 0, "{err}");
    for part in ["matched ", "looked through", "Blind", if is_root() { "fanotify" } else { "notify" }] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_exit_code_of_an_ordered_scan_is_done_only_where_all_was_scanned_and_nothing_found() {
    let site = Site::new();
    let outside = site.web.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("plain.txt"), "nothing to see").unwrap();
    let _up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let agents = site.until(&["agent", "list"], "a pack", |a| a[0]["pack"].as_u64() > Some(0));
    let host = agents[0]["host"].as_str().unwrap();
    let path = outside.canonicalize().unwrap();
    let path = path.to_str().unwrap();

    let (code, clean) = ordered(&site, &[host, path]);
    // Larger than what is ever scanned; nothing of it is on the disk.
    let huge = outside.join("huge.bin");
    File::create(&huge).unwrap().set_len(5 << 30).unwrap();
    let (less, large) = ordered(&site, &[host, path]);
    let (bound, first) = ordered(&site, &[host, path, "--most", "1"]);
    let (given, waits) = ordered(&site, &[host, path, "--no-wait"]);

    assert_eq!((code, &clean["answer"]["totals"]["outcomes"]["clean"]), (0, &1.into()), "{clean}");
    assert_eq!((less, &large["answer"]["ended"]), (7, &"whole".into()), "{large}");
    let missed = &large["answer"]["totals"]["missed"];
    assert_eq!(missed, &serde_json::json!([{ "path": format!("{path}/huge.bin"), "why": "too_large" }]));
    assert_eq!((bound, &first["answer"]["ended"]), (7, &"bound".into()), "{first}");
    assert_eq!((given, &waits["answer"]), (0, &Value::Null), "only the order was given");
    let (_, out, err) = site.cli(&["agent", "scan", host, path]);
    assert!(out.contains("it went to the end, but not all could be scanned; 2 files looked at"), "{out}");
    assert!(out.contains("huge.bin: too large") && err.contains("not all was scanned"), "{out}{err}");
}

#[test]
fn a_scan_that_is_cancelled_ends_so_though_the_hub_was_started_anew_meanwhile() {
    let site = Site::new();
    let outside = site.web.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("plain.txt"), "nothing to see").unwrap();
    let up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let agents = site.until(&["agent", "list"], "a pack", |a| a[0]["pack"].as_u64() > Some(0));
    let host = agents[0]["host"].as_str().unwrap();
    let pause = ["pause", "--minutes", "5", "--home"];
    let mut pausing = site.command("khien-agent");
    assert!(pausing.args(pause).arg(site.home.join("agent")).output().unwrap().status.success());
    site.until(&["agent", "list"], "the pause", |a| {
        a[0]["coverage"].to_string().contains("paused_by_sysadmin")
    });
    // One goes on and waits for the end of the pause, the other waits behind it.
    let (_, first) = ordered(&site, &[host, outside.to_str().unwrap(), "--no-wait"]);
    let (_, second) = ordered(&site, &[host, outside.to_str().unwrap(), "--no-wait"]);
    let (first, second) = (first["order"].as_str().unwrap(), second["order"].as_str().unwrap());
    let goes_on = |s: &Value| s[1]["progress"]["order"] == first;
    site.until(&["agent", "scans"], "the first goes on", goes_on);

    let old = up.kill("khien-hub");
    up.new_child("khien-hub", old);
    site.until(&["agent", "scans"], "the hub is back", goes_on);
    let stopped = site.json(&["agent", "scan", "--cancel", &second[..8]]);
    let other = site.json(&["agent", "scan", "--cancel", first]);

    for (scan, order) in [(&stopped, second), (&other, first)] {
        assert_eq!(
            (&scan["order"], &scan["answer"]["ended"]),
            (&order.into(), &"cancelled".into()),
            "{scan}"
        );
        assert_eq!(scan["answer"]["totals"]["outcomes"], serde_json::json!({}), "{scan}");
        assert!(scan["stopped_by"].is_string() && scan["ended"].is_string(), "{scan}");
    }
    let (code, listed, _) = site.cli(&["agent", "scans"]);
    assert_eq!((code, listed.matches("cancelled, the rest was not looked at").count()), (0, 2), "{listed}");
    let (code, _, err) = site.cli(&["agent", "scan", "--cancel", "ffffffff"]);
    assert!(code == 3 && err.contains("no scan is"), "{code} {err}");
}

/// Runs `khien agent scan`, and returns its exit code and what it prints.
fn ordered(site: &Site, args: &[&str]) -> (i32, Value) {
    let (code, out, err) = site.cli(&[&["agent", "scan"], args, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?} ({e}): {out}{err}")))
}
