//! Routing against the engine alone: the same rules match, at the same places, on every file at hand.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use data_encoding::BASE64;
use khien_core::{Timestamp, bundle::Source};
use khien_rules::{
    Scope, base_pack,
    compiled::{self, Built},
    route::{LoadError, Part, Routed, Scanner},
    sample,
    scan::Engine,
    sieve::Sieve,
};

#[path = "../src/route/tests/shown.rs"]
mod shown;

use shown::shown;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Files are also held against the rules in pieces of so many bytes.
const PIECE: usize = 4_096;
/// Files of this machine that are looked at; a full pass is a matter for the bench.
const SYSTEM_FILES: usize = 300;

#[test]
fn the_shipped_pack_finds_the_same_on_every_sample_and_on_files_of_this_machine() {
    let sources = base_pack(Timestamp::UNIX_EPOCH).sources;
    let parts = parts(&sources);
    let routed = Routed::compile(&parts, &yara_x::Compiler::new).unwrap();
    let whole = Routed::whole(&parts, &yara_x::Compiler::new).unwrap();
    let (mut one, mut other) = (routed.scanner(), whole.scanner());

    let mut matched = 0;
    for (name, bytes) in files() {
        let expected = shown(&mut other, &bytes);
        assert_eq!(shown(&mut one, &bytes), expected, "{name}");
        matched += expected.len();
    }

    assert!(matched > 40, "only {matched} matches");
}

/// A piece that is held back is never scanned, so nothing may match it: neither alone nor behind a head.
#[test]
fn the_sieve_of_the_shipped_pack_lets_every_piece_through_that_a_rule_for_streams_matches() {
    let pack = base_pack(Timestamp::UNIX_EPOCH);
    let (engine, sieve) = (Engine::compile(&pack, Scope::Stream).unwrap(), Sieve::of_streams(&pack));
    let mut scanner = engine.scanner();
    let (mut matched, mut held, mut all) = (0, 0, 0);

    for (name, bytes) in files() {
        let answer = [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", &bytes[..]].concat();
        let windows = bytes.windows(PIECE.min(bytes.len()).max(1)).step_by(PIECE - 100);
        for piece in windows.chain([&bytes[..], &answer[..]]) {
            let matches = !scanner.scan(piece, TIMEOUT).hits.is_empty();
            let passes = sieve.may_match(piece);
            assert!(passes || !matches, "{name} of {} bytes is held back", piece.len());
            (matched, held, all) = (matched + usize::from(matches), held + usize::from(!passes), all + 1);
        }
    }

    assert!(matched > 60, "only {matched} matches");
    assert!(held * 2 > all, "only {held} of {all} are held back");
}

#[test]
fn most_files_ask_few_groups_and_a_rule_without_proof_is_asked_always() {
    let routed = Routed::compile(&[part(&many())], &yara_x::Compiler::new).unwrap();
    let mut scanner = routed.scanner();

    let plain = names(&mut scanner, b"a text of nothing in particular, long enough to be one");
    let asked = scanner.asked();
    let with_word = names(&mut scanner, b"here is the word rarity-00117-end, and more");

    assert_eq!((plain, asked), (vec!["no_proof".to_owned()], 1));
    assert_eq!(with_word, ["no_proof", "one_117"]);
    assert_eq!(scanner.asked(), 2);
    assert!(routed.groups().count() == 2 && routed.groups().sum::<usize>() == 201);
}

#[test]
fn rules_that_name_each_other_and_global_ones_keep_their_meaning() {
    let chain = "private rule helper { strings: $a = \"needle-one\" condition: $a }\n\
                 rule leans { strings: $b = \"needle-two\" condition: helper and $b }\n\
                 rule denies { condition: not helper and filesize > 3 }";
    let global = "global rule small { condition: filesize < 20 }\nrule other { strings: $c = \"needle-two\" condition: $c }";
    let parts = [Part { namespace: "a", text: chain }, Part { namespace: "b", text: global }];
    let routed = Routed::compile(&parts, &yara_x::Compiler::new).unwrap();
    let mut scanner = routed.scanner();

    assert_eq!(names(&mut scanner, b"needle-one needle-two"), ["leans"]);
    assert_eq!(names(&mut scanner, b"needle-two"), ["denies", "small", "other"]);
    assert_eq!(names(&mut scanner, b""), ["small"]);
}

#[test]
fn a_mistake_is_told_with_its_part_and_a_rule_declared_twice_is_one() {
    let refused = |parts: &[Part<'_>]| {
        Routed::compile(parts, &yara_x::Compiler::new).err().map(|r| (r.part, r.error.code()))
    };
    let (good, bad) = (part("rule a { condition: true }"), part("rule b { condition: nothing }"));

    assert_eq!(refused(&[good, bad]), Some((1, "E009")));
    assert_eq!(refused(&[good, good]), Some((1, "E012")));
    assert_eq!(refused(&[part("rule c { condition: ")]).map(|r| r.0), Some(0));
    assert_eq!(refused(&[]), None);
}

#[test]
fn a_compiled_form_comes_back_whole_and_one_that_is_cut_is_refused() {
    let routed = Routed::compile(&[part(&many())], &yara_x::Compiler::new).unwrap();
    let blob = routed.serialize().unwrap();

    let loaded = Routed::deserialize(&blob).unwrap();
    assert_eq!(loaded.groups().collect::<Vec<_>>(), routed.groups().collect::<Vec<_>>());
    assert_eq!(names(&mut loaded.scanner(), b"rarity-00042-end"), ["no_proof", "one_42"]);
    for length in [0, 13, 60, 130, blob.len() - 1] {
        assert!(matches!(Routed::deserialize(&blob[..length]), Err(LoadError::Damaged)), "length {length}");
    }
}

/// It is machine code: the digest that was signed is that of all of it.
#[test]
fn a_form_that_was_changed_anywhere_is_refused() {
    let pack = sample::marked_pack(1);
    let Built { form, bytes } = compiled::build(&pack).unwrap();
    let load = |bytes: &[u8]| compiled::load(&pack, form.sha256, form.inflated, bytes);

    assert!(load(&bytes).is_ok());
    for at in (0..100).chain([bytes.len() / 2, bytes.len() - 1]) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(matches!(load(&bad), Err(LoadError::Damaged)), "byte {at}");
    }
}

