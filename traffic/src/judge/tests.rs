use std::collections::HashMap;

use khien_core::{
    event::Transport,
    traffic::{Flow, FlowEnd, Ja4, Tunnel, TunnelKind, Volume},
};

use super::*;
use crate::{
    decode::{
        self, Link,
        sample::{Carried, Frame, dns_query, tcp_with, udp},
    },
    flow::{Engine, Limits},
};

const JA4: &str = "t13d1516h2_8daaf6152771_b186095e22b6";

/// A list of whatever, as text.
#[derive(Default)]
struct Known(HashMap<String, RuleId>);

impl Known {
    fn of(items: &[&str]) -> Self {
        let rule = |item: &&str| ((*item).to_owned(), "list.c2".parse().unwrap());
        Self(items.iter().map(rule).collect())
    }

    fn find(&self, item: impl ToString) -> Option<&RuleId> {
        self.0.get(&item.to_string())
    }
}

impl Lists for Known {
    fn address(&self, address: IpAddr) -> Option<&RuleId> {
        self.find(address)
    }
    fn name(&self, name: &[u8]) -> Option<&RuleId> {
        self.find(String::from_utf8_lossy(name))
    }
    fn url(&self, host: &[u8], target: &[u8]) -> Option<&RuleId> {
        self.find(format!("{} {}", String::from_utf8_lossy(host), String::from_utf8_lossy(target)))
    }
    fn ja4(&self, ja4: &Ja4) -> Option<&RuleId> {
        self.find(ja4)
    }
    fn certificate(&self, digest: &Sha256) -> Option<&RuleId> {
        self.find(digest)
    }
    fn file(&self, digest: &Sha256) -> Option<&RuleId> {
        self.find(digest)
    }
    fn may_match(&self, bytes: &[u8]) -> bool {
        self.0.keys().any(|known| bytes.windows(known.len()).any(|w| w == known.as_bytes()))
    }
}

fn judge(items: &[&str]) -> Judge<Known> {
    Judge::new(Known::of(items), &Network::default())
}

fn ends(flow: u64, client: &str, server: &str) -> Ends {
    Ends {
        flow,
        interface: "eth0".into(),
        vlan: Vec::new(),
        tunnel: None,
        transport: Transport::Tcp,
        client: client.parse().unwrap(),
        server: server.parse().unwrap(),
        saw_syn: false,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_392_000 + second).unwrap()
}

fn asked(exchange: u64, name: &str, url: Option<&str>, application: Application) -> Named {
    let ends = ends(7, "10.0.0.5:40000", "203.0.113.7:80");
    let facts = FlowFacts { url: url.map(Into::into), application, ..facts(&ends, None, Some(name.into())) };
    Named { origin: Origin { flow: 7, exchange }, facts }
}

fn listed_in(judge: &Judge<Known>) -> Vec<String> {
    let text = |f: &Finding| match &f.subject {
        Subject::Flow(s) => s.flow.listed.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        other => panic!("{other:?}"),
    };
    judge.findings.iter().map(text).collect()
}

#[test]
fn after_a_clock_that_was_set_back_findings_have_its_time_and_none_is_held_back() {
    let mut judge = judge(&["203.0.113.7"]);
    judge.opened(&ends(1, "10.0.0.5:40000", "203.0.113.7:443"), at(7 * 3_600));

    judge.set_back(at(0));
    judge.opened(&ends(2, "10.0.0.5:40001", "203.0.113.7:443"), at(1));

    assert_eq!(judge.findings.iter().map(|f| f.at).collect::<Vec<_>>(), [at(7 * 3_600), at(1)]);
}

#[test]
fn a_listed_address_outside_is_told_whichever_side_it_is_on() {
    let mut judge = judge(&["203.0.113.7", "10.0.0.9", "2001:db8::7"]);

    judge.opened(&ends(1, "10.0.0.5:40000", "203.0.113.7:443"), at(0));
    judge.opened(&ends(2, "10.0.0.5:40001", "203.0.113.7:443"), at(1));
    judge.opened(&ends(3, "[2001:db8::7]:9", "[fd00::1]:22"), at(2));
    judge.opened(&ends(4, "10.0.0.5:40002", "10.0.0.9:443"), at(3));
    judge.opened(&ends(5, "10.0.0.5:40003", "198.51.100.1:443"), at(4));

    assert_eq!(
        listed_in(&judge),
        ["203.0.113.7", "2001:db8::7"],
        "home is never on a list, a page is one finding"
    );
    assert_eq!((judge.findings[0].rule.as_str(), judge.findings[0].at), ("list.c2", at(0)));
    assert_eq!(judge.opened.len(), 5);
    judge.opened(&ends(6, "10.0.0.5:40000", "203.0.113.7:443"), at(61));
    assert_eq!(judge.findings.len(), 3, "later it is news again");
}

