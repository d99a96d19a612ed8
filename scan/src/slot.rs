//! A thread that owns one worker process: hands it jobs, starts it again when it dies, each time a little later.
//!
//! While there is much to do the worker has the next jobs already when it answers one. It does them one after another, so
//! that only the first one without an answer can be what it dies of; the others are put back. They also are when the first
//! one takes long: another worker does them.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use khien_core::{
    asset::Sight,
    event::ScanOutcome,
    reason::{Lack, Reason},
};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::{
    Gauge, Pids,
    brought::Brought,
    coverage,
    process::{Gone, Process},
    queue::{Next, Queue, Thread},
    sandbox_coverage,
    wire::{Reply, Request, ScanReply, ScanRequest, Way, What},
    without_answer,
};

/// The wait before a worker is started again after its second death in a row; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a further worker is kept without work: its memory is worth more than the milliseconds of its start.
const IDLE: Duration = Duration::from_secs(2);
/// The same for one that had to compile its rules.
const IDLE_WITH_SOURCE: Duration = Duration::from_secs(60);
/// A job that takes longer holds up no other one for which there may be another worker.
pub(super) const LATE: Duration = Duration::from_millis(20);
/// How long the first worker is kept without work, where its rules load in milliseconds. The next file waits for that.
pub(super) const REST: Duration = Duration::from_secs(300);

/// Jobs that a worker has at one time. With so many it works on while its slot waits for a processor.
const IN_HAND: usize = 8;
/// No more jobs are added to so many bytes of requests: there is always room for them, so that handing one over never
/// waits.
const MOST_BYTES: usize = 32 << 10;
/// A larger file is done alone: it may take long, and nothing small is to wait for it.
const SMALL: u64 = 1 << 20;

/// One scan to do.
pub(super) struct Job {
    pub(super) request: ScanRequest,
    /// What is scanned, and of a process what tells of its memory.
    pub(super) files: Vec<OwnedFd>,
    /// How many bytes there are to scan.
    pub(super) size: u64,
    pub(super) answer: oneshot::Sender<ScanReply>,
}

impl Job {
    fn is_small(&self) -> bool {
        self.request.what != What::Memory && self.size <= SMALL
    }
}

/// What a slot's thread works with.
#[derive(Clone)]
pub(super) struct Slot {
    /// The thread of 0 stays; any other ends when it had nothing to do for a while.
    pub(super) number: usize,
    pub(super) program: PathBuf,
    pub(super) pack: Arc<Brought>,
    pub(super) queue: Arc<Queue<Job>>,
    pub(super) pids: Arc<Pids>,
    /// Which workers beside the first are there, by number; the first has a thread that always is.
    pub(super) there: Arc<Mutex<Vec<bool>>>,
    /// How long the first worker is kept without work.
    pub(super) rest: Duration,
    /// Whether the first worker must do, since the host is short of memory.
    pub(super) alone: Arc<AtomicBool>,
    pub(super) gauge: Arc<dyn Gauge>,
}

/// The worker and how it fares.
struct Running {
    process: Option<Process>,
    /// Scans that it was asked for so far.
    asked: u64,
    /// Those that it has not answered, in order.
    in_hand: VecDeque<Given>,
    /// How many it may have behind the first: none after one that took long, since what is put back then is scanned for
    /// nothing, and one more for each that did not.
    ahead: usize,
    /// Since when it works on the first of them.
    since: Instant,
    /// It does not take more.
    is_deaf: bool,
    deaths: u32,
    not_before: Instant,
}

/// A scan that a worker was asked for.
struct Given {
    number: u64,
    /// The worker is killed when it works on it for longer.
    limit: Duration,
    /// How long its request is.
    bytes: usize,
    /// None: it was put back, and the answer does not count.
    job: Option<Job>,
}

impl Running {
    fn with(process: Option<Process>) -> Self {
        let (in_hand, now) = (VecDeque::new(), Instant::now());
        let ahead = IN_HAND - 1;
        Self { process, asked: 0, in_hand, ahead, since: now, is_deaf: false, deaths: 0, not_before: now }
    }

    /// Tells whether the worker may be handed one more job before it has answered those that it has.
    fn takes_more(&self) -> bool {
        let bytes: usize = self.in_hand.iter().map(|given| given.bytes).sum();
        let has_room = self.in_hand.len() <= self.ahead && bytes < MOST_BYTES;
        let is_small = |given: &Given| given.job.as_ref().is_some_and(Job::is_small);
        has_room && !self.is_deaf && self.in_hand.iter().all(is_small)
    }

