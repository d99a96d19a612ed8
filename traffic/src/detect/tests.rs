//! Traces of attacks and of everyday work, by hand at the times at which they come.

use khien_core::{
    Untrusted,
    detection::Pattern,
    event::{Application, Transport},
    traffic::{Dns, FlowEnd, Http, Tunnel, TunnelKind, Volume},
};
use proptest::prelude::*;

use super::*;

mod evasion;
mod exfiltration;
mod login;
mod periodic;
mod scan;
mod tunnel;
mod zones;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Detectors, and what they told so far.
struct Trace {
    detectors: Detectors,
    found: Vec<Finding>,
    flows: u64,
}

/// What a flow carried and how it ended.
#[derive(Clone, Copy)]
struct Carried<'n> {
    seconds: i64,
    sent: u64,
    got: u64,
    application: Application,
    name: Option<&'n str>,
    ended: FlowEnd,
}

/// A short exchange that was answered.
const ANSWERED: Carried<'_> = Carried {
    seconds: 1,
    sent: 800,
    got: 4_000,
    application: Application::Unknown,
    name: None,
    ended: FlowEnd::Closed,
};
/// A SYN that nobody answered.
const REFUSED: Carried<'_> = Carried { seconds: 0, sent: 0, got: 0, ended: FlowEnd::Reset, ..ANSWERED };

impl Trace {
    fn new(policy: &str) -> Self {
        let policy = serde_json::from_str(policy).unwrap();
        Self { detectors: Detectors::new(&policy), found: Vec::new(), flows: 0 }
    }

    fn usual() -> Self {
        Self::new("{}")
    }

    fn ends(&mut self, client: &str, server: &str) -> Ends {
        self.flows += 1;
        let (server, transport) = match server.strip_prefix("udp ") {
            Some(server) => (server, Transport::Udp),
            None => (server, Transport::Tcp),
        };
        let client = match client.parse() {
            Ok(end) => end,
            Err(_) => {
                let port = u16::try_from(33_000 + self.flows % 30_000).unwrap();
                std::net::SocketAddr::new(client.parse().unwrap(), port)
            }
        };
        Ends {
            flow: self.flows,
            interface: "eth0".into(),
            vlan: Vec::new(),
            tunnel: None,
            transport,
            client,
            server: server.parse().unwrap(),
            saw_syn: false,
        }
    }

    fn open(&mut self, at: i64, client: &str, server: &str) {
        let ends = self.ends(client, server);
        self.detectors.opened(&ends, moment(at), &mut self.found);
    }

    fn flow(&mut self, at: i64, client: &str, server: &str, carried: Carried<'_>) {
        let ends = self.ends(client, server);
        self.told(at, ends, carried);
    }

    fn told(&mut self, at: i64, ends: Ends, carried: Carried<'_>) {
        let volume = |payload| Volume { packets: 4, bytes: payload + 200, payload, missing: 0 };
        let last = moment(at + carried.seconds * SECOND);
        let flow = Flow {
            first: moment(at),
            last,
            ended: carried.ended,
            application: carried.application,
            name: carried.name.map(Into::into),
            to_server: volume(carried.sent),
            to_client: volume(carried.got),
            answered: carried.got > 0,
            process: None,
        };
        let record = Record { at: last, ends, what: What::Flow(Box::new(flow)) };
        self.detectors.see(&record, &mut self.found);
    }

    fn ask(&mut self, at: i64, client: &str, name: &str, kind: u16) {
        let ends = self.ends(client, "udp 10.0.0.53:53");
        let dns = |answer| Dns {
            id: 7,
            answer,
            query: name.into(),
            query_type: kind,
            code: answer.then_some(0),
            answers: Vec::new(),
        };
        for answer in [false, true] {
            let what = What::Dns(Box::new(dns(answer)));
            let record = Record { at: moment(at), ends: ends.clone(), what };
            self.detectors.see(&record, &mut self.found);
        }
    }

