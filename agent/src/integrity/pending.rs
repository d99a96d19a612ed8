//! Changes that wait to be told, so that many at once become one alert. Pure: callers pass the time.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use khien_core::{
    RuleId, Timestamp, Untrusted,
    conduct::{Conduct, Differs, Integrity, MAX_EXAMPLES},
    detection::{ConductSubject, Detection, Subject},
};
use khien_scan::users::Users;
use std::os::unix::ffi::OsStrExt;

use super::{
    place::Seen,
    store::{Entry, Put},
    weight::Weight,
    who::Who,
};

/// A group's changes are told when none came for this long,
const QUIET: Duration = Duration::from_secs(2);
/// or this long after the first,
const LONGEST: Duration = Duration::from_secs(20);
/// or when this many wait.
const FULL: usize = 1_000;
/// This many changes at once are still told one by one.
const SINGLE: usize = 10;
/// Of more, this many of those that weigh most are told one by one all the same.
const SINGLE_OF_MANY: usize = 40;
/// How long a change may wait for dpkg to end.
pub(super) const FOR_DPKG: Duration = Duration::from_secs(120);

/// One change.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) group: String,
    pub(super) differs: Differs,
    pub(super) before: Option<Entry>,
    pub(super) now: Option<Seen>,
    pub(super) who: Who,
    pub(super) weight: Weight,
    pub(super) diff: Option<Untrusted>,
    pub(super) unwatched: bool,
    pub(super) at: Timestamp,
    /// When it was found first.
    pub(super) since: Instant,
}

/// Changes by path.
#[derive(Debug, Default)]
pub(super) struct Pending {
    items: BTreeMap<PathBuf, Item>,
    last: Option<Instant>,
}

/// Whether one more change can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// It can.
    Free,
    /// It can, because another one was let go.
    Made,
    /// It cannot.
    None,
}

/// What is told at once, and what the baseline becomes once it is told.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<(PathBuf, Item)>,
}

impl Pending {
    /// Tells whether no change waits.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn is_full(&self) -> bool {
        self.items.len() >= FULL
    }

    /// Makes room for a change. Where there is none, what weighs least gives way; it is found again by the next look.
    pub(super) fn room(&mut self, path: &Path, weight: Weight) -> Room {
        if !self.is_full() || self.items.contains_key(path) {
            return Room::Free;
        }
        let lightest = self.items.iter().min_by_key(|(_, item)| item.weight);
        match lightest.map(|(path, item)| (path.clone(), item.weight)) {
            Some((path, least)) if least < weight => {
                self.items.remove(&path);
                Room::Made
            }
            _ => Room::None,
        }
    }

    /// Returns the change of a path that waits.
    pub(super) fn at(&mut self, path: &Path) -> Option<&mut Item> {
        self.items.get_mut(path)
    }

    /// Adds a change, or puts it in the place of an earlier one of the same path. When that was found stays, and who
    /// made it is put together.
    pub(super) fn add(&mut self, path: PathBuf, mut item: Item) {
        if let Some(earlier) = self.items.remove(&path) {
            item.since = earlier.since;
            item.at = earlier.at;
            let later = std::mem::replace(&mut item.who, earlier.who);
            item.who.and_then(later);
            item.unwatched |= earlier.unwatched;
        }
        self.last = Some(item.since.max(self.last.unwrap_or(item.since)));
        self.items.insert(path, item);
    }

    /// Returns whether it is time to tell.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let quiet = self.last.is_some_and(|last| now.duration_since(last) >= QUIET);
        let old = self.items.values().any(|item| now.duration_since(item.since) >= LONGEST);
        !self.items.is_empty() && (quiet || old || self.is_full())
    }

    /// Takes all.
    pub(super) fn take(&mut self) -> Vec<(PathBuf, Item)> {
        self.last = None;
        std::mem::take(&mut self.items).into_iter().collect()
    }

    /// Puts back what could not be told, or must wait; what came meanwhile is newer and stays.
    pub(super) fn put_back(&mut self, items: Vec<(PathBuf, Item)>, now: Instant) {
        for (path, item) in items {
            self.items.entry(path).or_insert(item);
            self.last = Some(now);
        }
    }
}

