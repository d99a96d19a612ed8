//! A thread that owns one worker process: hands it jobs, starts it again when it dies, each time a little later.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use khien_core::{
    asset::Sight,
    event::ScanOutcome,
    reason::{Lack, Reason},
};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{
    Gauge, Pids,
    brought::Brought,
    coverage,
    process::{Gone, Process},
    queue::{Next, Queue},
    sandbox_coverage,
    wire::{Reply, Request, ScanReply, ScanRequest, Way, What},
    without_answer,
};

/// The wait before a worker is started again after its second death in a row; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a further worker is kept without work: its memory is worth more than the milliseconds of its start.
const IDLE: Duration = Duration::from_secs(60);

/// One scan to do.
pub(super) struct Job {
    pub(super) request: ScanRequest,
    pub(super) file: OwnedFd,
    pub(super) answer: oneshot::Sender<ScanReply>,
}

/// What a slot's thread works with.
#[derive(Clone)]
pub(super) struct Slot {
    /// 0 is the one that stays; any other ends when it had nothing to do for a while.
    pub(super) number: usize,
    pub(super) program: PathBuf,
    pub(super) pack: Arc<Brought>,
    pub(super) queue: Arc<Queue<Job>>,
    pub(super) pids: Arc<Pids>,
    pub(super) gauge: Arc<dyn Gauge>,
}

/// The worker and how it fares.
struct Running {
    process: Option<Process>,
    deaths: u32,
    not_before: Instant,
}

impl Slot {
    /// Starts the thread, which says once whether its worker stands and what its sandbox lacks. It ends when the
    /// queue is closed.
    pub(super) fn start(self, ready: oneshot::Sender<Result<Vec<Lack>, Reason>>) -> io::Result<()> {
        self.thread(move |slot| slot.run(ready))
    }

    /// Starts the thread of a slot that has a worker only while there is something to do.
    pub(super) fn start_spare(self) -> io::Result<()> {
        self.thread(Self::run_spare)
    }

    fn run_spare(&self) {
        let mut running = Running { process: None, deaths: 0, not_before: Instant::now() };
        while let Next::Job(job) = self.queue.next(None) {
            let reply = self.scan(&mut running, &job);
            let _ = job.answer.send(reply);
            if self.queue.is_empty() {
                running.process = None;
                self.pids.set(self.number, None);
            }
        }
    }

    /// Starts the thread of a further worker, which calls `ended` when it is over.
    pub(super) fn start_further(self, ended: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.thread(move |slot| {
            match slot.process() {
                Ok(process) => slot.work(process, Some(IDLE)),
                Err(reason) => {
                    warn!(%reason, "a further scan worker does not start, the others go on");
                    thread::sleep(LONGEST_WAIT);
                }
            }
            ended();
        })
    }

    fn thread(self, work: impl FnOnce(&Self) + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name(format!("scan-{}", self.number)).spawn(move || work(&self)).map(drop)
    }

    fn run(&self, ready: oneshot::Sender<Result<Vec<Lack>, Reason>>) {
        match self.process() {
            Ok(process) => {
                let _ = ready.send(Ok(process.missing.clone()));
                self.work(process, None);
            }
            Err(reason) => {
                let _ = ready.send(Err(reason));
            }
        }
    }

    /// Does jobs until there are no more, or, with patience, until none came for so long.
    fn work(&self, process: Process, patience: Option<Duration>) {
        let mut running = Running { process: Some(process), deaths: 0, not_before: Instant::now() };
        while let Next::Job(job) = self.queue.next(patience) {
            let reply = self.scan(&mut running, &job);
            let _ = job.answer.send(reply);
        }
        self.pids.set(self.number, None);
    }

    /// Starts a worker and says how it came by its rules.
    fn process(&self) -> Result<Process, Reason> {
        let process = Process::start(&self.program, &self.pack)?;
        let (worker, pid) = (self.number, process.pid());
        match &process.way {
            Way::Compiled => info!(worker, pid, "rules are loaded from their compiled form"),
            Way::Source { unusable: None } => info!(worker, pid, "rules are compiled from their source"),
            Way::Source { unusable: Some(why) } => {
                warn!(worker, pid, %why, "compiled form of the rules is not used, they are compiled from their source");
            }
        }
        self.pids.set(self.number, Some(pid));
        Ok(process)
    }

    fn scan(&self, running: &mut Running, job: &Job) -> ScanReply {
        // A worker that does not start is no file's fault: the file waits for one, as long as anybody asks.
        while self.living(running).is_none() {
            if job.answer.is_closed() || job.request.what == What::Stream {
                return without_answer(ScanOutcome::Crashed);
            }
        }
        let Some(process) = running.process.as_mut() else { return without_answer(ScanOutcome::Crashed) };
        let limit = Duration::from_millis(job.request.millis).saturating_mul(2);
        match process.ask(Request::Scan(job.request.clone()), Some(job.file.as_fd()), limit) {
            Ok(Reply::Scanned(reply)) => {
                running.deaths = 0;
                reply
            }
            Ok(_) => self.bury(running, ScanOutcome::Crashed),
            Err(Gone::Timeout) => self.bury(running, ScanOutcome::Timeout),
            Err(Gone::Crashed) => self.bury(running, ScanOutcome::Crashed),
        }
    }

    fn bury(&self, running: &mut Running, outcome: ScanOutcome) -> ScanReply {
        running.process = None;
        self.pids.set(self.number, None);
        running.not_before = Instant::now() + wait_after(running.deaths);
        running.deaths = running.deaths.saturating_add(1);
        without_answer(outcome)
    }

    /// Returns a worker that runs. One that died between two jobs is no file's fault and is replaced at once.
    fn living<'r>(&self, running: &'r mut Running) -> Option<&'r mut Process> {
        if running.process.as_mut().is_none_or(|p| !p.is_alive()) {
            thread::sleep(running.not_before.saturating_duration_since(Instant::now()));
            running.process = self.start_again();
            if running.process.is_none() {
                self.bury(running, ScanOutcome::Crashed);
            }
        }
        running.process.as_mut()
    }

    fn start_again(&self) -> Option<Process> {
        match self.process() {
            Ok(process) => {
                self.gauge.cover(sandbox_coverage(&process.missing));
                Some(process)
            }
            Err(reason) => {
                warn!(%reason, "scan worker does not start again");
                self.gauge.cover(coverage("none", Sight::Blind, Some(reason)));
                None
            }
        }
    }
}

fn wait_after(deaths: u32) -> Duration {
    match deaths {
        0 => Duration::ZERO,
        n => LONGEST_WAIT.min(FIRST_WAIT * 2u32.saturating_pow(n.min(10) - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_keeps_dying_is_started_later_and_later() {
        assert_eq!(wait_after(0), Duration::ZERO);
        assert_eq!(wait_after(1), FIRST_WAIT);
        assert_eq!(wait_after(3), FIRST_WAIT * 4);
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
    }
}
