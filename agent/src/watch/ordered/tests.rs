//! Real trees; who scans is played.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
    sync::mpsc::Receiver as Heard,
};

use khien_core::{
    event::ScanOutcome,
    order::{MemoryTarget, Missed, ScanTarget},
    time::{SignedDuration, after},
};
use tokio::runtime::Runtime;

use super::{super::walker::scope, files::named, *};
use crate::scan::{
    clean::{Content, Stamp},
    files::{Ended as Look, Link, Looked},
};

/// The thread at work, and the other end of all its ways.
struct Tested {
    ask: mpsc::Sender<Wanted>,
    stop: watch::Sender<bool>,
    clean: Arc<Clean>,
    meter: Arc<Meter>,
    thread: JoinHandle<()>,
    /// The paths that were to be scanned.
    asked: Heard<PathBuf>,
    scanning: Scanning,
    runtime: Runtime,
}

impl Tested {
    /// Starts it; `look` says how the scan of a file of this name ends, none that it never does.
    fn start(home: &Path, look: impl Fn(&str) -> Option<Looked> + Send + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (calm, mut taken) = mpsc::channel::<Calm>(1);
        let (tell, asked) = std::sync::mpsc::channel();
        let (stop, shutdown) = watch::channel(false);
        let mut stopped = shutdown.clone();
        runtime.spawn(async move {
            let mut held = Vec::new();
            loop {
                let calm = tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => return,
                    calm = taken.recv() => calm,
                };
                let Some(Calm { event, link, done }) = calm else { return };
                assert_eq!(link, Link::Elsewhere, "what was listed is no link");
                let path = named(&event.path);
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                tell.send(path).unwrap();
                match look(&name) {
                    Some(looked) => drop(done.send(Look { looked, took: Duration::ZERO, content: None })),
                    None => held.push(done),
                }
            }
        });
        let (clean, meter) = (Arc::new(Clean::new(Duration::ZERO, 100, 0)), Arc::<Meter>::default());
        let scanning = Scanning {
            calm,
            memory: None,
            clean: Arc::clone(&clean),
            meter: Arc::clone(&meter),
            pack: Arc::new(AtomicU64::new(3)),
            largest: 10,
            home: home.to_owned(),
            excluded: vec![home.to_owned(), home.with_file_name("closed")],
            policy: watch::channel(None).1,
            runtime: runtime.handle().clone(),
            shutdown,
        };
        let (ask, orders) = mpsc::channel(WAITING);
        let thread = scanning.clone().start(orders).unwrap();
        Self { ask, stop, clean, meter, thread, asked, scanning, runtime }
    }

    fn order(
        &self,
        path: &Path,
        most: u64,
        (again, seconds): (bool, i64),
    ) -> (oneshot::Receiver<Ended>, watch::Sender<bool>) {
        let scope = ScanScope::Files(ScanTarget::new(scope(path), most, again).unwrap());
        let (wanted, ended, stop) = wanted(scope, seconds);
        self.ask.blocking_send(wanted).unwrap();
        (ended, stop)
    }

    fn scan(&self, path: &Path, most: u64, again: bool) -> Ended {
        let (ended, _stop) = self.order(path, most, (again, 60));
        self.runtime.block_on(ended).unwrap()
    }
}

fn wanted(scope: ScanScope, seconds: i64) -> (Wanted, oneshot::Receiver<Ended>, watch::Sender<bool>) {
    let ((answer, ended), (stop, stopped)) = (oneshot::channel(), watch::channel(false));
    let issued = Timestamp::now();
    let expires = after(issued, SignedDuration::from_secs(seconds));
    let (order, claimed) = (OrderId([1; 16]), Arc::default());
    (Wanted { order, scope, issued, expires, stop: stopped, claimed, answer }, ended, stop)
}

fn tree() -> (tempfile::TempDir, PathBuf) {
    let tree = tempfile::tempdir().unwrap();
    let path = tree.path().canonicalize().unwrap();
    (tree, path)
}

/// A link of the kernel that leads to a file that has no name, and reads as the name of another one.
fn link_that_lies(dir: &Path) -> (fs::File, PathBuf) {
    fs::write(dir.join("gone"), "x").unwrap();
    let open = fs::File::open(dir.join("gone")).unwrap();
    fs::remove_file(dir.join("gone")).unwrap();
    fs::write(dir.join("gone (deleted)"), "y").unwrap();
    let link = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&open));
    (open, link.into())
}

fn by_name(name: &str) -> Option<Looked> {
    Some(match name {
        "bad" => Looked::Scanned(ScanOutcome::Matched),
        "slow" => Looked::Scanned(ScanOutcome::Timeout),
        "gone" => Looked::Gone,
        "stuck" => return None,
        _ => Looked::Scanned(ScanOutcome::Clean),
    })
}

