//! What an operator found in a file of packets: alerts of an incident, each once, and bounded whatever the client sends.

use khien_core::{
    AgentId, AlertId, IncidentId, Severity, Sha256, Timestamp, Untrusted,
    alert::{Alert, Status, Verdict},
    api::{CaptureTaken, CloseAlert, CloseIncident, OpenIncident, PackState, SendCapture, StartRun},
    bundle::{NetworkLists, Pack, RuleMeta},
    capture::{
        Capture, CaptureEnd, CaptureFinding, Carried, Gaps, MAX_FINDING, MAX_NAME, MOST_ALERTS, MOST_FINDINGS,
    },
    detection::{Detection, Pattern, Subject},
    event::Process,
    incident::{EntryKind, Incident},
    protocol::Report,
    signature::{Purpose, Signed},
    text::Words,
    time::{self, SignedDuration},
};
use reqwest::{Method, StatusCode};

use crate::common::{self, Agent, Client, Team};

const RULE: &str = "webshell.php.test";

struct Scene {
    team: Team,
    agent: Agent,
    thu: Client,
    incident: Incident,
}

/// Describes the rule of the tests as critical.
fn pack() -> Pack {
    let said = Words { vi: "Webshell".to_owned(), en: "A web shell".to_owned() };
    let rule = RuleMeta {
        id: RULE.parse().unwrap(),
        yara: None,
        severity: Severity::Critical,
        technique: Some("T1505.003".to_owned()),
        streams: true,
        memory: false,
        title: said.clone(),
        explanation: said.clone(),
        next_step: said,
    };
    Pack {
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        rules: vec![rule],
        sources: vec![],
        domains: vec![],
        sets: vec![],
        network: NetworkLists::default(),
        policy: None,
    }
}

impl Scene {
    /// An incident with one alert of an agent, at a hub that has a pack.
    async fn set() -> Self {
        let team = Team::start();
        let agent = team.agent("web-1").await;
        let thu = team.operator();
        team.speak(&agent).report(1, 1, &[common::found("/srv/a.php", b"x")]).await;
        let text = serde_json::to_string(&pack()).unwrap();
        let signed = Signed::new(text, Purpose::Pack, &team.signing_key());
        let _: PackState = thu.good(Method::PUT, "/v1/pack", &signed).await;
        let open = OpenIncident { title: None, alerts: vec![AlertId(1)] };
        let incident = thu.good(Method::POST, "/v1/incidents", &open).await;
        Self { team, agent, thu, incident }
    }

    fn path(&self) -> String {
        format!("/v1/incidents/{}/captures", self.incident.id)
    }

    async fn send(&self, sent: &SendCapture) -> CaptureTaken {
        self.thu.good(Method::POST, &self.path(), sent).await
    }

    async fn refused(&self, status: StatusCode, sent: &SendCapture) -> String {
        self.thu.bad(status, Method::POST, &self.path(), sent).await
    }

    async fn now(&self) -> Incident {
        self.thu.good(Method::GET, &format!("/v1/incidents/{}", self.incident.id), &()).await
    }

