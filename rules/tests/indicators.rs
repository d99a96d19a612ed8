//! Lists of digests and file names, from the file that somebody sent to the answer about a scanned file.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fmt::Write, fs};

use khien_core::{
    Sha256, Timestamp,
    bundle::{IndicatorSet, NetworkLists, Pack, SetKind},
};
use khien_rules::{
    check,
    indicator::{
        digest::{Digests, Wanted},
        files::{self, Facts, FileSets, Hit},
        import,
    },
    pack::load_dir,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const EVIL: &[u8] = b"an evil file";

#[test]
fn a_file_on_a_list_of_any_kind_is_found_with_the_lists_facts() {
    let of_evil = Digests::of(EVIL, ALL);
    let lists = [
        (SetKind::Sha256, format!("{}  evil.bin\n", of_evil.sha256.unwrap())),
        (SetKind::Sha1, format!("date,sha1\n2026-11-01,{}\n", hex(&of_evil.sha1.unwrap()))),
        (SetKind::Md5, format!("evil.exe|{}\n", hex(&of_evil.md5.unwrap()).to_uppercase())),
        (SetKind::FileName, "Đọc-Tôi.txt\n".to_owned()),
        (SetKind::FileName, "*.khien-locked\n".to_owned()),
        (SetKind::FileName, "/dev/shm/.x/run\n".to_owned()),
    ];
    let paths = ["/a", "/a", "/a", "/srv/ĐỌC-TÔI.TXT", "/srv/a.doc.khien-locked", "/dev/shm/.x/run"];
    for ((kind, text), path) in lists.into_iter().zip(paths) {
        let sets = FileSets::new(&pack(vec![set(kind, &text)]));

        let hits = asked(&sets, path, EVIL);

        assert_eq!(hits.len(), 1, "{kind:?} {path}");
        assert_eq!(
            (hits[0].rule.as_str(), &*hits[0].source, hits[0].confidence),
            ("list.test", "VNCERT", 80)
        );
        assert_eq!(asked(&sets, "/srv/ordinary.txt", b"an ordinary file"), [], "{kind:?}");
    }
}

#[test]
fn only_the_digests_that_a_living_list_asks_for_are_made() {
    let mut old = set(SetKind::Md5, "900150983cd24fb0d6963f7d28e17f72");
    old.expires = Some(NOW);
    let mut young = set(SetKind::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    young.expires = Some(Timestamp::MAX);
    let sets = FileSets::new(&pack(vec![old, young, set(SetKind::FileName, "names.exe")]));

    assert_eq!(sets.wanted(NOW), Wanted { sha256: false, sha1: true, md5: false });
    assert_eq!(asked(&sets, "/a", b"abc").len(), 1);
}

#[test]
fn an_expired_list_and_a_rule_said_twice_do_not_alarm() {
    let digest = Sha256::of(EVIL).to_string();
    let mut old = set(SetKind::Sha256, &digest);
    old.expires = Some(NOW);
    let mut unsure = set(SetKind::Sha256, &digest);
    unsure.confidence = 10;
    let sets = FileSets::new(&pack(vec![old.clone(), unsure, set(SetKind::FileName, "evil.exe")]));

    assert_eq!(asked(&FileSets::new(&pack(vec![old])), "/evil.exe", EVIL), []);
    let hits = asked(&sets, "/evil.exe", EVIL);
    assert_eq!(hits.iter().map(|h| h.confidence).collect::<Vec<_>>(), [80]);
}

#[test]
fn a_million_entries_are_found_after_they_were_shipped_and_loaded() {
    let mut text = String::new();
    for n in 0..1_000_000_u32 {
        let _ = writeln!(text, "{}", Sha256::of(&n.to_le_bytes()));
    }
    let shipped = serde_json::to_vec(&pack(vec![set(SetKind::Sha256, &text)])).unwrap();
    assert!(shipped.len() < khien_core::bundle::MAX_PACK, "{}", shipped.len());

    let sets = FileSets::new(&serde_json::from_slice(&shipped).unwrap());

    assert_eq!((sets.len(), sets.broken()), (1_000_000, &[][..]));
    assert!(sets.memory() < 10_300_000, "{}", sets.memory());
    for n in (0..1_000_000_u32).step_by(997) {
        assert_eq!(asked(&sets, "/a", &n.to_le_bytes()).len(), 1);
        assert_eq!(asked(&sets, "/a", &(n + 1_000_000).to_le_bytes()).len(), 0);
    }
}

#[test]
fn a_set_that_cannot_be_read_is_told_and_the_others_work() {
    let mut broken = set(SetKind::Sha256, &Sha256::of(EVIL).to_string());
    broken.body.truncate(5);
    let both = pack(vec![broken, set(SetKind::FileName, "evil.exe")]);

    let sets = FileSets::new(&both);

    assert_eq!(sets.broken().len(), 1);
    assert_eq!(asked(&sets, "/evil.exe", b"").len(), 1);
    let problems: Vec<_> = check::sets(&both).iter().map(ToString::to_string).collect();
    assert_eq!(problems[0], "rule `list.test`: sets: its list has no metadata in the pack");
}

#[test]
fn a_folder_with_a_list_becomes_a_pack_that_passes_the_check() {
    let list = format!("# from the ministry\n{}\n{}\n", Sha256::of(EVIL), Sha256::of(b"other"));
    let folder = folder(&list, "confidence = 90\nexpires = \"2027-01-31T00:00:00Z\"");

    let pack = load_dir(folder.path(), NOW).unwrap();

    assert_eq!(
        (pack.sets[0].entries, pack.sets[0].confidence, pack.sets[0].source.as_str()),
        (2, 90, "VNCERT")
    );
    assert_eq!(check::pack(&pack), []);
    let hits = asked(&FileSets::new(&pack), "/a", EVIL);
    assert_eq!(hits.iter().map(|h| h.rule.as_str()).collect::<Vec<_>>(), ["list.test"]);
}

#[test]
fn an_author_is_told_the_bad_lines_of_a_list() {
    let list = format!("{}\nnot a digest\n\x1b]0;x\x07\n", Sha256::of(EVIL));

    let error = load_dir(folder(&list, "").path(), NOW).unwrap_err().to_string();

    assert_eq!(
        error,
        "rule `list.test`: list.file: line 2: holds no SHA-256 of 64 hex digits: `not a digest`; \
         rule `list.test`: list.file: line 3: holds no SHA-256 of 64 hex digits: `\\u{1b}]0;x\\u{7}`"
    );
}

#[test]
fn a_list_outside_of_the_folder_is_refused() {
    for file in ["../evil.list", "/etc/passwd", ".hidden.list", "evil.txt"] {
        let folder = folder("", "");
        let manifest = fs::read_to_string(folder.path().join("pack.toml")).unwrap();
        fs::write(folder.path().join("pack.toml"), manifest.replace("evil.list", file)).unwrap();

        let error = load_dir(folder.path(), NOW).unwrap_err().to_string();

        assert!(error.contains("is not the name of a file of the pack"), "{file}: {error}");
    }
}

const ALL: Wanted = Wanted { sha256: true, sha1: true, md5: true };

fn asked(sets: &FileSets, path: &str, bytes: &[u8]) -> Vec<Hit> {
    let digests = Digests::of(bytes, sets.wanted(NOW));
    sets.matches(&Facts { path: path.as_bytes(), digests: &digests }, NOW)
}

fn set(kind: SetKind, text: &str) -> IndicatorSet {
    let imported = import::read(text.as_bytes(), kind).unwrap();
    assert_eq!(imported.bad, 0, "{:?}", imported.told);
    let section = files::section(&imported);
    IndicatorSet {
        rule: "list.test".parse().unwrap(),
        kind,
        source: "VNCERT".to_owned(),
        confidence: 80,
        expires: None,
        entries: section.entries,
        body: section.body,
        globs: section.globs,
    }
}

fn pack(sets: Vec<IndicatorSet>) -> Pack {
    Pack {
        version: 1,
        created: NOW,
        rules: Vec::new(),
        sources: Vec::new(),
        domains: Vec::new(),
        sets,
        network: NetworkLists::default(),
        policy: None,
    }
}

fn folder(list: &str, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words = "{ vi = \"Tệp\", en = \"File\" }";
    let manifest = format!(
        "version = 3\n[[rule]]\nid = \"list.test\"\nseverity = \"high\"\ntitle = {words}\nexplanation = {words}\n\
         next_step = {words}\n[[list]]\nfile = \"evil.list\"\nrule = \"list.test\"\nkind = \"sha256\"\n\
         source = \"VNCERT\"\n{more}\n"
    );
    fs::write(folder.path().join("pack.toml"), manifest).unwrap();
    fs::write(folder.path().join("evil.list"), list).unwrap();
    folder
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
