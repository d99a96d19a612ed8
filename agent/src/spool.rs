//! The spool: what was found stays on disk until the hub says that it has it, whatever happens in between.
//!
//! One thread owns the database, so nothing here blocks the runtime. Changes that come together are one commit; a
//! change that comes alone is committed at once, so an alert never waits for company. When a call returns, its change
//! is on disk.

use std::{path::Path, sync::Arc};

use khien_core::{
    Nonce, OrderId, Timestamp,
    order::{Order, Receipt},
    protocol::{Batch, Mark, Report},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::health::Meter;

mod orders;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use orders::Known;
use store::Store;
pub(crate) use store::{Lane, Tail};

/// How many changes may wait for the thread.
const QUEUE: usize = 1_024;
/// The most changes in one commit.
const GROUP: usize = 512;

/// What goes wrong with the spool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// SQLite is too old.
    #[error("SQLite {0} is too old for the spool, expected 3.51.3 or newer")]
    OldSqlite(&'static str),
    /// A newer agent wrote it.
    #[error("spool has format {0}, which is newer than this agent")]
    NewerSpool(i32),
    /// The database failed.
    #[error("spool failed")]
    Database(#[from] rusqlite::Error),
    /// A record has no JSON form or cannot be read back.
    #[error("spool holds what cannot be read")]
    Json(#[from] serde_json::Error),
    /// The kernel gave no random bytes.
    #[error("no random bytes for a new epoch")]
    NoRandomness,
    /// The hub acknowledged what was never written.
    #[error("hub acknowledged record {acked}, but the next one is {next}")]
    AckAhead {
        /// What it acknowledged.
        acked: u64,
        /// What comes next.
        next: u64,
    },
    /// The commit failed, for example because the disk is full.
    #[error("spool could not be written")]
    NotCommitted,
    /// The thread is gone.
    #[error("spool is closed")]
    Closed,
    /// A damaged spool could not be set aside.
    #[error("damaged spool cannot be set aside")]
    Stuck(#[source] std::io::Error),
}

type Reply = Box<dyn FnOnce(bool) + Send>;
type Job = Box<dyn FnOnce(&mut Store) -> Reply + Send>;

/// A handle to the spool.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    jobs: mpsc::Sender<Job>,
    tail: watch::Receiver<Tail>,
}

/// An opened spool and what opening it told.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The handle.
    pub(crate) spool: Spool,
    /// Whether the old one was damaged and set aside.
    pub(crate) set_aside: bool,
}

impl Spool {
    /// Opens the spool and starts its thread, which ends with the last handle. A damaged spool is set aside, not
    /// deleted: an agent that does not start is blind.
    pub(crate) fn open(file: &Path, limit: u64, meter: Arc<Meter>) -> Result<Opened, SpoolError> {
        let (store, set_aside) = match Store::open(file, limit) {
            Err(error) if is_damaged(&error) => {
                tracing::error!(%error, "spool is damaged, it is set aside and a new one begins");
                set_file_aside(file).map_err(SpoolError::Stuck)?;
                (Store::open(file, limit)?, true)
            }
            opened => (opened?, false),
        };
        let first = store.tail()?;
        meter.waiting(first.waiting());
        let (tail_out, tail) = watch::channel(first);
        let (jobs, inbox) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || serve(store, inbox, &tail_out, &meter))
            .map_err(SpoolError::Stuck)?;
        Ok(Opened { spool: Self { jobs, tail }, set_aside })
    }

    /// Returns where the lanes stand, and tells when that changes.
    pub(crate) fn tail(&self) -> watch::Receiver<Tail> {
        self.tail.clone()
    }

    /// Appends reports.
    pub(crate) async fn append(&self, reports: Vec<Report>, now: Timestamp) -> Result<(), SpoolError> {
        self.call(move |store| reports.iter().try_for_each(|report| store.append(report, now).map(|_| ())))
            .await
    }

    /// Counts reports that never reached the disk.
    pub(crate) async fn lose(&self, count: u64, from: Timestamp, until: Timestamp) -> Result<(), SpoolError> {
        self.call(move |store| store.lose(count, from, until)).await
    }

    /// Reads what to send next of a lane.
    pub(crate) async fn next_batch(
        &self,
        lane: Lane,
        records: usize,
        bytes: usize,
    ) -> Result<Option<Batch>, SpoolError> {
        self.call(move |store| store.next_batch(lane, records, bytes)).await
    }

    /// Deletes what the hub has for good.
    pub(crate) async fn ack(&self, mark: Mark) -> Result<(), SpoolError> {
        self.call(move |store| store.ack(mark)).await
    }

    /// Takes what the hub says it has, at the start of a session.
    pub(crate) async fn welcome(&self, acks: Vec<Mark>) -> Result<(), SpoolError> {
        self.call(move |store| store.welcome(&acks)).await
    }

    /// Starts a life of the agent and returns when it was last alive before.
    pub(crate) async fn begin_life(&self, now: Timestamp) -> Result<Option<Timestamp>, SpoolError> {
        self.call(move |store| store.begin_life(now)).await
    }

    /// Notes that the agent lives.
    pub(crate) async fn alive(&self, now: Timestamp) -> Result<(), SpoolError> {
        self.call(move |store| store.alive(now)).await
    }

    /// Ends a life of the agent that was told to stop.
    pub(crate) async fn end_life(&self, now: Timestamp) -> Result<(), SpoolError> {
        self.call(move |store| store.end_life(now)).await
    }

    /// Begins a poll for orders.
    pub(crate) async fn begin_poll(&self) -> Result<u64, SpoolError> {
        self.call(|store| Ok(store.begin_poll())).await
    }

    /// Returns what is known of an order.
    pub(crate) async fn known(&self, id: OrderId, poll: u64) -> Result<Known, SpoolError> {
        self.call(move |store| store.known(id, poll)).await
    }

    /// Notes that an order is about to be carried out.
    pub(crate) async fn begin_order(
        &self,
        id: OrderId,
        order: Order,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        self.call(move |store| store.begin_order(id, &order, now)).await
    }

    /// Notes that an order is answered.
    pub(crate) async fn end_order(&self, receipt: Receipt, now: Timestamp) -> Result<(), SpoolError> {
        self.call(move |store| store.end_order(&receipt, now)).await
    }

    /// Returns the orders over which the agent died, and tells of those that cannot be read any more.
    pub(crate) async fn unanswered(&self, now: Timestamp) -> Result<Vec<Order>, SpoolError> {
        self.call(move |store| store.unanswered(now)).await
    }

    /// Waits until the hub has all of the urgent lane.
    pub(crate) async fn drained(&self) {
        let mut tail = self.tail();
        // An error means that the thread is gone; then there is nothing to wait for.
        let _ = tail.wait_for(|t| t.urgent.waiting() == 0).await;
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (answer, got) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            let result = store.whole(work);
            Box::new(move |committed| {
                // The caller may have given up; the change stands all the same.
                let _ = answer.send(if committed { result } else { Err(SpoolError::NotCommitted) });
            })
        });
        self.jobs.send(job).await.map_err(|_| SpoolError::Closed)?;
        got.await.map_err(|_| SpoolError::Closed)?
    }
}

