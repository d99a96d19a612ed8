//! Ways to lead the reader of a stream astray: openings, ends, resets and numbers that a host passes over. One test each; what
//! stands behind the trick is scanned, or counted.

use khien_core::{
    event::{Application, Direction},
    traffic::FlowEnd,
};

use super::{wire::*, *};
use crate::decode::sample::{Frame as Sample, client_hello, tcp, tcp_urgent, tcp_with};

const FAR: u32 = 4 << 20;
const WEB: (&str, &str) = ("192.0.2.1:40000", "198.51.100.2:80");
const MAIL: (&str, &str) = ("192.0.2.1:40000", "198.51.100.2:25");
const URG_BYTE: u8 = b'X';

fn bytes_scanned(wire: &Wire) -> usize {
    wire.told.jobs.iter().map(|job| job.bytes.len()).sum()
}

/// What the client says is found in one flow, in its direction.
fn is_found(wire: &mut Wire) {
    wire.wait(QUIET / MILLISECOND);
    wire.finish();
    let hits = wire.hits();
    assert_eq!(hits.len(), 1);
    assert_eq!((hits[0].direction, hits[0].client.port()), (Direction::ToServer, 40_000));
    assert_eq!(wire.told.flows().len(), 1);
}

#[test]
fn a_syn_that_the_host_passes_over_moves_no_stream() {
    for flags in [SYN, SYN | ACK] {
        // Before the first data, and amid it.
        for said in [&b""[..], b"hello "] {
            let mut wire = Wire::new(ENDS[0]);
            wire.open();
            wire.say(said);
            wire.send(true, &tcp_with(flags, 1000 + FAR, 77, b"not taken"));
            wire.say(MARK);

            assert_eq!(wire.engine.take_counts().refused, 1);
            is_found(&mut wire);
        }
    }
}

#[test]
fn of_two_openings_the_answer_tells_which_holds() {
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    wire.send(true, &tcp_with(SYN, 1000 + FAR, 0, b""));
    wire.send(false, &tcp_with(SYN | ACK, 5000, 1001, b""));
    wire.next = [1001, 5001];
    wire.say(MARK);
    wire.close();

    assert_eq!(wire.scanned(true), MARK);
    let counts = wire.engine.take_counts();
    assert_eq!((counts.missing, counts.refused, counts.jumps), (0, 0, 0));
}

#[test]
fn an_opening_whose_answer_was_not_seen_gives_way_to_what_is_said() {
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000 + FAR, 0, b""));
    wire.next = [1001, 5001];
    wire.say(&MARK[..9]);
    wire.say(&MARK[9..]);

    assert_eq!(wire.engine.take_counts().jumps, 1);
    is_found(&mut wire);
}

#[test]
fn a_refused_reset_and_a_syn_behind_it_begin_nothing() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"hello ");
    wire.send(true, &tcp_with(RST, wire.next[0] + 1, 0, b""));
    wire.send(true, &tcp_with(SYN, 1000 + FAR, 0, b""));
    wire.say(MARK);

    assert_eq!(wire.engine.take_counts().resets_ignored, 1);
    is_found(&mut wire);
}

#[test]
fn the_answer_to_a_syn_amid_a_connection_begins_another() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"the first, whose end was not seen");
    wire.next = [900_000_000, 70];
    wire.open();
    wire.say(MARK);
    wire.close();
    wire.finish();

    assert_eq!((wire.hits().len(), wire.told.flows().len()), (1, 2));
    assert_eq!(wire.told.flows()[1].to_server.payload, MARK.len() as u64);
}

#[test]
fn segments_out_of_any_window_do_not_drive_a_stream_away() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    let mut far = wire.next[0] + (1 << 30);
    let mut stray = |wire: &mut Wire, count: u32| {
        for _ in 0..count {
            wire.send(true, &tcp(far, b"x"));
            far += 1;
        }
    };
    stray(&mut wire, 3);
    for part in MARK.chunks(4) {
        wire.say(&part[..part.len() / 2]);
        wire.say(&part[part.len() / 2..]);
        stray(&mut wire, 1);
    }

    let counts = wire.engine.take_counts();
    assert_eq!((counts.jumps, counts.missing), (0, 0));
    assert_eq!(counts.refused, 3 + MARK.chunks(4).count() as u64);
    is_found(&mut wire);
}

