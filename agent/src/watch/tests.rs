//! Both back ends on real folders. Other processes make the changes: the agent's own are passed over.

mod activity;
pub(super) mod alone;
mod cost;
mod survey;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use khien_core::{
    asset::{Coverage, Sight},
    event::Process,
};
use tokio::{runtime::Runtime, time::timeout};

use super::*;
use crate::{
    activity::{Activity, Change, Heard, Notice, Observed},
    scan::clean::Stamp,
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_file_that_is_written_is_seen() {
    for mut watched in Watched::each() {
        watched.sh("printf x > in/new");

        watched.sees("in/new");
    }
}

#[test]
fn a_file_that_is_appended_to_is_seen() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("in/log"), "old").unwrap()) {
        watched.sh("printf x >> in/log");

        watched.sees("in/log");
    }
}

#[test]
fn a_file_that_is_renamed_in_is_seen() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("out/kit"), "x").unwrap()) {
        watched.sh("mv out/kit in/kit");

        watched.sees("in/kit");
    }
}

#[test]
fn a_file_that_is_hard_linked_in_is_seen() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("out/kit"), "x").unwrap()) {
        watched.sh("ln out/kit in/kit");

        watched.sees("in/kit");
    }
}

#[test]
fn a_file_in_a_folder_made_a_moment_before_is_seen() {
    for mut watched in Watched::each() {
        watched.sh("for n in 1 2 3 4 5; do mkdir -p in/$n/y/z && printf x > in/$n/y/z/deep; done");

        (1..=5).for_each(|n| watched.sees(&format!("in/{n}/y/z/deep")));
    }
}

#[test]
fn a_tree_that_is_renamed_in_is_seen_to_its_leaves() {
    let tree = |at: &Path| {
        fs::create_dir_all(at.join("out/kit/a/b")).unwrap();
        fs::write(at.join("out/kit/a/b/leaf"), "x").unwrap();
    };
    for mut watched in Watched::each_with(tree) {
        watched.sh("mv out/kit in/kit");
        watched.sees("in/kit/a/b/leaf");

        watched.sh("printf x > in/kit/a/b/later");
        watched.sees("in/kit/a/b/later");
    }
}

#[test]
fn a_writer_that_keeps_its_file_open_is_seen_while_it_is_open() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("in/page"), "old").unwrap()) {
        let _writer = watched.stay("exec 3>> in/page; printf x >&3");

        watched.sees("in/page");
    }
}

#[test]
fn a_file_that_is_written_to_without_end_is_seen_again_and_again() {
    for mut watched in Watched::each() {
        let _writer = watched.stay("exec 3> in/log; for n in $(seq 300); do printf x >&3; sleep 0.1; done");

        (0..3).for_each(|_| watched.sees("in/log"));
    }
}

#[test]
fn a_link_to_a_file_outside_is_seen_and_one_to_a_folder_is_said() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("out/file"), "x").unwrap()) {
        watched.sh(
            "ln -s ../out/file in/link; ln -s ../out in/away; ln -s round in/round; ln -s nowhere in/hole",
        );
        watched.sh("ln -s /dev/null in/device; ln -s home in/own; printf x > in/last; ln -s last in/inner");

        let seen = watched.sees_until("in/last");

        assert_eq!(seen, BTreeSet::from(["in/link", "in/last"].map(String::from)));
        let out = watched.at().canonicalize().unwrap().join("out");
        let gap = watched.gap("in/away");
        let Some(Reason::LinkLeadsOut { folder, others: 0 }) = gap.reason else { panic!("{gap:?}") };
        assert_eq!(folder, walker::scope(&out));
        watched.sh("rm in/away");
        watched.no_gap("in/away");
    }
}

#[test]
fn a_write_under_a_name_outside_is_seen_under_the_name_inside_with_fanotify() {
    let Some(mut watched) = Watched::with_fanotify(|at| fs::write(at.join("out/kit"), "x").unwrap()) else {
        return;
    };
    watched.sh("ln out/kit in/kit");
    watched.sees("in/kit");

    watched.sh("printf y >> out/kit; printf x > in/last");

    assert!(watched.sees_until("in/last").contains("in/kit"));
}