#[test]
fn variables_reach_the_rules_of_every_group() {
    let new = || {
        let mut compiler = yara_x::Compiler::new();
        compiler.define_global("extension", "").unwrap();
        compiler
    };
    let text = "rule by_name { condition: extension == \"php\" }\n\
                rule by_both { strings: $a = \"needle-one\" condition: $a and extension == \"php\" }";
    let routed = Routed::compile(&[part(text)], &new).unwrap();
    let mut scanner = routed.scanner();

    assert!(names(&mut scanner, b"needle-one").is_empty());
    scanner.set_global("extension", "php");
    assert_eq!(names(&mut scanner, b"needle-one"), ["by_both", "by_name"]);
    scanner.set_global("extension", "txt");
    assert!(names(&mut scanner, b"needle-one").is_empty());
}

/// Two hundred rules with a word each, and one of which nothing can be proved.
fn many() -> String {
    let rule = |n: usize| format!("rule one_{n} {{ strings: $a = \"rarity-{n:05}-end\" condition: $a }}\n");
    (0..200).map(rule).collect::<String>()
        + "rule no_proof { strings: $a = \"rarity-none\" condition: not $a }"
}

fn part(text: &str) -> Part<'_> {
    Part { namespace: "default", text }
}

fn parts(sources: &[Source]) -> Vec<Part<'_>> {
    sources.iter().map(|source| part(&source.text)).collect()
}

/// Returns the rules that match, in the order of their names within a group.
fn names(scanner: &mut Scanner<'_>, bytes: &[u8]) -> Vec<String> {
    let mut names = scanner.scan(bytes, TIMEOUT, |r| Some(r.identifier().to_owned())).unwrap();
    let order = |name: &String| {
        (name != "no_proof" && name != "denies", name != "small" && name != "denies", name.clone())
    };
    names.sort_by_key(order);
    names
}

/// Returns the samples of the pack, the test file, and files of this machine, each also behind the heads of programs.
fn files() -> impl Iterator<Item = (String, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    walk(&here.join("samples"), usize::MAX, &mut paths);
    for folder in ["/usr/share/doc", "/usr/lib", "/usr/bin", "/etc"] {
        walk(Path::new(folder), paths.len() + SYSTEM_FILES / 4, &mut paths);
    }
    let read = |path: PathBuf| Some((path.display().to_string(), decoded(&path, fs::read(&path).ok()?)));
    let test_file = ("test file".to_owned(), sample::eicar());
    paths.into_iter().filter_map(read).chain([test_file]).flat_map(|(name, bytes)| {
        let behind = |head: &[u8]| [head, &bytes].concat();
        [
            (format!("{name} behind MZ"), behind(b"MZ")),
            (format!("{name} behind ELF"), behind(b"\x7fELF")),
            (name, bytes),
        ]
    })
}

/// Samples that would alarm other scanners lie in base64.
fn decoded(path: &Path, bytes: Vec<u8>) -> Vec<u8> {
    let is_wrapped = path.extension().is_some_and(|e| e == "b64");
    let text: Vec<u8> = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    if is_wrapped { BASE64.decode(&text).unwrap_or(bytes) } else { bytes }
}

fn walk(folder: &Path, most: usize, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let Ok(kind) = entry.file_type() else { continue };
        if paths.len() >= most {
            return;
        }
        if kind.is_dir() {
            walk(&entry.path(), most, paths);
        } else if kind.is_file() && entry.metadata().is_ok_and(|m| m.len() < 1 << 20) {
            paths.push(entry.path());
        }
    }
}
