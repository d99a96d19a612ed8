//! The refusal matrix, against a real spool and real files.

use std::{fs, os::unix::ffi::OsStrExt, path::PathBuf, sync::Arc};

use ed25519_dalek::SigningKey;
use khien_core::{
    Nonce, RunId, Sha256, Untrusted,
    mandate::MAX_LIFE,
    order::{FileTarget, Receipt},
    protocol::Mark,
    signature::{Purpose, Signed, operator_key},
    time::{self, SignedDuration},
};
use tokio::sync::watch;

use super::*;
use crate::spool::Lane;

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
