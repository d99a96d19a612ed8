//! What was seen on the network before: looked up over the fleet, and the packets of the last moments as evidence.

use std::{fs, path::Path, process::Command, time::Instant};

use khien_core::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    detectors::{VERSION, pack},
    harness::{PATIENCE, Site, send, sha256_of},
    net_host::{Bash, Held, WORLD, id, watched},
    place::{cannot_run, program},
    traffic::{LISTED, cabled, flow_alert},
};

/// Runs `khien hunt net --json`, and returns its exit code and its lines.
fn hunt(site: &Site, args: &[&str]) -> (i32, Vec<Value>) {
    let patience: &[&str] = if args.contains(&"--patience") { &[] } else { &["--patience", "300"] };
    let (code, out, err) = site.cli(&[&["hunt", "net"], patience, args, &["--json"]].concat());
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    (code, out.lines().map(parse).collect())
}

/// Hunts until something is found: what was seen is written a moment later.
fn found(site: &Site, args: &[&str]) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        match hunt(site, args) {
            (6, lines) => return lines,
            (code, lines) if begun.elapsed() > PATIENCE => panic!("{code}: {lines:?}"),
            _ => {}
        }
    }
}

#[test]
fn a_hunt_over_the_fleet_finds_what_was_seen_before_and_says_who_did_not_answer() {
    let Some((site, world)) = cabled() else { return };
    let mut up = watched(&site, &[]);
    let (plain, listed) = (Held::new(&world, WORLD), Held::new(&world, WORLD));
    let mut bash = Bash::start(&site, &[]);
    // Of this one nobody hears: it is on no list.
    bash.ask(plain.address, "kho.xa.example");
    bash.ask(listed.address, LISTED);
    flow_alert(&mut up, "the later one", listed.address, |_| true);

    // Nobody answered: what was asked for is kept when the connection is over.
    drop((plain, listed, bash));

    let lines = found(&site, &["--domain", "xa.example"]);

    let http = lines.iter().find(|line| line["kind"] == "http").unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!((&http["host"], &http["uri"]), (&"kho.xa.example".into(), &"/gate".into()), "{http}");
    let (code, shown, err) = site.cli(&["hunt", "net", "--ip", "10.77.0.0/24"]);
    assert!(code == 6 && shown.contains("kho.xa.example") && shown.contains(WORLD), "{code} {shown}{err}");
    let since = Timestamp::now().to_string();
    let (code, lines) = hunt(&site, &["--domain", "khong-co.example", "--since", &since]);
    assert_eq!((code, lines.len(), &lines[0]["whole"]), (0, 1, &true.into()), "{lines:?}");
    let (code, lines) = hunt(&site, &["--domain", "khong-co.example"]);
    assert_eq!((code, &lines[0]["whole"]), (7, &false.into()), "there are no records of 30 days: {lines:?}");
    pack(&site, VERSION, "[network.records]\ndays = 7\nmib = 2\n", &[]);
    site.until(&["agent", "list"], "how far its records reach", |agents| {
        let records = &agents[0]["records"];
        (&records["limit"], &records["days"]) == (&(2 << 20).into(), &7.into())
            && records["since"].is_string()
    });
    let agent = up.child_pid("khien-agent").unwrap();
    send(agent, Signal::STOP);
    let (code, lines) = hunt(&site, &["--domain", "xa.example", "--since", &since, "--patience", "2"]);
    send(agent, Signal::CONT);
    assert_eq!(code, 7, "{lines:?}");
    assert!(lines[0]["failed"].is_string() && lines[0]["whole"] == false, "{lines:?}");
}

#[test]
fn the_packets_of_an_alert_are_saved_as_evidence_that_others_read_too() {
    let Some((site, world)) = cabled() else { return };
    let mut up = watched(&site, &["--packets-mib", "8"]);
    let server = Held::new(&world, WORLD);
    let mut bash = Bash::start(&site, &[]);
    bash.ask(server.address, LISTED);
    let alert = flow_alert(&mut up, "a listed host", server.address, |_| true);
    let incident = site.json(&["incident", "open", id(&alert)]);
    let (incident, host) = (incident["id"].as_str().unwrap(), alert["host"].as_str().unwrap());

    let order = site.json(&["packets", "save", "--agent", host, "--incident", incident]);

    let saved = order["answer"]["evidence"]["sha256"].as_str().unwrap_or_else(|| panic!("{order}"));
    let file = site.home.join("saved.pcapng");
    let path = file.to_str().unwrap();
    let (code, _, err) = site.cli(&["evidence", "get", saved, "--incident", incident, "--out", path]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(sha256_of(&fs::read(&file).unwrap()), saved);
    let shown = site.json(&["incident", "show", incident]);
    assert!(shown["evidence"].to_string().contains(saved), "{shown}");
    scanned(&file, &alert);
    dissected(&file, server.address.port());
}

/// Holds what our own scan of a file finds against the live alert.
fn scanned(file: &Path, alert: &Value) {
    let mut command = Command::new(program("khien"));
    let out = command.args(["pcap", "scan", "--lang", "en", "--json"]).arg(file).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let same = |line: &Value| {
        let flow = &line["flow"];
        line["rule"] == alert["rule"]
            && ["client", "server", "name", "application"].iter().all(|key| flow[key] == alert["flow"][key])
    };
    assert!(lines.iter().any(same), "{text}{}", String::from_utf8_lossy(&out.stderr));
}

/// Has another program read a file, where it is installed.
fn dissected(file: &Path, port: u16) {
    let fields = ["-T", "fields", "-e", "http.host", "-e", "tcp.dstport", "-Y", "http.request"];
    let decode = format!("tcp.port=={port},http");
    match Command::new("tshark").arg("-r").arg(file).args(["-d", &decode]).args(fields).output() {
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(
                text.contains(&format!("{LISTED}\t{port}")),
                "{text}{}",
                String::from_utf8_lossy(&out.stderr)
            );
        }
        Err(_) => cannot_run("tshark is not installed"),
    }
}
