use std::collections::VecDeque;

use khien_core::{
    OrderId, Timestamp, Untrusted,
    event::ScanOutcome,
    mandate::Mandate,
    order::{Order, Outcome, Receipt},
    protocol::{Mark, Report},
    reason::Reason,
    signature::Signed,
};
use proptest::prelude::*;

use super::{
    SpoolError,
    orders::Known,
    store::{Lane, Store},
};

const ROOMY: u64 = 64 << 20;

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().unwrap()
}

fn urgent(n: u64) -> Report {
    Report::Refused {
        order: None,
        reason: Reason::Said { text: format!("reason {n}").as_str().into() },
        at: now(),
    }
}

fn bulk(n: u64) -> Report {
    Report::NotScanned {
        path: Untrusted::from(&*format!("/srv/{n}")),
        outcome: ScanOutcome::Timeout,
        at: now(),
        unseen: Vec::new(),
    }
}

struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self, limit: u64) -> Store {
        Store::open(&self.dir.path().join("spool.db"), limit).unwrap()
    }
}

/// Reads all that waits in a lane, checking that numbers rise by one from the acknowledged one and hashes fit.
fn waiting(store: &Store, lane: Lane) -> Vec<String> {
    let state = *store.tail().unwrap().of(lane);
    let records = store.next_batch(lane, 100_000, usize::MAX).unwrap().map_or(Vec::new(), |b| b.records);
    let numbers: Vec<u64> = records.iter().map(|r| r.seq).collect();
    assert_eq!(numbers, (state.acked + 1..state.next).collect::<Vec<_>>());
    for record in &records {
        assert_eq!(record.hash, khien_core::Sha256::of(record.body.as_bytes()));
    }
    records.into_iter().map(|r| r.body).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Append(bool),
    Ack(bool, u64),
    Reopen,
    HubWentBack(bool),
    WeWentBack(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => any::<bool>().prop_map(Step::Append),
        4 => (any::<bool>(), 0_u64..5).prop_map(|(lane, n)| Step::Ack(lane, n)),
        1 => Just(Step::Reopen),
        1 => any::<bool>().prop_map(Step::HubWentBack),
        1 => any::<bool>().prop_map(Step::WeWentBack),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn numbers_have_no_gap_and_nothing_is_lost_whatever_happens(steps in steps()) {
        let disk = Disk::new();
        let mut store = disk.open(ROOMY);
        let mut expected = [VecDeque::new(), VecDeque::new()];
        let lane = |is_bulk| if is_bulk { Lane::Bulk } else { Lane::Urgent };
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(is_bulk) => {
                    let report = if is_bulk { bulk(n as u64) } else { urgent(n as u64) };
                    store.append(&report, now()).unwrap();
                    expected[usize::from(is_bulk)].push_back(serde_json::to_string(&report).unwrap());
                }
                Step::Ack(is_bulk, more) => {
                    let state = *store.tail().unwrap().of(lane(is_bulk));
                    let more = more.min(state.waiting());
                    store.ack(Mark { epoch: state.epoch, seq: state.acked + more }).unwrap();
                    expected[usize::from(is_bulk)].drain(..usize::try_from(more).unwrap());
                }
                Step::Reopen => {
                    drop(store);
                    store = disk.open(ROOMY);
                }
                Step::HubWentBack(is_bulk) => {
                    let state = *store.tail().unwrap().of(lane(is_bulk));
                    let behind = state.acked.saturating_sub(1);
                    store.welcome(&[Mark { epoch: state.epoch, seq: behind }, other(&store, is_bulk)]).unwrap();
                }
                Step::WeWentBack(is_bulk) => {
                    let state = *store.tail().unwrap().of(lane(is_bulk));
                    store.welcome(&[Mark { epoch: state.epoch, seq: state.next }, other(&store, is_bulk)]).unwrap();
                    prop_assert_ne!(store.tail().unwrap().of(lane(is_bulk)).epoch, state.epoch);
                }
            }
            prop_assert_eq!(&expected[0], &waiting(&store, Lane::Urgent));
            prop_assert_eq!(&expected[1], &waiting(&store, Lane::Bulk));
        }
    }
}

fn other(store: &Store, is_bulk: bool) -> Mark {
    let state = *store.tail().unwrap().of(if is_bulk { Lane::Urgent } else { Lane::Bulk });
    Mark { epoch: state.epoch, seq: state.acked }
}

#[test]
fn what_was_never_written_cannot_be_acknowledged() {
    let mut store = Disk::new().open(ROOMY);
    store.append(&urgent(1), now()).unwrap();
    let epoch = store.tail().unwrap().urgent.epoch;

    let got = store.ack(Mark { epoch, seq: 2 });

    assert!(matches!(got, Err(SpoolError::AckAhead { acked: 2, next: 2 })));
    assert_eq!(waiting(&store, Lane::Urgent).len(), 1);
}

#[test]
fn a_full_spool_keeps_a_quarter_for_what_is_urgent_and_tells_what_it_lost() {
    let mut store = Disk::new().open(40_000);
    let mut kept = 0;
    for n in 0..1_000 {
        kept += u64::from(store.append(&bulk(n), now()).unwrap().is_some());
    }
    assert!(kept > 50 && kept < 500, "{kept}");

    assert!(store.append(&urgent(1), now()).unwrap().is_some());
    let state = store.tail().unwrap().bulk;
    store.ack(Mark { epoch: state.epoch, seq: state.next - 1 }).unwrap();

    let told: Vec<Report> =
        waiting(&store, Lane::Bulk).iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(told, [Report::Dropped { count: 1_000 - kept, from: now(), until: now() }]);
}

