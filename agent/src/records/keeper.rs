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
            self.obey();
            let unwritten = self.write(&blocks);
            let lost = self.note_lost(lost.saturating_add(unwritten));
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
    fn write(&mut self, blocks: &[Block]) -> u64 {
        let many: usize = blocks.iter().map(Block::many).sum();
        if many == 0 {
            return 0;
        }
        match self.store.add(blocks, Timestamp::now()) {
            Ok(()) => 0,
            Err(error) => {
                tracing::error!(%error, records = many, "records of the network are lost");
                many as u64
            }
        }
    }

    /// Puts down what was lost beside what was not, so that a search knows of it after the next start, too. Returns what could
    /// not be put down; that is tried again.
    fn note_lost(&mut self, many: u64) -> u64 {
        if many == 0 {
            return 0;
        }
        let now = Timestamp::now();
        let since = *self.unnoted.get_or_insert(now);
        if self.store.note_lost(many, (since.min(now), now)).is_ok() {
            self.unnoted = None;
            return 0;
        }
        self.inbox.lose(many);
        many
    }

    fn answer(&self, ask: Ask, lost: u64) {
        // Who asked may have gone.
        match ask {
            Ask::Shelf(answer) => {
                let _ = answer.send(self.store.shelf(lost));
            }
            Ask::Rest(answer) => {
                self.rest();
                let _ = answer.send(());
            }
        }
    }

    fn rest(&self) {
        if let Err(error) = self.store.rest() {
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
