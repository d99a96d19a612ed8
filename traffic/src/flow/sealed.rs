//! Two ends that shake hands as for TLS, and what they say then.

use super::{wire::*, *};
use crate::{
    application::tls::sample::{CURL_1_2, CURL_1_3, OLD, Talk},
    decode::sample::tcp_with,
};

const ENDS: [(&str, &str); 2] =
    [("192.0.2.1:40000", "198.51.100.2:443"), ("[2001:db8::1]:40000", "[2001:db8::2]:8443")];

/// Shakes hands.
fn handshake(ends: (&str, &str), (client, server): Talk) -> Wire {
    let mut wire = Wire::new(ends);
    wire.open();
    shake(&mut wire, (client, server));
    wire
}

fn shake(wire: &mut Wire, (client, server): Talk) {
    completed(client).chunks(1_000).for_each(|part| wire.say(part));
    completed(server).chunks(1_000).for_each(|part| wire.answer(part));
}

/// Ends the last record, which the samples do not.
fn completed(talk: &[u8]) -> Vec<u8> {
    let (mut all, mut end) = (talk.to_vec(), 0);
    while end < talk.len() {
        end += 5 + usize::from(u16::from_be_bytes([talk[end + 3], talk[end + 4]]));
    }
    all.resize(end, b'.');
    all
}

/// A record of so many bytes that may be encrypted.
fn record(length: u16) -> Vec<u8> {
    [&[23, 3, 3][..], &length.to_be_bytes(), &vec![b'.'; length.into()]].concat()
}

fn found(mut wire: Wire) -> usize {
    wire.wait(QUIET / MILLISECOND);
    wire.finish();
    wire.hits().len()
}

#[test]
fn what_follows_in_the_open_is_scanned_whoever_says_it() {
    for (ends, talk) in [(ENDS[0], CURL_1_2), (ENDS[0], CURL_1_3), (ENDS[1], OLD), (ENDS[1], CURL_1_3)] {
        for is_client in [true, false] {
            for part in [4, 1_000] {
                let mut wire = handshake(ends, talk);
                let begun = MARK.chunks(part);
                begun.for_each(|part| if is_client { wire.say(part) } else { wire.answer(part) });

                assert_eq!(found(wire), 1, "{is_client} {part}");
            }
        }
    }
}

#[test]
fn the_open_may_begin_behind_records_in_one_segment_with_them_and_out_of_order() {
    let text = [&record(700)[..], &record(0), b"and now ", MARK].concat();
    for is_reversed in [false, true] {
        let mut wire = handshake(ENDS[0], CURL_1_3);
        (0..600).for_each(|_| wire.say(&record(1_400)));
        let (from, back) = (wire.next[0], wire.next[1]);
        let mut parts: Vec<(usize, &[u8])> = text.chunks(100).enumerate().collect();
        if is_reversed {
            parts.reverse();
        }
        for (n, part) in parts {
            let seq = from.wrapping_add(u32::try_from(n * 100).unwrap());
            wire.send(true, &tcp_with(ACK, seq, back, part));
        }

        assert_eq!(found(wire), 1, "{is_reversed}");
    }
}

#[test]
fn the_open_behind_a_handshake_in_a_tunnel_of_http_or_behind_starttls_is_scanned() {
    let mut proxy = Wire::new(("192.0.2.1:40000", "198.51.100.2:8080"));
    proxy.open();
    proxy.say(b"CONNECT web.example:443 HTTP/1.1\r\nHost: web.example\r\n\r\n");
    proxy.answer(b"HTTP/1.1 200 OK\r\n\r\n");
    let mut mail = Wire::new(("192.0.2.1:40000", "198.51.100.2:25"));
    mail.open();
    for (said, answered) in
        [("", "220 mail ESMTP\r\n"), ("EHLO pc\r\n", "250 STARTTLS\r\n"), ("STARTTLS\r\n", "220 go\r\n")]
    {
        mail.say(said.as_bytes());
        mail.answer(answered.as_bytes());
    }

    for mut wire in [proxy, mail] {
        shake(&mut wire, CURL_1_3);
        wire.say(&record(900));
        let before = wire.hits().len();
        wire.say(MARK);

        assert_eq!(found(wire) - before, 1);
    }
}

#[test]
fn records_are_not_scanned_and_behind_a_mebibyte_or_a_hole_each_way_nothing_is_held() {
    let mut wire = handshake(ENDS[0], CURL_1_3);
    (0..100).for_each(|_| wire.say(&[&record(1_000)[..], &record(300)].concat()));
    wire.say(&[&[23, 3, 3, 0, 60][..], &[MARK, MARK, MARK].concat()[..60]].concat());
    assert!(wire.told.jobs.is_empty() && wire.engine.held() > 0);
    (0..1_000).for_each(|_| wire.say(&record(1_400)));
    assert_eq!(wire.engine.held(), 0);
    wire.say(MARK);
    assert_eq!(found(wire), 0, "which is said where limits are");

    let mut wire = handshake(ENDS[0], CURL_1_3);
    wire.next = wire.next.map(|next| next + 1_000);
    wire.say(&record(100));
    wire.answer(&record(100));
    (0..3).for_each(|_| wire.wait(1_100));
    wire.say(&record(100));
    assert_eq!((wire.engine.held(), wire.told.jobs.len()), (0, 0));
}

#[test]
fn what_is_encrypted_makes_room_before_what_is_read_and_is_no_loss() {
    let limits = Limits { bytes: 64 << 10, ..Limits::default() };
    let mut wire = Wire::with(("192.0.2.1:40000", "198.51.100.2:7000"), limits);
    wire.open();
    let (first, rest) = MARK.split_at(9);
    wire.say(first);
    let mut next = wire.next;

    for n in 0..300 {
        let client = format!("192.0.2.1:{}", 41_000 + n);
        wire.between((&client, ENDS[0].1));
        wire.open();
        shake(&mut wire, CURL_1_3);
    }
    let counts = wire.engine.take_counts();
    assert!(wire.engine.held() <= limits.bytes);
    // The first of them is not watched any more, and not taken for something else.
    wire.between(("192.0.2.1:41000", ENDS[0].1));
    let said = [CURL_1_3.0, CURL_1_3.1].map(|talk| u32::try_from(completed(talk).len()).unwrap() + 1);
    wire.next = [1000 + said[0], 5000 + said[1]];
    (0..20).for_each(|_| wire.say(&record(1_000)));
    wire.wait(QUIET / MILLISECOND);
    assert!(wire.told.jobs.iter().all(|job| job.facts.client.port() == 40_000));
    wire.between(("192.0.2.1:40000", "198.51.100.2:7000"));
    std::mem::swap(&mut wire.next, &mut next);
    wire.say(rest);

    assert_eq!((counts.hushed, found(wire)), (0, 1));
}