#[test]
fn a_receipt_is_kept_even_when_nothing_else_is() {
    let mut store = Disk::new().open(2_000);
    while store.append(&urgent(1), now()).unwrap().is_some() {}

    store.end_order(&receipt(1), now()).unwrap();

    assert!(waiting(&store, Lane::Urgent).last().unwrap().contains("receipt"));
}

#[test]
fn a_life_that_ended_without_a_word_is_told_by_the_next_one() {
    let disk = Disk::new();
    let died =
        |store: &Store| match serde_json::from_str(waiting(store, Lane::Urgent).last().unwrap()).unwrap() {
            Report::Started { died_after, .. } => died_after,
            other => panic!("{other:?}"),
        };
    let mut store = disk.open(ROOMY);
    assert_eq!(store.begin_life(now()).unwrap(), None);
    assert_eq!(died(&store), None);

    drop(store);
    let mut store = disk.open(ROOMY);
    assert_eq!(store.begin_life(now()).unwrap(), Some(now()));
    assert_eq!(died(&store), Some(now()));

    store.end_life(now()).unwrap();
    drop(store);
    let mut store = disk.open(ROOMY);
    assert_eq!(store.begin_life(now()).unwrap(), Some(now()));
    assert_eq!(died(&store), None);
}

#[test]
fn an_order_is_a_replay_only_for_polls_after_its_receipt_was_acknowledged() {
    let mut store = Disk::new().open(ROOMY);
    let (id, order) = (OrderId([1; 16]), order());
    let before = store.begin_poll();
    assert_eq!(store.known(id, before).unwrap(), Known::New);
    store.begin_order(id, &order, now()).unwrap();
    assert_eq!(store.known(id, before).unwrap(), Known::Begun);
    assert_eq!(store.unanswered(now()).unwrap(), [order]);

    store.end_order(&receipt(1), now()).unwrap();
    let during = store.begin_poll();
    assert_eq!(store.known(id, during).unwrap(), Known::Answered);
    let state = store.tail().unwrap().urgent;
    store.ack(Mark { epoch: state.epoch, seq: 1 }).unwrap();

    assert_eq!(store.known(id, during).unwrap(), Known::Answered);
    let after = store.begin_poll();
    assert_eq!(store.known(id, after).unwrap(), Known::Settled);
    assert!(store.unanswered(now()).unwrap().is_empty());
}

#[test]
fn what_was_acknowledged_in_an_earlier_life_is_a_replay() {
    let disk = Disk::new();
    let mut store = disk.open(ROOMY);
    store.begin_poll();
    store.end_order(&receipt(1), now()).unwrap();
    let state = store.tail().unwrap().urgent;
    store.ack(Mark { epoch: state.epoch, seq: 1 }).unwrap();

    drop(store);
    let mut store = disk.open(ROOMY);

    let first = store.begin_poll();
    assert_eq!(store.known(OrderId([1; 16]), first).unwrap(), Known::Settled);
}

#[test]
fn receipts_keep_their_record_when_the_lane_starts_anew() {
    let mut store = Disk::new().open(ROOMY);
    store.append(&urgent(1), now()).unwrap();
    let old = store.tail().unwrap().urgent;
    store.ack(Mark { epoch: old.epoch, seq: 1 }).unwrap();
    store.end_order(&receipt(1), now()).unwrap();
    store.welcome(&[Mark { epoch: old.epoch, seq: 9 }]).unwrap();
    let new = store.tail().unwrap().urgent;

    store.ack(Mark { epoch: new.epoch, seq: 1 }).unwrap();

    let poll = store.begin_poll();
    assert_eq!(store.known(OrderId([1; 16]), poll).unwrap(), Known::Settled);
}

#[test]
fn work_that_fails_leaves_nothing_behind() {
    let mut store = Disk::new().open(ROOMY);

    store
        .transaction(|store| {
            let got: Result<(), SpoolError> = store.whole(|store| {
                store.append(&urgent(1), now())?;
                Err(SpoolError::NotCommitted)
            });
            assert!(got.is_err());
            store.whole(|store| store.append(&urgent(2), now())).unwrap();
        })
        .unwrap();

    assert_eq!(waiting(&store, Lane::Urgent), [serde_json::to_string(&urgent(2)).unwrap()]);
}

#[tokio::test]
async fn a_damaged_spool_is_set_aside_and_a_new_one_begins() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("spool.db");
    std::fs::write(&file, vec![b'x'; 8_192]).unwrap();

    let opened = super::Spool::open(&file, ROOMY, std::sync::Arc::default()).unwrap();

    assert!(opened.set_aside);
    opened.spool.append(vec![urgent(1)], now()).await.unwrap();
    assert_eq!(opened.spool.tail().borrow().waiting(), 1);
    assert!(dir.path().join("spool.db.damaged").exists());
}

fn receipt(n: u8) -> Receipt {
    Receipt { order: OrderId([n; 16]), at: now(), outcome: Outcome::Done { evidence: None } }
}

fn order() -> Order {
    let mandate = Mandate {
        run: khien_core::RunId([3; 16]),
        playbook: khien_core::Sha256([4; 32]),
        orders: Vec::new(),
        issued: now(),
        expires: now(),
        nonce: khien_core::Nonce([5; 16]),
    };
    Order {
        mandate: Signed { body: serde_json::to_string(&mandate).unwrap(), signatures: Vec::new() },
        index: 0,
    }
}
