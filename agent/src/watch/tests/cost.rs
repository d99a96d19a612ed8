//! What the watch costs: processor time of the watching thread for ten thousand operations of each kind. Printed, not
//! judged: hosts differ, and other tests run beside it. Alone and longer:
//! `KHIEN_COST_ROUNDS=5 cargo test … --bin khien-agent -- --show-output what_ten_thousand_operations_cost`.

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
