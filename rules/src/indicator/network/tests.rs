use khien_core::{
    bundle::{DomainIndicator, IndicatorSet, NetworkLists, SetKind},
    traffic::Lists,
};
use proptest::prelude::*;

use super::{
    super::{files, import as file_import},
    import::How,
    *,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const JA4: &str = "t13d1516h2_8daaf6152771_b186095e22b6";

#[test]
fn what_stands_on_a_list_is_found_by_its_rule_and_nothing_beside_it() {
    let certificate = Sha256::of(b"a certificate");
    let pack = pack(&[
        (NetworkKind::Address, "203.0.113.7\n198.51.100.0/24\n2001:db8::/32\n", "list.address"),
        (NetworkKind::Domain, "evil.example\n", "list.domain"),
        (NetworkKind::Url, "http://shared.example/kit/\n", "list.url"),
        (NetworkKind::Ja4, JA4, "list.ja4"),
        (NetworkKind::Certificate, &certificate.to_string(), "list.certificate"),
    ]);
    let lists = Network::of(&pack, NOW);
    let address = |text: &str| lists.address(text.parse().unwrap()).map(RuleId::as_str);

    for listed in ["203.0.113.7", "198.51.100.200", "::ffff:203.0.113.7", "2001:db8:9::9"] {
        assert_eq!(address(listed), Some("list.address"), "{listed}");
    }
    for clean in ["203.0.113.8", "198.51.101.1", "2001:db9::1"] {
        assert_eq!(address(clean), None, "{clean}");
    }
    let rule = |found: Option<&RuleId>| found.map(|rule| rule.as_str().to_owned());
    assert_eq!(rule(lists.name(b"WWW.Evil.Example.")), Some("list.domain".to_owned()));
    assert_eq!(rule(lists.name(b"bevil.example")), None);
    assert_eq!(rule(lists.url(b"shared.example", b"/kit/login.php?id=1")), Some("list.url".to_owned()));
    assert_eq!(rule(lists.url(b"shared.example", b"/index.html")), None);
    assert_eq!(rule(lists.ja4(&Ja4::new(JA4.as_bytes()).unwrap())), Some("list.ja4".to_owned()));
    assert_eq!(lists.ja4(&Ja4::new(b"t13d1516h2_8daaf6152771_b186095e22b7").unwrap()), None);
    assert_eq!(rule(lists.certificate(&certificate)), Some("list.certificate".to_owned()));
    assert_eq!(lists.certificate(&Sha256::of(b"another")), None);
    assert_eq!((lists.len(), lists.refused(), lists.broken()), (7, 0, &[][..]));
}

#[test]
fn the_names_of_an_older_pack_are_found_and_the_closest_list_wins() {
    let mut pack = pack(&[(NetworkKind::Domain, "c2.evil.example\n", "list.new")]);
    for domain in ["evil.example", "com", "bad name.example", "1.2.3.4"] {
        let rule = "list.old".parse().unwrap();
        pack.domains.push(DomainIndicator { domain: domain.to_owned(), rule });
    }

    let lists = Network::of(&pack, NOW);

    let name = |text: &str| lists.name(text.as_bytes()).map(RuleId::as_str);
    assert_eq!((name("a.c2.evil.example"), name("www.evil.example")), (Some("list.new"), Some("list.old")));
    assert_eq!((name("example"), name("google.com"), lists.refused()), (None, None, 3));
}

#[test]
fn a_label_that_no_name_can_have_hides_nothing_behind_it() {
    let lists = Network::of(&pack(&[(NetworkKind::Domain, "evil.example\n", "list.domain")]), NOW);
    let long = [b"x".repeat(400), b".evil.example".to_vec()].concat();
    let deep = [b"a.".repeat(120), b"evil.example".to_vec()].concat();

    for name in [&b"\xFF\0.evil.example"[..], b"a b.evil.example", b"..evil.example", &long, &deep] {
        assert!(lists.name(name).is_some(), "{}", name.escape_ascii());
    }
    for name in [&b""[..], b".", b"evil.example\0", b"evil.example..", &b"x".repeat(400)] {
        assert!(lists.name(name).is_none(), "{}", name.escape_ascii());
    }
}

#[test]
fn of_several_lists_the_gravest_that_has_not_expired_speaks() {
    let mut pack = pack(&[
        (NetworkKind::Address, "203.0.113.7\n203.0.113.8\n", "list.grave"),
        (NetworkKind::Address, "203.0.113.7\n203.0.113.0/24\n", "list.light"),
    ]);
    pack.rules = vec![meta("list.light", Severity::Low), meta("list.grave", Severity::Critical)];
    pack.network.sets[0].expires = Some(Timestamp::from_second(100).unwrap());
    let lists = Network::of(&pack, NOW);
    let address = |last: u8| lists.address(IpAddr::from([203, 0, 113, last])).map(RuleId::as_str);

    assert_eq!([7, 8, 9].map(address), [Some("list.grave"), Some("list.grave"), Some("list.light")]);
    lists.set_time(Timestamp::from_second(100).unwrap());
    assert_eq!([7, 8, 9].map(address), [Some("list.light"); 3]);
}

#[test]
fn what_is_let_be_within_an_entry_is_no_hit_and_its_neighbours_are() {
    let mut pack = pack(&[
        (NetworkKind::Address, "198.51.100.0/24\n", "list.address"),
        (NetworkKind::Domain, "pages.example\n", "list.domain"),
        (NetworkKind::Url, "http://shared.example/kit/\n", "list.url"),
    ]);
    pack.network.allowed =
        ["198.51.100.8/29", "vncert.pages.example", "shared.example/kit/logo.png", "nonsense"]
            .map(str::to_owned)
            .into();
    let lists = Network::of(&pack, NOW);

    let address = |last: u8| lists.address(IpAddr::from([198, 51, 100, last])).is_some();
    assert_eq!((address(9), address(7)), (false, true));
    assert!(lists.name(b"www.VNCERT.pages.example").is_none() && lists.name(b"evil.pages.example").is_some());
    let url = |target: &str| lists.url(b"shared.example", target.as_bytes()).is_some();
    assert_eq!((url("/kit/logo.png?v=1"), url("/kit/login.php")), (false, true));
}

#[test]
fn a_file_that_traffic_carries_is_asked_of_the_lists_of_files() {
    let evil = Sha256::of(b"evil");
    let imported = file_import::read(evil.to_string().as_bytes(), SetKind::Sha256).unwrap();
    let section = files::section(&imported);
    let mut pack = pack(&[]);
    pack.sets.push(IndicatorSet {
        rule: "list.files".parse().unwrap(),
        kind: SetKind::Sha256,
        source: "test".to_owned(),
        confidence: 100,
        expires: Some(Timestamp::from_second(100).unwrap()),
        entries: section.entries,
        body: section.body,
        globs: section.globs,
    });
    let lists = Network::of(&pack, NOW);

    assert_eq!(lists.file(&evil).map(RuleId::as_str), Some("list.files"));
    assert_eq!(lists.file(&Sha256::of(b"good")), None);
    lists.set_time(Timestamp::from_second(100).unwrap());
    assert_eq!(lists.file(&evil), None);
}

#[test]
fn a_list_that_cannot_be_read_is_told_and_the_others_work() {
    let mut pack = pack(&[
        (NetworkKind::Domain, "evil.example\n", "list.domain"),
        (NetworkKind::Address, "203.0.113.7\n", "list.address"),
        (NetworkKind::Url, "http://a.example/x\n", "list.url"),
        (NetworkKind::Ja4, JA4, "list.new"),
    ]);
    pack.network.sets[0].body.truncate(5);
    pack.network.sets[2].body = "?".to_owned();
    pack.network.sets[3].kind = NetworkKind::Unknown;

    let lists = Network::of(&pack, NOW);

    let broken: Vec<_> = lists.broken().iter().map(|(rule, why)| (rule.as_str(), *why)).collect();
    assert_eq!(broken, [("list.domain", BadBody::Encoding), ("list.url", BadBody::Encoding)]);
    assert_eq!(lists.len(), 1);
    assert!(lists.address([203, 0, 113, 7].into()).is_some());
}

#[test]
fn a_look_up_tells_every_list_and_the_entry_of_each() {
    let mut pack = pack(&[
        (NetworkKind::Address, "203.0.113.7\n", "list.one"),
        (NetworkKind::Address, "203.0.113.0/24\n203.0.113.7\n", "list.two"),
        (NetworkKind::Domain, "evil.example\n", "list.three"),
        (NetworkKind::Url, "http://www.evil.example/kit/\n", "list.four"),
    ]);
    pack.network.allowed = vec!["203.0.113.8".to_owned()];
    let lists = Network::of(&pack, NOW);
    let told = |text: &str| -> Vec<String> {
        let found = lists.look_up(&value::Value::parse(text).unwrap());
        found.iter().map(|f| format!("{} {} {}", f.set.rule, f.entry, f.allowed)).collect()
    };

    assert_eq!(
        told("203.0.113[.]7"),
        ["list.one 203.0.113.7 false", "list.two 203.0.113.7 false", "list.two 203.0.113.0/24 false"]
    );
    assert_eq!(told("203.0.113.8"), ["list.two 203.0.113.0/24 true"]);
    assert_eq!(
        told("hxxp://www.evil.example/kit/a.php"),
        ["list.four www.evil.example/kit/ false", "list.three evil.example false"]
    );
    assert_eq!(told("good.example"), [""; 0]);
}

#[test]
fn a_million_mixed_entries_fit_into_a_pack_and_into_little_memory() {
    let lines = |count: u32, line: fn(u32) -> String| (0..count).map(line).collect::<String>();
    let address = |n: u32| format!("{}\n", std::net::Ipv4Addr::from_bits(0x0B00_0000 + n * 37));
    let pack = pack(&[
        (NetworkKind::Address, &lines(300_000, address), "list.address"),
        (NetworkKind::Domain, &lines(500_000, |n| format!("h{n}.evil.example\n")), "list.domain"),
        (NetworkKind::Url, &lines(150_000, |n| format!("http://evil.example/k/{n}\n")), "list.url"),
        (
            NetworkKind::Certificate,
            &lines(50_000, |n| format!("{}\n", Sha256::of(&n.to_le_bytes()))),
            "list.cert",
        ),
    ]);
    let shipped = serde_json::to_vec(&pack).unwrap();
    assert!(shipped.len() < khien_core::bundle::MAX_PACK * 3 / 4, "{}", shipped.len());

    let lists = Network::of(&serde_json::from_slice(&shipped).unwrap(), NOW);

    assert_eq!(lists.len(), 1_000_000);
    assert!(lists.memory() < 12_000_000, "{}", lists.memory());
    for n in (0..50_000).step_by(997) {
        assert!(lists.address(std::net::Ipv4Addr::from_bits(0x0B00_0000 + n * 37).into()).is_some());
        assert!(lists.address(std::net::Ipv4Addr::from_bits(0x0B00_0001 + n * 37).into()).is_none());
        assert!(lists.name(format!("a.h{n}.evil.example").as_bytes()).is_some());
        assert!(lists.name(format!("a.g{n}.evil.example").as_bytes()).is_none());
        assert!(lists.url(b"evil.example", format!("/k/{n}?x").as_bytes()).is_some());
        assert!(lists.url(b"evil.example", format!("/j/{n}").as_bytes()).is_none());
        assert!(lists.certificate(&Sha256::of(&n.to_le_bytes())).is_some());
    }
}

proptest! {
    #[test]
    fn any_body_is_loaded_or_told_and_any_bytes_are_asked_for(body: Vec<u8>, kind in 0_usize..5, name: Vec<u8>) {
        let kinds = [
            NetworkKind::Address, NetworkKind::Domain, NetworkKind::Url, NetworkKind::Ja4, NetworkKind::Certificate,
        ];
        let mut pack = pack(&[(kinds[kind], "", "list.any")]);
        pack.network.sets[0].body = BASE64_NOPAD.encode(&body);
        pack.network.allowed = vec![String::from_utf8_lossy(&name).into_owned()];

        let lists = Network::of(&pack, NOW);

        let _ = (lists.name(&name), lists.url(&name, &name), lists.address([1, 2, 3, 4].into()));
        prop_assert_eq!(lists.broken().is_empty(), check(&pack.network.sets[0]).is_ok());
    }
}

fn pack(lists: &[(NetworkKind, &str, &str)]) -> Pack {
    let set = |(kind, text, rule): &(NetworkKind, &str, &str)| {
        let how = How { kind: *kind, column: None, private: false, allow: &Allow::default() };
        let imported = import::read(text.as_bytes(), &how).unwrap();
        assert_eq!((imported.counts.bad, imported.counts.refused), (0, 0), "{:?}", imported.told);
        let (entries, body) = imported.shipped();
        let rule = rule.parse().unwrap();
        NetworkSet {
            rule,
            kind: *kind,
            source: "test".to_owned(),
            confidence: 80,
            expires: None,
            entries,
            body,
        }
    };
    Pack {
        version: 1,
        created: NOW,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: Vec::new(),
        sets: Vec::new(),
        network: NetworkLists { sets: lists.iter().map(set).collect(), allowed: Vec::new() },
        policy: None,
    }
}

fn meta(id: &str, severity: Severity) -> khien_core::bundle::RuleMeta {
    let words = khien_core::text::Words::same("x");
    khien_core::bundle::RuleMeta {
        id: id.parse().unwrap(),
        yara: None,
        severity,
        technique: None,
        streams: false,
        memory: false,
        title: words.clone(),
        explanation: words.clone(),
        next_step: words,
    }
}
