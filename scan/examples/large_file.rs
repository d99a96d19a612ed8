//! Measures the scan of large files with the base pack: time, rate and the most memory that the worker ever held.
//!
//! `cargo run --release --example large_file -- [MEGABYTES] [FOLDER]` makes three files in FOLDER, scans each and removes
//! it: an access log, one repeated byte, and a log with a web shell behind its last line.

use std::{
    env,
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use khien_core::{Timestamp, Untrusted, asset::Coverage, event::ScanOutcome};
use khien_scan::{Gauge, Limits, Pool};

type Error = Box<dyn std::error::Error>;
/// Writes a file.
type Make<'m> = &'m dyn Fn(&mut dyn Write) -> std::io::Result<()>;

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("worker") {
        return khien_scan::worker::main();
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Error> {
    let megabytes: u64 = env::args().nth(1).map_or(Ok(1_024), |n| n.parse())?;
    let folder = env::args().nth(2).map_or_else(env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Runtime::new()?;
    let limits = Limits { workers: 1, ..Limits::default() };
    let pool = Pool::with_program("/proc/self/exe".into(), limits, Arc::new(Silent));
    let pool = Arc::new(pool);
    let base = khien_rules::base_pack(Timestamp::UNIX_EPOCH);
    runtime.block_on(pool.load(Arc::new(base))).map_err(|reason| reason.to_string())?;
    let shell = [&b"<?php @ev"[..], b"al($_PO", b"ST['x']); ?>\n"].concat();
    let makers: [(&str, Make<'_>); 3] = [
        ("access log", &|out| log(out, megabytes << 20)),
        ("one byte", &|out| same(out, megabytes << 20)),
        ("log, shell at its end", &|out| log(out, megabytes << 20).and_then(|()| out.write_all(&shell))),
    ];
    for (name, make) in makers {
        let mut file = tempfile::tempfile_in(&folder)?;
        let mut out = BufWriter::new(&mut file);
        make(&mut out)?;
        out.flush()?;
        drop(out);
        say(name, &runtime, &pool, file)?;
    }
    Ok(())
}

fn say(name: &str, runtime: &tokio::runtime::Runtime, pool: &Arc<Pool>, file: File) -> Result<(), Error> {
    let size = file.metadata()?.len();
    let (peak, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watch = std::thread::spawn({
        let (pool, peak, done) = (Arc::clone(pool), Arc::clone(&peak), Arc::clone(&done));
        move || {
            while !done.load(Relaxed) {
                let most = pool.pids().into_iter().filter_map(peak_of).max().unwrap_or(0);
                peak.fetch_max(most, Relaxed);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
    });
    let begun = Instant::now();
    let scan = runtime.block_on(pool.scan_file(file, &Untrusted::default()));
    let took = begun.elapsed().as_secs_f64();
    done.store(true, Relaxed);
    let _ = watch.join();
    let rules: Vec<_> = scan.scanned.hits.iter().map(|hit| hit.rule.as_str()).collect();
    writeln!(
        std::io::stdout(),
        "{name}: {} MB, {took:.1} s, {:.0} MB/s, worker {} MB at most, {} {rules:?} {:?}",
        size >> 20,
        size as f64 / took / f64::from(1 << 20),
        peak.load(Relaxed) >> 10,
        scan.scanned.outcome.as_str(),
        scan.unseen,
    )?;
    Ok(())
}

/// Returns the most memory that a process ever held, in KiB.
fn peak_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn log(out: &mut dyn Write, size: u64) -> std::io::Result<()> {
    let (mut written, mut dice) = (0, 7_u64);
    while written < size {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b, c) = (dice >> 56, (dice >> 40) & 0xff, (dice >> 24) & 0xffff);
        let line = format!(
            "10.{}.{a}.{b} - - [23/Nov/2026:02:{:02}:{:02} +0700] \"GET /van-ban/{c}.html?trang={a} HTTP/1.1\" 200 {c} \
             \"https://example.gov.vn/tim-kiem?q={dice:x}\" \"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\"\n",
            a % 4,
            a % 60,
            b % 60
        );
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    Ok(())
}

fn same(out: &mut dyn Write, size: u64) -> std::io::Result<()> {
    let piece = vec![b'A'; 1 << 20];
    (0..size >> 20).try_for_each(|_| out.write_all(&piece))
}

struct Silent;

impl Gauge for Silent {
    fn cover(&self, _: Coverage) {}

    fn scanned(&self, _: ScanOutcome) {}

    fn loaded(&self, _: u64) {}
}
