//! Holds what each path was, looks again, and keeps the changes until they are told. Blocks: it reads files.
//!
//! ```text
//! survey ─► stamp as before? ─ yes ─► done (but each file is read again once in a while)
//!                             └ no ─► look ─► differs? ─► pending ─► told, on the spool's disk ─► baseline
//! ```
//! The baseline changes only after the change is on its way: an agent that dies in between finds it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use khien_core::{
    Timestamp,
    asset::IntegrityState,
    conduct::{Differs, Kind},
    event::Process,
    policy::Policy,
};

use super::{
    diff,
    packages::{Packages, Verdict},
    pending::{Batch, FOR_DPKG, Item, Pending},
    place::{self, Look, Seen},
    store::{Entry, Put, Store, StoreError},
    survey::{self, Place},
};

/// Each walk reads one in this many files again although nothing says that they changed.
const READ_AGAIN: u64 = 36;
/// The most changes of the baseline in one commit.
const COMMIT: usize = 256;

/// The files that are kept an eye on.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Store,
    policy: Arc<Policy>,
    entries: BTreeMap<PathBuf, Entry>,
    /// Patterns that were looked through: a file that they name and that is not in the baseline is new.
    known: BTreeSet<String>,
    packages: Packages,
    pending: Pending,
    /// Changes of the baseline that nobody has to be told.
    quiet: Vec<Put>,
    rounds: u64,
    unread: u64,
    packaged: u64,
    beyond: bool,
    since: Option<Timestamp>,
    looked: Option<Timestamp>,
}

/// Under which circumstances a look is taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Occasion {
    /// Who made the change, where that is known.
    pub(super) process: Option<Process>,
    /// Whether no agent ran when it was made.
    pub(super) unwatched: bool,
}

impl Keeper {
    /// Opens the baseline; says also whether a damaged one was set aside.
    pub(super) fn open(file: &Path, dpkg: &Path, policy: Arc<Policy>) -> Result<(Self, bool), StoreError> {
        let (store, aside) = Store::open(file)?;
        let keeper = Self {
            entries: store.entries()?,
            known: store.known()?,
            since: store.since()?,
            store,
            policy,
            packages: Packages::at(dpkg),
            pending: Pending::default(),
            quiet: Vec::new(),
            rounds: 0,
            unread: 0,
            packaged: 0,
            beyond: false,
            looked: None,
        };
        Ok((keeper, aside))
    }

