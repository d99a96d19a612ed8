//! What the engine holds, when it forgets, and what comes of clocks.

use super::*;
use crate::flow::sweep::{FEW, MANY};

#[test]
fn the_table_stays_within_its_limits_and_scans_what_it_forgets() {
    let limits = Limits { flows: 10, bytes: 40_000, ..Limits::default() };
    let mut wire = Wire::with(ENDS[0], limits);
    for port in 1024..2024 {
        let frame = Sample::new(&format!("192.0.2.1:{port}"), "192.0.2.2:7000").bytes(&tcp(1, &[b'x'; 3000]));
        wire.put(&frame);
        assert!(wire.engine.flows() <= limits.flows && wire.engine.held() <= limits.bytes);
    }
    wire.finish();

    let counts = wire.engine.take_counts();
    assert_eq!((counts.flows, counts.evicted), (1000, 990));
    assert_eq!((wire.told.jobs.len(), wire.told.flows().len()), (1000, 1000));
    assert_eq!((wire.engine.flows(), wire.engine.held()), (0, 0));
}

#[test]
fn content_is_given_up_before_flows_are() {
    let mut wire = Wire::with(ENDS[0], Limits { bytes: 10_000, ..Limits::default() });
    for port in 1024..1124 {
        let frame = Sample::new(&format!("192.0.2.1:{port}"), "192.0.2.2:7000").bytes(&tcp(1, &[b'x'; 3000]));
        wire.put(&frame);
        assert!(wire.engine.held() <= 10_000);
    }

    let counts = wire.engine.take_counts();
    assert!(counts.hushed > 90 && counts.evicted == 0, "{counts:?}");
    assert_eq!(wire.engine.flows(), 100);
}

#[test]
fn a_flood_of_openings_does_not_push_out_what_talks() {
    let mut wire = Wire::with(ENDS[0], Limits { flows: 100, ..Limits::default() });
    wire.open();
    wire.say(b"here");
    for port in 1024..3024 {
        let syn = Sample::new(&format!("192.0.2.7:{port}"), "192.0.2.2:80").bytes(&tcp_with(SYN, 1, 0, b""));
        wire.put(&syn);
    }
    wire.say(MARK);
    wire.wait(QUIET / MILLISECOND);

    assert_eq!(wire.hits().len(), 1);
    let flows = wire.told.flows();
    assert!(flows.iter().all(|f| f.ended == FlowEnd::Evicted && !f.answered));
}

#[test]
fn quiet_flows_are_forgotten() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"x");

    wire.wait(Class::Open.idle() / MILLISECOND);

    assert_eq!(wire.engine.flows(), 0);
    assert_eq!(wire.engine.next_wait(), None);
}

#[test]
fn time_that_goes_back_ends_nothing_early() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.wait(-50_000);
    wire.say(b"x");
    wire.wait(40_000);

    assert_eq!(wire.engine.flows(), 1);
}

#[test]
fn what_begins_anew_tells_of_no_flow_of_before_and_takes_none_for_one_of_them() {
    for ends in ENDS {
        let mut wire = Wire::new(ends);
        wire.open();
        wire.say(b"half of some");

        wire.engine.begin_anew();
        assert_eq!((wire.engine.flows(), wire.engine.held(), wire.told.flows().len()), (0, 0, 0));
        wire.open();

        let numbers: Vec<_> = wire.told.opened.iter().map(|ends| ends.flow).collect();
        assert_eq!(numbers.len(), 2);
        assert_ne!(numbers[0], numbers[1]);
        assert_eq!(wire.told.opened[1].interface, Untrusted::from("eth0"));
        assert_eq!(wire.engine.flows(), 1);
    }
}

#[test]
fn after_a_clock_that_was_set_back_flows_end_in_their_time() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.wait(-7 * 3_600_000);
    let now = wire.at();

    wire.engine.set_back(now, &mut wire.told);
    wire.open();
    assert_eq!(wire.engine.flows(), 1);
    wire.wait(Class::Open.idle() / MILLISECOND);

    assert_eq!(wire.engine.flows(), 0);
    assert_eq!(
        wire.told.flows().iter().map(|flow| flow.ended).collect::<Vec<_>>(),
        [FlowEnd::CaptureEnd, FlowEnd::Idle]
    );
}

/// A datagram from each of so many ports, at once.
fn many_flows(wire: &mut Wire, many: u16) {
    for port in 1024..1024 + many {
        let frame = Sample::new(&format!("192.0.2.7:{port}"), "192.0.2.2:9999").bytes(&udp(b"x"));
        wire.put(&frame);
    }
}

#[test]
fn many_flows_that_end_together_are_told_few_at_a_time_and_all_of_them() {
    let mut wire = Wire::new(ENDS[0]);
    many_flows(&mut wire, 3_000);

    wire.wait(Class::Datagram.idle() / MILLISECOND);
    assert_eq!(wire.told.flows().len(), MANY, "at one time");
    assert!(wire.engine.next_wait().unwrap() <= wire.at(), "more is due");
    for frame in 1..=3 {
        wire.send(true, &tcp(1, b"x"));
        assert_eq!(wire.told.flows().len(), MANY + FEW * frame, "between two frames");
    }
    wire.wait(0);
    wire.wait(0);

    assert_eq!((wire.told.flows().len(), wire.engine.flows()), (3_000, 1));
    assert!(wire.engine.next_wait().unwrap() > wire.at());
}

#[test]
fn at_the_end_all_are_told_few_at_a_time() {
    let mut wire = Wire::new(ENDS[0]);
    many_flows(&mut wire, 2_500);

    let told: Vec<_> = std::iter::from_fn(|| {
        let is_over = wire.engine.finish_some(&mut wire.told);
        Some((wire.told.flows().len(), is_over))
    })
    .take(3)
    .collect();

    assert_eq!(told, [(MANY, false), (2 * MANY, false), (2_500, true)]);
    assert!(wire.engine.finish_some(&mut wire.told) && wire.engine.next_wait().is_none());
}
