//! Scan files of packets for an incident: what is found joins the queue and the case, once, and is never lost.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    harness::{Site, Up, send, sha256_of, web_shell},
    pcap::{LISTED, download, file, question},
    playbook::incident,
};

fn packets() -> Vec<Vec<u8>> {
    [vec![question(LISTED)], download(&web_shell("mirror"))].concat()
}

fn up(site: &Site) -> Up<'_> {
    site.up(&["--agency", "Sở Y tế", "--watch", site.web.to_str().unwrap()])
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Scans a file for an incident; returns the exit code and what is said of the sending.
fn scan(site: &Site, incident: &str, path: &Path, more: &[&str]) -> (i32, Value) {
    let args = ["pcap", "scan", "--json", "--incident", incident, path.to_str().unwrap()];
    let (code, out, err) = site.cli(&[&args, more].concat());
    let last = lines(&out).pop().unwrap_or_else(|| panic!("nothing was said: {err}"));
    (code, last)
}

fn captured(site: &Site) -> Vec<Value> {
    let all = site.json(&["alert", "list"]);
    all.as_array().unwrap().iter().filter(|a| !a["capture"].is_null()).cloned().collect()
}

/// A scan for an incident of what comes on its standard input.
struct Begun {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
}

impl Begun {
    fn new(site: &Site, incident: &str) -> Self {
        let mut command = site.command("khien");
        command.arg("--home").arg(&site.home).args(["pcap", "scan", "--incident", incident, "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, stdin, said: BufReader::new(stdout).lines() }
    }

    /// Feeds it what begins with the question for the listed name, and waits until that is told.
    fn feed(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
        let first = self.said.next().unwrap().unwrap();
        assert!(first.contains(LISTED), "{first}");
    }

    /// Ends the input; returns the exit code and what was said, on stderr at last.
    fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        drop(self.stdin.take());
        let rest = self.said.map(Result::unwrap).collect();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), rest, told)
    }
}

#[test]
fn what_is_found_in_a_capture_joins_the_queue_and_the_case_once() {
    let site = Site::new();
    let mut up = up(&site);
    let id = incident(&site, &mut up, "a.php");
    let path = site.home.join("mirror.pcapng");
    let bytes = file(&packets());
    fs::write(&path, &bytes).unwrap();

    let (code, last) = scan(&site, &id, &path, &[]);

    let sent = &last["sent"];
    assert_eq!((code, &sent["incident"]), (1, &id.as_str().into()), "{last}");
    assert_eq!(sent["sha256"], sha256_of(&bytes));
    let alerts = captured(&site);
    assert_eq!(sent["added"], alerts.len(), "{last}");
    let listed = alerts.iter().find(|a| a["flow"]["name"] == LISTED).unwrap();
    assert_eq!(listed["capture"]["name"], path.to_str().unwrap());
    assert_eq!(listed["capture"]["sha256"], sha256_of(&bytes));
    assert_eq!((&listed["incident"], &listed["agency"]), (&id.as_str().into(), &"Sở Y tế".into()));
    assert_eq!(listed["flow"]["interface"], "eth0", "the interface is not called as the file");
    assert_eq!(listed["first_seen"], "2026-11-23T07:00:00Z");
    let shell = alerts.iter().find(|a| a["rule"].as_str().unwrap().starts_with("webshell.")).unwrap();
    assert_eq!(shell["severity"], "critical", "as the hub's pack says");
    up.alert("an alert of the capture in the live queue", |a| a["id"] == shell["id"]);

    let case = site.json(&["incident", "show", &id]);
    let told = |case: &Value| {
        let lines = case["timeline"].as_array().unwrap().iter();
        lines.filter(|e| e["kind"] == "capture_scanned").cloned().collect::<Vec<_>>()
    };
    let [line] = &told(&case)[..] else { panic!("{case}") };
    let text = line["text"]["en"].as_str().unwrap();
    assert!(text.contains("mirror.pcapng") && text.contains(&sha256_of(&bytes)), "{text}");
    assert!(text.contains("9 packets") && text.contains(&format!("{} alerts", alerts.len())), "{text}");
    let (_, shown, _) = site.cli(&["alert", "show", shell["id"].as_str().unwrap()]);
    assert!(shown.contains("Packets") && shown.contains("mirror.pcapng"), "{shown}");
    assert!(!shown.contains("Agent"), "nobody is taken for an agent: {shown}");

    let (code, last) = scan(&site, &id, &path, &["--host", "tap"]);

    assert_eq!((code, &last["sent"]["added"]), (1, &0.into()), "{last}");
    assert_eq!(last["sent"]["known"], alerts.len());
    assert_eq!(captured(&site), alerts);
    let again = site.json(&["incident", "show", &id]);
    for field in ["alerts", "timeline", "revision", "detected"] {
        assert_eq!(again[field], case[field], "the same again changes nothing");
    }

    let other = site.home.join("other.pcapng");
    fs::write(&other, file(&packets()[..1])).unwrap();
    let (_, last) = scan(&site, &id, &other, &["--host", "tap-hanoi"]);
    assert_eq!(last["sent"]["added"], 1, "{last}");
    assert_eq!(captured(&site).iter().filter(|a| a["host"] == "tap-hanoi").count(), 1);
    assert_eq!(told(&site.json(&["incident", "show", &id])).len(), 2);
}

