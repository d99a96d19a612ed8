//! What is told as a sign that somebody sends packets past the sensor, and what honest hosts send that must not be.

use super::{wire::*, *};
use crate::{
    decode::sample::{Frame as Sample, piece, pieces, tcp, tcp_with, udp},
    sink::Trick,
};

fn tricks(wire: &Wire) -> Vec<Trick> {
    wire.told.signs.iter().map(|sign| sign.trick).collect()
}

#[test]
fn a_copy_that_contradicts_is_a_sign_that_names_its_flow() {
    for ends in ENDS {
        let mut wire = Wire::new(ends);
        wire.open();
        wire.say(b"GET /kit HTTP/1.1\r\n");
        wire.send(true, &tcp(1001, b"GET /cat HTTP/1.1\r\n"));

        assert_eq!(tricks(&wire), [Trick::Copy]);
        let sign = &wire.told.signs[0];
        let flow = sign.flow.as_ref().unwrap();
        assert_eq!(
            (flow.client.to_string(), flow.server.to_string()),
            (ends.0.to_owned(), ends.1.to_owned())
        );
        assert_eq!((sign.client, sign.server, sign.at), (flow.client.ip(), flow.server.ip(), wire.at()));
    }
}

#[test]
fn a_reset_ahead_of_its_place_is_a_sign_and_one_that_fits_or_answers_what_was_on_its_way_is_none() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"hello");
    wire.send(true, &tcp_with(RST, 1007, 0, b""));
    assert_eq!(tricks(&wire), [Trick::Reset]);

    for seq in [1006, 1001, 1001] {
        wire.send(true, &tcp_with(RST, seq, 0, b""));
    }
    assert_eq!(tricks(&wire).len(), 1);
    assert_eq!(wire.engine.take_counts().resets_ignored, 3, "they are counted either way");
}

#[test]
fn what_is_inside_of_a_tunnel_is_no_sign_for_anybody_can_make_it_up() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    let inner = wire.frame(true, &tcp_with(RST, 9_000, 0, b""));
    let open = wire.frame(true, &tcp_with(SYN, 1_000, 0, b""));
    for frame in [open, inner] {
        let vxlan = [b"\x08\0\0\0\0\0\x01\0".as_slice(), &frame].concat();
        wire.put(&Sample::new("198.51.100.9:4789", "192.0.2.200:4789").bytes(&udp(&vxlan)));
    }
    assert_eq!(wire.engine.take_counts().resets_ignored, 1);
    assert_eq!(tricks(&wire), [], "of a stranger's making");
}

#[test]
fn pieces_that_contradict_are_a_sign_between_hosts_and_those_that_only_overlap_are_none() {
    for (first, count) in [(b'#', 1), (MARK[0], 0)] {
        let mut wire = Wire::with(ENDS[0], Limits { checksums: Checksums::Ignore, ..Limits::default() });
        wire.open();
        let whole = wire.frame(true, &tcp_with(ACK, 1001, 1, MARK));
        let (header, body) = whole.split_at(34);
        let mut again = body[16..].to_vec();
        again[4] = first;
        wire.put(&piece(header, 0, &body[..32], true));
        wire.put(&piece(header, 16, &again, false));

        assert_eq!(tricks(&wire), vec![Trick::Piece; count]);
        assert_eq!(wire.engine.take_counts().pieces_overlap, 1, "it is counted either way");
        let between = wire.told.signs.iter().all(|s| s.client.to_string() == "192.0.2.1" && s.flow.is_none());
        assert!(between, "{:?}", wire.told.signs);
    }
}

#[test]
fn what_honest_hosts_send_again_is_no_sign() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    // Lost and sent again, in other cuts, twice, late, as one large segment, with a checksum that is left to the card.
    wire.say(b"first ");
    wire.send(true, &tcp(1013, b"third "));
    wire.send(true, &tcp(1013, b"third "));
    wire.send(true, &tcp(1007, b"second"));
    wire.send(true, &tcp(1001, b"first secondthird "));
    wire.send(true, &tcp(1004, b"st sec"));
    let mut unfinished = wire.frame(true, &tcp(1019, b"fourth"));
    unfinished[50..52].fill(0);
    wire.put(&unfinished);
    wire.put(&unfinished);
    // Are you there? Once as most ask, and once with a byte, as Windows does.
    wire.send(true, &tcp(1024, b""));
    wire.send(true, &tcp(1024, b"\0"));
    wire.send(true, &tcp(1024, b"\0"));
    // A packet in pieces, each twice.
    let whole = wire.frame(true, &tcp(1025, b"fifth, and in pieces"));
    for piece in pieces(&whole, 16) {
        wire.put(&piece);
        wire.put(&piece);
    }
    wire.next[0] = 1045;
    wire.close();
    wire.send(true, &tcp_with(RST, 1046, 0, b""));
    wire.finish();

    let counts = wire.engine.take_counts();
    assert_eq!((tricks(&wire), counts.conflicts, counts.resets_ignored), (Vec::new(), 0, 0));
    assert_eq!(wire.scanned(true), b"first secondthird fourthfifth, and in pieces");
}

#[test]
fn what_only_looks_like_a_question_if_the_other_is_there_is_a_sign() {
    for (seq, bytes) in [(1005, &b"!"[..]), (1001, b"\0"), (1004, b"\0\0")] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.say(b"hello");
        wire.send(true, &tcp(seq, bytes));

        assert_eq!(tricks(&wire), [Trick::Copy], "{seq} {bytes:?}");
    }
}
