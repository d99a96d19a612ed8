//! Where the matrix is tried: a watch with real workers, a folder inside and one outside for each row.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Lines, Write},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use khien_core::{detection::Subject, protocol::Report, reason::Reason};
use khien_rules::sample::marked_pack;
use khien_scan::Pool;
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
    time::timeout_at,
};

use super::{
    Act, Way,
    acts::{self, DONE},
    patience,
};
use crate::{
    health::Meter,
    scan::{
        clean::Clean,
        files::{self, Incoming},
        tests as scanning,
    },
    watch::{Backend, Links, WatchConfig, start},
};

pub(super) struct Place {
    tree: tempfile::TempDir,
    at: PathBuf,
    backend: Backend,
    is_root: bool,
    running: Option<Running>,
    found: BTreeSet<PathBuf>,
    staying: Vec<Staying>,
    /// Files written only to be waited for.
    lasts: usize,
    /// Why events were lost: what changed lately was walked then.
    pub(super) blind: Option<Reason>,
}

/// A process that stays until the end.
struct Staying {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    name: &'static str,
    in_steps: bool,
}

struct Running {
    reports: mpsc::Receiver<Report>,
    meter: Arc<Meter>,
    pack: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    watch: Option<JoinHandle<()>>,
    runtime: Runtime,
}

impl Place {
    pub(super) fn new(backend: Backend) -> Self {
        let tree = tempfile::tempdir().unwrap();
        let at = tree.path().canonicalize().unwrap();
        fs::create_dir(at.join("in")).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let (running, found, staying) = (None, BTreeSet::new(), Vec::new());
        Self { tree, at, backend, is_root, running, found, staying, lasts: 0, blind: None }
    }

    /// Tells whether a way can be tried here.
    pub(super) fn can(&self, way: &Way) -> bool {
        self.is_root || !matches!(way.act, Act::Mount(_))
    }

    pub(super) fn prepare(&self, row: usize, way: &Way) {
        fs::create_dir_all(self.inside(row)).unwrap();
        fs::create_dir_all(self.outside(row)).unwrap();
        let done = self.shell(row, way.before).status().unwrap();
        assert!(done.success(), "before: {}", way.name);
    }

    pub(super) fn watch(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let meter = Arc::new(Meter::default());
        let pool = Pool::with_program(scanning::program(), scanning::limits(), Arc::clone(&meter) as _);
        let pool = Arc::new(pool);
        runtime.block_on(pool.load(Arc::new(marked_pack(1)))).unwrap();
        let (events, changed) = mpsc::channel(8_192);
        let (calm, waiting) = mpsc::channel(1);
        let (out, reports) = mpsc::channel(8_192);
        let (stop, shutdown) = watch::channel(false);
        let (clean, pack) = (Arc::new(Clean::default()), Arc::default());
        let incoming = Incoming { events: changed, calm: waiting };
        let memory = (Arc::clone(&meter), Arc::clone(&clean));
        runtime.spawn(files::run(
            incoming,
            pool,
            out.clone(),
            memory,
            (shutdown.clone(), watch::channel(true).1),
        ));
        let (dirs, every) = (vec![self.at.join("in")], Duration::from_secs(3_600));
        let config = WatchConfig { dirs, exclude: Vec::new(), since: None, backend: self.backend, every };
        let (meter_too, pack_too) = (Arc::clone(&meter), Arc::clone(&pack));
        let activities = crate::activity::Activities::default();
        let links = Links {
            events,
            calm,
            activities,
            reports: out,
            meter: meter_too,
            clean,
            pack: pack_too,
            policy: watch::channel(None).1,
            shutdown,
        };
        let watch = Some(start(config, links).unwrap());
        self.running = Some(Running { reports, meter, pack, stop, watch, runtime });
    }

    pub(super) fn act(&mut self, row: usize, way: &Way) {
        let stays = |line| format!("{line}\necho {DONE}; read go");
        match way.act {
            Act::Sh(line) | Act::Mount(line) => self.finish(self.shell(row, line), way),
            Act::Stay(line) => drop(self.stay(self.shell(row, &stays(line)), way)),
            Act::Call(name) => drop(self.stay(self.call(row, name), way)),
            Act::Steps(one, two) => {
                let steps = format!("{}\n{}", stays(one), stays(two));
                self.stay(self.shell(row, &steps), way).in_steps = true;
            }
            Act::CallInSteps(name) => self.stay(self.call(row, name), way).in_steps = true,
        }
    }

