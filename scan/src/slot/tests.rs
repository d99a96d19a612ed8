//! Several jobs in the hand of one worker: a real one, or one that lies.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use khien_rules::sample::marked_pack;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use super::*;
use crate::{
    tests::{MARK, Told, file_of, program, wait_until},
    wire::Inbox,
};

/// Of a real worker; the others answer that the same file is clean.
const DONE: ScanOutcome = ScanOutcome::Matched;
/// Long enough for a real worker.
const LONG: u64 = 20_000;

#[test]
fn a_worker_that_keeps_dying_is_started_later_and_later() {
    assert_eq!(wait_after(0), Duration::ZERO);
    assert_eq!(wait_after(1), FIRST_WAIT);
    assert_eq!(wait_after(3), FIRST_WAIT * 4);
    assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
}

#[test]
fn a_worker_that_dies_with_eight_jobs_in_hand_died_of_the_first_and_the_others_are_done() {
    let tested = Tested::new();
    let process = Process::start(&program(), &tested.slot.pack).unwrap();
    let pid = Pid::from_raw(process.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let replies = tested.hand_in(&[LONG; IN_HAND]);

    thread::scope(|threads| {
        threads.spawn(|| tested.work(process));
        wait_until("the worker has all jobs", || tested.slot.queue.is_empty());
        kill_process(pid, Signal::KILL).unwrap();
    });

    let mut wanted = [DONE; IN_HAND];
    wanted[0] = ScanOutcome::Crashed;
    assert_eq!(outcomes(replies), wanted);
}

#[test]
fn a_job_over_which_a_worker_stands_still_times_out_alone() {
    let tested = Tested::new();
    let silent = lying(|socket, inbox| {
        asked(socket, inbox, 3);
        say(socket, &[1]);
        // It goes on to hold the second.
        let _ = inbox.receive::<Request>(socket, None);
    });

    let ends = tested.ends(silent, &[LONG, 50, LONG]);

    assert_eq!(ends, [ScanOutcome::Clean, ScanOutcome::Timeout, DONE]);
}

#[test]
fn an_answer_that_is_given_twice_is_not_taken_for_the_next_files() {
    let tested = Tested::new();
    let twice = lying(|socket, inbox| {
        asked(socket, inbox, 3);
        say(socket, &[1, 1]);
    });

    assert_eq!(tested.ends(twice, &[LONG; 3]), [ScanOutcome::Clean, ScanOutcome::Crashed, DONE]);
}

#[test]
fn an_answer_out_of_turn_is_no_answer() {
    let tested = Tested::new();
    let out_of_turn = lying(|socket, inbox| {
        asked(socket, inbox, 3);
        say(socket, &[2, 1, 3]);
    });

    assert_eq!(tested.ends(out_of_turn, &[LONG; 3]), [ScanOutcome::Crashed, DONE, DONE]);
}

#[test]
fn a_worker_that_says_more_than_it_was_asked_is_not_believed() {
    let tested = Tested::new();
    let talkative = lying(|socket, inbox| {
        asked(socket, inbox, 1);
        say(socket, &[1, 2]);
    });

    assert_eq!(tested.ends(talkative, &[LONG]), [ScanOutcome::Crashed]);
}

#[test]
fn a_worker_that_speaks_unasked_is_replaced_before_it_is_asked() {
    let (tested, has_spoken) = (Tested::new(), Arc::new(AtomicBool::new(false)));
    let speaks = Arc::clone(&has_spoken);
    let early = lying(move |socket, inbox| {
        say(socket, &[1]);
        speaks.store(true, Ordering::Release);
        let _ = inbox.receive::<Request>(socket, None);
    });
    wait_until("it has spoken", || has_spoken.load(Ordering::Acquire));

    assert_eq!(tested.ends(early, &[LONG; 2]), [DONE; 2]);
}

#[test]
fn jobs_behind_one_that_takes_long_are_done_by_another_worker() {
    let tested = Tested::new();
    *tested.slot.there.lock().unwrap() = vec![false; 2];
    let process = Process::start(&program(), &tested.slot.pack).unwrap();
    let pid = Pid::from_raw(process.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let mut replies = tested.hand_in(&[LONG; 3]);
    let behind = replies.split_off(1);

    thread::scope(|threads| {
        threads.spawn(|| tested.work(process));
        assert_eq!(outcomes(behind), [DONE; 2]);
        kill_process(pid, Signal::CONT).unwrap();
    });

    assert_eq!(outcomes(replies), [DONE]);
}

#[test]
fn a_large_file_is_done_alone() {
    let mut running = Running::with(None);
    assert!(running.takes_more());

    let given = |size| Given { number: 1, limit: LATE, bytes: 100, job: Some(job(LONG, size).0) };
    running.in_hand.push_back(given(SMALL));
    assert!(running.takes_more());
    running.in_hand.push_back(given(SMALL + 1));
    assert!(!running.takes_more());
}

#[test]
fn a_worker_that_was_late_gets_no_jobs_ahead_until_it_is_quick() {
    let (tested, mut running) = (Tested::new(), Running::with(None));
    *tested.slot.there.lock().unwrap() = vec![false; 2];
    running.in_hand.push_back(Given { number: 1, limit: LATE, bytes: 100, job: Some(job(LONG, 1).0) });
    assert!(running.takes_more());

    tested.slot.share(&mut running);

    assert!(!running.takes_more());
}

#[test]
fn a_further_worker_takes_no_more_where_the_first_must_do() {
    let mut tested = Tested::new();
    (tested.slot.number, tested.slot.alone) = (1, Arc::new(true.into()));
    let replies = tested.hand_in(&[LONG; 3]);
    let process = Process::start(&program(), &tested.slot.pack).unwrap();
    let Next::Job(job) = tested.slot.queue.next(Thread::First, Some(Duration::ZERO)) else { panic!("a job") };

    tested.slot.work_on(&mut Running::with(Some(process)), job);

    assert!(!tested.slot.queue.is_empty(), "the others wait for the first worker");
    drop(replies);
}

/// A slot without a thread of its own, and real workers for it.
struct Tested {
    slot: Slot,
    runtime: Runtime,
}

impl Tested {
    fn new() -> Self {
        let slot = Slot {
            number: 0,
            program: program(),
            pack: Arc::new(Brought::new(&marked_pack(1), None).unwrap()),
            queue: Arc::new(Queue::new(64, Duration::ZERO)),
            pids: Arc::default(),
            there: Arc::default(),
            alone: Arc::default(),
            rest: REST,
            gauge: Arc::new(Told::default()),
        };
        slot.queue.begins();
        Self { slot, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    /// Hands jobs in, each with the milliseconds that it may take.
    fn hand_in(&self, jobs: &[u64]) -> Vec<oneshot::Receiver<ScanReply>> {
        let hand_in = |millis: &u64| {
            let (job, reply) = job(*millis, MARK.len() as u64);
            self.runtime.block_on(self.slot.queue.hand_in(job));
            reply
        };
        jobs.iter().map(hand_in).collect()
    }

    /// Has a worker, and those that come after it, do all jobs.
    fn work(&self, process: Process) {
        let mut running = Running::with(Some(process));
        while let Next::Job(job) = self.slot.queue.next(Thread::First, Some(Duration::ZERO)) {
            self.slot.work_on(&mut running, job);
        }
    }

    fn ends(&self, process: Process, jobs: &[u64]) -> Vec<ScanOutcome> {
        let replies = self.hand_in(jobs);
        self.work(process);
        outcomes(replies)
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        self.slot.queue.close();
    }
}

fn outcomes(replies: Vec<oneshot::Receiver<ScanReply>>) -> Vec<ScanOutcome> {
    replies.into_iter().map(|reply| reply.blocking_recv().unwrap().scanned.outcome).collect()
}

fn job(millis: u64, size: u64) -> (Job, oneshot::Receiver<ScanReply>) {
    let (answer, reply) = oneshot::channel();
    let (what, limit) = (What::File, 1 << 20);
    let request = ScanRequest { number: 0, what, limit, millis, digest: false, externals: None };
    (Job { request, files: vec![file_of(MARK).into()], size, answer }, reply)
}

/// A worker that says what it likes.
fn lying(worker: impl FnOnce(&UnixStream, &mut Inbox) + Send + 'static) -> Process {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || worker(&theirs, &mut Inbox::of_worker()));
    Process::of(Command::new("sleep").arg("60").spawn().unwrap(), ours).unwrap()
}

/// Waits for so many requests.
fn asked(socket: &UnixStream, inbox: &mut Inbox, times: u64) {
    for number in 1..=times {
        match inbox.receive(socket, None).unwrap() {
            Some((Request::Scan(request), Some(_))) => assert_eq!(request.number, number),
            other => panic!("{other:?}"),
        }
    }
}

/// Says at once that the scans of these numbers ended clean.
fn say(mut socket: &UnixStream, numbers: &[u64]) {
    let mut bytes = Vec::new();
    for number in numbers {
        let reply = ScanReply { number: *number, ..without_answer(ScanOutcome::Clean) };
        let body = serde_json::to_vec(&Reply::Scanned(reply)).unwrap();
        bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend(body);
    }
    socket.write_all(&bytes).unwrap();
}
