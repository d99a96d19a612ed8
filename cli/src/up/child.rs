//! One child program: started, waited for, started again when it dies, and ended cleanly.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use khien_core::{
    Lang,
    text::{command as t, trouble},
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{mpsc, watch},
    time::timeout,
};

use super::did_not_start;
use crate::told::Told;

/// How long a child may take to end after its stdin closed.
const END: Duration = Duration::from_secs(5);
/// The longest pause before a child that keeps dying is started again.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A child that lived this long begins again with the shortest pause.
const HEALTHY: Duration = Duration::from_secs(60);
/// How often a first start is tried.
const TRIES: u32 = 3;
/// How long between two tries.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// How much of a log's end an error shows.
const TAIL: u64 = 2_000;
/// A log larger than this is put aside on start; one older log is kept.
const MAX_LOG: u64 = 16 << 20;
/// The longest ready line.
const MAX_READY: u64 = 4 << 10;

/// How to start a child.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Its name, for people.
    pub(super) name: &'static str,
    /// Where it lies.
    pub(super) exe: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<OsString>,
    /// Where its stderr goes.
    pub(super) log: PathBuf,
    /// How long it may take until it is ready.
    pub(super) within: Duration,
    /// The shortest pause before it is started again.
    pub(super) again: Duration,
}

/// A child that is ready.
pub(super) struct Started {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Keeps the pipe open, so that a further line does not kill the child.
    _stdout: BufReader<ChildStdout>,
    since: Instant,
    /// Where it listens, if it said so.
    pub(super) address: Option<String>,
}