#[test]
fn the_agents_own_home_is_passed_over() {
    for mut watched in Watched::each() {
        watched.sh(
            "printf x > in/home/spool; mkdir in/home/deep; printf x > in/home/deep/f; printf x > in/last",
        );

        assert_eq!(watched.sees_until("in/last"), BTreeSet::from(["in/last".to_owned()]));
    }
}

#[test]
fn a_folder_that_is_missing_is_waited_for_and_said_to_be_blind() {
    for mut watched in Watched::each_with(|at| fs::remove_dir_all(at.join("in")).unwrap()) {
        assert_eq!(watched.coverage().sight, Sight::Blind);

        watched.sh("mkdir in; printf x > in/late");

        watched.sees("in/late");
        assert_ne!(watched.coverage().sight, Sight::Blind);
    }
}

#[test]
fn what_changed_while_the_agent_was_down_is_seen_and_what_is_older_is_not() {
    for backend in backends() {
        let mut watched = Watched::start(backend, None, |at| fs::write(at.join("in/old"), "x").unwrap());
        watched.sh("printf x > in/first");
        watched.sees("in/first");
        let at = watched.stop();
        let since = Timestamp::now() + SLACK_OF_THE_WALK;
        fs::write(at.path().join("in/before"), "x").unwrap();
        wait_until_after(since);
        fs::write(at.path().join("in/meanwhile"), "x").unwrap();

        let mut watched = Watched::again(backend, at, Some(since));

        assert_eq!(watched.sees_until("in/meanwhile"), BTreeSet::from(["in/meanwhile".to_owned()]));
    }
}

#[test]
fn the_writing_process_is_known_with_fanotify() {
    let Some(mut watched) = Watched::with_fanotify(|_| {}) else { return };

    let (_writer, process) = watched.write_and_stay();

    let process = process.expect("fanotify tells the process");
    assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
    assert_eq!(process.parent, Some(std::process::id()));
    assert!(process.command.unwrap().to_string().starts_with("sh -c"), "the command line is known");
    assert!(process.exe.is_some());
    assert_eq!(watched.coverage().sight, Sight::Full);
}

#[test]
fn without_fanotify_the_coverage_says_what_is_lacking() {
    let watched = Watched::start(Backend::Notify, None, |_| {});

    let coverage = watched.coverage();

    assert_eq!((coverage.backend.as_str(), coverage.sight), ("notify", Sight::Reduced));
    assert!(matches!(coverage.reason, Some(Reason::WriterUnknown { .. })), "{coverage:?}");
}

#[test]
fn a_file_system_below_a_watched_folder_is_seen_and_can_be_unmounted() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: a_file_system_below_a_watched_folder: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        for mut watched in Watched::each_with(|at| fs::create_dir(at.join("in/disk")).unwrap()) {
            watched.sh("mount -t tmpfs none in/disk; printf x > in/disk/early");
            watched.sees("in/disk/early");
            watched.sh("printf x > in/disk/late");
            watched.sees("in/disk/late");

            watched.sh("umount in/disk");

            assert!(!watched.at().join("in/disk/late").exists());
        }
    });
}

#[test]
fn lost_events_are_a_time_of_blindness_and_every_file_is_found_all_the_same() {
    const FILES: usize = 20_000;
    for mut watched in Watched::each() {
        watched.sh(&format!(
            "i=0; while [ $i -lt {FILES} ]; do : > in/$i; i=$((i+1)); done; printf x > in/last"
        ));

        let seen = watched.sees_until_blindness_ends();

        assert!(seen.contains("in/last"));
        let missing = (0..FILES).filter(|n| !seen.contains(&format!("in/{n}"))).count();
        assert_eq!(missing, 0, "of {FILES} files");
    }
}

/// Later than the walk goes back.
const SLACK_OF_THE_WALK: khien_core::time::SignedDuration =
    khien_core::time::SignedDuration::from_millis(2_500);

