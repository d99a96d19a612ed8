//! Command one: everything is set up without a question, ends cleanly, and goes on with the same data.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::harness::{Site, is_at, plain_line, web_shell};

#[test]
fn the_first_start_asks_nothing_and_keeps_its_state_to_itself() {
    let site = Site::new();

    let up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let agents = site.json(&["agent", "list"]);
    assert_eq!(agents.as_array().unwrap().len(), 1, "{agents}");
    assert_eq!(agents[0]["presence"], "online");
    assert!(agents[0]["pack"].as_u64().unwrap() > 0, "the rule pack is loaded: {agents}");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.home), 0o700);
    assert_eq!(mode(&site.home.join("operator/key.pem")), 0o600);
    assert_eq!(up.stop(), 0);
}

#[test]
fn a_second_start_goes_on_with_the_same_data() {
    let site = Site::new();
    let watch = ["--watch", site.web.to_str().unwrap()];
    let mut up = site.up(&watch);
    let alert = site.shell_alert(&mut up, "first.php");
    let agent = site.json(&["agent", "list"])[0]["id"].clone();
    assert_eq!(up.stop(), 0);

    let mut up = site.up(&watch);

    let alerts = site.json(&["alert", "list"]);
    assert_eq!(alerts[0]["id"], alert["id"], "{alerts}");
    assert_eq!(site.json(&["agent", "list"])[0]["id"], agent, "it is still the same agent");
    site.shell_alert(&mut up, "second.php");
    assert_eq!(up.stop(), 0);
}

#[test]
fn what_was_written_while_it_was_down_is_found_at_the_next_start() {
    let site = Site::new();
    let watch = ["--watch", site.web.to_str().unwrap()];
    assert_eq!(site.up(&watch).stop(), 0);
    let path = site.write("meanwhile.php", &web_shell("meanwhile"));

    let mut up = site.up(&watch);

    up.alert("alert for what came meanwhile", |a| is_at(a, &path));
}

#[test]
fn without_a_terminal_an_alert_is_one_plain_line() {
    let site = Site::new();

    let mut command = site.command("khien");
    command.arg("--home").arg(&site.home).args(["up", "--watch"]).arg(&site.web);
    let line = plain_line(command, "plain.php", || drop(site.write("plain.php", &web_shell("plain"))));

    assert!(line.contains("Critical") && line.contains("A-1"), "{line}");
    assert!(!line.contains('{'), "a person reads it: {line}");
}

/// Exactly what the README says: no argument, no question; state in the user's own place, the current folder watched.
#[test]
fn the_bare_command_sets_everything_up() {
    let site = Site::new();
    let own = site.web.with_file_name("own");
    fs::create_dir(&own).unwrap();
    let mut command = site.command("khien");
    command.arg("up").env("HOME", &own).env_remove("XDG_DATA_HOME");

    let line = plain_line(command, "bare.php", || drop(site.write("bare.php", &web_shell("bare"))));

    assert!(line.contains("bare.php"), "{line}");
    let home = own.join(".local/share/khien");
    assert_eq!(fs::metadata(home).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn two_of_them_never_share_a_home() {
    let site = Site::new();
    let _up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let (code, _, err) = site.cli(&["up", "--json", "--watch", site.web.to_str().unwrap()]);

    assert_ne!(code, 0);
    assert!(err.contains("khien up"), "the error names what runs already: {err}");
}

#[test]
fn without_a_hub_a_command_says_what_to_do() {
    let site = Site::new();

    let (code, out, err) = site.cli(&["alert", "list"]);

    assert_eq!(code, 4);
    assert_eq!(out, "");
    assert!(err.contains("khien up"), "{err}");
}
