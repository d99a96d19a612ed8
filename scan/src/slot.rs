//! A thread that owns one worker process: hands it jobs, starts it again when it dies, each time a little later.

use std::{
    fs::File,
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
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::warn;

use super::{
    Gauge, Pids, coverage,
    process::{Gone, Process},
    sandbox_coverage,
    wire::{Reply, Request, ScanReply, ScanRequest, What},
    without_answer,
};

/// The wait before a worker is started again after its second death in a row; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// One scan to do.
pub(super) struct Job {
    pub(super) request: ScanRequest,
    pub(super) file: OwnedFd,
    pub(super) answer: oneshot::Sender<ScanReply>,
}

/// What a slot's thread works with.
pub(super) struct Slot {
    pub(super) number: usize,
    pub(super) program: PathBuf,
    pub(super) pack: Arc<File>,
    pub(super) queue: Arc<Mutex<mpsc::Receiver<Job>>>,
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
    /// queue's other end is gone.
    pub(super) fn start(self, ready: oneshot::Sender<Result<Vec<Lack>, Reason>>) -> io::Result<()> {
        thread::Builder::new().name(format!("scan-{}", self.number)).spawn(move || self.run(ready)).map(drop)
    }

    /// Starts the thread of a slot that has a worker only while there is something to do.
    pub(super) fn start_spare(self) -> io::Result<()> {
        thread::Builder::new().name("scan-large".to_owned()).spawn(move || self.run_spare()).map(drop)
    }

    fn run_spare(self) {
        let mut running = Running { process: None, deaths: 0, not_before: Instant::now() };
        while let Some(job) = self.next_job() {
            let reply = self.scan(&mut running, &job);
            let _ = job.answer.send(reply);
            if self.queue.blocking_lock().is_empty() {
                running.process = None;
                self.pids.set(self.number, None);
            }
        }
    }

    fn run(self, ready: oneshot::Sender<Result<Vec<Lack>, Reason>>) {
        let process = match Process::start(&self.program, &self.pack) {
            Ok(process) => process,
            Err(reason) => {
                let _ = ready.send(Err(reason));
                return;
            }
        };
        self.pids.set(self.number, Some(process.pid()));
        let _ = ready.send(Ok(process.missing.clone()));
        let mut running = Running { process: Some(process), deaths: 0, not_before: Instant::now() };
        while let Some(job) = self.next_job() {
            let reply = self.scan(&mut running, &job);
            let _ = job.answer.send(reply);
        }
    }

    /// Holds the queue only while it waits, so that the other slot gets the next job.
    fn next_job(&self) -> Option<Job> {
        self.queue.blocking_lock().blocking_recv()
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
        match process.ask(Request::Scan(job.request), Some(job.file.as_fd()), limit) {
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
        match Process::start(&self.program, &self.pack) {
            Ok(process) => {
                self.pids.set(self.number, Some(process.pid()));
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
