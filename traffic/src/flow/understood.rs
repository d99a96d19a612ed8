//! What the followers of applications say comes out where it belongs.

use khien_core::{
    Untrusted,
    event::{Application, Direction},
    traffic::{FlowEnd, What},
};

use super::{wire::*, *};
use crate::decode::sample::{client_hello, dns_query, tcp};

const WEB: [(&str, &str); 2] =
    [("192.0.2.1:40000", "198.51.100.2:80"), ("[2001:db8::1]:40000", "[2001:db8::2]:8080")];

fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: web.example\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn a_request_and_its_answer_are_one_hit_each_and_one_record() {
    for ends in WEB {
        let mut wire = Wire::new(ends);
        wire.open();
        wire.say(&request("/up.php", MARK));
        wire.answer(&answer(MARK));
        wire.close();
        wire.finish();

        let hits = wire.hits();
        assert_eq!(hits.len(), 2, "{hits:?}");
        for (facts, direction) in hits.iter().zip([Direction::ToServer, Direction::ToClient]) {
            assert_eq!(facts.direction, direction);
            assert_eq!((facts.client.to_string(), facts.server.to_string()), (ends.0.into(), ends.1.into()));
            assert_eq!(facts.application, Application::Http);
            assert_eq!(facts.name, Some(Untrusted::from("web.example")));
            assert_eq!(facts.url, Some(Untrusted::from("http://web.example/up.php")));
        }
        let https: Vec<_> = wire.told.records.iter().filter(|r| matches!(r.what, What::Http(_))).collect();
        assert_eq!(https.len(), 1);
        let flow = wire.told.flows()[0];
        assert_eq!((flow.application, flow.ended), (Application::Http, FlowEnd::Closed));
        assert_eq!(flow.name, Some(Untrusted::from("web.example")));
    }
}

#[test]
fn each_request_of_one_connection_is_reported_with_its_own_url() {
    let mut wire = Wire::new(WEB[0]);
    wire.open();
    for path in ["/a", "/b"] {
        wire.say(&request(path, MARK));
        wire.answer(&answer(b"ok"));
    }
    wire.close();

    let urls: Vec<_> = wire.hits().iter().map(|f| f.url.clone().unwrap().to_string()).collect();
    assert_eq!(urls, ["http://web.example/a", "http://web.example/b"]);
    let exchanges: Vec<_> = wire.told.named.iter().map(|n| n.origin.exchange).collect();
    assert_eq!(exchanges, [1, 2]);
}

#[test]
fn a_url_without_a_host_names_the_server() {
    let mut wire = Wire::new(WEB[0]);
    wire.open();
    wire.say(b"GET /x HTTP/1.0\r\n\r\n");

    let url = wire.told.named[0].facts.url.clone().unwrap();
    assert_eq!(url.to_string(), "http://198.51.100.2:80/x");
}

#[test]
fn a_match_that_is_split_over_chunks_is_found_and_quickly() {
    let mut wire = Wire::new(WEB[0]);
    wire.open();
    wire.say(b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n");
    wire.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in MARK.chunks(7) {
        wire.answer(format!("{:x}\r\n", part.len()).as_bytes());
        wire.answer(&[part, b"\r\n"].concat());
    }
    wire.wait(QUIET / MILLISECOND);

    let hits = wire.hits();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].url, Some(Untrusted::from("http://web.example/")));
}

#[test]
fn a_file_that_is_carried_is_handed_over_if_it_is_wanted() {
    for files in [true, false] {
        let mut wire = Wire::with(WEB[0], Limits { files, ..Limits::default() });
        wire.open();
        wire.say(b"GET /tool.bin HTTP/1.1\r\nHost: web.example\r\n\r\n");
        wire.answer(&answer(&[b'x'; 5000]));

        assert_eq!(wire.told.contents.len(), usize::from(files));
        for content in &wire.told.contents {
            assert_eq!((content.size, content.whole, content.direction), (5000, true, Direction::ToClient));
            assert_eq!(content.name, Some(Untrusted::from("tool.bin")));
        }
    }
}

#[test]
fn names_are_told_from_dns_over_tcp_tls_and_http_however_they_are_cut() {
    let mut wire = Wire::new(("[2001:db8::1]:5000", "[2001:db8::53]:53"));
    wire.open();
    let query = dns_query("c2.evil.example");
    wire.say(&[0, u8::try_from(query.len()).unwrap()]);
    wire.say(&query);
    assert_eq!(wire.names(), [("c2.evil.example".to_owned(), Application::Dns)]);

    let mut wire = Wire::new(("[2001:db8::1]:5000", "[2001:db8::2]:443"));
    wire.open();
    client_hello("c2.evil.example").chunks(20).for_each(|part| wire.say(part));
    assert_eq!(wire.names(), [("c2.evil.example".to_owned(), Application::Tls)]);

    let mut wire = Wire::new(WEB[0]);
    wire.open();
    request("/", b"").chunks(5).for_each(|part| wire.say(part));
    assert_eq!(wire.names(), [("web.example".to_owned(), Application::Http)]);
}