#[test]
fn every_file_is_in_exactly_one_count_and_what_is_known_is_scanned_only_when_asked() {
    let ((_tree, dir), (_home, home)) = (tree(), tree());
    fs::create_dir(dir.join("sub")).unwrap();
    for name in ["bad", "slow", "sub/gone", "sub/known", "sub/plain"] {
        fs::write(dir.join(name), "x").unwrap();
    }
    fs::write(dir.join("huge"), "more than ten bytes").unwrap();
    symlink("/etc", dir.join("link")).unwrap();
    let tested = Tested::start(&home, by_name);
    for name in ["sub/known", "huge"] {
        let stamp = Stamp::from(&fs::metadata(dir.join(name)).unwrap());
        tested.clean.keep(&stamp, 3, Content::UNREAD, std::time::SystemTime::now() + Duration::from_secs(9));
        assert!(tested.clean.knows(&stamp, 3));
    }

    let (end, totals) = tested.scan(&dir, 100, false).unwrap();

    let outcomes = [(ScanOutcome::Matched, 1), (ScanOutcome::Timeout, 1), (ScanOutcome::Clean, 2)];
    assert_eq!((end, &totals.outcomes), (ScanEnd::Whole, &outcomes.into()));
    assert_eq!((totals.known, totals.gone, totals.links, totals.looked()), (1, 1, 1, 6));
    let (_, again) = tested.scan(&dir, 100, true).unwrap();
    assert_eq!((again.known, again.outcomes[&ScanOutcome::Clean], again.looked()), (0, 3, 6));
    let (_, one) = tested.scan(&dir.join("bad"), 1, false).unwrap();
    assert_eq!(one.outcomes, [(ScanOutcome::Matched, 1)].into());
    let slow = Missed::file(&scope(&dir.join("slow")), ScanOutcome::Timeout);
    assert!(!totals.is_whole() && totals.missed == [slow], "{:?}", totals.missed);
    assert!(one.is_whole());
    assert_eq!(tested.meter.health(0).ordered, None, "nothing goes on");
}

#[test]
fn no_more_files_are_looked_at_than_the_order_says_and_that_is_told() {
    let ((_tree, dir), (_home, home)) = (tree(), tree());
    (0..5).for_each(|n| fs::write(dir.join(n.to_string()), "x").unwrap());
    let tested = Tested::start(&home, by_name);

    let (end, totals) = tested.scan(&dir, 3, false).unwrap();

    assert_eq!((end, totals.looked()), (ScanEnd::Bound, 3));
    assert_eq!(tested.scan(&dir, 5, false).unwrap().0, ScanEnd::Whole);
}

#[test]
fn when_the_mandate_expires_it_ends_with_what_it_has_whatever_hangs() {
    let ((_tree, dir), (_home, home)) = (tree(), tree());
    fs::write(dir.join("stuck"), "x").unwrap();
    let tested = Tested::start(&home, by_name);

    let (ended, _stop) = tested.order(&dir, 9, (false, 3));
    tested.asked.recv().unwrap();
    let progress = tested.meter.health(0).ordered.expect("it goes on");
    let (end, totals) = tested.runtime.block_on(ended).unwrap().unwrap();

    assert_eq!((end, totals.looked()), (ScanEnd::Expired, 0));
    assert_eq!((progress.order, progress.path), (OrderId([1; 16]), scope(&dir)));
    let late = tested.runtime.block_on(tested.order(&dir, 9, (false, -1)).0).unwrap();
    assert_eq!(late, Err(Reason::ExpiredBefore));
}

#[test]
fn a_clock_that_is_behind_makes_no_scan_longer_than_its_mandate_lives() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let (wanted, _ended, _stop) = wanted(ScanScope::Memory(MemoryTarget::all()), 0);
    let wanted = Wanted { issued: at(1_000), expires: at(1_600), ..wanted };

    assert_eq!(left(&wanted, at(1_100)), Some(Duration::from_secs(500)));
    assert_eq!(left(&wanted, at(900)), Some(Duration::from_secs(600)));
    assert_eq!(left(&wanted, at(1_600)), None);
}

