//! Playbook runs under signed mandates, and the evidence they take.

use khien_core::{
    AlertId, OrderId, RunId, Sha256, StepId, Timestamp,
    api::{Approve, CloseIncident, OpenIncident, Refuse, StartRun, Undo},
    evidence::CustodyAction,
    incident::{Incident, IncidentStatus},
    mandate::Mandate,
    order::{Outcome, Preserved, Receipt, Verb},
    protocol::{Orders, Report},
    reason::Reason,
    run::{Run, RunState, Target},
    seal::sealed_size,
};
use khien_playbooks::{Playbook, run as engine};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::common::{self, Agent, Client, Team};

const PATH: &str = "/srv/www/a.php";
const CONTENT: &[u8] = concat!("<?php ev", "al($_POST[1]);").as_bytes();
const RUN: RunId = RunId([7; 16]);

/// A team with an incident about one file of one agent.
struct Scene {
    team: Team,
    agent: Agent,
    thu: Client,
    client: Client,
    incident: Incident,
    playbook: Playbook,
    targets: Vec<Target>,
    seq: u64,
    /// The content as an agent sends it.
    sealed: Vec<u8>,
}

impl Scene {
    async fn set() -> Self {
        let team = Team::start();
        let agent = team.agent("web-1").await;
        let (thu, client) = (team.operator(), team.speak(&agent));
        client.report(1, 1, &[common::found(PATH, CONTENT)]).await;
        let open = OpenIncident { title: None, alerts: vec![AlertId(1)] };
        let incident = thu.good(Method::POST, "/v1/incidents", &open).await;
        let targets = vec![common::target(&agent, PATH, CONTENT)];
        let playbook = khien_playbooks::find("webshell").unwrap();
        let sealed = common::sealed(&team.evidence_key().await, CONTENT);
        Self { team, agent, thu, client, incident, playbook, targets, seq: 1, sealed }
    }

    fn mandate(&self, nonce: u8) -> Mandate {
        let orders = engine::orders_from_start(&self.playbook, &self.targets);
        common::mandate(RUN, self.playbook.hash, orders, 0, nonce)
    }

    fn start_with(&self, mandate: &Mandate) -> StartRun {
        StartRun {
            run: RUN,
            playbook: self.playbook.id.clone(),
            playbook_hash: self.playbook.hash,
            incident: self.incident.id,
            targets: self.targets.clone(),
            mandate: common::sign(&self.team, mandate),
        }
    }

    async fn start(&self) -> Run {
        self.thu.good(Method::POST, "/v1/runs", &self.start_with(&self.mandate(1))).await
    }

    async fn run(&self) -> Run {
        self.thu.good(Method::GET, &format!("/v1/runs/{RUN}"), &()).await
    }

    /// Takes the one order that waits.
    async fn order(&self) -> (OrderId, Verb) {
        let orders: Orders = self.client.good(Method::GET, "/v1/agent/orders", &()).await;
        assert_eq!(orders.orders.len(), 1);
        let order = &orders.orders[0];
        let mandate: Mandate = serde_json::from_str(&order.mandate.body).unwrap();
        (mandate.order_id(order.index), mandate.orders[order.index as usize].verb.clone())
    }

    async fn answer(&mut self, order: OrderId, outcome: Outcome) {
        self.seq += 1;
        let receipt = Receipt { order, at: Timestamp::now(), outcome };
        self.client.report(1, self.seq, &[Report::Receipt(receipt)]).await;
    }

    fn evidence_path(order: OrderId, offset: usize, sha256: Sha256) -> String {
        let size = sealed_size(CONTENT.len() as u64);
        format!("/v1/agent/evidence/{order}?offset={offset}&size={size}&sha256={sha256}")
    }

    async fn upload(&self, order: OrderId, offset: usize, bytes: &[u8]) -> (StatusCode, Value) {
        let path = Self::evidence_path(order, offset, Sha256::of(CONTENT));
        let (status, answer) = self.client.raw(Method::PUT, &path, bytes.to_vec()).await.unwrap();
        (status, serde_json::from_slice(&answer).unwrap())
    }

