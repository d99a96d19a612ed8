//! Incidents and their timelines.

use khien_core::{
    AlertId,
    api::{AddNote, CloseIncident, Incidents, OpenIncident, ReportDrafted},
    incident::{Entry, EntryKind, Incident, IncidentStatus},
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
    assert_eq!((last.who.as_str(), last.text.en.as_str()), ("thu", "đã gọi cơ quan"));
    assert!(noted.revision > incident.revision);
    let long = AddNote { text: "x".repeat((16 << 10) + 1) };
    thu.bad(StatusCode::BAD_REQUEST, Method::POST, &path, &long).await;
    let elsewhere = "/v1/incidents/SC-2026-0999/notes";
    thu.bad(StatusCode::NOT_FOUND, Method::POST, elsewhere, &AddNote { text: "x".to_owned() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_closed_for_a_reason_and_opened_again() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    let thu = team.operator();
    let incident: Incident = thu.good(Method::POST, "/v1/incidents", &of(&[1])).await;
    let path = |verb: &str| format!("/v1/incidents/{}/{verb}", incident.id);
    let close = |reason: &str| CloseIncident { reason: reason.to_owned() };

    thu.bad(StatusCode::CONFLICT, Method::POST, &path("reopen"), &()).await;
    thu.bad(StatusCode::BAD_REQUEST, Method::POST, &path("close"), &close(" ")).await;
    let closed: Incident = thu.good(Method::POST, &path("close"), &close("đã vá, đã thay mật khẩu")).await;
    let error = thu.bad(StatusCode::CONFLICT, Method::POST, &path("close"), &close("again")).await;
    let open: Incident = thu.good(Method::POST, &path("reopen"), &()).await;

    assert_eq!((closed.status, open.status), (IncidentStatus::Closed, IncidentStatus::Open));
    assert!(incident.revision < closed.revision && closed.revision < open.revision);
    assert!(error.contains("already"), "{error}");
    let [.., close, reopen] = open.timeline.as_slice() else { panic!("{:?}", open.timeline) };
    assert_eq!((close.kind, close.who.as_str()), (EntryKind::Closed, "thu"));
    assert_eq!(close.text.vi, "đã vá, đã thay mật khẩu");
    assert_eq!((reopen.kind, reopen.who.as_str()), (EntryKind::Reopened, "thu"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_was_drafted_is_a_line_of_the_timeline() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    let thu = team.operator();
    let incident: Incident = thu.good(Method::POST, "/v1/incidents", &of(&[1])).await;
    let path = format!("/v1/incidents/{}/reports", incident.id);
    let hostile = ReportDrafted { form: "\u{1b}[2J".into(), stage: "24h".repeat(100).as_str().into() };

    let report = ReportDrafted { form: "nd331-nhanh".into(), stage: "24h".into() };
    let noted: Incident = thu.good(Method::POST, &path, &report).await;
    let strange: Incident = thu.good(Method::POST, &path, &hostile).await;

    let last = |incident: &Incident| -> Entry { incident.timeline.last().unwrap().clone() };
    let entry = last(&noted);
    assert_eq!((entry.kind, entry.who.as_str()), (EntryKind::ReportDrafted, "thu"));
    assert_eq!(entry.text.en, "form nd331-nhanh, stage 24h");
    let strange = last(&strange).text.vi;
    assert!(!strange.contains('\u{1b}') && strange.len() < 300, "{strange}");
}
