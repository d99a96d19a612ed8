use std::fs;

use khien_core::traffic::Lists as _;

use super::{
    super::{Loaded, PackError, load_told},
    *,
};
use crate::{check, indicator::network::Network};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn lists_about_traffic_become_a_pack_that_finds_what_they_name() {
    let lists = [
        ("address", "addresses.list", "# feed\n203.0.113[.]7\n198.51.100.0/24 ; SBL1\n"),
        ("domain", "names.list", "0.0.0.0 evil.example\n"),
        ("url", "urls.list", "hxxp://shared.example/kit/\n"),
    ];

    let Loaded { pack, lists } = load(&lists, &[]).unwrap();

    assert_eq!(check::network(&pack), []);
    assert_eq!(
        lists.iter().map(|l| (l.file.as_str(), l.entries)).collect::<Vec<_>>(),
        [("addresses.list", 2), ("names.list", 1), ("urls.list", 1)]
    );
    let network = Network::of(&pack, NOW);
    assert!(network.address([198, 51, 100, 9].into()).is_some() && network.name(b"a.evil.example").is_some());
    assert!(network.url(b"shared.example", b"/kit/a").is_some() && network.name(b"shared.example").is_none());
}

#[test]
fn what_is_let_be_is_left_out_and_only_what_lies_within_an_entry_travels() {
    let lists = [
        ("address", "addresses.list", "203.0.113.7\n198.51.100.0/24\n"),
        ("domain", "names.list", "evil.example\npages.example\nours.example\n"),
        ("url", "urls.list", "http://shared.example/kit/\nhttp://shared.example/ours\n"),
    ];
    let allow = "203.0.113.0/24 # lab\n198.51.100.8/29\nours.example\nvncert.pages.example\nother.example\n\
                 shared.example/ours\nhttps://shared.example/kit/logo.png\n";

    let Loaded { pack, lists } = load(&lists, &[("allow.txt", allow)]).unwrap();

    assert_eq!(
        pack.network.allowed,
        ["198.51.100.8/29", "shared.example/kit/logo.png", "vncert.pages.example"]
    );
    assert_eq!(
        lists.iter().map(|l| (l.entries, l.counts.allowed)).collect::<Vec<_>>(),
        [(1, 1), (2, 1), (1, 1)]
    );
    let network = Network::of(&pack, NOW);
    let address = |last: [u8; 4]| network.address(last.into()).is_some();
    assert!(address([198, 51, 100, 1]) && !address([198, 51, 100, 9]) && !address([203, 0, 113, 7]));
    assert!(network.name(b"x.pages.example").is_some() && network.name(b"x.vncert.pages.example").is_none());
    assert!(network.url(b"shared.example", b"/kit/x").is_some());
    assert!(network.url(b"shared.example", b"/kit/logo.png").is_none());
}

#[test]
fn an_author_is_told_the_file_and_line_of_what_is_bad_and_of_what_is_doubted() {
    let bad = load(&[("address", "addresses.list", "203.0.113.7\nnot one\n")], &[]).unwrap_err();
    let told = load(&[("address", "addresses.list", "10.0.0.5\n8.8.8.8\n")], &[]).unwrap();

    assert_eq!(
        bad.to_string(),
        "rule `list.address`: list.file: addresses.list:2: holds no address: `not one`"
    );
    assert_eq!(
        told.lists[0].notes,
        [
            "addresses.list:1: is an address of inner networks; a list for those says `private = true`: `10.0.0.5`",
            "addresses.list:2: holds a resolver that everybody asks: `8.8.8.8`",
        ]
    );
    let bad = load(&[], &[("team.allow", "ok.example\ncom\n")]).unwrap_err().to_string();
    assert_eq!(
        bad,
        "rule `team.allow`: allow: team.allow:2: is no address, network, name, URL or fingerprint: `com`"
    );
}

#[test]
fn a_list_of_an_unknown_kind_or_outside_of_the_folder_is_refused() {
    for (kind, file, why) in [
        ("jarm", "a.list", "list.kind: is unknown, expected sha256"),
        ("address", "../a.list", "list.file: is not the name of a file of the pack"),
        ("address", "missing.list", "list.file: cannot be read"),
    ] {
        let error = load_manifest(&list(kind, file), &[]).unwrap_err().to_string();

        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn columns_and_inner_networks_are_asked_for_in_the_manifest() {
    let manifest = list("address", "a.list") + "column = \"dst_ip\"\nprivate = true\n";

    let loaded = load_manifest(&manifest, &[("a.list", "src_ip,dst_ip\n192.0.2.1,10.0.0.5\n")]).unwrap();

    let network = Network::of(&loaded.pack, NOW);
    assert!(
        network.address([10, 0, 0, 5].into()).is_some() && network.address([192, 0, 2, 1].into()).is_none()
    );
}

fn load(lists: &[(&str, &str, &str)], files: &[(&str, &str)]) -> Result<Loaded, PackError> {
    let manifest: String = lists.iter().map(|(kind, file, _)| list(kind, file)).collect();
    let lists = lists.iter().map(|(_, file, text)| (*file, *text));
    load_manifest(&manifest, &lists.chain(files.iter().copied()).collect::<Vec<_>>())
}

fn load_manifest(lists: &str, files: &[(&str, &str)]) -> Result<Loaded, PackError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pack.toml"), format!("version = 1\n{lists}")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    load_told(folder.path(), NOW)
}

/// A list and its rule.
fn list(kind: &str, file: &str) -> String {
    let words = "{ vi = \"Một\", en = \"One\" }";
    format!(
        "[[rule]]\nid = \"list.{kind}\"\nseverity = \"high\"\ntitle = {words}\nexplanation = {words}\n\
         next_step = {words}\n[[list]]\nfile = \"{file}\"\nrule = \"list.{kind}\"\nkind = \"{kind}\"\n\
         source = \"VNCERT\"\n"
    )
}