/// What happened to a child.
#[derive(Debug)]
pub(super) enum Note {
    /// It ended by itself and will be started again after a pause.
    Died { name: &'static str, how: String, pause: Duration },
    /// It is there again.
    Back { name: &'static str },
}

impl Note {
    /// Writes it for a person.
    pub(super) fn shown(&self, lang: Lang) -> String {
        match self {
            Self::Died { name, how, pause } => {
                t::CHILD_DIED.with(lang, &[name, how, &format!("{:.1}", pause.as_secs_f64())])
            }
            Self::Back { name } => t::CHILD_BACK.with(lang, &[name]),
        }
    }
}

#[derive(Deserialize)]
struct ReadyLine {
    ready: bool,
    address: Option<String>,
}

impl Program {
    /// Starts it and waits until it says that it is ready.
    pub(super) async fn start(&self, lang: Lang) -> Result<Started> {
        let mut child = self.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = stdout.context("child has no stdout")?;
        let mut stdout = BufReader::new(stdout);
        let fail = |what, detail: &str| {
            let detail = format!("{detail}{}", tail(&self.log));
            did_not_start(lang, what, self.name, detail.trim(), &self.log)
        };
        match timeout(self.within, ready(&mut stdout)).await {
            Ok(Some(line)) => {
                Ok(Started { child, stdin, _stdout: stdout, since: Instant::now(), address: line.address })
            }
            Ok(None) => Err(fail(t::CHILD_ENDED, &ended(&mut child).await)),
            Err(_) => {
                // It is killed when it is dropped; here only to be rid of it before the error is shown.
                child.kill().await.ok();
                Err(fail(t::CHILD_LATE, &format!("{} s", self.within.as_secs())))
            }
        }
    }

    /// Starts it, and tries again where its predecessor, left behind by a program that was killed, still ends.
    pub(super) async fn start_patiently(&self, lang: Lang) -> Result<Started> {
        for _ in 1..TRIES {
            if let Ok(started) = self.start(lang).await {
                return Ok(started);
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        self.start(lang).await
    }

    fn spawn(&self) -> Result<Child> {
        let log = open_log(&self.log)?;
        let mut command = Command::new(&self.exe);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        // Its own group: Ctrl-C is for this program, which then ends the child cleanly.
        command.process_group(0).kill_on_drop(true);
        command.spawn().with_context(|| Told::path(trouble::CANNOT_START, &self.exe))
    }
}

/// Keeps a child alive until told to stop, then ends it.
pub(super) async fn keep(
    program: Program,
    mut started: Started,
    mut stopped: watch::Receiver<bool>,
    notes: mpsc::Sender<Note>,
) {
    let mut pause = program.again;
    loop {
        let died = tokio::select! {
            status = started.child.wait() => Some(told(status)),
            () = told_to_stop(&mut stopped) => None,
        };
        let Some(how) = died else { return end(started).await };
        if started.since.elapsed() > HEALTHY {
            pause = program.again;
        }
        let again = tokio::select! {
            again = revived(&program, how, &mut pause, &notes) => again,
            // Dropping the half-started child kills it.
            () = told_to_stop(&mut stopped) => return,
        };
        started = again;
        // A full queue of notes only means that nobody reads them.
        notes.try_send(Note::Back { name: program.name }).ok();
    }
}

/// Waits until told to stop; a teller that is gone counts too.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    stopped.wait_for(|s| *s).await.map(|_| ()).ok();
}

/// Starts a child again until it stands, with growing pauses.
async fn revived(
    program: &Program,
    mut how: String,
    pause: &mut Duration,
    notes: &mpsc::Sender<Note>,
) -> Started {
    loop {
        notes.try_send(Note::Died { name: program.name, how, pause: *pause }).ok();
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(MAX_PAUSE);
        match program.start(Lang::En).await {
            Ok(started) => return started,
            Err(e) => how = e.to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// Closes stdin, waits, and kills only what does not end by itself.
async fn end(mut started: Started) {
    drop(started.stdin.take());
    if timeout(END, started.child.wait()).await.is_err() {
        // Nothing is left to be done if even that fails.
        started.child.kill().await.ok();
    }
}

async fn ready(stdout: &mut BufReader<ChildStdout>) -> Option<ReadyLine> {
    let mut line = String::new();
    stdout.take(MAX_READY).read_line(&mut line).await.ok()?;
    serde_json::from_str::<ReadyLine>(&line).ok().filter(|l| l.ready)
}

async fn ended(child: &mut Child) -> String {
    match timeout(Duration::from_secs(1), child.wait()).await {
        Ok(status) => told(status),
        Err(_) => "no ready line".to_owned(),
    }
}

fn told(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|e| e.to_string(), |s| s.to_string())
}

fn open_log(path: &Path) -> Result<File> {
    if std::fs::metadata(path).is_ok_and(|m| m.len() > MAX_LOG) {
        // If it cannot be put aside it goes on growing, which is better than no log.
        std::fs::rename(path, path.with_extension("log.1")).ok();
    }
    let mut options = File::options();
    let file = options.create(true).append(true).mode(0o600).open(path);
    file.with_context(|| Told::path(trouble::CANNOT_OPEN, path))
}

/// Returns the last lines of a log, on lines of their own.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.iter().rev().map(|l| format!("\n  {l}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, script: &str) -> Program {
        Program {
            name: "khien-test",
            exe: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            log: dir.join("x.log"),
            within: Duration::from_secs(10),
            again: Duration::from_millis(10),
        }
    }

    #[tokio::test]
    async fn a_child_is_ready_when_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let program = shell(dir.path(), r#"echo '{"ready":true,"address":"127.0.0.1:9"}'; cat >/dev/null"#);

        let started = program.start(Lang::En).await.unwrap();

        assert_eq!(started.address.as_deref(), Some("127.0.0.1:9"));
        end(started).await;
    }

    #[tokio::test]
    async fn a_child_that_fails_shows_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let program = shell(dir.path(), "echo port is taken >&2; exit 3");

        let error = program.start(Lang::En).await.map(|_| ()).unwrap_err();

        assert!(error.to_string().contains("port is taken"), "{error}");
    }

    #[tokio::test]
    async fn a_child_that_dies_comes_back_and_ends_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let program = shell(
            dir.path(),
            r#"echo '{"ready":true}'; test -e "$0.once" || { : > "$0.once"; exit 1; }; cat"#,
        );
        let program = Program { args: [program.args, vec![dir.path().join("x").into()]].concat(), ..program };
        let started = program.start(Lang::En).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let (notes, mut said) = mpsc::channel(8);

        let keeper = tokio::spawn(keep(program, started, stopped, notes));
        let died = said.recv().await.unwrap();
        let back = said.recv().await.unwrap();
        stop.send(true).unwrap();

        assert!(matches!(died, Note::Died { .. }), "{died:?}");
        assert!(matches!(back, Note::Back { .. }), "{back:?}");
        timeout(Duration::from_secs(10), keeper).await.unwrap().unwrap();
    }
}
