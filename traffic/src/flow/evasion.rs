//! Ways to make a sensor see something else than the host, one test each. What is not seen is counted, at least.

use khien_core::traffic::FlowEnd;

use super::{wire::*, *};
use crate::decode::sample::{Frame as Sample, piece, pieces, tcp, tcp_with, udp};

const DECOY: &[u8] = b"nothing to see here, really no";

fn scanned(wire: &mut Wire) -> Vec<u8> {
    wire.finish();
    wire.scanned(true)
}

#[test]
fn a_match_in_pieces_of_a_packet_is_found_in_any_order() {
    for size in [8, 16, 24] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        let whole = wire.frame(true, &tcp_with(ACK, 1001, 1, MARK));
        // The first piece of 8 bytes holds the ports and no more: a tiny first fragment.
        for piece in pieces(&whole, size).iter().rev() {
            wire.put(piece);
        }

        assert_eq!(scanned(&mut wire), MARK, "{size}");
        assert_eq!(wire.told.flows()[0].to_server.packets, 1 + pieces(&whole, size).len() as u64);
        assert_eq!(wire.engine.take_counts().pieces_lost, 0);
    }
}

#[test]
fn overlapping_pieces_of_ipv4_give_the_first_copy_and_are_counted() {
    let mut wire = Wire::with(ENDS[0], Limits { checksums: Checksums::Ignore, ..Limits::default() });
    wire.open();
    let whole = wire.frame(true, &tcp_with(ACK, 1001, 1, MARK));
    let (header, body) = whole.split_at(34);

    wire.put(&piece(header, 0, &body[..32], true));
    let mut evil = body[24..].to_vec();
    evil[..8].fill(b'#');
    wire.put(&piece(header, 24, &evil, false));

    assert_eq!(scanned(&mut wire), MARK);
    assert_eq!(wire.engine.take_counts().pieces_overlap, 1);
}

#[test]
fn overlapping_pieces_of_ipv6_discard_the_packet_and_are_counted() {
    let mut wire = Wire::new(ENDS[1]);
    wire.open();
    let fragment = |place: u16, from: usize, to: usize| {
        let [high, low] = place.to_be_bytes();
        let frame = Sample::new(ENDS[1].0, ENDS[1].1).extension(44, &[high, low, 0, 0, 0, 9]);
        let whole = frame.bytes(&tcp_with(ACK, 1001, 1, MARK));
        let mut out = [&whole[..62], &whole[62 + from..62 + to]].concat();
        out[18..20].copy_from_slice(&u16::try_from(8 + to - from).unwrap().to_be_bytes());
        out
    };
    let end = 20 + MARK.len();

    wire.put(&fragment(1, 0, 32));
    wire.put(&fragment(16 | 1, 16, 40));
    wire.put(&fragment(32, 32, end));
    assert_eq!(wire.engine.take_counts().pieces_overlap, 1);
    assert_eq!(scanned(&mut wire), b"");

    // Without the overlap, the same pieces give the packet.
    let mut wire = Wire::new(ENDS[1]);
    wire.open();
    wire.put(&fragment(1, 0, 32));
    wire.put(&fragment(32, 32, end));
    assert_eq!(scanned(&mut wire), MARK);
}

#[test]
fn a_packet_longer_than_any_packet_is_discarded() {
    let mut wire = Wire::new(ENDS[0]);
    let whole = wire.frame(true, &udp(&[b'x'; 1400]));
    let (header, body) = whole.split_at(34);

    wire.put(&piece(header, 0, &body[..8], true));
    wire.put(&piece(header, 65_528, &body[..1400], false));

    let counts = wire.engine.take_counts();
    assert_eq!((counts.malformed, counts.flows), (1, 0));
}

#[test]
fn a_packet_whose_pieces_never_come_is_counted_as_lost() {
    let mut wire = Wire::new(ENDS[0]);
    let whole = wire.frame(true, &udp(&[b'x'; 100]));

    wire.put(&pieces(&whole, 64)[0]);
    wire.wait(31_000);

    assert_eq!(wire.engine.take_counts().pieces_lost, 1);
}

#[test]
fn of_overlapping_segments_the_first_copy_wins_and_the_other_is_counted() {
    for first in [DECOY, MARK] {
        let second = if first == MARK { DECOY } else { MARK };
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.send(true, &tcp(1001, first));
        wire.send(true, &tcp(1001, second));

        assert_eq!(scanned(&mut wire), first);
        assert_eq!(wire.engine.take_counts().conflicts, 1);
    }
}

#[test]
fn overlapping_early_segments_are_counted_too() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.send(true, &tcp(1011, DECOY));
    wire.send(true, &tcp(1011, MARK));
    wire.send(true, &tcp(1001, b"0123456789"));

    assert_eq!(scanned(&mut wire), [b"0123456789", DECOY].concat());
    assert_eq!(wire.engine.take_counts().conflicts, 1);
}

