//! Asks the kernel what a process may keep from being answered: who holds the map of his own memory, for example by a file
//! system of his own that does not answer, holds whoever reads his arguments. That is a thread of its own then, which is
//! left behind.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tracing::warn;

/// How long an answer is waited for.
const ASKING: Duration = Duration::from_millis(100);
/// Threads that are left behind. With so many, nothing more is asked until one of them is answered.
const MOST_HELD: usize = 8;

type Answer = Option<Vec<u8>>;

/// A question, and where its answer goes.
struct Question {
    work: Box<dyn FnOnce() -> Answer + Send>,
    answer: mpsc::SyncSender<Answer>,
}

/// One thread that asks, and those that were left behind.
#[derive(Debug, Default)]
pub(super) struct Asker {
    thread: Mutex<Option<mpsc::Sender<Question>>>,
    held: Arc<AtomicUsize>,
}

impl Asker {
    /// Returns the answer; none where there is none in time.
    pub(super) fn ask(&self, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = match thread.take() {
            Some(asked) => asked,
            None => self.start()?,
        };
        let (answer, answered) = mpsc::sync_channel(1);
        asked.send(Question { work: Box::new(work), answer }).ok()?;
        if let Ok(answer) = answered.recv_timeout(ASKING) {
            *thread = Some(asked);
            return answer;
        }
        // Its channel ends here: it ends too, once it is answered.
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        warn!(held, "a process does not let its arguments be read");
        None
    }

    fn start(&self) -> Option<mpsc::Sender<Question>> {
        if self.held.load(Ordering::Relaxed) >= MOST_HELD {
            return None;
        }
        let (ask, asked) = mpsc::channel::<Question>();
        let held = Arc::clone(&self.held);
        let run = move || {
            for Question { work, answer } in asked {
                // Who asked may not wait any more.
                let _ = answer.send(work());
            }
            // Nobody asks it any more: it was left behind.
            held.fetch_sub(1, Ordering::Relaxed);
        };
        thread::Builder::new().name("watch-command".to_owned()).spawn(run).ok().map(|_| ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_holds_up_no_other_question_and_only_so_many_wait() {
        let (asker, (release, held)) = (Asker::default(), mpsc::channel::<()>());
        let held = Arc::new(Mutex::new(held));
        let silent = || {
            let held = Arc::clone(&held);
            move || {
                let _ = held.lock().unwrap().recv();
                Some(vec![7])
            }
        };

        for _ in 0..MOST_HELD {
            assert_eq!(asker.ask(|| Some(vec![1])), Some(vec![1]));
            assert_eq!(asker.ask(silent()), None);
        }
        assert_eq!(asker.ask(|| Some(vec![1])), None, "no thread is left behind any more");

        drop(release);
        while asker.held.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        assert_eq!(asker.ask(|| Some(vec![1])), Some(vec![1]));
    }
}
