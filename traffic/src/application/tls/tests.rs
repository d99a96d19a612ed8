use khien_core::Sha256;
use proptest::prelude::*;

use super::{sample::*, *};

const NAME: &[u8] = b"c2.evil.example";

#[test]
fn a_whole_handshake_of_tls_1_2_is_told_with_its_certificate() {
    let said = said(CURL_1_2, usize::MAX);

    let tls = Tls {
        quic: false,
        sni: Some("www.example".into()),
        alpn: vec!["h2".into(), "http/1.1".into()],
        version: 0x0303,
        cipher: Some(0xc02c),
        ja4: khien_core::traffic::Ja4::new(b"t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"),
        subject: Some("C=VN, O=Khiên thử, CN=www.example".into()),
        issuer: Some("C=VN, O=Khiên thử, CN=www.example".into()),
        certificate: Some(Sha256::of(CERTIFICATE)),
    };
    assert_eq!(said, [asked("www.example"), Said::Tls(Box::new(tls))]);
}

#[test]
fn a_handshake_of_tls_1_3_is_told_without_certificate() {
    let tls = told(CURL_1_3);

    assert_eq!((tls.version, tls.cipher, tls.certificate), (0x0304, Some(0x1302), None));
    assert_eq!(tls.ja4.unwrap().as_str(), "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6");
}

#[test]
fn a_handshake_of_tls_1_0_is_told_with_its_certificate() {
    let tls = told(OLD);

    assert_eq!((tls.version, tls.certificate), (0x0301, Some(Sha256::of(CERTIFICATE))));
    assert_eq!(tls.ja4.unwrap().as_str(), "t10d230600_44099cda8a52_195413a0cc0f");
}

#[test]
fn a_server_that_wants_another_hello_is_heard_to_the_end() {
    let tls = told(RETRY);

    assert_eq!((tls.version, tls.cipher), (0x0304, Some(0x1302)));
    assert_eq!(tls.ja4.unwrap().as_str(), "t13d3111h2_e8f1e7e78f70_1f22a2ca17c4");
    // Not told before the second answer came.
    let (client, server) = RETRY;
    let mut handshake = Handshake::default();
    let mut out = Vec::new();
    take(&mut handshake, Direction::ToServer, client, &mut out);
    take(&mut handshake, Direction::ToClient, &server[..110], &mut out);
    assert_eq!((out.len(), handshake.is_done()), (1, false));
    take(&mut handshake, Direction::ToClient, &server[110..], &mut out);
    assert_eq!((out.len(), handshake.is_done(), handshake.held()), (2, true, 0));
}

#[test]
fn a_refused_handshake_is_told_with_what_the_client_wanted() {
    let tls = told(REFUSED);

    assert_eq!((tls.version, tls.cipher), (0x0304, None));
    assert_eq!(tls.ja4.unwrap().as_str(), "t13d041000_16476d049b0b_78f1d400d464");
}

#[test]
fn segments_of_any_size_say_the_same() {
    for talk in [CURL_1_2, CURL_1_3, OLD, RETRY, REFUSED] {
        let whole = said(talk, usize::MAX);
        for size in [1, 2, 3, 4, 5, 6, 7, 11, 100, 517] {
            assert_eq!(said(talk, size), whole, "{size}");
        }
    }
}

#[test]
fn records_of_any_size_say_the_same() {
    let whole = told(CURL_1_2);
    for size in [1, 2, 3, 5, 9, 10, 11, 64, 1000] {
        let client = records(&CURL_1_2.0[5..], size);
        // Hello, certificate, keys, done: whatever their records are.
        let server =
            [&CURL_1_2.1[5..98], &CURL_1_2.1[103..574], &CURL_1_2.1[579..695], &CURL_1_2.1[700..704]];
        let server = records(&server.concat(), size);

        let out = both(&client, &server);

        assert_eq!(out.last(), Some(&Said::Tls(Box::new(whole.clone()))), "{size}");
    }
}

#[test]
fn the_name_is_said_before_the_server_answers() {
    let mut handshake = Handshake::default();
    let mut out = Vec::new();

    take(&mut handshake, Direction::ToServer, CURL_1_3.0, &mut out);

    assert_eq!((out, handshake.is_done()), (vec![asked("www.example")], false));
}

