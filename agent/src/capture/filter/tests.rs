//! The program against a machine that runs it as the kernel would, over frames made by hand.

use proptest::prelude::*;

use super::*;

const HUB_V4: &str = "192.0.2.1:8443";
const HUB_V6: &str = "[2001:db8::1]:8443";

fn hub() -> Cut {
    Cut { own: vec![HUB_V4.parse().unwrap(), HUB_V6.parse().unwrap()], trusted: Vec::new() }
}

fn trusting(networks: &[&str]) -> Cut {
    Cut { own: Vec::new(), trusted: networks.iter().map(|n| n.parse().unwrap()).collect() }
}

/// An IP packet with ports.
fn packet(protocol: u8, from: &str, to: &str) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let head = match (from.ip(), to.ip()) {
        // Six words of header, so that whoever counts on five reads the wrong ports.
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            [&[0x46, 0, 0, 60, 0, 1, 0, 0, 64, protocol, 0, 0][..], &a.octets(), &b.octets(), &[1, 1, 1, 1]]
                .concat()
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            [&[0x60, 0, 0, 0, 0, 40, protocol, 64][..], &a.octets(), &b.octets()].concat()
        }
        _ => panic!("addresses of two families"),
    };
    [&head[..], &ports, &[0; 40]].concat()
}

fn ethernet(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut out = vec![2; 12];
    for tag in tags {
        out.extend_from_slice(&[tag.to_be_bytes(), [0, 7]].concat());
    }
    out.extend_from_slice(if packet[0] >> 4 == 4 { &[0x08, 0x00] } else { &[0x86, 0xdd] });
    out.extend_from_slice(packet);
    out
}

/// Runs a program as the kernel does: a load beyond the packet ends it with nothing.
fn run(program: &[Instruction], frame: &[u8]) -> u32 {
    let load = |from: u32, size: usize| frame.get(from as usize..from as usize + size).map(word);
    let (mut a, mut x, mut next) = (0u32, 0u32, 0usize);
    loop {
        let Instruction { code, yes, no, k } = program[next];
        next += 1;
        let loaded = match code {
            LOAD_WORD => load(k, 4),
            LOAD_HALF => load(k, 2),
            LOAD_BYTE => load(k, 1),
            LOAD_HALF_AT_X => load(k + x, 2),
            X_IS_HEADER => {
                let Some(byte) = load(k, 1) else { return 0 };
                x = (byte & 0xf) * 4;
                Some(a)
            }
            AND => Some(a & k),
            JUMP => {
                next += k as usize;
                Some(a)
            }
            IF_EQUAL => {
                next += usize::from(if a == k { yes } else { no });
                Some(a)
            }
            IF_ANY_SET => {
                next += usize::from(if a & k != 0 { yes } else { no });
                Some(a)
            }
            RETURN => return k,
            other => panic!("an instruction of code {other:#x}"),
        };
        let Some(loaded) = loaded else { return 0 };
        a = loaded;
    }
}

#[test]
fn of_the_agents_own_packets_a_few_bytes_come_up_and_of_others_all() {
    let both = [
        (6, "192.0.2.9:4000", HUB_V4, OWN),
        (6, HUB_V4, "192.0.2.9:4000", OWN),
        (6, "[2001:db8::9]:4000", HUB_V6, OWN),
        (6, HUB_V6, "[2001:db8::9]:4000", OWN),
        (17, "192.0.2.9:4000", HUB_V4, WHOLE),
        (6, "192.0.2.9:4000", "192.0.2.1:443", WHOLE),
        (6, "192.0.2.9:8443", "192.0.2.2:8443", WHOLE),
        (6, "192.0.2.1:4000", "192.0.2.9:8443", WHOLE),
        (6, "[2001:db8::9]:8443", "[2001:db8::2]:8443", WHOLE),
        (6, "[2001:db8::1]:4000", "[2001:db8::9]:8443", WHOLE),
    ];
    for (protocol, from, to, keep) in both {
        let packet = packet(protocol, from, to);
        for tags in [&[][..], &[0x8100], &[0x88a8]] {
            let got = run(&hub().program(Link::Ethernet), &ethernet(tags, &packet));
            assert_eq!(got, keep, "{protocol} {from} {to} {tags:x?}");
        }
        assert_eq!(run(&hub().program(Link::Ip), &packet), keep, "{protocol} {from} {to}");
    }
}

#[test]
fn a_fragment_has_no_ports_and_is_looked_into() {
    let mut packet = packet(6, "192.0.2.9:4000", HUB_V4);
    packet[7] = 1;

    assert_eq!(run(&hub().program(Link::Ip), &packet), WHOLE);
}

#[test]
fn of_trusted_networks_a_few_bytes_come_up_over_tcp_and_udp() {
    let cut = trusting(&["10.20.0.0/14", "2001:db8:a::/45", "203.0.113.7:443"]);
    for (protocol, from, to, keep) in [
        (6, "10.23.255.1:1", "192.0.2.1:2", TRUSTED),
        (17, "192.0.2.1:2", "10.20.0.1:1", TRUSTED),
        (1, "192.0.2.1:2", "10.20.0.1:1", WHOLE),
        (6, "10.24.0.1:1", "192.0.2.1:2", WHOLE),
        (6, "[2001:db8:f::1]:1", "[2001:db8::1]:2", TRUSTED),
        (6, "[2001:db8:10::1]:1", "[2001:db8::1]:2", WHOLE),
        (6, "203.0.113.7:443", "192.0.2.1:2", TRUSTED),
        (6, "203.0.113.7:80", "192.0.2.1:2", WHOLE),
    ] {
        let packet = packet(protocol, from, to);
        assert_eq!(run(&cut.program(Link::Ethernet), &ethernet(&[], &packet)), keep, "{from} {to}");
    }
}

#[test]
fn without_anything_to_cut_there_is_no_program_and_the_longest_fits_the_kernel() {
    assert!(Cut::default().program(Link::Ethernet).is_empty());

    let all = Cut { own: vec![HUB_V6.parse().unwrap(); 9_999], trusted: Vec::new() };
    let v4 = Cut { own: vec![HUB_V4.parse().unwrap(); 9_999], trusted: Vec::new() };

    for cut in [all, v4] {
        let length = cut.program(Link::Ethernet).len();
        assert!((100..=4_096).contains(&length), "{length}");
    }
}

#[test]
fn only_networks_are_trusted() {
    for right in ["192.0.2.7", "192.0.2.0/24", "192.0.2.7:443", "2001:db8::/32", "[2001:db8::7]:443"] {
        assert!(right.parse::<Trusted>().is_ok(), "{right}");
    }
    for wrong in ["", "0.0.0.0/0", "::/0", "192.0.2.0/33", "192.0.2.0/x", "example.org", "192.0.2.0/24:443"] {
        assert!(wrong.parse::<Trusted>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
        for link in [Link::Ethernet, Link::Ip] {
            let _ = run(&hub().program(link), &bytes);
        }
    }
}
