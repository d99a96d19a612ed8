//! What was at each path, on the agent's disk: it outlives the agent, so that a change made while no agent ran is found.

use std::{
    collections::BTreeMap,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::Duration,
};

use khien_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{diff::MAX_TEXT, place::State, survey::Before};

/// Compressed texts kept in all, in bytes; a text beyond that is not kept, and its next change has no diff.
const MAX_TEXTS: u64 = 32 << 20;
/// The most entries that are read back: more than are ever kept.
const MAX_ENTRIES: u32 = 200_000;
/// How hard texts are compressed: they are small and seldom read.
const LEVEL: i32 = 3;
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS place (path BLOB PRIMARY KEY, entry TEXT NOT NULL, text BLOB) STRICT;
    CREATE TABLE IF NOT EXISTS pattern (pattern TEXT PRIMARY KEY) STRICT;
    CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    PRAGMA user_version = 1;
";

/// What goes wrong with the baseline.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database failed.
    #[error("baseline of files failed")]
    Database(#[from] rusqlite::Error),
    /// An entry has no JSON form or cannot be read back.
    #[error("baseline of files holds what cannot be read")]
    Json(#[from] serde_json::Error),
    /// A newer agent wrote it.
    #[error("baseline of files has format {0}, which is newer than this agent")]
    Newer(i32),
    /// A damaged baseline could not be set aside.
    #[error("damaged baseline of files cannot be set aside")]
    Stuck(#[source] std::io::Error),
}

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The group that named it.
    pub(super) group: String,
    /// What was there.
    pub(super) state: State,
    /// Whether the package database vouched for it.
    pub(super) packaged: bool,
}

/// A change of the baseline.
#[derive(Debug)]
pub(super) enum Put {
    /// This is there now; without a text, none is known.
    Here(PathBuf, Box<Entry>, Option<Vec<u8>>),
    /// The same content with another stamp; the text stays.
    Touched(PathBuf, Box<Entry>),
    /// Nothing is there, or nobody wants to know any more.
    Gone(PathBuf),
}

/// The open baseline.
#[derive(Debug)]
pub(super) struct Store {
    db: Connection,
    texts: u64,
}

impl Store {
    /// Opens or makes it. A damaged one is set aside, not deleted; says whether that happened.
    pub(super) fn open(file: &Path) -> Result<(Self, bool), StoreError> {
        match Self::open_as_is(file) {
            Err(error @ (StoreError::Database(_) | StoreError::Json(_))) => {
                tracing::error!(%error, "the baseline of files is damaged, it is set aside and a new one begins");
                set_aside(file).map_err(StoreError::Stuck)?;
                Ok((Self::open_as_is(file)?, true))
            }
            opened => Ok((opened?, false)),
        }
    }

    fn open_as_is(file: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(file)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "trusted_schema", false)?;
        let found: i32 = db.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer(found));
        }
        db.execute_batch(SCHEMA)?;
        let texts: i64 =
            db.query_row("SELECT coalesce(sum(length(text)), 0) FROM place", [], |r| r.get(0))?;
        let store = Self { db, texts: texts.unsigned_abs() };
        store.entries()?;
        store.known()?;
        Ok(store)
    }

    /// Reads all entries, without texts.
    pub(super) fn entries(&self) -> Result<BTreeMap<PathBuf, Entry>, StoreError> {
        let mut found = self.db.prepare("SELECT path, entry FROM place LIMIT ?")?;
        let mut rows = found.query([MAX_ENTRIES])?;
        let mut entries = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let path = std::ffi::OsString::from_vec(row.get(0)?);
            entries.insert(path.into(), serde_json::from_str(&row.get::<_, String>(1)?)?);
        }
        Ok(entries)
    }

    /// Reads a text.
    pub(super) fn text(&self, path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
        let found: Option<Option<Vec<u8>>> = self
            .db
            .query_row("SELECT text FROM place WHERE path = ?", [key(path)], |r| r.get(0))
            .optional()?;
        // One that does not unpack to a text of its size is none.
        Ok(found.flatten().and_then(|packed| zstd::bulk::decompress(&packed, MAX_TEXT as usize).ok()))
    }

    /// Makes changes, all or none. When it returns they are on disk.
    pub(super) fn put(&mut self, changes: &[Put]) -> Result<(), StoreError> {
        let mut texts = self.texts;
        let tx = self.db.transaction()?;
        for change in changes {
            match change {
                Put::Here(path, entry, text) => {
                    texts = texts.saturating_sub(length(&tx, path)?);
                    let packed = text.as_ref().and_then(|text| zstd::bulk::compress(text, LEVEL).ok());
                    let packed = packed.filter(|p| texts + p.len() as u64 <= MAX_TEXTS);
                    texts += packed.as_ref().map_or(0, |p| p.len() as u64);
                    tx.execute(
                        "INSERT OR REPLACE INTO place VALUES (?, ?, ?)",
                        params![key(path), serde_json::to_string(entry)?, packed],
                    )?;
                }
                Put::Touched(path, entry) => {
                    let entry = serde_json::to_string(entry)?;
                    tx.execute("UPDATE place SET entry = ? WHERE path = ?", params![entry, key(path)])?;
                }
                Put::Gone(path) => {
                    texts = texts.saturating_sub(length(&tx, path)?);
                    tx.execute("DELETE FROM place WHERE path = ?", [key(path)])?;
                }
            }
        }
        tx.commit()?;
        self.texts = texts;
        Ok(())
    }

    /// Returns the patterns that were looked through, and how well.
    pub(super) fn known(&self) -> Result<BTreeMap<String, Before>, StoreError> {
        let partly = self.fact("partly")?.unwrap_or_else(|| "{}".to_owned());
        let partly: BTreeMap<String, Timestamp> = serde_json::from_str(&partly)?;
        let mut found = self.db.prepare("SELECT pattern FROM pattern")?;
        let how =
            |pattern: &String| partly.get(pattern).map_or(Before::Whole, |since| Before::Partly(*since));
        let patterns = found.query_map([], |r| r.get::<_, String>(0))?;
        Ok(patterns.map(|p| p.map(|p| (p.clone(), how(&p)))).collect::<Result<_, _>>()?)
    }

    /// Notes the patterns that were looked through and how well, and since when there is a baseline at all.
    pub(super) fn set_known(
        &mut self,
        patterns: &BTreeMap<String, Before>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = self.db.transaction()?;
        tx.execute("DELETE FROM pattern", [])?;
        let mut partly = BTreeMap::new();
        for (pattern, how) in patterns {
            tx.execute("INSERT INTO pattern VALUES (?)", [pattern])?;
            if let Before::Partly(since) = how {
                partly.insert(pattern, since);
            }
        }
        tx.execute("INSERT OR REPLACE INTO fact VALUES ('partly', ?)", [serde_json::to_string(&partly)?])?;
        tx.execute("INSERT OR IGNORE INTO fact VALUES ('since', ?)", [now.to_string()])?;
        Ok(tx.commit()?)
    }

    /// Returns since when there is a baseline; none before the first look ended.
    pub(super) fn since(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.fact("since")?.and_then(|text| text.parse().ok()))
    }

    fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found = self.db.query_row("SELECT value FROM fact WHERE name = ?", [name], |r| r.get(0));
        Ok(found.optional()?)
    }
}