#[test]
fn a_listed_end_of_a_tunnel_is_told_with_the_tunnel_and_the_vlan() {
    let mut judge = judge(&["203.0.113.7"]);
    let (kind, from, to) = (TunnelKind::Gre, "10.0.0.1".parse().unwrap(), "203.0.113.7".parse().unwrap());
    let tunnel = Some(Tunnel { kind, from, to, id: None });

    let inner = ends(1, "10.9.0.5:40000", "10.9.0.7:443");
    judge.opened(&Ends { tunnel: tunnel.clone(), vlan: vec![20, 30], ..inner }, at(0));

    assert_eq!(listed_in(&judge), ["203.0.113.7"]);
    let Subject::Flow(subject) = &judge.findings[0].subject else { panic!() };
    assert_eq!(subject.flow.vlan, [20, 30]);
    assert_eq!(subject.flow.tunnel.as_deref(), tunnel.as_ref());
}

#[test]
fn a_question_and_its_answer_are_one_finding_for_a_minute() {
    let mut judge = judge(&["c2.example"]);
    let dns = |answer| {
        let dns =
            Dns { id: 1, answer, query: "c2.example".into(), query_type: 1, code: None, answers: Vec::new() };
        What::Dns(Box::new(dns))
    };
    let record = |second, answer| Record {
        at: at(second),
        ends: ends(7, "10.0.0.5:40000", "203.0.113.7:80"),
        what: dns(answer),
    };

    judge.tick(at(0));
    judge.named(asked(0, "c2.example", None, Application::Dns));
    judge.record(record(0, false));
    judge.named(asked(0, "c2.example", None, Application::Dns));
    judge.record(record(59, true));
    assert_eq!(judge.findings.len(), 1);
    judge.record(record(60, false));

    assert_eq!(judge.findings.len(), 2);
    assert_eq!(judge.records.len(), 3);
}

#[test]
fn each_exchange_with_a_listed_host_is_a_finding_and_a_listed_url_by_itself() {
    let mut judge = judge(&["evil.example", "cdn.example /gate.php?id=1", "[2001:db8::1] /"]);

    judge.named(asked(0, "evil.example", Some("http://evil.example/a"), Application::Http));
    judge.named(asked(0, "evil.example", Some("http://evil.example/a"), Application::Http));
    judge.named(asked(1, "evil.example", Some("http://evil.example/b"), Application::Http));
    assert_eq!(judge.findings.len(), 2);
    judge.named(asked(
        2,
        "cdn.example",
        Some("http://an:x@cdn.example:8080/gate.php?id=1"),
        Application::Http,
    ));
    judge.named(asked(3, "x", Some("http://[2001:db8::1]:80"), Application::Http));
    judge.named(asked(4, "cdn.example", Some("http://cdn.example/other"), Application::Http));

    assert_eq!(judge.findings.len(), 4);
}

#[test]
fn answers_of_name_servers_are_looked_up_unless_they_lead_home() {
    let mut judge = judge(&["203.0.113.7", "10.0.0.9", "alias.example"]);
    let dns = Dns {
        id: 1,
        answer: true,
        query: "good.example".into(),
        query_type: 1,
        code: Some(0),
        answers: vec!["alias.example".into(), "203.0.113.7".into(), "10.0.0.9".into(), "198.51.100.1".into()],
    };
    let what = What::Dns(Box::new(dns));

    judge.record(Record { at: at(0), ends: ends(7, "10.0.0.5:40000", "10.0.0.53:53"), what });

    assert_eq!(listed_in(&judge), ["alias.example", "203.0.113.7"]);
    let Subject::Flow(subject) = &judge.findings[0].subject else { panic!() };
    assert_eq!(subject.flow.name, Some("good.example".into()));
    assert_eq!((subject.flow.application, subject.flow.direction), (Application::Dns, Direction::ToClient));
}

