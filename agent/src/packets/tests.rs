use std::net::SocketAddr;

use khien_core::{IncidentId, event::Transport};

use super::*;

/// Makes an Ethernet frame with a TCP segment.
pub(super) fn frame(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let [from, to]: [SocketAddr; 2] = [from, to].map(|end| end.parse().unwrap());
    let mut tcp = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    tcp.extend([0; 8]);
    tcp.extend([0x50, 0x18, 0, 0, 0, 0, 0, 0]);
    tcp.extend(payload);
    let length = u16::try_from(tcp.len()).unwrap();
    let (kind, ip) = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            let mut ip = vec![0x45, 0];
            ip.extend((length + 20).to_be_bytes());
            ip.extend([0, 0, 0, 0, 64, 6, 0, 0]);
            ip.extend([from.ip().octets(), to.ip().octets()].concat());
            ([8, 0], ip)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            let mut ip = vec![0x60, 0, 0, 0];
            ip.extend(length.to_be_bytes());
            ip.extend([6, 64]);
            ip.extend([from.ip().octets(), to.ip().octets()].concat());
            ([0x86, 0xdd], ip)
        }
        _ => panic!("two families"),
    };
    [&[0x02; 12][..], &kind, &ip, &tcp].concat()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + second).unwrap()
}

fn take(packets: &Packets, second: i64, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap();
    packets.take(&Seen { interface: 0, link: Link::Ethernet, at: at(second), vlan: None, bytes, length });
}

fn target(seconds: u32, most_bytes: u64) -> PacketTarget {
    PacketTarget::new(IncidentId { year: 2026, number: 3 }, seconds, most_bytes).unwrap()
}

/// Returns the bytes of the packets in a file, and its comment.
fn read(file: &[u8]) -> (Vec<Vec<u8>>, String) {
    let (mut packets, mut comment, mut rest) = (Vec::new(), String::new(), file);
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    while !rest.is_empty() {
        let (block, after) = rest.split_at(number(rest, 4));
        assert_eq!(number(block, block.len() - 4), block.len());
        match number(block, 0) {
            6 => packets.push(block[28..28 + number(block, 20)].to_vec()),
            0x0a0d_0d0a => comment = String::from_utf8_lossy(block).into_owned(),
            _ => {}
        }
        rest = after;
    }
    (packets, comment)
}

fn saved(packets: &Packets, target: &PacketTarget, now: i64) -> Vec<Vec<u8>> {
    let mut file = Vec::new();
    let many = packets.save(target, at(now), &mut file).unwrap();
    let (found, _) = read(&file);
    assert_eq!(found.len(), many);
    assert!(file.len() as u64 <= target.most_bytes(), "{}", file.len());
    found
}

fn ends(flow: u64, client: &str, server: &str) -> Ends {
    let [client, server] = [client, server].map(|end| end.parse().unwrap());
    let transport = Transport::Tcp;
    Ends {
        flow,
        interface: "eth0".into(),
        vlan: Vec::new(),
        tunnel: None,
        transport,
        client,
        server,
        saw_syn: false,
    }
}

#[test]
fn the_packets_of_the_last_seconds_are_saved_and_those_of_one_host_and_port_alone() {
    let packets = Packets::new(1 << 20);
    let one = frame("192.0.2.1:5000", "203.0.113.7:443", b"one");
    let back = frame("203.0.113.7:443", "192.0.2.1:5000", b"back");
    let other = frame("192.0.2.1:5001", "198.51.100.2:80", b"other");
    for (second, bytes) in [(0, &one), (50, &back), (55, &other), (58, &one)] {
        take(&packets, second, bytes);
    }

    assert_eq!(saved(&packets, &target(60, 1 << 20), 60).len(), 4);
    assert_eq!(saved(&packets, &target(10, 1 << 20), 60), [back.clone(), other.clone(), one.clone()]);
    let host = target(10, 1 << 20).only(Some("203.0.113.7".parse().unwrap()), None);
    assert_eq!(saved(&packets, &host, 60), [back, one]);
    assert_eq!(saved(&packets, &target(10, 1 << 20).only(None, Some(80)), 60), [other]);
    let nobody = target(60, 1 << 20).only(None, Some(81));
    assert!(saved(&packets, &nobody, 60).is_empty());
}

