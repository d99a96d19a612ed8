use khien_core::{Timestamp, event::Direction, traffic::MAX_ANSWERS};
use proptest::prelude::*;
use simple_dns::{
    CLASS, Name, Packet, Question as Asked, RCODE, ResourceRecord, TYPE,
    rdata::{A, AAAA, CNAME, MX, NS, PTR, RData, SRV, TXT},
};

use super::*;
use crate::application::{Follow, Said};

const NAME: &str = "c2.evil.example";

#[test]
fn the_name_and_type_of_a_query_are_read() {
    let dns = message(&query("C2.Evil.example")).unwrap();

    let expected = Dns {
        id: 7,
        answer: false,
        query: "C2.Evil.example".into(),
        query_type: 1,
        code: None,
        answers: Vec::new(),
    };
    assert_eq!(dns, expected);
}

#[test]
fn answers_of_every_common_type_are_written_as_text() {
    let name = |text| Name::new_unchecked(text);
    let records = [
        (RData::CNAME(CNAME(name("real.example"))), "real.example"),
        (RData::A(A { address: 0xc000_0201 }), "192.0.2.1"),
        (RData::AAAA(AAAA { address: 0x2001_0db8 << 96 | 1 }), "2001:db8::1"),
        (RData::NS(NS(name("ns.example"))), "ns.example"),
        (RData::PTR(PTR(name("host.example"))), "host.example"),
        (RData::MX(MX { preference: 10, exchange: name("mail.example") }), "10 mail.example"),
        (RData::TXT(TXT::new().with_string("v=spf1 ").unwrap().with_string("-all").unwrap()), "v=spf1 -all"),
        (
            RData::SRV(SRV { priority: 1, weight: 2, port: 443, target: name("srv.example") }),
            "1 2 443 srv.example",
        ),
    ];
    let (data, texts): (Vec<_>, Vec<_>) = records.into_iter().unzip();

    // With and without pointers for names that come again.
    for bytes in [answer(data.clone()).build_bytes_vec(), answer(data).build_bytes_vec_compressed()] {
        let dns = message(&bytes.unwrap()).unwrap();

        assert_eq!((dns.answer, dns.code), (true, Some(0)));
        assert_eq!(dns.answers.iter().map(Untrusted::to_string).collect::<Vec<_>>(), texts);
    }
}

#[test]
fn records_without_a_text_are_told_by_type_and_length() {
    let target = [&[0, 1][..], b"\x03svc\x07example\x00", b"\x00\x01\x00\x03\x02h2"].concat();
    let itself = [0, 1, 0];
    let bytes = answered(&[(65, &target), (64, &itself), (257, b"\x00issue"), (1, &[1, 2, 3])]);

    let dns = message(&bytes).unwrap();

    let texts: Vec<_> = dns.answers.iter().map(Untrusted::to_string).collect();
    assert_eq!(texts, ["1 svc.example", "1 .", "TYPE257 6 bytes", "TYPE1 3 bytes"]);
}

#[test]
fn a_failure_is_told_by_its_code() {
    let mut packet = answer(Vec::new());
    *packet.rcode_mut() = RCODE::NameError;

    let dns = message(&packet.build_bytes_vec().unwrap()).unwrap();

    assert_eq!((dns.code, dns.query.raw(), dns.answers.len()), (Some(3), NAME.as_bytes(), 0));
}

#[test]
fn an_announcement_without_a_question_is_told_by_its_first_answer() {
    let mut packet = Packet::new_reply(0);
    // The high bit of an mDNS class says that other records are to be forgotten.
    packet.answers.push(
        ResourceRecord::new(
            Name::new_unchecked("printer.local"),
            CLASS::IN,
            120,
            RData::A(A { address: 0xc000_0209 }),
        )
        .with_cache_flush(true),
    );

    let dns = message(&packet.build_bytes_vec().unwrap()).unwrap();

    assert_eq!((dns.query.raw(), dns.query_type), (&b"printer.local"[..], 1));
    assert_eq!(dns.answers, ["192.0.2.9".into()]);
}

#[test]
fn a_multicast_question_that_wants_its_answer_for_itself_is_read() {
    let mut packet = Packet::new_query(0);
    packet.questions.push(Asked::new(
        Name::new_unchecked("_ipp._tcp.local"),
        TYPE::PTR.into(),
        CLASS::IN.into(),
        true,
    ));

    let dns = message(&packet.build_bytes_vec().unwrap()).unwrap();

    assert_eq!((dns.query.raw(), dns.query_type), (&b"_ipp._tcp.local"[..], 12));
}

