//! Measures a real `khien up`: start to ready, write to alert, resident memory. Not a test: figures depend on the machine.
//!
//! `cargo build --release && cargo run --release -p khien-tests --example latency -- 200`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program for developers")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn main() {
    let wanted: usize = std::env::args().nth(1).map_or(200, |n| n.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let (home, web) = (root.path().join("home"), root.path().join("web"));
    fs::create_dir(&web).unwrap();
    let khien = std::env::current_exe().unwrap().parent().unwrap().with_file_name("khien");

    let begun = Instant::now();
    let mut up = Command::new(khien)
        .arg("--home")
        .arg(&home)
        .args(["--lang", "en", "up", "--json", "--watch"])
        .arg(&web)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(up.stderr.take().unwrap()).lines();
    said.find(|l| l.as_ref().is_ok_and(|l| l.to_lowercase().contains("ready"))).unwrap().unwrap();
    println!("start to ready: {:.2} s", begun.elapsed().as_secs_f64());

    let mut alerts = BufReader::new(up.stdout.take().unwrap()).lines();
    let mut taken: Vec<Duration> = (0..wanted)
        .map(|n| {
            let name = format!("shell-{n:05}.php");
            let begun = Instant::now();
            fs::write(web.join(&name), format!("<?php /* {n} */ @{}($_{}['c']); ?>", "system", "POST"))
                .unwrap();
            alerts.find(|l| l.as_ref().is_ok_and(|l| l.contains(&name))).unwrap().unwrap();
            begun.elapsed()
        })
        .collect();
    taken.sort_unstable();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "write to alert line, {wanted} files: p50 {:.0} ms, p95 {:.0} ms, max {:.0} ms",
        at(0.50),
        at(0.95),
        at(1.0)
    );
    for (name, kib) in memory(up.id()) {
        println!("{name}: {:.1} MiB resident", kib as f64 / 1024.0);
    }
    let pid = rustix::process::Pid::from_raw(up.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    up.wait().unwrap();
}

/// Returns name and resident KiB of a process and all below it.
fn memory(pid: u32) -> Vec<(String, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field =
        |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let kib = field("VmRSS:").split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut all = vec![(format!("{} ({pid})", field("Name:")), kib)];
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|c| c.parse().ok()).flat_map(memory));
    }
    all
}
