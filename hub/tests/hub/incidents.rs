//! Incidents and their timelines.

use khien_core::{
    AlertId,
    api::{AddNote, Incidents, OpenIncident},
    incident::{EntryKind, Incident},
};
use reqwest::{Method, StatusCode};

use crate::common::{self, Team};

fn of(alerts: &[i64]) -> OpenIncident {
    OpenIncident { title: None, alerts: alerts.iter().map(|n| AlertId(*n)).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_opened_from_alerts_and_counts_from_their_first_detection() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a"), common::found("/srv/b.php", b"b")]).await;
    let thu = team.operator();

    let incident: Incident = thu.good(Method::POST, "/v1/incidents", &of(&[2, 1])).await;

    let alerts = team.alerts().await;
    assert_eq!(incident.id.number, 1);
    assert_eq!(incident.alerts, [AlertId(1), AlertId(2)]);
    assert_eq!(incident.detected, alerts.iter().map(|a| a.first_seen).min().unwrap());
    assert_eq!(incident.agencies, ["Sở Y tế"]);
    assert!(alerts.iter().all(|a| a.incident == Some(incident.id)));
    let kinds: Vec<_> = incident.timeline.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EntryKind::Detected, EntryKind::Detected, EntryKind::Opened]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_belongs_to_one_incident() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a"), common::found("/srv/b.php", b"b")]).await;
    let thu = team.operator();
    let first: Incident = thu.good(Method::POST, "/v1/incidents", &of(&[1])).await;

    let error = thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/incidents", &of(&[2, 1])).await;

    assert!(error.contains(&first.id.to_string()), "{error}");
    thu.bad(StatusCode::BAD_REQUEST, Method::POST, "/v1/incidents", &of(&[])).await;
    thu.bad(StatusCode::NOT_FOUND, Method::POST, "/v1/incidents", &of(&[7])).await;
    let all: Incidents = thu.good(Method::GET, "/v1/incidents", &()).await;
    assert_eq!(all.incidents.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_bounded_and_bear_the_name_of_the_certificate() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    let thu = team.operator();
    let incident: Incident = thu.good(Method::POST, "/v1/incidents", &of(&[1])).await;
    let path = format!("/v1/incidents/{}/notes", incident.id);

    let noted: Incident = thu.good(Method::POST, &path, &AddNote { text: "đã gọi cơ quan".to_owned() }).await;

    let last = noted.timeline.last().unwrap();
    assert_eq!((last.who.as_str(), last.text.as_str()), ("thu", "đã gọi cơ quan"));
    assert!(noted.revision > incident.revision);
    let long = AddNote { text: "x".repeat((16 << 10) + 1) };
    thu.bad(StatusCode::BAD_REQUEST, Method::POST, &path, &long).await;
    let elsewhere = "/v1/incidents/SC-2026-0999/notes";
    thu.bad(StatusCode::NOT_FOUND, Method::POST, elsewhere, &AddNote { text: "x".to_owned() }).await;
}
