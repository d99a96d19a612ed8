//! Command one: everything is set up without a question, ends cleanly, and goes on with the same data.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::harness::{Site, is_at, web_shell};

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
