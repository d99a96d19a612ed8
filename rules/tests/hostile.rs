//! Packs and bytes that mean harm.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::{Duration, Instant};

use khien_core::{
    Severity, Timestamp,
    bundle::{DomainIndicator, NetworkLists, Pack, RuleMeta, Source},
    event::{EXCERPT_MATCH, EXCERPT_SIDE, MAX_EXCERPTS, ScanOutcome},
    text::Words,
};
use khien_rules::{
    CompileError, Engine, Scope, check,
    compile::{MAX_SOURCE, MAX_SOURCES},
};

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn an_include_is_refused_and_nothing_of_the_file_is_told() {
    for text in [
        "include \"/etc/passwd\"\nrule one { condition: true }",
        "rule one { condition: true }\ninclude \"/etc/passwd\"",
    ] {
        let error = refused(&pack(text, &[("test.one", "one")]));

        assert_eq!(error.to_string(), "rule `a.yar`: source: include is not allowed");
    }
}

#[test]
fn a_slow_pattern_and_a_slow_loop_are_refused_with_their_line() {
    let slow = refused(&pack("\nrule one { strings:\n $a = \"a\"\n condition: $a }", &[("test.one", "one")]));
    let text = "rule one { condition: for any i in (0..filesize) : (uint8(i) == 1 and uint8(i + 1) == 2) }";
    let endless = refused(&pack(text, &[("test.one", "one")]));

    let CompileError::Refused { source_name, line, code, .. } = slow else { panic!("{slow}") };
    assert_eq!((source_name.as_str(), line, code), ("a.yar", 3, "E018"));
    assert!(matches!(endless, CompileError::Refused { code: "E034", line: 1, .. }), "{endless}");
}

#[test]
fn a_global_rule_is_refused_because_it_could_silence_all_others() {
    let error = refused(&pack(
        "global rule off { condition: false } rule one { condition: true }",
        &[("test.one", "one")],
    ));

    assert!(error.to_string().contains("rule `off`: source: global rules are not allowed"), "{error}");
}

#[test]
fn too_large_and_too_many_sources_are_refused_before_they_are_read() {
    let large = refused(&pack(&" ".repeat(MAX_SOURCE + 1), &[]));
    let mut many = pack("", &[]);
    many.sources = vec![Source { name: "a.yar".to_owned(), text: String::new() }; MAX_SOURCES + 1];

    assert!(matches!(large, CompileError::SourceTooLarge { size, .. } if size == MAX_SOURCE + 1));
    assert!(matches!(refused(&many), CompileError::TooManySources { found } if found == MAX_SOURCES + 1));
}

#[test]
fn an_error_text_is_short_and_safe_to_print() {
    let name = format!("\x1b]0;x\x07{}.yar", "n".repeat(10_000));
    let mut bad = pack("rule one { condition: \x1b[31m }", &[("test.one", "one")]);
    bad.sources[0].name = name;

    let text = refused(&bad).to_string();

    assert!(!text.contains('\x1b') && text.len() < 1_000, "{} bytes: {text}", text.len());
}

#[test]
fn rules_and_metadata_must_belong_together() {
    let nameless =
        refused(&pack("rule one { condition: true } rule two { condition: true }", &[("test.one", "one")]));
    let empty = refused(&pack("rule one { condition: true }", &[("test.one", "one"), ("test.two", "two")]));
    let twice = refused(&pack("rule one { condition: true }", &[("test.one", "one"), ("test.one", "one")]));

    assert_eq!(nameless.to_string(), "rule `two`: id: the YARA rule has no metadata in the pack");
    assert_eq!(empty.to_string(), "rule `test.two`: yara: no source has a rule `two`");
    assert!(twice.to_string().starts_with("rule `test.one`: id: is used twice"), "{twice}");
}

#[test]
fn a_rule_that_needs_a_whole_file_may_not_say_that_it_fits_streams() {
    let mut bad = pack("rule one { condition: filesize < 10 }", &[("test.one", "one")]);
    bad.rules[0].streams = true;

    assert_eq!(
        refused(&bad).to_string(),
        "rule `test.one`: streams: is true, but the rule uses `filesize`, which traffic does not have"
    );
}

#[test]
fn a_rule_that_needs_a_whole_file_may_not_say_that_it_fits_memory() {
    let mut bad =
        pack("import \"elf\" rule one { condition: elf.type == elf.ET_DYN }", &[("test.one", "one")]);
    bad.rules[0].memory = true;

    assert_eq!(
        refused(&bad).to_string(),
        "rule `test.one`: memory: is true, but the rule uses `elf`, which the memory of a process does not have"
    );
}

#[test]
fn a_check_names_every_bad_field() {
    let mut bad = pack("rule one { condition: true }", &[("khien.one", "one")]);
    bad.rules[0].technique = Some("T15".to_owned());
    bad.rules[0].next_step.vi = " ".to_owned();
    bad.rules[0].title.en = "\u{202e}x".to_owned();
    bad.domains.push(DomainIndicator { domain: "COM".to_owned(), rule: "test.none".parse().unwrap() });

    let fields: Vec<_> = check::pack(&bad).into_iter().map(|p| (p.rule, p.field)).collect();

    let expected = [
        ("khien.one", "id"),
        ("khien.one", "next_step.vi"),
        ("khien.one", "technique"),
        ("khien.one", "title.en"),
    ];
    assert!(
        expected.iter().all(|(rule, field)| fields.contains(&((*rule).to_owned(), *field))),
        "{fields:?}"
    );
    assert!(fields.contains(&("test.none".to_owned(), "domains")));
}

