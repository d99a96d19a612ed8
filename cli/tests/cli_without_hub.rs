//! What `khien` says and how it exits where no hub runs.
// A helper of a test fails like the test itself.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

fn khien(home: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khien"));
    command.args(args).env_remove("KHIEN_LANG").env_remove("XDG_DATA_HOME").env("KHIEN_HOME", home);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn help_is_vietnamese_by_default_and_lists_the_exit_codes() {
    let home = tempfile::tempdir().unwrap();

    let vi = khien(home.path(), &["--help"]);
    let en = khien(home.path(), &["--lang", "en", "--help"]);

    assert_eq!(vi.status.code(), Some(0));
    assert!(printed(&vi).contains("Mã thoát:"), "{}", printed(&vi));
    assert!(printed(&en).contains("4  hub not reachable"), "{}", printed(&en));
}

#[test]
fn help_has_no_word_of_the_other_language() {
    let home = tempfile::tempdir().unwrap();

    for path in
        [&["up"][..], &["alert", "close"], &["playbook", "run"], &["report", "draft"], &["rules", "push"]]
    {
        let vi = printed(&khien(home.path(), &[path, &["--help"]].concat()));
        let en = printed(&khien(home.path(), &[path, &["--help", "--lang", "en"]].concat()));

        for word in ["Usage", "Options", "Arguments", "default:", "possible values", "Print"] {
            assert!(!vi.contains(word), "{word} in {vi}");
        }
        let foreign = |c: char| c.is_alphabetic() && !c.is_ascii();
        assert!(!en.contains(foreign), "{en}");
    }
}

#[test]
fn an_error_speaks_the_language_that_is_asked_for_and_scripts_get_json() {
    let home = tempfile::tempdir().unwrap();
    set_up(home.path());
    let list = |more: &[&str]| said(&khien(home.path(), &[&["alert", "list"], more].concat()));

    let (vi, en, json) = (list(&[]), list(&["--lang", "en"]), list(&["--lang", "en", "--json"]));

    assert!(vi.contains("không tới được trung tâm") && !vi.contains("refused"), "{vi}");
    assert!(en.is_ascii() && en.contains("is not reachable"), "{en}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["exit"], 4);
    assert!(json["next"].as_str().unwrap().contains("khien up"), "{json}");
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let home = tempfile::tempdir().unwrap();

    for args in [
        &["alert"][..],
        &["alert", "show", "x"],
        &["alert", "close", "A-1"],
        &["nonsense"],
        &["--lang", "fr"],
    ] {
        let output = khien(home.path(), args);

        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(printed(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn an_empty_home_says_to_run_khien_up() {
    let home = tempfile::tempdir().unwrap();

    let output = khien(home.path(), &["--lang", "en", "alert", "list"]);

    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("next step:") && said(&output).contains("khien up"), "{}", said(&output));
    assert!(printed(&output).is_empty());
}

#[test]
fn a_hub_that_is_away_exits_with_4_and_the_next_step() {
    let home = tempfile::tempdir().unwrap();
    set_up(home.path());

    let output = khien(home.path(), &["alert", "list", "--json"]);

    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("khien up"), "{}", said(&output));
    assert!(printed(&output).is_empty());
}

#[test]
fn the_playbook_library_needs_no_hub() {
    let home = tempfile::tempdir().unwrap();

    let list = khien(home.path(), &["playbook", "list", "--json"]);
    let none = khien(home.path(), &["--lang", "en", "playbook", "show", "nothing"]);

    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list[0]["id"], "webshell");
    assert_eq!(none.status.code(), Some(3));
    assert!(said(&none).contains("khien playbook list"), "{}", said(&none));
}

#[test]
fn a_false_positive_without_a_reason_is_not_sent() {
    let home = tempfile::tempdir().unwrap();
    set_up(home.path());

    let output = khien(home.path(), &["alert", "close", "A-1", "--verdict", "false-positive"]);

    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--reason"), "{}", said(&output));
}

/// Writes a home whose hub was at a port where nobody listens now.
fn set_up(home: &Path) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let cert = rcgen::CertificateParams::new(vec!["khien-hub.internal".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    // RFC 8410: the seed is the last 32 bytes of the version 1 form, and follows the same prefix in version 2.
    let der = key.serialize_der();
    let at = der.windows(4).position(|w| w == [0x04, 0x22, 0x04, 0x20]).unwrap() + 4;
    let prefix =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let body = data_encoding::BASE64.encode(&[&prefix[..], &der[at..at + 32]].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "hub = \"{free}\"\nca = \"cert.pem\"\nkey = \"key.pem\"\ncert = \"cert.pem\"\noperator = \"thu\"\n"
    );
    std::fs::write(home.join("khien.toml"), config).unwrap();
    std::fs::write(home.join("key.pem"), pem).unwrap();
    std::fs::write(home.join("cert.pem"), cert.pem()).unwrap();
}

fn folded(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1]));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// A file of the same SYN again and again, at these seconds.
fn tries(seconds: &[u32]) -> Vec<u8> {
    let (from, to) = ([192, 0, 2, 7], [198, 51, 100, 8]);
    let mut tcp = [&[0x41, 0, 0x0c, 0xea, 0, 0, 0, 100, 0, 0, 0, 0, 0x50, 2, 255, 255][..], &[0; 4]].concat();
    let pseudo = [&from[..], &to, &[0, 6, 0, 20]].concat();
    let sum = !folded(&[&pseudo[..], &tcp].concat());
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut head = [&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0][..], &from, &to].concat();
    let sum = !folded(&head);
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    let numbers = |all: &[u32]| all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    // pcap 2.4 with microseconds, of raw IP.
    let mut file = numbers(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101]);
    for second in seconds {
        file.extend(numbers(&[1_760_000_000 + second, 0, 40, 40]));
        file.extend([&head[..], &tcp].concat());
    }
    file
}

#[test]
fn the_policy_of_a_pack_says_when_nobody_answers_in_a_file_of_packets_too() {
    let home = tempfile::tempdir().unwrap();
    let (pack, file) = (home.path().join("pack"), home.path().join("a.pcap"));
    std::fs::create_dir(&pack).unwrap();
    std::fs::write(pack.join("pack.toml"), "version = 1\n").unwrap();
    std::fs::write(&file, tries(&[0, 10])).unwrap();

    let flows = [3, 60].map(|seconds| {
        std::fs::write(pack.join("policy.toml"), format!("[network]\nunanswered_seconds = {seconds}\n"))
            .unwrap();
        let events = home.path().join(format!("{seconds}.ndjson"));
        let [pack, file, out] = [&pack, &file, &events].map(|path| path.to_str().unwrap());
        let told = khien(home.path(), &["pcap", "scan", file, "--rules", pack, "--events", out]);
        assert_eq!(told.status.code(), Some(0), "{}", said(&told));
        std::fs::read_to_string(events).unwrap().lines().count()
    });

    assert_eq!(flows, [2, 1], "the second try is another connection once the first is over");
}
