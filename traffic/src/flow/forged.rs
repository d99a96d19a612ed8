//! Segments that a host does not take and that are meant to lead a sensor away from what it does take.

use khien_core::traffic::FlowEnd;

use super::{wire::*, *};
use crate::decode::sample::{Frame as Sample, tcp, tcp_with};

/// Far from the true place, and not too far to be believed.
const FAR: u32 = 4 << 20;

/// Says the mark, has it answered, and tells whether it was found as what the client said.
fn finds(wire: &mut Wire) -> bool {
    wire.say(MARK);
    wire.answer(b"ok");
    wire.wait(QUIET / MILLISECOND);
    let hits = wire.hits();
    hits.len() == 1 && hits[0].direction == khien_core::event::Direction::ToServer
}

#[test]
fn an_opening_that_the_host_ignores_hides_nothing() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.send(true, &tcp_with(SYN, 1000 + FAR, 0, b""));
    assert!(finds(&mut wire), "before the first data");

    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    wire.send(true, &tcp_with(SYN, 1000 + FAR, 0, b""));
    wire.send(false, &tcp_with(SYN | ACK, 5000, 1001, b""));
    wire.next = [1001, 5001];
    assert!(finds(&mut wire), "before the answer, which says what holds");

    let mut wire = Wire::new(ENDS[0]);
    wire.say(b"in the ");
    wire.answer(b"middle");
    wire.send(true, &tcp_with(SYN, 1000 + FAR, 0, b""));
    assert!(finds(&mut wire), "of a connection that was picked up");
    assert_eq!(wire.engine.flows(), 1);
}

#[test]
fn an_answer_by_the_client_is_none() {
    for seq in [1000, 1000 + FAR] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.send(true, &tcp_with(SYN | ACK, seq, 77, b""));

        assert!(finds(&mut wire), "{seq}");
        assert_eq!(wire.engine.flows(), 1);
    }
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    wire.send(true, &tcp_with(SYN | ACK, 1000, 77, b""));
    wire.send(false, &tcp_with(SYN | ACK, 5000, 1001, b""));
    wire.next = [1001, 5001];
    assert!(finds(&mut wire));
    assert_eq!(wire.scanned(false), b"ok", "what the server says is followed, too");
}

#[test]
fn a_new_connection_that_the_other_end_takes_up_is_one() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"the old one");
    wire.send(true, &tcp_with(SYN, 9_000_000, 0, b""));
    wire.send(false, &tcp_with(SYN | ACK, 8_000_000, 9_000_001, b""));
    wire.next = [9_000_001, 8_000_001];

    assert!(finds(&mut wire));
    assert_eq!((wire.told.opened.len(), wire.told.flows().len()), (2, 1));
    assert_eq!(wire.told.opened[1].client, wire.told.opened[0].client);
    assert_eq!(wire.engine.take_counts().conflicts, 0);
}

#[test]
fn what_comes_between_an_opening_and_its_answer_hides_no_new_connection() {
    // A copy of what was said, and what nobody can believe.
    for late in [1001, 1001 + (1 << 30)] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.say(b"the old one");
        wire.send(true, &tcp_with(SYN, 9_000_000, 0, b""));
        wire.send(true, &tcp_with(ACK, late, 5001, b"the old one"));
        wire.send(false, &tcp_with(SYN | ACK, 8_000_000, 9_000_001, b""));
        wire.next = [9_000_001, 8_000_001];

        assert!(finds(&mut wire), "{late}");
        assert_eq!(wire.told.opened.len(), 2);
    }
}

#[test]
fn data_of_an_opening_that_the_server_did_not_take_are_not_the_first_copy() {
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000, 0, &[b'x'; 28]));
    wire.send(false, &tcp_with(SYN | ACK, 5000, 1001, b""));
    wire.next = [1001, 5001];

    assert!(finds(&mut wire));
}

