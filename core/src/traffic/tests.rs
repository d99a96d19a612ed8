//! The written form of records: what others build on, so that it is pinned whole and told in docs/EVENTS.md.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::event::{Act, Ancestor, Did};

/// One record of each kind with everything that it can carry, a line each. A name that changes here breaks what others built.
const PINNED: &str = include_str!("records.ndjson");
/// What is said of them.
const TOLD: &str = include_str!("../../../docs/EVENTS.md");
/// Every word that stands for something, by the field that carries it.
const WORDS: &str = "`tcp` `udp` `icmp` `gre` `vxlan` `ipip` `to_server` `to_client` `closed` `reset` `idle` `evicted` `ongoing` \
                     `capture_end`";

#[test]
fn a_record_of_each_kind_is_written_as_it_was_pinned_and_reads_back() {
    let lines: Vec<&str> = PINNED.lines().collect();
    let all = each();

    for (record, line) in all.iter().zip(&lines) {
        assert_eq!(serde_json::to_string(record).unwrap(), *line);
        assert_eq!(serde_json::from_str::<Record>(line).unwrap(), *record);
    }
    assert_eq!(all.len(), lines.len());
}

#[test]
fn every_field_of_a_record_is_told_in_its_table_and_no_other() {
    for line in PINNED.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let kind = record["kind"].as_str().unwrap();

        let (every, own) = (told("every record"), told(kind));
        let mut written = BTreeSet::new();
        fields("", &record, &mut written);

        assert_eq!(written, every.union(&own).cloned().collect(), "{kind}");
    }
}

#[test]
fn every_word_of_a_field_is_told() {
    let applications = [
        Application::Http,
        Application::Dns,
        Application::Tls,
        Application::Quic,
        Application::Smtp,
        Application::Smb,
        Application::Rdp,
        Application::Ssh,
        Application::Telnet,
        Application::Ftp,
        Application::XRoad,
        Application::Vmware,
        Application::Unknown,
    ];
    for application in applications {
        let word = serde_json::to_string(&application).unwrap().replace('"', "`");
        assert!(TOLD.contains(&word), "{word}");
    }
    for word in WORDS.split(' ') {
        assert!(TOLD.contains(word), "{word}");
    }
}

#[test]
fn what_is_not_known_of_a_record_is_left_out() {
    let dns = Dns {
        id: 1,
        answer: false,
        query: "c2.example".into(),
        query_type: 1,
        code: None,
        answers: Vec::new(),
    };
    let ends = Ends { tunnel: None, saw_syn: false, ..ends() };
    let record = Record { at: at(0), ends, what: What::Dns(Box::new(dns)) };

    let json = serde_json::to_string(&record).unwrap();

    assert_eq!(
        json,
        r#"{"at":"2026-11-23T07:00:00Z","flow":7,"interface":"eth0","vlan":[20],"transport":"tcp","client":"192.0.2.1:5000","server":"198.51.100.2:443","kind":"dns","id":1,"answer":false,"query":"c2.example","query_type":1}"#
    );
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
}

#[test]
fn only_what_has_the_form_of_a_ja4_is_one() {
    for right in ["t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "t12d0203IP_e8f1e7e78f70_b26ce05bbdd6"] {
        assert!(Ja4::new(right.as_bytes()).is_some(), "{right}");
    }
    for wrong in ["", "t13d3112h2_e8f1e7e78f70_b26ce05bbdd", "T13d3112h2_e8f1e7e78f70_b26ce05bbdd6"] {
        assert_eq!(Ja4::new(wrong.as_bytes()), None, "{wrong}");
    }
}

/// Names the fields of a value by the way to them; those in a list once, with `[]`.
fn fields(way: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                let dot = if way.is_empty() { "" } else { "." };
                fields(&format!("{way}{dot}{name}"), value, into);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| fields(&format!("{way}[]"), value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.insert(way.to_owned());
        }
    }
}

