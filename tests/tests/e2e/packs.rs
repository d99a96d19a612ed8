//! The rules' compiled form: built and signed with the pack, loaded by the agent, never loaded when it is not what was
//! signed.

use std::{fs, path::PathBuf, time::Instant};

use khien_core::Sha256;

use crate::harness::{PATIENCE, Site};

const LOADED: &str = "rules are loaded from their compiled form";
const NOT_USED: &str = "compiled form of the rules is not used";
const REFUSED: &str = "a pack is refused";

/// How often the agent's log has a line.
fn logged(site: &Site, line: &str) -> usize {
    let log = fs::read_to_string(site.home.join("log/agent.log")).unwrap_or_default();
    log.matches(line).count()
}

fn until_logged(site: &Site, line: &str, times: usize) {
    let begun = Instant::now();
    while logged(site, line) < times {
        assert!(begun.elapsed() < PATIENCE, "the agent's log has no {times} lines with `{line}`");
        std::thread::yield_now();
    }
}

fn compiled(site: &Site) -> PathBuf {
    site.home.join("agent/pack.compiled")
}

#[test]
fn the_compiled_form_is_loaded_at_the_first_start_and_from_the_disk_at_the_next() {
    let site = Site::new();
    let watch = ["--watch", site.web.to_str().unwrap()];

    let mut up = site.up(&watch);
    site.shell_alert(&mut up, "first.php");
    // A second worker may have come while the first was busy.
    assert!(logged(&site, LOADED) >= 1, "the form that came is loaded");
    assert_eq!(logged(&site, "compiled from"), 0);
    assert_eq!(up.stop(), 0);
    let mut up = site.up(&watch);
    site.shell_alert(&mut up, "second.php");

    assert!(logged(&site, LOADED) >= 2, "the form on the disk is loaded");
    assert_eq!(logged(&site, "compiled from"), 0);
}

#[test]
fn a_compiled_form_altered_on_the_disk_is_not_loaded_and_the_rules_still_work() {
    let site = Site::new();
    let watch = ["--watch", site.web.to_str().unwrap()];
    assert_eq!(site.up(&watch).stop(), 0);
    let mut bytes = fs::read(compiled(&site)).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(compiled(&site), bytes).unwrap();
    let before = logged(&site, LOADED);

    let mut up = site.up(&watch);
    site.shell_alert(&mut up, "shell.php");

    until_logged(&site, NOT_USED, 1);
    assert_eq!(logged(&site, LOADED), before);
}

#[test]
fn a_compiled_form_that_only_an_altered_pack_names_is_not_loaded() {
    let site = Site::new();
    let watch = ["--watch", site.web.to_str().unwrap()];
    assert_eq!(site.up(&watch).stop(), 0);
    let (good, evil) = (fs::read(compiled(&site)).unwrap(), b"evil code");
    let pack = fs::read_to_string(site.home.join("agent/pack.json")).unwrap();
    let named = Sha256::of(&good).to_string();
    assert!(pack.contains(&named));
    fs::write(site.home.join("agent/pack.json"), pack.replace(&named, &Sha256::of(evil).to_string()))
        .unwrap();
    fs::write(compiled(&site), evil).unwrap();

    let mut up = site.up(&watch);
    site.shell_alert(&mut up, "shell.php");

    until_logged(&site, REFUSED, 1);
    assert_eq!(logged(&site, NOT_USED), 0, "it was not even tried");
    assert_eq!(fs::read(compiled(&site)).unwrap(), good, "the hub's pack and form are there again");
}