/// A watch on `in`, with `out` beside it and the agent's home in `in/home`.
pub(super) struct Watched {
    tree: Option<tempfile::TempDir>,
    events: mpsc::Receiver<FileEvent>,
    reports: mpsc::Receiver<Report>,
    calm: mpsc::Receiver<Calm>,
    heard: Heard,
    observed: Arc<Observed>,
    clean: Arc<Clean>,
    pack: Arc<AtomicU64>,
    meter: Arc<Meter>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    runtime: Runtime,
}

impl Watched {
    fn each() -> impl Iterator<Item = Self> {
        Self::each_with(|_| {})
    }

    fn each_with(prepare: impl Fn(&Path)) -> impl Iterator<Item = Self> {
        backends().into_iter().map(move |backend| Self::start(backend, None, &prepare))
    }

    /// None, and a line that says so, where fanotify is not allowed.
    fn with_fanotify(prepare: impl Fn(&Path)) -> Option<Self> {
        if backends().contains(&Backend::Best) {
            return Some(Self::start(Backend::Best, None, prepare));
        }
        let test = thread::current();
        println!("cannot run here: {}: fanotify is not allowed", test.name().unwrap_or("test"));
        None
    }

    pub(super) fn start(backend: Backend, since: Option<Timestamp>, prepare: impl Fn(&Path)) -> Self {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("in/home")).unwrap();
        fs::create_dir(tree.path().join("out")).unwrap();
        prepare(tree.path());
        Self::again(backend, tree, since)
    }

    fn again(backend: Backend, tree: tempfile::TempDir, since: Option<Timestamp>) -> Self {
        let at = tree.path().canonicalize().unwrap();
        let every = Duration::from_millis(1);
        let config = WatchConfig {
            dirs: vec![at.join("in")],
            exclude: vec![at.join("in/home")],
            since,
            backend,
            every,
        };
        let (events_in, events) = mpsc::channel(64);
        let (reports_in, reports) = mpsc::channel(64);
        let (calm_in, calm) = mpsc::channel(1);
        let (stop, shutdown) = watch::channel(false);
        let (meter, pack) = (Arc::new(Meter::default()), Arc::default());
        let clean = Arc::new(Clean::new(Duration::ZERO, 1_000));
        let mut activities = Activities::default();
        let heard = activities.listen();
        let observed = activities.observed();
        let links = Links {
            events: events_in,
            calm: calm_in,
            activities,
            reports: reports_in,
            meter: Arc::clone(&meter),
            clean: Arc::clone(&clean),
            pack: Arc::clone(&pack),
            shutdown,
        };
        let thread = start(config, links).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (tree, thread) = (Some(tree), Some(thread));
        Self { tree, events, reports, calm, heard, observed, clean, pack, meter, stop, thread, runtime }
    }

    /// Stops and returns the tree.
    fn stop(mut self) -> tempfile::TempDir {
        self.tree.take().unwrap()
    }

    pub(super) fn at(&self) -> &Path {
        self.tree.as_ref().unwrap().path()
    }

    pub(super) fn sh(&self, script: &str) {
        let done = Command::new("sh").args(["-e", "-c", script]).current_dir(self.at()).status().unwrap();
        assert!(done.success(), "{script}");
    }

    /// Has a shell do something and then wait.
    fn stay(&self, script: &str) -> Waiting {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script}; read wait")]).current_dir(self.at()).stdin(Stdio::piped());
        Waiting(command.spawn().unwrap())
    }

    fn next(&mut self) -> FileEvent {
        let next = async { timeout(SOON, self.events.recv()).await };
        self.runtime.block_on(next).expect("an event comes soon").expect("the watch goes on")
    }

    fn name(&self, event: &FileEvent) -> String {
        let at = self.at().canonicalize().unwrap();
        let path = event.path.to_string();
        path.strip_prefix(at.to_str().unwrap()).unwrap_or(&path).trim_start_matches('/').to_owned()
    }

    /// Waits until a file is told of.
    fn sees(&mut self, name: &str) {
        self.sees_until(name);
    }

    /// Returns all that is told of up to a file.
    fn sees_until(&mut self, last: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        while !seen.contains(last) {
            let event = self.next();
            seen.insert(self.name(&event));
        }
        seen
    }

    /// Takes events until the report comes that everything was looked at again.
    fn sees_until_blindness_ends(&mut self) -> BTreeSet<String> {
        let (mut seen, at) = (BTreeSet::new(), self.at().canonicalize().unwrap());
        let (events, reports) = (&mut self.events, &mut self.reports);
        let mut take = |event: FileEvent| {
            let path = event.path.to_string();
            seen.insert(path[at.to_str().unwrap().len()..].trim_start_matches('/').to_owned());
        };
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    Some(event) = events.recv() => take(event),
                    report = timeout(SOON * 3, reports.recv()) => match report.expect("a report comes") {
                        Some(Report::Blind { from, until, .. }) => {
                            assert!(from < until);
                            break;
                        }
                        other => panic!("{other:?}"),
                    },
                }
            }
            while let Ok(event) = events.try_recv() {
                take(event);
            }
        });
        seen
    }

    /// Has a shell write a file and wait, and returns it with what was told of it.
    fn write_and_stay(&mut self) -> (Waiting, Option<Process>) {
        let writer = self.stay("printf x > in/file");
        loop {
            let event = self.next();
            if self.name(&event) == "in/file" {
                return (writer, event.process);
            }
        }
    }

    /// Returns what is told to those who listen, up to a file.
    pub(super) fn hears_until(&mut self, last: &str) -> Vec<Activity> {
        let (mut told, last) = (Vec::new(), walker::scope(&self.at().canonicalize().unwrap().join(last)));
        while told.last().is_none_or(|a: &Activity| a.path != last) {
            match self.notice() {
                Notice::Happened(activity) => told.push(activity),
                Notice::Blind(since) => println!("blind since {since}"),
            }
        }
        told
    }

    /// Returns what is told next, if that is soon.
    pub(super) fn hears_soon(&mut self) -> Option<Activity> {
        match self.notice_within(Duration::from_secs(2))? {
            Notice::Happened(activity) => Some(activity),
            Notice::Blind(_) => None,
        }
    }

    /// Waits for what is told next, and takes what is to be scanned meanwhile.
    fn notice(&mut self) -> Notice {
        self.notice_within(SOON).expect("something is told soon")
    }

    fn notice_within(&mut self, most: Duration) -> Option<Notice> {
        let (heard, events) = (&mut self.heard, &mut self.events);
        let next = async {
            loop {
                tokio::select! {
                    notice = heard.next() => return notice.expect("the watch goes on"),
                    Some(_) = events.recv() => {}
                }
            }
        };
        self.runtime.block_on(async { timeout(most, next).await }).ok()
    }

    fn coverage(&self) -> Coverage {
        self.meter.health(0).coverage.into_iter().next().expect("a coverage is stated")
    }

    /// Waits until it is said that a place is not looked at.
    fn gap(&self, name: &str) -> Coverage {
        self.until(&format!("{name} is said to be a gap"), || self.gap_now(name))
    }

    /// Waits until that is not said any more.
    fn no_gap(&self, name: &str) {
        self.until(&format!("{name} is no gap"), || self.gap_now(name).is_none().then_some(()));
    }

    fn gap_now(&self, name: &str) -> Option<Coverage> {
        let place = walker::scope(&self.at().canonicalize().unwrap().join(name));
        self.meter.health(0).coverage.into_iter().find(|c| c.scope == place)
    }

    fn until<T>(&self, what: &str, holds: impl Fn() -> Option<T>) -> T {
        let until = Instant::now() + SOON;
        loop {
            if let Some(it) = holds() {
                return it;
            }
            assert!(Instant::now() < until, "waited in vain until {what}");
            thread::yield_now();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.events.close();
        self.reports.close();
        self.calm.close();
        // A file that nobody scans any more holds the walk.
        while self.calm.try_recv().is_ok() {}
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A shell that waits for a line.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.stdin.take().map(|mut input| input.write_all(b"\n"));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both back ends, or the one that works here.
pub(super) fn backends() -> Vec<Backend> {
    match Fanotify::new() {
        Ok(_) => vec![Backend::Best, Backend::Notify],
        Err(e) => {
            println!("fanotify is not tested here: {e}");
            vec![Backend::Notify]
        }
    }
}

fn wait_until_after(at: Timestamp) {
    while Timestamp::now() <= at {
        std::thread::yield_now();
    }
}
