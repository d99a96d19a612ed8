//! What is found and waits for its owner, and what is not scanned again, with the task alone.

use std::sync::atomic::AtomicUsize;

use khien_core::{IncidentId, order::PacketTarget};
use khien_traffic::{decode::Link, sink::Content};

use super::{
    evasion::segment,
    made::{content, job_of},
    *,
};
use crate::packets::{self, Packets};

#[tokio::test]
async fn a_place_is_free_as_soon_as_its_scan_has_ended_though_what_it_found_waits_for_its_owner() {
    let named = Named::new();
    let (mut analyst, mut told, _) = analyst(MarkScanner, Some(named.clone()), None);
    let most = MAX_SCANS as u64 + 1;

    analyst.take(pieces(0..most)).await;
    all_ended(&mut analyst).await;

    assert!(told.try_recv().is_err(), "all are scanned, and nobody is known yet");
    (0..most).for_each(|flow| named.nobodys(flow));
    analyst.let_go(Instant::now()).await;
    assert_eq!(detections(&mut told).len(), MAX_SCANS + 1);
}

#[tokio::test]
async fn what_waits_for_its_owner_when_the_agent_stops_goes_out_without() {
    let (mut analyst, mut told, _) = analyst(MarkScanner, Some(Named::new()), None);
    analyst.take(pieces(0..1)).await;
    all_ended(&mut analyst).await;
    // This one is scanned to its end after the agent stops.
    analyst.take(pieces(1..2)).await;

    analyst.last(mpsc::channel(1).1).await;

    assert_eq!(detections(&mut told), [None, None]);
    assert_eq!(told.recv().await, None, "and nothing is lost");
}

#[tokio::test]
async fn of_more_than_may_wait_the_oldest_goes_without_its_owner_and_is_counted() {
    let (mut analyst, mut told, tally) = analyst(MarkScanner, Some(Named::new()), None);

    analyst.take(pieces(0..unowned::MOST as u64 + 1)).await;
    all_ended(&mut analyst).await;

    assert_eq!(detections(&mut told), [None]);
    assert_eq!(tally.wire("lo", false).unowned, 1);
}

#[tokio::test]
async fn packets_are_held_before_the_owner_is_known() {
    let kept = Packets::new(64 << 10);
    let (mut analyst, mut told, _) = analyst(MarkScanner, Some(Named::new()), Some(kept.clone()));
    let mine = segment([10, 77, 0, 5], 0x18, 1_001, MARK);
    let mut other = segment([10, 77, 0, 5], 0x18, 1_001, &[b'x'; 1_000]);
    // The port of its client.
    other[34..36].copy_from_slice(&50_000u16.to_be_bytes());
    take(&kept, &mine);

    analyst.take(pieces(0..1)).await;
    all_ended(&mut analyst).await;
    (0..200).for_each(|_| take(&kept, &other));

    assert!(told.try_recv().is_err(), "its owner is not known yet");
    let target = PacketTarget::new(IncidentId { year: 2026, number: 3 }, 60, 1 << 20).unwrap();
    let target = target.only(None, Some(40_000));
    assert_eq!(kept.save(&target, Timestamp::now(), &mut Vec::new()).unwrap(), 1);
}

#[tokio::test]
async fn a_file_that_was_clean_a_moment_ago_is_scanned_again_with_a_newer_pack_only() {
    let (mut analyst, _told, tally) = analyst(CountingScanner::default(), None, None);
    let scanned = |analyst: &Analyst<CountingScanner>| analyst.scanner.0.load(Ordering::Relaxed);

    for (flow, times) in [(1, 1), (2, 1), (3, 1)] {
        analyst.take(files([content(flow)])).await;
        all_ended(&mut analyst).await;
        assert_eq!(scanned(&analyst), times);
    }
    let other = Content { name: Some("other.html".into()), ..content(4) };
    analyst.take(files([other])).await;
    all_ended(&mut analyst).await;
    assert_eq!(scanned(&analyst), 2, "lists may ask for a name");
    analyst.links.pack.store(8, Ordering::Release);
    analyst.take(files([content(5)])).await;
    all_ended(&mut analyst).await;

    assert_eq!((scanned(&analyst), tally.wire("lo", false).failed), (3, 0));
}

#[tokio::test]
async fn a_file_in_which_something_was_found_is_found_again() {
    let (mut analyst, mut told, _) = analyst(MarkScanner, None, None);

    for flow in 1..=2 {
        analyst.take(files([Content { bytes: MARK.to_vec(), ..content(flow) }])).await;
        all_ended(&mut analyst).await;
    }

    assert_eq!(detections(&mut told).len(), 2);
}

fn analyst<S: StreamScanner>(
    scanner: S,
    named: Option<Named>,
    packets: Option<Packets>,
) -> (Analyst<S>, mpsc::Receiver<Report>, Arc<Tally>) {
    let (reports, told) = mpsc::channel(16);
    let (tally, waiting) = (Arc::<Tally>::default(), Arc::default());
    let links = Links { packets, ..links(reports, Arc::default(), watch::channel(false).1) };
    let scopes = [("lo".to_owned(), Arc::clone(&tally))];
    (Analyst::new(scopes, (waiting, named), Arc::new(scanner), links), told, tally)
}

fn pieces(flows: std::ops::Range<u64>) -> Seen {
    Seen { jobs: flows.map(job_of).collect(), ..Seen::default() }
}

fn files<const N: usize>(contents: [Content; N]) -> Seen {
    Seen { contents: contents.into(), ..Seen::default() }
}

/// Takes over how all scans end, those that begin meanwhile too.
async fn all_ended<S: StreamScanner>(analyst: &mut Analyst<S>) {
    while let Some(ended) = analyst.scans.join_next_with_id().await {
        analyst.ended(ended).await;
    }
}

/// Returns of each finding that was told the process.
fn detections(told: &mut mpsc::Receiver<Report>) -> Vec<Option<u32>> {
    let mut processes = Vec::new();
    while let Ok(report) = told.try_recv() {
        let Report::Detection(found) = report else { panic!("{report:?}") };
        let Subject::Flow(FlowSubject { flow, .. }) = found.subject else { panic!("another subject") };
        processes.push(flow.process.map(|process| process.pid));
    }
    processes
}

fn take(packets: &Packets, bytes: &[u8]) {
    let (at, length) = (Timestamp::now(), u32::try_from(bytes.len()).unwrap());
    packets.take(&packets::Seen { interface: 0, link: Link::Ethernet, at, vlan: None, bytes, length });
}

/// Counts files and finds nothing in them.
#[derive(Default)]
struct CountingScanner(AtomicUsize);

impl StreamScanner for CountingScanner {
    async fn scan(&self, _: Vec<u8>) -> Scanned {
        without_hits(ScanOutcome::Clean)
    }

    async fn scan_file(&self, bytes: Vec<u8>, _: Untrusted) -> (Option<Sha256>, Scanned) {
        self.0.fetch_add(1, Ordering::Relaxed);
        (Some(Sha256::of(&bytes)), without_hits(ScanOutcome::Clean))
    }
}
