//! `khien pcap scan` beside `tshark`: both read packets of real clients and servers, and both must say the same.
//!
//! Every row is compared, in each direction; what differs is told with its row. Where a field means something else here and
//! there, the comment beside it says so.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod http;
mod once;
mod place;
mod records;
mod rewrite;
mod seen;
mod smtp;
mod tls;
mod written;

use std::{collections::BTreeMap, fmt::Debug};

use khien_core::{
    event::Transport,
    traffic::{FlowEnd, MAX_ANSWERS, What},
};

use once::{Sent, captured_once, segment};
use place::captured;
use records::records;
use seen::{Row, seen};

/// Compares rows of both, whatever their order.
fn same<T: Ord + Debug>(what: &str, ours: Vec<T>, theirs: Vec<T>) {
    let (mut ours_of, mut theirs_of) = (BTreeMap::new(), BTreeMap::new());
    ours.into_iter().for_each(|row| *ours_of.entry(row).or_insert(0) += 1);
    theirs.into_iter().for_each(|row| *theirs_of.entry(row).or_insert(0) += 1);
    assert!(!theirs_of.is_empty(), "tshark saw no {what}");
    let differ = |a: &BTreeMap<T, usize>, b: &BTreeMap<T, usize>| {
        let more = a.iter().filter(|(row, count)| b.get(row).unwrap_or(&0) < count);
        more.map(|(row, _)| format!("  {row:?}\n")).take(20).collect::<String>()
    };
    let (only_ours, only_theirs) = (differ(&ours_of, &theirs_of), differ(&theirs_of, &ours_of));
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "{what}\nonly khien says:\n{only_ours}only tshark says:\n{only_theirs}"
    );
}

#[test]
fn dns_messages_are_those_of_tshark() {
    let (Some(file), Some(plain)) = (captured(), captured_once()) else { return };
    let fields = [
        "dns.id",
        "dns.flags.response",
        "dns.qry.name",
        "dns.qry.type",
        "dns.flags.rcode",
        "dns.a",
        "dns.aaaa",
        "dns.cname",
        "dns.txt",
        "dns.mx.preference",
        "dns.mx.mail_exchange",
        "dns.soa.mname",
        "dns.count.answers",
    ];
    // An error of ICMP quotes a question; it is none.
    let theirs = seen(plain, "dns && !icmp && !icmpv6", &fields).into_iter().map(|row| {
        let is_answer = row.one("dns.flags.response") == "1";
        let ends = if is_answer { (row.to(), row.from()) } else { (row.from(), row.to()) };
        let code = if is_answer { row.one("dns.flags.rcode") } else { String::new() };
        (
            ends,
            row.hex("dns.id"),
            is_answer,
            row.one("dns.qry.name"),
            row.one("dns.qry.type"),
            code,
            answers(&row),
        )
    });
    let theirs = theirs.collect();

    let ours = records(file).iter().filter_map(|record| {
        let What::Dns(dns) = &record.what else { return None };
        let code = dns.code.map(|code| code.to_string()).unwrap_or_default();
        let mut answers: Vec<_> = dns.answers.iter().map(ToString::to_string).collect();
        answers.sort();
        let ends = (record.ends.client.to_string(), record.ends.server.to_string());
        Some((
            ends,
            dns.id.into(),
            dns.answer,
            dns.query.to_string(),
            dns.query_type.to_string(),
            code,
            answers,
        ))
    });
    same("DNS messages", ours.collect(), theirs);
}

/// What was answered, as far as it is kept. `tshark` tells it by its type, so the order among several types is lost.
fn answers(row: &Row) -> Vec<String> {
    let mail = row.all("dns.mx.preference").into_iter().zip(row.all("dns.mx.mail_exchange"));
    let mail = mail.map(|(preference, name)| format!("{preference} {name}"));
    let names = ["dns.a", "dns.aaaa", "dns.cname", "dns.txt"].into_iter().flat_map(|field| row.all(field));
    let mut all: Vec<_> = names.chain(mail).collect();
    // Addresses of mail servers and the like stand behind the answers, and are none.
    let count: usize = row.one("dns.count.answers").parse().unwrap_or(0);
    all.truncate(count.min(MAX_ANSWERS));
    all.sort();
    all
}

/// Packets and bytes of a conversation: to the server, to the client.
type Volumes = [(u64, u64); 2];

#[test]
fn flows_have_the_packets_and_bytes_that_tshark_counts() {
    let Some(file) = captured() else { return };
    for (transport, stream) in [(Transport::Tcp, "tcp.stream"), (Transport::Udp, "udp.stream")] {
        let mut theirs: BTreeMap<String, ((String, String), Volumes)> = BTreeMap::new();
        for row in seen(file, &format!("{stream} && !icmp && !icmpv6"), &[stream, "frame.len"]) {
            let ends = (row.from(), row.to());
            let (client, volumes) =
                theirs.entry(row.one(stream)).or_insert_with(|| (ends, Default::default()));
            let way = &mut volumes[usize::from(row.from() != client.0)];
            way.0 += 1;
            way.1 += row.one("frame.len").parse::<u64>().unwrap();
        }

        let ours = records(file).iter().filter_map(|record| {
            let What::Flow(flow) = &record.what else { return None };
            if record.ends.transport != transport || flow.ended == FlowEnd::Ongoing {
                return None;
            }
            let ends = (record.ends.client.to_string(), record.ends.server.to_string());
            let volumes = [&flow.to_server, &flow.to_client].map(|way| (way.packets, way.bytes));
            Some((ends, volumes))
        });
        same(&format!("{} flows", transport.name()), ours.collect(), theirs.into_values().collect());
    }
}

/// Client and server.
type Pair = (String, String);

#[test]
fn bytes_that_tcp_carried_are_counted_once_as_tshark_does() {
    let Some(file) = captured() else { return };
    let mut theirs: BTreeMap<String, (Pair, [Sent; 2], [u64; 2])> = BTreeMap::new();
    for row in seen(file, "tcp", &["tcp.stream", "tcp.seq", "tcp.len"]) {
        let ends = (row.from(), row.to());
        let (client, sent, new) =
            theirs.entry(row.one("tcp.stream")).or_insert_with(|| (ends, Default::default(), [0; 2]));
        let way = usize::from(row.from() != client.0);
        new[way] += sent[way].take(&segment(&row));
    }
    let theirs: Vec<_> = theirs.into_values().map(|(ends, _, new)| (ends, new)).collect();

    let ours = records(file).iter().filter_map(|record| {
        let What::Flow(flow) = &record.what else { return None };
        let ends = (record.ends.client.to_string(), record.ends.server.to_string());
        let is_theirs = record.ends.transport == Transport::Tcp && theirs.iter().any(|(e, _)| *e == ends);
        is_theirs.then_some((ends, [flow.to_server.payload, flow.to_client.payload]))
    });
    let ours = ours.collect();
    same("TCP payloads", ours, theirs);
}
