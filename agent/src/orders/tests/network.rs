//! Orders about what is kept of the network.

use khien_core::{
    order::{PacketTarget, RecordQuery, Sought},
    seal::{OpenKey, SEED},
};

use super::*;
use crate::uplink::Hub;

fn network_order(verb: Verb, scene: &Scene, nonce: u8) -> Order {
    let mandate = Mandate { nonce: Nonce([nonce; 16]), ..scene.mandate() };
    let allowed = Allowed { verb, ..mandate.orders[0].clone() };
    order(&Mandate { orders: vec![allowed], ..mandate })
}

#[tokio::test]
async fn a_search_of_the_records_is_answered_and_without_records_it_is_said_so() {
    let mut scene = Scene::new();
    let (since, until) = (Timestamp::UNIX_EPOCH, Timestamp::now());
    let query = RecordQuery::new(Sought::Domain("a.example".into()), (since, until), 5).unwrap();
    scene.give(&network_order(Verb::SearchRecords(query.clone()), &scene, 1)).await;
    let dir = scene.dir.path().join("records");
    fs::create_dir(&dir).unwrap();
    let limits = crate::records::Limits { days: 1, bytes: 16 << 20 };
    scene.desk.records = Some(Records::open(dir, limits, Arc::default()).unwrap());

    scene.give(&network_order(Verb::SearchRecords(query), &scene, 2)).await;

    let [Report::Receipt(without), Report::Receipt(with)] = &scene.told(2).await[..] else {
        panic!("two answers")
    };
    assert_eq!(without.outcome, Outcome::Failed { reason: Reason::RecordsNotKept });
    assert_eq!(with.outcome, Outcome::Searched { found: Box::default() });
}

/// A line to a hub that has a key and is asked nothing. It stands as long as what is returned does.
async fn line(scene: &mut Scene) -> watch::Sender<Option<Arc<Hub>>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    let mut hub = Hub::connect("127.0.0.1:1", &ca, None).await.unwrap();
    hub.evidence_key = Some(OpenKey::from_seed(&[7; SEED]).public());
    let (out, line) = watch::channel(Some(Arc::new(hub)));
    scene.desk.line = line;
    out
}

#[tokio::test]
async fn a_search_goes_on_beside_other_orders_and_is_answered_once() {
    let mut scene = Scene::new();
    let dir = scene.dir.path().join("records");
    fs::create_dir(&dir).unwrap();
    let limits = crate::records::Limits { days: 1, bytes: 16 << 20 };
    scene.desk.records = Some(Records::open(dir, limits, Arc::default()).unwrap());
    let query =
        RecordQuery::new(Sought::Domain("a.example".into()), (Timestamp::UNIX_EPOCH, Timestamp::now()), 5);
    let search = network_order(Verb::SearchRecords(query.unwrap()), &scene, 1);
    let other = order(&scene.mandate());
    // As if two others went on.
    let turns = scene.desk.searches.busy();

    scene.give(&search).await;
    scene.give(&search).await;
    scene.give(&other).await;

    assert!(!scene.file().exists(), "the other order did not wait");
    assert_eq!(outcomes(&scene.reports().await).len(), 1, "the search waits for its turn");
    drop(turns);
    let reports = scene.told(2).await;
    let searched = Outcome::Searched { found: Box::default() };
    assert_eq!(outcomes(&reports)[1], (id(&search), &searched));
    scene.give(&search).await;
    assert_eq!(scene.reports().await.len(), 2, "it is not answered again");
}

#[tokio::test]
async fn a_search_over_which_the_agent_died_is_begun_again() {
    let mut scene = Scene::new();
    let query =
        RecordQuery::new(Sought::Domain("a.example".into()), (Timestamp::UNIX_EPOCH, Timestamp::now()), 5);
    let search = network_order(Verb::SearchRecords(query.unwrap()), &scene, 1);
    scene.desk.spool.begin_order(id(&search), search.clone(), Timestamp::now()).await.unwrap();

    scene.desk.take_up().await.unwrap();

    let without = Outcome::Failed { reason: Reason::RecordsNotKept };
    assert_eq!(outcomes(&scene.told(1).await), [(id(&search), &without)]);
}