    /// Has a name be asked for at home and answered.
    fn resolve(&mut self, at: i64, name: &str, address: &str) {
        self.resolve_at(at, "udp 10.0.0.53:53", (name, address));
    }

    fn resolve_at(&mut self, at: i64, resolver: &str, (name, address): (&str, &str)) {
        let ends = self.ends("10.0.0.5", resolver);
        let (query, answers) = (name.into(), vec![address.into()]);
        let dns = Dns { id: 7, answer: true, query, query_type: 1, code: Some(0), answers };
        self.message(at, ends.clone(), Dns { answer: false, code: None, answers: Vec::new(), ..dns.clone() });
        self.message(at, ends, dns);
    }

    fn message(&mut self, at: i64, ends: Ends, dns: Dns) {
        let record = Record { at: moment(at), ends, what: What::Dns(Box::new(dns)) };
        self.detectors.see(&record, &mut self.found);
    }

    fn rules(&self) -> Vec<&str> {
        self.found.iter().map(|f| f.rule.as_str()).collect()
    }

    fn only(&self) -> &TrafficSubject {
        let [Finding { subject: Subject::Traffic(subject), .. }] = &self.found[..] else {
            panic!("{:?}", self.rules())
        };
        subject
    }
}

fn moment(at: i64) -> Timestamp {
    // 07:00 in Vietnam.
    Timestamp::from_millisecond(1_795_392_000_000 + at).unwrap()
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn text(&mut self, length: usize, letters: &[u8]) -> String {
        (0..length).map(|_| char::from(letters[self.below(letters.len() as u64) as usize])).collect()
    }
}