#[test]
fn a_copy_that_says_the_same_is_no_conflict() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(&MARK[..10]);
    wire.say(&MARK[10..]);
    wire.send(true, &tcp(1001, MARK));
    wire.send(true, &tcp(1001, &MARK[..10]));

    assert_eq!(scanned(&mut wire), MARK);
    assert_eq!(wire.engine.take_counts().conflicts, 0);
}

#[test]
fn a_match_in_segments_of_one_byte_is_found() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    MARK.chunks(1).for_each(|byte| wire.say(byte));
    wire.wait(QUIET / MILLISECOND);

    assert_eq!(wire.hits().len(), 1);
}

#[test]
fn a_chain_of_extension_headers_is_passed_and_an_endless_one_is_malformed() {
    for (count, flows) in [(1, 1), (7, 1), (8, 0), (60, 0)] {
        let mut wire = Wire::new(ENDS[1]);
        let mut frame = Sample::new(ENDS[1].0, ENDS[1].1);
        for _ in 0..count {
            frame = frame.extension(60, &[0; 6]);
        }

        wire.put(&frame.bytes(&tcp_with(SYN, 1, 0, b"")));

        let counts = wire.engine.take_counts();
        assert_eq!((counts.flows, counts.malformed), (flows, 1 - flows), "{count}");
    }
}

#[test]
fn a_segment_that_the_host_drops_for_its_checksum_hides_nothing() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    let mut decoy = wire.frame(true, &tcp(1001, DECOY));
    let last = decoy.len() - 1;
    decoy[last] ^= 0xff;

    wire.put(&decoy);
    wire.send(true, &tcp(1001, MARK));

    assert_eq!(scanned(&mut wire), MARK);
    assert_eq!(wire.engine.take_counts().wrong_checksums, 1);
}

#[test]
fn a_packet_that_routers_drop_for_its_header_checksum_hides_nothing() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    let mut decoy = wire.frame(true, &tcp(1001, DECOY));
    decoy[24] ^= 0xff;

    wire.put(&decoy);
    wire.say(MARK);

    assert_eq!(scanned(&mut wire), MARK);
    assert_eq!(wire.engine.take_counts().wrong_checksums, 1);
}

#[test]
fn what_a_card_is_to_finish_is_followed_unless_the_sensor_is_strict() {
    for (checksums, text, counted) in [
        (Checksums::Judge, MARK, (1, 0)),
        (Checksums::Strict, b"", (0, 1)),
        (Checksums::Ignore, MARK, (0, 0)),
    ] {
        let mut wire = Wire::with(ENDS[0], Limits { checksums, ..Limits::default() });
        wire.open();
        let mut unfinished = wire.frame(true, &tcp(1001, MARK));
        unfinished[50..52].fill(0);

        wire.put(&unfinished);

        let counts = wire.engine.take_counts();
        assert_eq!(scanned(&mut wire), text, "{checksums:?}");
        assert_eq!((counts.unfinished_checksums, counts.wrong_checksums), counted, "{checksums:?}");
    }
}

#[test]
fn a_decoy_that_does_not_reach_the_host_is_taken_but_counted_twice() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.hops = 3;
    wire.send(true, &tcp(1001, DECOY));
    wire.hops = 64;
    wire.send(true, &tcp(1001, MARK));

    // Who stands before the host cannot know which copy it got.
    assert_eq!(scanned(&mut wire), DECOY);
    let counts = wire.engine.take_counts();
    assert_eq!((counts.hops_changed, counts.conflicts), (1, 1));
}

#[test]
fn a_match_in_the_data_of_a_syn_is_found() {
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000, 0, MARK));
    wire.wait(QUIET / MILLISECOND);

    assert_eq!(wire.hits().len(), 1);

    // A server that does not take it lets it be sent again.
    wire.send(false, &tcp_with(SYN | ACK, 5000, 1001, b""));
    wire.send(true, &tcp(1001, MARK));
    assert_eq!(scanned(&mut wire), MARK);
    assert_eq!(wire.engine.take_counts().conflicts, 0);
}

#[test]
fn a_forged_reset_or_syn_does_not_hide_what_follows() {
    // Out of the window, and right on the next byte.
    for (seq, ignored) in [(1000, 1), (1001 + 26, 0)] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.say(b"hello, this is no request ");
        wire.send(true, &tcp_with(RST, seq, 0, b""));
        if ignored == 1 {
            // Behind a reset that was believed, it would be another connection.
            wire.send(true, &tcp_with(SYN, 77, 0, b""));
        }
        wire.wait(4000);
        wire.say(MARK);
        wire.wait(QUIET / MILLISECOND);
        assert_eq!(wire.hits().len(), 1);

        wire.close();
        wire.finish();
        assert_eq!(wire.told.flows()[0].ended, FlowEnd::Closed);
        assert_eq!(wire.engine.take_counts().resets_ignored, ignored);
    }
}

