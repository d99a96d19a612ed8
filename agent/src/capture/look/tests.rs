use std::time::Instant;

use khien_core::policy::Policy;
use khien_rules::indicator::network::Network;
use khien_traffic::decode::Link;
use tokio::sync::watch;

use super::*;
use crate::{
    capture::{
        Links, NetConfig,
        analyse::tests::{dns_query, made, pack},
        batch, ring,
        tally::Tally,
    },
    sockets::Owners,
};

/// A datagram of 10.77.2.2 to 203.0.113.80.
const FRAME: [u8; 30] = [
    0x45, 0x00, 0x00, 0x1e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xf2, 0x2f, 0x0a, 0x4d, 0x02, 0x02, 0xcb,
    0x00, 0x71, 0x50, 0x80, 0x00, 0x27, 0x0f, 0x00, 0x0a, 0x00, 0x00, b'h', b'i',
];
const POLICY: &str = r#"{"network": {"zones": [{"name": "camera", "networks": ["10.77.2.2"], "only": []}]}}"#;

/// More findings than are handed over at once and may wait for their owners.
const BURST: usize = 3_000;
const MAX_UNOWNED: usize = 1_024;

#[test]
fn what_comes_after_a_pack_was_loaded_is_judged_by_it() {
    let (load, mut looker, mut seen) = looker();
    let (inlets, _batches) = batch::lanes(1);

    load.send_replace(Some(cameras()));
    looker.look(&filled(&inlets[0]));

    // A finding waits a moment to hear whose flow it is.
    let begun = Instant::now();
    let found = loop {
        assert!(looker.hand_over() && begun.elapsed() < Duration::from_secs(20), "nothing is found");
        match seen.try_recv() {
            Ok(seen) if !seen.findings.is_empty() => break seen.findings,
            _ => thread::yield_now(),
        }
    };
    assert_eq!(found[0].rule.to_string(), "khien.net.not_allowed");
}

#[test]
fn what_is_found_at_the_very_end_is_handed_over_though_there_is_no_room_yet() {
    let (load, looker, mut seen) = looker();
    let (inlets, batches) = batch::lanes(1);
    load.send_replace(Some(cameras()));
    for _ in 0..QUEUE {
        looker.out.try_send(Seen::default()).unwrap();
    }
    assert!(inlets[0].send(filled(&inlets[0])));
    drop(inlets);

    let thread = looker.start(batches).unwrap();

    let mut found = Vec::new();
    while let Some(seen) = seen.blocking_recv() {
        found.extend(seen.findings);
    }
    thread.join().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rule.to_string(), "khien.net.not_allowed");
}

#[test]
fn of_a_burst_of_findings_none_is_shed_and_those_that_cannot_wait_for_their_owner_are_counted() {
    let (_load, mut looker, mut seen) = looker();
    looker.eyes = looker.eyes.asking(Owners::silent());
    let (inlets, _batches) = batch::lanes(1);

    looker.look(&questions(&inlets[0]));
    assert!(looker.hand_over());

    let (found, lost) = taken(&mut seen);
    let early = BURST - MAX_UNOWNED;
    assert_eq!((found, lost), (early, vec![("lo".into(), Cause::Unowned, early as u64)]));
    looker.eyes.finish();
    assert!(looker.hand_over());
    assert_eq!(taken(&mut seen), (MAX_UNOWNED, Vec::new()));
}

#[test]
fn a_burst_at_the_very_end_is_handed_over_whole_though_there_is_no_room_yet() {
    let (_load, looker, mut seen) = looker();
    let (inlets, batches) = batch::lanes(1);
    for _ in 0..QUEUE {
        looker.out.try_send(Seen::default()).unwrap();
    }
    assert!(inlets[0].send(questions(&inlets[0])));
    drop(inlets);

    let thread = looker.start(batches).unwrap();

    let mut found = 0;
    while let Some(seen) = seen.blocking_recv() {
        found += seen.findings.len();
        assert!(seen.lost.iter().all(|(_, cause, _)| *cause == Cause::Unowned), "{:?}", seen.lost);
    }
    thread.join().unwrap();
    assert_eq!(found, BURST);
}

#[test]
fn findings_that_find_no_room_for_long_are_shed_and_counted() {
    let mut held = Seen { findings: vec![made::detection(); MAX_HELD + 3], ..Seen::default() };

    held.bound();

    assert_eq!((held.findings.len(), held.lost), (MAX_HELD, vec![("lo".into(), Cause::Busy, 3)]));
}

#[test]
fn files_and_pieces_of_streams_do_not_take_each_others_room() {
    for is_file in [false, true] {
        let waiting = Waiting::default();
        let (full, other) = (waiting.room(is_file), waiting.room(!is_file));

        assert!(full.enter(MAX_WAITING_BYTES) && !full.enter(1));
        assert!((0..MAX_WAITING).all(|_| other.enter(1)) && !other.enter(1));

        full.leave(MAX_WAITING_BYTES);
        (0..MAX_WAITING).for_each(|_| other.leave(1));
        assert!(waiting.is_empty());
    }
}

#[test]
fn what_is_not_certain_is_counted_for_the_interface_of_its_batch() {
    let (_load, mut looker, _seen) = looker();
    let tallies = [Arc::<Tally>::default(), Arc::default()];
    looker.eyes = looker.eyes.counting(tallies.to_vec());
    let (inlets, _batches) = batch::lanes(1);
    let mut batch = filled(&inlets[0]);
    // An interface that the engine does not have: what comes from there is malformed.
    batch.interface = 1;

    looker.look(&batch);
    assert!(looker.hand_over());

    assert_eq!(tallies.map(|tally| tally.wire("", false).uncertain.malformed), [0, 1]);
}