#[test]
fn a_name_behind_the_numbers_of_an_answer_is_looked_up() {
    let mut judge = judge(&["mail.evil.example", "c2.example"]);
    let answers = vec!["10 mail.evil.example".into(), "1 2 443 c2.example".into(), "see c2.example".into()];
    let dns =
        Dns { id: 1, answer: true, query: "good.example".into(), query_type: 15, code: Some(0), answers };
    let what = What::Dns(Box::new(dns));

    judge.record(Record { at: at(0), ends: ends(7, "10.0.0.5:40000", "10.0.0.53:53"), what });

    assert_eq!(listed_in(&judge), ["10 mail.evil.example", "1 2 443 c2.example"]);
}

#[test]
fn fingerprints_and_certificates_are_looked_up_once_a_flow() {
    let digest = Sha256::of(b"certificate");
    let mut judge = judge(&[JA4, &digest.to_string()]);
    let tls = Tls {
        ja4: Ja4::new(JA4.as_bytes()),
        certificate: Some(digest),
        sni: Some("a.example".into()),
        ..Tls::default()
    };
    let record = |flow| Record {
        at: at(0),
        ends: ends(flow, "10.0.0.5:40000", "203.0.113.7:443"),
        what: What::Tls(Box::new(tls.clone())),
    };

    judge.record(record(1));
    judge.record(record(1));
    assert_eq!(listed_in(&judge), [JA4.to_owned(), digest.to_string()]);
    judge.record(record(2));

    assert_eq!(judge.findings.len(), 4);
}

#[test]
fn a_listed_file_is_told_and_each_file_gets_its_record() {
    let digest = Sha256::of(b"MZ");
    let mut judge = judge(&[&digest.to_string()]);
    let Named { origin, facts } = asked(3, "a.example", Some("http://a.example/x.exe"), Application::Http);
    let content = Content {
        origin,
        facts,
        ends: ends(7, "10.0.0.5:40000", "203.0.113.7:80"),
        direction: Direction::ToClient,
        name: Some("x.exe".into()),
        content_type: None,
        bytes: b"MZ".to_vec(),
        size: 2,
        whole: true,
    };
    judge.content(content.clone());
    let taken = std::mem::take(&mut judge.contents);

    judge.digest(&taken[0], digest);
    judge.digest(&taken[0], Sha256::of(b"else"));

    assert_eq!(listed_in(&judge), [digest.to_string()]);
    let files: Vec<_> =
        judge.records.iter().map(|r| matches!(&r.what, What::File(f) if f.size == 2)).collect();
    assert_eq!(files, [true, true]);
}

#[test]
fn detectors_see_what_passes_and_another_pack_does_not_make_them_forget() {
    let mut judge = judge(&[]);
    let told = |judge: &mut Judge<Known>, servers: std::ops::Range<u64>| {
        for n in servers {
            let flow = Flow {
                first: at(0),
                last: at(0),
                ended: FlowEnd::Reset,
                application: Application::Unknown,
                name: None,
                to_server: Volume::default(),
                to_client: Volume::default(),
                answered: false,
                process: None,
            };
            let ends = ends(n, "10.0.0.5:40000", &format!("10.0.1.{n}:445"));
            judge.record(Record { at: at(0), ends, what: What::Flow(Box::new(flow)) });
        }
    };

    told(&mut judge, 1..20);
    judge.set_pack(Known::default(), &Network::default());
    told(&mut judge, 20..40);

    let rules: Vec<_> = judge.findings.iter().map(|f| f.rule.as_str()).collect();
    assert_eq!(rules, ["khien.net.scan_horizontal"]);
}

#[test]
fn a_piece_is_wanted_if_a_rule_may_match_it_and_counted_if_none_can() {
    let mut judge = judge(&["evil"]);

    assert_eq!([&b"nothing"[..], b"an evil word", b""].map(|bytes| judge.wants(bytes)), [false, true, false]);

    assert_eq!(judge.ruled_out, 2);
}

