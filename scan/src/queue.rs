//! The jobs that wait for a worker. The first worker is preferred, and may take some jobs ahead. A further one costs the
//! memory of all rules: it is called for only when many jobs wait and go on waiting, or when all that are there are late.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// So many jobs that wait are many.
const MANY: usize = 8;

/// Jobs of type `T` between those who hand them in and the threads that do them.
pub(super) struct Queue<T> {
    room: Semaphore,
    /// How long many may wait before one more thread is called for.
    patience: Duration,
    state: Mutex<State<T>>,
    /// Wakes the first thread.
    first: Condvar,
    /// Wakes the others.
    further: Condvar,
}

struct State<T> {
    jobs: VecDeque<T>,
    /// Jobs that were put back when there was no room.
    over: usize,
    closed: bool,
    /// Since when many wait.
    crowded: Option<Instant>,
    /// Threads that do jobs or wait for some.
    at_work: usize,
    /// Those of them whose job takes long.
    late: usize,
    first: Waiting,
    further: Waiting,
}

/// Threads that wait for a job, and how many of them were called and are on their way.
#[derive(Debug, Default)]
struct Waiting {
    there: usize,
    called: usize,
}

/// Which thread asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// The one that is preferred.
    First,
    /// Any other one.
    Further,
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
    /// Makes a queue in which so many jobs may wait, and many of them for so long.
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Self {
            room: Semaphore::new(most),
            patience,
            state: Mutex::new(State::new()),
            first: Condvar::new(),
            further: Condvar::new(),
        }
    }

    /// Hands a job in as soon as there is room. Returns whether one more thread is needed.
    pub(super) async fn hand_in(&self, job: T) -> bool {
        // The semaphore is never closed; without room there would be one job too many, which is no harm.
        if let Ok(room) = self.room.acquire().await {
            room.forget();
        }
        let mut state = self.state();
        state.jobs.push_back(job);
        if let Some(thread) = state.call() {
            self.bell(thread).notify_one();
        }
        self.needs_more(&mut state)
    }

    /// Waits for a job: as long as the thread says, or for ever.
    pub(super) fn next(&self, thread: Thread, patience: Option<Duration>) -> Next<T> {
        let until = patience.map(|p| Instant::now() + p);
        let mut state = self.state();
        loop {
            if let Some(job) = self.taken(&mut state) {
                return Next::Job(job);
            }
            if state.closed {
                return Next::Closed;
            }
            let left = until.map(|u| u.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Next::Idle;
            }
            state = self.wait(state, thread, left);
        }
    }

    /// Takes note of a thread that asks for jobs from now on.
    pub(super) fn begins(&self) {
        self.state().at_work += 1;
    }

    /// Takes note that a thread has asked for the last time.
    pub(super) fn ends(&self) {
        self.state().at_work -= 1;
    }

    /// Takes note that a thread's job takes long, or does so no more. Returns whether one more thread is needed.
    pub(super) fn set_late(&self, late: bool) -> bool {
        let mut state = self.state();
        state.late = if late { state.late + 1 } else { state.late.saturating_sub(1) };
        self.needs_more(&mut state)
    }

    /// Returns one more job, if it fits, to a thread that has some already. None as long as another thread could begin
    /// with it sooner: one that was called for it, or one that is there and about to ask.
    pub(super) fn another(&self, fits: impl Fn(&T) -> bool) -> Option<T> {
        let mut state = self.state();
        let left_for_others =
            (state.first.called + state.further.called).max(state.at_work.saturating_sub(1));
        let may_be_taken = state.jobs.len() > left_for_others && state.jobs.front().is_some_and(fits);
        may_be_taken.then(|| self.taken(&mut state)).flatten()
    }

    /// Puts jobs back that were taken and not done, before all others.
    pub(super) fn put_back(&self, jobs: impl DoubleEndedIterator<Item = T>) {
        let mut state = self.state();
        for job in jobs.rev() {
            state.over += 1 - self.room.forget_permits(1);
            state.jobs.push_front(job);
            if let Some(thread) = state.call() {
                self.bell(thread).notify_one();
            }
        }
    }

    /// Tells whether one more thread is needed for what waits.
    pub(super) fn is_short(&self) -> bool {
        let mut state = self.state();
        self.needs_more(&mut state)
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

    fn needs_more(&self, state: &mut State<T>) -> bool {
        let is_crowded = state.jobs.len() >= MANY;
        state.crowded = if is_crowded { state.crowded.or_else(|| Some(Instant::now())) } else { None };
        let for_long = state.crowded.is_some_and(|since| since.elapsed() >= self.patience);
        let waits_in_vain = state.late >= state.at_work && !state.jobs.is_empty();
        (for_long || waits_in_vain) && state.jobs.len() > state.first.there + state.further.there
    }

    fn taken(&self, state: &mut State<T>) -> Option<T> {
        let job = state.jobs.pop_front()?;
        if state.jobs.len() < MANY {
            state.crowded = None;
        }
        match state.over.checked_sub(1) {
            Some(less) => state.over = less,
            None => self.room.add_permits(1),
        }
        Some(job)
    }

    fn wait<'s>(
        &self,
        mut state: MutexGuard<'s, State<T>>,
        thread: Thread,
        left: Option<Duration>,
    ) -> MutexGuard<'s, State<T>> {
        let bell = self.bell(thread);
        state.waiting(thread).there += 1;
        let mut state = match left {
            None => bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(left) => bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.waiting(thread).wakes();
        state
    }

    fn bell(&self, thread: Thread) -> &Condvar {
        match thread {
            Thread::First => &self.first,
            Thread::Further => &self.further,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn new() -> Self {
        Self {
            jobs: VecDeque::new(),
            over: 0,
            closed: false,
            crowded: None,
            at_work: 0,
            late: 0,
            first: Waiting::default(),
            further: Waiting::default(),
        }
    }

    /// Says which thread to call for one more job: one that waits and was not called for another.
    fn call(&mut self) -> Option<Thread> {
        if self.first.call() {
            return Some(Thread::First);
        }
        self.further.call().then_some(Thread::Further)
    }

    fn waiting(&mut self, thread: Thread) -> &mut Waiting {
        match thread {
            Thread::First => &mut self.first,
            Thread::Further => &mut self.further,
        }
    }
}

impl Waiting {
    fn call(&mut self) -> bool {
        let is_one_free = self.called < self.there;
        self.called += usize::from(is_one_free);
        is_one_free
    }

    /// One of them wakes. Whatever woke it, it takes a job if there is one, and so answers a call.
    fn wakes(&mut self) {
        self.there -= 1;
        self.called = self.called.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Thread::{First, Further},
        *,
    };

    const NONE: Duration = Duration::ZERO;
    const NEVER: Option<Duration> = Some(NONE);

    fn hand_in(queue: &Queue<u8>, job: u8) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(queue.hand_in(job))
    }

    #[test]
    fn jobs_come_in_order_and_what_waits_is_done_before_the_end() {
        let queue = Queue::new(4, NONE);

        assert!(hand_in(&queue, 1) && hand_in(&queue, 2), "there is nobody at work");
        queue.close();

        assert_eq!([queue.next(First, None), queue.next(Further, NEVER)], [Next::Job(1), Next::Job(2)]);
        assert_eq!([queue.next(First, None), queue.next(Further, NEVER)], [Next::Closed, Next::Closed]);
    }

    #[test]
    fn what_was_handed_in_while_a_thread_went_is_not_forgotten() {
        let queue = Queue::new(4, Duration::from_secs(3_600));
        queue.begins();
        queue.begins();
        queue.set_late(true);
        assert!(!hand_in(&queue, 1), "the other one may take it");

        queue.ends();

        assert!(queue.is_short());
    }

    #[test]
    fn a_further_thread_without_work_goes() {
        let queue = Queue::<u8>::new(4, NONE);

        assert_eq!(queue.next(Further, NEVER), Next::Idle);
        assert_eq!(queue.next(Further, Some(Duration::from_millis(1))), Next::Idle);
    }

    #[test]
    fn a_job_goes_to_the_first_thread_while_it_waits_and_calls_for_nobody() {
        let queue = Queue::new(4, NONE);

        std::thread::scope(|threads| {
            let first = threads.spawn(|| queue.next(First, None));
            while queue.state().first.there == 0 {
                std::thread::yield_now();
            }
            assert!(!hand_in(&queue, 7));
            assert_eq!(first.join().unwrap(), Next::Job(7));
        });
    }

    #[test]
    fn two_quick_jobs_call_two_threads_and_a_third_one_calls_nobody() {
        let queue = Queue::<u8>::new(4, NONE);
        let mut state = queue.state();
        (state.first.there, state.further.there) = (1, 1);

        // None of those that were called has woken yet.
        assert_eq!([state.call(), state.call(), state.call()], [Some(First), Some(Further), None]);

        // One that wakes and waits again can be called again.
        state.first.wakes();
        state.first.there += 1;
        assert_eq!([state.call(), state.call()], [Some(First), None]);
    }

    #[test]
    fn a_thread_takes_jobs_ahead_and_leaves_those_with_which_others_could_begin() {
        let queue = Queue::new(4, NONE);
        let another = |queue: &Queue<u8>| queue.another(|_| true);
        (1..=4).for_each(|job| _ = hand_in(&queue, job));
        queue.begins();
        assert_eq!((queue.next(First, None), another(&queue)), (Next::Job(1), Some(2)), "it is alone");
        assert_eq!(queue.another(|job| *job != 3), None, "the next one does not fit");

        queue.begins();
        assert_eq!((another(&queue), another(&queue)), (Some(3), None), "the last one is the other's");

        (5..=6).for_each(|job| _ = hand_in(&queue, job));
        queue.state().further = Waiting { there: 2, called: 2 };
        assert_eq!((another(&queue), another(&queue)), (Some(4), None), "two were called for the other two");
        queue.ends();
        assert_eq!(another(&queue), None);
    }

    #[test]
    fn one_more_thread_is_needed_when_those_at_work_are_late_or_many_jobs_wait_for_long() {
        let patient = Queue::new(64, Duration::from_secs(3_600));
        patient.begins();
        assert!(!(0..20).any(|job| hand_in(&patient, job)), "the one that is there may catch up");
        assert!(patient.set_late(true) && hand_in(&patient, 20));
        assert!(!patient.set_late(false) && !hand_in(&patient, 21));

        let impatient = Queue::new(64, NONE);
        impatient.begins();
        let needed: Vec<_> = (1..=8).map(|job| hand_in(&impatient, job)).collect();
        assert_eq!(needed.iter().position(|needed| *needed), Some(MANY - 1));
        impatient.next(First, None);
        assert!(impatient.state().crowded.is_none(), "so many do not wait any more");
    }

    #[test]
    fn jobs_that_are_put_back_are_the_next_in_their_order_and_make_no_room() {
        let queue = Queue::new(4, NONE);
        (1..=4).for_each(|job| _ = hand_in(&queue, job));
        let taken = [queue.next(First, NEVER), queue.next(First, NEVER)];
        assert_eq!(taken, [Next::Job(1), Next::Job(2)]);
        hand_in(&queue, 5);

        queue.put_back([1, 2].into_iter());

        assert_eq!(queue.room.available_permits(), 0);
        let all: Vec<_> = std::iter::from_fn(|| match queue.next(First, NEVER) {
            Next::Job(job) => Some(job),
            Next::Idle | Next::Closed => None,
        })
        .collect();
        assert_eq!(all, [1, 2, 3, 4, 5]);
        assert_eq!(queue.room.available_permits(), 4);
    }

    #[test]
    fn a_further_thread_that_waits_does_the_job_that_the_first_has_no_time_for() {
        let queue = Queue::new(4, NONE);

        std::thread::scope(|threads| {
            let further = threads.spawn(|| queue.next(Further, Some(Duration::from_secs(20))));
            while queue.state().further.there == 0 {
                std::thread::yield_now();
            }
            // The first thread was called for a job and is on its way.
            queue.state().first = Waiting { there: 1, called: 1 };
            assert!(!hand_in(&queue, 7));
            assert_eq!(further.join().unwrap(), Next::Job(7));
        });
    }
}
