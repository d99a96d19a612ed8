//! One file of records, of a day or less: blocks, each with a filter of what is in it. Old ones go as a whole file, so that the
//! disk has the room back at once.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use khien_core::{Timestamp, order::RecordGap, traffic::Record};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use super::{
    RecordsError,
    block::{self, Block, Packed, Span, joined},
    filter,
    gaps::{self, Why},
};

const SCHEMA_VERSION: i32 = 2;
/// `lost`: so many records of a time; 0 for what was about to be written when the agent died. `life`: one row while records are
/// written, with the last time at which some were.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS block (
        id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, filter BLOB NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS lost (since INTEGER NOT NULL, until INTEGER NOT NULL, many INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS life (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    PRAGMA user_version = 2;
";
/// `gap`: from when until when nothing was written down, which goes on while there is no end, and of what; of all if that is empty.
/// A segment of before has none.
const GAP: &str = "
    CREATE TABLE IF NOT EXISTS gap (since INTEGER NOT NULL, until INTEGER, why TEXT NOT NULL, scope TEXT NOT NULL) STRICT;
";
/// Pages of 4 KiB that lie beside the file until they are put into it: all of it counts as bytes on the disk.
const LOG_PAGES: i32 = 64;
/// So many blocks in a row of so few records are put together: hosts with little traffic write one every two seconds.
const SMALL_BLOCKS: usize = 32;
const SMALL: usize = 512;
/// What the name of a segment ends with that was damaged and set aside.
pub(super) const DAMAGED: &str = ".damaged";
/// What the engine puts beside a file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    db: Connection,
    file: PathBuf,
    span: Option<Span>,
    /// The small blocks at its end.
    small: Vec<i64>,
}

impl Segment {
    /// Opens or makes one, to write to it.
    pub(super) fn open(file: &Path) -> Result<Self, RecordsError> {
        let db = Connection::open(file)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // The last moments may be lost with the power; the file stays whole.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        Self::of(db, file)
    }

    /// Opens one that is there, to look into it while another one writes.
    pub(super) fn look_into(file: &Path) -> Result<Self, RecordsError> {
        // Not to make one: it may have made room meanwhile.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(file, flags)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "query_only", true)?;
        Self::of(db, file)
    }

    fn of(db: Connection, file: &Path) -> Result<Self, RecordsError> {
        db.pragma_update(None, "trusted_schema", false)?;
        // Nothing is written to one that is there: a full disk is no reason not to read it.
        match db.query_row("PRAGMA user_version", [], |r| r.get(0))? {
            0 => db.execute_batch(&[GAP, SCHEMA].concat())?,
            SCHEMA_VERSION => {}
            older @ ..SCHEMA_VERSION => return Err(RecordsError::Older(older)),
            newer => return Err(RecordsError::Newer(newer)),
        }
        let mut segment = Self { db, file: file.to_owned(), span: None, small: Vec::new() };
        segment.span = segment.read_span()?;
        Ok(segment)
    }

    /// Adds blocks, all or none, and notes that whoever writes is alive.
    pub(super) fn add(&mut self, blocks: &[Block], now: Timestamp) -> Result<(), RecordsError> {
        let tx = self.db.transaction()?;
        let (mut span, mut small) = (self.span, self.small.clone());
        for block in blocks {
            let Some(packed) = block.pack()? else { continue };
            span = Some(joined(span, packed.span));
            let id = insert(&tx, &packed)?;
            if block.many() > SMALL {
                small.clear();
            } else {
                small.push(id);
            }
        }
        live(&tx, now)?;
        tx.commit()?;
        (self.span, self.small) = (span, small);
        self.tidy();
        Ok(())
    }

    /// Puts small blocks together, once there are many. Where that fails they stay as they are, and are not tried again: what
    /// comes is added all the same.
    fn tidy(&mut self) {
        if self.small.len() < SMALL_BLOCKS {
            return;
        }
        let small = std::mem::take(&mut self.small);
        if let Err(error) = self.put_together(&small) {
            tracing::warn!(%error, "small blocks of records stay as they are");
        }
    }

    /// Makes one block of several, in their order, or leaves all of them.
    fn put_together(&mut self, small: &[i64]) -> Result<(), RecordsError> {
        let tx = self.db.transaction()?;
        put_together(&tx, small)?;
        Ok(tx.commit()?)
    }

    /// Notes that so many records of a time were lost; 0 if nobody knows how many.
    pub(super) fn note_lost(&mut self, many: u64, (since, until): Span) -> Result<(), RecordsError> {
        let many = i64::try_from(many).unwrap_or(i64::MAX);
        self.db.prepare_cached("INSERT INTO lost VALUES (?, ?, ?)")?.execute(params![
            since.as_microsecond(),
            until.as_microsecond(),
            many
        ])?;
        if many > 0 {
            self.span = Some(joined(self.span, (since, until)));
        }
        Ok(())
    }

    /// Notes that from now on nothing is written down of a part, or of all. One that goes on already does so.
    pub(super) fn begin_gap(&self, since: Timestamp, why: Why, scope: &str) -> Result<(), RecordsError> {
        self.db.execute_batch(GAP)?;
        let sql = "INSERT INTO gap SELECT ?1, NULL, ?2, ?3
                   WHERE NOT EXISTS (SELECT 1 FROM gap WHERE until IS NULL AND why = ?2 AND scope = ?3)";
        self.db.execute(sql, params![since.as_microsecond(), why.as_str(), scope])?;
        Ok(())
    }

    /// Notes that the gaps of a part end, or all of them. Nothing is written where none goes on.
    pub(super) fn end_gaps(&self, until: Timestamp, scope: Option<&str>) -> Result<(), RecordsError> {
        if self.has_gaps()? {
            let sql = "UPDATE gap SET until = max(since, ?1) WHERE until IS NULL AND coalesce(scope = ?2, 1)";
            self.db.execute(sql, params![until.as_microsecond(), scope])?;
        }
        Ok(())
    }

    /// Returns the gaps of the segment's time, the oldest first; one that goes on ends now.
    pub(super) fn gaps(&self, now: Timestamp) -> Result<Vec<RecordGap>, RecordsError> {
        let died = "SELECT since, until, 'died', '' FROM lost WHERE many = 0";
        let sql = match self.has_gaps()? {
            true => {
                format!("SELECT since, coalesce(until, max(since, ?1)), why, scope FROM gap UNION ALL {died}")
            }
            false => format!("{died} AND ?1 IS NOT NULL"),
        };
        let mut all = self.db.prepare(&format!("{sql} ORDER BY 1"))?;
        let gap = |r: &rusqlite::Row<'_>| {
            let scope: String = r.get(3)?;
            Ok(RecordGap {
                since: moment(r.get(0)?),
                until: moment(r.get(1)?),
                why: Why::read(&r.get::<_, String>(2)?),
                scope: (!scope.is_empty()).then(|| scope.as_str().into()),
            })
        };
        let mut gaps = gaps::Few::default();
        for one in all.query_map([now.as_microsecond()], gap)? {
            gaps.add(one?);
        }
        Ok(gaps.into_all())
    }

    fn has_gaps(&self) -> Result<bool, RecordsError> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'gap'";
        Ok(self.db.query_row(sql, [], |r| r.get::<_, i64>(0))? > 0)
    }

    /// Notes that whoever writes is alive.
    pub(super) fn live(&self, now: Timestamp) -> Result<(), RecordsError> {
        live(&self.db, now)
    }

    /// Notes that nothing waits to be written any more.
    pub(super) fn rest(&self) -> Result<(), RecordsError> {
        self.db.execute("DELETE FROM life", [])?;
        Ok(())
    }

    /// Returns when something was written last if whoever wrote died over it.
    pub(super) fn died(&self) -> Result<Option<Timestamp>, RecordsError> {
        let at = self.db.query_row("SELECT at FROM life", [], |r| r.get(0)).optional()?;
        Ok(at.map(moment))
    }

    /// Returns how many records of a time were lost.
    pub(super) fn lost(&self, (since, until): Span) -> Result<u64, RecordsError> {
        // Not `sum`: that fails where the counts are too large.
        let sql = "SELECT total(many) FROM lost WHERE until >= ? AND since <= ?";
        let time = params![since.as_microsecond(), until.as_microsecond()];
        Ok(self.db.query_row(sql, time, |r| r.get::<_, f64>(0))? as u64)
    }

    /// Returns from when until when there are records, or some were lost; none if it is empty.
    pub(super) fn span(&self) -> Option<Span> {
        self.span
    }

    fn read_span(&self) -> Result<Option<Span>, RecordsError> {
        let ends = |r: &rusqlite::Row<'_>| Ok((r.get::<_, Option<i64>>(0)?, r.get::<_, Option<i64>>(1)?));
        let sql = "SELECT min(first), max(last) FROM
                   (SELECT first, last FROM block UNION ALL SELECT since, until FROM lost WHERE many > 0)";
        let (first, last) = self.db.query_row(sql, [], ends)?;
        Ok(first.map(moment).zip(last.map(moment)))
    }

    /// Hands over the blocks of a time that may have something with a key, the newest first; without a key all of them. One
    /// that cannot be read is none.
    pub(super) fn look(
        &self,
        key: Option<u64>,
        time: Span,
        mut take: impl FnMut(Option<Vec<Record>>) -> ControlFlow<()>,
    ) -> Result<(), RecordsError> {
        // Of one moment: blocks may be put together meanwhile.
        let _moment = self.db.unchecked_transaction()?;
        let mut body = self.db.prepare("SELECT body FROM block WHERE id = ?")?;
        for id in self.may_have(key, time)? {
            let read = |r: &rusqlite::Row<'_>| Ok(block::unpack(r.get_ref(0)?.as_blob().unwrap_or_default()));
            if take(body.query_row([id], read)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn may_have(&self, key: Option<u64>, (since, until): Span) -> Result<Vec<i64>, RecordsError> {
        let sql = "SELECT id, filter FROM block WHERE last >= ? AND first <= ? ORDER BY id DESC";
        let mut all = self.db.prepare(sql)?;
        let mut rows = all.query(params![since.as_microsecond(), until.as_microsecond()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let filter = row.get_ref(1)?.as_blob().unwrap_or_default();
            if key.is_none_or(|key| filter::may_have(filter, key)) {
                found.push(row.get(0)?);
            }
        }
        Ok(found)
    }

    /// Returns how many bytes it takes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        size(&self.file)
    }

    /// Returns how many of them are in the one file already: what lies beside it may be more, where little room was given.
    pub(super) fn settled_bytes(&self) -> u64 {
        fs::symlink_metadata(&self.file).map_or(0, |found| found.len())
    }

    /// Puts all into the one file and closes it.
    pub(super) fn close(self) {
        // Left as it is it is put together when it is opened next. Nobody who searches it is waited for.
        if let Err(error) = self.db.execute_batch("PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)")
        {
            tracing::debug!(%error, "a segment of records is closed as it is");
        }
    }
}

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn live(db: &Connection, now: Timestamp) -> Result<(), RecordsError> {
    db.prepare_cached("INSERT OR REPLACE INTO life VALUES (1, ?)")?.execute([now.as_microsecond()])?;
    Ok(())
}

fn insert(
    tx: &Transaction<'_>,
    Packed { span: (first, last), filter, body }: &Packed,
) -> Result<i64, RecordsError> {
    let sql = "INSERT INTO block (first, last, filter, body) VALUES (?, ?, ?, ?)";
    tx.prepare_cached(sql)?.execute(params![first.as_microsecond(), last.as_microsecond(), filter, body])?;
    Ok(tx.last_insert_rowid())
}

/// Makes one block of several, in their order. If one of them cannot be read all stay.
fn put_together(tx: &Transaction<'_>, small: &[i64]) -> Result<(), RecordsError> {
    let mut blocks = vec![Block::default()];
    for id in small {
        let read = |r: &rusqlite::Row<'_>| Ok(block::unpack(r.get_ref(0)?.as_blob().unwrap_or_default()));
        let Some(records) =
            tx.prepare_cached("SELECT body FROM block WHERE id = ?")?.query_row([id], read)?
        else {
            return Ok(());
        };
        for record in &records {
            if blocks.last().is_none_or(Block::is_full) {
                blocks.push(Block::default());
            }
            if let Some(block) = blocks.last_mut() {
                block.add(record)?;
            }
        }
    }
    for id in small {
        tx.prepare_cached("DELETE FROM block WHERE id = ?")?.execute([id])?;
    }
    for packed in blocks.iter().filter_map(|block| block.pack().transpose()) {
        insert(tx, &packed?)?;
    }
    Ok(())
}

/// Returns how many bytes a segment takes on the disk.
pub(super) fn size(file: &Path) -> u64 {
    let all = std::iter::once(file.to_owned()).chain(BESIDE.iter().map(|end| beside(file, end)));
    all.map(|file| fs::symlink_metadata(file).map_or(0, |found| found.len())).sum()
}

/// Removes a segment, if somebody else has not.
pub(super) fn remove(file: &Path) -> std::io::Result<()> {
    for end in BESIDE {
        // Without its file it is nothing.
        let _ = fs::remove_file(beside(file, end));
    }
    match fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Puts a damaged segment under another name, where nobody looks for records but a person may.
pub(super) fn set_aside(file: &Path) -> std::io::Result<()> {
    let aside = beside(file, DAMAGED);
    for end in BESIDE {
        // What was not put into the file yet belongs to it; often there is none.
        let _ = fs::rename(beside(file, end), beside(&aside, end));
    }
    fs::rename(file, aside)
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}
