use std::sync::Arc;

use khien_core::Lang;
use khien_traffic::{
    decode::{Frame, Link},
    pcap::write::{About, Writer},
};

use super::{super::told::Teller, *};

const CLIENT: [u8; 4] = [192, 0, 2, 7];
const SERVER: [u8; 4] = [198, 51, 100, 8];
/// Of one segment, as hosts hand them to their cards.
const SEGMENT: usize = 60_000;

/// How the checksum of TCP is written.
#[derive(Clone, Copy)]
enum Sum {
    Right,
    Wrong,
    /// Left to the card: the sum of the pseudo header alone.
    Unfinished,
}

fn folded(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

fn segment(is_client: bool, [seq, ack]: [u32; 2], flags: u8, body: &[u8], sum: Sum) -> Vec<u8> {
    let ports = if is_client { [0x41, 0, 0, 80] } else { [0, 80, 0x41, 0] };
    let (from, to) = if is_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let mut tcp =
        [&ports[..], &seq.to_be_bytes(), &ack.to_be_bytes(), &[0x50, flags, 255, 255, 0, 0, 0, 0], body]
            .concat();
    let pseudo = [&from[..], &to, &[0, 6], &u16::try_from(tcp.len()).unwrap().to_be_bytes()].concat();
    let value = match sum {
        Sum::Right => !folded(&[&pseudo[..], &tcp].concat()),
        Sum::Wrong => !folded(&[&pseudo[..], &tcp].concat()) ^ 0x0101,
        Sum::Unfinished => folded(&pseudo),
    };
    tcp[16..18].copy_from_slice(&value.to_be_bytes());
    let [high, low] = u16::try_from(tcp.len() + 20).unwrap().to_be_bytes();
    let mut head = [&[0x45, 0, high, low, 0, 0, 0x40, 0, 64, 6, 0, 0][..], &from, &to].concat();
    let sum = !folded(&head);
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    [head, tcp].concat()
}

/// Looks at a page that is asked for and comes with these fields and this body.
fn seen(fields: &str, body: &[u8], sum: Sum) -> Seen {
    let asked = b"GET /tai/a.bin HTTP/1.1\r\nHost: cong.example\r\n\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    let answer = [head.as_bytes(), body].concat();
    let asked_end = 101 + u32::try_from(asked.len()).unwrap();
    let mut packets = vec![
        segment(true, [100, 0], 2, b"", sum),
        segment(false, [500, 101], 0x12, b"", sum),
        segment(true, [101, 501], 0x18, asked, sum),
    ];
    let mut at = 501;
    for part in answer.chunks(SEGMENT) {
        packets.push(segment(false, [at, asked_end], 0x18, part, sum));
        at += u32::try_from(part.len()).unwrap();
    }
    packets.push(segment(false, [at, asked_end], 0x11, b"", sum));
    packets.push(segment(true, [asked_end, at + 1], 0x11, b"", sum));

    let mut writer = Writer::new(Vec::new(), &About::default()).unwrap();
    let interface = writer.interface(b"eth0", Link::Ip).unwrap();
    for (number, bytes) in packets.iter().enumerate() {
        let at = format!("2026-11-23T07:00:00.{number:03}Z").parse().unwrap();
        let length = u32::try_from(bytes.len()).unwrap();
        writer.packet(&Frame { interface, link: Link::Ip, at, vlan: None, bytes, length }).unwrap();
    }
    let source: Box<dyn Read> = Box::new(io::Cursor::new(writer.into_inner()));
    let reader = Reader::new(read::plain(source).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut run = Run {
        lang: Lang::En,
        json: true,
        runtime,
        ready: None,
        events: None,
        teller: Teller::new(Lang::En, true),
        wish: Arc::default(),
        seed: [1, 2],
    };
    Look::new(&mut run, Path::new("a.pcapng"), reader).run(0).unwrap()
}

#[test]
fn a_file_of_which_only_the_beginning_was_kept_is_not_clean() {
    for (mib, partly) in [(7, 0), (9, 1)] {
        let seen = seen("", &vec![b'x'; mib << 20], Sum::Right);

        assert_eq!((seen.carried, seen.partly, seen.is_whole()), (1, partly, partly == 0), "{mib} MiB");
    }
}

#[test]
fn a_file_that_stays_packed_is_not_clean() {
    let seen = seen("Content-Encoding: br\r\n", &[b'x'; 400], Sum::Right);

    assert_eq!((seen.carried, seen.partly, seen.is_whole()), (1, 1, false));
}

#[test]
fn a_capture_of_a_sending_host_is_clean_and_one_that_every_host_would_refuse_is_not() {
    for (sum, carried, is_whole) in
        [(Sum::Right, 1, true), (Sum::Unfinished, 1, true), (Sum::Wrong, 0, false)]
    {
        let seen = seen("", &[b'x'; 4_000], sum);

        assert_eq!((seen.carried, seen.is_whole()), (carried, is_whole));
    }
}
