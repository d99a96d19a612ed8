//! A real `khien up` in a folder of its own, what it prints, and the command line beside it.

use std::{
    cell::OnceCell,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use khien_core::Sha256;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

use crate::place::{Namespace, program};

/// How long anything may take before a test gives up. Generous: it bounds a failure, it does not measure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A PHP web shell of the plainest kind, put together here so that this file is none.
pub(crate) fn web_shell(salt: &str) -> String {
    format!("<?php /* {salt} */ @{}($_{}['cmd']); ?>\n", "system", "REQUEST")
}

/// A folder for the state, a folder to watch, and where to run.
pub(crate) struct Site {
    _root: TempDir,
    /// The state.
    pub(crate) home: PathBuf,
    /// The watched folder.
    pub(crate) web: PathBuf,
    /// The network in which everything runs; this machine's if absent.
    pub(crate) network: Option<Namespace>,
    /// A folder that lies over the watched one, as a bind mount that only the programs of this site have.
    bound: Option<PathBuf>,
    /// Another copy of `khien` to run, if not the one beside this test.
    pub(crate) khien: OnceCell<PathBuf>,
    /// How many folders the kernel lets the programs watch by inotify.
    pub(crate) watches: OnceCell<&'static str>,
    /// From one look of the agent at the files that the policy names to the next, in seconds.
    pub(crate) integrity_every: OnceCell<&'static str>,
    /// How the agent reads packets, if not as it finds best.
    pub(crate) capture: OnceCell<&'static str>,
    /// Runs the programs as nobody.
    pub(crate) unprivileged: bool,
    /// Whether the agent looks for suspicious processes: it sees all of this machine, and what it finds there is no test's.
    sweeps: bool,
}

impl Site {
    /// Makes the folders.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("khien-e2e-").tempdir().unwrap();
        let (home, web) = (root.path().join("home"), root.path().join("web"));
        fs::create_dir(&web).unwrap();
        Self {
            _root: root,
            home,
            web,
            network: None,
            bound: None,
            khien: OnceCell::new(),
            watches: OnceCell::new(),
            integrity_every: OnceCell::new(),
            capture: OnceCell::new(),
            unprivileged: false,
            sweeps: false,
        }
    }

    /// Makes the folders for a user without any privilege.
    pub(crate) fn unprivileged() -> Self {
        let site = Self::new();
        for dir in [site.web.parent().unwrap(), &site.web] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
        }
        Self { unprivileged: true, ..site }
    }

    /// Makes the folders for an agent that looks for suspicious processes.
    pub(crate) fn with_sweeps() -> Self {
        Self { sweeps: true, ..Self::new() }
    }

    /// Makes the folders, with another one bound over the watched one; returns that one too.
    pub(crate) fn bound() -> (Self, PathBuf) {
        let site = Self::new();
        let source = site.web.with_file_name("source");
        fs::create_dir(&source).unwrap();
        (Self { bound: Some(source.clone()), ..site }, source)
    }

    /// Makes the folders and a network of its own.
    pub(crate) fn in_namespace() -> Self {
        Self { network: Some(Namespace::new()), ..Self::new() }
    }

    /// Returns a command that runs where this site is and dies with the thread that starts it.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = match (&self.network, &self.bound) {
            (Some(network), _) => network.command("setpriv"),
            (None, Some(source)) => self.binding(source),
            (None, None) => self.watches.get().map_or_else(|| Command::new("setpriv"), |n| with_watches(n)),
        };
        if self.unprivileged {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        let khien = self.khien.get().cloned().filter(|_| name == "khien");
        command.args(["--pdeathsig", "KILL", "--"]).arg(khien.unwrap_or_else(|| program(name)));
        // The tests read English; nothing of the developer's own set-up gets in.
        command.env("KHIEN_LANG", "en").env_remove("KHIEN_HOME").env_remove("RUST_LOG");
        if let Some(seconds) = self.integrity_every.get() {
            command.env("KHIEN_INTEGRITY_EVERY", seconds);
        }
        if let Some(way) = self.capture.get() {
            command.env("KHIEN_CAPTURE", way);
        }
        if !self.sweeps {
            command.env("KHIEN_NO_MEMORY", "true");
        }
        command.current_dir(&self.web);
        command
    }

    /// Binds the source over the watched folder in a mount namespace of the program's own, which vanishes with it.
    fn binding(&self, source: &Path) -> Command {
        let mut command = Command::new("unshare");
        let line = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
        command.args(["--mount", "sh", "-c", line, "sh"]).arg(source).arg(&self.web).arg("setpriv");
        command
    }

    /// Starts `khien up --json` with these further arguments and waits until it is ready.
    pub(crate) fn up(&self, args: &[&str]) -> Up<'_> {
        Up::start(self, args, None)
    }

    /// The same with one variable of the environment set to `true`.
    pub(crate) fn up_with(&self, variable: &str, args: &[&str]) -> Up<'_> {
        Up::start(self, args, Some(variable))
    }

    /// Runs `khien ARGS --json` and returns what it prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.cli(&[args, &["--json"]].concat());
        assert_eq!(code, 0, "khien {args:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("khien {args:?} printed no JSON ({e}): {out}"))
    }

    /// Runs `khien ARGS` and returns exit code, stdout and stderr.
    pub(crate) fn cli(&self, args: &[&str]) -> (i32, String, String) {
        let out = self.command("khien").arg("--home").arg(&self.home).args(args).output().unwrap();
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).expect("our output is UTF-8");
        (out.status.code().unwrap_or(-1), text(&out.stdout), text(&out.stderr))
    }

    /// Asks the command line again and again until the answer fits.
    pub(crate) fn until(&self, args: &[&str], what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            // While the hub is being started again, a command may fail; that is part of what is waited for.
            let (code, out, err) = self.cli(&[args, &["--json"]].concat());
            let value = (code == 0).then(|| serde_json::from_str::<Value>(&out).ok()).flatten();
            match value {
                Some(value) if fits(&value) => return value,
                _ if begun.elapsed() > PATIENCE => panic!("{what} did not come: {out}{err}"),
                _ => {}
            }
        }
    }

    /// Writes a file as another program would, so that a process of its own did it.
    pub(crate) fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.web.join(path);
        shell(&format!("printf %s \"$CONTENT\" > '{}'", path.display()), content);
        path
    }

    /// Writes a web shell and waits for its alert.
    pub(crate) fn shell_alert(&self, up: &mut Up<'_>, name: &str) -> Value {
        let path = self.write(name, &web_shell(name));
        up.alert(&format!("alert for {name}"), |a| is_at(a, &path))
    }
}

