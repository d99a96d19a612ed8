//! What waits to be written: the block that is filled, and few full ones. Whoever sees records puts them in and never waits;
//! what finds no room is counted. Nobody is woken for a record.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use khien_core::traffic::Record;

use super::{RecordsError, block::Block};

/// Full blocks that may wait: with what a block may hold that is some 4 MiB.
const MOST_FULL: usize = 8;

/// What waits for the thread that writes.
#[derive(Debug)]
pub(super) struct Inbox<A> {
    state: Mutex<State<A>>,
    changed: Condvar,
    /// There is room again.
    taken: Condvar,
}

#[derive(Debug)]
struct State<A> {
    filling: Block,
    /// Since when the first record of it waits.
    since: Option<Instant>,
    full: VecDeque<Block>,
    asked: Vec<A>,
    lost: u64,
    /// Of what was lost, what nobody was told of.
    untold: u64,
    is_closed: bool,
}

/// What there is to do.
#[derive(Debug)]
pub(super) struct Turn<A> {
    /// To be written.
    pub(super) blocks: Vec<Block>,
    /// To be answered when that is done.
    pub(super) asked: Vec<A>,
    /// Records that were lost since the last turn.
    pub(super) lost: u64,
    /// Whether nothing more comes.
    pub(super) is_last: bool,
}

impl<A> Default for Inbox<A> {
    fn default() -> Self {
        let state = State {
            filling: Block::default(),
            since: None,
            full: VecDeque::new(),
            asked: Vec::new(),
            lost: 0,
            untold: 0,
            is_closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), taken: Condvar::new() }
    }
}

