//! The refusal matrix, against a real spool and real files.

use std::{fs, os::unix::ffi::OsStrExt, path::PathBuf, sync::Arc};

use ed25519_dalek::SigningKey;
use khien_core::{
    Nonce, RunId, Sha256, Untrusted,
    mandate::{MAX_LIFE, Mandate},
    order::{FileTarget, MemoryTarget, Receipt, ScanEnd, ScanScope, ScanTarget, ScanTotals},
    protocol::Mark,
    signature::{Purpose, Signed, operator_key},
    time::{self, SignedDuration},
};
use tokio::sync::watch;

use super::*;
use crate::{spool::Lane, watch::ordered::Wanted};

mod network;

const ME: AgentId = AgentId([1; 32]);
const SHELL: &[u8] = concat!("<?php ev", "al($_POST['x']);").as_bytes();

struct Scene {
    dir: tempfile::TempDir,
    desk: Desk,
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap().join("agent");
        let responder =
            Responder { quarantine: home.join("quarantine"), evidence: home.join("evidence"), home };
        fs::create_dir_all(&responder.quarantine).unwrap();
        let file = dir.path().join("spool.db");
        let spool = Spool::open(&file, 1 << 20, Arc::default()).unwrap().spool;
        let operators = vec![operator_key("thu", &key())];
        let desk = Desk::new(ME, operators, spool, responder, watch::channel(None).1);
        let scene = Self { dir, desk };
        fs::write(scene.file(), SHELL).unwrap();
        scene
    }

    fn file(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("a.php")
    }

    fn mandate(&self) -> Mandate {
        let path = Untrusted::new(self.file().as_os_str().as_bytes());
        let verb = Verb::QuarantineFile(FileTarget { path, sha256: Sha256::of(SHELL) });
        let now = Timestamp::now();
        Mandate {
            run: RunId([3; 16]),
            playbook: Sha256([4; 32]),
            orders: vec![Allowed { step: "quarantine".parse().unwrap(), agent: ME, verb }],
            issued: now,
            expires: time::after(now, MAX_LIFE),
            nonce: Nonce([5; 16]),
        }
    }

    async fn give(&mut self, order: &Order) {
        let poll = self.desk.spool.begin_poll().await.unwrap();
        self.desk.handle(Asked { order: order.clone(), poll }, Timestamp::now()).await.unwrap();
    }

    /// Returns all that waits for the hub.
    async fn reports(&self) -> Vec<Report> {
        let batch = self.desk.spool.next_batch(Lane::Urgent, 10_000, usize::MAX).await.unwrap();
        let records = batch.map_or(Vec::new(), |b| b.records);
        records.iter().map(|r| serde_json::from_str(&r.body).unwrap()).collect()
    }

    /// Returns all that waits for the hub when so much does.
    async fn told(&self, many: usize) -> Vec<Report> {
        let told = async {
            loop {
                let reports = self.reports().await;
                if reports.len() >= many {
                    return reports;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), told).await.unwrap()
    }

    async fn ack_all(&self) {
        let tail = *self.desk.spool.tail().borrow();
        self.desk.spool.ack(Mark { epoch: tail.urgent.epoch, seq: tail.urgent.next - 1 }).await.unwrap();
    }
}

fn order(mandate: &Mandate) -> Order {
    Order { mandate: mandate.sign(&key()), index: 0 }
}

#[tokio::test]
async fn a_signed_order_is_carried_out_once_and_answered_once() {
    let mut scene = Scene::new();
    let order = order(&scene.mandate());

    for _ in 0..3 {
        scene.give(&order).await;
    }

    assert!(!scene.file().exists());
    let reports = scene.reports().await;
    assert!(
        matches!(&reports[..], [Report::Receipt(Receipt { outcome: Outcome::Done { .. }, .. })]),
        "{reports:?}"
    );
}

