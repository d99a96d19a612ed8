//! One worker process as its slot sees it: started, asked, watched, killed.

use std::{
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

use super::{
    brought::Brought,
    wire::{self, MAX_REPLY, Reply, Request, Way},
};

/// How long a worker may take to compile a pack.
const LOAD: Duration = Duration::from_secs(60);

/// A worker whose rules are ready. Dropping it kills it.
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    /// Parts of the sandbox that this host does not allow.
    pub(super) missing: Vec<Lack>,
    /// How it came by its rules.
    pub(super) way: Way,
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
    /// Starts a worker from a program and has it take the pack. A compiled form that ends the worker is left out then.
    /// The calling thread must outlive the worker: the kernel kills a worker with the thread that started it.
    pub(super) fn start(program: &Path, pack: &Brought) -> Result<Self, Reason> {
        match Self::start_with(program, pack, true) {
            Err(Reason::WorkerDied | Reason::WorkerWrongAnswer | Reason::PackTooSlow { .. })
                if pack.compiled.is_some() =>
            {
                warn!("a scan worker ended over a compiled form of the rules");
                Self::start_with(program, pack, false)
            }
            done => done,
        }
    }

    fn start_with(program: &Path, pack: &Brought, use_compiled: bool) -> Result<Self, Reason> {
        let (socket, theirs) = UnixStream::pair().map_err(|e| Reason::NoSocket { error: e.into() })?;
        let child = Command::new(program)
            .arg0("khien-scan")
            .arg("worker")
            .env_clear()
            .current_dir("/")
            // A Ctrl-C at the terminal is for the caller, who then ends the worker.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Reason::WorkerNotStarted { error: e.into() })?;
        let way = Way::Source { unusable: None };
        let mut process = Self { child, socket, missing: Vec::new(), way };
        process.load(pack, use_compiled)?;
        Ok(process)
    }

    fn load(&mut self, pack: &Brought, use_compiled: bool) -> Result<(), Reason> {
        if let Some(compiled) = pack.compiled.as_ref().filter(|_| use_compiled) {
            let request = Request::Compiled(compiled.facts());
            wire::send(&self.socket, &request, Some(compiled.file.as_fd()))
                .map_err(|_| Reason::WorkerDied)?;
        }
        match self.ask(pack.request.clone(), Some(pack.text.as_fd()), LOAD) {
            Ok(Reply::Loaded { missing, way }) => {
                (self.missing, self.way) = (missing, way);
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
