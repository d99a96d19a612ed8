//! A watch to try things on.

use super::*;

/// A watch on `in`, with `out` beside it and the agent's home in `in/home`.
pub(in crate::watch) struct Watched {
    pub(in crate::watch) tree: Option<tempfile::TempDir>,
    pub(in crate::watch) events: mpsc::Receiver<FileEvent>,
    pub(in crate::watch) reports: mpsc::Receiver<Report>,
    pub(in crate::watch) calm: mpsc::Receiver<Calm>,
    pub(in crate::watch) heard: Heard,
    pub(in crate::watch) observed: Arc<Observed>,
    pub(in crate::watch) clean: Arc<Clean>,
    pub(in crate::watch) pack: Arc<AtomicU64>,
    pub(in crate::watch) policy: watch::Sender<Option<Arc<Policy>>>,
    pub(in crate::watch) meter: Arc<Meter>,
    pub(in crate::watch) stop: watch::Sender<bool>,
    pub(in crate::watch) thread: Option<JoinHandle<()>>,
    pub(in crate::watch) runtime: Runtime,
}

impl Watched {
    pub(in crate::watch) fn each() -> impl Iterator<Item = Self> {
        Self::each_with(|_| {})
    }

    pub(in crate::watch) fn each_with(prepare: impl Fn(&Path)) -> impl Iterator<Item = Self> {
        backends().into_iter().map(move |backend| Self::start(backend, None, &prepare))
    }

    /// None, and a line that says so, where fanotify is not allowed.
    pub(in crate::watch) fn with_fanotify(prepare: impl Fn(&Path)) -> Option<Self> {
        if backends().contains(&Backend::Best) {
            return Some(Self::start(Backend::Best, None, prepare));
        }
        let test = thread::current();
        println!("cannot run here: {}: fanotify is not allowed", test.name().unwrap_or("test"));
        None
    }

