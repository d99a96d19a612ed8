//! The tables of the spool, and what each change does to them. Knows nothing of threads or of the network.
//!
//! A record's number is given here and never reused within an epoch: numbers of a lane rise by one from 1, the hub
//! acknowledges up to a number, and what lies below is gone from the disk.

use std::{path::Path, time::Duration};

use khien_core::{
    Nonce, Sha256, Timestamp,
    protocol::{Batch, MAX_RECORD, Mark, Record, Report},
};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{SpoolError, fresh_nonce};

/// SQLite before this can corrupt a WAL database under rare interleavings.
const OLDEST_SQLITE: i32 = 3_051_003;
/// What a record costs on disk beside its text, about.
const OVERHEAD: usize = 128;
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS lane (
        id INTEGER PRIMARY KEY, epoch BLOB NOT NULL, next INTEGER NOT NULL, acked INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS record (
        lane INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, cost INTEGER NOT NULL, body TEXT NOT NULL,
        UNIQUE (lane, seq)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS orders (
        id BLOB PRIMARY KEY, text TEXT NOT NULL, receipt INTEGER, acked INTEGER, at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    PRAGMA user_version = 1;
";

/// Which lane of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// What a person waits for.
    Urgent = 0,
    /// The rest.
    Bulk = 1,
}

/// Where a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LaneState {
    /// Its name at the hub.
    pub(crate) epoch: Nonce,
    /// The number of the next record.
    pub(crate) next: u64,
    /// The last number that the hub has for good.
    pub(crate) acked: u64,
    bytes: u64,
}

impl LaneState {
    /// Returns how many records the hub has not acknowledged.
    pub(crate) fn waiting(&self) -> u64 {
        (self.next - 1).saturating_sub(self.acked)
    }
}

/// Where both lanes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The urgent lane.
    pub(crate) urgent: LaneState,
    /// The bulk lane.
    pub(crate) bulk: LaneState,
}

impl Tail {
    /// Returns one of them.
    pub(crate) fn of(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Bulk => &self.bulk,
        }
    }

    /// Returns how many records wait in both.
    pub(crate) fn waiting(&self) -> u64 {
        self.urgent.waiting() + self.bulk.waiting()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Lost {
    count: u64,
    from: Timestamp,
    until: Timestamp,
}

/// The open spool.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) db: Connection,
    limit: u64,
    /// Counts order polls since start; see `orders`.
    pub(super) poll: u64,
}