#[test]
fn a_stream_engine_leaves_out_rules_and_modules_that_do_not_fit() {
    let text = "import \"elf\"\nrule one { strings: $a = \"needle\" condition: $a }\nrule two { condition: elf.type == elf.ET_DYN or true }";
    let mut both = pack(text, &[("test.one", "one"), ("test.two", "two")]);
    both.rules[0].streams = true;

    let stream = Engine::compile(&both, Scope::Stream).unwrap();
    let file = Engine::compile(&both, Scope::File).unwrap();

    assert_eq!(stream.rules().map(ToString::to_string).collect::<Vec<_>>(), ["test.one"]);
    assert_eq!(stream.scan(b"a needle", TIMEOUT).hits.len(), 1);
    assert_eq!(file.scan(b"a needle", TIMEOUT).hits.len(), 2);
}

#[test]
fn excerpts_show_bounded_bytes_around_the_match() {
    let text = "rule one { strings: $a = /needle[0-9]{0,900}/ $b = \"bbbb\" $c = \"cccc\" $d = \"dddd\" $e = \"eeee\" condition: any of them }";
    let engine = Engine::compile(&pack(text, &[("test.one", "one")]), Scope::File).unwrap();
    let bytes =
        ["x".repeat(200), "needle".to_owned(), "7".repeat(500), "bbbbccccddddeeee".to_owned()].concat();

    let scanned = engine.scan(bytes.as_bytes(), TIMEOUT);

    let excerpts = &scanned.hits[0].excerpts;
    assert_eq!(excerpts.len(), MAX_EXCERPTS);
    assert_eq!(excerpts[0].offset, 200);
    assert_eq!(excerpts[0].before.raw(), "x".repeat(EXCERPT_SIDE).as_bytes());
    assert_eq!(excerpts[0].matched.raw().len(), EXCERPT_MATCH);
    assert_eq!(excerpts[0].after.raw(), b"bbbbccccddddeeee");
    assert_eq!((excerpts[1].offset, excerpts[1].matched.raw()), (706, &b"bbbb"[..]));
}

#[test]
fn an_excerpt_at_the_edges_of_the_bytes_is_cut() {
    let text = "rule one { strings: $a = \"needle\" condition: $a }";
    let engine = Engine::compile(&pack(text, &[("test.one", "one")]), Scope::File).unwrap();

    let scanned = engine.scan(b"needle", TIMEOUT);

    let excerpt = &scanned.hits[0].excerpts[0];
    assert_eq!((excerpt.offset, excerpt.before.raw(), excerpt.after.raw()), (0, &b""[..], &b""[..]));
}

#[test]
fn hits_come_most_severe_first() {
    let text = "rule one { condition: true } rule two { condition: true }";
    let mut both = pack(text, &[("test.one", "one"), ("test.two", "two")]);
    both.rules[1].severity = Severity::Critical;

    let scanned = Engine::compile(&both, Scope::File).unwrap().scan(b"", TIMEOUT);

    assert_eq!(scanned.hits.iter().map(|h| h.rule.as_str()).collect::<Vec<_>>(), ["test.two", "test.one"]);
}

#[test]
fn a_scan_that_takes_too_long_is_a_timeout_and_the_scanner_goes_on() {
    let text = "rule one { strings: $a = /aaaa(b|a){1,9000}c/s condition: #a > 5000 }";
    let engine = Engine::compile(&pack(text, &[("test.one", "one")]), Scope::File).unwrap();
    let mut scanner = engine.scanner();
    let begin = Instant::now();

    let slow = scanner.scan(&vec![b'a'; 8 << 20], Duration::from_millis(100));

    assert_eq!((slow.outcome, slow.hits.len()), (ScanOutcome::Timeout, 0));
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(scanner.scan(b"nothing", TIMEOUT).outcome, ScanOutcome::Clean);
}

#[test]
fn a_loop_over_numbers_without_end_is_a_timeout_and_the_scanner_goes_on() {
    let text = "rule one { condition: filesize > 3 and for any i in (1..1000000000) : (for any j in (1..1000000000) : (i * j == 3 and i == 7)) }";
    let engine = Engine::compile(&pack(text, &[("test.one", "one")]), Scope::File).unwrap();
    let mut scanner = engine.scanner();

    let outcomes = [(&b"long enough"[..], Duration::from_millis(100)), (b"no", TIMEOUT)]
        .map(|(bytes, time)| scanner.scan(bytes, time).outcome);

    assert_eq!(outcomes, [ScanOutcome::Timeout, ScanOutcome::Clean]);
}

#[test]
fn a_used_scanner_forgets_what_it_saw() {
    let text = "rule one { strings: $a = \"needle\" condition: $a }";
    let engine = Engine::compile(&pack(text, &[("test.one", "one")]), Scope::File).unwrap();
    let mut scanner = engine.scanner();

    let outcomes = [&b"needle"[..], b"hay", b"needle"].map(|bytes| scanner.scan(bytes, TIMEOUT).outcome);

    assert_eq!(outcomes, [ScanOutcome::Matched, ScanOutcome::Clean, ScanOutcome::Matched]);
}

fn refused(pack: &Pack) -> CompileError {
    Engine::compile(pack, Scope::File).map(|_| ()).expect_err("the pack must be refused")
}

fn pack(text: &str, rules: &[(&str, &str)]) -> Pack {
    let words = || Words { vi: "Thử".to_owned(), en: "Test".to_owned() };
    let meta = |(id, yara): &(&str, &str)| RuleMeta {
        id: id.parse().unwrap(),
        yara: Some((*yara).to_owned()),
        severity: Severity::High,
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
        rules: rules.iter().map(meta).collect(),
        sources: vec![Source { name: "a.yar".to_owned(), text: text.to_owned() }],
        domains: Vec::new(),
        sets: Vec::new(),
        network: NetworkLists::default(),
        policy: None,
    }
}
