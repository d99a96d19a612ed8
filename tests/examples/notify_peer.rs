//! A plain watcher on the `notify` crate, which `tests/load/watch.py` compares the agent with: watches folders, counts
//! events, says `ready`, and when its input ends how many there were.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program for developers")]

use std::{
    io::Read,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use notify::{RecursiveMode, Watcher};

fn main() {
    let (seen, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counts = (Arc::clone(&seen), Arc::clone(&lost));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        counts.0.fetch_add(1, Relaxed);
        counts.1.fetch_add(u64::from(event.is_ok_and(|e| e.need_rescan())), Relaxed);
    })
    .unwrap();
    for folder in std::env::args().skip(1) {
        watcher.watch(Path::new(&folder), RecursiveMode::Recursive).unwrap();
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    println!("{} events, {} times lost", seen.load(Relaxed), lost.load(Relaxed));
}
