//! Ways to hide from who reads HTTP, one test each.

use super::*;

#[test]
fn one_byte_at_a_time_gives_what_one_piece_gives() {
    let up = [
        post(
            "/a",
            "Content-Type: multipart/form-data; boundary=b\r\n",
            b"--b\r\nContent-Disposition: x; filename=y\r\n\r\n0123456789abcdef\r\n\r\n--b--",
        ),
        get("/b"),
    ]
    .concat();
    let down = [
        answer("Content-Encoding: gzip\r\nX: a\r\n b\r\n", &gzip(&b"some content ".repeat(30))),
        answer("", b"more"),
    ]
    .concat();
    let (mut whole, mut tiny) = (Wire::new(), Wire::new());
    for (direction, bytes) in [(UP, &up), (DOWN, &down)] {
        whole.say(direction, bytes);
        bytes.chunks(1).for_each(|byte| tiny.say(direction, byte));
    }

    assert_eq!(whole.records().len(), 2);
    assert_eq!(whole.files().len(), 2);
    assert_eq!(whole.view(), tiny.view());
}

#[test]
fn a_gzip_bomb_stops_is_odd_and_its_file_is_not_whole() {
    let bomb = gzip(&vec![0; 16 << 20]);
    let mut wire = Wire::new();
    wire.say(UP, &get("/bomb"));
    let answer = answer("Content-Encoding: gzip\r\n", &bomb);
    answer.chunks(1400).for_each(|part| wire.say(DOWN, part));

    let file = &wire.files()[0];
    assert!(!file.whole && file.bytes.len() < 4 << 20, "{}", file.bytes.len());
    assert!(wire.messages(DOWN)[0].len() < 4 << 20);
    assert_eq!((wire.http.odd(), wire.records()[0].response_bytes), (1, bomb.len() as u64));
}

#[test]
fn tiny_chunks_are_said_in_one_piece_and_a_huge_one_costs_nothing() {
    let mut wire = Wire::new();
    wire.say(UP, &get("/"));
    wire.out.clear();
    let body = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunked(&[b'x'; 2000], 1)]
        .concat();
    wire.say(DOWN, &body);
    let bodies = wire.out.iter().filter(|s| matches!(s, Said::Body { .. })).count();
    assert_eq!((bodies, wire.files()[0].bytes.len()), (1, 2000));

    let mut wire = Wire::new();
    wire.say(UP, &get("/"));
    wire.say(
        DOWN,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nsome content of it",
    );
    assert!(wire.http.held() < 64 << 10);
    wire.end();
    assert_eq!((wire.files()[0].size, wire.files()[0].whole), (18, false));
}

#[test]
fn a_flood_of_headers_costs_no_memory_and_hides_neither_host_nor_body() {
    let flood = b"X-Flood: 0123456789abcdef0123456789abcdef\r\n".repeat(15_000);
    let long = [b"X-Long: ".to_vec(), vec![b'x'; 100_000], b"\r\n".to_vec()].concat();
    let mut wire = Wire::with(Wants { bodies: false, files: true });
    wire.say(UP, b"POST /a HTTP/1.1\r\n");
    for part in [&flood[..], &long].concat().chunks(1400) {
        wire.say(UP, part);
        assert!(wire.http.held() < 64 << 10);
    }
    wire.say(
        UP,
        b"Host: web.example\r\nContent-Length: 20\r\n\r\n<?php all of it(); ?GET /b HTTP/1.1\r\n\r\n",
    );

    assert_eq!(wire.names(), ["web.example http://web.example/a", " /b"]);
    assert_eq!(wire.files()[0].bytes, b"<?php all of it(); ?");
}

#[test]
fn a_head_that_no_server_takes_is_odd_and_passes_as_it_is() {
    let flood = b"X: 0123456789abcdef0123456789abcdef\r\n".repeat(head::MAX_HEAD / 36);
    let mut wire = Wire::new();
    wire.say(UP, b"POST /a HTTP/1.1\r\n");
    flood.chunks(1400).for_each(|part| wire.say(UP, part));
    wire.say(UP, b"\r\nevil");

    wire.say(UP, b"GET /b HTTP/1.1\r\n\r\n");

    assert_eq!((wire.names(), wire.http.odd()), (vec![" /a".to_owned(), " /b".to_owned()], 1));
    assert!(wire.messages(UP)[1].ends_with(b"\r\n\r\nevilGET /b HTTP/1.1\r\n"));
}