#[test]
fn answers_behind_several_questions_are_read() {
    let mut packet = answer(vec![RData::A(A { address: 1 })]);
    packet.questions.push(Asked::new(
        Name::new_unchecked("b.example"),
        TYPE::A.into(),
        CLASS::IN.into(),
        false,
    ));

    let dns = message(&packet.build_bytes_vec().unwrap()).unwrap();

    assert_eq!((dns.query.raw(), dns.answers), (NAME.as_bytes(), vec!["0.0.0.1".into()]));
}

#[test]
fn oddities_behind_the_question_do_not_hide_its_name() {
    let mut bytes = query(NAME);
    bytes[2] |= RESPONSE;
    bytes[6..12].fill(0xff);
    bytes.truncate(bytes.len() - 4);
    for end in [&[][..], &[0xff], &[0xff, 0xff, 0x7f, 0xff, 0xc0], &[0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1]] {
        let dns = message(&[&bytes, end].concat()).unwrap();

        assert_eq!((dns.query.raw(), dns.answers.len()), (NAME.as_bytes(), 0));
    }
}

#[test]
fn labels_may_hold_any_byte() {
    let bytes = [&query("x")[..HEADER], b"\x03a.\x00\x02\xff\n\x00\x00\x01\x00\x01"].concat();

    assert_eq!(message(&bytes).unwrap().query.raw(), b"a.\x00.\xff\n");
}

#[test]
fn a_name_behind_pointers_is_read_and_one_in_circles_is_refused() {
    let at = |name: &[u8]| message(&[&query("x")[..HEADER], name].concat()).map(|d| d.query.raw().to_vec());

    // Forward over type and class to the rest of the name; no honest sender does so, and no server need mind.
    assert_eq!(at(b"\x02c2\xc0\x15\x00\x01\x00\x01\x04evil\x00"), Some(b"c2.evil".to_vec()));
    assert_eq!(at(b"\xc0\x0c\x00\x01\x00\x01"), None, "to itself");
    assert_eq!(at(b"\x02c2\xc0\x0c\x00\x01\x00\x01"), None, "to its beginning");
    assert_eq!(at(b"\xc0\x0e\xc0\x0c\x00\x01"), None, "to each other");
    assert_eq!(at(b"\xc3\xff\x00\x01\x00\x01"), None, "to nowhere");
    assert_eq!(at(b"\x41\x03bit\x00\x00\x01\x00\x01"), None, "a kind of label that is gone");
}

#[test]
fn a_name_is_at_most_255_bytes_on_the_wire() {
    let at = |last: usize| {
        let labels = [vec![63; 1], vec![b'a'; 63]].concat().repeat(3);
        let last = [vec![u8::try_from(last).unwrap()], vec![b'b'; last]].concat();
        message(&[&query("x")[..HEADER], &labels, &last, &[0, 0, 1, 0, 1]].concat())
            .map(|d| d.query.raw().len())
    };

    assert_eq!(at(61), Some(253));
    assert_eq!(at(62), None);
}

#[test]
fn no_more_answers_are_kept_than_there_is_room_for() {
    let bytes = answered(&[(1, &[192, 0, 2, 1][..]); MAX_ANSWERS + 1]);

    assert_eq!(message(&bytes).unwrap().answers.len(), MAX_ANSWERS);
}