/// Gives the desk records, and returns an order to search them.
fn search_of(scene: &mut Scene, nonce: u8) -> Order {
    let dir = scene.dir.path().join("records");
    if !dir.exists() {
        fs::create_dir(&dir).unwrap();
        let limits = crate::records::Limits { days: 1, bytes: 16 << 20 };
        scene.desk.records = Some(Records::open(dir, limits, Arc::default()).unwrap());
    }
    let query =
        RecordQuery::new(Sought::Domain("a.example".into()), (Timestamp::UNIX_EPOCH, Timestamp::now()), 5);
    network_order(Verb::SearchRecords(query.unwrap()), scene, nonce)
}

#[tokio::test]
async fn more_searches_than_may_wait_are_answered_as_such_and_no_other_order_waits_for_them() {
    let mut scene = Scene::new();
    let other = order(&scene.mandate());
    // As if two others went on for long.
    let turns = scene.desk.searches.busy();
    let most = u8::try_from(search::WAITING).unwrap();

    for nonce in 10..=10 + most {
        let search = search_of(&mut scene, nonce);
        let given = tokio::time::timeout(std::time::Duration::from_secs(60), scene.give(&search)).await;
        given.expect("the desk waits for a search");
    }
    scene.give(&other).await;

    assert!(!scene.file().exists());
    let reports = scene.told(2).await;
    let too_many = Outcome::Failed { reason: Reason::TooManySearches { limit: 64 } };
    let last = id(&search_of(&mut scene, 10 + most));
    assert_eq!(outcomes(&reports), [(last, &too_many), (id(&other), &DONE)]);
    drop(turns);
    assert_eq!(scene.told(2 + search::WAITING).await.len(), 2 + search::WAITING, "the others are answered");
}

#[tokio::test]
async fn a_search_whose_answer_cannot_be_noted_is_begun_again_when_the_hub_asks_again() {
    let mut scene = Scene::new();
    let query =
        RecordQuery::new(Sought::Domain("a.example".into()), (Timestamp::UNIX_EPOCH, Timestamp::now()), 5);
    let search = network_order(Verb::SearchRecords(query.unwrap()), &scene, 1);
    let spool = rusqlite::Connection::open(scene.dir.path().join("spool.db")).unwrap();
    let full = "CREATE TRIGGER full BEFORE UPDATE ON orders BEGIN SELECT RAISE(ABORT, 'full'); END";
    spool.execute_batch(full).unwrap();
    let poll = scene.desk.spool.begin_poll().await.unwrap();
    let asked = Asked { order: search.clone(), poll };
    assert!(scene.desk.handle(asked, Timestamp::now()).await.is_err());
    spool.execute_batch("DROP TRIGGER full").unwrap();

    scene.give(&search).await;

    let without = Outcome::Failed { reason: Reason::RecordsNotKept };
    assert_eq!(outcomes(&scene.reports().await), [(id(&search), &without)]);
}

#[tokio::test]
async fn packets_are_refused_where_none_are_kept_and_where_none_are_as_asked() {
    let mut scene = Scene::new();
    fs::create_dir_all(&scene.desk.responder.evidence).unwrap();
    let target = PacketTarget::new(khien_core::IncidentId { year: 2026, number: 3 }, 60, 1 << 20).unwrap();
    scene.give(&network_order(Verb::PreservePackets(target.clone()), &scene, 1)).await;
    scene.desk.packets = Some(Packets::new(1 << 16));
    let _line = line(&mut scene).await;

    scene.give(&network_order(Verb::PreservePackets(target), &scene, 2)).await;

    let reports = scene.reports().await;
    let reason = |report: &Report| match report {
        Report::Receipt(Receipt { outcome: Outcome::Failed { reason }, .. }) => reason.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        reports.iter().map(reason).collect::<Vec<_>>(),
        [Reason::PacketsNotKept, Reason::NoSuchPackets]
    );
    assert_eq!(fs::read_dir(&scene.desk.responder.evidence).unwrap().count(), 0, "nothing is left behind");
}
