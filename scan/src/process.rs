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
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use khien_core::reason::{Lack, Reason};
use rustix::{
    io::Errno,
    process::{Pid, WaitOptions, waitpid},
};
use tracing::warn;

use super::{
    brought::Brought,
    sandbox,
    wire::{self, Inbox, Reply, Request, Way, is_timeout},
};

/// How long a worker may take to compile a pack.
const LOAD: Duration = Duration::from_secs(60);

/// How long a worker may leave what it was handed lying. There is always room for it with one that takes it.
const TAKING: Duration = Duration::from_secs(10);
/// How long a killed worker is waited for. One that reads from a file system which does not answer ends when that does.
const ENDING: Duration = Duration::from_secs(1);
/// So many killed workers may be there still; until one is gone no other is started, which is a time of blindness.
const MAX_LEFT: usize = 4;

/// Killed workers that were not gone in time.
static LEFT: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A worker whose rules are ready. Dropping it kills it.
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    inbox: Inbox,
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
        if left() >= MAX_LEFT {
            return Err(Reason::WorkerNotStarted { error: io::Error::from(Errno::AGAIN).into() });
        }
        let no_socket = |e: io::Error| Reason::NoSocket { error: e.into() };
        let (socket, theirs) = UnixStream::pair().map_err(no_socket)?;
        let child = Command::new(program)
            .arg0("khien-scan")
            .arg("worker")
            .env_clear()
            .env(sandbox::MEMORY, pack.memory.to_string())
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Reason::WorkerNotStarted { error: e.into() })?;
        let mut process = Self::of(child, socket).map_err(no_socket)?;
        process.load(pack, use_compiled)?;
        Ok(process)
    }

    /// Takes a child that speaks on the other end of the socket.
    pub(super) fn of(child: Child, socket: UnixStream) -> io::Result<Self> {
        let (inbox, way) = (Inbox::of_pool(), Way::Source { unusable: None });
        let process = Self { child, socket, inbox, missing: Vec::new(), way };
        process.socket.set_write_timeout(Some(TAKING))?;
        Ok(process)
    }

    fn load(&mut self, pack: &Brought, use_compiled: bool) -> Result<(), Reason> {
        if let Some(compiled) = pack.compiled.as_ref().filter(|_| use_compiled) {
            let request = Request::Compiled(compiled.facts());
            wire::send(&self.socket, &request, Some(compiled.file.as_fd()))
                .map_err(|_| Reason::WorkerDied)?;
        }
        match self.ask(&pack.request, pack.text.as_fd(), LOAD) {
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
    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Tells whether it is there and waits to be asked: one that said what nobody asked is not.
    pub(super) fn is_at_rest(&self) -> bool {
        self.inbox.is_silent(&self.socket)
    }

    /// Tells whether it has said more than what was taken.
    pub(super) fn has_said_more(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Brings a file that belongs to the scan which is asked for next. Who does not take it dies on that.
    pub(super) fn bring(&self, file: BorrowedFd<'_>) {
        let _ = wire::send(&self.socket, &Request::Beside, Some(file));
    }

    /// Hands it a request and does not wait for the answer. Returns how many bytes it has to take.
    pub(super) fn give(&self, request: &Request, file: BorrowedFd<'_>) -> io::Result<usize> {
        wire::send(&self.socket, request, Some(file))
    }

    /// Tells whether it begins its next answer by then, or is gone.
    pub(super) fn hears_by(&mut self, until: Instant) -> bool {
        self.inbox.hears_by(&self.socket, until)
    }

    /// Waits for its next answer. After [`Gone`] it is dead.
    pub(super) fn answer(&mut self, until: Instant) -> Result<Reply, Gone> {
        match self.inbox.receive(&self.socket, Some(until)) {
            Ok(Some((reply, _))) => Ok(reply),
            Ok(None) => Err(self.died("it closed its socket")),
            Err(e) if is_timeout(&e) => {
                self.kill();
                Err(Gone::Timeout)
            }
            Err(e) => Err(self.died(&e.to_string())),
        }
    }

    /// Asks and waits for the answer. After [`Gone`] it is dead.
    pub(super) fn ask(
        &mut self,
        request: &Request,
        file: BorrowedFd<'_>,
        limit: Duration,
    ) -> Result<Reply, Gone> {
        let until = Instant::now() + limit;
        match self.give(request, file) {
            Ok(_) => self.answer(until),
            Err(e) => Err(self.died(&e.to_string())),
        }
    }

    fn died(&mut self, how: &str) -> Gone {
        self.kill();
        let signal = self.child.try_wait().ok().flatten().and_then(|status| status.signal());
        warn!(pid = self.child.id(), how, ?signal, "scan worker died");
        Gone::Crashed
    }

    /// Kills it and waits until it is gone, but not for ever.
    fn kill(&mut self) {
        // It fails only when it is dead and waited for already.
        let _ = self.child.kill();
        let until = Instant::now() + ENDING;
        while self.is_alive() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if let (true, Some(pid)) = (self.is_alive(), Pid::from_raw(self.pid().cast_signed())) {
            warn!(%pid, "a killed scan worker is not gone: its file is on a file system that does not answer");
            LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        }
    }
}

/// Returns how many killed workers are there still.
fn left() -> usize {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.retain(|pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None)));
    left.len()
}
