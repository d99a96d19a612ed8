use khien_core::{
    Sha256, Timestamp, Untrusted,
    event::{Application, Direction, Process, Transport},
    traffic::{Dns, Ends, File, Flow, Http, Ja4, Record, Smtp, Tls, Tunnel, TunnelKind, Volume, What},
};
use proptest::prelude::*;

use super::*;

fn written(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::default();
    records.iter().for_each(|record| writer.put(record).unwrap());
    writer.bytes().to_vec()
}

fn at(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap()
}

fn ends() -> impl Strategy<Value = Ends> {
    let address = (any::<std::net::IpAddr>(), any::<u16>()).prop_map(Into::into);
    let tunnel = (any::<std::net::IpAddr>(), any::<std::net::IpAddr>(), any::<Option<u32>>())
        .prop_map(|(from, to, id)| Tunnel { kind: TunnelKind::Vxlan, from, to, id });
    let seen = (any::<u64>(), prop::sample::select(vec!["eth0", "lo", ""]), prop::option::of(tunnel));
    (seen, any::<Vec<u16>>(), 0usize..3, address.clone(), address, any::<bool>()).prop_map(
        |((flow, interface, tunnel), vlan, transport, client, server, saw_syn)| Ends {
            flow,
            interface: interface.into(),
            vlan,
            tunnel,
            transport: [Transport::Tcp, Transport::Udp, Transport::Icmp][transport],
            client,
            server,
            saw_syn,
        },
    )
}

fn text() -> impl Strategy<Value = Option<Untrusted>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40).prop_map(Untrusted::new))
}

fn texts() -> impl Strategy<Value = Vec<Untrusted>> {
    prop::collection::vec(text().prop_map(Option::unwrap_or_default), 0..5)
}

fn flow() -> impl Strategy<Value = What> {
    let ended = prop::sample::select(FLOW_ENDS.to_vec());
    let application = prop::sample::select(vec![Application::Http, Application::XRoad, Application::Unknown]);
    let volume = any::<[u64; 4]>().prop_map(|[packets, bytes, payload, missing]| Volume {
        packets,
        bytes,
        payload,
        missing,
    });
    let process = prop::option::of(any::<u32>().prop_map(|pid| {
        let ancestors = vec![khien_core::event::Ancestor::new(1, Some("/sbin/init".into()), None)];
        Box::new(Process { exe: Some("/usr/bin/c\u{1b}url".into()), ancestors, ..Process::unknown(pid) })
    }));
    let times = (any::<i64>(), any::<i64>(), ended, application);
    (times, text(), volume.clone(), volume, any::<bool>(), process).prop_map(
        |((first, last, ended, application), name, to_server, to_client, answered, process)| {
            let (first, last) = (at(first), at(last));
            let flow =
                Flow { first, last, ended, application, name, to_server, to_client, answered, process };
            What::Flow(Box::new(flow))
        },
    )
}

fn others() -> impl Strategy<Value = What> {
    let ja4 = Ja4::new(b"t13d3112h2_e8f1e7e78f70_b26ce05bbdd6");
    let digest = prop::option::of(any::<[u8; 32]>().prop_map(Sha256));
    let numbers = (any::<[u16; 2]>(), any::<Option<u16>>(), any::<Option<u8>>(), any::<[u64; 2]>());
    let all = (0..5, numbers, prop::collection::vec(text(), 5), texts(), digest, any::<[bool; 2]>());
    all.prop_map(move |(kind, ([a, b], number, code, sizes), texts, list, digest, [is, other])| {
        let text = |n: usize| texts[n].clone();
        match kind {
            0 => What::Dns(Box::new(Dns {
                id: a,
                answer: is,
                query: text(0).unwrap_or_default(),
                query_type: b,
                code,
                answers: list,
            })),
            1 => What::Tls(Box::new(Tls {
                quic: is,
                sni: text(0),
                alpn: list,
                version: a,
                cipher: number,
                ja4: ja4.filter(|_| other),
                subject: text(1),
                issuer: text(2),
                certificate: digest,
            })),
            2 => What::Http(Box::new(Http {
                method: text(0),
                host: text(1),
                uri: text(2),
                user_agent: text(3),
                status: number,
                content_type: text(4),
                request_bytes: sizes[0],
                response_bytes: sizes[1],
            })),
            3 => What::Smtp(Box::new(Smtp {
                helo: text(0),
                from: text(1),
                to: list.clone(),
                subject: text(2),
                attachments: list,
                tls: is,
            })),
            _ => What::File(Box::new(File {
                direction: if is { Direction::ToClient } else { Direction::ToServer },
                name: text(0),
                content_type: text(1),
                size: sizes[0],
                whole: other,
                sha256: digest,
            })),
        }
    })
}

fn record() -> impl Strategy<Value = Record> {
    (any::<i64>(), ends(), prop_oneof![flow(), others()]).prop_map(|(nanoseconds, ends, what)| Record {
        at: at(nanoseconds),
        ends,
        what,
    })
}

proptest! {
    #[test]
    fn any_records_are_read_as_they_were_written(records in prop::collection::vec(record(), 0..12)) {
        prop_assert_eq!(Reader::new(&written(&records)).all(), Some(records));
    }

    #[test]
    fn of_bytes_that_are_cut_or_altered_nothing_or_other_records_are_read(
        records in prop::collection::vec(record(), 1..4), cut: prop::sample::Index, altered: prop::sample::Index, byte: u8
    ) {
        let mut bytes = written(&records);
        let whole = Reader::new(&bytes[..cut.index(bytes.len())]).all();
        prop_assert!(whole.is_none_or(|read| read.len() < records.len()));
        let place = altered.index(bytes.len());
        bytes[place] = byte;
        let _ = Reader::new(&bytes).all();
    }

    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>) {
        let _ = Reader::new(&bytes).all();
    }
}

#[test]
fn the_first_and_the_last_moment_that_there_is_are_written() {
    let ends = Ends {
        flow: u64::MAX,
        interface: Untrusted::default(),
        vlan: Vec::new(),
        tunnel: None,
        transport: Transport::Icmp,
        client: "0.0.0.0:0".parse().unwrap(),
        server: "[::]:0".parse().unwrap(),
        saw_syn: false,
    };
    let what = What::Http(Box::default());
    let records = [Timestamp::MAX, Timestamp::MIN, Timestamp::MAX].map(|at| Record {
        at,
        ends: ends.clone(),
        what: what.clone(),
    });

    assert_eq!(Reader::new(&written(&records)).all().unwrap(), records);
}

#[test]
fn a_list_that_claims_to_be_endless_is_no_list() {
    // Time, bits, flow, two ends; kind, number, question, name, type, no result.
    let mut bytes = [&[0, 0, 1][..], &[0; 12], &[Kind::Dns as u8, 1, 0, 1, 1, 0]].concat();
    bytes.extend([0xff; 8]);
    bytes.push(0x7f);
    // Each element would be an absent text.
    bytes.extend([0; 64]);

    assert_eq!(Reader::new(&bytes).all(), None);
}