    /// Plays the agent until the run asks a person.
    async fn preserve(&mut self) -> StepId {
        let (order, verb) = self.order().await;
        assert!(matches!(verb, Verb::PreserveFile(_)));
        assert_eq!(self.upload(order, 0, &self.sealed).await.0, StatusCode::OK);
        self.answer(order, preserved()).await;
        self.run().await.waiting_for.unwrap()
    }

    /// Says yes and plays the agent until nothing is open.
    async fn approve(&mut self, step: &StepId) -> Run {
        let orders = engine::orders_after(&self.playbook, step, &self.targets);
        let mandate = common::mandate(RUN, self.playbook.hash, orders, 0, 2);
        let approve = Approve { step: step.clone(), mandate: common::sign(&self.team, &mandate) };
        let path = format!("/v1/runs/{RUN}/approve");
        let _: Run = self.thu.good(Method::POST, &path, &approve).await;
        // The same approval again is the same approval.
        let run: Run = self.thu.good(Method::POST, &path, &approve).await;
        self.obey(run, RunState::Running).await
    }

    async fn obey(&mut self, mut run: Run, while_in: RunState) -> Run {
        while run.state == while_in {
            let (order, _) = self.order().await;
            self.answer(order, Outcome::Done { evidence: None }).await;
            run = self.run().await;
        }
        run
    }
}

