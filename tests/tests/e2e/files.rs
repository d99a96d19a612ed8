//! Detect a file: however it comes into a watched folder.

use std::{fs, os::unix::fs::MetadataExt};

use serde_json::Value;

use crate::{
    harness::{Site, is_at, sha256, shell, web_shell},
    place::{cannot_run, is_root},
};

/// Waits for the alert of a file and holds every field against the file itself.
fn assert_told(alert: &Value, path: &std::path::Path, content: &str) {
    let meta = fs::metadata(path).unwrap();
    assert_eq!(alert["rule"], "webshell.php.request_exec", "{alert}");
    assert!(["critical", "high"].contains(&alert["severity"].as_str().unwrap()), "{alert}");
    assert_eq!(alert["status"], "new");
    assert_eq!(alert["path"], path.to_str().unwrap());
    assert_eq!(alert["sha256"], sha256(content));
    assert_eq!(alert["file"]["size"], meta.size());
    assert_eq!(alert["file"]["uid"], meta.uid());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(alert["host"], host.trim());
    assert_eq!(alert["agency"], "Sở Y tế");
    assert!(alert["technique"].as_str().unwrap().starts_with('T'), "{alert}");
    let excerpt = &alert["excerpts"][0];
    let around: String = ["before", "matched", "after"].map(|k| excerpt[k].as_str().unwrap()).concat();
    assert!(around.contains("REQUEST"), "the bytes around the match are shown: {excerpt}");
    for field in ["first_seen", "last_seen", "count"] {
        assert!(!alert[field].is_null(), "{field} is there: {alert}");
    }
}

#[test]
fn a_web_shell_is_an_alert_however_it_comes_into_the_folder() {
    let site = Site::new();
    let mut up = site.up(&["--agency", "Sở Y tế", "--watch", site.web.to_str().unwrap()]);
    let web = site.web.display();
    let outside = site.web.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    let from = |name: &str| {
        let content = web_shell(name);
        fs::write(outside.join(name), &content).unwrap();
        (outside.join(name).display().to_string(), content)
    };

    // Written.
    let path = site.write("written.php", &web_shell("written"));
    let alert = up.alert("written", |a| is_at(a, &path));
    assert_told(&alert, &path, &web_shell("written"));

    // Renamed in.
    let (source, content) = from("renamed.php");
    shell(&format!("mv '{source}' '{web}/renamed.php'"), "");
    let path = site.web.join("renamed.php");
    assert_told(&up.alert("renamed in", |a| is_at(a, &path)), &path, &content);

    // Hard-linked in.
    let (source, content) = from("linked.php");
    shell(&format!("ln '{source}' '{web}/linked.php'"), "");
    let path = site.web.join("linked.php");
    assert_told(&up.alert("hard-linked in", |a| is_at(a, &path)), &path, &content);

    // Appended to a page that was harmless.
    let path = site.write("appended.php", "<?php echo 'Xin chào'; ?>\n");
    shell(&format!("printf %s \"$CONTENT\" >> '{}'", path.display()), &web_shell("appended"));
    let content = fs::read_to_string(&path).unwrap();
    assert_told(&up.alert("appended", |a| is_at(a, &path)), &path, &content);

    // Written in a folder made a moment before.
    let deep = site.web.join("a/b/c");
    let content = web_shell("deep");
    let line = format!("mkdir -p '{0}' && printf %s \"$CONTENT\" > '{0}/deep.php'", deep.display());
    shell(&line, &content);
    let path = deep.join("deep.php");
    assert_told(&up.alert("in a new folder", |a| is_at(a, &path)), &path, &content);

    // A whole tree renamed in.
    fs::create_dir_all(outside.join("tree/x")).unwrap();
    fs::write(outside.join("tree/x/moved.php"), web_shell("moved")).unwrap();
    shell(&format!("mv '{}/tree' '{web}/tree'", outside.display()), "");
    let path = site.web.join("tree/x/moved.php");
    assert_told(&up.alert("in a tree renamed in", |a| is_at(a, &path)), &path, &web_shell("moved"));
}