#[test]
fn a_reset_that_was_believed_is_forgotten_when_the_flow_goes_on() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"hello");
    wire.send(true, &tcp_with(RST, 1006, 0, b""));
    wire.say(b"still here");
    wire.wait(10_000);
    assert_eq!(wire.engine.flows(), 1);

    wire.finish();
    assert_eq!(wire.told.flows()[0].ended, FlowEnd::CaptureEnd);
}

#[test]
fn a_stream_whose_numbers_wrap_is_followed() {
    let mut wire = Wire::new(ENDS[0]);
    wire.next = [u32::MAX - 9, u32::MAX];
    wire.open();
    wire.say(&MARK[..20]);
    wire.say(&MARK[20..]);
    wire.answer(b"ok");

    assert_eq!(scanned(&mut wire), MARK);
    assert_eq!(wire.scanned(false), b"ok");
}

#[test]
fn a_stream_that_is_picked_up_in_its_middle_and_has_holes_is_scanned() {
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp(70_000, b"the middle"));
    wire.send(true, &tcp(80_000, MARK));
    wire.finish();

    assert_eq!(wire.hits().len(), 1);
    assert_eq!(wire.engine.take_counts().missing, 80_000 - 70_010);
}

#[test]
fn segments_that_overtake_each_other_in_a_flow_that_is_only_counted_are_not_missing() {
    let mut wire = Wire::with(ENDS[0], Limits { scan: false, files: false, ..Limits::default() });
    wire.open();
    wire.say(b"SSH-2.0-OpenSSH_9.2\r\n");
    wire.answer(b"SSH-2.0-OpenSSH_9.2\r\n");
    let [at, _] = wire.next;
    wire.send(true, &tcp(at + 100, &[b'x'; 100]));
    wire.send(true, &tcp(at, &[b'x'; 100]));
    assert_eq!(wire.engine.take_counts().missing, 0);

    wire.send(true, &tcp(at + 300, &[b'x'; 100]));
    wire.finish();
    assert_eq!(wire.told.flows()[0].to_server.missing, 100);
    assert_eq!(wire.engine.take_counts().missing, 100);
}

#[test]
fn datagrams_of_ever_new_ports_do_not_push_out_a_quiet_connection() {
    let mut wire = Wire::with(ENDS[0], Limits { flows: 100, ..Limits::default() });
    let (first, second) = MARK.split_at(9);
    wire.open();
    wire.say(first);
    for port in 1024..3024 {
        let datagram = Sample::new(&format!("192.0.2.7:{port}"), "192.0.2.2:9999").bytes(&udp(b"x"));
        wire.put(&datagram);
    }
    wire.say(second);
    wire.close();

    assert_eq!(wire.hits().len(), 1);
}

#[test]
fn a_flow_that_holds_much_does_not_hush_others_that_hold_little() {
    let mut wire = Wire::with(ENDS[0], Limits { bytes: 100_000, ..Limits::default() });
    let (first, second) = MARK.split_at(9);
    wire.open();
    wire.say(first);
    for n in 0..100 {
        let segment = tcp(1 + n * 1400, &[b'x'; 1400]);
        wire.put(&Sample::new("192.0.2.7:50000", "192.0.2.2:7000").bytes(&segment));
    }
    wire.say(second);
    wire.close();

    assert!(wire.engine.take_counts().hushed > 0);
    assert_eq!(wire.hits().len(), 1);
}

#[test]
fn what_is_over_makes_room_without_being_missed() {
    let mut wire = Wire::with(ENDS[0], Limits { flows: 1, ..Limits::default() });
    wire.open();
    wire.close();
    wire.put(&Sample::new("192.0.2.7:1024", "192.0.2.2:9999").bytes(&udp(b"x")));

    assert_eq!((wire.engine.take_counts().evicted, wire.engine.flows()), (0, 1));
}

#[test]
fn what_only_looks_like_a_tunnel_is_a_flow() {
    let mut wire = Wire::new(("192.0.2.1:40000", "203.0.113.7:4789"));
    wire.send(true, &udp(b"\x08\0\0\0\0\0\x01\0stolen goods that are no frame"));
    wire.finish();

    assert_eq!(wire.told.opened[0].server.to_string(), "203.0.113.7:4789");
    assert_eq!(wire.told.flows()[0].to_server.payload, 38);
}

#[test]
fn bytes_before_the_syn_do_not_turn_client_and_server() {
    let mut wire = Wire::new(("192.0.2.1:500", "198.51.100.2:7000"));
    wire.hops = 1;
    wire.send(true, &tcp(77_000_000, b"never gets there"));
    wire.hops = 64;
    wire.open();
    wire.say(MARK);
    wire.close();

    let ends = wire.told.opened.last().unwrap();
    assert_eq!((ends.client.port(), ends.saw_syn), (500, true));
    assert_eq!(wire.hits()[0].direction, khien_core::event::Direction::ToServer);
}
