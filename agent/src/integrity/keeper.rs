//! Holds what each path was, looks again, and keeps the changes until they are told. Blocks: it reads files.
//!
//! ```text
//! baseline, then what else the survey finds ─► stamp as before? ─ yes ─► done (but each file is read once in a while)
//!                                                               └ no ─► look ─► differs? ─► pending ─► told ─► baseline
//! ```
//! The baseline changes only after the change is on the spool's disk: an agent that dies in between finds it again.
//! What is in the baseline is compared whatever else the host is full of. Of mounts from the network nothing is looked at,
//! unless the policy wants it: a server that does not answer holds whoever asks. What was known of them stays known.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use khien_core::{
    Timestamp,
    asset::IntegrityState,
    conduct::{Differs, Kind},
    policy::Policy,
};

use super::{
    diff,
    gaps::Gaps,
    packages::{Packages, Verdict},
    pending::{Batch, FOR_DPKG, Item, Pending, Room},
    place::{self, Look, Seen},
    store::{Entry, Put, Store, StoreError},
    survey::{self, Ask, Before, Place, Survey},
    weight::Weight,
    who::Who,
};
use crate::watch::{
    mounts::{self, Mount},
    real::{Real, real},
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
    /// How well patterns were looked through: whether a file that they name and that is not in the baseline is new.
    known: BTreeMap<String, Before>,
    packages: Packages,
    pending: Pending,
    /// Changes of the baseline that nobody has to be told.
    quiet: Vec<Put>,
    rounds: u64,
    packaged: u64,
    gaps: Gaps,
    /// Mounts from the network that the policy leaves out.
    remote: Vec<Mount>,
    left_out: Vec<PathBuf>,
    /// Those of them on which something is named.
    far: BTreeSet<PathBuf>,
    /// Where the next walk begins: there the last one found more changes than can wait.
    resume: PathBuf,
    since: Option<Timestamp>,
    looked: Option<Timestamp>,
}