#[test]
fn segments_out_of_any_window_lead_nowhere_while_the_receiver_is_seen() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"hello");
    wire.answer(b"ok");
    let mut far = wire.next[0].wrapping_add(1 << 30);
    let mut bogus = |wire: &mut Wire| {
        wire.send(true, &tcp(far, b"x"));
        far = far.wrapping_add(1);
    };
    (0..5).for_each(|_| bogus(&mut wire));

    for part in MARK.chunks(4) {
        wire.say(part);
        wire.answer(b".");
        bogus(&mut wire);
    }
    wire.wait(QUIET / MILLISECOND);

    assert_eq!(wire.hits().len(), 1);
    let counts = wire.engine.take_counts();
    assert_eq!((counts.refused, counts.missing), (5 + MARK.len().div_ceil(4) as u64, 0));
}

#[test]
fn bytes_before_a_made_up_beginning_are_followed_where_the_receiver_has_its_place() {
    // Without the opening, and with the receiver's answers.
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp(1000 + FAR, b"far"));
    wire.answer(b"go on");
    for part in [b"one".as_slice(), b"two", b"three"] {
        wire.say(part);
        wire.answer(b".");
    }

    assert!(finds(&mut wire));
    assert_eq!(wire.engine.take_counts().jumps, 1, "and that it went elsewhere is counted");
}

#[test]
fn a_reset_that_the_host_refuses_ends_nothing() {
    let (first, second) = MARK.split_at(9);
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(first);
    wire.answer(b"ok");
    wire.send(true, &tcp_with(RST, wire.next[0] + 1, 0, b""));
    wire.wait(10_000);
    wire.say(second);
    wire.close();

    assert_eq!(wire.hits().len(), 1);
    assert_eq!((wire.engine.take_counts().resets_ignored, wire.told.opened.len()), (1, 1));
}

#[test]
fn a_reset_behind_segments_that_were_missed_here_is_believed() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.send(true, &tcp(1_101, b"early"));
    wire.send(true, &tcp_with(RST, 1_106, 0, b""));
    // Something could still be read of it.
    wire.wait(Class::Opening.idle() / MILLISECOND);

    assert_eq!(wire.told.flows()[0].ended, FlowEnd::Reset);
}

fn bytes_scanned(wire: &Wire) -> usize {
    wire.told.jobs.iter().map(|job| job.bytes.len()).sum()
}

#[test]
fn single_bytes_behind_the_end_or_around_resets_cost_little() {
    for is_reset in [false, true] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        (0..40).for_each(|_| wire.say(&[b'.'; 5_000]));
        if !is_reset {
            wire.send(true, &tcp_with(FIN | ACK, wire.next[0], wire.next[1], b""));
        }
        let before = bytes_scanned(&wire);

        for _ in 0..500 {
            wire.say(b"x");
            if is_reset {
                wire.send(true, &tcp_with(RST, wire.next[0], 0, b""));
            }
        }
        wire.wait(QUIET / MILLISECOND);

        let cost = bytes_scanned(&wire) - before;
        assert!(cost < 600_000, "{cost} for 500 bytes, reset: {is_reset}");
    }
}

#[test]
fn segments_of_one_end_alone_push_out_and_hush_nothing_that_talks() {
    let limits = Limits { flows: 200, bytes: 100_000, ..Limits::default() };
    let mut wire = Wire::with(ENDS[0], limits);
    let (first, second) = MARK.split_at(9);
    wire.open();
    wire.say(first);
    wire.answer(b"ok");
    for port in 1024..4024 {
        let lone = Sample::new(&format!("192.0.2.7:{port}"), "192.0.2.2:80").bytes(&tcp(1, b"x"));
        wire.put(&lone);
        let back = Sample::new(&format!("192.0.2.7:{port}"), "192.0.2.2:50000").bytes(&tcp(1, b"x"));
        wire.put(&back);
    }
    wire.say(second);
    wire.close();

    assert_eq!(wire.hits().len(), 1);
    assert_eq!(wire.told.opened.iter().filter(|ends| ends.client.to_string() == ENDS[0].0).count(), 1);
}