#[test]
fn of_more_than_fits_the_newest_are_saved_and_the_file_says_how_many_are_not() {
    let packets = Packets::new(1 << 20);
    for second in 0..100 {
        take(&packets, second, &frame("192.0.2.1:5000", "203.0.113.7:443", &[b'x'; 900]));
    }

    let (target, mut file) = (target(200, 30 << 10), Vec::new());
    let many = packets.save(&target, at(100), &mut file).unwrap();

    assert!((10..30).contains(&many) && file.len() <= 30 << 10, "{many} in {}", file.len());
    let (_, comment) = read(&file);
    assert!(comment.contains(&format!("{} older packets did not fit", 100 - many)), "{comment}");
}

#[test]
fn an_alert_holds_its_flow_when_the_ring_has_moved_on() {
    let packets = Packets::new(64 << 10);
    let mine = frame("192.0.2.1:5000", "203.0.113.7:443", b"mine");
    let back = frame("203.0.113.7:443", "192.0.2.1:5000", b"back");
    let other = frame("192.0.2.1:5001", "203.0.113.7:443", &[b'x'; 1_000]);
    take(&packets, 0, &mine);
    take(&packets, 1, &other);
    packets.hold(&ends(7, "192.0.2.1:5000", "203.0.113.7:443"));
    take(&packets, 2, &back);
    packets.hold(&ends(7, "192.0.2.1:5000", "203.0.113.7:443"));

    assert_eq!(saved(&packets, &target(10, 1 << 20), 10).len(), 3, "each once");
    (0..200).for_each(|second| take(&packets, 1_000 + second, &other));
    let later = target(1, 1 << 20).only(None, Some(5_000));

    assert_eq!(saved(&packets, &later, 5_000), [mine, back]);
}

#[test]
fn an_alert_costs_nobody_a_walk_through_the_ring_and_holds_its_flow_while_frames_come() {
    let packets = Packets::new(1 << 20);
    let other = frame("192.0.2.1:5001", "203.0.113.7:443", b"other");
    let mine = frame("192.0.2.1:5000", "203.0.113.7:443", b"mine");
    (0..300).for_each(|second| take(&packets, second, &other));
    take(&packets, 300, &mine);
    packets.hold(&ends(7, "192.0.2.1:5000", "203.0.113.7:443"));
    let is_held = || packets.locked().holds.all().first().map(|held| held.frames[0].1.clone());
    assert_eq!(is_held(), None);

    let frames = (300..400).take_while(|second| {
        take(&packets, *second, &other);
        is_held().is_none()
    });

    assert_eq!(frames.count() as u64, 300 / hold::FOR_EACH);
    assert_eq!(is_held(), Some(mine));
}

