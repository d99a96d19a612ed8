//! Orders that belong to no playbook and are no scans: searches of records, and packets as evidence.

use khien_core::{
    AlertId, OrderId, RunId, Sha256, Timestamp,
    api::{GiveOrder, GivenOrder, OpenIncident},
    evidence::CustodyAction,
    incident::Incident,
    mandate::{Mandate, NO_PLAYBOOK},
    order::{
        Allowed, FileTarget, Outcome, PacketTarget, Preserved, Receipt, RecordQuery, RecordsFound, Sought,
        Verb,
    },
    protocol::{Orders, Report},
    reason::Reason,
    time::{self, SignedDuration},
};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::common::{self, Agent, Client, SOON, Team};

const PACKETS: &[u8] = b"\x0a\x0d\x0d\x0aand so on";

struct Scene {
    team: Team,
    agent: Agent,
    thu: Client,
    client: Client,
    incident: Incident,
    /// The packets as an agent sends them.
    sealed: Vec<u8>,
}

impl Scene {
    fn again(&mut self) {
        self.team.kill();
        self.team.run();
        (self.thu, self.client) = (self.team.operator(), self.team.speak(&self.agent));
    }

    async fn set() -> Self {
        let team = Team::start();
        let agent = team.agent("web-1").await;
        let (thu, client) = (team.operator(), team.speak(&agent));
        client.report(1, 1, &[common::found("/srv/a.php", b"x")]).await;
        let open = OpenIncident { title: None, alerts: vec![AlertId(1)] };
        let incident = thu.good(Method::POST, "/v1/incidents", &open).await;
        let sealed = common::sealed(&team.evidence_key().await, PACKETS);
        Self { team, agent, thu, client, incident, sealed }
    }

    fn order(&self, verb: Verb, nonce: u8) -> GiveOrder {
        let orders = vec![Allowed { step: "single".parse().unwrap(), agent: self.agent.id, verb }];
        let mandate = common::mandate(RunId([nonce; 16]), NO_PLAYBOOK, orders, 0, nonce);
        GiveOrder { mandate: common::sign(&self.team, &mandate) }
    }

    async fn give(&self, verb: Verb, nonce: u8) -> GivenOrder {
        self.thu.good(Method::POST, "/v1/orders", &self.order(verb, nonce)).await
    }

    fn packets(&self) -> Verb {
        Verb::PreservePackets(PacketTarget::new(self.incident.id, 60, 1 << 20).unwrap())
    }

    async fn waiting(&self) -> Vec<OrderId> {
        let orders: Orders = self.client.good(Method::GET, "/v1/agent/orders", &()).await;
        let id = |o: &khien_core::order::Order| {
            serde_json::from_str::<Mandate>(&o.mandate.body).unwrap().order_id(o.index)
        };
        orders.orders.iter().map(id).collect()
    }

    async fn answer(&self, seq: u64, order: OrderId, outcome: Outcome) {
        let receipt = Receipt { order, at: Timestamp::now(), outcome };
        self.client.report(1, seq, &[Report::Receipt(receipt)]).await;
    }

    async fn upload(&self, order: OrderId, offset: usize, bytes: &[u8]) -> (StatusCode, Value) {
        let (size, sha256) = (self.sealed.len(), Sha256::of(PACKETS));
        let path = format!("/v1/agent/evidence/{order}?offset={offset}&size={size}&sha256={sha256}");
        let (status, answer) = self.client.raw(Method::PUT, &path, bytes.to_vec()).await.unwrap();
        (status, serde_json::from_slice(&answer).unwrap())
    }

    fn store(&self) -> rusqlite::Connection {
        let store = rusqlite::Connection::open(self.team.home.path().join("hub/hub.sqlite")).unwrap();
        store.busy_timeout(SOON).unwrap();
        store
    }

    /// Has all orders end so long ago.
    fn end(&self, ago: SignedDuration) {
        let at = time::after(Timestamp::now(), -ago).as_microsecond();
        self.store().execute("UPDATE orders SET expires = ?1", [at]).unwrap();
    }

