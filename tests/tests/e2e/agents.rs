//! The agents: what they see, and that silence is heard.

use rustix::process::Signal;

use crate::harness::{Site, send};

#[test]
fn the_list_shows_what_each_agent_is_and_sees() {
    let site = Site::new();
    let _up = site.up(&["--agency", "UBND xã Ea Kao", "--watch", site.web.to_str().unwrap()]);

    let agents = site.until(&["agent", "list"], "a health report", |a| {
        a[0]["coverage"].as_array().is_some_and(|c| c.len() > 1)
    });

    let agent = &agents[0];
    assert_eq!(agent["agency"], "UBND xã Ea Kao");
    for field in ["id", "host", "version", "last_seen", "coverage", "backlog", "pack", "presence", "scans"] {
        assert!(!agent[field].is_null(), "{field} is a stable field: {agent}");
    }
    let (code, text, _) = site.cli(&["agent", "list"]);
    assert_eq!(code, 0);
    assert!(text.contains("UBND xã Ea Kao"), "{text}");
}

#[test]
fn an_agent_that_is_stopped_in_its_tracks_is_silent_and_an_alert() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    // Frozen, it stays a child of `khien up`, which therefore does not start another.
    let pid = up.child_pid("khien-agent").unwrap();

    send(pid, Signal::STOP);

    site.until(&["agent", "list"], "silence", |a| a[0]["presence"] == "silent");
    let alert = up.alert("alert for silence", |a| a["rule"] == "khien.agent.silent");
    assert_eq!(alert["severity"], "high");
    send(pid, Signal::CONT);
    site.until(&["agent", "list"], "the agent's return", |a| a[0]["presence"] == "online");
}

#[test]
fn an_agent_killed_without_a_warning_is_an_alert_and_is_started_again() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let old = up.kill("khien-agent");

    up.alert("alert for the kill", |a| a["rule"] == "khien.agent.silent");
    up.new_child("khien-agent", old);
    site.until(&["agent", "list"], "the agent's return", |a| a[0]["presence"] == "online");
    site.shell_alert(&mut up, "after.php");
}

#[test]
fn what_is_found_while_the_hub_is_away_comes_when_it_is_back() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let old = up.kill("khien-hub");

    let path = site.write("meanwhile.php", &crate::harness::web_shell("meanwhile"));

    up.new_child("khien-hub", old);
    let alert = up.alert("alert from the spool", |a| crate::harness::is_at(a, &path));
    assert_eq!(alert["count"], 1, "it came once");
}

#[test]
fn a_sysadmin_pauses_the_scanning_of_files_the_team_sees_it_and_nothing_is_lost() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let agent_home = site.home.join("agent");
    let tell = |args: &[&str]| {
        let told = site.command("khien-agent").args(args).arg("--home").arg(&agent_home).output().unwrap();
        assert!(told.status.success(), "{told:?}");
    };
    let paused = |a: &serde_json::Value| {
        let coverage = a[0]["coverage"].as_array().cloned().unwrap_or_default();
        coverage.iter().any(|c| c["reason"]["code"] == "paused_by_sysadmin" && c["sight"] == "blind")
    };

    tell(&["pause", "--minutes", "5"]);
    site.until(&["agent", "list"], "the pause", paused);
    let path = site.write("paused.php", &crate::harness::web_shell("paused"));
    tell(&["resume"]);

    site.until(&["agent", "list"], "the end of the pause", |a| !paused(a));
    up.alert("alert for what was written in the pause", |a| crate::harness::is_at(a, &path));
}
