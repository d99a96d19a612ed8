//! Threads that open files. A file system that does not answer holds who opens a file there, maybe for ever: that thread
//! alone then, and no other file. Few threads open many files, since each hand-over costs more than to open one.

use std::{
    collections::{HashMap, VecDeque},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use khien_core::Untrusted;
use khien_scan::open::{NotOpened, Opened};
use tokio::{sync::oneshot, time::timeout};
use tracing::warn;

use super::files::Link;

/// How long opening may take; a file system in user space can hold it for ever.
const OPENING: Duration = Duration::from_secs(10);
/// A thread that has not opened its file by then is held: another one goes on in its place.
const QUICK: Duration = Duration::from_millis(50);
/// Threads that are not held.
const AT_WORK: usize = 2;
/// Threads at all. When so many are held, a file that waits for one in vain is told as unreadable.
const MOST: usize = 64;
/// How long a thread is kept without work.
const IDLE: Duration = Duration::from_secs(10);

/// What opens a file.
type Open = fn(&Path, Link) -> Result<Opened, NotOpened>;

/// Opens files; its threads end with it, but for those that are held.
pub(super) struct Openers(Arc<Shared>);

struct Shared {
    open: Open,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    asked: VecDeque<Wish>,
    /// By number: since when a thread opens the file that it has; none, if it waits for one.
    threads: HashMap<u64, Option<Instant>>,
    started: u64,
    closed: bool,
}

/// A file to be opened.
struct Wish {
    path: PathBuf,
    link: Link,
    answer: oneshot::Sender<Result<Opened, NotOpened>>,
}

impl Default for Openers {
    fn default() -> Self {
        Self::with(|path, link| match link {
            Link::Behind => Opened::at_or_behind(path),
            Link::Elsewhere => Opened::at(path),
        })
    }
}

impl Openers {
    fn with(open: Open) -> Self {
        Self(Arc::new(Shared { open, state: Mutex::default(), bell: Condvar::new() }))
    }

    /// Opens a file, or gives it up after ten seconds.
    pub(super) async fn open(&self, path: &Untrusted, link: Link) -> Result<Opened, NotOpened> {
        let (answer, mut opened) = oneshot::channel();
        let path = PathBuf::from(OsStr::from_bytes(path.raw()));
        self.0.ask(Wish { path, link, answer });
        let until = Instant::now() + OPENING;
        loop {
            match timeout(QUICK, &mut opened).await {
                Ok(opened) => return opened.unwrap_or(Err(NotOpened::Unreadable)),
                Err(_) if Instant::now() >= until => {
                    opened.close();
                    self.0.state().asked.retain(|wish| !wish.answer.is_closed());
                    return Err(NotOpened::Unreadable);
                }
                Err(_) => self.0.relieve(&mut self.0.state()),
            }
        }
    }
}

impl Drop for Openers {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.bell.notify_all();
    }
}

impl Shared {
    fn ask(self: &Arc<Self>, wish: Wish) {
        let mut state = self.state();
        state.asked.push_back(wish);
        match state.threads.values().any(Option::is_none) {
            true => self.bell.notify_one(),
            false => self.relieve(&mut state),
        }
    }

    /// Starts a thread where files wait and too few that are not held are there to open them.
    fn relieve(self: &Arc<Self>, state: &mut State) {
        let is_held = |since: &&Option<Instant>| since.is_some_and(|at| at.elapsed() >= QUICK);
        let held = state.threads.values().filter(is_held).count();
        let there = state.threads.len();
        if state.asked.is_empty() || there - held >= AT_WORK || there >= MOST {
            return;
        }
        state.started = state.started.wrapping_add(1);
        let (number, shared) = (state.started, Arc::clone(self));
        state.threads.insert(number, None);
        let run = move || shared.run(number);
        if let Err(error) = thread::Builder::new().name(format!("open-{number}")).spawn(run) {
            state.threads.remove(&number);
            warn!(%error, "no thread to open files");
        }
    }

    fn run(&self, number: u64) {
        while let Some(Wish { path, link, answer }) = self.next(number) {
            // Who asked may have given it up: then it is not opened.
            if !answer.is_closed() {
                let _ = answer.send((self.open)(&path, link));
            }
        }
    }

    /// Waits for a file. None: the thread is to end, and is forgotten.
    fn next(&self, number: u64) -> Option<Wish> {
        let (mut state, mut is_over) = (self.state(), false);
        loop {
            if let Some(wish) = state.asked.pop_front() {
                state.threads.insert(number, Some(Instant::now()));
                return Some(wish);
            }
            if is_over || state.closed {
                state.threads.remove(&number);
                return None;
            }
            state.threads.insert(number, None);
            let (woken, waited) = self.bell.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            (state, is_over) = (woken, waited.timed_out());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// Files whose opening is not answered, and whether it is by now.
    static HELD: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    static OPENED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn files_whose_opening_is_not_answered_hold_up_no_other() {
        let openers = Openers::with(|path, _| {
            if path.ends_with("held") {
                OPENED.fetch_add(1, SeqCst);
                let (answered, bell) = &HELD;
                drop(bell.wait_while(answered.lock().unwrap(), |answered| !*answered).unwrap());
            }
            Opened::at(path)
        });
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let named = |name: &str| Untrusted::new(dir.join(name).as_os_str().as_bytes());
        let [held, good] = ["held", "good"].map(named);
        std::fs::write(dir.join("held"), "").unwrap();
        std::fs::write(dir.join("good"), "").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

        runtime.block_on(async {
            let all = async {
                tokio::join!(
                    openers.open(&held, Link::Behind),
                    openers.open(&held, Link::Behind),
                    openers.open(&held, Link::Behind)
                )
            };
            tokio::pin!(all);
            tokio::select! {
                biased;
                early = &mut all => panic!("they were not answered: {early:?}"),
                opened = openers.open(&good, Link::Behind) => assert!(opened.is_ok()),
            }
            assert!(OPENED.load(SeqCst) >= AT_WORK, "all that there was to begin with was held");

            *HELD.0.lock().unwrap() = true;
            HELD.1.notify_all();
            let (first, second, third) = all.await;
            assert!([first, second, third].iter().all(Result::is_ok), "they are opened when it answers");
        });
        let state = Arc::clone(&openers.0);
        drop(openers);
        while !state.state().threads.is_empty() {
            thread::yield_now();
        }
    }
}
