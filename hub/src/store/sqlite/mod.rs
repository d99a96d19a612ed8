//! The store in one SQLite file: one thread writes in groups, readers have connections of their own.
//!
//! A write is answered only after its transaction is committed with `synchronous=FULL`.

mod change;
mod row;
mod view;
mod writer;

use std::{
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Read, StoreError, Write};
use crate::fault::Fault;
pub(crate) use view::View;
use writer::{Job, Session, Writer};

/// SQLite up to 3.51.2 can corrupt a WAL when two connections write and checkpoint at once.
const OLDEST: i32 = 3_051_003;
/// How long a connection waits for another one's lock.
const BUSY: Duration = Duration::from_secs(5);
/// Writes that may wait; more callers wait for their turn.
const QUEUE: usize = 1024;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 128;
/// Idle read connections that are kept.
const READERS: usize = 8;
/// What each version adds; the number of a version is its place from 1.
const MIGRATIONS: [&str; 2] =
    [include_str!("../../../migrations/0001.sql"), include_str!("../../../migrations/0002.sql")];

/// Brings the file to this program's version, and makes it where there is none.
pub(crate) fn migrate(path: &Path) -> anyhow::Result<Connection> {
    anyhow::ensure!(rusqlite::version_number() >= OLDEST, "SQLite is older than 3.51.3, which can lose data");
    // SQLite makes its side files with the mode of the store.
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let stands: u32 = tx.pragma_query_value(None, "user_version", |r| r.get(0))?;
    anyhow::ensure!(
        stands as usize <= MIGRATIONS.len(),
        "the store was made by a newer version of this program"
    );
    for (version, sql) in (1..).zip(MIGRATIONS).skip(stands as usize) {
        tx.execute_batch(sql).with_context(|| format!("migrate the store to version {version}"))?;
        tx.pragma_update(None, "user_version", version)?;
    }
    tx.commit()?;
    Ok(conn)
}

/// The open store.
#[derive(Clone)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    revision: watch::Receiver<u64>,
    orders: watch::Receiver<u64>,
    failed: watch::Receiver<bool>,
}

impl Store {
    /// Opens it and starts the writing thread, which ends after the last [`Store`] is dropped.
    pub(crate) fn open(path: &Path) -> anyhow::Result<(Self, std::thread::JoinHandle<()>)> {
        let conn = migrate(path)?;
        let revision = View(&conn).revision()?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (revision_tx, revision) = watch::channel(revision);
        let (orders_tx, orders) = watch::channel(0);
        let (failed_tx, failed) = watch::channel(false);
        let writer = Writer { conn, queue, revision: revision_tx, orders: orders_tx, failed: failed_tx };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || writer.work())?;
        let readers = Arc::new(Readers { path: path.to_owned(), idle: Mutex::default() });
        Ok((Self { jobs, readers, revision, orders, failed }, thread))
    }

    /// Follows the newest committed revision.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    /// Changes when new orders are committed.
    pub(crate) fn orders(&self) -> watch::Receiver<u64> {
        self.orders.clone()
    }

    /// Becomes true when nothing can be committed any more.
    pub(crate) fn failed(&self) -> watch::Receiver<bool> {
        self.failed.clone()
    }

    /// Changes the store and answers after the commit; on an error nothing of it is kept.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Write) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |session: &mut Session<'_>| {
            let result = session.keep_or_drop(work);
            Box::new(move |committed| {
                let result = match committed {
                    true => result,
                    false => result.and(Err(StoreError::Stopped.into())),
                };
                let _ = reply.send(result);
            })
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// Reads one committed state.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Read) -> Result<T, Fault> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let done = tokio::task::spawn_blocking(move || readers.read(work)).await;
        done.map_err(|e| Fault::Internal(format!("read the store: {e}")))?
    }
}

/// Read connections that wait for use.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn read<T>(&self, work: impl FnOnce(&dyn Read) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => self.open().map_err(StoreError::from)?,
        };
        conn.execute_batch("BEGIN").map_err(StoreError::from)?;
        let result = work(&View(&conn));
        if conn.execute_batch("COMMIT").is_ok() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < READERS {
                idle.push(conn);
            }
        }
        result
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(conn)
    }
}