#[test]
fn an_answer_that_was_captured_before_the_hello_waits_for_it() {
    for talk in [CURL_1_2, CURL_1_3] {
        let mut handshake = Handshake::default();
        let mut out = Vec::new();

        take(&mut handshake, Direction::ToClient, talk.1, &mut out);
        assert_eq!((out.len(), handshake.is_done()), (0, false));
        take(&mut handshake, Direction::ToServer, talk.0, &mut out);

        assert_eq!(out, said(talk, usize::MAX));
    }
}

#[test]
fn a_lost_part_leaves_what_is_known() {
    let mut handshake = Handshake::default();
    let mut out = Vec::new();
    take(&mut handshake, Direction::ToServer, CURL_1_2.0, &mut out);
    take(&mut handshake, Direction::ToClient, &CURL_1_2.1[..120], &mut out);

    handshake.lost(Direction::ToClient, 400, &mut out);

    assert!(
        matches!(&out[1], Said::Tls(tls) if tls.version == 0x0303 && tls.certificate.is_none()),
        "{out:?}"
    );
    assert!(handshake.is_done());
}

#[test]
fn the_end_tells_what_is_known() {
    let mut handshake = Handshake::default();
    let mut out = Vec::new();
    take(&mut handshake, Direction::ToServer, NAMELESS, &mut out);

    handshake.end(Timestamp::UNIX_EPOCH, &mut out);
    handshake.end(Timestamp::UNIX_EPOCH, &mut out);

    let [Said::Tls(tls)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((&tls.sni, tls.version, tls.cipher), (&None, 0x0303, None));
    assert_eq!(tls.ja4.unwrap().as_str(), "t12i280600_d943125447b4_e7e480e5a997");
}

#[test]
fn a_session_that_is_taken_up_again_is_told_without_certificate() {
    let server = [records(&CURL_1_2.1[5..98], usize::MAX), vec![20, 3, 3, 0, 1, 1]].concat();

    let out = both(CURL_1_2.0, &server);

    assert!(
        matches!(&out[1], Said::Tls(tls) if tls.cipher == Some(0xc02c) && tls.certificate.is_none()),
        "{out:?}"
    );
}

#[test]
fn a_certificate_that_cannot_be_read_still_has_a_digest() {
    let certificate = message(11, &[0, 0, 8, 0, 0, 5, 1, 2, 3, 4, 5]);
    let server = records(&[&CURL_1_2.1[5..98], &certificate].concat(), usize::MAX);

    let out = both(CURL_1_2.0, &server);

    let Some(Said::Tls(tls)) = out.last() else { panic!("{out:?}") };
    assert_eq!((tls.certificate, &tls.subject), (Some(Sha256::of(&[1, 2, 3, 4, 5])), &None));
}

#[test]
fn a_certificate_whose_length_lies_is_passed_over() {
    let lies = [
        message(11, &[0, 0, 8, 0, 0, 6, 1, 2, 3, 4, 5]),
        message(11, &[0, 0, 8, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5]),
        message(11, &[0, 0, 3, 0, 0, 0]),
        message(11, &[0, 0, 0]),
        message(11, &[]),
    ];
    for lie in lies {
        let server = records(&[&CURL_1_2.1[5..98], &lie, &message(14, &[])].concat(), usize::MAX);

        let out = both(CURL_1_2.0, &server);

        assert!(matches!(out.last(), Some(Said::Tls(tls)) if tls.certificate.is_none()), "{lie:?}: {out:?}");
    }
}

#[test]
fn a_name_stays_as_it_stood_on_the_wire() {
    for name in [&b"C2.Evil.EXAMPLE."[..], b"192.0.2.1", b"c2\x00.example", b"\xff\xfe", &[b'a'; 255]] {
        assert_eq!(sni(&[names(&[(0, name)])]).as_deref(), Some(name));
    }
}

#[test]
fn the_first_host_name_counts() {
    assert_eq!(sni(&[names(&[(0, NAME), (0, b"other.example")])]).as_deref(), Some(NAME));
    assert_eq!(sni(&[names(&[(7, b"\x01\x02"), (0, NAME)])]).as_deref(), Some(NAME));
    assert_eq!(sni(&[names(&[(0, NAME)]), names(&[(0, b"other.example")])]).as_deref(), Some(NAME));
}

#[test]
fn an_empty_name_or_one_of_another_kind_is_none_but_counts_for_the_fingerprint() {
    let hello = parsed(&[names(&[(7, NAME)])]);

    assert_eq!((sni(&[names(&[(0, b"")])]), &hello.sni), (None, &None));
    assert_eq!(&hello.tls(Carrier::Tcp).ja4.unwrap().as_str()[..8], "t12d0201");
}

#[test]
fn odd_extensions_do_not_hide_the_name() {
    let lie = {
        let mut lie = names(&[(0, NAME)]);
        lie[4..6].fill(0xff);
        lie
    };
    let odd = [extension(16, &[0, 9, 200]), extension(43, &[9]), extension(13, &[1]), extension(0x2a2a, &[])];

    assert_eq!(sni(&[odd.concat(), names(&[(0, NAME)])]).as_deref(), Some(NAME));
    assert_eq!(sni(&[lie]).as_deref(), Some(NAME), "the length of the list");
}

#[test]
fn grease_counts_nowhere() {
    let versions = extension(43, &[6, 0xfa, 0xfa, 3, 4, 3, 3]);
    let protocols = extension(16, &sized(b"\x02\x0a\x0a\x02h2"));
    let signatures = extension(13, &sized(&[0x1a, 0x1a, 4, 3]));
    let greases = [extension(0x0a0a, &[]), extension(0xfafa, &[0])];

    let hello = parsed(&[greases.concat(), versions, protocols, signatures]);

    assert_eq!((hello.wanted(), hello.ciphers.len(), hello.extensions.len()), (0x0304, 2, 3));
    assert_eq!((hello.alpn, hello.signatures), (vec![b"h2".to_vec()], vec![0x0403]));
}

#[test]
fn a_hello_without_extensions_is_read() {
    let body = [&[3, 1][..], &[9; 32], &[0], &sized(&[0, 5]), &[1, 0]].concat();

    let hello = ClientHello::parse(&body).unwrap();

    assert_eq!((hello.wanted(), hello.sni), (0x0301, None));
}

#[test]
fn a_large_hello_is_read_and_one_that_no_server_takes_is_not() {
    let of = |ciphers: usize| {
        let extensions = [extension(21, &[0; 65_000]), names(&[(0, NAME)])].concat();
        let ciphers = sized(&vec![5; ciphers]);
        message(1, &[&[3, 3][..], &[9; 32], &[0], &ciphers, &[1, 0], &sized(&extensions)].concat())
    };
    let beyond = [&[1, 2, 0x10, 1][..], &vec![0; 0x2_1001]].concat();

    assert_eq!(client_hello(&records(&of(65_534), 16_000)), Hello::Whole(Some(NAME.to_vec())));
    assert_eq!(client_hello(&records(&beyond, 16_000)), Hello::Not);
}

#[test]
fn empty_records_do_not_hide_the_name() {
    let whole = records(&hello(&[names(&[(0, NAME)])]), 20);
    let empty = [22, 3, 1, 0, 0];
    let stream: Vec<u8> = whole.chunks(25).flat_map(|record| [&empty, record].concat()).collect();

    assert_eq!(client_hello(&stream), Hello::Whole(Some(NAME.to_vec())));
}

#[test]
fn a_hello_that_is_cut_anywhere_asks_for_more() {
    let hello = records(&hello(&[names(&[(0, NAME)])]), 31);

    for end in 1..hello.len() {
        assert_eq!(client_hello(&hello[..end]), Hello::Partial, "{end}");
    }
    assert_eq!(client_hello(&hello), Hello::Whole(Some(NAME.to_vec())));
}

#[test]
fn other_streams_are_not_taken_for_tls() {
    let ssl_2 = [&[0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10][..], &[0; 37]].concat();
    let too_long = [22, 3, 1, 0xff, 0xff, 1, 0, 0, 50];
    for stream in [&b"GET / HTTP/1.1\r\n\r\n"[..], &ssl_2, &too_long, &[22, 3, 3, 0, 4, 2, 0, 0, 0]] {
        assert_eq!(client_hello(stream), Hello::Not);
        let mut handshake = Handshake::default();
        let mut out = Vec::new();
        take(&mut handshake, Direction::ToServer, stream, &mut out);
        take(&mut handshake, Direction::ToClient, b"220 mail.example ESMTP\r\n", &mut out);
        handshake.end(Timestamp::UNIX_EPOCH, &mut out);
        assert_eq!((out.len(), handshake.is_done(), handshake.held()), (0, false, 0), "{stream:?}");
    }
}

#[test]
fn a_hello_that_is_answered_in_plain_is_never_called_encrypted() {
    let mut handshake = Handshake::default();
    let mut out = Vec::new();

    take(&mut handshake, Direction::ToServer, CURL_1_3.0, &mut out);
    take(&mut handshake, Direction::ToClient, b"HTTP/1.1 400 Bad Request\r\n\r\n", &mut out);

    assert!(matches!(out[..], [Said::Asked { .. }, Said::Tls(_)]));
    assert!(!handshake.is_done());
}

#[test]
fn little_is_held_of_a_message_that_never_ends() {
    let mut handshake = Handshake::default();
    let mut out = Vec::new();
    let endless = records(&[&[11, 0xff, 0xff, 0xff][..], &[0; 60_000]].concat(), 16_000);

    take(&mut handshake, Direction::ToServer, CURL_1_2.0, &mut out);
    for bytes in [CURL_1_2.1[..98].to_vec(), endless].concat().chunks(1_400) {
        take(&mut handshake, Direction::ToClient, bytes, &mut out);
        assert!(handshake.held() < 2_048, "{}", handshake.held());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, size in 1usize..40) {
        client_hello(&bytes);
        client_hello(&[&[22, 3, 1, 0, 200, 1, 0, 0, 190][..], &bytes].concat());
        ClientHello::parse(&[&[3, 3][..], &[9; 32], &[0, 0, 2, 0, 5, 1, 0], &bytes].concat());
        for direction in [Direction::ToServer, Direction::ToClient] {
            let (mut handshake, mut out) = (Handshake::default(), Vec::new());
            bytes.chunks(size).for_each(|part| take(&mut handshake, direction, part, &mut out));
        }
    }

    #[test]
    fn an_altered_handshake_is_taken(at in 0usize..1500, byte: u8, size in 1usize..600) {
        let (mut client, mut server) = (CURL_1_2.0.to_vec(), CURL_1_2.1.to_vec());
        let side = if at < client.len() { &mut client } else { &mut server };
        let at = at % side.len();
        side[at] = byte;
        let (mut handshake, mut out) = (Handshake::default(), Vec::new());
        client.chunks(size).for_each(|part| take(&mut handshake, Direction::ToServer, part, &mut out));
        server.chunks(size).for_each(|part| take(&mut handshake, Direction::ToClient, part, &mut out));
        handshake.end(Timestamp::UNIX_EPOCH, &mut out);
        prop_assert!(out.len() <= 2);
        prop_assert_eq!(out, both(&client, &server));
    }
}

fn take(handshake: &mut Handshake, direction: Direction, bytes: &[u8], out: &mut Vec<Said>) {
    handshake.take(direction, bytes, Timestamp::UNIX_EPOCH, out);
}

/// Follows a talk in segments of at most so many bytes.
fn said((client, server): Talk, size: usize) -> Vec<Said> {
    let (mut handshake, mut out) = (Handshake::default(), Vec::new());
    for (direction, bytes) in [(Direction::ToServer, client), (Direction::ToClient, server)] {
        for part in bytes.chunks(size.min(bytes.len())) {
            take(&mut handshake, direction, part, &mut out);
        }
    }
    assert!(handshake.is_done(), "without waiting for the end");
    out
}

fn both(client: &[u8], server: &[u8]) -> Vec<Said> {
    let (mut handshake, mut out) = (Handshake::default(), Vec::new());
    take(&mut handshake, Direction::ToServer, client, &mut out);
    take(&mut handshake, Direction::ToClient, server, &mut out);
    handshake.end(Timestamp::UNIX_EPOCH, &mut out);
    out
}

fn told(talk: Talk) -> Tls {
    match said(talk, usize::MAX).pop() {
        Some(Said::Tls(tls)) => *tls,
        other => panic!("{other:?}"),
    }
}

fn parsed(extensions: &[Vec<u8>]) -> ClientHello {
    ClientHello::parse(&hello(extensions)[4..]).unwrap()
}

fn sni(extensions: &[Vec<u8>]) -> Option<Vec<u8>> {
    parsed(extensions).sni
}

fn asked(name: &str) -> Said {
    Said::Asked { name: Some(name.into()), url: None }
}
