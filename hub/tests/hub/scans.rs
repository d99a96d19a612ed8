//! Scans that operators order, outside of any playbook run.

use khien_core::{
    AgentId, OrderId, RunId, Sha256, Timestamp,
    api::{OrderedScan, Scans, StartScan, StopScan},
    event::ScanOutcome,
    mandate::{Mandate, NO_PLAYBOOK},
    order::{
        Allowed, Counted, FileTarget, MemoryTarget, Outcome, Receipt, ScanEnd, ScanScope, ScanTarget,
        ScanTotals, Verb,
    },
    protocol::{Orders, Report},
    reason::Reason,
};
use reqwest::{Method, StatusCode};

use crate::common::{self, Agent, Client, SOON, Team};

const RUN: RunId = RunId([8; 16]);

/// A team with one agent.
struct Scene {
    team: Team,
    agent: Agent,
    thu: Client,
    client: Client,
}

impl Scene {
    async fn set() -> Self {
        let team = Team::start();
        let agent = team.agent("web-1").await;
        let (thu, client) = (team.operator(), team.speak(&agent));
        Self { team, agent, thu, client }
    }

    fn allowed(&self, verb: Verb) -> Allowed {
        Allowed { step: "scan".parse().unwrap(), agent: self.agent.id, verb }
    }

    fn mandate(&self, nonce: u8) -> Mandate {
        let orders = vec![self.allowed(Verb::ScanPath(target()))];
        common::mandate(RUN, NO_PLAYBOOK, orders, 0, nonce)
    }

    fn start(&self, mandate: &Mandate) -> StartScan {
        StartScan { mandate: common::sign(&self.team, mandate) }
    }

    async fn ordered(&self) -> OrderedScan {
        self.thu.good(Method::POST, "/v1/scans", &self.start(&self.mandate(1))).await
    }

