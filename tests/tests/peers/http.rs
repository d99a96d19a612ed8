//! HTTP exchanges, and the sizes of their bodies.

use std::{collections::BTreeMap, path::Path};

use khien_core::{
    Untrusted,
    traffic::{Record, What},
};

use crate::{
    once::{captured_once, once},
    place::captured,
    records::{records, scanned},
    rewrite::{overtaken, sent_again},
    same,
    seen::{Row, seen},
};

/// Where, method, host, target, who asks, status, type.
type Exchange = ((String, String), [String; 6]);

/// What was asked for and answered on one connection, each in order.
#[derive(Default)]
struct Connection {
    ends: Option<(String, String)>,
    asked: Vec<[String; 4]>,
    answered: Vec<[String; 2]>,
}

#[test]
fn http_exchanges_are_those_of_tshark() {
    let (Some(file), Some(plain)) = (captured(), captured_once()) else { return };
    same("HTTP exchanges", exchanges(records(file)), exchanges_of_tshark(plain));
}

#[test]
fn http_exchanges_are_those_of_tshark_where_segments_overtake_each_other() {
    let Some(plain) = captured_once() else { return };
    let mixed = overtaken(plain);
    same("HTTP exchanges", exchanges(&scanned(&mixed)), exchanges_of_tshark(&mixed));
}

#[test]
fn http_exchanges_are_those_of_tshark_where_segments_are_sent_again() {
    let Some(plain) = captured_once() else { return };
    let more = sent_again(plain);
    same(
        "HTTP exchanges",
        exchanges(&scanned(&more)),
        exchanges_of_tshark(&once(&more, "peers-once-more.pcapng")),
    );
}

fn exchanges_of_tshark(file: &Path) -> Vec<Exchange> {
    let fields = [
        "tcp.stream",
        "http.request.method",
        "http.host",
        "http.request.uri",
        "http.user_agent",
        "http.response.code",
        "http.content_type",
    ];
    let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
    for row in seen(file, "http.request || http.response", &fields) {
        connections.entry(row.one("tcp.stream")).or_default().take(&row);
    }
    connections.into_values().flat_map(Connection::exchanges).collect()
}

fn exchanges(records: &[Record]) -> Vec<Exchange> {
    let exchange = |record: &Record| {
        let What::Http(http) = &record.what else { return None };
        let text = |value: &Option<Untrusted>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let status = http.status.map(|status| status.to_string()).unwrap_or_default();
        let asked = [&http.method, &http.host, &http.uri, &http.user_agent].map(text);
        let [method, host, uri, agent] = asked;
        let ends = (record.ends.client.to_string(), record.ends.server.to_string());
        Some((ends, [method, host, uri, ascii(&agent), status, text(&http.content_type)]))
    };
    records.iter().filter_map(exchange).collect()
}

impl Connection {
    /// One packet may end several messages.
    fn take(&mut self, row: &Row) {
        let mut agents = row.all("http.user_agent").into_iter();
        let targets = row.all("http.request.uri");
        for ((method, host), uri) in
            row.all("http.request.method").into_iter().zip(row.all("http.host")).zip(targets)
        {
            self.ends.get_or_insert_with(|| (row.from(), row.to()));
            self.asked.push([method, without_port(&host), uri, ascii(&agents.next().unwrap_or_default())]);
        }
        let codes = row.all("http.response.code");
        // What only announces the answer is none.
        let codes: Vec<_> = codes.into_iter().filter(|code| !code.starts_with('1')).collect();
        let mut types = if codes.is_empty() { Vec::new() } else { row.all("http.content_type") }.into_iter();
        self.answered.extend(codes.into_iter().map(|code| [code, types.next().unwrap_or_default()]));
    }

    fn exchanges(self) -> Vec<Exchange> {
        let ends = self.ends.unwrap_or_default();
        let mut answered = self.answered.into_iter();
        let exchange = |[method, host, uri, agent]: [String; 4]| {
            let [code, kind] = answered.next().unwrap_or_default();
            (ends.clone(), [method, host, uri, agent, code, kind])
        };
        self.asked.into_iter().map(exchange).collect()
    }
}

/// `tshark` does not write what is not ASCII.
fn ascii(text: &str) -> String {
    let mut out: Vec<char> = text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    out.dedup_by(|a, b| (*a, *b) == ('?', '?'));
    out.into_iter().collect()
}

fn without_port(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name.to_owned()
        }
        _ => host.to_owned(),
    }
}

#[test]
fn bodies_have_the_size_that_their_length_says() {
    let (Some(file), Some(plain)) = (captured(), captured_once()) else { return };
    // A packet with several answers does not say which length is whose.
    let filter =
        "http.response && http.content_length && !(http.response.code < 200) && !(http.response.code == 304)";
    let fields = [
        "tcp.stream",
        "http.content_length",
        "http.response.code",
        "http.request.method",
        "http.response_for.uri",
    ];
    let rows =
        seen(plain, filter, &fields).into_iter().filter(|row| row.all("http.response.code").len() == 1);
    let heads: Vec<_> = records(file)
        .iter()
        .filter_map(|record| match &record.what {
            What::Http(http) if http.method == Some("HEAD".into()) => Some(record.ends.client.to_string()),
            _ => None,
        })
        .collect();
    let theirs: Vec<_> = rows
        .filter(|row| !heads.contains(&row.to()))
        .map(|row| (row.to(), row.one("http.content_length").parse::<u64>().unwrap()))
        .collect();

    let mut ours: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for record in records(file) {
        if let What::Http(http) = &record.what {
            *ours.entry((record.ends.client.to_string(), http.response_bytes)).or_default() += 1;
        }
    }
    assert!(!theirs.is_empty());
    for row in theirs {
        assert!(ours.contains_key(&row), "no exchange of khien has the body of {row:?}");
    }
}