#[test]
fn a_scan_whose_syns_carry_bytes_is_a_scan_and_half_a_conversation_is_none() {
    use crate::{
        decode::{
            Frame, Link,
            sample::{Carried, Frame as Sample, tcp_with},
        },
        flow::{Engine, Limits},
    };
    const SYN: u8 = 2;
    const RST_ACK: u8 = 20;
    const ACK: u8 = 16;
    let told = |goes_on: bool, is_refused: bool| {
        let (mut engine, mut judge) = (Engine::new(vec!["eth0".into()], Limits::default()), judge(&[]));
        let mut put = |from: &str, to: &str, carried: Carried, judge: &mut Judge<Known>| {
            let bytes = Sample::new(from, to).summed().bytes(&carried);
            let length = u32::try_from(bytes.len()).unwrap();
            let frame =
                Frame { interface: 0, link: Link::Ethernet, at: at(0), vlan: None, bytes: &bytes, length };
            engine.take(&frame, judge);
        };
        for n in 1..=40 {
            let (client, server) = ("10.0.0.5:40000", format!("10.0.1.{n}:445"));
            put(client, &server, tcp_with(SYN, 1000, 0, b"x"), &mut judge);
            if goes_on {
                put(client, &server, tcp_with(ACK, 1002, 5001, b"request"), &mut judge);
            }
            if is_refused {
                put(&server, client, tcp_with(RST_ACK, 0, 1002, b""), &mut judge);
            }
        }
        engine.finish(&mut judge);
        judge.findings.iter().map(|f| f.rule.as_str().to_owned()).collect::<Vec<_>>()
    };

    assert_eq!(told(false, true), ["khien.net.scan_horizontal"]);
    assert_eq!(told(false, false), ["khien.net.scan_horizontal"]);
    assert_eq!(
        told(true, true),
        ["khien.net.scan_horizontal"],
        "who sends more to a closed port was not let in"
    );
    assert_eq!(told(true, false), [""; 0], "the sensor sees one direction only");
}

/// Has one packet go from here to each of these, and returns the rules of what is found.
fn found(packets: impl Iterator<Item = (String, String, Carried)>) -> Vec<String> {
    let (mut judge, mut engine) = (judge(&[]), Engine::new(vec!["eth0".into()], Limits::default()));
    for (from, to, carried) in packets {
        let bytes = Frame::new(&from, &to).summed().bytes(&carried);
        let length = u32::try_from(bytes.len()).unwrap();
        let link = Link::Ethernet;
        let frame = decode::Frame { interface: 0, link, at: at(0), vlan: None, bytes: &bytes, length };
        engine.take(&frame, &mut judge);
    }
    engine.finish(&mut judge);
    judge.findings.iter().map(|f| f.rule.to_string()).collect()
}

#[test]
fn a_scan_from_a_port_of_name_servers_is_a_scan() {
    let syn = tcp_with(2, 1000, 0, b"");
    let snmp = udp(b"0\x26\x02\x01\x01\x04\x06public");
    for carried in [syn, udp(b""), snmp, udp(&dns_query("version.bind"))] {
        for (net, scanner, port) in [
            ("10.0.1.", "10.0.0.5:53", 1900),
            ("10.0.1.", "10.0.0.5:53", 47_808),
            ("[fd00::1:", "[fd00::5]:53", 47_808),
        ] {
            let end = if net.starts_with('[') { "]" } else { "" };
            let across =
                (1..60).map(|host| (scanner.to_owned(), format!("{net}{host}{end}:{port}"), carried.clone()));
            assert_eq!(found(across), ["khien.net.scan_horizontal"], "{scanner} {port}");
            let along =
                (0..60).map(|n| (scanner.to_owned(), format!("{net}9{end}:{}", port + n), carried.clone()));
            assert_eq!(found(along), ["khien.net.scan_vertical"], "{scanner} {port}");
        }
    }
}

#[test]
fn answers_of_a_name_server_whose_questions_were_not_seen_are_no_scan() {
    let mut answer = dns_query("www.example");
    answer[2] |= 0x80;
    // It did not understand the question, and says nothing else.
    let failed = [0, 7, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    for (said, server) in
        [(&answer[..], "10.0.0.53:53"), (&failed, "10.0.0.53:53"), (&answer, "[fd00::53]:53")]
    {
        let client = if server.starts_with('[') { "[fd00::6]" } else { "10.0.0.6" };
        let answers = (0..200).map(|n| (server.to_owned(), format!("{client}:{}", 40_000 + n), udp(said)));
        assert_eq!(found(answers), [""; 0]);
    }
    let clock =
        (0..200).map(|n| ("10.0.0.1:123".to_owned(), format!("10.0.0.6:{}", 40_000 + n), udp(&[0x24; 48])));
    assert_eq!(found(clock), [""; 0]);
}
