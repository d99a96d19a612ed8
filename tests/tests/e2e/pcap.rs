//! Scan files of packets: what is listed and what is carried is an alert, and what could not be looked at is never clean.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use khien_traffic::{
    decode::{Frame, Link},
    pcap::write::{About, Writer},
};
use serde_json::Value;

use crate::{harness::web_shell, place::program};

/// A name of the base pack's list.
pub(crate) const LISTED: &str = "c2.khien-test.example";
const CLIENT: [u8; 4] = [192, 0, 2, 7];
const SERVER: [u8; 4] = [198, 51, 100, 8];

fn scan(file: &Path, args: &[&str]) -> Output {
    Command::new(program("khien"))
        .args(["pcap", "scan", "--lang", "en"])
        .args(args)
        .arg(file)
        .output()
        .unwrap()
}

fn lines(out: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&out.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

/// A packet of IPv4 with right sums; `at` is where that of the transport stands.
fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, at: usize, mut payload: Vec<u8>) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let pseudo = [&from[..], &to, &[0, protocol], &length, &payload].concat();
    payload[at..at + 2].copy_from_slice(&sum(&pseudo));
    let [high, low] = (payload.len() as u16 + 20).to_be_bytes();
    let mut head = [&[0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0][..], &from, &to].concat();
    let head_sum = sum(&head);
    head[10..12].copy_from_slice(&head_sum);
    [head, payload].concat()
}

pub(crate) fn question(name: &str) -> Vec<u8> {
    let mut dns = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        dns.push(label.len() as u8);
        dns.extend(label.as_bytes());
    }
    dns.extend([0, 0, 1, 0, 1]);
    let length = (dns.len() as u16 + 8).to_be_bytes();
    packet(CLIENT, SERVER, 17, 6, [&[0x40, 0, 0, 53][..], &length, &[0, 0], &dns].concat())
}

fn segment(is_client: bool, seq: u32, ack: u32, flags: u8, body: &[u8]) -> Vec<u8> {
    let ports = if is_client { [0x41, 0, 0, 80] } else { [0, 80, 0x41, 0] };
    let head =
        [&ports[..], &seq.to_be_bytes(), &ack.to_be_bytes(), &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]].concat();
    let (from, to) = if is_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    packet(from, to, 6, 16, [&head, body].concat())
}

/// A page that is asked for and comes with this body.
pub(crate) fn download(body: &str) -> Vec<Vec<u8>> {
    let asked = b"GET /tai/a.php HTTP/1.1\r\nHost: cong.example\r\n\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (asked_end, answer_end) = (101 + asked.len() as u32, 501 + answer.len() as u32);
    vec![
        segment(true, 100, 0, 2, b""),
        segment(false, 500, 101, 0x12, b""),
        segment(true, 101, 501, 0x10, b""),
        segment(true, 101, 501, 0x18, asked),
        segment(false, 501, asked_end, 0x18, answer.as_bytes()),
        segment(false, answer_end, asked_end, 0x11, b""),
        segment(true, asked_end, answer_end + 1, 0x11, b""),
        segment(false, answer_end + 1, asked_end + 1, 0x10, b""),
    ]
}

/// A page whose body is so long that it comes in many segments.
fn long_download(size: usize) -> Vec<Vec<u8>> {
    let asked = b"GET /tai/b.bin HTTP/1.1\r\nHost: cong.example\r\n\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "a".repeat(size));
    let asked_end = 101 + asked.len() as u32;
    let mut packets = vec![
        segment(true, 100, 0, 2, b""),
        segment(false, 500, 101, 0x12, b""),
        segment(true, 101, 501, 0x18, asked),
    ];
    let mut seq = 501;
    for piece in answer.as_bytes().chunks(60_000) {
        packets.push(segment(false, seq, asked_end, 0x18, piece));
        seq += piece.len() as u32;
        packets.push(segment(true, asked_end, seq, 0x10, b""));
    }
    packets.push(segment(false, seq, asked_end, 0x11, b""));
    packets.push(segment(true, asked_end, seq + 1, 0x11, b""));
    packets.push(segment(false, seq + 1, asked_end + 1, 0x10, b""));
    packets
}

pub(crate) fn file(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &About::default()).unwrap();
    let interface = writer.interface(b"eth0", Link::Ip).unwrap();
    for (number, bytes) in packets.iter().enumerate() {
        let at = format!("2026-11-23T07:00:00.{number:03}Z").parse().unwrap();
        let length = bytes.len() as u32;
        writer.packet(&Frame { interface, link: Link::Ip, at, vlan: None, bytes, length }).unwrap();
    }
    writer.into_inner()
}