    /// Hands a job to the worker. Gives it back if the worker does not take it.
    #[must_use = "what is given back has no outcome yet"]
    fn give(&mut self, mut job: Job) -> Option<Job> {
        let (Some(process), Some((file, beside))) = (&self.process, job.files.split_first()) else {
            return Some(job);
        };
        job.request.number = self.asked.saturating_add(1);
        beside.iter().for_each(|file| process.bring(file.as_fd()));
        let Ok(bytes) = process.give(&Request::Scan(job.request.clone()), file.as_fd()) else {
            self.is_deaf = true;
            return Some(job);
        };
        if self.in_hand.is_empty() {
            self.since = Instant::now();
        }
        let number = job.request.number;
        let limit = Duration::from_millis(job.request.millis).saturating_mul(2);
        self.asked = number;
        self.in_hand.push_back(Given { number, limit, bytes, job: Some(job) });
        None
    }

    /// Takes the jobs after the first, which another worker is to do.
    fn others(&mut self) -> Vec<Job> {
        self.in_hand.iter_mut().skip(1).filter_map(|given| given.job.take()).collect()
    }

    /// Waits a little for the answer to the first job. None: it is late.
    fn answer_soon(&mut self) -> Option<Result<ScanReply, Gone>> {
        let (Some(process), Some(first)) = (&mut self.process, self.in_hand.front()) else {
            return Some(Err(Gone::Crashed));
        };
        let soon = self.since + LATE.min(first.limit);
        process.hears_by(soon).then(|| self.answer())
    }

    /// Waits for the answer to the first job. One that nobody asked for shows that somebody else speaks: what such a
    /// worker says is not believed.
    fn answer(&mut self) -> Result<ScanReply, Gone> {
        let (Some(process), Some(first)) = (&mut self.process, self.in_hand.front()) else {
            return Err(Gone::Crashed);
        };
        match process.answer(self.since + first.limit)? {
            Reply::Scanned(reply) if reply.number == first.number => {
                let is_last = self.in_hand.len() == 1;
                if is_last && process.has_said_more() { Err(Gone::Crashed) } else { Ok(reply) }
            }
            _ => Err(Gone::Crashed),
        }
    }