    /// Waits until the hub waits for an answer no more.
    async fn is_given_up(&self, order: OrderId) {
        let failed = Some(Outcome::Failed { reason: Reason::NoAnswer });
        let given_up = async {
            while self.shown(order).await.answer != failed {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, given_up).await.unwrap();
    }

    fn incoming(&self) -> usize {
        std::fs::read_dir(self.team.home.path().join("hub/incoming")).unwrap().count()
    }

    async fn shown(&self, order: OrderId) -> GivenOrder {
        self.thu.good(Method::GET, &format!("/v1/orders/{order}"), &()).await
    }

    async fn incident(&self) -> Incident {
        self.thu.good(Method::GET, &format!("/v1/incidents/{}", self.incident.id), &()).await
    }
}

fn search() -> Verb {
    let time = (Timestamp::UNIX_EPOCH, Timestamp::now());
    Verb::SearchRecords(RecordQuery::new(Sought::Domain("evil.example".into()), time, 9).unwrap())
}

fn saved() -> Outcome {
    let (sha256, size) = (Sha256::of(PACKETS), PACKETS.len() as u64);
    let path = "packets-60s.pcapng".into();
    Outcome::Done { evidence: Some(Preserved { sha256, size, path, at: Timestamp::now() }) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_ordered_once_and_its_answer_is_kept() {
    let scene = Scene::set().await;
    let order = scene.order(search(), 1);

    let given: GivenOrder = scene.thu.good(Method::POST, "/v1/orders", &order).await;
    // The same mandate again is the same order.
    assert_eq!(scene.thu.good::<GivenOrder>(Method::POST, "/v1/orders", &order).await, given);
    assert_eq!(scene.waiting().await, [given.order]);
    let found = RecordsFound { kept_since: Some(Timestamp::UNIX_EPOCH), ..RecordsFound::default() };
    let answer = Outcome::Searched { found: found.into() };
    scene.answer(2, given.order, answer.clone()).await;

    let shown = scene.shown(given.order).await;
    assert_eq!((shown.answer, shown.by.as_str()), (Some(answer), "thu"));
    // What is no search is none; what it answers with is nothing else.
    let other = scene.give(search(), 2).await;
    scene.answer(3, other.order, Outcome::Done { evidence: None }).await;
    let failed = Some(Outcome::Failed { reason: Reason::OtherAnswer });
    assert_eq!(scene.shown(other.order).await.answer, failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_become_evidence_of_the_incident_that_was_signed_for() {
    let scene = Scene::set().await;
    let given = scene.give(scene.packets(), 1).await;

    assert_eq!(scene.upload(given.order, 0, &scene.sealed[..4]).await.0, StatusCode::OK);
    // The line was cut. The hub cannot know whether that is all, and asks for the last byte once more.
    let path = format!("/v1/agent/evidence/{}", given.order);
    assert_eq!(scene.client.good::<Value>(Method::GET, &path, &()).await["have"], 3);
    assert_eq!(scene.upload(given.order, 3, &scene.sealed[3..]).await.0, StatusCode::OK);
    scene.answer(2, given.order, saved()).await;

    assert_eq!(
        scene.shown(given.order).await.answer.map(|answer| matches!(answer, Outcome::Done { .. })),
        Some(true)
    );
    let incident = scene.incident().await;
    let [evidence] = &incident.evidence[..] else { panic!("one piece of evidence: {incident:?}") };
    assert_eq!(
        (evidence.sha256, evidence.path.to_string()),
        (Sha256::of(PACKETS), "packets-60s.pcapng".to_owned())
    );
    let custody: Vec<_> = evidence.custody.iter().map(|c| (c.action, c.who.as_str())).collect();
    let kept = [CustodyAction::Ordered, CustodyAction::Collected, CustodyAction::Received];
    assert_eq!(custody, kept.into_iter().zip(["thu", "agent web-1", "hub"]).collect::<Vec<_>>());
    let export = format!("/v1/evidence/{}?incident={}", evidence.sha256, incident.id);
    assert_eq!(
        scene.thu.raw(Method::GET, &export, Vec::new()).await.unwrap(),
        (StatusCode::OK, PACKETS.to_vec())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_were_not_uploaded_or_have_another_hash_are_no_evidence() {
    let scene = Scene::set().await;
    let given = scene.give(scene.packets(), 1).await;

    let other = [&PACKETS[..PACKETS.len() - 1], b"!"].concat();
    let other = common::sealed(&scene.team.evidence_key().await, &other);
    assert_eq!(scene.upload(given.order, 0, &other).await.0, StatusCode::CONFLICT);
    scene.answer(2, given.order, saved()).await;

    let failed = Some(Outcome::Failed { reason: Reason::EvidenceMissing });
    assert_eq!(scene.shown(given.order).await.answer, failed);
    assert!(scene.incident().await.evidence.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_in_their_place_are_written_by_nobody_even_before_they_are_recorded() {
    let scene = Scene::set().await;
    let given = scene.give(scene.packets(), 1).await;
    let home = scene.team.home.path().join("hub");
    let store = rusqlite::Connection::open(home.join("hub.sqlite")).unwrap();
    store.busy_timeout(SOON).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON evidence BEGIN SELECT RAISE(FAIL, 'full'); END";
    store.execute_batch(full).unwrap();

    assert_eq!(scene.upload(given.order, 0, &scene.sealed).await.0, StatusCode::INTERNAL_SERVER_ERROR);

    let name = Sha256::of(PACKETS).to_string();
    let file = home.join("evidence").join(&name[..2]).join(&name);
    assert_eq!(std::fs::read(&file).unwrap(), scene.sealed);
    let (path, size) = (format!("/v1/agent/evidence/{}", given.order), scene.sealed.len());
    assert_eq!(scene.client.good::<Value>(Method::GET, &path, &()).await["have"], 0);
    let longer = format!("{path}?offset={size}&size={}&sha256={name}", size + 1);
    let (status, _) = scene.client.raw(Method::PUT, &longer, b"x".to_vec()).await.unwrap();
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(scene.upload(given.order, 0, &scene.sealed[..60]).await.0, StatusCode::OK);
    assert_eq!(std::fs::read(&file).unwrap(), scene.sealed, "what is sent again is written aside");
    store.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(scene.upload(given.order, 60, &scene.sealed[60..]).await.0, StatusCode::OK);
    assert_eq!(scene.incident().await.evidence.len(), 1);
    assert_eq!(std::fs::read(&file).unwrap(), scene.sealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_is_worth_no_more_than_the_bytes_that_came() {
    let scene = Scene::set().await;
    let [sent, unsent] = [scene.give(scene.packets(), 1).await, scene.give(scene.packets(), 2).await];
    assert_eq!(scene.upload(sent.order, 0, &scene.sealed).await.0, StatusCode::OK);
    scene.end(SignedDuration::from_hours(2));
    scene.is_given_up(sent.order).await;
    scene.is_given_up(unsent.order).await;

    scene.answer(2, sent.order, saved()).await;
    scene.answer(3, unsent.order, saved()).await;

    let done = scene.shown(sent.order).await.answer;
    assert!(matches!(done, Some(Outcome::Done { evidence: Some(_) })), "{done:?}");
    let failed = Some(Outcome::Failed { reason: Reason::EvidenceMissing });
    assert_eq!(scene.shown(unsent.order).await.answer, failed);
    let [evidence] = &scene.incident().await.evidence[..] else { panic!("one piece of evidence") };
    let custody: Vec<_> = evidence.custody.iter().map(|c| c.action).collect();
    assert_eq!(custody, [CustodyAction::Ordered, CustodyAction::Collected, CustodyAction::Received]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_took_in_time_is_evidence_for_a_day_and_its_record_says_that_it_came_late() {
    let scene = Scene::set().await;
    let given = scene.give(scene.packets(), 1).await;
    assert_eq!(scene.upload(given.order, 0, &scene.sealed[..60]).await.0, StatusCode::OK);
    scene.end(SignedDuration::from_hours(23));
    scene.is_given_up(given.order).await;

    assert_eq!(scene.upload(given.order, 60, &scene.sealed[60..]).await.0, StatusCode::OK);
    scene.answer(2, given.order, saved()).await;

    let done = scene.shown(given.order).await.answer;
    assert!(matches!(done, Some(Outcome::Done { evidence: Some(_) })), "{done:?}");
    let path = format!("/v1/incidents/{}", scene.incident.id);
    let shown: Value = scene.thu.good(Method::GET, &path, &()).await;
    let custody = shown["evidence"][0]["custody"].as_array().unwrap();
    let late: Vec<_> = custody.iter().map(|c| (c["action"].as_str().unwrap(), c["late"] == true)).collect();
    assert_eq!(late, [("ordered", false), ("collected", false), ("received", true)]);
    let other = scene.give(scene.packets(), 2).await;
    assert_eq!(scene.upload(other.order, 0, &scene.sealed[..60]).await.0, StatusCode::OK);
    scene.end(SignedDuration::from_hours(25));
    assert_eq!(scene.upload(other.order, 60, &scene.sealed[60..]).await.1["code"], "evidence_not_asked");
    assert_eq!(scene.incident().await.evidence.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_part_waits_while_it_may_be_sent_and_is_gone_after_that() {
    let mut scene = Scene::set().await;
    let given = scene.give(scene.packets(), 1).await;
    assert_eq!(scene.upload(given.order, 0, &scene.sealed[..60]).await.0, StatusCode::OK);

    scene.end(SignedDuration::from_hours(23));
    scene.again();
    assert_eq!(scene.incoming(), 1, "it may still come");
    scene.team.kill();
    scene.end(SignedDuration::from_hours(25));
    scene.team.run();

    assert_eq!(scene.incoming(), 0, "also where nobody has noted yet that the order ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_stands_in_the_record_of_all_evidence_that_has_these_bytes() {
    let scene = Scene::set().await;
    for (nonce, seq) in [(1, 2), (2, 3)] {
        let given = scene.give(scene.packets(), nonce).await;
        assert_eq!(scene.upload(given.order, 0, &scene.sealed).await.0, StatusCode::OK);
        scene.answer(seq, given.order, saved()).await;
    }

    let export = format!("/v1/evidence/{}?incident={}", Sha256::of(PACKETS), scene.incident.id);
    assert_eq!(scene.thu.raw(Method::GET, &export, Vec::new()).await.unwrap().0, StatusCode::OK);

    let evidence = scene.incident().await.evidence;
    let last: Vec<_> = evidence.iter().map(|e| e.custody.last().map(|c| c.action)).collect();
    assert_eq!(last, [Some(CustodyAction::Exported); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_signed_order_to_search_or_to_save_packets_of_an_open_incident_is_taken() {
    let scene = Scene::set().await;
    let file = FileTarget { path: "/srv/a".into(), sha256: Sha256([1; 32]) };
    let no_incident = khien_core::IncidentId { year: 2026, number: 99 };
    let nowhere = Verb::PreservePackets(PacketTarget::new(no_incident, 60, 1).unwrap());
    let mut unsigned = scene.order(search(), 3);
    unsigned.mandate.signatures.clear();

    for (status, order) in [
        (StatusCode::CONFLICT, scene.order(Verb::QuarantineFile(file), 1)),
        (StatusCode::NOT_FOUND, scene.order(nowhere, 2)),
        (StatusCode::FORBIDDEN, unsigned),
    ] {
        scene.thu.bad(status, Method::POST, "/v1/orders", &order).await;
    }
    scene.client.bad(StatusCode::FORBIDDEN, Method::POST, "/v1/orders", &scene.order(search(), 4)).await;
    assert_eq!(scene.waiting().await, []);
    let close = serde_json::json!({ "reason": "done" });
    let path = format!("/v1/incidents/{}/close", scene.incident.id);
    let _: Incident = scene.thu.good(Method::POST, &path, &close).await;
    let late = scene.order(scene.packets(), 5);
    scene.thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/orders", &late).await;
}
