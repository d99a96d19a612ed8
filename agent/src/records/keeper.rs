//! The thread that writes records, and says what there is to search.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{Timestamp, asset::RecordsState};
use tokio::sync::oneshot;

use super::{
    Limits, WAIT,
    block::Block,
    bounds::Bounds,
    inbox::{Inbox, Turn},
    search::Shelf,
    state_none,
    store::Store,
};
use crate::health::Meter;

/// How often it is told how far back records reach.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What the thread is asked for, when all that waited is written.
#[derive(Debug)]
pub(super) enum Ask {
    /// What there is to look through.
    Shelf(oneshot::Sender<Shelf>),
    /// To note that nothing waits: the agent ends.
    Rest(oneshot::Sender<()>),
    /// To note whether anything is seen of a part from now on.
    Sight {
        /// The interface.
        scope: String,
        /// Whether anything is.
        sees: bool,
        /// Since when.
        at: Timestamp,
    },
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) inbox: Arc<Inbox<Ask>>,
    /// Where it is stated that nothing is kept any more.
    pub(super) meter: Arc<Meter>,
    /// Since when it could not be put down that records were lost.
    pub(super) unnoted: Option<Timestamp>,
    /// How much is kept, and how many bytes were there at the start.
    pub(super) bounds: Bounds,
    pub(super) there: u64,
    /// When it was told last how far back records reach.
    pub(super) told: Instant,
}

impl Keeper {
    /// Writes until nothing more comes.
    pub(super) fn run(mut self) {
        loop {
            let Turn { blocks, asked, lost, is_last } = self.inbox.take(WAIT);
            let now = Timestamp::now();
            self.obey();
            let unwritten = self.write(&blocks, now);
            self.inbox.tell(unwritten);
            let lost = self.note_lost(lost.saturating_add(unwritten), now);
            asked.into_iter().for_each(|ask| self.answer(ask, lost));
            if self.told.elapsed() >= TELL_EVERY {
                self.tell(Timestamp::now());
            }
            if is_last {
                return self.rest();
            }
        }
    }

    /// Takes over what the policy says now.
    pub(super) fn obey(&mut self) {
        self.store.obey(self.bounds.in_force(self.there));
    }

    /// Tells how far back records reach, and for how long there is room.
    pub(super) fn tell(&mut self, now: Timestamp) {
        let (Limits { days, bytes: limit }, policy_days) = self.bounds.told();
        let lasts_days = self.store.daily(now).and_then(|daily| limit.checked_div(daily));
        let (since, bytes) = (self.store.since(), self.store.bytes());
        self.meter.keeps_records(RecordsState { since, bytes, limit, days, policy_days, lasts_days });
        self.told = Instant::now();
    }

    /// Writes blocks and returns how many records could not be.
    fn write(&mut self, blocks: &[Block], now: Timestamp) -> u64 {
        let many: usize = blocks.iter().map(Block::many).sum();
        if many == 0 {
            return 0;
        }
        match self.store.add(blocks, now) {
            Ok(()) => 0,
            Err(error) => {
                tracing::error!(%error, records = many, "records of the network are lost");
                many as u64
            }
        }
    }

    /// Puts down what was lost beside what was not, so that a search knows of it after the next start, too. Returns what could
    /// not be put down; that is tried again.
    fn note_lost(&mut self, many: u64, now: Timestamp) -> u64 {
        if many == 0 {
            return 0;
        }
        let since = *self.unnoted.get_or_insert(now);
        if self.store.note_lost(many, (since.min(now), now)).is_ok() {
            self.unnoted = None;
            return 0;
        }
        self.inbox.lose(many);
        many
    }

    fn answer(&mut self, ask: Ask, lost: u64) {
        // Who asked may have gone.
        match ask {
            Ask::Shelf(answer) => {
                match self.store.shelf(lost, Timestamp::now()) {
                    Ok(shelf) => drop(answer.send(shelf)),
                    // Who asked hears that there is no answer.
                    Err(error) => tracing::error!(%error, "the records cannot be searched"),
                }
            }
            Ask::Sight { scope, sees, at } => {
                if let Err(error) = self.store.sight(scope, sees, at) {
                    tracing::error!(%error, "hunts will not say that nothing was seen");
                }
            }
            Ask::Rest(answer) => {
                self.rest();
                let _ = answer.send(());
            }
        }
    }

