//! One worker process as its slot sees it: started, asked, watched, killed.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use khien_core::reason::{Lack, Reason};
use tracing::warn;

use super::wire::{self, MAX_REPLY, Reply, Request};

/// How long a worker may take to compile a pack.
const LOAD: Duration = Duration::from_secs(60);

/// A worker that has compiled its pack. Dropping it kills it.
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    /// Parts of the sandbox that this host does not allow.
    pub(super) missing: Vec<Lack>,
}

/// A worker that does not answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It took too long and was killed.
    Timeout,
    /// It died or answered nonsense.
    Crashed,
}

impl Process {
    /// Starts a worker from a program and has it compile the pack. The calling thread must outlive the worker: the
    /// kernel kills a worker with the thread that started it.
    pub(super) fn start(program: &Path, pack: &File) -> Result<Self, Reason> {
        let (socket, theirs) = UnixStream::pair().map_err(|e| Reason::NoSocket { error: e.into() })?;
        let child = Command::new(program)
            .arg0("khien-scan")
            .arg("worker")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Reason::WorkerNotStarted { error: e.into() })?;
        let mut process = Self { child, socket, missing: Vec::new() };
        process.load(pack)?;
        Ok(process)
    }

    fn load(&mut self, pack: &File) -> Result<(), Reason> {
        let size = pack.metadata().map_err(|e| Reason::Os { error: e.into() })?.len();
        match self.ask(Request::Load { size }, Some(pack.as_fd()), LOAD) {
            Ok(Reply::Loaded { missing }) => {
                self.missing = missing;
                Ok(())
            }
            Ok(Reply::Refused { reason }) => Err(reason),
            Ok(_) => Err(Reason::WorkerWrongAnswer),
            Err(Gone::Timeout) => Err(Reason::PackTooSlow { seconds: LOAD.as_secs() }),
            Err(Gone::Crashed) => Err(Reason::WorkerDied),
        }
    }

    /// Returns its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells whether it still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks and waits for the answer. After [`Gone`] it is dead.
    pub(super) fn ask(
        &mut self,
        request: Request,
        file: Option<BorrowedFd<'_>>,
        limit: Duration,
    ) -> Result<Reply, Gone> {
        let until = Instant::now() + limit;
        let asked = wire::send(&self.socket, &request, file);
        match asked.and_then(|()| wire::receive(&self.socket, MAX_REPLY, Some(until))) {
            Ok(Some((reply, _))) => Ok(reply),
            Ok(None) => Err(self.died("it closed its socket")),
            Err(e) if is_timeout(&e) => {
                self.kill();
                Err(Gone::Timeout)
            }
            Err(e) => Err(self.died(&e.to_string())),
        }
    }

    fn died(&mut self, how: &str) -> Gone {
        self.kill();
        let signal = self.child.try_wait().ok().flatten().and_then(|status| status.signal());
        warn!(pid = self.child.id(), how, ?signal, "scan worker died");
        Gone::Crashed
    }

    fn kill(&mut self) {
        // Both fail only when it is dead and waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_timeout(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
