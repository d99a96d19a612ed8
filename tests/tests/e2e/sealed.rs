//! Evidence at rest: what was preserved, saved or brought cannot be read on the disks of agent and hub, and comes out whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    harness::{Site, Up, is_at, sha256_of, web_shell},
    net_host::{Bash, Held, WORLD, id, watched},
    playbook::asked,
    traffic::{LISTED, cabled, flow_alert},
};

/// What nobody may find. It stands far from what a rule shows of a file, and in no head of a protocol.
const MARKER: &str = "CMND-012345678901-Nguyen-Van-A";

/// Names the files below a folder that hold some bytes.
fn holders(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // What a running program removes meanwhile holds nothing any more.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            found.extend(holders(&path, bytes));
        } else if fs::read(&path).is_ok_and(|text| text.windows(bytes.len()).any(|w| w == bytes)) {
            found.push(path);
        }
    }
    found
}

fn nothing_to_read(site: &Site, marker: &str) {
    for folder in ["hub", "agent"] {
        assert!(site.home.join(folder).is_dir(), "{folder}");
    }
    assert_eq!(holders(&site.home, marker.as_bytes()), Vec::<PathBuf>::new());
}

/// Takes a copy out, and returns it.
fn exported(site: &Site, sha256: &str, incident: &str, name: &str) -> Vec<u8> {
    let out = site.web.with_file_name(name);
    let (code, _, err) =
        site.cli(&["evidence", "get", sha256, "--incident", incident, "--out", out.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let bytes = fs::read(&out).unwrap();
    assert_eq!(sha256_of(&bytes), sha256);
    bytes
}

/// Kills the hub and waits until the next one answers.
fn hub_again(site: &Site, up: &Up<'_>, incident: &str) {
    let old = up.kill("khien-hub");
    up.new_child("khien-hub", old);
    site.until(&["incident", "show", incident], "an answer of the new hub", |_| true);
}

fn kept(site: &Site, incident: &str) -> Vec<Value> {
    site.json(&["evidence", "list", "--incident", incident]).as_array().unwrap().clone()
}

#[test]
fn a_file_that_was_preserved_and_one_that_was_brought_are_sealed_and_come_out_whole() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let content = format!("{}{}{MARKER}", web_shell("sealed"), " \n".repeat(20_000));
    let path = site.write("marked.php", &content);
    let alert = up.alert("the web shell", |a| is_at(a, &path));
    let incident = site.json(&["incident", "open", id(&alert)])["id"].as_str().unwrap().to_owned();
    asked(&site, &incident);
    let image = site.web.with_file_name("đĩa.img");
    fs::write(&image, format!("{}{MARKER}", "0".repeat(3 << 20))).unwrap();
    let added = site.json(&["evidence", "add", image.to_str().unwrap(), "--incident", &incident]);

    nothing_to_read(&site, MARKER);
    let [preserved, brought] = &kept(&site, &incident)[..] else { panic!("{:?}", kept(&site, &incident)) };
    assert_eq!((&preserved["size"], &preserved["host"].is_string()), (&content.len().into(), &true));
    assert_eq!((&brought["sha256"], &brought["path"]), (&added["sha256"], &"đĩa.img".into()));
    assert_eq!((&brought["custody"][0]["action"], &brought["agent"]), (&"brought".into(), &Value::Null));
    for (evidence, plain) in [(preserved, &path), (brought, &image)] {
        let sha256 = evidence["sha256"].as_str().unwrap();
        assert_eq!(exported(&site, sha256, &incident, &format!("{sha256}-1")), fs::read(plain).unwrap());
    }
    hub_again(&site, &up, &incident);
    for (evidence, plain) in [(preserved, &path), (brought, &image)] {
        let sha256 = evidence["sha256"].as_str().unwrap();
        assert_eq!(exported(&site, sha256, &incident, &format!("{sha256}-2")), fs::read(plain).unwrap());
    }
    nothing_to_read(&site, MARKER);
    let (code, shown, err) = site.cli(&["incident", "show", &incident]);
    assert!(code == 0 && shown.contains("đĩa.img"), "{shown}{err}");
    let folder = site.web.to_str().unwrap();
    let (code, _, err) = site.cli(&["evidence", "add", folder, "--incident", &incident]);
    assert!(code != 0 && err.contains("is no regular file"), "{err}");
    assert_eq!(up.stop(), 0);
}

#[test]
fn packets_that_were_saved_are_never_readable_on_a_disk() {
    let Some((site, world)) = cabled() else { return };
    let mut up = watched(&site, &["--packets-mib", "8"]);
    let (server, other) = (Held::new(&world, WORLD), Held::new(&world, WORLD));
    let mut bash = Bash::start(&site, &[]);
    bash.run(&format!("exec 4<>/dev/tcp/{}/{}", other.address.ip(), other.address.port()));
    bash.run(&format!("printf %s '{}' >&4", MARKER.repeat(40)));
    bash.ask(server.address, LISTED);
    let alert = flow_alert(&mut up, "a listed host", server.address, |_| true);
    let incident = site.json(&["incident", "open", id(&alert)])["id"].as_str().unwrap().to_owned();
    let host = alert["host"].as_str().unwrap();

    let order = site.json(&["packets", "save", "--agent", host, "--incident", &incident]);

    let sha256 = order["answer"]["evidence"]["sha256"].as_str().unwrap_or_else(|| panic!("{order}"));
    nothing_to_read(&site, MARKER);
    let file = exported(&site, sha256, &incident, "one.pcapng");
    assert!(file.windows(MARKER.len()).any(|w| w == MARKER.as_bytes()), "the test saw what it looked for");
    hub_again(&site, &up, &incident);
    assert_eq!(exported(&site, sha256, &incident, "two.pcapng"), file);
    nothing_to_read(&site, MARKER);
}
