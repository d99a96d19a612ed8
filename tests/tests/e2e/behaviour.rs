//! What is done to files: web roots and mass encryption, by real programs on real files.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader},
    os::unix::ffi::OsStringExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    harness::{Site, is_at, shell},
    place::{cannot_run, copy_program, is_root},
};

/// The promise: from the 20th file to the alert.
const PROMISE: Duration = Duration::from_secs(3);
/// What is harmless and yet a script.
const PAGE: &str = "<?php echo 1;\n";

/// Bytes that look encrypted, without the zero that a shell cannot hold.
fn noise() -> OsString {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    OsString::from_vec((0..20_000).map(|_| next().max(1)).collect())
}

/// Runs a line of shell that says when it is done and stays until its input ends, so that it can be named and stopped.
fn attacker(line: &str, dir: &Path) -> (Child, Instant) {
    let line = format!("{line}; echo done; read -r _");
    let mut command = Command::new("bash");
    command.args(["-c", &line]).current_dir(dir).env("NOISE", noise()).env("LC_ALL", "C");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "done\n");
    (child, Instant::now())
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Puts documents of four kinds there, as they are before the agent starts.
fn documents(dir: &Path, count: usize) {
    for n in 0..count {
        let kind = ["txt", "docx", "pdf", "csv"][n % 4];
        let begin = ["", "PK\u{3}\u{4}", "%PDF-1.7\n", ""][n % 4];
        fs::write(dir.join(format!("{n}.{kind}")), format!("{begin}van ban so {n}\n")).unwrap();
    }
}

/// Puts databases there, each of 200 KB that look random.
fn databases(dir: &Path, count: usize) {
    let fill = "create table scan (picture blob); with recursive n (i) as (select 1 union all select i + 1 from n \
                where i < 100) insert into scan select randomblob(2000) from n";
    for n in 0..count {
        rusqlite::Connection::open(dir.join(format!("{n}.db"))).unwrap().execute_batch(fill).unwrap();
    }
}

fn is_of(alert: &Value, rule: &str) -> bool {
    alert["rule"] == rule
}

