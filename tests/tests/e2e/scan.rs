//! `khien scan` alone: no hub, no agent, no home, any rules.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{io::ioctl_fionread, process::Signal};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    containers::{Entry, zip},
    harness::{PATIENCE, send, sha256, web_shell},
    place::{cannot_run, copy_program, is_root, program},
};

/// Returns `khien scan` as somebody has it who has nothing else: not even a home.
fn scan() -> Command {
    let mut command = Command::new("setpriv");
    command.env_clear().env("KHIEN_LANG", "en").current_dir("/");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program("khien")).arg("scan");
    command
}

/// Runs it and returns exit code, stdout and stderr.
fn done(mut command: Command) -> (i32, String, String) {
    let out = command.stdin(Stdio::null()).output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).expect("our output is UTF-8");
    (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
}

fn run(args: &[&str]) -> (i32, String, String) {
    let mut command = scan();
    command.args(args);
    done(command)
}

/// Runs it with `--json` and returns exit code, the lines, and the summary at their end.
fn json(args: &[&str]) -> (i32, Vec<Value>, Value) {
    let (code, out, err) = run(&[args, &["--json"]].concat());
    let parsed = out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}")));
    let mut lines: Vec<Value> = parsed.collect();
    let mut last = lines.pop().unwrap_or_else(|| panic!("nothing was printed: {err}"));
    (code, lines, last["summary"].take())
}

/// A folder, its real path in text.
fn folder() -> (TempDir, String) {
    let dir = tempfile::Builder::new().prefix("khien-scan-").tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    (dir, path)
}

fn at<'v>(lines: &'v [Value], path: &str) -> &'v Value {
    lines.iter().find(|l| l["path"] == path).unwrap_or_else(|| panic!("no {path} in {lines:#?}"))
}