impl<A> Inbox<A> {
    /// Puts records in, those for which there is room.
    pub(super) fn put<'r>(&self, records: impl IntoIterator<Item = &'r Record>) {
        let state = &mut *self.locked();
        for record in records {
            if let Err(error) = state.put(record) {
                tracing::error!(%error, "a record of the network is lost");
                state.lose();
            }
        }
        if !state.full.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Waits until few blocks wait, but not for longer than this, and not for nobody.
    pub(super) fn wait_for_room(&self, most: Duration) {
        let is_full = |state: &mut State<A>| state.full.len() > MOST_FULL / 2 && !state.is_closed;
        // A poisoned lock is taken as it is, here too.
        drop(self.taken.wait_timeout_while(self.locked(), most, is_full));
    }

    /// Asks for something. Nobody answers any more when it was closed.
    pub(super) fn ask(&self, what: A) {
        let mut state = self.locked();
        if !state.is_closed {
            state.asked.push(what);
            self.changed.notify_one();
        }
    }

    /// Returns how many records were lost that nobody was told of.
    pub(super) fn take_untold(&self) -> u64 {
        std::mem::take(&mut self.locked().untold)
    }

    /// Has it told that records could not be written.
    pub(super) fn tell(&self, many: u64) {
        let mut state = self.locked();
        state.untold = state.untold.saturating_add(many);
    }

    /// Counts records of which it could not be put down that they were lost.
    pub(super) fn lose(&self, many: u64) {
        let mut state = self.locked();
        state.lost = state.lost.saturating_add(many);
    }

    /// Says that nothing more comes, or that nobody takes it. Returns whether that was said before.
    pub(super) fn close(&self) -> bool {
        let mut state = self.locked();
        let was_closed = std::mem::replace(&mut state.is_closed, true);
        // Whoever asked hears that there is no answer.
        state.asked.clear();
        self.changed.notify_one();
        self.taken.notify_all();
        was_closed
    }

    /// Waits until a block is full, something is asked for, or a record has waited for so long; where there is nothing to do,
    /// also no longer than that.
    pub(super) fn take(&self, most: Duration) -> Turn<A> {
        let mut state = self.locked();
        let (mut rest, began) = (most, Instant::now());
        while !state.is_due(most) && (state.since.is_some() || began.elapsed() < most) {
            let waited = self.changed.wait_timeout(state, rest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            rest = state.since.map_or(most, |since| most.saturating_sub(since.elapsed()));
        }
        let mut blocks: Vec<Block> = state.full.drain(..).collect();
        self.taken.notify_all();
        let is_late = state.since.is_some_and(|since| since.elapsed() >= most);
        if is_late || !state.asked.is_empty() || state.is_closed {
            state.since = None;
            blocks.push(std::mem::take(&mut state.filling));
        }
        Turn {
            blocks,
            asked: std::mem::take(&mut state.asked),
            lost: std::mem::take(&mut state.lost),
            is_last: state.is_closed,
        }
    }

    fn locked(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> State<A> {
    fn put(&mut self, record: &Record) -> Result<(), RecordsError> {
        if self.is_closed {
            // That nothing is kept any more is said elsewhere.
            self.lost += 1;
            return Ok(());
        }
        if self.full.len() >= MOST_FULL {
            self.lose();
            return Ok(());
        }
        self.filling.add(record)?;
        self.since.get_or_insert_with(Instant::now);
        if self.filling.is_full() {
            self.since = None;
            self.full.push_back(std::mem::take(&mut self.filling));
        }
        Ok(())
    }

    fn lose(&mut self) {
        self.lost += 1;
        self.untold += 1;
    }

    fn is_due(&self, most: Duration) -> bool {
        !self.full.is_empty()
            || !self.asked.is_empty()
            || self.is_closed
            || self.since.is_some_and(|since| since.elapsed() >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::tls, *};

    /// Nothing waits for so long.
    const LONG: Duration = Duration::from_secs(3_600);

    fn many(turn: &Turn<u8>) -> usize {
        turn.blocks.iter().map(Block::many).sum()
    }

    #[test]
    fn a_full_block_is_taken_by_itself_and_the_rest_when_it_is_late_or_asked_for() {
        let inbox = Inbox::default();
        let record = tls(1, "a.example");
        while inbox.locked().full.is_empty() {
            inbox.put([&record]);
        }
        inbox.put([&record, &record]);

        assert!(many(&inbox.take(LONG)) > 1_000);
        assert_eq!(inbox.locked().filling.many(), 2, "it waits for more");
        assert_eq!(many(&inbox.take(Duration::ZERO)), 2, "but not for long");
        inbox.put([&record]);
        inbox.ask(7);
        let turn = inbox.take(LONG);

        assert_eq!((many(&turn), turn.asked, turn.is_last), (1, vec![7], false));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_memory_stays_small() {
        let inbox = Inbox::<u8>::default();
        let long = tls(1, &"x".repeat(200 << 10));

        (0..100).for_each(|_| inbox.put([&long]));
        let turn = inbox.take(LONG);

        assert_eq!(turn.blocks.len(), MOST_FULL);
        assert_eq!(many(&turn) as u64 + turn.lost, 100);
        assert!(turn.lost > 50);
        assert_eq!([inbox.take_untold(), inbox.take_untold()], [turn.lost, 0], "it is told once");
        inbox.lose(5);
        inbox.put([&long]);
        assert_eq!(inbox.take(Duration::ZERO).lost, 5, "there is room again");
    }

    #[test]
    fn whoever_waits_for_room_goes_on_when_there_is_some() {
        let inbox = Inbox::<u8>::default();
        let long = tls(1, &"x".repeat(200 << 10));
        (0..100).for_each(|_| inbox.put([&long]));
        inbox.wait_for_room(Duration::ZERO);

        std::thread::scope(|scope| {
            let waits = scope.spawn(|| inbox.wait_for_room(LONG));
            assert_eq!(inbox.take(LONG).blocks.len(), MOST_FULL);
            waits.join().unwrap();
        });
        inbox.wait_for_room(LONG);
    }

    #[test]
    fn nobody_waits_for_what_is_closed() {
        let inbox = Inbox::default();
        let (answer, mut asked) = tokio::sync::oneshot::channel::<()>();
        inbox.ask(answer);
        inbox.put([&tls(1, "a.example")]);

        inbox.close();

        assert!(
            asked.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Closed)
        );
        let turn = inbox.take(LONG);
        assert!(turn.is_last && turn.blocks[0].many() == 1);
        inbox.ask(tokio::sync::oneshot::channel().0);
        assert!(inbox.locked().asked.is_empty());
    }
}