    pub(in crate::watch) fn start(
        backend: Backend,
        since: Option<Timestamp>,
        prepare: impl Fn(&Path),
    ) -> Self {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("in/home")).unwrap();
        fs::create_dir(tree.path().join("out")).unwrap();
        prepare(tree.path());
        Self::again(backend, tree, since)
    }

    pub(in crate::watch) fn again(
        backend: Backend,
        tree: tempfile::TempDir,
        since: Option<Timestamp>,
    ) -> Self {
        // What is as it was is never read again: a test finds what it waits for by the way that it means.
        Self::with_clean(backend, tree, since, Clean::new(Duration::ZERO, 1_000, 0))
    }

    pub(in crate::watch) fn with_clean(
        backend: Backend,
        tree: tempfile::TempDir,
        since: Option<Timestamp>,
        clean: Clean,
    ) -> Self {
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
        let policy = watch::Sender::new(None);
        let clean = Arc::new(clean);
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
            policy: policy.subscribe(),
            shutdown,
        };
        let thread = start(config, links).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (tree, thread) = (Some(tree), Some(thread));
        Self {
            tree,
            events,
            reports,
            calm,
            heard,
            observed,
            clean,
            pack,
            policy,
            meter,
            stop,
            thread,
            runtime,
        }
    }

    /// Stops and returns the tree.
    pub(in crate::watch) fn stop(mut self) -> tempfile::TempDir {
        self.tree.take().unwrap()
    }

    pub(in crate::watch) fn at(&self) -> &Path {
        self.tree.as_ref().unwrap().path()
    }

    pub(in crate::watch) fn sh(&self, script: &str) {
        let done = Command::new("sh").args(["-e", "-c", script]).current_dir(self.at()).status().unwrap();
        assert!(done.success(), "{script}");
    }

    /// Has a shell do something and then wait.
    pub(in crate::watch) fn stay(&self, script: &str) -> Waiting {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script}; read wait")]).current_dir(self.at()).stdin(Stdio::piped());
        Waiting(command.spawn().unwrap())
    }

    pub(in crate::watch) fn next(&mut self) -> FileEvent {
        let next = async { timeout(SOON, self.events.recv()).await };
        self.runtime.block_on(next).expect("an event comes soon").expect("the watch goes on")
    }

    pub(in crate::watch) fn name(&self, event: &FileEvent) -> String {
        let at = self.at().canonicalize().unwrap();
        let path = event.path.to_string();
        path.strip_prefix(at.to_str().unwrap()).unwrap_or(&path).trim_start_matches('/').to_owned()
    }

    /// Waits until a file is told of.
    pub(in crate::watch) fn sees(&mut self, name: &str) {
        self.sees_until(name);
    }

    /// Returns all that is told of up to a file.
    pub(in crate::watch) fn sees_until(&mut self, last: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        while !seen.contains(last) {
            let event = self.next();
            seen.insert(self.name(&event));
        }
        seen
    }

    /// Takes events until all these files were told of and the end of a time of blindness was too. Returns why it was.
    pub(in crate::watch) fn finds_all(&mut self, names: &BTreeSet<String>) -> Vec<Reason> {
        let (mut missing, mut causes, at) =
            (names.clone(), Vec::new(), self.at().canonicalize().unwrap().join(""));
        let (events, reports) = (&mut self.events, &mut self.reports);
        let all = async {
            while !missing.is_empty() || causes.is_empty() {
                tokio::select! {
                    Some(event) = events.recv() => {
                        let path = event.path.to_string();
                        missing.remove(path.strip_prefix(at.to_str().unwrap()).unwrap());
                    }
                    report = reports.recv() => match report.expect("the watch goes on") {
                        Report::Blind { from, until, cause, .. } => {
                            assert!(from < until);
                            causes.push(cause);
                        }
                        other => panic!("{other:?}"),
                    },
                }
            }
        };
        let done = self.runtime.block_on(async { timeout(SOON * 3, all).await });
        assert!(done.is_ok(), "{} files are missing, blind because of {causes:?}", missing.len());
        causes
    }

    /// Has a shell write a file and wait, and returns it with what was told of it.
    pub(in crate::watch) fn write_and_stay(&mut self) -> (Waiting, Option<Arc<Process>>) {
        let writer = self.stay("printf x > in/file");
        loop {
            let event = self.next();
            if self.name(&event) == "in/file" {
                return (writer, event.process);
            }
        }
    }

    /// Returns what is told to those who listen, up to a file.
    pub(in crate::watch) fn hears_until(&mut self, last: &str) -> Vec<Activity> {
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
    pub(in crate::watch) fn hears_soon(&mut self) -> Option<Activity> {
        match self.notice_within(Duration::from_secs(2))? {
            Notice::Happened(activity) => Some(activity),
            Notice::Blind(_) => None,
        }
    }

    /// Waits for what is told next, and takes what is to be scanned meanwhile.
    pub(in crate::watch) fn notice(&mut self) -> Notice {
        self.notice_within(SOON).expect("something is told soon")
    }

    pub(in crate::watch) fn notice_within(&mut self, most: Duration) -> Option<Notice> {
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

    pub(in crate::watch) fn coverage(&self) -> Coverage {
        self.meter.health(0).coverage.into_iter().next().expect("a coverage is stated")
    }

    /// Waits until it is said that a place is not looked at.
    pub(in crate::watch) fn gap(&self, name: &str) -> Coverage {
        self.until(&format!("{name} is said to be a gap"), || self.gap_now(name))
    }

    /// Waits until that is not said any more.
    pub(in crate::watch) fn no_gap(&self, name: &str) {
        self.until(&format!("{name} is no gap"), || self.gap_now(name).is_none().then_some(()));
    }

    pub(in crate::watch) fn gap_now(&self, name: &str) -> Option<Coverage> {
        let place = walker::scope(&self.at().canonicalize().unwrap().join(name));
        self.meter.health(0).coverage.into_iter().find(|c| c.scope == place)
    }

    pub(in crate::watch) fn until<T>(&self, what: &str, holds: impl Fn() -> Option<T>) -> T {
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
pub(in crate::watch) struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.stdin.take().map(|mut input| input.write_all(b"\n"));
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