/// Returns the fields in the table below a heading.
fn told(heading: &str) -> BTreeSet<String> {
    let mut sections = TOLD.split("\n## ");
    let section = sections.find(|section| section.starts_with(&format!("{heading}\n"))).unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
    start + crate::time::SignedDuration::from_secs(second)
}

fn ends() -> Ends {
    Ends {
        flow: 7,
        interface: "eth0".into(),
        vlan: vec![20],
        tunnel: Some(Tunnel {
            kind: TunnelKind::Vxlan,
            from: "192.0.2.8".parse().unwrap(),
            to: "192.0.2.9".parse().unwrap(),
            id: Some(42),
        }),
        transport: Transport::Tcp,
        client: "192.0.2.1:5000".parse().unwrap(),
        server: "198.51.100.2:443".parse().unwrap(),
        saw_syn: true,
    }
}

/// Makes a record of each kind. No field is left to a default: a new one has to be pinned and told, too.
fn each() -> [Record; 6] {
    let whats = [
        What::Flow(Box::new(flow())),
        What::Dns(Box::new(dns())),
        What::Tls(Box::new(tls())),
        What::Http(Box::new(http())),
        What::Smtp(Box::new(smtp())),
        What::File(Box::new(file())),
    ];
    whats.map(|what| Record { at: at(60), ends: ends(), what })
}

fn flow() -> Flow {
    Flow {
        first: at(1),
        last: at(59),
        ended: FlowEnd::Closed,
        application: Application::Tls,
        name: Some("c2.example".into()),
        to_server: Volume { packets: 9, bytes: 1_500, payload: 900, missing: 10 },
        to_client: Volume { packets: 12, bytes: 15_000, payload: 14_000, missing: 20 },
        answered: true,
        process: Some(Box::new(process())),
    }
}

fn process() -> Process {
    let connected =
        Did::Connected { server: "198.51.100.2:443".parse().unwrap(), name: Some("c2.example".into()) };
    Process {
        pid: 812,
        exe: Some("/usr/bin/curl".into()),
        command: Some("curl https://c2.example".into()),
        uid: Some(33),
        user: Some("www-data".into()),
        parent: Some(811),
        started: Some(at(0)),
        ancestors: vec![Ancestor {
            pid: 811,
            exe: Some("/bin/sh".into()),
            command: Some("sh -c curl".into()),
        }],
        container: Some("docker:4f6c".into()),
        own_mounts: true,
        acts: vec![
            Act { at: at(0), did: Did::Wrote { path: "/srv/www/shell.php".into() } },
            Act { at: at(1), did: connected },
        ],
    }
}

fn dns() -> Dns {
    Dns {
        id: 4_711,
        answer: true,
        query: "c2.example".into(),
        query_type: 1,
        code: Some(0),
        answers: vec!["203.0.113.7".into()],
    }
}

fn tls() -> Tls {
    Tls {
        quic: true,
        sni: Some("c2.example".into()),
        alpn: vec!["h2".into()],
        version: 0x0303,
        cipher: Some(0xc02f),
        ja4: Ja4::new(b"t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"),
        subject: Some("CN=c2.example".into()),
        issuer: Some("CN=Example CA".into()),
        certificate: Some(Sha256([7; 32])),
    }
}

fn http() -> Http {
    Http {
        method: Some("POST".into()),
        host: Some("c2.example".into()),
        uri: Some("/up?a=1".into()),
        user_agent: Some("curl/8".into()),
        status: Some(200),
        content_type: Some("text/html".into()),
        request_bytes: 15,
        response_bytes: 4_000,
    }
}

fn smtp() -> Smtp {
    Smtp {
        helo: Some("mail.example".into()),
        from: Some("a@example".into()),
        to: vec!["b@example".into()],
        subject: Some("=?utf-8?B?xJA=?=".into()),
        attachments: vec!["cong-van.doc".into()],
        tls: true,
    }
}

fn file() -> File {
    File {
        direction: Direction::ToClient,
        name: Some("cong-van.doc".into()),
        content_type: Some("application/msword".into()),
        size: 4_096,
        whole: true,
        sha256: Some(Sha256([8; 32])),
    }
}
