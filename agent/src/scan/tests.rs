//! What is told of scanned files, with a real worker in its real sandbox.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    bundle::Pack,
    detection::Subject,
    event::{FileEvent, Process, ScanOutcome},
    protocol::Report,
};
use khien_rules::sample::{MARK, greedy, greedy_pack, marked_pack};
use khien_scan::{LARGE, Limits, Pool};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{files, large};
use crate::health::Meter;

mod hung;

const SOON: Duration = Duration::from_secs(20);

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
fn who_wrote_a_file_is_told_though_a_walk_came_upon_it_before() {
    let (pool, dir) = (Tested::new(), tempfile::tempdir().unwrap());
    let path = dir.path().canonicalize().unwrap().join("shell.php");
    std::fs::write(&path, MARK).unwrap();
    let mut scans = pool.begin();
    let event = |process| FileEvent { process, ..changed(&path) };
    let writer = || Some(Arc::new(Process::unknown(7)));

    let told = pool.runtime.block_on(async {
        scans.events.send(event(None)).await.unwrap();
        let mut told = vec![scans.heard.recv().await.unwrap()];
        for process in [writer(), writer(), None] {
            scans.events.send(event(process)).await.unwrap();
        }
        drop(scans.events);
        while let Some(report) = scans.heard.recv().await {
            told.push(report);
        }
        told
    });

    let by = |report: &Report| match report {
        Report::Detection(found) => match &found.subject {
            Subject::File(file) => file.process.as_ref().map(|process| process.pid),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(told.iter().map(by).collect::<Vec<_>>(), [None, Some(7)]);
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

#[test]
fn large_files_hold_up_no_small_one_and_those_that_find_no_room_are_told() {
    let (pool, dir) = (Tested::with(Limits { size: 1 << 30, ..limits() }), tempfile::tempdir().unwrap());
    let dir = dir.path().canonicalize().unwrap();
    let small = dir.join("small");
    std::fs::write(&small, MARK).unwrap();
    let mut scans = pool.begin();

    pool.runtime.block_on(async {
        scans.tell(&sparse(&dir.join("first"), 1 << 30)).await;
        // Stopped, the worker for large files keeps its file.
        let worker = pool.worker_for_large_files().await;
        kill_process(worker, Signal::STOP).unwrap();
        for n in 0..large::MOST + 2 {
            scans.tell(&sparse(&dir.join(n.to_string()), LARGE + 1)).await;
        }
        scans.tell(&small).await;

        let (mut left, mut found) = (Vec::new(), 0);
        while left.len() < 2 || found < 1 {
            match scans.next().await {
                Report::NotScanned { path, outcome: ScanOutcome::LimitExceeded, .. } => left.push(path),
                Report::Detection(_) => found += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pool.meter.health(0).scans.get(&ScanOutcome::LimitExceeded), Some(&2));
        scans.stop.send(true).unwrap();
        kill_process(worker, Signal::KILL).unwrap();
    });
}

#[test]
fn a_walk_that_names_a_large_file_waits_until_it_was_scanned() {
    let (pool, dir) = (Tested::with(Limits { size: 1 << 30, ..limits() }), tempfile::tempdir().unwrap());
    let path = sparse(&dir.path().canonicalize().unwrap().join("large"), LARGE + 100);
    File::options().write(true).open(&path).unwrap().write_all_at(MARK, LARGE).unwrap();
    let mut scans = pool.begin();

    let ended = pool.runtime.block_on(scans.look(&path));

    assert_eq!(ended.looked, files::Looked::Scanned(ScanOutcome::Matched));
    assert!(matches!(scans.heard.try_recv(), Ok(Report::Detection(_))));
}

#[test]
fn what_a_walk_has_read_is_told_by_a_sample_of_its_hash() {
    let (pool, dir) = (Tested::new(), tempfile::tempdir().unwrap());
    let path = dir.path().canonicalize().unwrap().join("page");
    let scans = pool.begin();
    let contents = [&b"a page"[..], &b"another"[..], MARK].map(|bytes| {
        std::fs::write(&path, bytes).unwrap();
        pool.runtime.block_on(scans.look(&path)).content
    });

    let expected = [&b"a page"[..], &b"another"[..], MARK].map(|bytes| Some(Sha256::of(bytes).into()));
    assert_eq!(contents, expected);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(pool.runtime.block_on(scans.look(&path)).content, None);
}

#[test]
fn a_link_that_takes_the_place_of_a_file_is_followed_only_for_who_may_have_named_a_link() {
    let (pool, dir) = (Tested::new(), tempfile::tempdir().unwrap());
    let dir = dir.path().canonicalize().unwrap();
    std::fs::write(dir.join("behind"), MARK).unwrap();
    std::os::unix::fs::symlink(dir.join("behind"), dir.join("listed")).unwrap();
    let mut scans = pool.begin();

    let look = |link| {
        let (calm, event) = (scans.calm.clone(), changed(&dir.join("listed")));
        pool.runtime.block_on(async move {
            let (done, is_done) = oneshot::channel();
            calm.send(files::Calm { event, link, done }).await.unwrap();
            timeout(SOON, is_done).await.expect("it is looked at").expect("how is told").looked
        })
    };

    assert_eq!(look(files::Link::Elsewhere), files::Looked::Gone);
    assert!(scans.heard.try_recv().is_err(), "what is behind it was not looked at");
    assert_eq!(look(files::Link::Behind), files::Looked::Scanned(ScanOutcome::Matched));
    assert!(matches!(scans.heard.try_recv(), Ok(Report::Detection(_))));
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
        let mut scans = self.begin();
        self.runtime.block_on(async {
            let mut all = Vec::new();
            if let Some(path) = first {
                scans.tell(path).await;
                all.extend(scans.heard.recv().await);
            }
            for path in paths {
                scans.tell(path).await;
            }
            drop(scans.events);
            while let Some(report) = scans.heard.recv().await {
                all.push(report);
            }
            scans.run.await.unwrap();
            all
        })
    }

    fn begin(&self) -> Scanning {
        let (events, taken) = mpsc::channel(16);
        let (calm, walked) = mpsc::channel(1);
        let (reports, heard) = mpsc::channel(16);
        let (stop, shutdown) = watch::channel(false);
        let incoming = files::Incoming { events: taken, calm: walked };
        let memory = (Arc::clone(&self.meter), Arc::default());
        let told = (shutdown, watch::channel(true).1);
        let run = self.runtime.spawn(files::run(incoming, Arc::clone(&self.pool), reports, memory, told));
        Scanning { events, calm, heard, stop, run }
    }

    async fn worker_for_large_files(&self) -> Pid {
        let there = async {
            loop {
                if let [_, pid] = self.pool.pids()[..] {
                    return Pid::from_raw(pid.cast_signed()).unwrap();
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, there).await.expect("the worker for large files starts")
    }
}

/// Scans that go on until told to stop, or until nothing changes any more.
struct Scanning {
    events: mpsc::Sender<FileEvent>,
    calm: mpsc::Sender<files::Calm>,
    heard: mpsc::Receiver<Report>,
    stop: watch::Sender<bool>,
    run: JoinHandle<()>,
}

impl Scanning {
    async fn tell(&self, path: &Path) {
        self.events.send(changed(path)).await.unwrap();
    }

    /// Has a file looked at as a walk does.
    async fn look(&self, path: &Path) -> files::Ended {
        let (done, is_done) = oneshot::channel();
        let (event, link) = (changed(path), files::Link::Behind);
        self.calm.send(files::Calm { event, link, done }).await.unwrap();
        timeout(SOON * 3, is_done).await.expect("it is looked at").expect("how is told")
    }

    async fn next(&mut self) -> Report {
        timeout(SOON, self.heard.recv()).await.expect("something is told soon").expect("scanning goes on")
    }
}

/// Makes a file of nothing.
fn sparse(path: &Path, size: u64) -> PathBuf {
    File::create(path).unwrap().set_len(size).unwrap();
    path.to_owned()
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
