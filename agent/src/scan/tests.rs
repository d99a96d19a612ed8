//! What is told of scanned files, with a real worker in its real sandbox.

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    bundle::Pack,
    detection::Subject,
    event::{FileEvent, ScanOutcome},
    protocol::Report,
};
use khien_rules::sample::{MARK, greedy, greedy_pack, marked_pack};
use khien_scan::{Limits, Pool};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
};

use super::files;
use crate::health::Meter;

#[test]
fn a_changed_file_is_reported_once_with_its_owner_and_again_only_when_it_changed() {
    let (pool, dir) = (Tested::new(), tempfile::tempdir().unwrap());
    let path = dir.path().canonicalize().unwrap().join("shell.php");
    std::fs::write(&path, MARK).unwrap();

    let first = pool.reports(&[&path, &path]);
    std::fs::write(&path, [MARK, b"!"].concat()).unwrap();
    let [Report::Detection(found)] = first.as_slice() else { panic!("{first:?}") };
    let Subject::File(file) = &found.subject else { panic!("{found:?}") };

    assert_eq!(found.rule.as_str(), "test.mark");
    assert_eq!(file.sha256, Sha256::of(MARK));
    assert_eq!(file.file.size, MARK.len() as u64);
    assert_eq!(file.file.uid, rustix::process::getuid().as_raw());
    assert_eq!(pool.reports(&[&path]).len(), 1);
}

#[test]
fn a_pipe_and_a_file_that_is_too_large_are_reported_as_not_scanned() {
    let (pool, dir) = (Tested::with(Limits { size: 10, ..limits() }), tempfile::tempdir().unwrap());
    let dir = dir.path().canonicalize().unwrap();
    std::fs::write(dir.join("large"), [b'x'; 11]).unwrap();
    let made = Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap();
    assert!(made.success());

    let reports = pool.reports(&[&dir.join("large"), &dir.join("pipe"), &dir.join("gone")]);

    let outcomes: BTreeMap<_, _> = reports
        .iter()
        .map(|r| match r {
            Report::NotScanned { path, outcome, .. } => (path.to_string(), *outcome),
            other => panic!("{other:?}"),
        })
        .collect();
    let named = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let wanted = [(named("large"), ScanOutcome::TooLarge), (named("pipe"), ScanOutcome::Unreadable)];
    assert_eq!(outcomes, wanted.into());
    assert_eq!(pool.meter.health(0).scans.get(&ScanOutcome::TooLarge), Some(&1));
}

#[test]
fn a_file_that_kills_two_workers_is_told_as_such_and_set_aside() {
    let (pool, dir) = (Tested::loaded(limits(), greedy_pack(1)), tempfile::tempdir().unwrap());
    let dir = dir.path().canonicalize().unwrap();
    let [bomb, link, other] = ["bomb", "link", "other"].map(|name| dir.join(name));
    std::fs::write(&bomb, greedy()).unwrap();
    std::fs::hard_link(&bomb, &link).unwrap();
    std::fs::write(&other, MARK).unwrap();

    let reports = pool.reports_after_the_first(&bomb, &[&link, &other]);

    let [Report::NotScanned { path, outcome, .. }, Report::Detection(_)] = &reports[..] else {
        panic!("{reports:?}")
    };
    assert_eq!((path.raw(), *outcome), (bomb.as_os_str().as_bytes(), ScanOutcome::Crashed));
    // Under its other name it was not scanned again, or more workers would have died of it.
    assert_eq!(pool.meter.health(0).scans.get(&ScanOutcome::Crashed), Some(&2));
}

/// A pool with one real worker.
struct Tested {
    pool: Arc<Pool>,
    meter: Arc<Meter>,
    runtime: Runtime,
}

impl Tested {
    fn new() -> Self {
        Self::with(limits())
    }

    fn with(limits: Limits) -> Self {
        Self::loaded(limits, marked_pack(1))
    }

    fn loaded(limits: Limits, pack: Pack) -> Self {
        let meter = Arc::new(Meter::default());
        let pool = Arc::new(Pool::with_program(program(), limits, Arc::clone(&meter) as _));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(pool.load(Arc::new(pack))).unwrap();
        Self { pool, meter, runtime }
    }

    /// Has the files scanned as if they had changed, and returns what is reported until all is done.
    fn reports(&self, paths: &[&Path]) -> Vec<Report> {
        self.reported(None, paths)
    }

    /// Does the same with others when there is a report of the first.
    fn reports_after_the_first(&self, first: &Path, paths: &[&Path]) -> Vec<Report> {
        self.reported(Some(first), paths)
    }

    fn reported(&self, first: Option<&Path>, paths: &[&Path]) -> Vec<Report> {
        let (events, taken) = mpsc::channel(16);
        let (_calm_in, calm) = mpsc::channel(1);
        let (reports, mut heard) = mpsc::channel(16);
        let (_stop, shutdown) = watch::channel(false);
        let (incoming, memory) = (files::Incoming { events: taken, calm }, Arc::default());
        let memory = (Arc::clone(&self.meter), memory);
        let pool = Arc::clone(&self.pool);
        self.runtime.block_on(async {
            let run =
                tokio::spawn(files::run(incoming, pool, reports, memory, (shutdown, watch::channel(true).1)));
            let mut all = Vec::new();
            if let Some(path) = first {
                events.send(changed(path)).await.unwrap();
                all.extend(heard.recv().await);
            }
            for path in paths {
                events.send(changed(path)).await.unwrap();
            }
            drop(events);
            while let Some(report) = heard.recv().await {
                all.push(report);
            }
            run.await.unwrap();
            all
        })
    }
}

fn changed(path: &Path) -> FileEvent {
    let path = Untrusted::new(path.as_os_str().as_bytes());
    FileEvent { path, at: Timestamp::now(), process: None }
}

pub(crate) fn limits() -> Limits {
    Limits { time: Duration::from_secs(10), size: 64 << 20, workers: 1 }
}

/// The agent's own program lies above the folder of the test programs.
pub(crate) fn program() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let program = here.parent().and_then(Path::parent).unwrap().join(env!("CARGO_PKG_NAME"));
    assert!(
        program.exists(),
        "{} is missing: run all tests of the crate, which builds it",
        program.display()
    );
    program
}
