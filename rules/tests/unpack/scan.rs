//! Scanning a file together with everything inside it.

use std::time::Duration;

use khien_core::{
    Severity, Timestamp, Untrusted,
    bundle::{NetworkLists, Pack, RuleMeta, Source},
    event::{NotSeen, ScanOutcome},
    text::Words,
};
use khien_rules::{
    Engine, Scope,
    unpack::{Deep, Limits, scan},
};

use crate::{MARK, make};

const RULES: &str = "rule mark { strings: $a = \"a harmless mark\" condition: $a }
                     rule other { strings: $a = \"another mark\" condition: $a }";

fn pack() -> Pack {
    let words = || Words::same("test");
    let meta = |(yara, severity): (&str, Severity)| RuleMeta {
        id: format!("test.{yara}").parse().unwrap(),
        yara: Some(yara.to_owned()),
        severity,
        technique: None,
        streams: false,
        memory: false,
        title: words(),
        explanation: words(),
        next_step: words(),
    };
    Pack {
        version: 1,
        created: Timestamp::UNIX_EPOCH,
        rules: [("mark", Severity::Low), ("other", Severity::Critical)].map(meta).to_vec(),
        sources: vec![Source { name: "a.yar".to_owned(), text: RULES.to_owned() }],
        domains: Vec::new(),
        sets: Vec::new(),
        network: NetworkLists::default(),
        policy: None,
    }
}

fn scan_all(bytes: &[u8]) -> Deep {
    scan_for(bytes, Duration::from_secs(60))
}

fn scan_for(bytes: &[u8], left: Duration) -> Deep {
    let engine = Engine::compile(&pack(), Scope::File).unwrap();
    scan(&mut engine.scanner(), bytes, &Untrusted::from("a"), &Limits::default(), &|| left)
}

fn found(deep: &Deep) -> Vec<(String, String)> {
    deep.scanned.hits.iter().map(|h| (h.rule.to_string(), h.inside.to_string())).collect()
}

#[test]
fn a_hit_says_how_far_in_it_is_even_where_the_same_bytes_show_outside() {
    let inner = make::zip_of(&[make::stored("b.php", MARK)]);
    let outer = make::zip_of(&[make::stored("a.zip", &inner)]);

    let deep = scan_all(&outer);

    assert_eq!(deep.scanned.outcome, ScanOutcome::Matched);
    assert_eq!(found(&deep), [("test.mark".to_owned(), "a.zip › b.php".to_owned())]);
    assert_eq!(deep.scanned.hits[0].excerpts[0].offset, 0);
}

#[test]
fn the_most_severe_hit_comes_first_wherever_it_is() {
    let zip = make::zip(&[("low", MARK), ("bad", b"another mark")]);

    let ways = found(&scan_all(&zip));

    assert_eq!(ways[0], ("test.other".to_owned(), "bad".to_owned()));
    assert_eq!(ways[1], ("test.mark".to_owned(), "low".to_owned()));
}

#[test]
fn what_was_not_seen_is_told_beside_a_hit_and_is_never_clean() {
    let secret = make::Entry { flags: 1, ..make::stored("secret", b"twelve bytes and more") };

    let both = scan_all(&make::zip_of(&[secret.clone(), make::deflated("a", MARK)]));
    let alone = scan_all(&make::zip_of(&[secret]));
    let clean = scan_all(&make::zip(&[("a", b"nothing")]));

    assert_eq!((both.scanned.outcome, both.troubles[0].why), (ScanOutcome::Matched, NotSeen::Encrypted));
    assert_eq!((alone.scanned.outcome, alone.troubles.len()), (ScanOutcome::Unreadable, 1));
    assert_eq!((clean.scanned.outcome, clean.troubles.len()), (ScanOutcome::Clean, 0));
}

#[test]
fn a_scan_without_time_left_is_a_timeout_and_not_clean() {
    let deep = scan_for(&make::zip(&[("a", b"nothing")]), Duration::ZERO);

    assert_eq!(deep.scanned.outcome, ScanOutcome::Timeout);
}
