//! What was seen on the wire, kept on this host's disk for a time and up to a size, so that a name or an address that
//! becomes known later can be looked for in the past.
//!
//! ```text
//! what sees ─► inbox: a block is filled (bounded; what does not fit is counted) ─► thread: compress, write ─► a segment of the day
//! order     ─► which segments are there? ─► search, beside the thread ◄───────────────────────── oldest segment goes first
//! ```
//! Kept are summaries, never contents. Nothing leaves the host but the answer to a signed order.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{
    Timestamp,
    asset::{Coverage, Sensor, Sight},
    order::{RecordQuery, RecordsFound},
    policy::Policy,
    reason::Reason,
    traffic::Record,
};
use tokio::sync::{oneshot, watch};

use crate::{args, config::Home, health::Meter};

mod block;
mod bounds;
mod filter;
mod forecast;
mod form;
mod gaps;
mod inbox;
mod keeper;
mod keys;
mod search;
mod segment;
mod store;
#[cfg(test)]
mod tests;

use bounds::Bounds;
use inbox::Inbox;
use keeper::{Ask, Keeper};
use search::Shelf;
use store::Store;

/// The folder of the records in the agent's, and the scope under which it is said that there are none.
pub(crate) const FOLDER: &str = "records";
/// The longest that a record waits to be written: what is lost if the agent dies, which the next start says.
const WAIT: Duration = Duration::from_secs(2);

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// For how many days.
    pub(crate) days: u32,
    /// The most bytes on the disk.
    pub(crate) bytes: u64,
}

/// What goes wrong with records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordsError {
    /// The database failed.
    #[error("records of the network failed")]
    Database(#[from] rusqlite::Error),
    /// A file or the folder failed.
    #[error("records of the network cannot be read or written")]
    File(#[from] io::Error),
    /// A record has a part without a written form.
    #[error("a record of the network cannot be written down")]
    Form(#[from] serde_json::Error),
    /// An agent of before the first release wrote them.
    #[error("records of the network have format {0}, which was given up before the first release")]
    Older(i32),
    /// All room is taken, and the oldest may not make more yet.
    #[error("records of the network come faster than older ones may make room")]
    Full,
    /// A newer agent wrote them.
    #[error("records of the network have format {0}, which is newer than this agent")]
    Newer(i32),
}

impl RecordsError {
    /// Tells whether a file is no database any more, or none that can be read. A full disk or too many open files leave it whole.
    fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Database(error) => {
                matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            Self::Older(_) => true,
            Self::File(_) | Self::Form(_) | Self::Full | Self::Newer(_) => false,
        }
    }
}

/// Opens what is kept of the network. Without it the agent sees all the same, states that nothing is kept, and says so when
/// it is asked for it.
pub(crate) fn kept(
    options: &args::Run,
    home: &Home,
    policy: watch::Receiver<Option<Arc<Policy>>>,
    meter: &Arc<Meter>,
) -> Option<Records> {
    if options.no_network || options.records_mib == Some(0) {
        return None;
    }
    let bounds = Bounds::new(options.records_days, options.records_mib, policy);
    let opened = home.folder(FOLDER).and_then(|folder| Ok(Records::open(folder, bounds, Arc::clone(meter))?));
    opened
        .inspect_err(|error| {
            tracing::error!(error = format!("{error:#}"), "no records of the network are kept");
            state_none(meter);
        })
        .ok()
}

/// States that nothing is kept.
fn state_none(meter: &Meter) {
    meter.cover(Coverage {
        sensor: Sensor::Network,
        scope: FOLDER.into(),
        backend: "none".to_owned(),
        sight: Sight::Blind,
        reason: Some(Reason::RecordsNotKept),
    });
}

/// A handle to the kept records.
#[derive(Debug, Clone)]
pub(crate) struct Records(Arc<Handle>);

/// The thread ends with the last one.
#[derive(Debug)]
struct Handle(Arc<Inbox<Ask>>);

impl Records {
    /// Opens the records in a folder and starts their thread, which ends with the last handle. If it ends before, that is
    /// stated.
    ///
    /// # Errors
    /// [`RecordsError`], and when no thread can be started.
    pub(crate) fn open(
        dir: PathBuf,
        bounds: impl Into<Bounds>,
        meter: Arc<Meter>,
    ) -> Result<Self, RecordsError> {
        let bounds = bounds.into();
        let there = store::taken(&dir)?;
        let store = Store::open(dir, bounds.in_force(there), Timestamp::now())?;
        let inbox = Arc::<Inbox<Ask>>::default();
        let mut keeper = Keeper {
            store,
            inbox: Arc::clone(&inbox),
            meter,
            unnoted: None,
            bounds,
            there,
            told: Instant::now(),
        };
        keeper.tell(Timestamp::now());
        std::thread::Builder::new().name("records".to_owned()).spawn(move || keeper.run())?;
        Ok(Self(Arc::new(Handle(inbox))))
    }

    /// Makes one of which nothing is ever written.
    #[cfg(test)]
    pub(crate) fn stuck() -> Self {
        Self(Arc::new(Handle(Arc::default())))
    }

    /// Keeps records. Never waits: those that find no room are lost and counted.
    pub(crate) fn keep<'r>(&self, records: impl IntoIterator<Item = &'r Record>) {
        self.0.0.put(records);
    }

    /// Returns how many records were lost since this was asked last.
    pub(crate) fn take_lost(&self) -> u64 {
        self.0.0.take_untold()
    }

    /// Notes whether anything is seen of an interface from now on.
    pub(crate) fn sight(&self, scope: &str, sees: bool) {
        self.0.0.ask(Ask::Sight { scope: scope.to_owned(), sees, at: Timestamp::now() });
    }

    /// Waits until there is room for more, but not for longer.
    pub(crate) fn wait_for_room(&self, most: Duration) {
        self.0.0.wait_for_room(most);
    }

    /// Looks something up, beside the thread that writes.
    ///
    /// # Errors
    /// A [`Reason`] if there is no answer.
    pub(crate) async fn search(&self, query: RecordQuery) -> Result<RecordsFound, Reason> {
        let shelf: Shelf = self.ask(Ask::Shelf).await?;
        let found = tokio::task::spawn_blocking(move || shelf.search(&query));
        found.await.map_err(|_| Reason::AgentFailed)
    }

    /// Writes what waits, and notes that the agent ends with nothing to be written.
    pub(crate) async fn flush(&self) {
        // A thread that ended has written.
        let _ = self.ask(Ask::Rest).await;
    }

    async fn ask<T>(&self, what: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Reason> {
        let (answer, answered) = oneshot::channel();
        self.0.0.ask(what(answer));
        answered.await.map_err(|_| Reason::AgentStops)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}