#[test]
fn what_is_not_to_be_read_is_refused_or_passed_by() {
    let (_tree, dir) = tree();
    let home = dir.join("agent");
    fs::create_dir(&home).unwrap();
    for file in [home.join("spool"), dir.join("plain")] {
        fs::write(file, "x").unwrap();
    }
    let _socket = UnixListener::bind(dir.join("socket")).unwrap();
    let tested = Tested::start(&home, by_name);
    let refused = |path: &Path| tested.scan(path, 9, false).unwrap_err();

    assert_eq!(refused(&home), Reason::OwnFolder);
    assert_eq!(refused(&home.join("spool")), Reason::OwnFolder);
    assert_eq!(refused(&dir.join("none")), Reason::FileNotThere);
    assert_eq!(refused(&dir.join("socket")), Reason::NotRegularFile);
    assert_eq!(refused(Path::new("/proc/self")), Reason::NoStoredFiles);
    // It says `/`, and may lead to that of a container.
    let (_open, link) = link_that_lies(&dir);
    assert_eq!(refused(&link), Reason::NoStoredFiles);
    fs::remove_file(dir.join("gone (deleted)")).unwrap();
    fs::create_dir(dir.join("closed")).unwrap();
    fs::write(dir.join("closed/file"), "x").unwrap();
    assert_eq!(refused(&dir.join("closed")), Reason::FolderExcluded);
    let (end, totals) = tested.scan(&dir, 9, false).unwrap();
    assert_eq!((end, totals.looked(), totals.unread), (ScanEnd::Whole, 1, 1));
    let closed = Missed::file(&scope(&dir.join("closed")), ScanOutcome::SkippedByPolicy);
    assert!(!totals.is_whole() && totals.missed == [closed], "{:?}", totals.missed);
    assert_eq!(tested.asked.try_iter().collect::<Vec<_>>(), [dir.join("plain")]);
}

#[test]
fn when_the_agent_stops_nothing_is_answered() {
    let ((_tree, dir), (_home, home)) = (tree(), tree());
    fs::write(dir.join("stuck"), "x").unwrap();
    let tested = Tested::start(&home, by_name);
    let (ended, _stop) = tested.order(&dir, 9, (false, 60));
    tested.asked.recv().unwrap();

    tested.stop.send_replace(true);

    assert!(tested.runtime.block_on(ended).is_err());
    tested.thread.join().unwrap();
}

#[test]
fn a_scan_that_is_stopped_ends_at_its_next_file_with_what_it_counted() {
    let ((_tree, dir), (_home, home)) = (tree(), tree());
    fs::write(dir.join("plain"), "x").unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/stuck"), "x").unwrap();
    let tested = Tested::start(&home, by_name);

    let (ended, stop) = tested.order(&dir, 9, (false, 600));
    // The folder below is walked after the files beside it.
    let asked: Vec<_> = tested.asked.iter().take(2).collect();
    stop.send_replace(true);
    let (end, totals) = tested.runtime.block_on(ended).unwrap().unwrap();

    assert_eq!(asked, [dir.join("plain"), dir.join("sub/stuck")]);
    assert_eq!((end, totals.looked()), (ScanEnd::Cancelled, 1));
    assert_eq!(tested.meter.health(0).ordered, None, "nothing goes on");
}

#[test]
fn a_scan_that_was_claimed_before_its_turn_does_not_begin() {
    let ((_tree, dir), (_home, home)) = (tree(), tree());
    fs::write(dir.join("plain"), "x").unwrap();
    let tested = Tested::start(&home, by_name);
    let target = ScanTarget::new(scope(&dir), 9, false).unwrap();
    let (wanted, ended, _stop) = wanted(ScanScope::Files(target), 60);

    assert!(Wanted::claim(&wanted.claimed) && !Wanted::claim(&wanted.claimed));
    tested.ask.blocking_send(wanted).unwrap();

    assert!(tested.runtime.block_on(ended).is_err(), "whoever claimed it answers");
    assert!(tested.asked.try_recv().is_err());
}

#[test]
fn a_tree_of_folders_and_sockets_alone_ends_in_time_too() {
    let ((_tree, dir), (_home, home)) = (tree(), tree());
    for n in 0..50 {
        fs::create_dir(dir.join(n.to_string())).unwrap();
    }
    let _socket = UnixListener::bind(dir.join("0/socket")).unwrap();
    let tested = Tested::start(&home, by_name);
    let scanned = |seconds: i64, is_stopped: bool| {
        let target = ScanTarget::new(scope(&dir), 9, false).unwrap();
        let (order, _ended, stop) = wanted(ScanScope::Files(target.clone()), 60);
        stop.send_replace(is_stopped);
        let left = Duration::from_secs(seconds.unsigned_abs());
        let mut scan = OneScan::begin(&tested.scanning, &order, (Timestamp::now(), left));
        scan.files(&target).unwrap();
        scan.ended().0
    };

    assert_eq!(scanned(60, false), ScanEnd::Whole);
    assert_eq!(scanned(0, false), ScanEnd::Expired);
    assert_eq!(scanned(60, true), ScanEnd::Cancelled);
}

#[test]
fn where_the_sysadmin_wants_no_look_into_memory_there_is_none() {
    let (_home, home) = tree();
    let tested = Tested::start(&home, by_name);
    let (wanted, ended, _stop) = wanted(ScanScope::Memory(MemoryTarget::all()), 60);

    tested.ask.blocking_send(wanted).unwrap();

    assert_eq!(tested.runtime.block_on(ended).unwrap(), Err(Reason::MemoryOff));
}