#[tokio::test]
async fn what_is_not_to_be_obeyed_is_refused_and_reported_and_the_file_stays() {
    type Change = (&'static str, fn(&mut Mandate), fn(&mut Order));
    let keep: fn(&mut Mandate) = |_| ();
    let same: fn(&mut Order) = |_| ();
    let cases: [Change; 9] = [
        ("unsigned", keep, |o| o.mandate.signatures.clear()),
        ("unknown_key", keep, |o| {
            o.mandate =
                Signed::new(o.mandate.body.clone(), Purpose::Mandate, &SigningKey::from_bytes(&[9; 32]));
        }),
        ("altered", keep, |o| o.mandate.body = o.mandate.body.replace("a.php", "b.php")),
        ("altered", keep, |o| {
            o.mandate = Signed::new(o.mandate.body.clone(), Purpose::Pack, &key());
        }),
        ("out_of_bounds", keep, |o| o.index = 1),
        ("wrong_target", |m| m.orders[0].agent = AgentId([8; 32]), same),
        (
            "mandate_expired",
            |m| {
                m.issued = time::after(m.issued, SignedDuration::from_mins(-10));
                m.expires = time::after(m.issued, SignedDuration::from_mins(5));
            },
            same,
        ),
        ("mandate_too_long", |m| m.expires = time::after(m.expires, SignedDuration::from_mins(1)), same),
        (
            "mandate_not_yet",
            |m| {
                m.issued = time::after(m.issued, SignedDuration::from_mins(5));
                m.expires = time::after(m.issued, SignedDuration::from_mins(5));
            },
            same,
        ),
    ];
    for (wanted, change_mandate, change_order) in cases {
        let mut scene = Scene::new();
        let mut mandate = scene.mandate();
        change_mandate(&mut mandate);
        let mut order = order(&mandate);
        change_order(&mut order);

        for _ in 0..100 {
            scene.give(&order).await;
        }

        assert!(scene.file().exists(), "{wanted}");
        let reports = scene.reports().await;
        let [Report::Refused { order: Some(_), reason, .. }] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!(reason.code(), wanted);
    }
}

#[tokio::test]
async fn an_order_that_comes_again_after_its_receipt_was_taken_is_a_replay() {
    let mut scene = Scene::new();
    let order = order(&scene.mandate());
    scene.give(&order).await;
    scene.ack_all().await;
    fs::write(scene.file(), SHELL).unwrap();

    scene.give(&order).await;

    assert!(scene.file().exists());
    let reports = scene.reports().await;
    let [Report::Refused { reason, .. }] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(reason.code(), "replayed");
}

#[tokio::test]
async fn an_order_over_which_the_agent_died_is_taken_up() {
    let mut scene = Scene::new();
    let mandate = scene.mandate();
    let order = order(&mandate);
    let id = mandate.order_id(0);
    scene.desk.spool.begin_order(id, order.clone(), Timestamp::now()).await.unwrap();

    scene.desk.resume(order).await.unwrap();

    assert!(!scene.file().exists());
    assert!(matches!(&scene.reports().await[..], [Report::Receipt(r)] if r.order == id));
}

#[tokio::test]
async fn an_interrupted_order_whose_time_is_over_changes_nothing_more() {
    let mut scene = Scene::new();
    let mut mandate = scene.mandate();
    mandate.issued = time::after(mandate.issued, SignedDuration::from_hours(-1));
    mandate.expires = time::after(mandate.issued, SignedDuration::from_mins(5));
    let order = order(&mandate);
    scene.desk.spool.begin_order(mandate.order_id(0), order.clone(), Timestamp::now()).await.unwrap();

    scene.desk.resume(order).await.unwrap();

    assert!(scene.file().exists());
    let reports = scene.reports().await;
    assert!(
        matches!(&reports[..], [Report::Receipt(Receipt { outcome: Outcome::Failed { .. }, .. })]),
        "{reports:?}"
    );
}

#[tokio::test]
async fn an_order_whose_note_is_damaged_is_told_and_does_not_hold_up_the_others() {
    let mut scene = Scene::new();
    let (mut lost, kept) = (scene.mandate(), scene.mandate());
    lost.nonce = Nonce([6; 16]);
    for mandate in [&lost, &kept] {
        let begun = scene.desk.spool.begin_order(mandate.order_id(0), order(mandate), Timestamp::now());
        begun.await.unwrap();
    }
    let store = rusqlite::Connection::open(scene.dir.path().join("spool.db")).unwrap();
    let damage = "UPDATE orders SET text = CAST(x'ff7b' AS TEXT) WHERE id = ?";
    assert_eq!(store.execute(damage, [lost.order_id(0).0]).unwrap(), 1);

    scene.desk.take_up().await.unwrap();
    scene.desk.take_up().await.unwrap();

    assert!(!scene.file().exists());
    let reports = scene.reports().await;
    let [Report::Blind { cause: Reason::OrderNoteUnreadable, .. }, Report::Receipt(receipt)] = &reports[..]
    else {
        panic!("{reports:?}")
    };
    assert_eq!(receipt.order, kept.order_id(0));
    scene.give(&order(&lost)).await;
    let reports = scene.reports().await;
    assert!(
        matches!(reports.last(), Some(Report::Receipt(r)) if r.order == lost.order_id(0)),
        "the hub repeats it, and it is answered: {reports:?}"
    );
}

#[tokio::test]
async fn what_orders_left_half_done_is_cleared_away_at_the_start() {
    let mut scene = Scene::new();
    let Responder { quarantine, evidence, .. } = scene.desk.responder.clone();
    fs::create_dir_all(&evidence).unwrap();
    fs::create_dir(quarantine.join("aa.part")).unwrap();
    fs::write(quarantine.join("aa.part/content"), SHELL).unwrap();
    for name in ["01", "02.part"] {
        fs::write(evidence.join(name), SHELL).unwrap();
    }

    scene.desk.take_up().await.unwrap();

    for folder in [quarantine, evidence] {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }
}

/// An order to scan.
fn scan(scene: &Scene) -> (Order, ScanTarget) {
    let target = ScanTarget::new("/srv".into(), 5, false).unwrap();
    let mut mandate = Mandate { nonce: Nonce([6; 16]), ..scene.mandate() };
    mandate.orders[0].verb = Verb::ScanPath(target.clone());
    (order(&mandate), target)
}

#[tokio::test]
async fn a_scan_goes_on_beside_other_orders_and_is_answered_once() {
    let mut scene = Scene::new();
    let (scans, mut asked) = Scans::channel();
    scene.desk.scans = scans;
    let ((scan, target), other) = (scan(&scene), order(&scene.mandate()));

    scene.give(&scan).await;
    scene.give(&scan).await;
    scene.give(&other).await;

    assert!(!scene.file().exists(), "the other order did not wait");
    let wanted = asked.try_recv().unwrap();
    assert_eq!(wanted.scope, ScanScope::Files(target));
    assert!(asked.try_recv().is_err(), "it is handed over once");
    let totals = ScanTotals { known: 2, ..ScanTotals::default() };
    wanted.answer.send(Ok((ScanEnd::Whole, totals.clone()))).unwrap();
    let reports = scene.told(2).await;
    let wanted = Outcome::Scanned { ended: ScanEnd::Whole, totals };
    assert!(matches!(&reports[1], Report::Receipt(r) if r.outcome == wanted), "{reports:?}");
    scene.give(&scan).await;
    assert_eq!(scene.reports().await.len(), 2, "it is not answered again");
}

#[tokio::test]
async fn a_scan_over_which_the_agent_died_is_answered_as_cut_off_and_not_begun_again() {
    let mut scene = Scene::new();
    let (scans, _asked) = Scans::channel();
    scene.desk.scans = scans;
    scene.give(&scan(&scene).0).await;
    assert_eq!(scene.reports().await, []);

    let (scans, mut asked) = Scans::channel();
    scene.desk.scans = scans;
    scene.desk.take_up().await.unwrap();

    let reports = scene.reports().await;
    let cut_off = Outcome::Failed { reason: Reason::ScanCutOff };
    assert!(matches!(&reports[..], [Report::Receipt(r)] if r.outcome == cut_off), "{reports:?}");
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn more_scans_than_may_wait_are_answered_as_such() {
    let mut scene = Scene::new();
    let (scans, _asked) = Scans::channel();
    scene.desk.scans = scans;
    let target = scan(&scene).1;

    for nonce in 10..19 {
        let mut mandate = Mandate { nonce: Nonce([nonce; 16]), ..scene.mandate() };
        mandate.orders[0].verb = Verb::ScanPath(target.clone());
        scene.give(&order(&mandate)).await;
    }

    let reports = scene.reports().await;
    let too_many = Outcome::Failed { reason: Reason::TooManyScans { limit: 8 } };
    assert!(matches!(&reports[..], [Report::Receipt(r)] if r.outcome == too_many), "{reports:?}");
}

/// An order to stop a scan.
fn stop(scene: &Scene, scan: OrderId, nonce: u8) -> Order {
    let mut mandate = Mandate { nonce: Nonce([nonce; 16]), ..scene.mandate() };
    mandate.orders[0].verb = Verb::StopScan { scan };
    order(&mandate)
}

fn id(order: &Order) -> OrderId {
    mandate::claimed_id(order).unwrap()
}

/// Returns how orders ended, in the order in which that was told.
fn outcomes(reports: &[Report]) -> Vec<(OrderId, &Outcome)> {
    fn one(report: &Report) -> (OrderId, &Outcome) {
        let Report::Receipt(receipt) = report else { panic!("{report:?}") };
        (receipt.order, &receipt.outcome)
    }
    reports.iter().map(one).collect()
}

const DONE: Outcome = Outcome::Done { evidence: None };

#[tokio::test]
async fn a_scan_that_goes_on_is_told_to_stop_and_answers_for_itself() {
    let mut scene = Scene::new();
    let (scans, mut asked) = Scans::channel();
    scene.desk.scans = scans;
    let scan = scan(&scene).0;
    let stop = stop(&scene, id(&scan), 7);
    scene.give(&scan).await;
    let wanted = asked.try_recv().unwrap();
    assert!(Wanted::claim(&wanted.claimed) && !*wanted.stop.borrow());

    scene.give(&stop).await;
    scene.give(&stop).await;

    assert!(*wanted.stop.borrow());
    assert_eq!(outcomes(&scene.told(1).await), [(id(&stop), &DONE)], "the scan has not ended yet");
    let ended = (ScanEnd::Cancelled, ScanTotals { known: 2, ..ScanTotals::default() });
    wanted.answer.send(Ok(ended.clone())).unwrap();
    let cancelled = Outcome::Scanned { ended: ended.0, totals: ended.1 };
    assert_eq!(outcomes(&scene.told(2).await)[1], (id(&scan), &cancelled));
}

#[tokio::test]
async fn a_scan_that_waits_or_comes_later_does_not_begin_once_it_is_stopped() {
    let mut scene = Scene::new();
    let (scans, mut asked) = Scans::channel();
    scene.desk.scans = scans;
    let waits = scan(&scene).0;
    let mut later = Mandate { nonce: Nonce([8; 16]), ..scene.mandate() };
    later.orders[0].verb = Verb::ScanMemory(MemoryTarget::all());
    let later = order(&later);

    scene.give(&waits).await;
    scene.give(&stop(&scene, id(&waits), 9)).await;
    let told = scene.told(2).await;
    scene.give(&stop(&scene, id(&later), 10)).await;
    scene.give(&later).await;
    let told_later = scene.told(4).await;

    let cancelled = |totals| Outcome::Scanned { ended: ScanEnd::Cancelled, totals };
    let files = cancelled(ScanTotals::default());
    assert!(outcomes(&told).contains(&(id(&waits), &files)), "{told:?}");
    let processes = cancelled(ScanTotals::of(khien_core::order::Counted::Processes));
    assert_eq!(outcomes(&told_later)[3], (id(&later), &processes));
    while let Ok(wanted) = asked.try_recv() {
        assert!(!Wanted::claim(&wanted.claimed), "nobody begins it");
    }
}

#[tokio::test]
async fn stopping_what_the_agent_died_over_is_done_and_the_scan_stays_cut_off() {
    let mut scene = Scene::new();
    let (scans, _asked) = Scans::channel();
    scene.desk.scans = scans;
    let scan = scan(&scene).0;
    let stop = stop(&scene, id(&scan), 7);
    scene.give(&scan).await;
    scene.desk.spool.begin_order(id(&stop), stop.clone(), Timestamp::now()).await.unwrap();

    scene.desk.scans = Scans::channel().0;
    scene.desk.take_up().await.unwrap();
    scene.give(&stop).await;

    let cut_off = Outcome::Failed { reason: Reason::ScanCutOff };
    let told = scene.told(2).await;
    let mut outcomes = outcomes(&told);
    outcomes.sort_by_key(|(order, _)| *order == id(&stop));
    assert_eq!(outcomes, [(id(&scan), &cut_off), (id(&stop), &DONE)]);
}