#[test]
fn a_stream_of_which_much_was_not_seen_goes_on_where_the_other_side_is() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"hello ");
    wire.next[0] += 100 << 20;
    wire.answer(b"got it");
    wire.say(&MARK[..9]);
    wire.say(&MARK[9..]);

    let counts = wire.engine.take_counts();
    assert_eq!((counts.jumps, counts.missing, counts.refused), (1, 100 << 20, 0));
    is_found(&mut wire);
}

#[test]
fn what_one_side_calls_itself_hides_nothing() {
    let rdp = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0";
    for opening in [&b"SSH-2.0-x\r\n"[..], rdp] {
        for server in [&b""[..], b"-ERR unknown command\r\n"] {
            let mut wire = Wire::new(ENDS[0]);
            wire.open();
            wire.say(opening);
            if !server.is_empty() {
                wire.answer(server);
            }
            wire.say(MARK);
            is_found(&mut wire);
        }
    }

    let mut wire = Wire::new(WEB);
    wire.open();
    wire.say(b"SSH-GET /shell.php HTTP/1.1\r\n");
    wire.say(b"Host: web.example\r\nContent-Length: 400\r\n\r\n");
    wire.say(MARK);
    assert_eq!(wire.names(), [("web.example".to_owned(), Application::Http)]);
    is_found(&mut wire);

    let mut wire = Wire::new(MAIL);
    wire.open();
    wire.say(b"SSH-x\r\n");
    wire.answer(b"220 mail.example ESMTP\r\n");
    wire.finish();
    assert_eq!(wire.told.flows()[0].application, Application::Smtp);
}

#[test]
fn rubbish_before_the_first_word_hides_no_application() {
    let mut wire = Wire::new(WEB);
    wire.open();
    let request = format!("\r\nGET /evil HTTP/1.1\r\nHost: web.example\r\nX: {}\r\n\r\n", "a".repeat(300));
    wire.say(request.as_bytes());
    assert_eq!(wire.names(), [("web.example".to_owned(), Application::Http)]);

    let mut wire = Wire::new(WEB);
    wire.open();
    wire.say(format!("XGET /?{}", "a".repeat(300)).as_bytes());
    wire.say(b" HTTP/1.1\r\nHost: web.example\r\n\r\n");
    assert_eq!(wire.names(), [("web.example".to_owned(), Application::Http)]);

    // The server's word counts, also behind more than is kept.
    for (rubbish, ends, word, application) in [
        (vec![b'#'; 300], MAIL, &b"220 mail.example ESMTP\r\n"[..], Application::Smtp),
        (vec![b'#'; 9000], MAIL, b"220 mail.example ESMTP\r\n", Application::Smtp),
        (client_hello("decoy.example"), MAIL, b"220 mail.example ESMTP\r\n", Application::Smtp),
        (b"\xff\xfd\x18\xff\xfd\x20".to_vec(), MAIL, b"220 mail.example ESMTP\r\n", Application::Smtp),
        (vec![b'#'; 9000], WEB, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Application::Http),
    ] {
        let mut wire = Wire::new(ends);
        wire.open();
        for part in rubbish.chunks(1400) {
            wire.say(part);
        }
        wire.answer(word);
        wire.finish();
        assert_eq!(wire.told.flows()[0].application, application, "{}", rubbish.len());
    }
}

