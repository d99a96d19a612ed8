//! Rules of others run as they were meant, whatever stands beside them.

use std::time::Duration;

use khien_core::{Untrusted, event::ScanOutcome};

use super::*;
use crate::{Engine, external::Externals};

const SOON: Duration = Duration::from_secs(20);

fn compiled(texts: &[&str]) -> Foreign {
    let source = |(at, text): (usize, &&str)| Source { name: format!("{at}.yar"), text: (*text).to_owned() };
    compile(&texts.iter().enumerate().map(source).collect::<Vec<_>>()).unwrap()
}

/// Returns the ids of what matches, after the way through the compiled form.
fn matching(foreign: &Foreign, path: &str, bytes: &[u8]) -> Vec<String> {
    let engine = Engine::load(&foreign.pack, &foreign.compiled).unwrap();
    let mut scanner = engine.scanner();
    scanner.describe(Some(Externals { path: path.into(), owner: Some(Untrusted::from("root")) }));
    let mut ids: Vec<_> = scanner.scan(bytes, SOON).hits.iter().map(|h| h.rule.to_string()).collect();
    ids.sort();
    ids
}

#[test]
fn a_name_that_comes_twice_is_two_rules() {
    let foreign = compiled(&[
        "rule one { meta: score = 90 strings: $a = \"first\" condition: $a }",
        "rule one { meta: severity = \"low\" strings: $a = \"second\" condition: $a }",
    ]);

    assert_eq!(matching(&foreign, "/x", b"the first"), ["one"]);
    assert_eq!(matching(&foreign, "/x", b"first and second"), ["one", "one.2"]);
    let severities: Vec<_> = foreign.pack.rules.iter().map(|r| (r.id.to_string(), r.severity)).collect();
    assert!(severities.contains(&("one".to_owned(), Severity::High)), "{severities:?}");
    assert!(severities.contains(&("one.2".to_owned(), Severity::Low)), "{severities:?}");
    assert_eq!(foreign.origins[&"one.2".parse().unwrap()].source, "1.yar");
}

#[test]
fn a_source_that_breaks_the_compiler_is_told_and_the_rest_runs() {
    let foreign =
        compiled(&["rule t { strings: $ = /x{é/ condition: any of them }", "rule good { condition: true }"]);

    let name = "0.yar".to_owned();
    assert_eq!(foreign.refused, [CompileError::Broken { source_name: name }]);
    assert_eq!(matching(&foreign, "/x", b"any"), ["good"]);
}

#[test]
fn what_does_not_compile_is_told_with_its_line_and_the_rest_runs() {
    let foreign = compiled(&[
        "rule good { condition: true }\nrule bad {\n condition: nothing }\nrule leans { condition: bad }",
        "rule good { condition: oops",
        "rule also { condition: true }\ninclude \"other.yar\"\nrule leans { condition: of_other }",
    ]);

    assert_eq!(matching(&foreign, "/x", b"x"), ["also", "good"]);
    let told: Vec<_> = foreign.refused.iter().map(ToString::to_string).collect();
    for begin in ["0.yar:3: ", "0.yar:4: ", "1.yar:1: ", "2.yar:2: include ", "2.yar:3: "] {
        assert!(told.iter().any(|t| t.starts_with(begin)), "{begin} in {told:?}");
    }
}

#[test]
fn a_source_of_nothing_but_includes_is_told_line_by_line() {
    let foreign = compiled(&["include \"a.yar\"\ninclude \"b.yar\"", "rule r { condition: true }"]);

    assert_eq!(matching(&foreign, "/x", b"x"), ["r"]);
    let told: Vec<_> = foreign.refused.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("0.yar:1: include ") && told[1].starts_with("0.yar:2: include "), "{told:?}");
}

#[test]
fn bytes_of_another_alphabet_mean_the_same_bytes_and_a_mark_at_the_start_means_nothing() {
    let source = b"\xef\xbb\xbf// Vi\xeat, line 1\nrule latin { meta: author = \"H\xf9ng\"\n\
        strings: $a = \"caf\xe9\" $b = /na\xefve[\xc0-\xc3]\\\xe9/ condition: all of them }\n\
        rule bad { condition: nothing }";
    let foreign = compiled(&[&text(source)]);

    assert_eq!(matching(&foreign, "/x", b"a caf\xe9, na\xefve\xc1\xe9"), ["latin"]);
    assert_eq!(matching(&foreign, "/x", "a café, naïveÁé".as_bytes()), [""; 0]);
    let told: Vec<_> = foreign.refused.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].starts_with("0.yar:4: "), "{told:?}");
    assert_eq!(text("rule là { }".as_bytes()), "rule là { }");
}