fn serve(mut store: Store, mut inbox: mpsc::Receiver<Job>, tail: &watch::Sender<Tail>, meter: &Meter) {
    while let Some(first) = inbox.blocking_recv() {
        let mut replies = Vec::new();
        let ended = store.transaction(|store| {
            replies.push(first(store));
            while replies.len() < GROUP {
                let Ok(job) = inbox.try_recv() else { break };
                replies.push(job(store));
            }
        });
        if let Err(error) = &ended {
            tracing::error!(%error, "spool could not be written");
        }
        if let Ok(now) = store.tail() {
            meter.waiting(now.waiting());
            tail.send_if_modified(|old| std::mem::replace(old, now) != now);
        }
        replies.into_iter().for_each(|reply| reply(ended.is_ok()));
    }
}

fn is_damaged(error: &SpoolError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error, SpoolError::Database(e)
        if matches!(e.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)))
}

fn set_file_aside(file: &Path) -> std::io::Result<()> {
    let name = |end: &str| {
        let mut whole = file.as_os_str().to_owned();
        whole.push(end);
        whole
    };
    std::fs::rename(file, name(".damaged"))?;
    for end in ["-wal", "-shm"] {
        match std::fs::rename(name(end), name(&format!(".damaged{end}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    Ok(())
}

/// Returns a name that no other life of the agent has.
pub(crate) fn fresh_nonce() -> Result<Nonce, SpoolError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| SpoolError::NoRandomness)?;
    Ok(Nonce(bytes))
}
