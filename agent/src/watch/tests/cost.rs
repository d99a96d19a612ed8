//! What the watch costs. Processor time of the watching thread for ten thousand operations of each kind is printed, not
//! judged: hosts differ, and other tests run beside it. Alone and longer:
//! `KHIEN_COST_ROUNDS=5 cargo test … --bin khien-agent -- --show-output what_ten_thousand_operations_cost`.
//! What the kernel counts is judged.

use std::io::{BufRead, BufReader};

use super::*;

/// Files of a round: few enough that the kernel's queue of 16,384 events is not overrun.
const FILES: usize = 2_000;

#[test]
fn what_ten_thousand_operations_cost_is_known() {
    let rounds = std::env::var("KHIEN_COST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let Some(mut watched) = Watched::with_fanotify(|_| {}) else { return };
    let acts = [
        ("create and write", "i=0; while [ $i -lt 2000 ]; do echo x > in/$i; i=$((i+1)); done"),
        ("chmod", "find in -name '[0-9]*' -exec chmod 600 {} +"),
        ("remove", "find in -name '*[0-9]' -delete"),
        ("outside", "i=0; while [ $i -lt 2000 ]; do echo x > out/$i; i=$((i+1)); done; rm -rf out/*"),
    ];
    let mut spent = [Duration::ZERO; 4];
    for round in 0..rounds {
        for (n, (_, script)) in acts.iter().enumerate() {
            let before = watching();
            watched.sh(script);
            watched.sh(&format!("printf x > in/last.{round}.{n}"));
            watched.sees(&format!("in/last.{round}.{n}"));
            spent[n] += watching().saturating_sub(before);
        }
    }
    for ((name, _), spent) in acts.iter().zip(spent) {
        let each = spent.as_secs_f64() * 10_000.0 / (rounds * FILES) as f64;
        println!("{name}: {:.0} ms of processor time for 10,000", each * 1_000.0);
    }
}

#[test]
fn a_thousand_changes_by_one_process_cost_a_handful_of_reads() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: a_thousand_changes_by_one_process: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        // Nobody else changes anything on a file system of its own.
        assert!(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&at).status().unwrap().success());
        let (first, second) = reads_for_a_thousand(&at);
        assert!(Command::new("umount").arg(&at).status().unwrap().success());

        println!("reads for 1,000 changes: {first}, and {second} more for the next 1,000");
        assert!(second <= 40, "{second} reads");
    });
}

/// Has a process write a thousand files, and another thousand, and returns how often the watch read anything for each.
fn reads_for_a_thousand(at: &Path) -> (u64, u64) {
    let Ok(mut fanotify) = Fanotify::new() else { return Default::default() };
    let (mounts, walker) = (mounts::read().unwrap(), Arc::default());
    fanotify.mark(mounts::of(&mounts, at).unwrap()).unwrap();
    let (events, mut queue) = mpsc::channel(1_024);
    let mut activities = Activities::default();
    let _heard = activities.listen();
    let sink = Sink::new(events, Vec::new(), Arc::new(activities));
    sink.watch(vec![at.to_owned()]);
    let script = "while read round; do i=0; while [ $i -lt 1000 ]; do echo x > $round.$i; i=$((i+1)); done; echo; done";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(at).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut said = BufReader::new(shell.stdout.take().unwrap());
    let mut round = |name: &str| {
        shell.stdin.as_mut().unwrap().write_all(name.as_bytes()).unwrap();
        said.read_line(&mut String::new()).unwrap();
        let (before, mut files) = (own_reads(), 0);
        while files < 1_000 {
            fanotify.read(SOON, &sink, &walker).unwrap();
            let told = std::iter::from_fn(|| queue.try_recv().ok()).count();
            assert_ne!(told, 0, "{files} of 1,000 files were told of");
            files += told;
        }
        own_reads() - before
    };
    let costs = (round("a\n"), round("b\n"));
    drop(shell.stdin.take());
    shell.wait().unwrap();
    costs
}

/// How often this thread has read from a file so far.
fn own_reads() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("syscr: ")?.parse().ok()).unwrap()
}

/// The processor time of all watching threads of this program so far.
fn watching() -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten().map(|e| e.path());
    let ours = threads.filter(|t| fs::read_to_string(t.join("comm")).is_ok_and(|c| c.trim() == "watch"));
    let spent = |task: std::path::PathBuf| {
        let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(ours.map(spent).sum())
}