#[test]
fn without_its_global_rule_a_source_would_match_more_so_it_is_left_out() {
    let foreign = compiled(&["global rule g { condition: nothing } rule r { condition: true }"]);

    assert_eq!(matching(&foreign, "/x", b"x"), [""; 0]);
    assert!(!foreign.refused.is_empty());
}

#[test]
fn variables_hold_what_is_so_for_each_file() {
    let foreign = compiled(&[
        "rule name { condition: filename == \"a.php\" and extension == \".php\" and owner == \"root\" }",
        "rule path { strings: $a = \"needle\" condition: $a and filepath contains \"/tmp/\" }",
        "rule gif { condition: filetype == \"GIF\" and not filename matches /\\.gif$/i }",
    ]);

    assert_eq!(matching(&foreign, "/tmp/a.php", b"a needle"), ["name", "path"]);
    assert_eq!(matching(&foreign, "/srv/b.php", b"a needle"), [""; 0]);
    assert_eq!(matching(&foreign, "/srv/b.php", b"GIF89a needle"), ["gif"]);
    assert_eq!(matching(&foreign, "/srv/b.gif", b"GIF89a needle"), [""; 0]);
}

#[test]
fn what_was_told_of_one_file_is_forgotten_for_the_next() {
    let foreign = compiled(&["rule name { condition: filename == \"a.php\" }"]);
    let engine = Engine::load(&foreign.pack, &foreign.compiled).unwrap();
    let mut scanner = engine.scanner();

    scanner.describe(Some(Externals { path: "/a.php".into(), owner: None }));
    let first = scanner.scan(b"x", SOON).outcome;
    scanner.describe(None);
    let second = scanner.scan(b"x", SOON).outcome;

    assert_eq!((first, second), (ScanOutcome::Matched, ScanOutcome::Clean));
}

#[test]
fn no_rules_at_all_are_no_error() {
    assert_eq!(matching(&compiled(&[]), "/x", b"x"), [""; 0]);
    assert_eq!(matching(&compiled(&["rule"]), "/x", b"x"), [""; 0]);
}

#[test]
fn severities_are_read_in_the_usual_ways() {
    let all =
        [("critical", Some(Severity::Critical)), ("85", Some(Severity::High)), ("info", Some(Severity::Low))];
    for (word, severity) in all {
        assert_eq!(of_word(word), severity, "{word}");
    }
    assert_eq!(
        (of_score(75), of_score(40), of_score(3)),
        (Some(Severity::Medium), Some(Severity::Low), None)
    );
    assert_eq!(of_word("whatever"), None);
}

/// Conditions in which a variable alone can decide, `N` and `S` being a string that is in the file or not.
const CONDITIONS: [&str; 8] = [
    "$_a or filename == \"N.php\"",
    "$_a and filename == \"N.php\"",
    "not $_a and extension == \".php\"",
    "filepath contains \"/N\"",
    "for any of them : ($ or owner == \"root\")",
    "1 of ($_a, $_b) or filetype == \"EXE\"",
    "(filename matches /N/ and filesize < 100) or #_a > 1",
    "not (filename == \"N.php\" or $_a)",
];

#[test]
fn what_a_variable_decides_is_the_same_with_and_without_routing() {
    let rule = |n: usize, condition: &str| {
        let condition = condition.replace('N', &format!("n{}", n % 4));
        format!("rule r{n} {{ strings: $_a = \"needle-{n}\" $_b = \"thread-{n}\" condition: {condition} }}\n")
    };
    let text: String = (0..160).map(|n| rule(n, CONDITIONS[n % CONDITIONS.len()])).collect();
    let parts = [Part { namespace: "s0", text: &text }];
    let (routed, whole) =
        (Routed::compile(&parts, &relaxed).unwrap(), Routed::whole(&parts, &relaxed).unwrap());
    assert!(routed.groups().count() > 1, "else this compares nothing");
    let (mut routed, mut whole) = (routed.scanner(), whole.scanner());
    let mut matched = 0;

    for path in ["/n0.php", "/srv/n1.php", "/n2", "/other.php", ""] {
        for bytes in [&b"needle-7 thread-13 needle-16"[..], b"MZ needle-1 needle-1", b"", &[b'x'; 200]] {
            let externals =
                Externals { path: path.into(), owner: path.contains("srv").then(|| "root".into()) };
            let names = |scanner: &mut crate::route::Scanner<'_>| {
                for (name, value) in externals.of(&Default::default(), bytes) {
                    scanner.set_global(name, &value);
                }
                let mut names = scanner.scan(bytes, SOON, |r| Some(r.identifier().to_owned())).unwrap();
                names.sort();
                names
            };
            let (ours, all) = (names(&mut routed), names(&mut whole));
            assert_eq!(ours, all, "{path} {bytes:?}");
            matched += all.len();
        }
    }

    assert!(matched > 100, "{matched}");
}