/// Under which circumstances a look is taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Occasion {
    /// Who was heard of.
    pub(super) who: Who,
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
            packaged: 0,
            gaps: Gaps::default(),
            remote: Vec::new(),
            left_out: Vec::new(),
            far: BTreeSet::new(),
            resume: PathBuf::new(),
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
        self.packages.forget();
    }

    /// Tells whether the policy names a path.
    pub(super) fn names(&self, path: &Path) -> bool {
        self.entries.contains_key(path) || self.policy.group_at(path.as_os_str().as_bytes()).is_some()
    }

    /// Looks which mounts are left out now.
    pub(super) fn leave_out(&mut self) {
        self.remote = if self.policy.network_mounts { Vec::new() } else { mounts::remote() };
        self.left_out = self.remote.iter().map(|mount| mount.point.clone()).collect();
        self.packages.left_out.clone_from(&self.left_out);
    }

    /// Looks at all that the policy names: first at what is in the baseline, then at what else there is.
    pub(super) fn walk(&mut self, unwatched: bool, stop: &dyn Fn() -> bool) -> Result<(), StoreError> {
        self.packages.refresh(&self.policy);
        self.leave_out();
        self.far.clear();
        let began = Timestamp::now();
        let found = survey::survey(&Ask {
            policy: &self.policy,
            known: &self.known,
            baseline: &self.entries,
            round: self.rounds,
            left_out: &self.left_out,
            stop,
        });
        if found.stopped {
            return Ok(());
        }
        let occasion = Occasion { unwatched, ..Occasion::default() };
        self.rounds += 1;
        self.gaps.waiting = 0;
        for path in self.in_turn() {
            if stop() {
                return Ok(());
            }
            self.again(&path, &found, &occasion)?;
        }
        for (path, place) in &found.places {
            if stop() {
                return Ok(());
            }
            if !self.entries.contains_key(path) {
                self.check(path, place, &occasion)?;
            }
        }
        self.commit_quiet()?;
        self.walked(found, began)
    }

    /// Notes how far the walk came.
    fn walked(&mut self, found: Survey, began: Timestamp) -> Result<(), StoreError> {
        let known = self.known_after(&found.cut, began);
        self.far.extend(found.far);
        let unread = found.unread + self.entries.values().filter(|e| e.state.is_unread()).count() as u64;
        self.gaps = Gaps {
            unread,
            groups: found.groups,
            waiting: self.gaps.waiting,
            outside: found.outside,
            unverified: self.packages.are_unverified(),
            mounts: self.remote.iter().filter(|mount| self.far.contains(&mount.point)).cloned().collect(),
        };
        self.looked = Some(Timestamp::now());
        if self.known != known || self.since.is_none() {
            self.store.set_known(&known, Timestamp::now())?;
            self.known = known;
            self.since = self.store.since()?;
        }
        Ok(())
    }

    /// Tells how well each pattern is known after a walk that left out some of what `cut` names.
    fn known_after(&self, cut: &BTreeSet<String>, began: Timestamp) -> BTreeMap<String, Before> {
        let whole = self.looked.or(self.since).unwrap_or(began);
        let after = |pattern: String| {
            let how = match self.known.get(&pattern) {
                _ if !cut.contains(&pattern) => Before::Whole,
                Some(Before::Partly(since)) => Before::Partly(*since),
                Some(Before::Whole) => Before::Partly(whole),
                Some(Before::Never) | None => Before::Partly(began),
            };
            (pattern, how)
        };
        self.policy.integrity.iter().flat_map(|g| &g.paths).map(|p| after(p.to_string())).collect()
    }

    /// Returns the paths of the baseline, beginning where the last walk found more changes than can wait.
    fn in_turn(&mut self) -> Vec<PathBuf> {
        let from = std::mem::take(&mut self.resume);
        let from = from.as_path();
        let later = self.entries.range::<Path, _>((Bound::Included(from), Bound::Unbounded));
        let earlier = self.entries.range::<Path, _>((Bound::Unbounded, Bound::Excluded(from)));
        later.chain(earlier).map(|(path, _)| path.clone()).collect()
    }

    /// Looks at one path of which something was heard; says whether a walk is due, because it is a folder's.
    pub(super) fn heard(&mut self, path: &Path, occasion: &Occasion) -> Result<bool, StoreError> {
        let group = match (self.entries.get(path), self.policy.group_at(path.as_os_str().as_bytes())) {
            (Some(entry), _) => entry.group.clone(),
            (None, Some(group)) => group.name.to_string(),
            (None, None) => return Ok(false),
        };
        if self.is_far(path) {
            return Ok(false);
        }
        if !self.has_room(path) {
            // The walk knows whose turn it is.
            return Ok(true);
        }
        let folder = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        let was_folder = self.entries.get(path).is_some_and(|e| e.state.kind == Kind::Folder);
        self.check(path, &Place { group, before: self.before(path) }, occasion)?;
        self.commit_quiet()?;
        Ok(folder || was_folder)
    }

    /// Tells whether a path lies on a mount that is left out, and notes that.
    fn is_far(&mut self, path: &Path) -> bool {
        let mount = self.left_out.iter().find(|mount| path.starts_with(mount)).cloned();
        let is_far = mount.is_some();
        self.far.extend(mount);
        is_far
    }

    fn has_room(&self, path: &Path) -> bool {
        self.entries.len() < survey::MAX_PLACES
            || self.entries.contains_key(path)
            || survey::has_share(&self.policy, &self.entries, path)
    }

    fn before(&self, path: &Path) -> Before {
        let patterns = self.policy.integrity.iter().flat_map(|g| &g.paths);
        let naming = patterns.filter(|p| p.names(path.as_os_str().as_bytes()));
        naming.map(|p| survey::before(&self.known, p)).max().unwrap_or(Before::Never)
    }

    /// Looks at a path of the baseline, also if it was not found: gone, out of sight, or not asked for any more.
    fn again(&mut self, path: &Path, found: &Survey, occasion: &Occasion) -> Result<(), StoreError> {
        if self.is_far(path) {
            return Ok(());
        }
        if let Some(place) = found.places.get(path) {
            return self.check(path, place, occasion);
        }
        let Some(group) = self.entries.get(path).map(|e| e.group.clone()) else { return Ok(()) };
        // What a link led to has no name in the policy, and a walk that was cut may not have come by.
        let may_be_hidden = !found.cut.is_empty() || found.unread > 0;
        let is_asked = self.policy.group(&group).is_some();
        let is_due = match place::stamp(path) {
            Ok(None) => is_asked,
            Ok(Some(_)) | Err(_) => is_asked && (may_be_hidden || self.names_it(path)),
        };
        match is_due {
            true => self.check(path, &Place { group, before: Before::Whole }, occasion),
            false => self.put_quietly(Put::Gone(path.to_owned())),
        }
    }

    fn names_it(&self, path: &Path) -> bool {
        self.policy.group_at(path.as_os_str().as_bytes()).is_some()
    }

    fn check(&mut self, path: &Path, place: &Place, occasion: &Occasion) -> Result<(), StoreError> {
        // A link stays as it was when what it leads to is covered by a mount.
        let was_link = self.entries.get(path).is_some_and(|e| e.state.kind == Kind::Link);
        let is_due = self.is_look_due(path);
        if !is_due && (!was_link || self.left_out.is_empty()) {
            return Ok(());
        }
        let (real, leads_far) = self.leads(path);
        if !is_due {
            return Ok(());
        }
        let behind = real.as_deref().filter(|real| !self.names(real));
        let group = self.policy.group(&place.group);
        let text = group.is_some_and(|g| g.text && !g.is_secret(path.as_os_str().as_bytes()));
        // What cannot be looked at stays what it was; what came in its place meanwhile is found by the next look.
        let Ok(seen) = place::look(path, Look { text, behind }) else { return Ok(()) };
        let before = self.entries.get(path);
        match (before, seen) {
            (None, None) => Ok(()),
            (None, Some(seen))
                if seen.state.kind == Kind::Folder || !place.before.is_new(&seen.state.stamp) =>
            {
                self.adopt(path, &place.group, seen)
            }
            (None, seen @ Some(_)) => self.note(path, place, (Differs::Added, seen), occasion),
            (Some(before), None) if before.state.kind == Kind::Folder => {
                self.put_quietly(Put::Gone(path.to_owned()))
            }
            (Some(_), None) => self.note(path, place, (Differs::Removed, None), occasion),
            (Some(before), Some(seen)) => match place::differs(&before.state, &seen.state) {
                // What the link leads to is looked at by itself now.
                Some(Differs::Unread)
                    if seen.state.kind == Kind::Link && real.is_some() && behind.is_none() =>
                {
                    self.same(path, seen)
                }
                // It is told as a mount that is left out.
                Some(Differs::Unread) if leads_far => Ok(()),
                Some(differs) => self.note(path, place, (differs, Some(seen)), occasion),
                None => self.same(path, seen),
            },
        }
    }

    /// Returns where a path leads, if not onto a mount that is left out. That is noted, and told by the other answer.
    fn leads(&mut self, path: &Path) -> (Option<PathBuf>, bool) {
        match real(path, &self.left_out) {
            Ok(Real::At(real)) => (Some(real), false),
            Ok(Real::LeftOut(mount)) => {
                self.far.insert(mount);
                (None, true)
            }
            Err(_) => (None, false),
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
        let Some(before) = self.entries.get(path).filter(|before| before.state != seen.state) else {
            return Ok(());
        };
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
        let before = self.entries.get(path);
        let state = now.as_ref().map(|seen| &seen.state);
        let weight = Weight::of(self.policy.group(&place.group), &differs, before, state);
        let room = self.pending.room(path, weight);
        if room != Room::Free {
            self.gaps.waiting += 1;
        }
        if room == Room::None {
            if self.resume.as_os_str().is_empty() {
                self.resume = path.to_owned();
            }
            return Ok(());
        }
        let diff = self.diff(path, &differs, now.as_ref())?;
        let item = Item {
            group: place.group.clone(),
            differs,
            before: self.entries.get(path).cloned(),
            now,
            who: occasion.who.clone(),
            weight,
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
            unread: self.gaps.unread,
            packaged: self.packaged,
            groups: groups.into_iter().map(str::to_owned).collect(),
        })
    }

    /// Tells what is not kept an eye on as it should.
    pub(super) fn gaps(&self) -> &Gaps {
        &self.gaps
    }
}

#[cfg(test)]
mod tests;