    /// Lets the second steps be done.
    pub(super) fn go_on(&mut self) {
        for staying in self.staying.iter_mut().filter(|s| s.in_steps) {
            staying.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
            staying.wait_until_done();
        }
    }

    /// Waits until the marks of these rows are found, or patience ends.
    pub(super) fn wait_for(&mut self, rows: &[(usize, &Way)]) {
        let wanted: BTreeSet<PathBuf> = rows.iter().flat_map(|(row, way)| self.leaves(*row, way)).collect();
        let until = patience();
        while !wanted.is_subset(&self.found) && self.take(until) {}
    }

    /// Has one more file written and waits for it, so that what came before it was taken.
    pub(super) fn wait_for_a_last_file(&mut self) {
        self.lasts += 1;
        let (last, until) = (self.at.join(format!("in/last{}", self.lasts)), patience());
        let done = self.shell(0, &format!("printf %s \"$M\" > {}", last.display())).status().unwrap();
        assert!(done.success());
        while !self.found.contains(&last) {
            assert!(self.take(until), "the last file is found");
        }
    }

    /// Walks everything and takes what is found.
    pub(super) fn walk(&mut self) {
        let running = self.running.as_ref().unwrap();
        running.pack.store(1, Ordering::Relaxed);
        let (meter, until) = (Arc::clone(&running.meter), patience());
        while meter.health(0).walk.is_none_or(|w| w.ended.is_none()) {
            assert!(Instant::now() < until, "the walk ends");
            self.take(Instant::now() + Duration::from_millis(20));
        }
        while self.take(Instant::now() + Duration::from_millis(20)) {}
    }

    /// Tells whether the marks of a row were found.
    pub(super) fn has(&self, row: usize, way: &Way) -> bool {
        self.leaves(row, way).iter().all(|path| self.found.contains(path))
    }

    /// Takes one report. Returns false when none comes in time.
    fn take(&mut self, until: Instant) -> bool {
        let running = self.running.as_mut().unwrap();
        let next = async { timeout_at(until.into(), running.reports.recv()).await };
        let Ok(Some(report)) = running.runtime.block_on(next) else { return false };
        match report {
            Report::Detection(found) => {
                if let Subject::File(file) = found.subject {
                    self.found.insert(PathBuf::from(OsStr::from_bytes(file.path.raw())));
                }
            }
            Report::Blind { cause, .. } => self.blind = Some(cause),
            _ => {}
        }
        true
    }

    fn leaves(&self, row: usize, way: &Way) -> Vec<PathBuf> {
        way.leaves.iter().map(|name| self.inside(row).join(OsStr::from_bytes(name))).collect()
    }

    fn inside(&self, row: usize) -> PathBuf {
        self.at.join(format!("in/{row}"))
    }

    fn outside(&self, row: usize) -> PathBuf {
        self.at.join(format!("out/{row}"))
    }

    fn shell(&self, row: usize, lines: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", lines]);
        self.ready(command, row)
    }

    /// Runs a function of this program in another process.
    fn call(&self, row: usize, name: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", acts::TEST, "--nocapture"]).env(acts::NAME, name);
        self.ready(command, row)
    }

    fn ready(&self, mut command: Command, row: usize) -> Command {
        command.env("I", self.inside(row)).env("O", self.outside(row)).env("M", acts::MARK);
        command.current_dir(&self.at).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn finish(&self, mut command: Command, way: &Way) {
        assert!(command.status().unwrap().success(), "{}", way.name);
    }

    /// What stays ends when its input does.
    fn stay(&mut self, mut command: Command, way: &Way) -> &mut Staying {
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut staying = Staying { child, said, name: way.name, in_steps: false };
        staying.wait_until_done();
        self.staying.push(staying);
        self.staying.last_mut().unwrap()
    }
}

impl Staying {
    fn wait_until_done(&mut self) {
        let done = self.said.by_ref().any(|line| line.is_ok_and(|line| line == DONE));
        assert!(done, "{}", self.name);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for staying in &mut self.staying {
            let _ = staying.child.kill();
            let _ = staying.child.wait();
        }
        if let Some(mut running) = self.running.take() {
            let _ = running.stop.send(true);
            running.reports.close();
            drop(running.watch.take().map(JoinHandle::join));
            running.runtime.shutdown_background();
        }
        // What is mounted below goes with the threads that see it, and must not be emptied.
        let below = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        let tree = self.tree.path().display().to_string();
        for point in below.lines().rev().filter_map(|l| l.split(' ').nth(4)).filter(|p| p.starts_with(&tree))
        {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
    }
}
