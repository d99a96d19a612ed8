//! What the hub writes for people is in Vietnamese and in English; what it refuses has a stable code.

use khien_core::{
    AlertId, Timestamp,
    api::{AddNote, OpenIncident},
    incident::{EntryKind, Incident},
    problem::Cause,
    protocol::{Problem, Report},
    reason::{OsError, Reason},
    text::Words,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{self, Team};

/// Tells whether a text has letters that only Vietnamese has here.
fn is_vietnamese(text: &str) -> bool {
    text.chars().any(|c| c.is_alphabetic() && !c.is_ascii())
}

fn assert_both(words: &Words) {
    assert!(is_vietnamese(&words.vi), "Vietnamese: {words:?}");
    assert!(!is_vietnamese(&words.en) && !words.en.is_empty(), "English: {words:?}");
}

fn blind(cause: Reason) -> Report {
    let now = Timestamp::now();
    Report::Blind { scope: "/srv/www".into(), cause, from: now, until: now, lost: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_of_an_agent_is_said_in_both_languages() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let now = Timestamp::now();
    let error = OsError { errno: 13, text: "Permission denied".into() };

    client
        .report(
            1,
            1,
            &[
                blind(Reason::EventQueueFull),
                blind(Reason::FanotifyFailed { error }),
                Report::Dropped { count: 3, from: now, until: now },
                Report::Started { at: now, died_after: Some(now) },
                Report::Refused { order: None, reason: Reason::Altered, at: now },
                Report::PackRefused { reason: Reason::Unsigned, at: now },
            ],
        )
        .await;

    let alerts = team.alerts().await;
    assert_eq!(alerts.len(), 6);
    alerts.iter().for_each(|a| assert_both(a.what.as_ref().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cause_is_one_alert_however_its_details_change() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let failed =
        |text: &str| blind(Reason::FanotifyFailed { error: OsError { errno: 5, text: text.into() } });

    client.report(1, 1, &[failed("one"), failed("two"), blind(Reason::EventQueueFull)]).await;

    let mut counts: Vec<_> = team.alerts().await.iter().map(|a| a.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_reason_is_shown_as_text() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let text = format!("\u{1b}]0;x\u{7}{}", "y".repeat(8_000));

    client.report(1, 1, &[blind(Reason::Said { text: text.as_str().into() })]).await;

    let what = team.alerts().await[0].what.clone().unwrap();
    for said in [what.vi, what.en] {
        assert!(said.contains(r"\u{1b}") && !said.contains('\u{1b}'), "{said}");
        assert!(said.len() < 2_000, "{} bytes", said.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_is_in_both_languages_and_notes_stay_as_they_were_typed() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client
        .report(1, 1, &[Report::Refused { order: None, reason: Reason::Altered, at: Timestamp::now() }])
        .await;
    let thu = team.operator();
    let open = OpenIncident { title: None, alerts: vec![AlertId(1)] };
    let incident: Incident = thu.good(Method::POST, "/v1/incidents", &open).await;
    let path = format!("/v1/incidents/{}/notes", incident.id);

    let incident: Incident = thu.good(Method::POST, &path, &AddNote { text: "đã gọi".to_owned() }).await;

    assert_both(&incident.title);
    for entry in &incident.timeline {
        match entry.kind {
            EntryKind::Note => assert_eq!(entry.text, Words::same("đã gọi")),
            _ => assert_both(&entry.text),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_a_stable_code_with_arguments_beside_the_english_text() {
    let team = Team::start();
    let thu = team.operator();

    let (status, answer) = thu.ask(Method::POST, "/v1/alerts/A-9/ack", &()).await;

    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(answer["code"], "no_alert");
    assert_eq!(answer["args"], json!({ "alert": "A-9" }));
    assert_eq!(answer["error"], "alert A-9 does not exist");
    let problem: Problem = serde_json::from_value(answer).unwrap();
    let cause = problem.cause().unwrap();
    assert_eq!(cause, Cause::NoAlert { alert: AlertId(9) });
    assert_both(&cause.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_left_a_gap_reads_where_to_go_on() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);

    let (status, answer): (_, Value) =
        client.send(&common::batch(1, 5, &[blind(Reason::EventQueueFull)])).await;

    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!((answer["code"].as_str(), answer["seq"].as_u64()), (Some("gap"), Some(0)));
}