impl Batch {
    /// Returns what the baseline becomes.
    pub(super) fn puts(&self, vouches: impl Fn(&Path, &Seen) -> bool) -> Vec<Put> {
        let put = |(path, item): &(PathBuf, Item)| match &item.now {
            None => Put::Gone(path.clone()),
            Some(seen) => {
                let packaged = vouches(path, seen);
                let entry = Entry { group: item.group.clone(), state: seen.state.clone(), packaged };
                Put::Here(path.clone(), Box::new(entry), seen.text.clone())
            }
        };
        self.items.iter().map(put).collect()
    }

    /// Returns what is told: each change by itself, or of a group's many the heaviest by themselves and the rest as one.
    pub(super) fn detections(&self, pack: u64, users: &Users) -> Vec<Detection> {
        let mut groups: BTreeMap<&str, Vec<&(PathBuf, Item)>> = BTreeMap::new();
        for one in &self.items {
            groups.entry(&one.1.group).or_default().push(one);
        }
        let mut out = Vec::new();
        for (group, items) in groups {
            let Some(rule) = rule(group) else { continue };
            out.extend(told(items, users).into_iter().map(|(at, subject)| Detection {
                rule: rule.clone(),
                at,
                pack,
                subject: Subject::Conduct(subject),
            }));
        }
        out
    }
}

/// A group that a newer policy does not have any more still has its name.
fn rule(group: &str) -> Option<RuleId> {
    format!("khien.integrity.{group}").parse().ok()
}

fn told(mut items: Vec<&(PathBuf, Item)>, users: &Users) -> Vec<(Timestamp, ConductSubject)> {
    let mut alone = items.len();
    if alone > SINGLE {
        items.sort_by_key(|(_, item)| Reverse((item.weight.stands_alone(), item.weight)));
        let heavy = items.iter().take_while(|(_, item)| item.weight.stands_alone());
        alone = heavy.take(SINGLE_OF_MANY).count();
    }
    let (alone, rest) = items.split_at(alone);
    let mut out: Vec<_> = alone.iter().map(|(path, item)| (item.at, single(path, item, users))).collect();
    match rest {
        [] => {}
        [(path, item)] => out.push((item.at, single(path, item, users))),
        rest => out.push(many(rest)),
    }
    out
}

fn single(path: &Path, item: &Item, users: &Users) -> ConductSubject {
    let now = item.now.as_ref().map(|seen| &seen.state);
    ConductSubject {
        path: untrusted(path),
        what: Conduct::Integrity(Box::new(Integrity {
            differs: item.differs.clone(),
            before: item.before.as_ref().map(|entry| entry.state.facts.clone()),
            after: now.map(|state| state.facts.clone()),
            unwatched: item.unwatched,
        })),
        file: now.map(|state| state.file(users.name(state.facts.uid))),
        sha256: now.and_then(|state| state.facts.sha256),
        process: item.who.did(&item.differs).cloned(),
        diff: item.diff.clone(),
    }
}

fn many(items: &[&(PathBuf, Item)]) -> (Timestamp, ConductSubject) {
    let (mut added, mut removed, mut content, mut rights) = (0, 0, 0, 0);
    for (_, item) in items {
        match item.differs {
            Differs::Added => added += 1,
            Differs::Removed => removed += 1,
            Differs::Rights => rights += 1,
            _ => content += 1,
        }
    }
    let examples = items.iter().take(MAX_EXAMPLES).map(|(path, _)| untrusted(path)).collect();
    let first = items.iter().map(|(_, item)| item.at).min().unwrap_or(Timestamp::UNIX_EPOCH);
    let makers: Vec<_> = items.iter().map(|(_, item)| item.who.did(&item.differs)).collect();
    let one_maker = makers.windows(2).all(|two| two[0] == two[1]);
    let subject = ConductSubject {
        path: untrusted(&shared_folder(items)),
        what: Conduct::Integrity(Box::new(Integrity {
            differs: Differs::Many { added, removed, content, rights, examples },
            before: None,
            after: None,
            unwatched: items.iter().any(|(_, item)| item.unwatched),
        })),
        file: None,
        sha256: None,
        process: makers.first().filter(|_| one_maker).and_then(|maker| maker.cloned()),
        diff: None,
    };
    (first, subject)
}

/// Returns the deepest folder in which all lie.
fn shared_folder(items: &[&(PathBuf, Item)]) -> PathBuf {
    let mut folders = items.iter().filter_map(|(path, _)| path.parent());
    let mut shared = folders.next().unwrap_or(Path::new("/")).to_owned();
    for folder in folders {
        while !folder.starts_with(&shared) {
            shared.pop();
        }
    }
    shared
}

fn untrusted(path: &Path) -> Untrusted {
    Untrusted::new(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests;