    async fn refused(&self, mandate: &Mandate) -> (StatusCode, String) {
        let (status, answer) = self.thu.ask(Method::POST, "/v1/scans", &self.start(mandate)).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn orders(&self) -> Vec<OrderId> {
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

    fn mandate_to_stop(&self, scan: OrderId, nonce: u8) -> Mandate {
        let orders = vec![self.allowed(Verb::StopScan { scan })];
        common::mandate(RunId([nonce; 16]), NO_PLAYBOOK, orders, 0, nonce)
    }

    fn stop(&self, mandate: &Mandate) -> StopScan {
        StopScan { mandate: common::sign(&self.team, mandate) }
    }

    async fn listed(&self) -> Vec<OrderedScan> {
        self.thu.good::<Scans>(Method::GET, "/v1/scans", &()).await.scans
    }
}

fn target() -> ScanTarget {
    ScanTarget::new("/opt/cong-van".into(), 1_000, false).unwrap()
}

fn scanned() -> Outcome {
    let outcomes = [(ScanOutcome::Matched, 1), (ScanOutcome::Unreadable, 2)].into();
    Outcome::Scanned { ended: ScanEnd::Whole, totals: ScanTotals { outcomes, ..ScanTotals::default() } }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_ordered_once_and_its_totals_are_kept() {
    let scene = Scene::set().await;

    let start = scene.start(&scene.mandate(1));
    let scan: OrderedScan = scene.thu.good(Method::POST, "/v1/scans", &start).await;
    // The same mandate again is the same scan.
    assert_eq!(scene.thu.good::<OrderedScan>(Method::POST, "/v1/scans", &start).await, scan);
    assert_eq!(scene.orders().await, [scan.order]);
    assert_eq!((&scan.target, scan.answer.is_none()), (&ScanScope::Files(target()), true));
    scene.answer(1, scan.order, scanned()).await;

    let [listed] = &scene.listed().await[..] else { panic!("one scan") };
    assert_eq!((&listed.answer, listed.ended.is_some()), (&Some(scanned()), true));
    let one: OrderedScan = scene.thu.good(Method::GET, &format!("/v1/scans/{}", scan.order), &()).await;
    assert_eq!(one, *listed);
    // No answer is taken back by another.
    scene.answer(2, scan.order, Outcome::Failed { reason: Reason::AgentFailed }).await;
    assert_eq!(scene.listed().await[0].answer, Some(scanned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_signed_order_to_scan_for_no_run_is_taken() {
    let scene = Scene::set().await;
    let good = || scene.mandate(1);
    let file = FileTarget { path: "/srv/a".into(), sha256: Sha256([1; 32]) };
    let two = vec![good().orders[0].clone(); 2];
    let other_verb = vec![scene.allowed(Verb::QuarantineFile(file))];
    let nobody = vec![Allowed { agent: AgentId([9; 32]), ..good().orders[0].clone() }];

    let cases = [
        (Mandate { orders: two, ..good() }, StatusCode::BAD_REQUEST, "bad_target_count"),
        (Mandate { orders: other_verb, ..good() }, StatusCode::CONFLICT, "mandate_for_other"),
        (Mandate { playbook: Sha256([4; 32]), ..good() }, StatusCode::CONFLICT, "mandate_for_other"),
        (Mandate { orders: nobody, ..good() }, StatusCode::NOT_FOUND, "no_agent"),
        (common::mandate(RUN, NO_PLAYBOOK, good().orders, -11, 1), StatusCode::FORBIDDEN, "mandate_refused"),
    ];
    for (mandate, status, code) in cases {
        assert_eq!(scene.refused(&mandate).await, (status, code.to_owned()));
    }

    let _: OrderedScan = scene.thu.good(Method::POST, "/v1/scans", &scene.start(&good())).await;
    let same_run = Mandate { nonce: khien_core::Nonce([2; 16]), ..good() };
    assert_eq!(scene.refused(&same_run).await, (StatusCode::CONFLICT, "mandate_for_other".to_owned()));
    let mut unsigned = scene.start(&Mandate { run: RunId([3; 16]), ..scene.mandate(3) });
    unsigned.mandate.signatures.clear();
    scene.thu.bad(StatusCode::FORBIDDEN, Method::POST, "/v1/scans", &unsigned).await;
    scene.client.bad(StatusCode::FORBIDDEN, Method::GET, "/v1/scans", &()).await;
    assert_eq!(scene.listed().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_that_come_after_the_scan_was_given_up_are_worth_as_much() {
    let scene = Scene::set().await;
    let scan = scene.ordered().await;
    let store = rusqlite::Connection::open(scene.team.home.path().join("hub/hub.sqlite")).unwrap();
    store.busy_timeout(SOON).unwrap();
    store.execute("UPDATE orders SET expires = 0", []).unwrap();
    let given_up = async {
        while scene.listed().await[0].answer != Some(Outcome::Failed { reason: Reason::NoAnswer }) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, given_up).await.unwrap();

    scene.answer(1, scan.order, scanned()).await;

    assert_eq!(scene.listed().await[0].answer, Some(scanned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_memory_is_ordered_as_one_of_files_is() {
    let scene = Scene::set().await;
    let target = MemoryTarget::of([812]).unwrap();
    let orders = vec![scene.allowed(Verb::ScanMemory(target.clone()))];
    let mandate = common::mandate(RUN, NO_PLAYBOOK, orders, 0, 1);

    let scan: OrderedScan = scene.thu.good(Method::POST, "/v1/scans", &scene.start(&mandate)).await;
    let totals = ScanTotals { without_memory: 1, ..ScanTotals::of(Counted::Processes) };
    let answer = Outcome::Scanned { ended: ScanEnd::Whole, totals };
    scene.answer(1, scan.order, answer.clone()).await;

    assert_eq!(scan.target, ScanScope::Memory(target));
    assert_eq!(scene.listed().await[0].answer, Some(answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_stopped_by_a_signed_order_to_its_agent_and_the_record_says_by_whom() {
    let scene = Scene::set().await;
    let scan = scene.ordered().await;
    let (path, stop) = (format!("/v1/scans/{}/stop", scan.order), scene.mandate_to_stop(scan.order, 2));

    let asked: OrderedScan = scene.thu.good(Method::POST, &path, &scene.stop(&stop)).await;
    // The answer may have been lost on the way.
    assert_eq!(scene.thu.good::<OrderedScan>(Method::POST, &path, &scene.stop(&stop)).await, asked);
    assert_eq!((asked.stopped_by.as_deref(), &asked.answer), (Some("thu"), &None));
    assert_eq!(scene.orders().await, [scan.order, stop.order_id(0)], "the scan first");
    scene.answer(1, stop.order_id(0), Outcome::Done { evidence: None }).await;
    let cancelled = Outcome::Scanned { ended: ScanEnd::Cancelled, totals: ScanTotals::default() };
    scene.answer(2, scan.order, cancelled.clone()).await;

    let [listed] = &scene.listed().await[..] else { panic!("one scan") };
    assert_eq!((&listed.answer, listed.stopped_by.as_deref()), (&Some(cancelled), Some("thu")));
    // What ended is not stopped once more.
    let late = scene.stop(&scene.mandate_to_stop(scan.order, 3));
    assert_eq!(scene.thu.good::<OrderedScan>(Method::POST, &path, &late).await, *listed);
    assert_eq!(scene.orders().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_met_everything_before_it_could_be_stopped_says_so() {
    for (ended, stopped_by) in [(ScanEnd::Whole, None), (ScanEnd::Cancelled, Some("thu"))] {
        let scene = Scene::set().await;
        let scan = scene.ordered().await;
        let (path, stop) = (format!("/v1/scans/{}/stop", scan.order), scene.mandate_to_stop(scan.order, 2));
        let _: OrderedScan = scene.thu.good(Method::POST, &path, &scene.stop(&stop)).await;

        scene.answer(1, scan.order, Outcome::Scanned { ended, totals: ScanTotals::default() }).await;

        assert_eq!(scene.listed().await[0].stopped_by.as_deref(), stopped_by);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_signed_order_to_stop_just_this_scan_is_taken() {
    let scene = Scene::set().await;
    let scan = scene.ordered().await;
    let good = || scene.mandate_to_stop(scan.order, 2);
    let path = format!("/v1/scans/{}/stop", scan.order);
    let other_agent = Allowed { agent: AgentId([9; 32]), ..good().orders[0].clone() };
    let bad = [
        scene.mandate_to_stop(OrderId([7; 16]), 2),
        scene.mandate(2),
        Mandate { orders: vec![other_agent], ..good() },
        Mandate { playbook: Sha256([4; 32]), ..good() },
        Mandate { run: RUN, ..good() },
    ];

    for mandate in bad {
        scene.thu.bad(StatusCode::CONFLICT, Method::POST, &path, &scene.stop(&mandate)).await;
    }
    let mut unsigned = scene.stop(&good());
    unsigned.mandate.signatures.clear();
    scene.thu.bad(StatusCode::FORBIDDEN, Method::POST, &path, &unsigned).await;
    let nothing = format!("/v1/scans/{}/stop", good().order_id(0));
    scene.thu.bad(StatusCode::NOT_FOUND, Method::POST, &nothing, &scene.stop(&good())).await;

    assert_eq!(scene.orders().await, [scan.order]);
    assert_eq!(scene.listed().await[0].stopped_by, None);
    scene.thu.bad(StatusCode::CONFLICT, Method::POST, "/v1/scans", &scene.start(&good())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_the_order_is_no_answer_to_it() {
    let scene = Scene::set().await;
    let scan = scene.ordered().await;

    scene.answer(1, scan.order, Outcome::Done { evidence: None }).await;

    assert_eq!(scene.listed().await[0].answer, Some(Outcome::Failed { reason: Reason::OtherAnswer }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_late_is_not_dated_after_it_came() {
    let scene = Scene::set().await;
    let scan = scene.ordered().await;
    let store = rusqlite::Connection::open(scene.team.home.path().join("hub/hub.sqlite")).unwrap();
    store.busy_timeout(SOON).unwrap();
    store.execute("UPDATE orders SET expires = 0", []).unwrap();
    let given_up = async { while scene.listed().await[0].answer.is_none() {} };
    tokio::time::timeout(SOON, given_up).await.unwrap();

    let at = "2999-01-01T00:00:00Z".parse().unwrap();
    let receipt = Receipt { order: scan.order, at, outcome: scanned() };
    scene.client.report(1, 1, &[Report::Receipt(receipt)]).await;

    let listed = &scene.listed().await[0];
    assert_eq!(listed.answer, Some(scanned()));
    assert!(listed.ended.unwrap() <= Timestamp::now());
}
