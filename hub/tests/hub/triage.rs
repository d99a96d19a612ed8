//! How findings become alerts and what people decide about them.

use std::time::{Duration, Instant};

use khien_core::{
    Severity,
    alert::{Alert, Status, Verdict},
    api::{Alerts, CloseAlert},
    detection::Pattern,
    event::Application,
};
use reqwest::{Method, StatusCode};

use crate::common::{self, Team};

fn close(verdict: Verdict, reason: &str) -> CloseAlert {
    CloseAlert { verdict, reason: reason.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_is_one_alert_and_shows_its_newest_content() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);

    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    client.report(1, 2, &[common::found("/srv/a.php", b"longer")]).await;

    let alerts = team.alerts().await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].count, 2);
    assert_eq!(alerts[0].file.as_ref().unwrap().size, 6);
    assert!(alerts[0].first_seen < alerts[0].last_seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_from_new_to_acknowledged_to_closed_and_back() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    let thu = team.operator();

    let alert: Alert = thu.good(Method::POST, "/v1/alerts/A-1/ack", &()).await;
    assert_eq!((alert.status, alert.by.as_deref()), (Status::Acknowledged, Some("thu")));
    thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/alerts/A-1/ack", &()).await;
    thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/alerts/A-1/reopen", &()).await;

    let no_reason = close(Verdict::FalsePositive, "  ");
    thu.bad(StatusCode::BAD_REQUEST, Method::POST, "/v1/alerts/A-1/close", &no_reason).await;
    let alert: Alert = thu.good(Method::POST, "/v1/alerts/1/close", &close(Verdict::TruePositive, "")).await;
    assert_eq!((alert.status, alert.verdict), (Status::Closed, Some(Verdict::TruePositive)));
    thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/alerts/A-1/close", &close(Verdict::TruePositive, ""))
        .await;

    let alert: Alert = thu.good(Method::POST, "/v1/alerts/A-1/reopen", &()).await;
    assert_eq!((alert.status, alert.verdict), (Status::New, None));
    thu.bad(StatusCode::NOT_FOUND, Method::POST, "/v1/alerts/A-9/ack", &()).await;
    thu.bad(StatusCode::BAD_REQUEST, Method::GET, "/v1/alerts/..%2f", &()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_positive_stays_closed_until_the_content_changes() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    let known = close(Verdict::FalsePositive, "trang kiểm thử");
    let _: Alert = team.operator().good(Method::POST, "/v1/alerts/A-1/close", &known).await;

    client.report(1, 2, &[common::found("/srv/a.php", b"a")]).await;
    let same = team.alerts().await.remove(0);
    client.report(1, 3, &[common::found("/srv/a.php", b"other")]).await;
    let other = team.alerts().await.remove(0);

    assert_eq!((same.status, same.count), (Status::Closed, 2));
    assert_eq!((other.status, other.count, other.reason), (Status::New, 3, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_positive_in_traffic_does_not_hide_another_payload() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::seen_on_the_wire("lesson")]).await;
    let known = close(Verdict::FalsePositive, "bài giảng");
    let _: Alert = team.operator().good(Method::POST, "/v1/alerts/A-1/close", &known).await;

    client.report(1, 2, &[common::seen_on_the_wire("lesson")]).await;
    let same = team.alerts().await.remove(0);
    client.report(1, 3, &[common::seen_on_the_wire("attack")]).await;
    let other = team.alerts().await.remove(0);

    assert_eq!((same.status, same.count), (Status::Closed, 2));
    assert_eq!((other.status, other.count), (Status::New, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_positive_in_memory_holds_wherever_it_lies_next_and_for_the_same_bytes_only() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::seen_in_memory("a signature", 0x7f00)]).await;
    let known = close(Verdict::FalsePositive, "bộ luật của Suricata");
    let _: Alert = team.operator().good(Method::POST, "/v1/alerts/A-1/close", &known).await;

    client.report(1, 2, &[common::seen_in_memory("a signature", 0x9f00)]).await;
    let same = team.alerts().await.remove(0);
    client.report(1, 3, &[common::seen_in_memory("a pool", 0x7f00)]).await;
    let other = team.alerts().await.remove(0);

    assert_eq!((same.status, same.count), (Status::Closed, 2));
    assert_eq!((other.status, other.count), (Status::New, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_about_traffic_says_its_newest_numbers_and_a_harmless_call_stays_harmless() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let call = |times| {
        let what = Pattern::Beacon {
            times,
            period_ms: 60_000,
            jitter_percent: 2,
            bytes: 300,
            seconds: 1_900,
            score: 98,
        };
        common::seen_in_traffic("khien.net.beacon", what)
    };
    client.report(1, 1, &[call(20), call(90)]).await;
    let first = team.alerts().await.remove(0);
    assert_eq!((first.title.en.as_str(), first.count), ("Calls to the outside at regular times", 2));
    assert!(first.what.unwrap().en.starts_with("192.0.2.7 called 192.0.2.1 80/tcp 90 times"));
    assert_eq!((first.flow.is_some(), first.flows.len()), (true, 1));

    let known = close(Verdict::FalsePositive, "phần mềm giám sát");
    let _: Alert = team.operator().good(Method::POST, "/v1/alerts/A-1/close", &known).await;
    client.report(1, 3, &[call(200)]).await;

    assert_eq!(team.alerts().await.remove(0).status, Status::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_that_was_called_harmless_once_may_be_an_attack_the_next_time() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let guess = || {
        let what = Pattern::BruteForce { attempts: 30, seconds: 60, application: Application::Http };
        common::seen_in_traffic("khien.net.brute_force", what)
    };
    client.report(1, 1, &[guess()]).await;
    let known = close(Verdict::FalsePositive, "sai mật khẩu trong cấu hình");
    let _: Alert = team.operator().good(Method::POST, "/v1/alerts/A-1/close", &known).await;

    client.report(1, 2, &[guess()]).await;

    let next = team.alerts().await.remove(0);
    assert_eq!((next.status, next.count), (Status::New, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_positive_never_hides_the_next_mass_encryption_in_the_same_place() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    client.report(1, 1, &[common::encrypted("/srv/tai-lieu", 20)]).await;
    let known = close(Verdict::FalsePositive, "đổi định dạng lưu trữ");
    let _: Alert = team.operator().good(Method::POST, "/v1/alerts/A-1/close", &known).await;

    client.report(1, 2, &[common::encrypted("/srv/tai-lieu", 20)]).await;

    let next = team.alerts().await.remove(0);
    assert_eq!((next.status, next.count, next.severity), (Status::New, 2, Severity::Critical));
    assert!(next.what.unwrap().en.contains("files: 20, such as /srv/tai-lieu/a.doc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_began_stays_in_the_alert_and_others_are_listed_until_it_is_closed() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let renamed = |suffix: &str, pid| common::renamed("/srv/tai-lieu", suffix, pid);
    client.report(1, 1, &[renamed("akira", 100)]).await;
    client.report(1, 2, &[renamed("noise", 200), renamed("noise", 201), renamed("akira", 100)]).await;

    let alert = team.alerts().await.remove(0);

    assert_eq!((alert.count, alert.process.unwrap().pid), (4, 100));
    let what = alert.what.unwrap().en;
    assert!(what.contains("extension: .akira; files: 20"), "{what}");
    assert!(what.ends_with("also: noise; other processes: /tmp/enc (200), /tmp/enc (201)"), "{what}");

    let right = close(Verdict::TruePositive, "đã dừng");
    let _: Alert = team.operator().good(Method::POST, "/v1/alerts/A-1/close", &right).await;
    client.report(1, 5, &[renamed("lockbit", 300)]).await;
    let again = team.alerts().await.remove(0);
    assert_eq!((again.status, again.process.unwrap().pid), (Status::New, 300));
    let what = again.what.unwrap().en;
    assert!(what.contains("extension: .lockbit;") && !what.contains("also"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_limited() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let reports: Vec<_> = (0..5).map(|n| common::found(&format!("/srv/{n}.php"), b"a")).collect();
    client.report(1, 1, &reports).await;
    let thu = team.operator();
    let _: Alert = thu.good(Method::POST, "/v1/alerts/A-3/ack", &()).await;

    let acknowledged: Alerts = thu.good(Method::GET, "/v1/alerts?status=acknowledged", &()).await;
    let two: Alerts = thu.good(Method::GET, "/v1/alerts?limit=2", &()).await;

    assert_eq!(acknowledged.alerts.len(), 1);
    assert_eq!(two.alerts.len(), 2);
    thu.bad(StatusCode::BAD_REQUEST, Method::GET, "/v1/alerts?status=odd", &()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_changes_is_woken_at_once() {
    let team = Team::start();
    let client = team.speak(&team.agent("web-1").await);
    let thu = team.operator();
    let before: Alerts = thu.good(Method::GET, "/v1/alerts", &()).await;
    let path = format!("/v1/changes?after={}", before.revision);

    let waiting = tokio::spawn(async move { thu.good::<Alerts>(Method::GET, &path, &()).await });
    let asked = Instant::now();
    client.report(1, 1, &[common::found("/srv/a.php", b"a")]).await;
    let changes = waiting.await.unwrap();

    assert_eq!(changes.alerts.len(), 1);
    assert!(changes.revision > before.revision);
    assert!(asked.elapsed() < Duration::from_secs(5));
}