#[test]
fn a_web_shell_that_was_there_before_the_first_start_is_an_alert_and_the_walk_is_told() {
    let site = Site::new();
    fs::create_dir(site.web.join("old")).unwrap();
    let path = site.write("old/before.php", &web_shell("before"));
    site.write("old/page.php", "<?php echo 1; ?>\n");

    let mut up = site.up(&["--agency", "Sở Y tế", "--watch", site.web.to_str().unwrap()]);

    assert_told(&up.alert("of what was there", |a| is_at(a, &path)), &path, &web_shell("before"));
    let walked = |a: &Value| a[0]["walk"]["ended"].is_string();
    let walk = &site.until(&["agent", "list"], "the end of the walk", walked)[0]["walk"];
    assert_eq!((&walk["looked"], &walk["of"], &walk["unread"]), (&2.into(), &2.into(), &0.into()), "{walk}");
    assert!(walk["since"].is_string() && walk["pack"].as_u64() > Some(0), "{walk}");
}

#[test]
fn a_web_shell_whose_writer_keeps_it_open_is_an_alert_while_it_is_open() {
    for site in [Site::new(), Site::unprivileged()] {
        if site.unprivileged && !is_root() {
            cannot_run("giving up privileges needs root");
            continue;
        }
        let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
        let path = site.web.join("open.php");
        let line =
            format!("exec 3> '{0}'; chmod 644 '{0}'; printf %s \"$CONTENT\" >&3; read -r _", path.display());
        let mut writer = std::process::Command::new("sh")
            .args(["-c", &line])
            .env("CONTENT", web_shell("open"))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();

        up.alert("alert while it is open", |a| is_at(a, &path));

        assert!(writer.try_wait().unwrap().is_none(), "the writer still has it open");
        drop(writer.stdin.take());
        writer.wait().unwrap();
    }
}

#[test]
fn a_link_to_a_web_shell_outside_is_an_alert_and_a_link_to_a_folder_outside_is_told() {
    let site = Site::new();
    let outside = site.web.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kit.txt"), web_shell("kit")).unwrap();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    shell(
        &format!(
            "ln -s '{0}/kit.txt' '{1}/link.php'; ln -s '{0}' '{1}/away'",
            outside.display(),
            site.web.display()
        ),
        "",
    );

    let path = site.web.join("link.php");
    let alert = up.alert("what the link leads to", |a| is_at(a, &path));
    assert_eq!(alert["sha256"], sha256(&web_shell("kit")));
    let away = site.web.join("away");
    let gap = |a: &Value| {
        let coverage = a[0]["coverage"].as_array().into_iter().flatten();
        coverage.clone().any(|c| c["scope"] == away.to_str().unwrap() && c["sight"] == "reduced")
    };
    site.until(&["agent", "list"], "the gap in the coverage", gap);
}

#[test]
fn a_folder_that_is_a_bind_mount_is_seen_like_any_other() {
    if !is_root() {
        return cannot_run("mounting needs root");
    }
    let (site, source) = Site::bound();
    let other = site.web.with_file_name("other");
    fs::create_dir(&other).unwrap();
    // The other one lies on the same file system, which is marked through its own mount first.
    let watch = ["--watch", other.to_str().unwrap(), "--watch", site.web.to_str().unwrap()];
    let mut up = site.up(&watch);

    shell(&format!("printf %s \"$CONTENT\" > '{}/bound.php'", source.display()), &web_shell("bound"));

    let path = site.web.join("bound.php");
    up.alert("alert in a bind mount", |a| is_at(a, &path));
}

