//! The pack that is shipped, tested where it lies.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fs, path::Path, time::Duration};

use khien_core::{Timestamp, event::ScanOutcome};
use khien_rules::{Engine, Scope, base_pack, check, sample};

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn every_positive_sample_hits_its_rule_and_no_clean_one_hits_anything() {
    let report = check::directory(&here().join("packs/base")).unwrap();

    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert!(report.passed(), "\n{}\n", problems.join("\n"));
    assert_eq!(report.untested, []);
    assert!(
        report.positive >= 2 * (report.rules - 2) && report.clean >= 2 * (report.rules - 1),
        "{report:?}"
    );
}

#[test]
fn the_pack_compiles_in_every_scope_and_each_leaves_out_what_does_not_fit() {
    let pack = base_pack(Timestamp::UNIX_EPOCH);

    let file = Engine::compile(&pack, Scope::File).unwrap();
    let stream = Engine::compile(&pack, Scope::Stream).unwrap();
    let memory = Engine::compile(&pack, Scope::Memory).unwrap();

    let of = |engine: &Engine| engine.rules().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of(&file).len(), pack.rules.iter().filter(|r| r.yara.is_some()).count());
    for rule in &pack.rules {
        let runs = of(&stream).contains(&rule.id.to_string());
        assert_eq!(runs, rule.streams && rule.yara.is_some(), "{}", rule.id);
        let runs = of(&memory).contains(&rule.id.to_string());
        assert_eq!(runs, rule.memory && rule.yara.is_some(), "{}", rule.id);
    }
    assert_eq!(
        of(&memory).into_iter().collect::<std::collections::BTreeSet<_>>(),
        ["implant.c2.framework", "miner.linux.xmrig", "shell.reverse.script"].map(str::to_owned).into()
    );
    assert!(!of(&stream).contains(&"backdoor.elf.preload".to_owned()));
    assert!(of(&stream).contains(&"webshell.php.request_exec".to_owned()));
}

#[test]
fn the_test_file_is_found_alone_and_in_an_http_answer() {
    let pack = base_pack(Timestamp::UNIX_EPOCH);
    let stream = Engine::compile(&pack, Scope::Stream).unwrap();
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 68\r\n\r\n".to_vec(), sample::eicar()].concat();

    for bytes in [sample::eicar(), answer] {
        assert_eq!(stream.scan(&bytes, TIMEOUT).hits[0].rule.as_str(), "test.eicar");
    }
    assert_eq!(khien_core::Sha256::of(&sample::eicar()).to_string(), EICAR_SHA256);
}

/// Known to every scanner.
const EICAR_SHA256: &str = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";

#[test]
fn a_clone_of_the_project_and_the_program_itself_alarm_nobody() {
    let engine = Engine::compile(&base_pack(Timestamp::UNIX_EPOCH), Scope::File).unwrap();
    let mut scanner = engine.scanner();
    let mut files = vec![std::env::current_exe().unwrap()];
    collect(&here().join(".."), &mut files);
    assert!(files.len() > 100, "the whole project is looked at");

    for file in files {
        let scanned = scanner.scan(&fs::read(&file).unwrap(), TIMEOUT);

        assert_eq!(scanned.outcome, ScanOutcome::Clean, "{}: {:?}", file.display(), scanned.hits);
    }
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // What git and cargo keep is theirs: packed, or built from what is looked at here.
        let theirs = [".git", "target"].contains(&entry.file_name().to_str().unwrap_or_default());
        match entry.file_type().unwrap().is_dir() {
            _ if theirs => {}
            true => collect(&entry.path(), files),
            false => files.push(entry.path()),
        }
    }
}