#[test]
fn of_chunks_and_a_length_the_chunks_count_and_it_is_odd() {
    let mut wire = Wire::new();
    wire.say(UP, b"POST /a HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");

    assert_eq!(wire.names(), [" /a", "x http://x/smuggled"]);
    assert_eq!(wire.http.odd(), 1);
}

#[test]
fn extensions_of_chunks_are_passed_over_and_odd() {
    let mut wire = Wire::new();
    wire.say(UP, b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8;GET /x HTTP/1.1\r\ncontent!\r\n8\r\n, more.!\r\n0\r\n\r\n");

    assert_eq!((&wire.files()[0].bytes[..], wire.http.odd()), (&b"content!, more.!"[..], 1));
}

#[test]
fn answers_without_requests_are_told_alone() {
    let mut wire = Wire::new();
    wire.say(
        DOWN,
        &[answer("", b"the first of two bodies"), answer("", b"the second of two bodies")].concat(),
    );

    assert_eq!(
        wire.records().iter().map(|h| (h.status, h.method.is_some())).collect::<Vec<_>>(),
        [(Some(200), false); 2]
    );
    assert_eq!(wire.files().len(), 2);
    let is_alone = |s: &&Said| matches!(s, Said::Answer(answered) if answered.back.is_none());
    assert_eq!(wire.out.iter().filter(is_alone).count(), 2);
}

#[test]
fn a_stream_that_begins_within_a_body_is_understood_from_the_next_message_on() {
    let mut wire = Wire::new();
    wire.say(DOWN, &[b"rest of some body\n and more".to_vec(), answer("", b"all of this one")].concat());
    wire.say(UP, &[b"rest of an upload\n and more".to_vec(), post("/a", "", b"x")].concat());

    assert_eq!(wire.names(), ["web.example http://web.example/a"]);
    assert_eq!(wire.records()[0].response_bytes, 15);
    assert!(wire.messages(DOWN)[0].starts_with(b"rest of some body\n"));
}

#[test]
fn bytes_lost_within_a_body_cost_only_themselves() {
    let mut wire = Wire::new();
    wire.say(UP, &get("/a"));
    wire.say(DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n0123456789");
    wire.http.lost(DOWN, 20, &mut wire.out);
    wire.say(DOWN, &[b"abcdefghij".to_vec(), answer("", b"x")].concat());

    let file = &wire.files()[0];
    assert_eq!((&file.bytes[..], file.whole), (&b"0123456789abcdefghij"[..], false));
    assert_eq!(wire.records().iter().map(|h| h.response_bytes).collect::<Vec<_>>(), [40, 1]);
    // What stands behind the hole is not joined to what stood before it.
    assert_eq!(wire.messages(DOWN)[1], b"abcdefghij");
}

#[test]
fn bytes_lost_between_messages_are_passed_to_the_next_message() {
    let mut wire = Wire::new();
    wire.say(UP, &get("/a"));
    wire.say(DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123");
    wire.http.lost(DOWN, 500, &mut wire.out);
    wire.say(UP, &get("/b"));
    wire.say(DOWN, &[b"end of something".to_vec(), answer("", b"x")].concat());

    let told: Vec<_> = wire.records().iter().map(|h| (uri(h), h.status, h.response_bytes)).collect();
    assert_eq!(told, [("/a".to_owned(), Some(200), 4), ("/b".to_owned(), Some(200), 1)]);
}

#[test]
fn more_requests_than_may_wait_are_told_at_once_and_later_ones_paired_again() {
    let mut wire = Wire::new();
    for _ in 0..=MAX_WAITING {
        wire.say(UP, &get("/many"));
    }
    assert_eq!(wire.records().len(), MAX_WAITING);
    for _ in 0..=MAX_WAITING {
        wire.say(DOWN, &answer("", b"x"));
    }

    let records = wire.records();
    assert_eq!(records.len(), 2 * MAX_WAITING + 1);
    let last = records.last().unwrap();
    assert_eq!((uri(last), last.status), ("/many".to_owned(), Some(200)));
}