#[test]
fn a_message_that_neither_asks_nor_answers_is_none() {
    assert_eq!(message(&[0; HEADER]), None);
    assert_eq!(message(&[0, 7, RESPONSE, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(message(b"GET / HTTP/1.1\r\n\r\n"), None);
}

#[test]
fn a_stream_tells_each_message_however_it_is_cut() {
    let reply = answer(vec![RData::A(A { address: 1 })]).build_bytes_vec().unwrap();
    let asked = [framed(&query("a.example")), framed(&query("b.example"))].concat();
    let whole = said(&asked, &framed(&reply), usize::MAX);

    let names = whole.iter().filter_map(|s| match s {
        Said::Asked { name, .. } => name.clone(),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["a.example".into(), "b.example".into()]);
    assert_eq!(whole.iter().filter(|s| **s == Said::Exchange).count(), 2);
    assert!(matches!(whole.last(), Some(Said::Dns(dns)) if dns.answers == ["0.0.0.1".into()]));
    for size in 1..asked.len() {
        assert_eq!(said(&asked, &framed(&reply), size), whole, "{size}");
    }
}

#[test]
fn a_long_message_is_told_by_its_beginning_and_what_follows_is_read() {
    let long = [query("a.example"), vec![0; 60_000]].concat();
    let mut stream = Stream::default();
    let mut out = Vec::new();

    for bytes in [framed(&long), framed(&query("b.example"))].concat().chunks(1_400) {
        stream.take(Direction::ToServer, bytes, Timestamp::UNIX_EPOCH, &mut out);
        assert!(stream.held() <= 32 << 10, "{}", stream.held());
    }

    assert_eq!(out.len(), 6);
}

#[test]
fn a_length_that_lies_does_not_hide_the_question_from_the_end_of_the_stream() {
    let mut lie = framed(&query(NAME));
    lie[0] = 0xff;

    let out = said(&lie, &[], usize::MAX);

    assert!(out.contains(&Said::Asked { name: Some(NAME.into()), url: None }));
}

#[test]
fn a_stream_goes_on_behind_a_hole() {
    let mut stream = Stream::default();
    let mut out = Vec::new();
    let framed = framed(&query(NAME));

    stream.take(Direction::ToServer, &framed[..5], Timestamp::UNIX_EPOCH, &mut out);
    stream.lost(Direction::ToServer, 30, &mut out);
    stream.take(Direction::ToServer, &framed, Timestamp::UNIX_EPOCH, &mut out);

    assert_eq!(out.len(), 3);
}

#[test]
fn a_message_that_is_none_does_not_end_dns_where_it_is_sure() {
    let question = simple_question("c2.evil.example");
    let framed =
        |message: &[u8]| [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    let none = framed(&[0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (is_sure, before, names, odd) in [
        (true, vec![], vec!["c2.evil.example"], 1),
        (false, vec![], vec![], 0),
        (true, framed(&question), vec!["c2.evil.example"; 2], 1),
        (false, framed(&question), vec!["c2.evil.example"], 0),
    ] {
        let (mut stream, mut out) = (Stream::new(is_sure), Vec::new());
        for bytes in [before, none.clone(), framed(&question)] {
            if !stream.is_other() {
                stream.take(Direction::ToServer, &bytes, Timestamp::UNIX_EPOCH, &mut out);
            }
        }
        let asked: Vec<_> = out
            .iter()
            .filter_map(|said| if let Said::Dns(dns) = said { Some(dns.query.to_string()) } else { None })
            .collect();
        assert_eq!((asked, stream.odd()), (names.iter().map(ToString::to_string).collect(), odd));
        assert_eq!(stream.is_other(), !is_sure);
        let is_scanned = |said: &Said| matches!(said, Said::Body { bytes, .. } if *bytes == none);
        assert_eq!(out.iter().any(is_scanned), odd > 0);
    }
}

fn simple_question(name: &str) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, size in 1usize..40) {
        message(&bytes);
        message(&[&query("x")[..HEADER], &bytes].concat());
        prop_assert_eq!(said(&bytes, &bytes, size), said(&bytes, &bytes, usize::MAX));
    }

    #[test]
    fn an_altered_answer_is_taken(at in 0usize..200, byte: u8) {
        let records = vec![RData::CNAME(CNAME(Name::new_unchecked("a.example"))), RData::A(A { address: 1 })];
        let mut bytes = answer(records).build_bytes_vec_compressed().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Some(dns) = message(&bytes) {
            prop_assert!(dns.query.raw().len() <= 253 && dns.answers.len() <= MAX_ANSWERS);
        }
    }

    #[test]
    fn what_another_library_writes_is_read(name in "([a-z0-9]{1,20}\\.){1,6}[a-z]{2,10}") {
        prop_assert_eq!(question(&query(&name)).map(|q| q.name), Some(name.into_bytes()));
    }
}

fn query(name: &str) -> Vec<u8> {
    let mut packet = Packet::new_query(7);
    let name = Name::new_unchecked(name);
    packet.questions.push(Asked::new(name, TYPE::A.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

fn answer(records: Vec<RData<'_>>) -> Packet<'_> {
    let mut packet = Packet::new_reply(7);
    packet.questions.push(Asked::new(Name::new_unchecked(NAME), TYPE::A.into(), CLASS::IN.into(), false));
    let record = |data| ResourceRecord::new(Name::new_unchecked(NAME), CLASS::IN, 60, data);
    packet.answers.extend(records.into_iter().map(record));
    packet
}

/// Writes an answer by hand: each record points to the question for its name.
fn answered(records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = query(NAME);
    bytes[2] |= RESPONSE;
    bytes[7] = u8::try_from(records.len()).unwrap();
    for (kind, content) in records {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        bytes.extend([&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, content].concat());
    }
    bytes
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

fn said(to_server: &[u8], to_client: &[u8], size: usize) -> Vec<Said> {
    let (mut stream, mut out) = (Stream::default(), Vec::new());
    for (direction, bytes) in [(Direction::ToServer, to_server), (Direction::ToClient, to_client)] {
        for part in bytes.chunks(size.min(bytes.len()).max(1)) {
            stream.take(direction, part, Timestamp::UNIX_EPOCH, &mut out);
        }
    }
    stream.end(Timestamp::UNIX_EPOCH, &mut out);
    out
}