#[test]
fn what_waits_to_hear_whose_it_is_goes_out_when_looking_failed_again() {
    let (load, mut looker, _seen) = looker();
    let (inlets, _batches) = batch::lanes(1);
    load.send_replace(Some(cameras()));
    looker.look(&filled(&inlets[0]));

    looker.eyes.begin_anew(true, &mut looker.held);

    let found: Vec<_> = looker.held.findings.iter().map(|found| found.rule.to_string()).collect();
    assert_eq!(found, ["khien.net.not_allowed"]);
    assert_eq!(looker.held.lost, [("lo".into(), Cause::Unowned, 1)]);
}

#[test]
fn what_detectors_forget_to_make_room_is_counted_for_the_first_interface() {
    const PLACES: u32 = 4_096;
    let (_load, mut looker, _seen) = looker();
    let tallies = [Arc::<Tally>::default(), Arc::default()];
    looker.eyes = looker.eyes.counting(tallies.to_vec());
    let (inlets, _batches) = batch::lanes(1);
    let mut batch = inlets[0].borrow(0, Link::Ip, Duration::ZERO).unwrap();
    (0..PLACES + 5).for_each(|domain| push(&mut batch, &question(domain)));

    looker.look(&batch);
    assert!(looker.hand_over() && looker.hand_over(), "what was counted is not counted again");

    assert_eq!(tallies.map(|tally| tally.wire("", false).forgotten), [5, 0]);
}

/// A question about one domain of many, of 10.77.2.2 to 203.0.113.80.
fn question(domain: u32) -> Vec<u8> {
    const HEADERS: [u8; 40] = [
        0x45, 0x00, 0x00, 0x3e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xf2, 0x0f, 0x0a, 0x4d, 0x02, 0x02, 0xcb,
        0x00, 0x71, 0x50, 0x80, 0x00, 0x00, 0x35, 0x00, 0x2a, 0x00, 0x00, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ];
    let name = format!("\u{1}x\u{6}d{domain:05}\u{7}example\0");
    [&HEADERS[..], name.as_bytes(), &[0, 1, 0, 1]].concat()
}

fn cameras() -> Arc<Policy> {
    Arc::new(serde_json::from_str(POLICY).unwrap())
}

fn filled(inlet: &batch::Inlet) -> Batch {
    let mut batch = inlet.borrow(0, Link::Ip, Duration::ZERO).unwrap();
    push(&mut batch, &FRAME);
    batch
}

fn push(batch: &mut Batch, bytes: &[u8]) {
    let length = bytes.len() as u32;
    let frame =
        ring::Frame { bytes, length, seconds: 1_800_000_000, nanos: 0, vlan: None, is_outgoing: false };
    batch.push(&frame, bytes.len());
}

/// Makes a batch of questions for a listed name, each by another socket: so many findings.
fn questions(inlet: &batch::Inlet) -> Batch {
    let mut batch = inlet.borrow(0, Link::Ip, Duration::ZERO).unwrap();
    for n in 0..BURST as u16 {
        let bytes = datagram(20_000 + n, &dns_query("c2.evil.example"));
        let length = u32::try_from(bytes.len()).unwrap();
        let (seconds, nanos) = (1_800_000_000, u32::from(n));
        let frame = ring::Frame { bytes: &bytes, length, seconds, nanos, vlan: None, is_outgoing: false };
        batch.push(&frame, bytes.len());
    }
    batch
}

/// A datagram of 10.77.2.2 to port 53 of 203.0.113.80, without a checksum of its own.
fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut ip = FRAME[..20].to_vec();
    ip[2..4].copy_from_slice(&(length + 28).to_be_bytes());
    // Of the checksum stays what the length does not change.
    let sum = u16::from_be_bytes([FRAME[10], FRAME[11]]) - (length + 28 - FRAME.len() as u16);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = [port, 53, length + 8, 0].map(u16::to_be_bytes).concat();
    [&ip[..], &udp, payload].concat()
}

/// Takes what was handed over: how many findings, and what was lost.
fn taken(seen: &mut mpsc::Receiver<Seen>) -> (usize, Vec<(Untrusted, Cause, u64)>) {
    let (mut found, mut lost) = (0, Vec::new());
    while let Ok(seen) = seen.try_recv() {
        assert!(seen.findings.len() <= MAX_AT_ONCE);
        found += seen.findings.len();
        lost.extend(seen.lost);
    }
    (found, lost)
}

/// Makes a looker, who loads its policy, and who takes what it sees.
fn looker() -> (watch::Sender<Option<Arc<Policy>>>, Looker, mpsc::Receiver<Seen>) {
    let (load, policy) = watch::channel(None);
    let links = Links {
        lists: watch::channel(Arc::new(Network::of(&pack(), Timestamp::now()))).1,
        policy,
        pack: Arc::default(),
        reports: mpsc::channel(1).0,
        meter: Arc::default(),
        records: None,
        packets: None,
        stories: crate::story::Stories::default(),
        home: None,
        shutdown: watch::channel(false).1,
    };
    let (out, seen) = mpsc::channel(QUEUE);
    let config = NetConfig { interfaces: vec!["lo".to_owned()], ..NetConfig::default() };
    let eyes = Eyes::new(&config, Arc::default(), &links);
    let (waiting, held, meter) = (Arc::default(), Seen::default(), links.meter);
    (load, Looker { eyes, waiting, out, held, meter }, seen)
}
