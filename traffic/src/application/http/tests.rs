use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use khien_core::{Untrusted, traffic};
use proptest::prelude::*;

use super::{exchange::MAX_WAITING, *};
use crate::application::{Carried, file::MAX_FILE, tls::sample::CURL_1_2};

mod evasion;

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

#[test]
fn an_exchange_is_told_with_its_bodies_and_files() {
    let mut wire = Wire::new();
    wire.say(UP, &post("/up/a.php?x=1", "Content-Type: text/plain\r\n", b"<?php evil(); exit;"));
    assert_eq!(wire.names(), ["web.example http://web.example/up/a.php?x=1"]);
    assert!(wire.records().is_empty());

    wire.say(DOWN, b"HTTP/1.1 201 Created\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok");

    let records = wire.records();
    assert_eq!(records.len(), 1);
    let http = &records[0];
    assert_eq!((shown(&http.method), shown(&http.uri)), ("POST".to_owned(), "/up/a.php?x=1".to_owned()));
    assert_eq!(
        (shown(&http.user_agent), shown(&http.content_type)),
        ("curl/8".to_owned(), "text/html".to_owned())
    );
    assert_eq!((http.status, http.request_bytes, http.response_bytes), (Some(201), 19, 2));
    let files = wire.files();
    assert_eq!(files.len(), 1, "two bytes are no file");
    assert_eq!((files[0].name.as_ref().unwrap().to_string(), files[0].direction), ("a.php".to_owned(), UP));
    assert_eq!((&files[0].bytes[..], files[0].size, files[0].whole), (&b"<?php evil(); exit;"[..], 19, true));
}

#[test]
fn head_and_body_of_a_message_are_scanned_as_one_from_offset_0() {
    let mut wire = Wire::new();
    let (head, body) = (
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"[..],
        b"evil content".repeat(9),
    );
    wire.say(UP, b"GET / HTTP/1.1\r\n\r\n");
    wire.say(DOWN, head);
    wire.say(DOWN, &chunked(&gzip(&body), 7));

    assert_eq!(wire.messages(DOWN), [[head, &body].concat()]);
    assert_eq!(wire.files()[0].bytes, body);
}

#[test]
fn pipelined_requests_are_paired_with_their_answers_in_order() {
    let mut wire = Wire::new();
    wire.say(
        UP,
        &[get("/a"), b"HEAD /b HTTP/1.1\r\n\r\n".to_vec(), post("/c", "", b"12345"), get("/d")].concat(),
    );
    wire.say(
        DOWN,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 No\r\nContent-Length: 900\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\nHTTP/1.0 304 Not\r\n\r\n",
    );

    let told: Vec<_> =
        wire.records().iter().map(|h| (uri(h), h.status, h.request_bytes, h.response_bytes)).collect();
    let expected = [("/a", 200, 0, 3), ("/b", 404, 0, 0), ("/c", 204, 5, 0), ("/d", 304, 0, 0)];
    assert_eq!(told, expected.map(|(u, s, up, down)| (u.to_owned(), Some(s), up, down)));
}