    /// Returns how long to wait for work before the worker makes way: for ever where there is none, or where another
    /// one would have to compile its rules first.
    fn patience(&self, rest: Duration) -> Option<Duration> {
        self.process.as_ref().filter(|process| process.way == Way::Compiled).map(|_| rest)
    }
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
        let mut running = Running::with(None);
        while let Next::Job(job) = self.queue.next(Thread::First, None) {
            self.work_on(&mut running, job);
            if self.queue.is_empty() {
                self.let_go(&mut running);
            }
        }
    }

    /// Starts the thread of a further worker, which calls `ended` when it is over.
    fn start_further(self, ended: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.thread(move |slot| {
            match slot.process() {
                Ok(process) => slot.work(process),
                Err(reason) => {
                    warn!(%reason, "a further scan worker does not start, the others go on");
                    thread::sleep(LONGEST_WAIT);
                }
            }
            ended();
            // Who called for one more while this one went called in vain.
            if slot.queue.is_short() {
                slot.call_further();
            }
        })
    }

    fn thread(self, work: impl FnOnce(&Self) + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name(format!("scan-{}", self.number)).spawn(move || work(&self)).map(drop)
    }

    fn run(&self, ready: oneshot::Sender<Result<Vec<Lack>, Reason>>) {
        match self.process() {
            Ok(process) => {
                let _ = ready.send(Ok(process.missing.clone()));
                self.stay(process);
            }
            Err(reason) => {
                let _ = ready.send(Err(reason));
            }
        }
    }

    /// Does jobs until there are no more. Where a new worker is ready in milliseconds, one that had nothing to do for
    /// long makes way until there is work again.
    fn stay(&self, process: Process) {
        let mut running = Running::with(Some(process));
        self.queue.begins();
        loop {
            match self.queue.next(Thread::First, running.patience(self.rest)) {
                Next::Job(job) => self.work_on(&mut running, job),
                Next::Idle => {
                    debug!(worker = self.number, "scan worker rests until there is work");
                    self.let_go(&mut running);
                }
                Next::Closed => return self.let_go(&mut running),
            }
        }
    }

    /// Does jobs until there are no more, none came for a while, or the first worker must do.
    fn work(&self, process: Process) {
        let idle = if process.way == Way::Compiled { IDLE } else { IDLE_WITH_SOURCE };
        let mut running = Running::with(Some(process));
        self.queue.begins();
        while let Next::Job(job) = self.queue.next(Thread::Further, Some(idle)) {
            self.work_on(&mut running, job);
            if self.is_to_go() {
                break;
            }
        }
        self.queue.ends();
        self.let_go(&mut running);
    }

    /// Tells whether this is a further worker where the first must do.
    fn is_to_go(&self) -> bool {
        self.number > 0 && self.must_do_alone()
    }

    /// Tells whether the first worker must do.
    fn must_do_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// Does a job, and those that come meanwhile, until the worker has none left.
    fn work_on(&self, running: &mut Running, job: Job) {
        self.begin(running, job);
        while !running.in_hand.is_empty() {
            while running.takes_more()
                && !self.is_to_go()
                && let Some(job) = self.queue.another(Job::is_small)
            {
                if let Some(job) = running.give(job) {
                    // What it had before is still to be answered, or not.
                    self.queue.put_back(std::iter::once(job));
                }
            }
            self.take_answer(running);
        }
    }

    /// Hands a job to a worker that has none.
    fn begin(&self, running: &mut Running, job: Job) {
        // A worker that does not start is no file's fault: the file waits for one, as long as anybody asks.
        while !self.is_ready(running) {
            if job.answer.is_closed() || job.request.what == What::Stream {
                return answer(Some(job), without_answer(ScanOutcome::Crashed));
            }
        }
        if job.files.is_empty() {
            return answer(Some(job), without_answer(ScanOutcome::Unreadable));
        }
        if let Some(job) = running.give(job) {
            self.bury(running);
            answer(Some(job), without_answer(ScanOutcome::Crashed));
        }
    }

    /// Takes the answer to the first job. When there is none that job alone is to blame; the others are put back.
    fn take_answer(&self, running: &mut Running) {
        let soon = running.answer_soon();
        let was_quick = soon.is_some();
        let reply = soon.unwrap_or_else(|| {
            self.share(running);
            let reply = running.answer();
            self.queue.set_late(false);
            reply
        });
        let Some(Given { job, .. }) = running.in_hand.pop_front() else { return };
        let outcome = match reply {
            Ok(reply) => {
                (running.deaths, running.since) = (0, Instant::now());
                if was_quick {
                    running.ahead = (running.ahead + 1).min(IN_HAND - 1);
                }
                return answer(job, reply);
            }
            Err(Gone::Timeout) => ScanOutcome::Timeout,
            Err(Gone::Crashed) => ScanOutcome::Crashed,
        };
        self.bury(running);
        self.queue.put_back(std::mem::take(&mut running.in_hand).into_iter().filter_map(|given| given.job));
        answer(job, without_answer(outcome));
    }

    /// The first job takes long: those that wait for its end go to another worker, if there may be one.
    fn share(&self, running: &mut Running) {
        if self.may_have_others() {
            running.ahead = 0;
            self.queue.put_back(running.others().into_iter());
        }
        if self.queue.set_late(true) {
            self.call_further();
        }
    }

    fn may_have_others(&self) -> bool {
        !self.must_do_alone() && self.there.lock().unwrap_or_else(PoisonError::into_inner).len() > 1
    }

    /// Starts one more worker, if there may be one; it takes up its work as soon as it stands.
    pub(super) fn call_further(&self) {
        if self.must_do_alone() {
            return;
        }
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(number) = (1..there.len()).find(|n| !there[*n]) else { return };
        there[number] = true;
        drop(there);
        let gone = Arc::clone(&self.there);
        let ended = move || gone.lock().unwrap_or_else(PoisonError::into_inner)[number] = false;
        if let Err(error) = (Self { number, ..self.clone() }).start_further(ended) {
            self.there.lock().unwrap_or_else(PoisonError::into_inner)[number] = false;
            warn!(%error, "no thread for a further scan worker");
        }
    }

    fn let_go(&self, running: &mut Running) {
        (running.process, running.is_deaf, running.asked) = (None, false, 0);
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

    fn bury(&self, running: &mut Running) {
        self.let_go(running);
        running.not_before = Instant::now() + wait_after(running.deaths);
        running.deaths = running.deaths.saturating_add(1);
    }

    /// Tells whether there is a worker that waits for work. One that died between two jobs, or spoke unasked, is no file's
    /// fault and is replaced at once.
    fn is_ready(&self, running: &mut Running) -> bool {
        if running.is_deaf || running.process.as_ref().is_none_or(|process| !process.is_at_rest()) {
            self.let_go(running);
            if self.queue.set_late(true) {
                self.call_further();
            }
            thread::sleep(running.not_before.saturating_duration_since(Instant::now()));
            running.process = self.start_again();
            self.queue.set_late(false);
            if running.process.is_none() {
                self.bury(running);
            }
        }
        running.process.is_some()
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

/// Who asked may have gone, and what was put back is answered by others.
fn answer(job: Option<Job>, reply: ScanReply) {
    if let Some(job) = job {
        let _ = job.answer.send(reply);
    }
}

fn wait_after(deaths: u32) -> Duration {
    match deaths {
        0 => Duration::ZERO,
        n => LONGEST_WAIT.min(FIRST_WAIT * 2u32.saturating_pow(n.min(10) - 1)),
    }
}

#[cfg(test)]
mod tests;