fn length(db: &Connection, path: &Path) -> Result<u64, StoreError> {
    let found: Option<Option<i64>> = db
        .query_row("SELECT length(text) FROM place WHERE path = ?", [key(path)], |r| r.get(0))
        .optional()?;
    Ok(found.flatten().map_or(0, i64::unsigned_abs))
}

fn key(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn set_aside(file: &Path) -> std::io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let name = |extra: &str| {
            let mut whole = file.as_os_str().to_owned();
            whole.push(extra);
            whole.push(end);
            whole
        };
        match std::fs::rename(name(""), name(".damaged")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::place::{Look, look},
        *,
    };

    fn entry(path: &Path) -> (Entry, Option<Vec<u8>>) {
        let seen = look(path, Look { text: true, behind: None }).unwrap().unwrap();
        (Entry { group: "g".to_owned(), state: seen.state, packaged: false }, seen.text)
    }

    #[test]
    fn what_was_put_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (file, db) = (dir.path().canonicalize().unwrap().join("f"), dir.path().join("db"));
        std::fs::write(&file, "text").unwrap();
        let (entry, text) = entry(&file);
        let (mut store, aside) = Store::open(&db).unwrap();
        assert!(!aside && store.since().unwrap().is_none());
        store.put(&[Put::Here(file.clone(), Box::new(entry.clone()), text)]).unwrap();
        let known = [
            ("/etc/".to_owned(), Before::Whole),
            ("/srv/".to_owned(), Before::Partly(Timestamp::UNIX_EPOCH)),
        ];
        store.set_known(&known.clone().into(), Timestamp::UNIX_EPOCH).unwrap();
        drop(store);

        let (mut store, _) = Store::open(&db).unwrap();

        assert_eq!(store.entries().unwrap(), [(file.clone(), entry.clone())].into());
        assert_eq!(store.text(&file).unwrap().as_deref(), Some(&b"text"[..]));
        assert_eq!(store.since().unwrap(), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(store.known().unwrap(), known.into());
        store.put(&[Put::Touched(file.clone(), Box::new(entry))]).unwrap();
        assert!(store.text(&file).unwrap().is_some() && store.texts > 0);
        store.put(&[Put::Gone(file)]).unwrap();
        assert!(store.entries().unwrap().is_empty() && store.texts == 0);
    }

    #[test]
    fn a_damaged_baseline_is_set_aside_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("db");
        std::fs::write(&db, "this is no database, and long enough to be seen as none".repeat(40)).unwrap();

        let (store, aside) = Store::open(&db).unwrap();

        assert!(aside && store.entries().unwrap().is_empty());
        assert!(dir.path().join("db.damaged").exists());
    }

    #[test]
    fn a_pipe_in_the_place_of_the_baseline_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("db");
        rustix::fs::mknodat(rustix::fs::CWD, &db, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();

        let (store, aside) = Store::open(&db).unwrap();

        assert!(aside && store.entries().unwrap().is_empty());
    }
}
