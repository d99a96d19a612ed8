//! Who asks for the next thing before he has the last one: each hit names the exchange in which it stands.

use std::collections::HashSet;

use khien_core::{Untrusted, event::Direction};

use super::wire::*;

const WEB: [(&str, &str); 2] =
    [("192.0.2.1:40000", "198.51.100.2:80"), ("[2001:db8::1]:40000", "[2001:db8::2]:8080")];
const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: web.example\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn answer(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn opened(ends: (&str, &str)) -> Wire {
    let mut wire = Wire::new(ends);
    wire.open();
    wire
}

/// What was hit: which way, and what was asked for.
fn hits(wire: &Wire) -> Vec<(Direction, String, String)> {
    let text = |text: &Option<Untrusted>| text.as_ref().map(ToString::to_string).unwrap_or_default();
    wire.hits().iter().map(|hit| (hit.direction, text(&hit.name), text(&hit.url))).collect()
}

fn hit(direction: Direction, host: &str, path: &str) -> (Direction, String, String) {
    (direction, host.to_owned(), format!("http://{host}{path}"))
}

#[test]
fn an_answer_names_its_own_request_and_not_the_last_one_that_was_asked() {
    for ends in WEB {
        let mut wire = opened(ends);
        wire.say(&[get("a.example", "/a"), get("b.example", "/b"), get("c.example", "/c")].concat());
        wire.answer(&[answer(MARK), answer(b"nothing in this one"), answer(MARK)].concat());
        wire.close();
        wire.finish();

        assert_eq!(hits(&wire), [hit(DOWN, "a.example", "/a"), hit(DOWN, "c.example", "/c")]);
        let files = wire.told.contents.iter().map(|c| c.facts.url.as_ref().unwrap().to_string());
        assert_eq!(
            files.collect::<Vec<_>>(),
            ["http://a.example/a", "http://b.example/b", "http://c.example/c"]
        );
        let origins: HashSet<_> = wire.told.contents.iter().map(|c| c.origin).collect();
        assert_eq!(origins.len(), 3, "each is a finding of its own");
    }
}

#[test]
fn a_request_and_its_answer_are_one_exchange_though_others_came_in_between() {
    let mut wire = opened(WEB[0]);
    wire.say(&[post("/a", MARK), post("/b", MARK)].concat());
    wire.answer(&[answer(MARK), answer(MARK)].concat());
    wire.close();
    wire.finish();

    let web = "web.example";
    assert_eq!(
        hits(&wire),
        [hit(UP, web, "/a"), hit(UP, web, "/b"), hit(DOWN, web, "/a"), hit(DOWN, web, "/b")]
    );
    let of = |way: Direction| {
        let jobs = wire.told.jobs.iter().filter(move |job| job.facts.direction == way);
        jobs.map(|job| job.origin.exchange).collect::<HashSet<_>>()
    };
    assert_eq!((of(UP), of(DOWN)), ([1, 2].into(), [1, 2].into()));
}

#[test]
fn to_ask_for_more_while_an_answer_comes_does_not_cut_it_in_two() {
    let mut wire = opened(WEB[0]);
    let (left, right) = MARK.split_at(MARK.len() / 2);
    wire.say(&get("a.example", "/a"));
    wire.answer(
        &[format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MARK.len()).as_bytes(), left].concat(),
    );
    wire.say(&get("b.example", "/b"));
    wire.answer(right);
    wire.answer(&answer(b"something else"));
    wire.close();
    wire.finish();

    assert_eq!(hits(&wire), [hit(DOWN, "a.example", "/a")]);
}

#[test]
fn to_ask_again_and_again_while_an_answer_comes_does_not_have_it_scanned_each_time() {
    let mut wire = opened(WEB[0]);
    wire.say(&get("a.example", "/a"));
    wire.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
    let mut sent = 200_000;
    for _ in 0..200 {
        wire.answer(&[b'x'; 1_000]);
        let request = get("a.example", "/n");
        sent += request.len();
        wire.say(&request);
    }
    wire.close();
    wire.finish();

    let scanned: usize = wire.told.jobs.iter().map(|job| job.bytes.len()).sum();
    // What turns of a talk cost anyhow: 200 scans of what there is would be 100 times as much.
    assert!((sent..8 * sent).contains(&scanned), "{scanned} of {sent}");
}

#[test]
fn the_answer_after_a_hint_is_that_of_the_same_request() {
    let mut wire = opened(WEB[0]);
    wire.say(&[get("a.example", "/a"), get("b.example", "/b")].concat());
    wire.answer(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    wire.answer(&[answer(MARK), answer(MARK)].concat());
    wire.close();
    wire.finish();

    assert_eq!(hits(&wire), [hit(DOWN, "a.example", "/a"), hit(DOWN, "b.example", "/b")]);
}

#[test]
fn an_answer_whose_request_was_not_seen_names_none_and_is_a_finding_of_its_own() {
    let mut wire = opened(WEB[0]);
    wire.say(&get("a.example", "/a"));
    wire.answer(&[answer(MARK), answer(MARK)].concat());
    wire.say(&get("b.example", "/b"));
    wire.answer(&answer(MARK));
    wire.close();
    wire.finish();

    let nobody = (DOWN, String::new(), String::new());
    assert_eq!(hits(&wire), [hit(DOWN, "a.example", "/a"), nobody, hit(DOWN, "b.example", "/b")]);
}

#[test]
fn an_answer_to_a_request_without_a_host_names_the_server() {
    let mut wire = opened(WEB[0]);
    wire.say(b"GET /x HTTP/1.0\r\n\r\n");
    wire.answer(&answer(MARK));
    wire.close();
    wire.finish();

    assert_eq!(hits(&wire), [(DOWN, String::new(), "http://198.51.100.2:80/x".to_owned())]);
}