#[test]
fn each_answer_says_to_which_request_it_belongs() {
    let mut wire = Wire::new();
    wire.say(UP, &[get("/a"), get("/b")].concat());
    wire.say(
        DOWN,
        &[answer("", b"one"), b"HTTP/1.1 103 Hints\r\n\r\n".to_vec(), answer("", b"two")].concat(),
    );
    wire.say(UP, &get("/c"));
    wire.say(DOWN, &[answer("", b"three"), answer("", b"to nothing that was asked")].concat());

    let told = wire.out.iter().filter_map(|said| match said {
        Said::Answer(answered) => Some((answered.back, shown(&answered.name), shown(&answered.url))),
        _ => None,
    });
    let to = |back, path: &str| (Some(back), "web.example".to_owned(), format!("http://web.example{path}"));
    let unasked = (None, String::new(), String::new());
    let expected = [to(1, "/a"), to(0, "/b"), to(0, "/b"), to(0, "/c"), unasked];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_body_without_a_length_goes_on_to_the_end() {
    let mut wire = Wire::new();
    wire.say(UP, b"GET /list.txt HTTP/1.0\r\n\r\n");
    wire.say(DOWN, b"HTTP/1.0 200 OK\r\n\r\nthis is all of it, ");
    wire.say(DOWN, b"HTTP/1.1 200 and no answer");
    assert!(wire.records().is_empty());

    wire.end();

    assert_eq!(wire.records()[0].response_bytes, 45);
    assert!(wire.files()[0].whole && wire.files()[0].size == 45);
}

#[test]
fn an_answer_before_the_request_is_whole_is_told_once_both_are() {
    let mut wire = Wire::new();
    let request = post("/a", "", &[b'x'; 100]);
    wire.say(UP, &request[..request.len() - 50]);
    wire.say(DOWN, b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n");
    assert!(wire.records().is_empty());

    wire.say(UP, &request[request.len() - 50..]);

    assert_eq!((wire.records()[0].status, wire.records()[0].request_bytes), (Some(413), 100));
}

#[test]
fn behind_connect_and_upgrades_bytes_pass_as_they_are() {
    for (request, answer) in [
        (&b"CONNECT c2.example:443 HTTP/1.1\r\n\r\n"[..], &b"HTTP/1.1 200 Go\r\n\r\n"[..]),
        (
            b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
        ),
    ] {
        let mut wire = Wire::new();
        wire.say(UP, request);
        wire.say(DOWN, answer);
        assert_eq!(wire.records().len(), 1);
        wire.say(UP, b"GET /not-http HTTP/1.1\r\n\r\n");
        wire.say(DOWN, b"HTTP/1.1 200 nor this\r\n\r\n");
        wire.end();

        assert_eq!(wire.records().len(), 1);
        assert_eq!(wire.messages(UP)[1], b"GET /not-http HTTP/1.1\r\n\r\n");
        assert_eq!(wire.messages(DOWN)[1], b"HTTP/1.1 200 nor this\r\n\r\n");
    }
}

#[test]
fn a_tls_handshake_behind_connect_is_read_and_ends_the_interest() {
    let mut wire = Wire::new();
    wire.say(UP, b"CONNECT tls.example:443 HTTP/1.1\r\n\r\n");
    wire.say(DOWN, b"HTTP/1.1 200 Go\r\n\r\n");
    wire.say(UP, CURL_1_2.0);
    wire.say(DOWN, CURL_1_2.1);

    assert!(wire.out.iter().any(|s| matches!(s, Said::Tls(tls) if tls.ja4.is_some())));
    assert!(wire.http.is_done());
}

#[test]
fn files_of_a_form_are_told_apart_from_its_fields() {
    let body = b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nno file, however long it is\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"shell.php\"\r\nContent-Type: image/png\r\n\r\n<?php evil(\"\r\n--c\r\n\");\r\n--b\r\nContent-Disposition: form-data; name=\"g\"; filename=\"b.bin\"\r\n\r\nsecond file, with some bytes\r\n--b--\r\n";
    let mut wire = Wire::new();
    wire.say(UP, &post("/up", "Content-Type: multipart/form-data; boundary=b\r\n", body));

    let told: Vec<_> = wire
        .files()
        .iter()
        .map(|f| (f.name.as_ref().unwrap().to_string(), f.bytes.clone(), f.whole))
        .collect();
    assert_eq!(told[0], ("shell.php".to_owned(), b"<?php evil(\"\r\n--c\r\n\");".to_vec(), true));
    assert_eq!(told[1], ("b.bin".to_owned(), b"second file, with some bytes".to_vec(), true));
    assert_eq!(told.len(), 2);
}

#[test]
fn a_form_whose_boundary_never_comes_is_odd_and_one_file() {
    let body = b"--Y\r\nContent-Disposition: form-data; name=f; filename=shell.php\r\n\r\n<?php a web shell\r\n--Y--\r\n";
    for (boundary, files, odd) in [("Y", 1, 0), ("Y, z", 1, 0), ("X", 1, 1)] {
        let mut wire = Wire::new();
        let fields = format!("Content-Type: multipart/form-data; boundary={boundary}\r\n");
        wire.say(UP, &post("/up", &fields, body));
        wire.say(DOWN, &answer("", b"ok"));
        wire.end();

        assert_eq!((wire.files().len(), wire.http.odd()), (files, odd), "{boundary}");
        assert_eq!(wire.files()[0].bytes == body, odd == 1, "{boundary}");
    }
}

#[test]
fn a_file_that_stays_packed_is_not_whole() {
    let zeros = gzip(&[0; 500]);
    for (coding, body, is_whole, odd) in [
        ("gzip", zeros.clone(), true, 0),
        ("br", zeros.clone(), false, 0),
        ("zstd, gzip", zeros.clone(), false, 0),
        ("gzip, gzip, gzip, gzip", gzip(&gzip(&gzip(&zeros))), false, 1),
        ("gzip", [gzip(b"").repeat(64), zeros].concat(), false, 1),
    ] {
        let mut wire = Wire::new();
        wire.say(UP, &get("/a.bin"));
        wire.say(DOWN, &answer(&format!("Content-Encoding: {coding}\r\n"), &body));
        wire.end();

        assert_eq!((wire.files()[0].whole, wire.http.odd()), (is_whole, odd), "{coding}");
    }
}

#[test]
fn plain_form_data_is_no_file_but_is_scanned() {
    let mut wire = Wire::new();
    let request = post(
        "/x",
        "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n",
        b"cmd=evil&more=than+16+bytes",
    );
    wire.say(UP, &request);

    assert!(wire.files().is_empty());
    assert_eq!(wire.messages(UP), [request]);
}

#[test]
fn the_name_of_a_download_is_that_of_the_disposition_before_that_of_the_path() {
    for (field, name) in
        [("Content-Disposition: attachment; filename=\"a b.exe\"\r\n", "a b.exe"), ("", "get.cgi")]
    {
        let mut wire = Wire::new();
        wire.say(UP, &get("/x/get.cgi?f=/y/z"));
        wire.say(DOWN, &answer(field, b"MZ and some more bytes"));
        assert_eq!(wire.files()[0].name.as_ref().unwrap().to_string(), name);
    }
}

#[test]
fn of_a_file_that_is_too_large_the_beginning_is_kept_and_the_size_counted() {
    let mut wire = Wire::new();
    wire.say(UP, &get("/large"));
    wire.say(DOWN, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_FILE + 5000).as_bytes());
    for _ in 0..MAX_FILE / 1000 {
        wire.out.clear();
        wire.say(DOWN, &[b'x'; 1000]);
    }
    assert!(wire.http.held() <= 2 * MAX_FILE + (64 << 10));
    wire.say(DOWN, &[b'x'; 5608]);

    let files = wire.files();
    assert_eq!(
        (files[0].bytes.len(), files[0].size, files[0].whole),
        (MAX_FILE, MAX_FILE as u64 + 5000, false)
    );
}

#[test]
fn nothing_is_copied_where_nobody_reads() {
    let mut wire = Wire::with(Wants::NOTHING);
    wire.say(UP, &get("/a"));
    wire.say(DOWN, &answer("Content-Encoding: gzip\r\n", &gzip(&[b'x'; 5000])));

    assert_eq!(wire.records().len(), 1);
    assert!(wire.files().is_empty() && wire.messages(DOWN).is_empty());
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_same(
        bodies in prop::collection::vec((any::<Vec<u8>>(), 0..5, 1usize..9), 1..4), cuts: Vec<prop::sample::Index>
    ) {
        let up: Vec<u8> = bodies.iter().flat_map(|(body, _, _)| post("/a/b", "", body)).collect();
        let down: Vec<u8> = bodies.iter().flat_map(|(body, how, size)| match how {
            0 => answer("", body),
            1 => answer("Content-Encoding: gzip\r\n", &gzip(body)),
            2 => [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunked(body, *size)].concat(),
            3 => [&b"HTTP/1.1 103 Hints\n\n"[..], &answer("Content-Type: a\n", body)].concat(),
            _ => [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"[..], &chunked(&gzip(body), *size)].concat(),
        }).collect();
        let (mut whole, mut parts) = (Wire::new(), Wire::new());
        for (direction, bytes) in [(UP, &up), (DOWN, &down)] {
            whole.say(direction, bytes);
            let mut at: Vec<_> = cuts.iter().map(|c| c.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
            at.sort_unstable();
            at.windows(2).for_each(|w| parts.say(direction, &bytes[w[0]..w[1]]));
        }
        prop_assert_eq!(whole.records().len(), bodies.len());
        prop_assert_eq!(whole.view(), parts.view());
    }

    #[test]
    fn any_bytes_are_taken(parts in prop::collection::vec((any::<bool>(), any::<Vec<u8>>(), any::<bool>(), 0usize..4), 0..9)) {
        let mut wire = Wire::new();
        for (is_up, bytes, is_lost, head) in parts {
            let direction = if is_up { UP } else { DOWN };
            let heads: [&[u8]; 4] = [b"", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n", b"\r\nContent-Length: 9\r\n\r\n"];
            wire.say(direction, heads[head]);
            wire.say(direction, &bytes);
            if is_lost {
                wire.http.lost(direction, bytes.len() as u64, &mut wire.out);
            }
        }
        wire.end();
    }
}

/// A connection, and what was said of it.
struct Wire {
    http: Http,
    out: Vec<Said>,
}

impl Wire {
    fn new() -> Self {
        Self::with(Wants::ALL)
    }

    fn with(wants: Wants) -> Self {
        Self { http: Http::new(wants), out: Vec::new() }
    }

    fn say(&mut self, direction: Direction, bytes: &[u8]) {
        self.http.take(direction, bytes, Timestamp::UNIX_EPOCH, &mut self.out);
    }

    fn end(&mut self) {
        self.http.end(Timestamp::UNIX_EPOCH, &mut self.out);
    }

    /// What was asked for: name and URL.
    fn names(&self) -> Vec<String> {
        let named = |s: &Said| match s {
            Said::Asked { name, url } => Some(format!("{} {}", shown(name), shown(url))),
            _ => None,
        };
        self.out.iter().filter_map(named).collect()
    }

    fn records(&self) -> Vec<&traffic::Http> {
        self.out.iter().filter_map(|s| if let Said::Http(http) = s { Some(&**http) } else { None }).collect()
    }

    fn files(&self) -> Vec<&Carried> {
        self.out.iter().filter_map(|s| if let Said::File(file) = s { Some(&**file) } else { None }).collect()
    }

    /// What is scanned of a direction: pieces joined where one begins where the last ended.
    fn messages(&self, wanted: Direction) -> Vec<Vec<u8>> {
        let mut messages: Vec<Vec<u8>> = Vec::new();
        for said in &self.out {
            let Said::Body { direction, offset, bytes } = said else { continue };
            if *direction != wanted {
                continue;
            }
            match messages.last_mut().filter(|m| m.len() as u64 == *offset) {
                Some(message) => message.extend_from_slice(bytes),
                None => messages.push(bytes.clone()),
            }
        }
        messages
    }

    /// All that must not depend on how the bytes were cut.
    fn view(&self) -> (Vec<&Said>, Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let rest = self.out.iter().filter(|s| !matches!(s, Said::Body { .. })).collect();
        (rest, self.messages(UP), self.messages(DOWN))
    }
}

fn uri(http: &traffic::Http) -> String {
    shown(&http.uri)
}

fn shown(text: &Option<Untrusted>) -> String {
    text.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: web.example\r\n\r\n").into_bytes()
}

fn post(target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: web.example\r\nUser-Agent: curl/8\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let chunks = body.chunks(size).map(|c| [format!("{:x}\r\n", c.len()).as_bytes(), c, b"\r\n"].concat());
    [chunks.flatten().collect(), b"0\r\n\r\n".to_vec()].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
