//! The jobs that wait for a worker. The first worker is preferred; a further one is called for only when all are busy.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// Jobs of type `T` between those who hand them in and the threads that do them.
pub(super) struct Queue<T> {
    room: Semaphore,
    state: Mutex<State<T>>,
    /// Wakes the first thread, which never ends for want of work.
    first: Condvar,
    /// Wakes the others.
    further: Condvar,
}

struct State<T> {
    jobs: VecDeque<T>,
    closed: bool,
    first_waits: bool,
    further_wait: usize,
}

/// What a thread gets that asks for work.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// A job.
    Job(T),
    /// There was none for as long as the thread was willing to wait.
    Idle,
    /// There will be none.
    Closed,
}

impl<T> Queue<T> {
    /// Makes a queue in which so many jobs may wait.
    pub(super) fn new(most: usize) -> Self {
        let state = State { jobs: VecDeque::new(), closed: false, first_waits: false, further_wait: 0 };
        Self {
            room: Semaphore::new(most),
            state: Mutex::new(state),
            first: Condvar::new(),
            further: Condvar::new(),
        }
    }

    /// Hands a job in as soon as there is room. Returns whether more jobs wait than threads do.
    pub(super) async fn hand_in(&self, job: T) -> bool {
        // The semaphore is never closed; without room there would be one job too many, which is no harm.
        if let Ok(room) = self.room.acquire().await {
            room.forget();
        }
        let mut state = self.state();
        state.jobs.push_back(job);
        match state.first_waits {
            true => self.first.notify_one(),
            false => self.further.notify_one(),
        }
        state.jobs.len() > state.further_wait + usize::from(state.first_waits)
    }

    /// Waits for a job: the first thread for ever, any other one as long as it says.
    pub(super) fn next(&self, patience: Option<Duration>) -> Next<T> {
        let until = patience.map(|p| Instant::now() + p);
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                self.room.add_permits(1);
                return Next::Job(job);
            }
            if state.closed {
                return Next::Closed;
            }
            state = match until.map(|u| u.saturating_duration_since(Instant::now())) {
                None => self.wait_first(state),
                Some(Duration::ZERO) => return Next::Idle,
                Some(left) => self.wait_further(state, left),
            };
        }
    }

    /// Tells whether no job waits.
    pub(super) fn is_empty(&self) -> bool {
        self.state().jobs.is_empty()
    }

    /// Ends the threads once what waits is done.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.first.notify_all();
        self.further.notify_all();
    }

    fn wait_first<'s>(&self, mut state: MutexGuard<'s, State<T>>) -> MutexGuard<'s, State<T>> {
        state.first_waits = true;
        let mut state = self.first.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.first_waits = false;
        state
    }

    fn wait_further<'s>(
        &self,
        mut state: MutexGuard<'s, State<T>>,
        left: Duration,
    ) -> MutexGuard<'s, State<T>> {
        state.further_wait += 1;
        let (mut state, _) = self.further.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        state.further_wait -= 1;
        state
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Option<Duration> = Some(Duration::ZERO);

    fn hand_in(queue: &Queue<u8>, job: u8) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(queue.hand_in(job))
    }

    #[test]
    fn jobs_come_in_order_and_what_waits_is_done_before_the_end() {
        let queue = Queue::new(4);

        assert!(hand_in(&queue, 1) && hand_in(&queue, 2), "nobody waits for them");
        queue.close();

        assert_eq!([queue.next(None), queue.next(NEVER)], [Next::Job(1), Next::Job(2)]);
        assert_eq!([queue.next(None), queue.next(NEVER)], [Next::Closed, Next::Closed]);
    }

    #[test]
    fn a_further_thread_without_work_goes() {
        let queue = Queue::<u8>::new(4);

        assert_eq!(queue.next(NEVER), Next::Idle);
        assert_eq!(queue.next(Some(Duration::from_millis(1))), Next::Idle);
    }

    #[test]
    fn a_job_goes_to_the_first_thread_while_it_waits_and_calls_for_nobody() {
        let queue = Queue::new(4);

        std::thread::scope(|threads| {
            let first = threads.spawn(|| queue.next(None));
            while !queue.state().first_waits {
                std::thread::yield_now();
            }
            assert!(!hand_in(&queue, 7));
            assert_eq!(first.join().unwrap(), Next::Job(7));
        });
    }
}
