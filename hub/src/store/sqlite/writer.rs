//! The one thread that writes: takes what waits, does it in one transaction, answers after the commit.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, watch};

use super::View;
use crate::{
    fault::Fault,
    store::{Read, Stored, Write},
};

/// The most writes in one transaction.
const GROUP: usize = 512;
/// How long a transaction may gather writes before it is committed.
const GATHER: Duration = Duration::from_millis(10);

/// One write; returns what to do once it is known whether it was committed.
pub(super) type Job = Box<dyn FnOnce(&mut Session<'_>) -> After + Send>;
/// Answers the caller.
pub(super) type After = Box<dyn FnOnce(bool) + Send>;

/// The writing thread's own.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) revision: watch::Sender<u64>,
    pub(super) orders: watch::Sender<u64>,
    pub(super) failed: watch::Sender<bool>,
}

impl Writer {
    /// Works until every sender is gone or nothing can be committed any more.
    pub(super) fn work(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut answers = Vec::new();
            let result = self.group(first, &mut answers);
            for answer in answers {
                answer(result.is_ok());
            }
            let Err(error) = result else { continue };
            let _ = self.conn.execute_batch("ROLLBACK");
            tracing::error!(%error, "commit failed, nothing of it was acknowledged");
            // A full disk may empty again. After a failed fsync nobody knows what is on the disk: stop acknowledging.
            if error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
                let _ = self.failed.send(true);
                return;
            }
        }
        if let Err(error) = self.conn.pragma_query(None, "wal_checkpoint", |_| Ok(())) {
            tracing::warn!(%error, "the store was closed without a checkpoint");
        }
    }

    /// Does one group of writes in one transaction.
    fn group(&mut self, first: Job, answers: &mut Vec<After>) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let before = *self.revision.borrow();
        let mut session = Session { view: View(&self.conn), revision: before, orders: false };
        let until = Instant::now() + GATHER;
        let mut next = Some(first);
        while let Some(job) = next {
            answers.push(job(&mut session));
            let room = answers.len() < GROUP && Instant::now() < until;
            next = if room { self.queue.try_recv().ok() } else { None };
        }
        let (revision, orders) = (session.revision, session.orders);
        if revision != before {
            self.conn.execute("UPDATE meta SET revision = ?1", [revision.cast_signed()])?;
        }
        self.conn.execute_batch("COMMIT")?;
        if revision != before {
            self.revision.send_replace(revision);
        }
        if orders {
            self.orders.send_modify(|n| *n += 1);
        }
        Ok(())
    }
}

/// An open transaction.
pub(crate) struct Session<'a> {
    pub(super) view: View<'a>,
    pub(super) revision: u64,
    pub(super) orders: bool,
}

impl Session<'_> {
    /// Does one write inside the transaction; if it fails or panics, nothing of it stays.
    pub(super) fn keep_or_drop<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Write) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let before = (self.revision, self.orders);
        self.run("SAVEPOINT job")?;
        let result = catch_unwind(AssertUnwindSafe(|| work(self)))
            .unwrap_or_else(|_| Err(Fault::Internal("a write panicked".to_owned())));
        if result.is_err() {
            self.run("ROLLBACK TO job")?;
            (self.revision, self.orders) = before;
        }
        self.run("RELEASE job")?;
        result
    }

    fn run(&self, sql: &str) -> Stored<()> {
        Ok(self.view.0.execute_batch(sql)?)
    }

    /// Runs one prepared statement.
    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Stored<usize> {
        Ok(self.view.0.prepare_cached(sql)?.execute(params)?)
    }
}

/// Passes every read on to the view of the same transaction.
macro_rules! reads {
    ($(fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $out:ty;)*) => {
        impl Read for Session<'_> {
            fn revision(&self) -> Stored<u64> {
                Ok(self.revision)
            }
            $(fn $name(&self $(, $arg: $ty)*) -> Stored<$out> {
                self.view.$name($($arg),*)
            })*
        }
    };
}

mod passed {
    use khien_core::{
        AgentId, AlertId, EvidenceId, IncidentId, Nonce, OrderId, RunId, Sha256, Timestamp, alert::Alert,
        evidence::Evidence, incident::Entry, order::Order, protocol::Mark, run::Run, signature::Signed,
    };
    use khien_playbooks::run::Input;

    use super::{Read, Session, Stored};
    use crate::store::{CaptureRow, Filter, Host, IncidentRow, Operator, OrderRow, PackRow, TokenRow};

    reads! {
        fn operators(&self) -> Vec<Operator>;
        fn operator(&self, id: &Sha256) -> Option<Operator>;
        fn host(&self, id: AgentId) -> Option<Host>;
        fn hosts(&self) -> Vec<Host>;
        fn token(&self, hash: &Sha256) -> Option<TokenRow>;
        fn acked(&self, agent: AgentId, epoch: Nonce) -> u64;
        fn event_hashes(&self, agent: AgentId, mark: Mark) -> Vec<Sha256>;
        fn alert(&self, id: AlertId) -> Option<Alert>;
        fn alert_by_key(&self, key: &Sha256) -> Option<Alert>;
        fn alerts(&self, filter: &Filter) -> Vec<Alert>;
        fn changes(&self, after: u64, limit: u32) -> Vec<Alert>;
        fn alerts_of(&self, incident: IncidentId) -> Vec<Alert>;
        fn capture(&self, sha256: &Sha256) -> Option<CaptureRow>;
        fn incident(&self, id: IncidentId) -> Option<IncidentRow>;
        fn incidents(&self, limit: u32) -> Vec<IncidentRow>;
        fn timeline(&self, id: IncidentId) -> Vec<Entry>;
        fn evidence_of(&self, id: IncidentId) -> Vec<Evidence>;
        fn evidence(&self, id: EvidenceId) -> Option<Evidence>;
        fn run(&self, id: RunId) -> Option<Run>;
        fn runs(&self, limit: u32) -> Vec<Run>;
        fn runs_of(&self, id: IncidentId) -> Vec<Run>;
        fn inputs(&self, id: RunId) -> Vec<Input>;
        fn mandate_run(&self, nonce: Nonce) -> Option<RunId>;
        fn newest_mandate(&self, run: RunId) -> Option<(Signed, String)>;
        fn order(&self, id: OrderId) -> Option<OrderRow>;
        fn scan_orders(&self, limit: u32) -> Vec<OrderRow>;
        fn stop_order(&self, scan: OrderId) -> Option<OrderRow>;
        fn open_orders(&self, agent: AgentId, now: Timestamp, bytes: usize) -> Vec<Order>;
        fn expired_orders(&self, before: Timestamp) -> Vec<OrderRow>;
        fn pack_version(&self) -> u64;
        fn pack(&self) -> Option<PackRow>;
    }
}