    /// Tells since when there is a baseline; none before the first walk ended.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Takes a new policy; the next walk looks through what it names.
    pub(super) fn follow(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// Tells whether the policy names a path.
    pub(super) fn names(&self, path: &Path) -> bool {
        self.entries.contains_key(path) || self.policy.group_at(path.as_os_str().as_bytes()).is_some()
    }

    /// Looks at all that the policy names.
    pub(super) fn walk(&mut self, unwatched: bool, stop: &dyn Fn() -> bool) -> Result<(), StoreError> {
        self.packages.refresh(&self.policy);
        let found = survey::survey(&self.policy, &self.known, stop);
        if found.stopped {
            return Ok(());
        }
        let occasion = Occasion { process: None, unwatched };
        self.rounds += 1;
        for (path, place) in &found.places {
            if stop() {
                return Ok(());
            }
            self.check(path, place, &occasion)?;
        }
        self.missing(&found.places, &occasion)?;
        self.commit_quiet()?;
        let unread = found.unread + self.entries.values().filter(|e| e.state.is_unread()).count() as u64;
        let now = Timestamp::now();
        (self.unread, self.beyond, self.looked) = (unread, found.beyond, Some(now));
        let patterns: BTreeSet<String> =
            self.policy.integrity.iter().flat_map(|g| &g.paths).map(ToString::to_string).collect();
        if self.known != patterns || self.since.is_none() {
            self.store.set_known(&patterns, now)?;
            self.known = patterns;
            self.since = self.store.since()?;
        }
        Ok(())
    }

    /// Looks at one path of which something was heard; says whether a walk is due, because it is a folder's.
    pub(super) fn heard(&mut self, path: &Path, occasion: &Occasion) -> Result<bool, StoreError> {
        let group = match (self.entries.get(path), self.policy.group_at(path.as_os_str().as_bytes())) {
            (Some(entry), _) => entry.group.clone(),
            (None, Some(group)) => group.name.to_string(),
            (None, None) => return Ok(false),
        };
        let folder = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        let was_folder = self.entries.get(path).is_some_and(|e| e.state.kind == Kind::Folder);
        self.check(path, &Place { group, known: self.is_known(path) }, occasion)?;
        self.commit_quiet()?;
        Ok(folder || was_folder)
    }

    fn is_known(&self, path: &Path) -> bool {
        let patterns = self.policy.integrity.iter().flat_map(|g| &g.paths);
        patterns.filter(|p| p.names(path.as_os_str().as_bytes())).any(|p| self.known.contains(&p.to_string()))
    }

    /// Looks at paths that are in the baseline and were not found: gone, out of sight, or not asked for any more.
    fn missing(&mut self, found: &BTreeMap<PathBuf, Place>, occasion: &Occasion) -> Result<(), StoreError> {
        let missing: Vec<PathBuf> =
            self.entries.keys().filter(|path| !found.contains_key(*path)).cloned().collect();
        for path in missing {
            let group = self.entries.get(&path).map(|e| e.group.clone()).unwrap_or_default();
            let asked = self.policy.group(&group).is_some();
            match place::stamp(&path) {
                Ok(None) if asked => self.check(&path, &Place { group, known: true }, occasion)?,
                Ok(Some(_)) | Err(_) if asked && self.names_it(&path) => {}
                _ => self.put_quietly(Put::Gone(path))?,
            }
        }
        Ok(())
    }

    fn names_it(&self, path: &Path) -> bool {
        self.policy.group_at(path.as_os_str().as_bytes()).is_some()
    }

    fn check(&mut self, path: &Path, place: &Place, occasion: &Occasion) -> Result<(), StoreError> {
        if !self.is_look_due(path) {
            return Ok(());
        }
        let behind = path.canonicalize().is_ok_and(|real| !self.names(&real));
        let group = self.policy.group(&place.group);
        let text = group.is_some_and(|g| g.text && !g.is_secret(path.as_os_str().as_bytes()));
        // What cannot be looked at stays what it was; what came in its place meanwhile is found by the next look.
        let Ok(seen) = place::look(path, Look { text, behind }) else { return Ok(()) };
        let before = self.entries.get(path);
        match (before, seen) {
            (None, None) => Ok(()),
            (None, Some(seen)) if !place.known || seen.state.kind == Kind::Folder => {
                self.adopt(path, &place.group, seen)
            }
            (None, seen @ Some(_)) => self.note(path, place, (Differs::Added, seen), occasion),
            (Some(before), None) if before.state.kind == Kind::Folder => {
                self.put_quietly(Put::Gone(path.to_owned()))
            }
            (Some(_), None) => self.note(path, place, (Differs::Removed, None), occasion),
            (Some(before), Some(seen)) => match place::differs(&before.state, &seen.state) {
                Some(differs) => self.note(path, place, (differs, Some(seen)), occasion),
                None => self.same(path, seen),
            },
        }
    }

    /// A look is due if the inode changed in any way, or if it is the file's turn.
    fn is_look_due(&self, path: &Path) -> bool {
        let Some(before) = self.entries.get(path) else { return true };
        let turn = (before.state.stamp.inode + self.rounds).is_multiple_of(READ_AGAIN);
        // Nothing there is a change, and what cannot be looked at is none.
        turn || place::stamp(path).is_ok_and(|now| now.as_ref() != Some(&before.state.stamp))
    }

    /// Takes what is there as it is, without a word.
    fn adopt(&mut self, path: &Path, group: &str, seen: Seen) -> Result<(), StoreError> {
        let packaged = self.packages.vouches(path.as_os_str().as_bytes(), &seen.state);
        let entry = Entry { group: group.to_owned(), state: seen.state, packaged };
        self.put_quietly(Put::Here(path.to_owned(), Box::new(entry), seen.text))
    }

    /// The same as in the baseline. If a change of it waits to be told it has been undone, which is told as well.
    fn same(&mut self, path: &Path, seen: Seen) -> Result<(), StoreError> {
        if let Some(waiting) = self.pending.at(path) {
            waiting.now = Some(seen);
            return Ok(());
        }
        let Some(before) = self.entries.get(path) else { return Ok(()) };
        let lost_sight = before.state.facts.sha256.is_some() && seen.state.is_unread();
        if before.state == seen.state || lost_sight {
            return Ok(());
        }
        let entry = Entry { state: seen.state, ..before.clone() };
        self.put_quietly(Put::Touched(path.to_owned(), Box::new(entry)))
    }

    fn note(
        &mut self,
        path: &Path,
        place: &Place,
        (differs, now): (Differs, Option<Seen>),
        occasion: &Occasion,
    ) -> Result<(), StoreError> {
        if self.pending.is_full() && self.pending.at(path).is_none() {
            return Ok(());
        }
        let diff = self.diff(path, &differs, now.as_ref())?;
        let item = Item {
            group: place.group.clone(),
            differs,
            before: self.entries.get(path).cloned(),
            now,
            process: occasion.process.clone(),
            diff,
            unwatched: occasion.unwatched,
            at: Timestamp::now(),
            since: Instant::now(),
        };
        self.pending.add(path.to_owned(), item);
        Ok(())
    }

    /// Compares the texts, where both are known and the policy still lets them be shown.
    fn diff(
        &self,
        path: &Path,
        differs: &Differs,
        now: Option<&Seen>,
    ) -> Result<Option<khien_core::Untrusted>, StoreError> {
        let group = self.policy.group_at(path.as_os_str().as_bytes());
        if group.is_none_or(|g| !g.text || g.is_secret(path.as_os_str().as_bytes())) {
            return Ok(None);
        }
        let text = now.and_then(|seen| seen.text.as_deref());
        Ok(match (differs, text) {
            (Differs::Added, Some(text)) => diff::diff(b"", text),
            (Differs::Removed, _) => self.store.text(path)?.and_then(|old| diff::diff(&old, b"")),
            (Differs::Content, Some(text)) => self.store.text(path)?.and_then(|old| diff::diff(&old, text)),
            _ => None,
        })
    }

    fn put_quietly(&mut self, put: Put) -> Result<(), StoreError> {
        self.quiet.push(put);
        match self.quiet.len() >= COMMIT {
            true => self.commit_quiet(),
            false => Ok(()),
        }
    }

    fn commit_quiet(&mut self) -> Result<(), StoreError> {
        let puts = std::mem::take(&mut self.quiet);
        match puts.is_empty() {
            true => Ok(()),
            false => self.commit(puts),
        }
    }

    fn commit(&mut self, puts: Vec<Put>) -> Result<(), StoreError> {
        self.store.put(&puts)?;
        for put in puts {
            match put {
                Put::Here(path, entry, _) | Put::Touched(path, entry) => {
                    drop(self.entries.insert(path, *entry))
                }
                Put::Gone(path) => drop(self.entries.remove(&path)),
            }
        }
        Ok(())
    }

    /// Tells whether changes wait.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes the changes that it is time to tell, without those that are a package manager's work.
    pub(super) fn due(&mut self, all: bool) -> Result<Batch, StoreError> {
        let now = Instant::now();
        if !all && !self.pending.is_due(now) {
            return Ok(Batch::default());
        }
        self.packages.refresh(&self.policy);
        let (mut told, mut waiting, mut packaged) = (Batch::default(), Vec::new(), Batch::default());
        for (path, item) in self.pending.take() {
            let before = item.before.as_ref().map(|e| (&e.state, e.packaged));
            let state = item.now.as_ref().map(|seen| &seen.state);
            match self.packages.judge(&path, &item.differs, before, state) {
                Verdict::Packaged => packaged.items.push((path, item)),
                Verdict::Wait if !all && now.duration_since(item.since) < FOR_DPKG => {
                    waiting.push((path, item))
                }
                Verdict::Wait | Verdict::Unknown => told.items.push((path, item)),
            }
        }
        self.pending.put_back(waiting, now);
        if !packaged.items.is_empty() {
            let count = packaged.items.len();
            tracing::info!(count, "files changed as their packages say");
            self.packaged += count as u64;
            self.settle(&packaged)?;
        }
        Ok(told)
    }

    /// Makes told changes the baseline.
    pub(super) fn settle(&mut self, told: &Batch) -> Result<(), StoreError> {
        let packages = &self.packages;
        let puts = told.puts(|path, seen| packages.vouches(path.as_os_str().as_bytes(), &seen.state));
        self.commit(puts)
    }

    /// Puts back changes that could not be told.
    pub(super) fn untold(&mut self, batch: Batch) {
        self.pending.put_back(batch.items, Instant::now());
    }

    /// Returns what is kept an eye on; none before the first walk ended.
    pub(super) fn state(&self) -> Option<IntegrityState> {
        let groups: BTreeSet<&str> = self.entries.values().map(|e| e.group.as_str()).collect();
        Some(IntegrityState {
            since: self.since?,
            looked: self.looked,
            files: self.entries.len() as u64,
            unread: self.unread,
            packaged: self.packaged,
            groups: groups.into_iter().map(str::to_owned).collect(),
        })
    }

    /// Tells how much could not be read, and whether the policy names more than is kept an eye on.
    pub(super) fn gaps(&self) -> (u64, bool) {
        (self.unread, self.beyond)
    }
}

#[cfg(test)]
mod tests;