#[test]
fn what_costs_a_byte_to_send_costs_little_to_scan() {
    let long = vec![b'.'; 255 << 10];
    for trick in [FIN, RST, 0] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        long.chunks(1400).for_each(|part| wire.say(part));
        if trick == FIN {
            wire.send(true, &tcp_with(FIN | ACK, wire.next[0], wire.next[1], b""));
        }
        let before = bytes_scanned(&wire);
        for _ in 0..200 {
            wire.say(b"x");
            if trick == RST {
                wire.send(true, &tcp_with(RST, wire.next[0], 0, b""));
            } else if trick == 0 {
                wire.send(true, &tcp_with(FIN | ACK, wire.next[0], wire.next[1], b""));
            }
        }
        wire.finish();
        let scanned = bytes_scanned(&wire) - before;
        assert!(scanned <= 2 * MAX_SCANNED, "{trick}: {scanned}");
    }
}

/// A window, twice: it is scanned as a whole at its end.
const MAX_SCANNED: usize = 512 << 10;

#[test]
fn many_requests_while_an_answer_streams_cost_little_to_scan() {
    let mut wire = Wire::new(WEB);
    wire.open();
    wire.say(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    vec![b'.'; 255 << 10].chunks(1400).for_each(|part| wire.answer(part));
    let before = bytes_scanned(&wire);
    for _ in 0..60 {
        wire.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wire.answer(b"x");
    }
    wire.answer(&MARK[..9]);
    wire.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.answer(&MARK[9..]);
    wire.finish();

    let scanned = bytes_scanned(&wire) - before;
    assert!(scanned <= 2 * MAX_SCANNED, "{scanned}");
    assert_eq!(wire.hits()[0].url.as_ref().unwrap().to_string(), "http://a/first");
}

#[test]
fn who_is_only_sent_to_asks_for_nothing() {
    let mut wire = Wire::new(("192.0.2.7:50000", "203.0.113.9:443"));
    wire.send(false, &tcp(7, b"from outside"));
    wire.send(true, &tcp_with(RST, 1, 0, b""));
    assert_eq!((wire.told.opened.len(), wire.told.asked.len()), (1, 0));

    wire.send(true, &tcp(1, b"spoke after all"));
    wire.send(true, &tcp(16, b"and again"));
    assert_eq!(wire.told.asked.len(), 1);
    assert_eq!(wire.told.asked[0].client.port(), 50_000);

    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    assert_eq!(wire.told.asked.len(), 1, "a SYN asks");
}

#[test]
fn lone_segments_of_ever_new_ports_neither_push_out_nor_hush_a_connection() {
    for limits in [Limits { flows: 100, ..Limits::default() }, Limits { bytes: 60_000, ..Limits::default() }]
    {
        let mut wire = Wire::with(ENDS[0], limits);
        let (first, second) = MARK.split_at(9);
        wire.open();
        wire.say(first);
        wire.answer(b"ok");
        for port in 1024..3024 {
            wire.put(&Sample::new(&format!("192.0.2.7:{port}"), "192.0.2.2:7000").bytes(&tcp(1, b"x")));
        }
        wire.say(second);

        wire.wait(QUIET / MILLISECOND);
        assert_eq!(wire.hits().len(), 1);
    }
}

#[test]
fn a_reset_that_the_host_refuses_splits_nothing() {
    for (ahead, ignored) in [(1, 1), (0, 0)] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.say(&MARK[..9]);
        wire.send(true, &tcp_with(RST, wire.next[0] + ahead, 0, b""));
        wire.wait(10_000);
        wire.say(&MARK[9..]);

        assert_eq!(wire.engine.take_counts().resets_ignored, ignored);
        is_found(&mut wire);
    }
}

#[test]
fn a_connection_that_a_reset_ended_is_missed_if_it_makes_room() {
    let mut wire = Wire::with(ENDS[0], Limits { flows: 1, ..Limits::default() });
    wire.open();
    wire.say(&MARK[..9]);
    wire.send(true, &tcp_with(RST, wire.next[0], 0, b""));
    wire.put(&Sample::new("192.0.2.7:1024", "192.0.2.2:9999").bytes(&tcp(1, b"x")));

    assert_eq!(wire.engine.take_counts().evicted, 1);
    assert_eq!(wire.told.flows()[0].ended, FlowEnd::Reset);
}