    /// Returns the alerts of files of packets, by number.
    async fn alerts(&self) -> Vec<Alert> {
        let mut alerts = self.team.alerts().await;
        alerts.retain(|a| a.capture.is_some());
        alerts.sort_by_key(|a| a.id);
        alerts
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn detection(report: Report) -> Detection {
    let Report::Detection(detection) = report else { panic!("not a detection") };
    Detection { at: at("2026-01-05T02:00:00Z"), ..*detection }
}

fn finding() -> CaptureFinding {
    let detection = detection(common::seen_on_the_wire("eval("));
    CaptureFinding { detection, last: at("2026-01-05T02:07:00Z"), count: 3, carried: None }
}

/// A finding that differs from others by the URL.
fn numbered(number: usize) -> CaptureFinding {
    let mut one = finding();
    let Subject::Flow(subject) = &mut one.detection.subject else { panic!("not a flow") };
    subject.flow.url = Some(format!("http://a.example/{number}").as_str().into());
    one
}

fn end() -> CaptureEnd {
    CaptureEnd {
        packets: 9,
        first: Some(at("2026-01-05T02:00:00Z")),
        last: Some(at("2026-01-05T03:00:00Z")),
        left_out: 0,
        gaps: Gaps { shortened: 2, ..Gaps::default() },
        pack: 1,
    }
}

fn sent(findings: Vec<CaptureFinding>) -> SendCapture {
    let capture = Capture { name: "/tmp/mirror.pcapng".into(), sha256: Sha256::of(b"packets") };
    SendCapture { capture, host: None, findings, end: Some(end()) }
}

fn lines(incident: &Incident) -> Vec<String> {
    let told = incident.timeline.iter().filter(|e| e.kind == EntryKind::CaptureScanned);
    told.map(|e| e.text.en.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_is_an_alert_of_the_incident_in_the_words_of_the_pack() {
    let scene = Scene::set().await;

    let taken = scene.send(&sent(vec![finding()])).await;

    assert_eq!(taken, CaptureTaken { added: 1, alerts: 1, ..CaptureTaken::default() });
    let [alert] = &scene.alerts().await[..] else { panic!("not one") };
    assert_eq!((alert.severity, alert.title.en.as_str()), (Severity::Critical, "A web shell"));
    assert_eq!(alert.technique.as_deref(), Some("T1505.003"));
    assert_eq!((alert.agent, alert.reporter(), alert.system()), (AgentId::NONE, None, None));
    let capture = alert.capture.as_ref().unwrap();
    assert_eq!((&capture.name, capture.sha256), (&"/tmp/mirror.pcapng".into(), Sha256::of(b"packets")));
    assert_eq!((&alert.host, alert.agency.as_str()), (&capture.name, "Sở Y tế"));
    assert_eq!(
        (alert.first_seen, alert.last_seen, alert.count),
        (at("2026-01-05T02:00:00Z"), at("2026-01-05T02:07:00Z"), 3)
    );
    assert_eq!((alert.status, alert.incident), (Status::New, Some(scene.incident.id)));

    let incident = scene.now().await;
    assert_eq!(incident.alerts, [AlertId(1), alert.id]);
    assert_eq!(incident.agencies, ["Sở Y tế"]);
    assert_eq!(incident.detected, scene.incident.detected, "old packets do not set the legal clocks back");
    assert!(incident.revision > scene.incident.revision);
    let [line] = &lines(&incident)[..] else { panic!("{:?}", incident.timeline) };
    for part in [
        "/tmp/mirror.pcapng",
        &Sha256::of(b"packets").to_string(),
        "9 packets",
        "1 alerts",
        "2 packets the capture kept",
        "rule pack 1",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let who = incident.timeline.iter().find(|e| e.kind == EntryKind::CaptureScanned).unwrap();
    assert_eq!(who.who, "thu");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_again_changes_nothing_and_a_new_finding_in_it_is_one_more() {
    let scene = Scene::set().await;
    let first = sent(vec![finding(), numbered(1)]);
    scene.send(&first).await;
    let close = CloseAlert { verdict: Verdict::FalsePositive, reason: "our own scanner".to_owned() };
    let id = scene.alerts().await[0].id;
    let _: Alert = scene.thu.good(Method::POST, &format!("/v1/alerts/{id}/close"), &close).await;
    let (before, incident) = (scene.alerts().await, scene.now().await);

    let renamed = Capture { name: "copy.pcapng".into(), ..first.capture.clone() };
    let again =
        scene.send(&SendCapture { capture: renamed, host: Some("tap".into()), ..first.clone() }).await;

    assert_eq!(again, CaptureTaken { known: 2, alerts: 2, ..CaptureTaken::default() });
    assert_eq!(scene.alerts().await, before);
    assert_eq!(scene.now().await, incident);
    let more = scene.send(&SendCapture { findings: vec![finding(), numbered(2)], ..first }).await;
    assert_eq!(more, CaptureTaken { added: 1, known: 1, alerts: 3, ..CaptureTaken::default() });
    assert_eq!(lines(&scene.now().await).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_before_its_end_goes_on_and_is_told_once() {
    let scene = Scene::set().await;
    let part = SendCapture { end: None, ..sent(vec![numbered(0), numbered(1)]) };
    scene.send(&part).await;
    let [begun] = &lines(&scene.now().await)[..] else { panic!("not one line") };
    assert!(
        begun.contains("begins to come"),
        "who sent alerts stands there though the end may never come: {begun}"
    );

    scene.send(&part).await;
    scene.send(&sent(vec![numbered(2)])).await;

    let [_, line] = &lines(&scene.now().await)[..] else { panic!("not two lines") };
    assert!(line.contains("3 alerts"), "{line}");
    let empty = Capture { name: "empty.pcap".into(), sha256: Sha256::of(b"empty") };
    let nothing = SendCapture {
        capture: empty,
        end: Some(CaptureEnd { first: None, last: None, packets: 0, ..CaptureEnd::default() }),
        ..sent(Vec::new())
    };
    for _ in 0..2 {
        assert_eq!(scene.send(&nothing).await, CaptureTaken::default());
    }
    assert_eq!(lines(&scene.now().await).len(), 3, "that nothing was found is told, and once");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_look_that_saw_more_or_less_of_a_file_or_with_another_pack_is_told() {
    let scene = Scene::set().await;
    let with = |end: CaptureEnd| SendCapture { end: Some(end), ..sent(vec![finding()]) };
    let looks = [
        end(),
        CaptureEnd { gaps: Gaps { not_scanned: 7, ..end().gaps }, ..end() },
        CaptureEnd { pack: 2, ..end() },
        CaptureEnd { gaps: Gaps::default(), pack: 2, ..end() },
    ];

    for (before, look) in looks.into_iter().enumerate() {
        for _ in 0..2 {
            scene.send(&with(look.clone())).await;
            assert_eq!(lines(&scene.now().await).len(), before + 1, "once: {look:?}");
        }
    }

    let told = lines(&scene.now().await);
    assert!(told[1].contains("7 pieces") && told[1].contains("rule pack 1"), "{}", told[1]);
    assert!(!told[2].contains("7 pieces") && told[2].contains("rule pack 2"), "{}", told[2]);
    assert!(!told[3].contains("not looked at"), "{}", told[3]);
    assert_eq!(scene.alerts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_by_rules_that_the_pack_does_not_have_are_named_and_the_others_are_taken() {
    let scene = Scene::set().await;
    let by = |rule: &str, number| {
        let mut one = numbered(number);
        one.detection.rule = rule.parse().unwrap();
        one
    };

    let taken =
        scene.send(&sent(vec![by("old.rule", 1), numbered(2), by("old.rule", 3), by("other.rule", 4)])).await;

    let unknown = [("old.rule".parse().unwrap(), 2), ("other.rule".parse().unwrap(), 1)].into();
    assert_eq!(taken, CaptureTaken { added: 1, alerts: 1, unknown, ..CaptureTaken::default() });
    assert_eq!(scene.alerts().await.len(), 1);
    let [line] = &lines(&scene.now().await)[..] else { panic!("not one line") };
    assert!(line.contains("1 alerts") && line.contains("3 more alerts were not sent"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_named_is_the_host_and_a_carried_file_is_named_by_its_bytes() {
    let scene = Scene::set().await;
    let carried = Carried { name: "a.php".into(), sha256: Sha256::of(b"shell") };
    let inside = CaptureFinding { carried: Some(carried), ..finding() };
    let mut owned = numbered(7);
    let Subject::Flow(subject) = &mut owned.detection.subject else { panic!("not a flow") };
    subject.flow.process = Some(Box::new(Process::unknown(812)));

    scene.send(&SendCapture { host: Some("tap-hanoi".into()), ..sent(vec![inside.clone(), owned]) }).await;

    let [shell, flow] = &scene.alerts().await[..] else { panic!("not two") };
    assert_eq!((shell.host.to_string(), shell.system()), ("tap-hanoi".to_owned(), Some(&"tap-hanoi".into())));
    assert_eq!((&shell.path, shell.sha256), (&Some("a.php".into()), Some(Sha256::of(b"shell"))));
    assert_eq!(flow.flow.as_ref().unwrap().process, None, "nobody here owns a socket");
    let named = Capture { name: "b.pcap".into(), sha256: Sha256::of(b"other") };
    scene.send(&SendCapture { capture: named, ..sent(vec![inside]) }).await;
    assert_eq!(scene.alerts().await.len(), 3, "another file is another place");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_makes_more_alerts_of_a_file_than_there_may_be() {
    let scene = Scene::set().await;
    let many: Vec<_> = (0..10_000).map(numbered).collect();
    scene.refused(StatusCode::PAYLOAD_TOO_LARGE, &sent(many[..MOST_FINDINGS + 1].to_vec())).await;

    let mut taken = CaptureTaken::default();
    let most = MOST_ALERTS as usize + MOST_FINDINGS;
    for batch in many[..most].chunks(MOST_FINDINGS) {
        taken = scene.send(&sent(batch.to_vec())).await;
    }

    assert_eq!((taken.added, taken.left_out, taken.alerts), (0, MOST_FINDINGS as u64, MOST_ALERTS));
    assert_eq!(scene.now().await.alerts.len() as u64, MOST_ALERTS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_counts_and_names_of_a_hostile_client_stay_within_bounds() {
    let scene = Scene::set().await;
    let mut future = finding();
    future.detection.at = time::after(Timestamp::now(), SignedDuration::from_hours(24 * 365));
    (future.last, future.count) = (Timestamp::MAX, u64::MAX);
    let mut past = numbered(1);
    (past.detection.at, past.last, past.count) = (Timestamp::MIN, Timestamp::MIN, 0);
    let name = Untrusted::new(vec![b'n'; 5_000]);
    let capture = Capture { name, sha256: Sha256::of(b"x") };
    let host = Some(Untrusted::new(vec![b'h'; 5_000]));

    scene.send(&SendCapture { capture, host, ..sent(vec![future, past]) }).await;

    let [future, past] = &scene.alerts().await[..] else { panic!("not two") };
    assert!(future.first_seen <= Timestamp::now() && future.last_seen <= Timestamp::now());
    assert!(past.first_seen == Timestamp::UNIX_EPOCH && past.count == 1);
    assert!(future.count < 1 << 41);
    assert!(future.host.raw().len() < 256 && future.capture.as_ref().unwrap().name.raw().len() == MAX_NAME);
    assert_eq!(scene.now().await.detected, scene.incident.detected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_file_of_packets_shows_is_refused_and_nothing_of_its_request_is_kept() {
    let scene = Scene::set().await;
    let with_rule = |rule: &str| {
        let mut one = finding();
        one.detection.rule = rule.parse().unwrap();
        one
    };
    let file = CaptureFinding { detection: detection(common::found("/srv/b.php", b"y")), ..finding() };
    let ours = seen_in_traffic("khien.agent.silent");
    let mut huge = finding();
    let Subject::Flow(subject) = &mut huge.detection.subject else { panic!("not a flow") };
    let excerpt = subject.excerpts[0].clone();
    let long = khien_core::event::Excerpt { matched: Untrusted::new(vec![b'x'; 30_000]), ..excerpt };
    subject.excerpts = vec![long; 1 + MAX_FINDING / 30_000];

    for stranger in [with_rule("khien.agent.silent"), file, ours] {
        let rule = stranger.detection.rule.to_string();
        let said = scene.refused(StatusCode::BAD_REQUEST, &sent(vec![numbered(1), stranger])).await;
        assert!(said.contains(&rule), "{said}");
    }
    scene.refused(StatusCode::PAYLOAD_TOO_LARGE, &sent(vec![huge])).await;

    assert!(scene.alerts().await.is_empty() && lines(&scene.now().await).is_empty());
    scene.send(&sent(vec![seen_in_traffic("khien.net.beacon")])).await;
    assert_eq!(scene.alerts().await.len(), 1);
}

fn seen_in_traffic(rule: &str) -> CaptureFinding {
    let what = Pattern::Beacon {
        times: 20,
        period_ms: 60_000,
        jitter_percent: 4,
        bytes: 310,
        seconds: 1_140,
        score: 97,
    };
    CaptureFinding { detection: detection(common::seen_in_traffic(rule, what)), ..finding() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_belongs_to_one_open_incident() {
    let scene = Scene::set().await;
    scene.send(&sent(vec![finding()])).await;
    let client = scene.team.speak(&scene.agent);
    client.report(1, 2, &[common::found("/srv/b.php", b"y")]).await;
    let open = OpenIncident { title: None, alerts: vec![AlertId(3)] };
    let other: Incident = scene.thu.good(Method::POST, "/v1/incidents", &open).await;
    let elsewhere = format!("/v1/incidents/{}/captures", other.id);

    let said = scene.thu.bad(StatusCode::CONFLICT, Method::POST, &elsewhere, &sent(vec![finding()])).await;

    assert!(said.contains(&scene.incident.id.to_string()), "{said}");
    let nowhere = format!("/v1/incidents/{}/captures", IncidentId { year: 2026, number: 99 });
    scene.thu.bad(StatusCode::NOT_FOUND, Method::POST, &nowhere, &sent(vec![])).await;
    let close = CloseIncident { reason: "done".to_owned() };
    let at = format!("/v1/incidents/{}/close", scene.incident.id);
    let _: Incident = scene.thu.good(Method::POST, &at, &close).await;
    let said = scene.refused(StatusCode::CONFLICT, &sent(vec![numbered(5)])).await;
    assert!(said.contains("closed"), "{said}");
    assert_eq!(scene.alerts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_send_files_and_fetch_the_pack_as_it_was_signed() {
    let scene = Scene::set().await;
    let client = scene.team.speak(&scene.agent);

    client.bad(StatusCode::FORBIDDEN, Method::POST, &scene.path(), &sent(vec![finding()])).await;
    client.bad(StatusCode::FORBIDDEN, Method::GET, "/v1/pack/signed", &()).await;
    let signed: Signed = scene.thu.good(Method::GET, "/v1/pack/signed", &()).await;

    assert_eq!(serde_json::from_str::<Pack>(&signed.body).unwrap(), pack());
    let bare = Team::start();
    bare.operator().bad(StatusCode::NOT_FOUND, Method::GET, "/v1/pack/signed", &()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_playbook_works_on_a_file_that_was_only_seen_in_packets() {
    let scene = Scene::set().await;
    let carried = Carried { name: "/srv/c.php".into(), sha256: Sha256::of(b"shell") };
    scene.send(&sent(vec![CaptureFinding { carried: Some(carried), ..finding() }])).await;
    let target = khien_core::run::Target {
        agent: AgentId::NONE,
        ..common::target(&scene.agent, "/srv/c.php", b"shell")
    };
    let playbook = khien_playbooks::find("webshell").unwrap();
    let run = khien_core::RunId([5; 16]);
    let mandate = common::mandate(run, playbook.hash, vec![], 0, 5);
    let start = StartRun {
        run,
        playbook: playbook.id.clone(),
        playbook_hash: playbook.hash,
        incident: scene.incident.id,
        targets: vec![target],
        mandate: common::sign(&scene.team, &mandate),
    };

    let said = scene.thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/runs", &start).await;

    assert!(said.contains("/srv/c.php"), "{said}");
}