fn preserved() -> Outcome {
    let (sha256, size) = (Sha256::of(CONTENT), CONTENT.len() as u64);
    Outcome::Done { evidence: Some(Preserved { sha256, size, path: PATH.into(), at: Timestamp::now() }) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_from_evidence_over_a_persons_yes_to_done_and_back() {
    let mut scene = Scene::set().await;
    let started = scene.start().await;
    assert_eq!(scene.start().await, started, "starting twice is one start");

    let step = scene.preserve().await;
    let run = scene.approve(&step).await;
    assert_eq!(run.state, RunState::Done);
    assert!(run.can_undo);

    let machine_orders = engine::undo_orders(&scene.playbook, &run);
    let mandate = common::mandate(RUN, scene.playbook.hash, machine_orders, 0, 3);
    let undo = Undo { mandate: common::sign(&scene.team, &mandate) };
    let run: Run = scene.thu.good(Method::POST, &format!("/v1/runs/{RUN}/undo"), &undo).await;
    assert_eq!(run.state, RunState::Undoing);
    let run = scene.obey(run, RunState::Undoing).await;
    assert_eq!(run.state, RunState::Undone);

    let path = format!("/v1/incidents/{}", scene.incident.id);
    let incident: Incident = scene.thu.good(Method::GET, &path, &()).await;
    let custody: Vec<_> = incident.evidence[0].custody.iter().map(|c| (c.action, c.who.as_str())).collect();
    let expected = [
        (CustodyAction::Ordered, "thu"),
        (CustodyAction::Collected, "agent web-1"),
        (CustodyAction::Received, "hub"),
    ];
    assert_eq!(custody, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_after_the_hub_was_killed() {
    let mut scene = Scene::set().await;
    scene.start().await;
    let step = scene.preserve().await;

    scene.team.kill();
    scene.team.run();
    (scene.thu, scene.client) = (scene.team.operator(), scene.team.speak(&scene.agent));

    let run = scene.approve(&step).await;
    assert_eq!(run.state, RunState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mandate_that_says_anything_else_is_refused() {
    let scene = Scene::set().await;
    let refused =
        async |start: StartRun, status| scene.thu.bad(status, Method::POST, "/v1/runs", &start).await;
    let good = scene.mandate(1);

    let mut unsigned = scene.start_with(&good);
    unsigned.mandate.signatures.clear();
    refused(unsigned, StatusCode::FORBIDDEN).await;
    let mut altered = scene.start_with(&good);
    altered.mandate.body = altered.mandate.body.replace("a.php", "b.php");
    refused(altered, StatusCode::FORBIDDEN).await;
    let mut foreign = scene.start_with(&good);
    foreign.mandate = good.sign(&ed25519_dalek::SigningKey::from_bytes(&[9; 32]));
    refused(foreign, StatusCode::FORBIDDEN).await;
    for starts_in in [-11, 5] {
        let other_time = common::mandate(RUN, good.playbook, good.orders.clone(), starts_in, 1);
        refused(scene.start_with(&other_time), StatusCode::FORBIDDEN).await;
    }
    let other_run = Mandate { run: RunId([8; 16]), ..good.clone() };
    refused(scene.start_with(&other_run), StatusCode::CONFLICT).await;
    let fewer = Mandate { orders: vec![], ..good.clone() };
    refused(scene.start_with(&fewer), StatusCode::CONFLICT).await;
    let other_text = StartRun { playbook_hash: Sha256::of(b"x"), ..scene.start_with(&good) };
    refused(other_text, StatusCode::CONFLICT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_works_only_on_files_of_its_incident() {
    let mut scene = Scene::set().await;
    for (path, content) in [("/etc/passwd", CONTENT), (PATH, b"other content".as_slice())] {
        scene.targets = vec![common::target(&scene.agent, path, content)];
        let start = scene.start_with(&scene.mandate(1));
        scene.thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/runs", &start).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_nobody_asked_about_cannot_be_approved_and_a_no_ends_the_run() {
    let mut scene = Scene::set().await;
    scene.start().await;
    let step = scene.preserve().await;
    let path = format!("/v1/runs/{RUN}");

    let other =
        Approve { step: "preserve".parse().unwrap(), mandate: common::sign(&scene.team, &scene.mandate(5)) };
    scene.thu.bad(StatusCode::CONFLICT, Method::POST, &format!("{path}/approve"), &other).await;
    let replayed = Approve { step: step.clone(), mandate: common::sign(&scene.team, &scene.mandate(5)) };
    scene.thu.bad(StatusCode::CONFLICT, Method::POST, &format!("{path}/approve"), &replayed).await;
    let no = Refuse { step, reason: "máy chủ đang phục vụ kỳ thi".to_owned() };
    let run: Run = scene.thu.good(Method::POST, &format!("{path}/refuse"), &no).await;

    assert_eq!(run.state, RunState::Refused);
    scene.thu.bad(StatusCode::CONFLICT, Method::POST, &format!("{path}/refuse"), &no).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_was_not_uploaded_fails_the_step() {
    let mut scene = Scene::set().await;
    scene.start().await;
    let (order, _) = scene.order().await;

    scene.answer(order, preserved()).await;

    assert_eq!(scene.run().await.state, RunState::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_agents_receipt_changes_nothing() {
    let scene = Scene::set().await;
    scene.start().await;
    let (order, _) = scene.order().await;
    let rogue = scene.team.speak(&scene.team.agent("web-2").await);

    let outcome = Outcome::Failed { reason: Reason::FileNotThere };
    rogue.report(1, 1, &[Report::Receipt(Receipt { order, at: Timestamp::now(), outcome })]).await;

    assert_eq!(scene.run().await.state, RunState::Running);
    let path = Scene::evidence_path(order, 0, Sha256::of(CONTENT));
    assert_eq!(rogue.raw(Method::PUT, &path, CONTENT.to_vec()).await.unwrap().0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_comes_in_pieces_and_only_as_it_was_ordered() {
    let mut scene = Scene::set().await;
    scene.start().await;
    let (order, _) = scene.order().await;
    let other_hash = Scene::evidence_path(order, 0, Sha256::of(b"other"));
    let refused = scene.client.raw(Method::PUT, &other_hash, b"other".to_vec()).await.unwrap();
    assert_eq!(refused.0, StatusCode::CONFLICT);

    let sealed = scene.sealed.clone();
    assert_eq!(scene.upload(order, 0, CONTENT).await.0, StatusCode::BAD_REQUEST, "nothing open is taken");
    let forged = common::sealed(&scene.team.evidence_key().await, &vec![b'x'; CONTENT.len()]);
    assert_eq!(scene.upload(order, 0, &forged).await.0, StatusCode::CONFLICT);
    assert_eq!(scene.upload(order, 0, &sealed[..60]).await.1["have"], 60);
    assert_eq!(scene.upload(order, 0, &sealed).await.0, StatusCode::CONFLICT);
    // Whether 60 bytes were all only the agent knows: it is asked for the last one once more.
    let path = format!("/v1/agent/evidence/{order}");
    let have: Value = scene.client.good(Method::GET, &path, &()).await;
    assert_eq!(have["have"], 59);
    assert_eq!(scene.upload(order, 59, &sealed[59..]).await.1["have"], sealed.len());
    assert_eq!(scene.client.good::<Value>(Method::GET, &path, &()).await["have"], sealed.len());
    scene.answer(order, preserved()).await;

    let export = format!("/v1/evidence/{}?incident={}", Sha256::of(CONTENT), scene.incident.id);
    let (status, bytes) = scene.thu.raw(Method::GET, &export, vec![]).await.unwrap();
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, CONTENT));
    let path = format!("/v1/incidents/{}", scene.incident.id);
    let incident: Incident = scene.thu.good(Method::GET, &path, &()).await;
    assert_eq!(incident.evidence[0].custody.last().unwrap().action, CustodyAction::Exported);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_evidence_too() {
    let mut scene = Scene::set().await;
    scene.seq += 1;
    scene.client.report(1, scene.seq, &[common::found("/srv/www/empty.php", b"")]).await;
    let open = OpenIncident { title: None, alerts: vec![AlertId(2)] };
    scene.incident = scene.thu.good(Method::POST, "/v1/incidents", &open).await;
    scene.targets = vec![common::target(&scene.agent, "/srv/www/empty.php", b"")];
    scene.start().await;
    let (order, _) = scene.order().await;
    let (sha256, path) = (Sha256::of(b""), format!("/v1/agent/evidence/{order}"));

    let before: Value = scene.client.good(Method::GET, &path, &()).await;
    let sealed = common::sealed(&scene.team.evidence_key().await, b"");
    let piece = format!("{path}?offset=0&size={}&sha256={sha256}", sealed.len());
    let (status, _) = scene.client.raw(Method::PUT, &piece, sealed).await.unwrap();
    let preserved = Preserved { sha256, size: 0, path: "/srv/www/empty.php".into(), at: Timestamp::now() };
    scene.answer(order, Outcome::Done { evidence: Some(preserved) }).await;

    assert_eq!((before["have"].as_u64(), status), (Some(0), StatusCode::OK));
    assert_eq!(scene.run().await.state, RunState::WaitingForApproval);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_closed_only_when_no_run_of_it_works_or_waits() {
    let mut scene = Scene::set().await;
    scene.start().await;
    let path = |verb: &str| format!("/v1/incidents/{}/{verb}", scene.incident.id);
    let (close, reopen) = (path("close"), path("reopen"));
    let done = CloseIncident { reason: "xong".to_owned() };

    let working = scene.thu.bad(StatusCode::CONFLICT, Method::POST, &close, &done).await;
    let step = scene.preserve().await;
    let waiting = scene.thu.bad(StatusCode::CONFLICT, Method::POST, &close, &done).await;
    assert_eq!(scene.approve(&step).await.state, RunState::Done);
    let closed: Incident = scene.thu.good(Method::POST, &close, &done).await;

    assert!([&working, &waiting].iter().all(|e| e.contains(&RUN.short())), "{working} {waiting}");
    assert_eq!(closed.status, IncidentStatus::Closed);
    let mandate = common::sign(&scene.team, &scene.mandate(3));
    let undo = format!("/v1/runs/{RUN}/undo");
    let error = scene.thu.bad(StatusCode::CONFLICT, Method::POST, &undo, &Undo { mandate }).await;
    assert!(error.contains("is closed"), "{error}");
    let other = StartRun { run: RunId([8; 16]), ..scene.start_with(&scene.mandate(4)) };
    let error = scene.thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/runs", &other).await;
    assert!(error.contains("is closed"), "{error}");
    let _: Incident = scene.thu.good(Method::POST, &reopen, &()).await;
}