/// Runs what follows in a user namespace of its own, where the kernel counts and limits what is watched.
fn with_watches(limit: &str) -> Command {
    let mut command = Command::new("unshare");
    let line = "echo \"$1\" > /proc/sys/user/max_inotify_watches && shift && exec \"$@\"";
    command.args(["--user", "--map-root-user", "sh", "-c", line, "sh", limit, "setpriv"]);
    command
}

/// Runs a line of shell.
pub(crate) fn shell(line: &str, content: &str) {
    let status = Command::new("sh").args(["-c", line]).env("CONTENT", content).status().unwrap();
    assert!(status.success(), "{line}");
}

/// Tells whether an alert is about a file.
pub(crate) fn is_at(alert: &Value, path: &Path) -> bool {
    alert["path"].as_str() == path.to_str()
}

/// Returns the SHA-256 of bytes.
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_string()
}

/// Returns the SHA-256 of a text.
pub(crate) fn sha256(text: &str) -> String {
    sha256_of(text.as_bytes())
}

/// A running `khien up`.
pub(crate) struct Up<'a> {
    site: &'a Site,
    child: Child,
    alerts: Receiver<Value>,
    /// Alerts that were read while waiting for others.
    seen: Vec<Value>,
    said: Receiver<String>,
    /// What it said on stderr so far.
    pub(crate) lines: Vec<String>,
}