#[test]
fn a_listed_name_and_a_carried_web_shell_are_alerts_with_their_flow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcapng");
    fs::write(&path, file(&[vec![question(LISTED)], download(&web_shell("pcap"))].concat())).unwrap();
    let events = dir.path().join("events");

    let out = scan(&path, &["--json", "--events", events.to_str().unwrap()]);

    let said = lines(&out);
    assert_eq!(out.status.code(), Some(1), "{said:?} {}", String::from_utf8_lossy(&out.stderr));
    let listed = said.iter().find(|a| a["flow"]["name"] == LISTED).unwrap();
    assert_eq!(listed["flow"]["client"], "192.0.2.7:16384");
    assert_eq!(listed["first_seen"], "2026-11-23T07:00:00Z");
    let shell = said.iter().find(|a| a["rule"].as_str().is_some_and(|r| r.starts_with("webshell."))).unwrap();
    assert_eq!(shell["flow"]["server"], "198.51.100.8:80");
    assert_eq!(shell["flow"]["direction"], "to_client");
    assert!(shell["title"]["vi"].is_string() && shell["explanation"]["en"].is_string(), "{shell}");
    let summary = &said.last().unwrap()["summary"];
    assert_eq!(
        (&summary["packets"], &summary["whole"], &summary["exit"]),
        (&9.into(), &true.into(), &1.into())
    );
    let records: Vec<Value> = fs::read_to_string(&events)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(records.iter().all(|r| r["capture"] == path.to_str().unwrap() && r["interface"] == "eth0"));
    assert_eq!((&shell["capture"], &shell["flow"]["interface"]), (&path.to_str().into(), &"eth0".into()));
    let kinds: Vec<Value> = records.iter().map(|record| record["kind"].clone()).collect();
    for kind in ["dns", "http", "file", "flow"] {
        assert!(kinds.contains(&kind.into()), "{kind} in {kinds:?}");
    }
}

#[test]
fn what_could_not_be_looked_at_is_never_clean() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcapng");
    let good = file(&[question("tinh.example"), question("xa.example")]);
    let code = |bytes: &[u8], args: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let out = scan(&path, args);
        (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
    };

    assert_eq!(code(&good, &[]).0, 0);
    let (cut, said) = code(&good[..good.len() - 9], &[]);
    assert_eq!(cut, 3);
    assert!(said.contains("1 packets") && said.contains("ends in the middle of a packet"), "{said}");
    let mut spoilt = question("xa.example");
    *spoilt.last_mut().unwrap() ^= 1;
    let (refused, said) = code(&file(&[question("tinh.example"), spoilt]), &[]);
    assert_eq!(refused, 3, "what a receiver drops was not followed: {said}");
    assert!(said.contains("1 packets have a wrong checksum"), "{said}");
    assert_eq!(code(b"GIF89a, which is a picture and no capture", &[]).0, 2);
    assert_eq!(code(&good, &["--json", "--events", "-"]).0, 2);
}

/// The rule wants the empty line before its text: no carried file has that, and the piece has both.
#[test]
fn what_stands_across_head_and_body_is_found_in_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcapng");
    let body = String::from_utf8(khien_rules::sample::eicar()).unwrap();
    fs::write(&path, file(&download(&body))).unwrap();

    let said = lines(&scan(&path, &["--json"]));

    let in_stream = |alert: &&Value| alert["rule"] == "test.eicar" && alert["sha256"].is_null();
    assert_eq!(said.iter().filter(in_stream).count(), 1, "{said:?}");
    assert_eq!(
        said.last().unwrap()["summary"]["pieces"],
        2,
        "the request is counted, though no rule can match it"
    );
}

#[test]
fn a_carried_file_of_which_a_part_was_scanned_is_not_clean() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcapng");
    fs::write(&path, file(&long_download(9 << 20))).unwrap();

    let out = scan(&path, &["--json"]);

    let summary = &lines(&out).pop().unwrap()["summary"];
    assert_eq!((&summary["missing"], &summary["carried"]), (&0.into(), &1.into()), "{summary}");
    assert_eq!((&summary["not_scanned"], &summary["whole"]), (&1.into(), &false.into()), "{summary}");
    assert_eq!(out.status.code(), Some(3));
}

#[test]
fn yara_rules_of_others_look_into_what_was_carried() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rules) = (dir.path().join("a.pcapng"), dir.path().join("a.yar"));
    fs::write(&path, file(&download("công văn số 7"))).unwrap();
    let letter = "rule letter { strings: $a = \"văn số\" condition: $a }";
    let asks = "rule asks_for_it { strings: $a = \"GET /tai/a.php\" condition: $a at 0 }";
    fs::write(&rules, [letter, asks].join("\n")).unwrap();

    let out = scan(&path, &["--rules", rules.to_str().unwrap()]);

    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("192.0.2.7:16640 → 198.51.100.8:80"), "{said}");
    assert!(
        said.contains("letter") && said.contains("asks_for_it"),
        "pieces are held against them, too: {said}"
    );
}