    fn rest(&self) {
        if let Err(error) = self.store.rest(Timestamp::now()) {
            tracing::warn!(%error, "the next start takes records for lost that are there");
        }
    }
}

impl Drop for Keeper {
    /// However the thread ends, nobody waits for it.
    fn drop(&mut self) {
        if !self.inbox.close() {
            tracing::error!("no more records of the network are kept: their thread ended");
            state_none(&self.meter);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::{
        super::{
            Limits,
            tests::{at, domain, query, tls},
        },
        *,
    };

    const HOUR: i64 = 3_600;

    fn keeper(dir: &Path) -> Keeper {
        let limits = Limits { days: 90, bytes: 256 << 20 };
        let store = Store::open(dir.to_owned(), limits, at(0)).unwrap();
        let (inbox, meter, bounds) = (Arc::default(), Arc::default(), limits.into());
        Keeper { store, inbox, meter, unnoted: None, bounds, there: 0, told: Instant::now() }
    }

    /// Has so many records come, and returns how many are lost without a note of it.
    fn turn(keeper: &mut Keeper, records: i64, second: i64) -> u64 {
        (0..records).for_each(|n| keeper.inbox.put([&tls(second + n, "a.example")]));
        let Turn { blocks, lost, .. } = keeper.inbox.take(Duration::ZERO);
        let unwritten = keeper.write(&blocks, at(second));
        keeper.note_lost(lost + unwritten, at(second))
    }

    /// Has every table refuse rows, as on a full disk, until the answer is dropped.
    struct Full(rusqlite::Connection);

    impl Full {
        fn new(dir: &Path) -> Self {
            let full = Self(rusqlite::Connection::open(dir.join("00000000.records")).unwrap());
            full.change(|table| {
                format!("CREATE TRIGGER {table}_full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END")
            });
            full
        }

        fn change(&self, sql: impl Fn(&str) -> String) {
            ["block", "lost"].iter().for_each(|table| self.0.execute_batch(&sql(table)).unwrap());
        }
    }

    impl Drop for Full {
        fn drop(&mut self) {
            self.change(|table| format!("DROP TRIGGER {table}_full"));
        }
    }

    #[test]
    fn what_is_lost_on_a_full_disk_is_noted_for_all_that_time_when_there_is_room_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path());
        let full = Full::new(dir.path());

        assert_eq!(turn(&mut keeper, 5, 0), 5, "they are lost, and that could not be put down");
        assert_eq!(turn(&mut keeper, 2, HOUR), 7, "none is forgotten");
        drop(full);
        assert_eq!(turn(&mut keeper, 1, 2 * HOUR), 0, "now it is put down");
        assert_eq!(turn(&mut keeper, 1, 3 * HOUR), 0, "once");

        let lost = |since| {
            keeper
                .store
                .shelf(0, at(9 * HOUR))
                .unwrap()
                .search(&query(domain("a.example"), since, since + 10))
                .lost
        };
        assert_eq!([0, HOUR / 2, HOUR, 2 * HOUR - 10].map(lost), [7; 4], "for all of that time");
        assert_eq!([-HOUR, 2 * HOUR + 1, 3 * HOUR].map(lost), [0; 3], "and for no other");
    }

    #[test]
    fn what_is_lost_later_is_noted_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path());
        for second in [0, 5 * HOUR] {
            let full = Full::new(dir.path());
            assert_eq!(turn(&mut keeper, 3, second), 3);
            drop(full);
            assert_eq!(turn(&mut keeper, 1, second + HOUR), 0);
        }

        let lost = |since| {
            keeper
                .store
                .shelf(0, at(9 * HOUR))
                .unwrap()
                .search(&query(domain("a.example"), since, since + 10))
                .lost
        };

        assert_eq!([HOUR / 2, 3 * HOUR, 5 * HOUR + HOUR / 2].map(lost), [3, 0, 3]);
    }
}