impl Store {
    /// Opens or makes the spool; `limit` is the most bytes that may wait.
    pub(crate) fn open(file: &Path, limit: u64) -> Result<Self, SpoolError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(SpoolError::OldSqlite(rusqlite::version()));
        }
        let db = Connection::open(file)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "trusted_schema", false)?;
        let found: i32 = db.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        if found > SCHEMA_VERSION {
            return Err(SpoolError::NewerSpool(found));
        }
        db.execute_batch(SCHEMA)?;
        for lane in [Lane::Urgent, Lane::Bulk] {
            let epoch = fresh_nonce()?;
            db.execute("INSERT OR IGNORE INTO lane VALUES (?, ?, 1, 0, 0)", params![lane as i64, epoch.0])?;
        }
        let mut store = Self { db, limit, poll: 0 };
        store.forget_polls()?;
        store.tail()?;
        Ok(store)
    }

    /// Does `work` as one transaction that is on disk when this returns `Ok`.
    pub(super) fn transaction(&mut self, work: impl FnOnce(&mut Self)) -> Result<(), SpoolError> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        work(self);
        let ended = self.db.execute_batch("COMMIT");
        if ended.is_err() {
            // A failed commit may already have rolled back by itself, and then this says so.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        Ok(ended?)
    }

    /// Does `work` whole or not at all, within a transaction.
    pub(super) fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        self.db.execute_batch("SAVEPOINT job")?;
        let got = work(self);
        self.db.execute_batch(match got {
            Ok(_) => "RELEASE job",
            Err(_) => "ROLLBACK TO job; RELEASE job",
        })?;
        got
    }

    /// Returns where both lanes stand.
    pub(crate) fn tail(&self) -> Result<Tail, SpoolError> {
        Ok(Tail { urgent: self.lane(Lane::Urgent)?, bulk: self.lane(Lane::Bulk)? })
    }

    fn lane(&self, lane: Lane) -> Result<LaneState, SpoolError> {
        let mut query = self.db.prepare_cached("SELECT epoch, next, acked, bytes FROM lane WHERE id = ?")?;
        Ok(query.query_row([lane as i64], |r| {
            Ok(LaneState {
                epoch: Nonce(r.get(0)?),
                next: count(r, 1)?,
                acked: count(r, 2)?,
                bytes: count(r, 3)?,
            })
        })?)
    }

    /// Appends a report and returns its number, or counts it as lost where there is no room.
    pub(crate) fn append(&mut self, report: &Report, now: Timestamp) -> Result<Option<u64>, SpoolError> {
        let body = serde_json::to_string(report)?;
        let lane = lane_of(report);
        if body.len() > MAX_RECORD || !(must_be_kept(report) || self.has_room(lane, body.len())?) {
            self.lose(1, now, now)?;
            return Ok(None);
        }
        let seq = self.insert(lane, &body)?;
        self.tell_losses()?;
        Ok(Some(seq))
    }

    fn insert(&mut self, lane: Lane, body: &str) -> Result<u64, SpoolError> {
        let cost = int((body.len() + OVERHEAD) as u64);
        let seq: i64 = self
            .db
            .prepare_cached(
                "UPDATE lane SET next = next + 1, bytes = bytes + ? WHERE id = ? RETURNING next - 1",
            )?
            .query_row(params![cost, lane as i64], |r| r.get(0))?;
        self.db
            .prepare_cached("INSERT INTO record (lane, seq, hash, cost, body) VALUES (?, ?, ?, ?, ?)")?
            .execute(params![lane as i64, seq, Sha256::of(body.as_bytes()).0, cost, body])?;
        Ok(seq.unsigned_abs())
    }

    /// A quarter of the room is for the urgent lane alone.
    fn has_room(&self, lane: Lane, body: usize) -> Result<bool, SpoolError> {
        let tail = self.tail()?;
        let cost = (body + OVERHEAD) as u64;
        let whole = tail.urgent.bytes + tail.bulk.bytes + cost <= self.limit;
        Ok(match lane {
            Lane::Urgent => whole,
            Lane::Bulk => whole && tail.bulk.bytes + cost <= self.limit / 4 * 3,
        })
    }

    /// Counts reports that could not be kept, so that the loss itself is reported when there is room again.
    pub(crate) fn lose(&mut self, count: u64, from: Timestamp, until: Timestamp) -> Result<(), SpoolError> {
        let mut lost = self.losses()?.unwrap_or(Lost { count: 0, from, until });
        lost.count += count;
        lost.until = lost.until.max(until);
        self.set_fact("lost", &serde_json::to_string(&lost)?)
    }

    fn losses(&self) -> Result<Option<Lost>, SpoolError> {
        let text = self.fact("lost")?;
        Ok(text.map(|t| serde_json::from_str(&t)).transpose()?)
    }

    /// Reports losses once a tenth of the room is free again; sooner it would be one report for each loss.
    fn tell_losses(&mut self) -> Result<(), SpoolError> {
        let Some(lost) = self.losses()? else { return Ok(()) };
        let tail = self.tail()?;
        let free = tail.bulk.bytes <= self.limit / 4 * 3 / 10 * 9
            && tail.bulk.bytes + tail.urgent.bytes <= self.limit / 10 * 9;
        if free {
            let report = Report::Dropped { count: lost.count, from: lost.from, until: lost.until };
            self.insert(Lane::Bulk, &serde_json::to_string(&report)?)?;
            self.clear_fact("lost")?;
        }
        Ok(())
    }

    /// Reads what to send next of a lane, or `None` if the hub has all of it.
    pub(crate) fn next_batch(
        &self,
        lane: Lane,
        records: usize,
        bytes: usize,
    ) -> Result<Option<Batch>, SpoolError> {
        let state = self.lane(lane)?;
        let mut query = self.db.prepare_cached(
            "SELECT seq, hash, body FROM record WHERE lane = ? AND seq > ? ORDER BY seq LIMIT ?",
        )?;
        let mut rows = query.query(params![lane as i64, int(state.acked), int(records as u64)])?;
        let mut batch = Batch { epoch: state.epoch, records: Vec::new() };
        let mut size = 0;
        while let Some(row) = rows.next()? {
            let record = Record { seq: count(row, 0)?, hash: Sha256(row.get(1)?), body: row.get(2)? };
            size += record.body.len();
            if size > bytes && !batch.records.is_empty() {
                break;
            }
            batch.records.push(record);
        }
        Ok((!batch.records.is_empty()).then_some(batch))
    }

    /// Deletes what the hub has for good. An acknowledgement of what was never written is refused.
    pub(crate) fn ack(&mut self, mark: Mark) -> Result<(), SpoolError> {
        let tail = self.tail()?;
        let Some(lane) = [Lane::Urgent, Lane::Bulk].into_iter().find(|l| tail.of(*l).epoch == mark.epoch)
        else {
            return Ok(());
        };
        let state = tail.of(lane);
        if mark.seq >= state.next {
            return Err(SpoolError::AckAhead { acked: mark.seq, next: state.next });
        }
        if mark.seq <= state.acked {
            return Ok(());
        }
        let (id, seq) = (lane as i64, int(mark.seq));
        let freed: i64 = self.db.query_row(
            "SELECT coalesce(sum(cost), 0) FROM record WHERE lane = ? AND seq <= ?",
            [id, seq],
            |r| r.get(0),
        )?;
        self.db.prepare_cached("DELETE FROM record WHERE lane = ? AND seq <= ?")?.execute([id, seq])?;
        self.db
            .prepare_cached("UPDATE lane SET acked = ?, bytes = bytes - ? WHERE id = ?")?
            .execute([seq, freed, id])?;
        if lane == Lane::Urgent {
            self.ack_receipts(seq)?;
        }
        self.tell_losses()
    }

    /// Takes what the hub says it has. If that is more than was ever written here, this disk was set back (a restored
    /// machine); if it is less than was acknowledged, the hub was. Either way the numbers cannot be trusted, so the
    /// lane gets a new epoch and what waits gets new numbers.
    pub(crate) fn welcome(&mut self, acks: &[Mark]) -> Result<(), SpoolError> {
        for lane in [Lane::Urgent, Lane::Bulk] {
            let state = self.lane(lane)?;
            let seq = acks.iter().find(|m| m.epoch == state.epoch).map_or(0, |m| m.seq);
            match (state.acked..state.next).contains(&seq) {
                true => self.ack(Mark { epoch: state.epoch, seq })?,
                false => self.renew(lane, &state)?,
            }
        }
        Ok(())
    }

    fn renew(&mut self, lane: Lane, old: &LaneState) -> Result<(), SpoolError> {
        tracing::warn!(?lane, epoch = %old.epoch, "hub and spool disagree, the lane starts a new epoch");
        let (id, shift) = (lane as i64, int(old.acked));
        // Two steps, so that no number is taken twice on the way.
        self.db.execute("UPDATE record SET seq = ? - seq WHERE lane = ?", [shift, id])?;
        self.db.execute("UPDATE record SET seq = -seq WHERE lane = ?", [id])?;
        self.db.execute(
            "UPDATE lane SET epoch = ?, next = next - acked, acked = 0 WHERE id = ?",
            params![fresh_nonce()?.0, id],
        )?;
        if lane == Lane::Urgent {
            self.shift_receipts(shift)?;
        }
        Ok(())
    }

    /// Starts a life of the agent: reports it, and returns when it was last alive before.
    pub(crate) fn begin_life(&mut self, now: Timestamp) -> Result<Option<Timestamp>, SpoolError> {
        let alive = self.fact("alive")?.and_then(|t| t.parse().ok());
        let clean = self.fact("clean")?.is_some();
        self.clear_fact("clean")?;
        self.append(&Report::Started { at: now, died_after: alive.filter(|_| !clean) }, now)?;
        self.alive(now)?;
        Ok(alive)
    }

    /// Notes that the agent lives.
    pub(crate) fn alive(&mut self, now: Timestamp) -> Result<(), SpoolError> {
        self.set_fact("alive", &now.to_string())
    }

    /// Ends a life of the agent that was told to stop.
    pub(crate) fn end_life(&mut self, now: Timestamp) -> Result<(), SpoolError> {
        self.append(&Report::Stopping { at: now }, now)?;
        self.alive(now)?;
        self.set_fact("clean", "yes")
    }

    fn fact(&self, name: &str) -> Result<Option<String>, SpoolError> {
        let mut query = self.db.prepare_cached("SELECT value FROM fact WHERE name = ?")?;
        Ok(query.query_row([name], |r| r.get(0)).optional()?)
    }

    fn set_fact(&mut self, name: &str, value: &str) -> Result<(), SpoolError> {
        self.db
            .prepare_cached(
                "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute([name, value])?;
        Ok(())
    }

    fn clear_fact(&mut self, name: &str) -> Result<(), SpoolError> {
        self.db.prepare_cached("DELETE FROM fact WHERE name = ?")?.execute([name])?;
        Ok(())
    }
}

fn lane_of(report: &Report) -> Lane {
    match report.is_urgent() {
        true => Lane::Urgent,
        false => Lane::Bulk,
    }
}

/// Tells whether a report is kept even in a full spool: few and small, and the hub waits for it.
fn must_be_kept(report: &Report) -> bool {
    matches!(report, Report::Receipt(_) | Report::Started { .. } | Report::Stopping { .. })
}

/// SQLite has signed numbers only; ours stay far below their end.
pub(super) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn count(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(index).map(|n| u64::try_from(n).unwrap_or(0))
}
