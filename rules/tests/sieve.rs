//! What the sieve of a pack's rules for streams lets through: all that a rule may match.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use khien_core::{
    RuleId, Timestamp,
    bundle::{Pack, Source},
};
use khien_rules::{
    base_pack, sample,
    sieve::{NoSieve, Sieve},
};

#[test]
fn every_rule_for_streams_of_the_shipped_pack_needs_something_that_usual_traffic_has_not() {
    let sieve = Sieve::of_streams(&base_pack(Timestamp::UNIX_EPOCH));

    assert!(sieve.may_match(&sample::eicar()));
    assert!(!sieve.may_match(b""));
    assert!(!sieve.may_match(&[0; 70_000]));
    assert!(!sieve.may_match(b"GET /tin-tuc?trang=2 HTTP/1.1\r\nHost: tinh.example\r\nAccept: */*\r\n\r\n"));
}

#[test]
fn of_each_rule_for_streams_of_the_shipped_pack_something_is_proved() {
    let shipped = base_pack(Timestamp::UNIX_EPOCH);
    let alone = |rule: &RuleId| {
        let mut pack = shipped.clone();
        pack.rules.iter_mut().for_each(|other| other.streams &= other.id == *rule);
        Sieve::of_streams(&pack)
    };
    let rules = shipped.rules.iter().filter(|rule| rule.streams).map(|rule| &rule.id);

    let unproved: Vec<_> = rules.filter(|rule| alone(rule).may_match(&[0; 70_000])).collect();

    assert_eq!(unproved, Vec::<&RuleId>::new());
}

#[test]
fn where_nothing_is_proved_everything_passes() {
    let proves_nothing = "rule one { strings: $a = /[a-z]{3}/ condition: not $a }";
    let broken = "rule one { condition: ";

    assert!(Sieve::default().may_match(b""));
    for text in [proves_nothing, broken] {
        assert!(Sieve::of_streams(&pack(text)).may_match(b"no more than a text"), "{text}");
    }
}

#[test]
fn a_pack_without_rules_for_streams_lets_nothing_through() {
    let mut pack = pack("rule one { condition: true }");
    pack.rules.iter_mut().for_each(|rule| rule.streams = false);

    assert!(!Sieve::of_streams(&pack).may_match(&sample::eicar()));
}

#[test]
fn a_rule_that_leans_on_a_private_one_of_another_source_is_not_lost() {
    let mut pack = pack("rule one { strings: $b = \"second-word\" condition: helper and $b }");
    let text = "private rule helper { strings: $a = \"first-word\" condition: $a }".to_owned();
    pack.sources.insert(0, Source { name: "helper.yar".to_owned(), text });

    assert!(Sieve::of_streams(&pack).may_match(b"first-word second-word"));
}

#[test]
fn a_sieve_in_bounds_holds_back_the_same_and_is_none_where_it_takes_too_much() {
    let shipped = base_pack(Timestamp::UNIX_EPOCH);
    let (late, soon) = (Instant::now() + Duration::from_secs(600), Instant::now());

    let sieve = Sieve::of_streams_by(&shipped, late).unwrap();

    assert!(sieve.may_match(&sample::eicar()) && !sieve.may_match(&[0; 70_000]));
    let why = |pack, until| Sieve::of_streams_by(pack, until).unwrap_err();
    assert_eq!(why(&shipped, soon), NoSieve::TooLate);
    let (broken, long) = (pack("rule one { condition: "), "x".repeat(4 << 20));
    assert_eq!(why(&broken, late), NoSieve::Unreadable);
    let long = pack(&format!("rule one {{ condition: true }} // {long}"));
    assert!(matches!(why(&long, late), NoSieve::TooLarge { size } if size > 4 << 20));
}

#[test]
fn while_scans_are_made_with_another_pack_than_its_own_everything_passes() {
    let scanning = Arc::new(AtomicU64::new(1));
    let mut pack = pack("rule one { strings: $a = \"first-word\" condition: $a }");
    pack.version = 1;
    let sieve = Sieve::of_streams(&pack).while_scanning_with(1, Arc::clone(&scanning));
    let other = b"a rule of the next pack may match this";
    assert!(!sieve.may_match(other) && sieve.may_match(b"the first-word"));

    scanning.store(2, Ordering::Release);

    assert!(sieve.may_match(other));
}

/// The shipped pack with one rule for streams in place of its own.
fn pack(text: &str) -> Pack {
    let mut pack = base_pack(Timestamp::UNIX_EPOCH);
    pack.sources = vec![Source { name: "one.yar".to_owned(), text: text.to_owned() }];
    pack.rules.truncate(1);
    pack.rules[0].yara = Some("one".to_owned());
    pack.rules[0].streams = true;
    pack
}