#[test]
fn what_is_kept_and_what_is_looked_for_stays_when_capture_begins_anew_with_other_interfaces() {
    let packets = Packets::new(1 << 20);
    let named = |names: &[&str]| packets.name(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    let mine = frame("192.0.2.1:5000", "203.0.113.7:443", b"mine");
    let other = frame("192.0.2.1:5001", "203.0.113.7:443", b"other");
    let seen =
        |interface, bytes| Seen { interface, link: Link::Ethernet, at: at(0), vlan: None, bytes, length: 60 };
    assert_eq!(named(&["tun0", "eth0"]), [0, 1]);
    (0..100).for_each(|_| packets.take(&seen(0, &other)));
    packets.take(&seen(1, &mine));
    packets.hold(&ends(7, "192.0.2.1:5000", "203.0.113.7:443"));
    let held = || packets.locked().holds.all();
    assert!(held().is_empty(), "it is looked for while frames come");

    assert_eq!(named(&["eth0", "tun1"]), [1, 2]);
    (0..100).for_each(|_| packets.take(&seen(2, &other)));

    let [held] = &held()[..] else { panic!("not held") };
    assert_eq!(held.frames.iter().map(|(facts, _)| facts.interface).collect::<Vec<_>>(), [1]);
    let mut file = Vec::new();
    packets.save(&target(60, 1 << 20), at(1), &mut file).unwrap();
    for name in ["tun0", "eth0", "tun1"] {
        let times = file.windows(4).filter(|bytes| *bytes == name.as_bytes()).count();
        assert_eq!(times, 1, "{name}");
    }
}

#[test]
fn names_of_interfaces_are_bounded_and_those_that_are_known_stay() {
    let packets = Packets::new(1 << 16);
    let number = |n: usize| packets.name(&[format!("tun{n}")])[0];

    assert!((0..2 * MOST_NAMES).all(|n| number(n) == n.min(MOST_NAMES)));

    assert_eq!((number(3), packets.locked().names.len()), (3, MOST_NAMES));
}

#[test]
fn what_alerts_hold_is_bounded() {
    let packets = Packets::new(8 << 20);
    for second in 0..2_000 {
        take(&packets, second, &frame("192.0.2.1:5000", "203.0.113.7:443", &[b'x'; 1_000]));
    }
    for flow in 0..200 {
        packets.hold(&ends(flow, "192.0.2.1:5000", "203.0.113.7:443"));
    }

    packets.in_slices(|kept| kept.holds.look(&kept.ring, AT_ONCE));

    let held = packets.locked().holds.all();
    assert_eq!(held.len(), hold::MOST_HELD);
    assert!(held.iter().all(|held| held.bytes <= hold::HELD_BYTES && held.bytes > hold::HELD_BYTES / 2));
}

#[test]
fn frames_come_in_while_an_order_walks_and_what_they_overwrite_is_told() {
    let mut ring = Ring::new(1 << 20);
    let facts = |second| Facts { interface: 0, link: Link::Ethernet, at: at(second), length: 60 };
    (0..1_500).for_each(|second| ring.put(facts(second), &[7; 60], None));
    let target = target(60, 1 << 20);
    let since = |second| Walk::new(&target, at(second), (ring.numbers(), Vec::new()));
    let (mut all, mut some) = (since(0), since(1_400));

    let mut slices = 0;
    while all.step(&ring) | some.step(&ring) {
        slices += 1;
        (0..300).for_each(|second| ring.put(facts(9_000 + second), &[8; 60], None));
    }

    let (all, some) = (all.end(), some.end());
    assert!(slices > 1);
    assert!(
        all.frames.iter().chain(&some.frames).all(|(facts, bytes)| bytes == &[7; 60] && facts.at < at(1_500))
    );
    assert_eq!(all.frames.len() as u64 + all.overwritten, 1_500);
    assert!(all.overwritten > 0);
    assert_eq!((some.frames.len(), some.overwritten), (100, 0), "what was not asked for is not missed");
    assert!(all.frames.is_sorted_by_key(|(facts, _)| facts.at));
}

#[test]
fn the_file_says_what_was_overwritten() {
    let packets = [(Facts { interface: 0, link: Link::Ethernet, at: at(0), length: 60 }, vec![7; 60])];
    let target = target(60, 1 << 20);
    let comment = |overwritten| {
        let mut out = Vec::new();
        let about = file::About { target: &target, left_out: 0, overwritten, names: &[] };
        file::write(&mut out, &about, &packets).unwrap();
        read(&out).1
    };

    assert!(comment(5).contains("; 5 more were overwritten before they were looked at"));
    assert!(!comment(0).contains("overwritten"));
}