#[test]
fn one_client_that_does_much_that_is_forbidden_is_told_a_few_times() {
    let mut trace =
        Trace::new(r#"{"zones": [{"name": "camera", "networks": ["10.20.0.0/16"], "only": []}]}"#);

    for n in 0..2_000 {
        trace.open(n * 100, "10.20.0.7", &format!("198.51.{}.{}:23", n / 250, n % 250 + 1));
    }

    assert_eq!(trace.found.len(), usize::try_from(MAX_OF_ONE).unwrap());
    trace.open(2 * HOUR, "10.20.0.7", "198.51.100.1:23");
    assert_eq!(trace.found.len(), usize::try_from(MAX_OF_ONE).unwrap() + 1, "another hour is another story");
}

#[test]
fn what_was_too_much_to_tell_is_told_when_there_is_room_again() {
    let mut trace =
        Trace::new(r#"{"zones": [{"name": "camera", "networks": ["10.20.0.0/16"], "only": []}]}"#);

    for n in 1..=17 {
        trace.open(n * MINUTE, "10.20.0.7", &format!("198.51.100.{n}:23"));
    }
    assert_eq!(trace.found.len(), 16);
    trace.open(65 * MINUTE, "10.20.0.7", "198.51.100.17:23");

    assert_eq!(trace.found.len(), 17);
}

#[test]
fn a_known_name_that_was_not_resolved_to_the_server_silences_nothing() {
    let policy = r#"{"known": ["known.example"],
        "zones": [{"name": "portal", "networks": ["10.0.0.0/24"], "first_seen": true}]}"#;
    for (resolved, count) in [("203.0.113.66", 0), ("203.0.113.67", 3)] {
        let mut trace = Trace::new(policy);
        trace.flow(0, "10.0.0.5", "203.0.113.1:443", ANSWERED);
        trace.resolve(8 * DAY, "www.known.example", resolved);
        let lie = Carried { application: Application::Tls, name: Some("www.known.example"), ..ANSWERED };
        for n in 0..33 {
            let at = 8 * DAY + n * MINUTE;
            trace.flow(at, "10.0.0.5", "203.0.113.66:443", Carried { sent: 20_000_000, ..lie });
        }
        let rules: std::collections::BTreeSet<_> = trace.rules().into_iter().collect();
        assert_eq!(rules.len(), count, "{rules:?}");
    }
}

#[test]
fn a_detector_that_policy_turned_off_is_silent() {
    let off = ["horizontal_scan", "vertical_scan", "brute_force", "beacon", "exfiltration", "dns_tunnel"];
    let off: Vec<String> = off.iter().map(|name| format!(r#""{name}": {{"on": false}}"#)).collect();
    let mut trace = Trace::new(&format!("{{{}}}", off.join(",")));

    for n in 0..200 {
        trace.flow(n * 60 * SECOND, "10.0.0.5", "203.0.113.7:443", Carried { sent: 1 << 30, ..ANSWERED });
        trace.flow(n * SECOND, "10.0.0.5", &format!("10.0.1.{n}:445"), REFUSED);
        trace.flow(n * SECOND, "10.0.0.5", "10.0.0.9:22", ANSWERED);
    }

    assert_eq!(trace.rules(), [""; 0]);
}

#[test]
fn what_was_learnt_outlives_a_restart_and_what_is_not_whole_changes_nothing() {
    let policy = r#"{"zones": [{"name": "portal", "networks": ["10.0.0.0/24"], "first_seen": true}]}"#;
    let hello = |name| Carried { application: Application::Tls, name: Some(name), ..ANSWERED };
    let mut before = Trace::new(policy);
    before.flow(0, "10.0.0.5", "203.0.113.7:443", hello("api.partner.example"));
    before.flow(0, "10.0.0.5", "203.0.113.8:443", ANSWERED);
    let kept = before.detectors.export();

    let mut after = Trace::new(policy);
    assert!(after.detectors.import(&kept));
    assert_eq!(after.detectors.export(), kept);
    after.flow(8 * DAY, "10.0.0.6", "203.0.113.99:443", hello("www.partner.example"));
    after.flow(8 * DAY, "10.0.0.6", "203.0.113.8:443", ANSWERED);
    assert_eq!(after.rules(), [""; 0], "both are known, and the time of learning is over");
    after.flow(8 * DAY, "10.0.0.6", "203.0.113.9:443", hello("new.example"));
    assert_eq!(
        after.only().what,
        Pattern::FirstSeen { zone: "portal".to_owned().try_into().unwrap(), known: 3 }
    );

    let was = after.detectors.export();
    assert!(!after.detectors.import(&kept[..kept.len() - 1]));
    assert!(!after.detectors.import(&[&kept[..], b"x"].concat()));
    assert!(!after.detectors.import(b"KND2"));
    assert_eq!(after.detectors.export(), was);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_for_what_was_learnt(bytes: Vec<u8>, whole: bool) {
        let mut detectors = Detectors::new(&Network::default());
        let bytes = if whole { [&b"KND1"[..], &bytes].concat() } else { bytes };
        if detectors.import(&bytes) {
            let kept = detectors.export();
            prop_assert!(detectors.import(&kept));
        }
    }

    #[test]
    fn any_flows_are_taken(
        flows in proptest::collection::vec((any::<i32>(), 0u8..4, 0u8..4, any::<u16>(), any::<u64>(), any::<u64>()), 0..200)
    ) {
        let mut trace = Trace::new(r#"{"zones": [{"name": "a", "networks": ["10.0.0.0/31"], "first_seen": true},
            {"name": "b", "networks": ["10.0.0.2/31"], "only": []}], "beacon": {"seconds": 10, "times": 8}}"#);
        for (at, client, server, port, sent, got) in flows {
            let carried = Carried { sent: sent / 2, got: got / 2, ..ANSWERED };
            let server = if server == 3 { "203.0.113.1".to_owned() } else { format!("10.0.0.{server}") };
            trace.open(at.into(), &format!("10.0.0.{client}"), &format!("{server}:{port}"));
            trace.flow(at.into(), &format!("10.0.0.{client}"), &format!("{server}:{port}"), carried);
        }
        let _ = trace.detectors.take_forgotten();
    }

    #[test]
    fn any_names_are_taken(names in proptest::collection::vec(any::<Vec<u8>>(), 0..60)) {
        let mut trace = Trace::new(r#"{"dns_tunnel": {"names": 10, "length": 16}}"#);
        for name in names {
            let ends = trace.ends("10.0.0.5", "udp 10.0.0.53:53");
            let dns = Dns { id: 1, answer: false, query: Untrusted::new(name), query_type: 16, code: None, answers: Vec::new() };
            let record = Record { at: moment(0), ends, what: What::Dns(Box::new(dns)) };
            trace.detectors.see(&record, &mut trace.found);
        }
    }
}

#[test]
fn only_an_answer_of_our_resolver_to_a_question_makes_an_address_known() {
    let policy = r#"{"known": ["known.example", "198.51.100.53/32"]}"#;
    let question = |answer: bool| Dns {
        id: 7,
        answer,
        query: "www.known.example".into(),
        query_type: 1,
        code: answer.then_some(0),
        answers: if answer { vec!["203.0.113.66".into()] } else { Vec::new() },
    };
    for (resolver, is_asked, id, at, is_believed) in [
        ("udp 10.0.0.53:53", true, 7, 0, true),
        ("10.0.0.53:53", true, 7, 0, true),
        ("udp 198.51.100.53:53", true, 7, 0, true),
        ("udp 203.0.113.66:53", true, 7, 0, false),
        ("udp 224.0.0.251:5353", true, 7, 0, false),
        ("udp 10.0.0.53:53", false, 7, 0, false),
        ("udp 10.0.0.53:53", true, 8, 0, false),
        ("udp 10.0.0.53:53", true, 7, -25 * HOUR, false),
    ] {
        let mut trace = Trace::new(policy);
        let ends = trace.ends("10.0.0.5", resolver);
        if is_asked {
            trace.message(at, ends.clone(), Dns { id, ..question(false) });
        }
        trace.message(at, ends, question(true));
        let lie = Carried { application: Application::Tls, name: Some("www.known.example"), ..ANSWERED };
        (0..33).for_each(|n| trace.flow(n * MINUTE, "10.0.0.5", "203.0.113.66:443", lie));

        assert_eq!(trace.rules().is_empty(), is_believed, "{resolver} {is_asked} {id} {at}");
    }
}

#[test]
fn what_came_out_of_a_tunnel_that_nobody_has_is_no_finding() {
    let policy = r#"{"trusted": ["198.51.100.9/32"],
        "zones": [{"name": "a", "networks": ["10.1.0.0/24"], "only": []}, {"name": "b", "networks": ["10.2.0.0/24"]}]}"#;
    for (from, to, is_told) in [
        ("203.0.113.9", "10.1.0.5", false),
        ("10.1.0.5", "203.0.113.9", false),
        ("10.1.0.5", "10.2.0.5", true),
        ("198.51.100.9", "10.2.0.5", true),
    ] {
        let mut trace = Trace::new(policy);
        let around = Tunnel {
            kind: TunnelKind::Vxlan,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            id: Some(7),
        };
        for n in 1..=40 {
            let ends = trace.ends("10.1.0.7", &format!("10.2.0.{n}:445"));
            let ends = Ends { tunnel: Some(around.clone()), ..ends };
            trace.detectors.opened(&ends, moment(0), &mut trace.found);
            trace.told(n * 100, ends, REFUSED);
        }
        let rules: std::collections::BTreeSet<_> = trace.rules().into_iter().collect();
        let all = ["khien.net.east_west", "khien.net.not_allowed", "khien.net.scan_horizontal"];
        assert_eq!(
            rules.into_iter().collect::<Vec<_>>(),
            if is_told { all.to_vec() } else { Vec::new() },
            "{from} {to}"
        );
    }
}