#[test]
fn what_was_not_scanned_yet_is_when_the_other_end_says_what_it_is() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    for _ in 0..20 {
        wire.say(&[b'x'; 1024]);
    }
    wire.say(MARK);
    wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

    is_found(&mut wire);
}

#[test]
fn an_urgent_pointer_of_a_copy_takes_nothing_out() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"x");
    wire.send(true, &tcp_urgent(1001, 5, b"x"));
    wire.say(MARK);

    is_found(&mut wire);
}

#[test]
fn an_end_that_the_host_passes_over_ends_nothing() {
    // Without ACK; and with it, but never acknowledged.
    for flags in [FIN, FIN | ACK] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        wire.say(&MARK[..9]);
        wire.send(true, &tcp_with(flags, wire.next[0], wire.next[1], b""));
        wire.send(false, &tcp_with(FIN | ACK, wire.next[1], wire.next[0], b""));
        wire.say(&MARK[9..]);
        wire.say(MARK);

        assert_eq!(wire.engine.take_counts().refused, 1);
        is_found(&mut wire);
    }
}

#[test]
fn bytes_behind_an_end_that_was_acknowledged_are_refused() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.say(b"hello");
    wire.send(true, &tcp_with(FIN | ACK, wire.next[0], wire.next[1], b""));
    wire.next[0] += 1;
    wire.answer(b"bye");
    wire.say(MARK);
    wire.finish();

    assert_eq!(wire.engine.take_counts().refused, 1);
    assert_eq!((wire.hits().len(), wire.scanned(true)), (0, b"hello".to_vec()));
}

#[test]
fn data_without_ack_is_refused() {
    let mut wire = Wire::new(ENDS[0]);
    wire.open();
    wire.send(true, &tcp_with(0, 1001, 0, b"the host drops this, which comes first"));
    wire.say(MARK);

    let counts = wire.engine.take_counts();
    assert_eq!((counts.refused, counts.conflicts), (1, 0));
    is_found(&mut wire);
}

#[test]
fn an_urgent_byte_is_left_out_as_the_host_does_and_counted() {
    for pointer in [5, 0] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        let at = usize::from(u16::saturating_sub(pointer, 1));
        let sent = [&MARK[..at], &[URG_BYTE], &MARK[at..]].concat();
        wire.send(true, &tcp_urgent(1001, pointer, &sent[..10]));
        wire.send(true, &tcp(1011, &sent[10..]));

        assert_eq!(wire.engine.take_counts().odd, 1);
        is_found(&mut wire);
    }
}

#[test]
fn data_on_a_syn_counts_only_if_the_server_took_it() {
    for (ack, rest) in [(1001, MARK), (1001 + 9, &MARK[9..])] {
        let mut wire = Wire::new(ENDS[0]);
        let early = if ack == 1001 { b"no such th" } else { &MARK[..9] };
        wire.send(true, &tcp_with(SYN, 1000, 0, early));
        wire.send(false, &tcp_with(SYN | ACK, 5000, ack, b""));
        wire.next = [ack, 5001];
        wire.say(rest);

        assert_eq!(wire.engine.take_counts().conflicts, 0);
        is_found(&mut wire);
        assert_eq!(wire.told.flows()[0].to_server.payload, MARK.len() as u64);
    }
}

#[test]
fn an_answer_to_a_syn_that_is_seen_late_forgets_nothing() {
    let mut wire = Wire::new(ENDS[0]);
    wire.send(true, &tcp_with(SYN, 1000, 0, b""));
    wire.send(true, &tcp_with(ACK, 1001, 5001, &MARK[..9]));
    wire.send(false, &tcp_with(SYN | ACK, 5000, 1001, b""));
    wire.send(true, &tcp_with(ACK, 1010, 5001, &MARK[9..]));

    is_found(&mut wire);
}