fn rules(site: &Site) -> Vec<String> {
    let alerts = site.json(&["alert", "list"]);
    alerts.as_array().unwrap().iter().map(|a| a["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_twentieth_overwritten_document_is_an_alert_within_three_seconds_that_names_the_process() {
    if !is_root() {
        return cannot_run("who wrote is known only to root");
    }
    let site = Site::new();
    documents(&site.web, 20);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let (attacker, last) = attacker("for f in *; do printf %s \"$NOISE\" > \"$f\"; done", &site.web);
    let alert = up.alert("alert of a mass rewrite", |a| is_of(a, "khien.ransom.mass_rewrite"));
    let took = last.elapsed();

    assert!(took < PROMISE, "{took:?}");
    assert_eq!((&alert["severity"], &alert["technique"]), (&"critical".into(), &"T1486".into()));
    assert_eq!(alert["process"]["pid"], attacker.id(), "{alert}");
    assert!(alert["process"]["exe"].as_str().unwrap().ends_with("/bash"), "{alert}");
    assert_eq!(alert["path"], site.web.to_str().unwrap());
    let what = alert["what"]["en"].as_str().unwrap();
    assert!(what.contains("files: 20, such as") && what.contains(".docx"), "{what}");
    end(attacker);
}

/// Replaces each document by an encrypted copy under a name that tells nothing, with a program for each step.
const COPIES: &str =
    "n=0; for f in *; do n=$((n + 1)); printf %s \"$NOISE\" > \"c$((n * 7919))\"; rm \"$f\"; done";
/// Encrypts in place and gives each file an extension of its own.
const RANDOM_NAMES: &str =
    "n=0; for f in *; do n=$((n + 1)); printf %s \"$NOISE\" > \"$f\"; mv \"$f\" \"$f.k$((n * 7919))\"; done";
/// The same by a shell of its own for each file.
const MANY_SHELLS: &str =
    "for f in *; do (exec bash -c 'printf %s \"$NOISE\" > \"$1\"' x \"$f\") & done; wait";

#[test]
fn however_documents_are_encrypted_the_twentieth_is_an_alert_within_three_seconds() {
    if !is_root() {
        return cannot_run("who wrote is known only to root");
    }
    let site = Site::new();
    let folders = [COPIES, RANDOM_NAMES, MANY_SHELLS].map(|line| {
        let dir = site.web.with_file_name(format!("documents-{}", line.len()));
        fs::create_dir(&dir).unwrap();
        documents(&dir, 20);
        (line, dir)
    });
    let watch = folders.iter().flat_map(|(_, dir)| ["--watch", dir.to_str().unwrap()]);
    let mut up = site.up(&watch.collect::<Vec<_>>());

    for (line, dir) in &folders {
        let (attacker, last) = attacker(line, dir);
        let alert = up.alert(line, |a| is_of(a, "khien.ransom.mass_rewrite") && is_at(a, dir));

        assert!(last.elapsed() < PROMISE, "{line}: {:?}", last.elapsed());
        assert!(alert["what"]["en"].as_str().unwrap().contains("files: 20"), "{alert}");
        end(attacker);
    }
}

/// Leaves the first 16 KiB of each file as they are.
const BEHIND_HEADS: &str = "for f in *; do for n in 1 2 3 4 5 6 7 8; do printf %s \"$NOISE\"; done \
     | dd of=\"$f\" bs=16384 seek=1 conv=notrunc status=none; done";

#[test]
fn documents_that_are_encrypted_behind_their_heads_are_an_alert_within_three_seconds() {
    let site = Site::new();
    databases(&site.web, 20);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let (attacker, last) = attacker(BEHIND_HEADS, &site.web);
    let alert = up.alert("alert of a mass rewrite", |a| is_of(a, "khien.ransom.mass_rewrite"));

    assert!(last.elapsed() < PROMISE, "{:?}", last.elapsed());
    assert!(alert["what"]["en"].as_str().unwrap().contains("files: 20"), "{alert}");
    end(attacker);
}

#[test]
fn without_privilege_a_mass_rewrite_is_an_alert_too_and_the_coverage_says_that_nobody_is_named() {
    if !is_root() {
        return cannot_run("giving up privileges needs root");
    }
    let site = Site::unprivileged();
    documents(&site.web, 24);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let (attacker, last) = attacker("for f in *; do printf %s \"$NOISE\" > \"$f\"; done", &site.web);
    let alert = up.alert("alert of a mass rewrite", |a| is_of(a, "khien.ransom.mass_rewrite"));

    assert!(last.elapsed() < PROMISE, "{:?}", last.elapsed());
    assert!(alert["process"].is_null(), "{alert}");
    let said = |agents: &Value| {
        let mut coverage = agents[0]["coverage"].as_array().into_iter().flatten();
        coverage.any(|c| c["sensor"] == "behaviour" && c["sight"] == "reduced")
    };
    site.until(&["agent", "list"], "the coverage", said);
    end(attacker);
}

#[test]
fn a_mass_rename_by_a_script_that_starts_a_program_for_each_file_is_one_alert_that_goes_on_counting() {
    let site = Site::new();
    documents(&site.web, 60);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let (attacker, _) = attacker("for f in *; do mv \"$f\" \"$f.locked\"; done", &site.web);
    let first = up.alert("alert of a mass rename", |a| is_of(a, "khien.ransom.mass_rename"));
    let counted = |a: &Value| a["what"]["en"].as_str().is_some_and(|w| w.contains("files: 60,"));
    let whole = up.alert("the whole number", |a| is_of(a, "khien.ransom.mass_rename") && counted(a));

    assert_eq!(first["id"], whole["id"], "it is one alert");
    assert!(whole["what"]["vi"].as_str().unwrap().contains(".locked"), "{whole}");
    end(attacker);
}

#[test]
fn everyday_work_on_many_files_is_no_alert() {
    let site = Site::new();
    documents(&site.web, 60);
    databases(&site.web, 24);
    for n in 0..30 {
        fs::write(site.web.join(format!("{n}.log")), "GET / 200\n".repeat(500)).unwrap();
    }
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let line = format!(
        "cd '{0}' && for n in $(seq 0 29); do mv $n.log $n.log.1; : > $n.log; done && gzip *.log.1 \
         && tar cf ../b.tar . && rm -f *.txt && tar xf ../b.tar && for f in *.csv; do sed -i s/so/SO/ $f; done \
         && mkdir site && cp -a *.pdf site && mv site site.old \
         && cp -al site.old daily.1 && rm -r site.old && cp -al daily.1 daily.0 && sed -i s/so/SO/ daily.0/*.pdf",
        site.web.display()
    );
    shell(&line, "");
    for n in 0..24 {
        let store = rusqlite::Connection::open(site.web.join(format!("{n}.db"))).unwrap();
        store.execute_batch("delete from scan where rowid % 2 = 0; vacuum").unwrap();
    }

    site.shell_alert(&mut up, "afterwards.php");
    let found: Vec<_> = rules(&site).into_iter().filter(|r| r.starts_with("khien.ransom")).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn scripts_that_the_web_server_writes_are_told_and_a_storm_of_them_is_two_alerts() {
    if !is_root() {
        return cannot_run("who wrote is known only to root");
    }
    let site = Site::new();
    for (name, content) in [("index.php", PAGE), ("sitemap.xml", "<urlset></urlset>")] {
        fs::write(site.web.join(name), content).unwrap();
    }
    fs::create_dir(site.web.join("uploads")).unwrap();
    // The web server: a shell under its name.
    let server = site.web.with_file_name("php-fpm8.2");
    copy_program("/bin/bash", &server);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let serve = |line: &str| {
        let mut command = Command::new(&server);
        command.args(["-c", line]).current_dir(&site.web).env("PAGE", PAGE).stdin(Stdio::piped());
        command.spawn().unwrap()
    };

    let one = serve("printf %s \"$PAGE\" > uploads/x.php; read -r _");
    let path = site.web.join("uploads/x.php");
    let alert =
        up.alert("a script in uploads", |a| is_at(a, &path) && is_of(a, "khien.web.script_in_uploads"));
    end(one);
    let many = serve("for n in $(seq 300); do printf %s \"$PAGE\" > new$n.php; done; read -r _");
    let counted = |a: &Value| a["what"]["en"].as_str().is_some_and(|w| w.contains("files: 300,"));
    let storm = up.alert("a storm", |a| is_of(a, "khien.web.script_by_server") && counted(a));
    end(many);

    assert!(alert["process"]["exe"].as_str().unwrap().ends_with("/php-fpm8.2"), "{alert}");
    assert_eq!((&alert["severity"], &alert["technique"]), (&"high".into(), &"T1505.003".into()));
    assert_eq!(storm["path"], site.web.to_str().unwrap());
    assert_eq!(rules(&site).iter().filter(|r| *r == "khien.web.script_by_server").count(), 2);
}

#[test]
fn each_sign_in_a_web_root_is_an_alert_of_its_own() {
    if !is_root() {
        return cannot_run("who wrote is known only to root");
    }
    let site = Site::new();
    fs::create_dir_all(site.web.join("inc")).unwrap();
    for n in 0..6 {
        fs::write(site.web.join(format!("inc/{n}.php")), PAGE).unwrap();
    }
    shell(&format!("touch -d 2024-01-01 '{}'/inc/*.php", site.web.display()), "");
    fs::write(site.web.join("index.php"), PAGE).unwrap();
    fs::write(site.web.join("sitemap.xml"), "<url><loc>a</loc></url>\n".repeat(20)).unwrap();
    let server = site.web.with_file_name("php-fpm8.2");
    copy_program("/bin/bash", &server);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let mut told = |rule: &str, path: &str| {
        let path = if path.is_empty() { site.web.clone() } else { site.web.join(path) };
        up.alert(rule, |a| is_of(a, &format!("khien.web.{rule}")) && is_at(a, &path))
    };
    let serve = |line: &str| {
        let done = Command::new(&server).args(["-c", line]).current_dir(&site.web).env("PAGE", PAGE).status();
        assert!(done.unwrap().success(), "{line}");
    };

    site.write("inc/late.php", PAGE);
    serve("printf %s \"$PAGE\" > logo.php.png");
    serve("printf %s \"$PAGE\" > old.php; touch -d 2020-01-01 old.php");
    serve("for n in $(seq 900); do echo \"<url><loc>$n</loc></url>\"; done > sitemap.xml");
    serve("mkdir tin; for n in $(seq 250); do echo '<html>' > tin/$n.html; done");
    site.write(".user.ini", "upload_max_filesize = 8M");
    serve("mkdir a; printf %1100000s x > a/.htaccess");

    told("hidden_extension", "logo.php.png");
    told("forged_time", "old.php");
    let sitemap = told("sitemap", "sitemap.xml");
    assert!(sitemap["what"]["en"].as_str().unwrap().contains("from 20 to 900"), "{sitemap}");
    told("mass_pages", "");
    told("config", ".user.ini");
    let unread = told("config_unread", "a/.htaccess");
    assert_eq!(unread["severity"], "high");
    told("late_script", "inc/late.php");
}

#[test]
fn a_tool_that_only_is_called_like_one_is_no_deployment() {
    if !is_root() {
        return cannot_run("who wrote is known only to root");
    }
    let site = Site::new();
    fs::write(site.web.join("index.php"), PAGE).unwrap();
    fs::create_dir(site.web.join("uploads")).unwrap();
    let tool = site.web.with_file_name("rsync");
    copy_program("/bin/bash", &tool);
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    let mut command = Command::new(&tool);
    command.args(["-c", "printf %s \"$PAGE\" > uploads/x.php; read -r _", "composer"]);
    let mut other = command.current_dir(&site.web).env("PAGE", PAGE).stdin(Stdio::piped()).spawn().unwrap();
    let path = site.web.join("uploads/x.php");
    let alert = up.alert("a script", |a| is_at(a, &path) && is_of(a, "khien.web.script_in_uploads"));

    assert!(alert["process"]["exe"].as_str().unwrap().ends_with("/rsync"), "{alert}");
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn a_deployment_is_no_alert_and_a_picture_that_is_made_to_run_is_one() {
    if !is_root() {
        return cannot_run("who wrote is known only to root");
    }
    let site = Site::new();
    fs::write(site.web.join("index.php"), PAGE).unwrap();
    let release = site.web.with_file_name("release");
    fs::create_dir_all(release.join("files")).unwrap();
    for n in 0..200 {
        fs::write(release.join(format!("files/{n}.php")), PAGE).unwrap();
    }
    shell(&format!("find '{0}' -type f -exec touch -d 2024-01-01 {{}} +", release.display()), "");
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    shell(&format!("tar cf - -C '{}' . | tar xf - -C '{}'", release.display(), site.web.display()), "");
    let line = "AddType application/x-httpd-php .jpg";
    let path = site.write(".htaccess", line);
    let alert = up.alert("a configuration that runs pictures", |a| is_at(a, &path));

    assert_eq!(
        (&alert["rule"], &alert["severity"]),
        (&"khien.web.config_runs_files".into(), &"critical".into())
    );
    assert!(
        alert["what"]["en"].as_str().unwrap().contains("addtype application/x-httpd-php .jpg"),
        "{alert}"
    );
    let found: Vec<_> = rules(&site).into_iter().filter(|r| r.starts_with("khien.web.")).collect();
    assert_eq!(found, ["khien.web.config_runs_files"]);
}

#[test]
fn a_canary_is_planted_only_when_asked_for_and_who_changes_it_is_told() {
    let site = Site::new();
    drop(site.up(&["--watch", site.web.to_str().unwrap()]));
    assert_eq!(fs::read_dir(&site.web).unwrap().count(), 0, "nothing is planted unasked");
    let mut up = site.up_with("KHIEN_CANARIES", &["--watch", site.web.to_str().unwrap()]);
    let planted: Vec<_> = fs::read_dir(&site.web).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(planted.len(), 2, "{planted:?}");

    shell(&format!("printf x > '{}'", planted[0].display()), "");

    let alert = up.alert("alert of a canary", |a| is_at(a, &planted[0]));
    assert_eq!((&alert["rule"], &alert["severity"]), (&"khien.ransom.canary".into(), &"critical".into()));
    assert_eq!(up.stop(), 0);
    let mut remove = site.command("khien-agent");
    remove.args(["canaries", "remove", "--home"]).arg(site.home.join("agent"));
    assert!(remove.status().unwrap().success());
    assert_eq!(fs::read_to_string(&planted[0]).unwrap(), "x", "what was changed is evidence and stays");
    assert!(!planted[1].exists());
}