#[test]
fn what_the_hubs_next_pack_does_not_know_is_named_and_all_else_reaches_the_case() {
    let site = Site::new();
    let mut up = up(&site);
    let id = incident(&site, &mut up, "a.php");
    let bytes = file(&packets());
    let mut begun = Begun::new(&site, &id);
    // What is asked for first is told by the pack that was fetched.
    let begins = file(&packets()[..1]).len();
    begun.feed(&bytes[..begins]);

    let pack = site.home.join("next-pack");
    next_pack(&pack);
    let (code, _, err) = site.cli(&["rules", "push", pack.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    begun.stdin.as_mut().unwrap().write_all(&bytes[begins..]).unwrap();
    let (code, _, told) = begun.end();

    assert_eq!(code, Some(4), "{told}");
    assert!(
        told.contains("findings by rules that the hub's current pack does not have: webshell."),
        "{told}"
    );
    assert!(told.contains("run the same command again"), "{told}");
    let alerts = captured(&site);
    assert!(alerts.iter().any(|a| a["flow"]["name"] == LISTED), "{alerts:?}");
    assert!(!alerts.iter().any(|a| a["rule"].as_str().unwrap().starts_with("webshell.")), "{alerts:?}");
    let case = site.json(&["incident", "show", &id]).to_string();
    assert!(case.contains("more alerts were not sent") && case.contains("rule pack "), "{case}");
}

/// Writes a pack that has the shipped one's list of names and none of its rules.
fn next_pack(folder: &Path) {
    let words = "{ vi = \"Tên trong danh sách\", en = \"A listed name\" }";
    let rule = "indicator.domain.base";
    let manifest = format!(
        "version = 4000000\n[[rule]]\nid = \"{rule}\"\nseverity = \"high\"\ntitle = {words}\nexplanation = {words}\n\
         next_step = {words}\n[[list]]\nfile = \"names.list\"\nrule = \"{rule}\"\nkind = \"domain\"\nsource = \"A05\"\n"
    );
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("pack.toml"), manifest).unwrap();
    fs::write(folder.join("names.list"), format!("{LISTED}\n")).unwrap();
}

#[test]
fn a_capture_that_is_kept_twice_is_evidence_once() {
    let site = Site::new();
    let mut up = up(&site);
    let id = incident(&site, &mut up, "a.php");
    let path = site.home.join("mirror.pcapng");
    let bytes = file(&packets());
    fs::write(&path, &bytes).unwrap();

    let kept = [(), ()].map(|()| scan(&site, &id, &path, &["--keep"]).1["sent"]["kept"].clone());

    assert_eq!(kept, [true, true]);
    let evidence = site.json(&["evidence", "list", "--incident", &id]);
    let digests: Vec<_> = evidence.as_array().unwrap().iter().map(|e| e["sha256"].clone()).collect();
    assert_eq!(digests, [sha256_of(&bytes)]);
}

#[test]
fn a_scan_for_a_case_that_is_broken_off_sends_nothing_and_says_so() {
    let site = Site::new();
    let mut up = up(&site);
    let id = incident(&site, &mut up, "a.php");
    let mut begun = Begun::new(&site, &id);
    begun.feed(&file(&packets()[..1]));

    send(begun.child.id(), Signal::TERM);
    // Its input goes on: nothing but the signal ends it.
    let ended = begun.child.wait().unwrap();

    let (_, _, told) = begun.end();
    assert_eq!(ended.code(), Some(4), "{told}");
    assert!(told.contains("did not reach the hub") && told.contains("broken off"), "{told}");
    assert!(captured(&site).is_empty());
}

#[test]
fn a_capture_is_not_scanned_for_a_case_that_is_closed_or_not_there() {
    let site = Site::new();
    let mut up = up(&site);
    let id = incident(&site, &mut up, "a.php");
    let path = site.home.join("mirror.pcapng");
    fs::write(&path, file(&packets())).unwrap();
    site.json(&["incident", "close", &id, "--reason", "done"]);

    for (case, why) in [(id.as_str(), "closed"), ("SC-2026-0999", "does not exist")] {
        let args = ["pcap", "scan", "--incident", case, path.to_str().unwrap()];
        let (code, out, err) = site.cli(&args);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(why), "{err}");
    }
    let (code, _, err) = site.cli(&["pcap", "scan", "--host", "tap", path.to_str().unwrap()]);
    assert_eq!(code, 2, "{err}");
    assert!(captured(&site).is_empty());
}

#[test]
fn what_was_found_is_printed_and_can_be_sent_again_when_the_hub_is_away() {
    let site = Site::new();
    let mut running = up(&site);
    let id = incident(&site, &mut running, "a.php");
    let path = site.home.join("mirror.pcapng");
    let bytes = file(&packets());
    fs::write(&path, &bytes).unwrap();
    let mut begun = Begun::new(&site, &id);

    // The question for the listed name comes first; the file ends while the hub is away.
    let begins = file(&packets()[..1]).len();
    begun.feed(&bytes[..begins]);
    assert_eq!(running.stop(), 0);
    begun.stdin.as_mut().unwrap().write_all(&bytes[begins..]).unwrap();

    let (code, rest, told) = begun.end();
    assert_eq!(code, Some(4), "{told}");
    assert!(rest.iter().any(|line| line.contains("webshell.")), "{rest:?}");
    assert!(told.contains("did not reach the hub") && told.contains("run the same command again"), "{told}");
    let away = site.cli(&["pcap", "scan", "--incident", &id, path.to_str().unwrap()]);
    assert_eq!(away.0, 4, "{away:?}");

    let _running = up(&site);
    assert!(captured(&site).is_empty());
    let (code, last) = scan(&site, &id, &path, &[]);
    assert_eq!((code, &last["sent"]["known"]), (1, &0.into()), "{last}");
    assert_eq!(captured(&site).len() as u64, last["sent"]["added"].as_u64().unwrap());
}