#[test]
fn a_web_shell_is_found_in_a_file_and_in_an_archive_and_the_exit_code_says_so() {
    let (_dir, path) = folder();
    let shell = web_shell("scan");
    fs::create_dir(format!("{path}/sub")).unwrap();
    fs::write(format!("{path}/sub/a.php"), &shell).unwrap();
    fs::write(format!("{path}/b.txt"), "nothing to see").unwrap();
    let archive = zip(&[Entry { name: "in/s.php", bytes: shell.as_bytes(), flags: 0 }]);
    fs::write(format!("{path}/x.zip"), archive).unwrap();

    let (code, out, err) = run(&[&path]);

    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    let line = |place: &str| format!("CRITICAL    webshell.php.request_exec  {path}/{place}");
    assert_eq!(lines, [line("sub/a.php"), line("x.zip › in/s.php")], "{err}");
    assert!(err.contains("2 matched, 1 clean, 0 not scanned"), "{err}");
    assert_eq!(code, 1);
    let (code, out, err) = run(&[&format!("{path}/b.txt")]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
}

#[test]
fn each_match_in_json_has_path_way_in_rule_and_outcome() {
    let (_dir, path) = folder();
    let shell = web_shell("json");
    fs::write(format!("{path}/x.zip"), zip(&[Entry { name: "s.php", bytes: shell.as_bytes(), flags: 0 }]))
        .unwrap();
    fs::write(format!("{path}/a.php"), &shell).unwrap();
    fs::write(format!("{path}/clean"), "x").unwrap();

    let (code, lines, summary) = json(&[&path, "--all"]);

    let archive = &at(&lines, &format!("{path}/x.zip"))["matches"][0];
    assert_eq!(
        (&archive["rule"], &archive["inside"]),
        (&json!("webshell.php.request_exec"), &json!(["s.php"]))
    );
    let plain = at(&lines, &format!("{path}/a.php"));
    assert_eq!((&plain["outcome"], &plain["sha256"]), (&json!("matched"), &json!(sha256(&shell))));
    assert_eq!(plain["size"], shell.len());
    assert_eq!(plain["matches"][0]["severity"], "critical");
    assert!(plain["matches"][0]["excerpts"][0]["matched"].is_string(), "{plain}");
    assert_eq!(at(&lines, &format!("{path}/clean"))["outcome"], "clean");
    assert_eq!((&summary["files"], &summary["matched"], &summary["exit"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(code, 1);
}

#[test]
fn rules_of_others_are_told_of_each_file_and_a_broken_one_stops_no_other() {
    let (_dir, path) = folder();
    let (_rules, rules) = folder();
    fs::create_dir(format!("{rules}/more")).unwrap();
    fs::write(
        format!("{rules}/one.yar"),
        "rule twice { meta: score = 85 condition: filename == \"b.txt\" and filepath contains \"/khien-scan-\" }\n\
         rule broken { condition: nothing }",
    )
    .unwrap();
    fs::write(
        format!("{rules}/more/two.yara"),
        "rule twice { strings: $a = \"hello\" condition: $a and extension == \".txt\" and filetype == \"\" }",
    )
    .unwrap();
    let owner = "rule own { condition: owner == \"root\" and filename == \"inner.jsp\" }";
    fs::write(format!("{rules}/named.rule"), owner).unwrap();
    fs::write(format!("{path}/b.txt"), "hello").unwrap();
    fs::write(format!("{path}/c.php"), "hello").unwrap();
    fs::write(format!("{path}/d.zip"), zip(&[Entry { name: "inner.jsp", bytes: b"<%%>", flags: 0 }]))
        .unwrap();

    let (code, lines, summary) = json(&[&path, "--rules", &rules, "--rules", &format!("{rules}/named.rule")]);

    let found = &at(&lines, &format!("{path}/b.txt"))["matches"];
    assert_eq!((&found[0]["rule"], &found[0]["severity"]), (&json!("twice.2"), &json!("high")), "{found}");
    assert_eq!((&found[1]["rule"], &found[1]["severity"]), (&json!("twice"), &json!("medium")), "{found}");
    assert_eq!(
        (&found[1]["yara"], &found[1]["source"]),
        (&json!("twice"), &json!(format!("{rules}/more/two.yara")))
    );
    if is_root() {
        let inner = &at(&lines, &format!("{path}/d.zip"))["matches"][0];
        assert_eq!((&inner["rule"], &inner["inside"]), (&json!("own"), &json!(["inner.jsp"])), "{inner}");
    }
    assert!(!lines.iter().any(|l| l["path"] == format!("{path}/c.php")), "{lines:#?}");
    let error = summary["rule_errors"][0].as_str().unwrap();
    assert!(error.starts_with(&format!("{rules}/one.yar:2: ")), "{error}");
    assert_eq!(code, 1);
}

#[test]
fn rules_of_which_none_can_run_end_it_before_anything_reads_as_clean() {
    let (_dir, path) = folder();
    fs::write(format!("{path}/bad.yar"), "rule x {").unwrap();

    for rules in [format!("{path}/bad.yar"), format!("{path}/none"), "/dev/null".to_owned()] {
        let (code, out, err) = run(&[&path, "--rules", &rules]);
        assert_eq!((code, out.as_str()), (2, ""), "{rules}: {err}");
        assert!(err.contains("next step"), "{err}");
    }
    assert_eq!(run(&[]).0, 2);
}

#[test]
fn paths_of_which_none_is_there_are_a_wrong_command_line_and_no_finding() {
    let (_dir, path) = folder();
    let (one, two) = (format!("{path}/srv/wwww"), format!("{path}/x\u{1b}.zip"));

    let (code, out, err) = run(&[&one, &two]);

    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    let wanted = format!("there is no {one}, {path}/x\\u{{1b}}.zip");
    assert!(err.contains(&wanted) && err.contains("check the path"), "{err}");
    let (code, lines, _) = json(&[&one, &path]);
    assert_eq!((code, &at(&lines, &one)["outcome"]), (3, &json!("unreadable")));
}

#[test]
fn a_name_cannot_steer_the_terminal_or_make_up_a_line() {
    let (_dir, path) = folder();
    let name = std::ffi::OsStr::from_bytes(b"a\x1b]0;t\x07\nHIGH  rule  etc x\xff.php");
    fs::write(Path::new(&path).join(name), web_shell("name")).unwrap();

    let (code, out, err) = run(&[&path]);
    let (_, lines, _) = json(&[&path]);

    assert_eq!((code, out.lines().count()), (1, 1), "{out}{err}");
    assert!(out.contains(r"a\u{1b}]0;t\u{7}\u{a}HIGH  rule  ") && out.contains(r"x\xff.php"), "{out}");
    assert!(lines[0]["path"].as_str().unwrap().ends_with(r"x\xff.php"), "{lines:?}");
}

#[test]
fn what_cannot_be_scanned_is_told_and_never_clean() {
    let (_dir, path) = folder();
    fs::write(format!("{path}/big"), vec![b'x'; 2 << 20]).unwrap();
    let locked = zip(&[Entry { name: "a.doc", bytes: b"twelve bytes and more", flags: 1 }]);
    fs::write(format!("{path}/locked.zip"), locked).unwrap();

    let (code, lines, summary) = json(&[&path, "/nothing/here", "--max-size", "1"]);
    let (_, out, err) = run(&[&path, "--max-size", "1"]);

    assert_eq!(at(&lines, &format!("{path}/big"))["outcome"], "too_large");
    let locked = at(&lines, &format!("{path}/locked.zip"));
    assert_eq!(
        (&locked["outcome"], &locked["unseen"][0]["why"]),
        (&json!("unreadable"), &json!("encrypted"))
    );
    assert_eq!(at(&lines, "/nothing/here")["outcome"], "unreadable");
    for line in &lines {
        assert!(line["reason"].as_str().is_some_and(|why| !why.is_empty()), "why? {line}");
    }
    assert_eq!((code, &summary["not_scanned"], &summary["clean"]), (3, &json!(3), &json!(0)));
    assert_eq!(out, "");
    assert!(err.contains(&format!("NOT SCANNED  {path}/big: the file is too large")), "{err}");
    assert!(err.contains("a.doc: it has a password"), "{err}");
}

#[test]
fn files_and_folders_of_others_are_told_without_privilege() {
    if !is_root() {
        return cannot_run("needs root, to own files that nobody may read");
    }
    let (dir, path) = folder();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(format!("{path}/closed")).unwrap();
    fs::write(format!("{path}/secret"), "x").unwrap();
    for (name, mode) in [("closed", 0o700), ("secret", 0o600)] {
        fs::set_permissions(format!("{path}/{name}"), fs::Permissions::from_mode(mode)).unwrap();
    }
    // Nobody may not even look into the folder of our programs on some machines: a copy is where everybody may.
    let copy = format!("{path}/khien");
    copy_program(program("khien"), &copy);

    let mut command = Command::new("setpriv");
    command
        .env_clear()
        .env("KHIEN_LANG", "en")
        .current_dir("/")
        .env("PATH", std::env::var_os("PATH").unwrap());
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig", "KILL", "--", &copy]);
    command.args(["scan", &format!("{path}/closed"), &format!("{path}/secret")]);
    let (code, _, err) = done(command);

    assert_eq!(code, 3, "{err}");
    for name in ["closed", "secret"] {
        assert!(err.contains(&format!("NOT SCANNED  {path}/{name}: ")), "{err}");
    }
}

#[test]
fn links_and_pipes_are_not_opened() {
    let (_dir, path) = folder();
    let (_other, outside) = folder();
    fs::write(format!("{outside}/a.php"), web_shell("outside")).unwrap();
    std::os::unix::fs::symlink(&outside, format!("{path}/folder")).unwrap();
    std::os::unix::fs::symlink(format!("{outside}/a.php"), format!("{path}/file")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(format!("{path}/socket")).unwrap();

    let (code, lines, summary) = json(&[&path]);

    assert_eq!((code, lines.len()), (0, 0), "{lines:#?}");
    assert_eq!((&summary["links"], &summary["special"]), (&json!(2), &json!(1)));
}

/// Starts a scan of a folder of files `0`, `1`, … and comes back when it waits for somebody to read its lines.
fn stuck(path: &str, files: usize) -> Child {
    (0..files).for_each(|n| fs::write(format!("{path}/{n}"), "x").unwrap());
    let mut command = scan();
    command.args([path, "--all", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    until_full(child.stdout.as_ref().unwrap());
    child
}

/// Waits until much is in a pipe and nothing more comes: it holds 64 KiB at most.
fn until_full(pipe: &ChildStdout) {
    let (begun, mut had) = (Instant::now(), 0);
    loop {
        assert!(begun.elapsed() < PATIENCE, "only {had} bytes came");
        let now = ioctl_fionread(pipe).unwrap();
        if now > 50_000 && now == had {
            return;
        }
        had = now;
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn rest(child: &mut Child) -> (i32, Vec<Value>, Value) {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let summary = lines.pop().unwrap()["summary"].take();
    (child.wait().unwrap().code().unwrap(), lines, summary)
}

#[test]
fn a_file_that_is_renamed_meanwhile_is_scanned_under_its_new_name() {
    let (_dir, path) = folder();
    let mut child = stuck(&path, 4_000);

    for n in 0..4_000 {
        fs::rename(format!("{path}/{n}"), format!("{path}/{n}.new")).unwrap();
    }
    let (code, lines, summary) = rest(&mut child);

    assert_eq!((code, &summary["gone"]), (0, &json!(0)), "{summary}");
    assert!(lines.iter().all(|l| l["outcome"] == "clean"));
    assert!(lines.iter().any(|l| l["path"].as_str().unwrap().ends_with(".new")), "{summary}");
}

#[test]
fn a_file_that_is_gone_before_its_turn_is_told_and_not_clean() {
    let (_dir, path) = folder();
    let mut child = stuck(&path, 4_000);

    (0..4_000).for_each(|n| fs::remove_file(format!("{path}/{n}")).unwrap());
    let (code, lines, summary) = rest(&mut child);

    let gone: Vec<_> = lines.iter().filter(|l| l["outcome"] == "gone").collect();
    assert!(!gone.is_empty() && summary["gone"] == gone.len(), "{summary}");
    assert!(gone.iter().all(|l| l["reason"].is_string()));
    assert_eq!((code, &summary["exit"]), (3, &json!(3)));
}

#[test]
fn it_ends_when_it_is_wished_to_though_nobody_reads() {
    let (_dir, path) = folder();
    let mut child = stuck(&path, 4_000);

    send(child.id(), Signal::TERM);
    let code = child.wait().unwrap().code();

    assert_eq!(code, Some(3));
}

#[test]
fn a_terminal_that_cannot_be_steered_is_not() {
    let (_dir, path) = folder();
    fs::write(format!("{path}/a.php"), web_shell("dumb")).unwrap();
    let shown = |variables: &[(&str, &str)]| {
        let line = format!("exec '{}' scan '{path}'", program("khien").display());
        let mut command = Command::new("script");
        command.env_clear().env("KHIEN_LANG", "en").env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(variables.iter().copied()).args(["-qec", &line, "/dev/null"]);
        let (code, out, _) = done(command);
        assert!(code == 1 && out.contains("webshell.php.request_exec"), "{code} {out}");
        out
    };

    for plain in [&[("TERM", "dumb")][..], &[("TERM", "xterm"), ("NO_COLOR", "1")], &[]] {
        let out = shown(plain);
        assert!(!out.contains('\x1b') && !out.replace("\r\n", "").contains('\r'), "{plain:?}: {out:?}");
    }
    assert!(shown(&[("TERM", "xterm")]).contains("\x1b["), "else this test sees nothing");
}

#[test]
fn a_scan_that_is_broken_off_tells_the_totals_so_far() {
    const FILES: usize = 4_000;
    let (_dir, path) = folder();
    (0..FILES).for_each(|n| fs::write(format!("{path}/{n}"), "x").unwrap());
    let mut command = scan();
    command.args([&path, "--all", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());

    // It cannot come to its end: nobody reads, and a pipe does not hold so many lines.
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    send(child.id(), Signal::INT);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();

    let mut last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    let summary = last["summary"].take();
    assert_eq!(summary["interrupted"], true, "{summary}");
    assert_eq!(summary["files"], rest.lines().count(), "the first line, and not the last");
    assert!(rest.lines().count() < FILES);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}