#[test]
fn nothing_of_a_handshake_is_scanned() {
    let mut wire = Wire::new(("192.0.2.1:5000", "192.0.2.2:443"));
    wire.open();
    client_hello("web.example").chunks(20).for_each(|part| wire.say(part));
    wire.say(&[&[23, 3, 3, 0, 60][..], MARK, MARK].concat());
    wire.close();
    wire.finish();

    assert!(wire.told.jobs.is_empty());
    assert_eq!(wire.told.flows()[0].application, Application::Tls);
}

#[test]
fn what_came_before_it_was_clear_is_followed_too() {
    let mut wire = Wire::new(("192.0.2.1:5000", "192.0.2.2:25"));
    wire.open();
    wire.answer(b"220 mail.example ESMTP\r\n");
    wire.say(b"EHLO pc.example\r\n");
    wire.answer(b"250 mail.example\r\n");
    wire.say(b"MAIL FROM:<a@evil.example>\r\n");
    wire.answer(b"250 ok\r\n");
    wire.say(b"RCPT TO:<b@agency.example>\r\n");
    wire.answer(b"250 ok\r\n");
    wire.say(b"DATA\r\n");
    wire.answer(b"354 go on\r\n");
    wire.say(b"Subject: hello\r\n\r\ntext\r\n.\r\n");
    wire.answer(b"250 ok\r\n");
    wire.close();
    wire.finish();

    let letter = wire.told.records.iter().find_map(|record| match &record.what {
        What::Smtp(smtp) => Some(smtp),
        _ => None,
    });
    let letter = letter.unwrap();
    assert_eq!(letter.helo, Some(Untrusted::from("pc.example")));
    assert_eq!(letter.from, Some(Untrusted::from("a@evil.example")));
}

#[test]
fn a_request_in_the_middle_of_a_stream_is_understood() {
    let mut wire = Wire::new(WEB[0]);
    wire.send(true, &tcp(70_000, b"the end of something that was not seen from its beginning, long enough"));
    wire.send(false, &tcp(5_000, &[b'.'; 600]));
    wire.next = [70_070, 5_600];
    wire.say(&request("/late", MARK));

    assert_eq!(wire.names(), [("web.example".to_owned(), Application::Http)]);
}

#[test]
fn a_hole_in_a_head_does_not_hide_the_next_request() {
    let mut wire = Wire::new(WEB[0]);
    wire.open();
    wire.say(b"GET /first HTTP/1.1\r\nHo");
    wire.next[0] += 30;
    wire.say(b"\r\n\r\n");
    wire.answer(&answer(b"ok"));
    wire.say(&request("/second", b""));
    for _ in 0..3 {
        wire.wait(1100);
    }

    assert!(
        wire.told.named.iter().any(|n| n.facts.url == Some(Untrusted::from("http://web.example/second")))
    );
}

#[test]
fn what_only_began_like_tls_is_scanned_as_it_is() {
    let (hello, empty) = (&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"[..], &b"\x16\x03\x01\x00\x00"[..]);
    for lies in [vec![hello], vec![empty, b"no record "], vec![&hello[..7], &hello[7..]]] {
        let mut wire = Wire::new(ENDS[0]);
        wire.open();
        for lie in &lies {
            wire.say(lie);
        }
        wire.say(b"and now in the open ");
        wire.say(MARK);
        wire.answer(MARK);
        wire.close();
        wire.finish();

        assert_eq!(wire.hits().len(), 2, "{lies:?}");
        assert_eq!(wire.told.flows()[0].application, Application::Unknown);
        let whole = [lies.concat(), b"and now in the open ".to_vec(), MARK.to_vec()].concat();
        assert!(wire.scanned(true).len() == whole.len() && wire.scanned(true).ends_with(MARK));
    }
}

#[test]
fn what_only_began_like_dns_is_scanned_as_it_is() {
    let mut wire = Wire::new(("192.0.2.1:40000", "198.51.100.2:7000"));
    let question = dns_query("name.example");
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    wire.open();
    wire.say(&[&length, &question[..], &[0, 3], b"odd"].concat());
    wire.say(MARK);
    wire.wait(QUIET / MILLISECOND);

    assert_eq!((wire.names().len(), wire.hits().len()), (1, 1));
}