#[test]
fn the_kernel_tells_which_process_wrote_it() {
    if !is_root() {
        return cannot_run("fanotify needs root");
    }
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let path = site.web.join("slow.php");
    // The shell stays until its input ends, so that the kernel still knows it.
    let line = format!("printf %s \"$CONTENT\" > '{}'; read -r _", path.display());
    let mut writer = std::process::Command::new("bash")
        .args(["-c", &line])
        .env("CONTENT", web_shell("slow"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();

    let alert = up.alert("alert with a process", |a| is_at(a, &path));
    drop(writer.stdin.take());
    writer.wait().unwrap();

    assert_eq!(alert["process"]["pid"], writer.id(), "{alert}");
    assert!(alert["process"]["exe"].as_str().unwrap().ends_with("/bash"), "{alert}");
    assert_eq!(alert["process"]["uid"], 0);
    let agents = site.json(&["agent", "list"]);
    let coverage = agents[0]["coverage"].as_array().unwrap();
    assert!(coverage.iter().any(|c| c["sensor"] == "file" && c["backend"] == "fanotify"), "{agents}");
}

#[test]
fn a_clean_page_is_no_alert_and_the_same_shell_is_one() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    site.write("clean.php", "<?php echo htmlspecialchars($_GET['q'] ?? ''); ?>\n");
    let alert = site.shell_alert(&mut up, "again.php");
    let path = site.web.join("again.php");

    shell(&format!("printf ' ' >> '{}'", path.display()), "");

    let again = up.alert("a second detection", |a| is_at(a, &path) && a["count"].as_u64() > Some(1));
    assert_eq!(again["id"], alert["id"], "it is the same alert");
    let alerts = site.json(&["alert", "list"]);
    assert!(!alerts.to_string().contains("clean.php"), "{alerts}");
}

#[test]
fn a_file_name_cannot_speak_to_the_terminal() {
    let site = Site::new();
    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);
    let name = "\u{1b}]0;owned\u{7}\u{202e}php.txt\n.php";

    fs::write(site.web.join(name), web_shell("hostile")).unwrap();

    let alert = up.alert("alert with a hostile name", |a| {
        a["path"].as_str().is_some_and(|p| p.contains("owned") && p.ends_with(".php"))
    });
    let id = alert["id"].as_str().unwrap();
    for args in [vec!["alert", "list"], vec!["alert", "show", id], vec!["alert", "show", id, "--json"]] {
        let (_, out, _) = site.cli(&args);
        let bad = out.chars().find(|c| *c != '\n' && khien_core::untrusted::hides(*c));
        assert_eq!(bad, None, "{args:?} lets it through");
    }
}

#[test]
fn without_privilege_it_says_so_and_still_finds_the_file() {
    if !is_root() {
        return cannot_run("giving up privileges needs root; without root every other test covers this");
    }
    let site = Site::unprivileged();

    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    site.shell_alert(&mut up, "plain.php");
    let agents = site
        .until(&["agent", "list"], "coverage", |a| a[0]["coverage"].as_array().is_some_and(|c| c.len() > 1));
    let coverage = agents[0]["coverage"].as_array().unwrap();
    let file = coverage.iter().find(|c| c["sensor"] == "file").unwrap();
    assert_eq!((&file["backend"], &file["sight"]), (&"notify".into(), &"reduced".into()), "{agents}");
    assert!(coverage.iter().any(|c| c["sensor"] == "network" && c["sight"] == "blind"), "{agents}");
    up.says("fanotify");
    up.says("packets");
}

#[test]
fn without_privilege_a_folder_that_cannot_be_read_does_not_blind_the_others() {
    if !is_root() {
        return cannot_run("giving up privileges needs root");
    }
    let site = Site::unprivileged();
    for folder in ["a/b", "lock", "z/b"] {
        fs::create_dir_all(site.web.join(folder)).unwrap();
    }
    let line = "chmod -R a+rwx \"$0\" && chmod 0 \"$0/lock\"";
    assert!(std::process::Command::new("sh").args(["-c", line]).arg(&site.web).status().unwrap().success());

    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    site.shell_alert(&mut up, "a/b/below.php");
    site.shell_alert(&mut up, "z/b/below.php");
    let path = site.web.join("z/new/deep/later.php");
    let line = format!(
        "mkdir -p '{}' && printf %s \"$CONTENT\" > '{}'",
        path.parent().unwrap().display(),
        path.display()
    );
    shell(&line, &web_shell("later"));
    up.alert("alert below a folder made later", |a| is_at(a, &path));
}

#[test]
fn a_limit_of_the_kernel_on_watched_folders_is_told_and_the_walk_finds_what_is_there() {
    let may = std::process::Command::new("unshare").args(["--user", "--map-root-user", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        return cannot_run("user namespaces are not allowed");
    }
    let site = Site::new();
    site.watches.set("10").unwrap();
    for n in 0..30 {
        fs::create_dir(site.web.join(format!("{n}"))).unwrap();
    }
    let path = site.write("29/there.php", &web_shell("there"));

    let mut up = site.up(&["--watch", site.web.to_str().unwrap()]);

    up.alert("alert where nothing watches", |a| is_at(a, &path));
    let told = |a: &Value| {
        let coverage = a[0]["coverage"].as_array().into_iter().flatten();
        coverage.clone().any(|c| c["sight"] == "reduced" && c["reason"].to_string().contains("watch_limit"))
    };
    site.until(&["agent", "list"], "the limit in the coverage", told);
}