impl<'a> Up<'a> {
    fn start(site: &'a Site, args: &[&str], variable: Option<&str>) -> Self {
        let mut command = site.command("khien");
        command.envs(variable.map(|variable| (variable, "true")));
        command.arg("--home").arg(&site.home).args(["up", "--json"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let alerts = lines(child.stdout.take().unwrap(), |l| serde_json::from_str(l).ok());
        let said = lines(child.stderr.take().unwrap(), |l| Some(l.to_owned()));
        let mut up = Self { site, child, alerts, seen: Vec::new(), said, lines: Vec::new() };
        up.says("Ready");
        // On a busy machine it is ready before the rules are there: it waits some seconds for them, no more.
        let has_rules = |agents: &Value| agents[0]["pack"].as_u64().is_some_and(|pack| pack > 0);
        site.until(&["agent", "list"], "the rule pack", has_rules);
        up
    }

    /// Waits for a line on stderr that contains a text, case aside.
    pub(crate) fn says(&mut self, text: &str) -> String {
        let wanted = text.to_lowercase();
        let begun = Instant::now();
        loop {
            if let Some(line) = self.lines.iter().find(|l| l.to_lowercase().contains(&wanted)) {
                return line.clone();
            }
            match self.said.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => self.lines.push(line),
                Err(e) => panic!("did not say `{text}` ({e}): {:#?}\n{}", self.lines, self.logs()),
            }
        }
    }

    /// Waits for an alert that fits, among those already seen or to come.
    pub(crate) fn alert(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(alert) = self.seen.iter().find(|a| fits(a)) {
            return alert.clone();
        }
        let begun = Instant::now();
        loop {
            match self.alerts.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(alert) => {
                    self.seen.push(alert.clone());
                    if fits(&alert) {
                        return alert;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{what} did not come; seen: {:#?}\n{}", brief(&self.seen), self.logs())
                }
            }
        }
    }

    /// Returns the process id of its hub or agent.
    pub(crate) fn child_pid(&self, name: &str) -> Option<u32> {
        children(self.child.id()).into_iter().find(|(_, n)| n == name).map(|(pid, _)| pid)
    }

    /// Waits until it has a hub or agent other than `old`.
    pub(crate) fn new_child(&self, name: &str, old: u32) -> u32 {
        let begun = Instant::now();
        loop {
            match self.child_pid(name) {
                Some(pid) if pid != old => return pid,
                _ if begun.elapsed() > PATIENCE => panic!("{name} did not come back\n{}", self.logs()),
                _ => std::thread::yield_now(),
            }
        }
    }

    /// Kills its hub or agent without a warning.
    pub(crate) fn kill(&self, name: &str) -> u32 {
        let pid = self.child_pid(name).unwrap_or_else(|| panic!("{name} does not run"));
        send(pid, Signal::KILL);
        pid
    }

    /// Ends it as Ctrl-C does and returns its exit code once it and its children are gone.
    pub(crate) fn stop(mut self) -> i32 {
        let children = children(self.child.id());
        send(self.child.id(), Signal::INT);
        let status = self.child.wait().unwrap();
        for (pid, name) in children {
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{name} outlived `khien up`");
        }
        status.code().unwrap_or(-1)
    }

    /// Returns the ends of the children's logs, for a failure's text.
    fn logs(&self) -> String {
        let tail = |name: &str| {
            let log = fs::read_to_string(self.site.home.join("log").join(name)).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            format!("--- {name}\n{}", lines[lines.len().saturating_sub(30)..].join("\n"))
        };
        format!("{}\n{}", tail("hub.log"), tail("agent.log"))
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let children = children(self.child.id());
        self.child.kill().ok();
        self.child.wait().ok();
        // They end by themselves when their stdin closes; a folder is not removed under a living program.
        let begun = Instant::now();
        for (pid, _) in children {
            while Path::new(&format!("/proc/{pid}")).exists() && begun.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        }
    }
}

/// Sends a signal to a process.
pub(crate) fn send(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Returns the children of a process, each with its program's name.
fn children(parent: u32) -> Vec<(u32, String)> {
    let read =
        |task: &str| fs::read_to_string(format!("/proc/{parent}/task/{task}/children")).unwrap_or_default();
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let ids: Vec<u32> = tasks
        .flat_map(|t| {
            let text = read(&t.file_name().to_string_lossy());
            text.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>()
        })
        .collect();
    let named = |pid| Some((pid, fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned()));
    ids.into_iter().filter_map(named).collect()
}

/// Starts `khien up` without a terminal, does something once it is ready, and returns the first line that it then
/// prints with this text.
pub(crate) fn plain_line(mut up: Command, text: &str, meanwhile: impl FnOnce()) -> String {
    let mut child = up.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = lines(child.stderr.take().unwrap(), |l| Some(l.to_lowercase()));
    let printed = lines(child.stdout.take().unwrap(), |l| Some(l.to_owned()));
    await_line(&said, "ready");
    meanwhile();
    let line = await_line(&printed, text);
    send(child.id(), Signal::INT);
    assert!(child.wait().unwrap().success());
    line
}

/// Waits for a line that contains a text.
fn await_line(lines: &Receiver<String>, text: &str) -> String {
    let begun = Instant::now();
    loop {
        match lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            Ok(line) if line.contains(text) => return line,
            Ok(_) => {}
            Err(e) => panic!("no line with `{text}` came: {e}"),
        }
    }
}

fn brief(alerts: &[Value]) -> Vec<String> {
    alerts.iter().map(|a| format!("{} {} {} {}", a["id"], a["rule"], a["path"], a["flow"])).collect()
}

/// Reads lines in a thread of their own, so that a full pipe never stops the program.
pub(crate) fn lines<T: Send + 'static>(
    from: impl Read + Send + 'static,
    parse: impl Fn(&str) -> Option<T> + Send + 'static,
) -> Receiver<T> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let Some(item) = parse(&line) else { continue };
            if send.send(item).is_err() {
                return;
            }
        }
    });
    receive
}
