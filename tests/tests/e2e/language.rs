//! Two languages: what a responder reads is Vietnamese or English as asked, whoever wrote it.

use crate::{
    harness::Site,
    playbook::{asked, incident, state},
};

/// Words that stand in English sentences of the programs and in no Vietnamese one.
const ENGLISH: [&str; 12] = [
    "Detected", "opened", "Approved", "approval", "Evidence", "started", "ended", "does not", "already",
    "agent ", "Step", "Preserve",
];

/// Returns what a command prints on both channels.
fn said(site: &Site, args: &[&str], lang: &str) -> String {
    let (_, out, err) = site.cli(&[args, &["--lang", lang]].concat());
    format!("{out}{err}")
}

fn is_vietnamese(text: &str) -> bool {
    text.chars().any(|c| c.is_alphabetic() && !c.is_ascii())
}

/// The lines after a heading, up to an empty one.
fn part<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) =
        text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}: {text}"));
    rest.split("\n\n").next().unwrap_or_default()
}

#[test]
fn an_incident_reads_in_the_language_that_is_asked_for() {
    let site = Site::new();
    let mut up = site.up(&["--agency", "So Y te", "--watch", site.web.to_str().unwrap()]);
    let incident = incident(&site, &mut up, "words.php");
    let run = asked(&site, &incident);
    site.json(&["run", "approve", &run, "--yes", "--wait"]);
    state(&site, &run, "done");
    site.json(&["incident", "note", &incident, "đã gọi cơ quan"]);

    let show = |lang| said(&site, &["incident", "show", &incident], lang);
    let (vi, en) = (show("vi"), show("en"));

    let written = part(&vi, "DIỄN BIẾN");
    assert!(written.contains("đã gọi cơ quan") && written.contains("tác tử "), "{written}");
    for word in ENGLISH {
        assert!(!written.contains(word), "`{word}` in: {written}");
    }
    let written = part(&en, "TIMELINE");
    let foreign: Vec<_> = written.lines().filter(|l| is_vietnamese(l)).collect();
    assert!(matches!(foreign[..], [note] if note.contains("đã gọi cơ quan")), "only the note: {foreign:#?}");
    let head = en.lines().take(3).collect::<Vec<_>>().join("\n");
    assert!(!is_vietnamese(&head), "a title that nobody typed is the alert's in both: {head}");
}

#[test]
fn the_hub_says_no_in_the_language_that_is_asked_for_and_scripts_get_a_code() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let alert = site.shell_alert(&mut up, "no.php");
    let id = alert["id"].as_str().unwrap();
    site.json(&["alert", "close", id, "--verdict", "true-positive"]);
    let again = ["alert", "close", id, "--verdict", "true-positive"];

    let (vi, en) = (said(&site, &again, "vi"), said(&site, &again, "en"));
    let (code, _, err) = site.cli(&[&again[..], &["--json"]].concat());

    assert!(vi.contains(&format!("cảnh báo {id} đã đóng")) && !vi.contains("already"), "{vi}");
    assert!(en.contains(&format!("alert {id} is closed")) && !is_vietnamese(&en), "{en}");
    assert!(vi.contains(&format!("khien alert reopen {id}")), "the next step: {vi}");
    let failure: serde_json::Value = serde_json::from_str(&err).unwrap_or_else(|e| panic!("{e}: {err}"));
    assert_eq!((code, failure["hub"]["code"].as_str()), (5, Some("alert_is_closed")));
}
