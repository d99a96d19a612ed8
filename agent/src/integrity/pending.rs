//! Changes that wait to be told, so that many at once become one alert. Pure: callers pass the time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use khien_core::{
    RuleId, Timestamp, Untrusted,
    conduct::{Conduct, Differs, Integrity, MAX_EXAMPLES},
    detection::{ConductSubject, Detection, Subject},
    event::Process,
};
use khien_scan::users::Users;
use std::os::unix::ffi::OsStrExt;

use super::{
    place::Seen,
    store::{Entry, Put},
};

/// A group's changes are told when none came for this long,
const QUIET: Duration = Duration::from_secs(2);
/// or this long after the first,
const LONGEST: Duration = Duration::from_secs(20);
/// or when this many wait.
const FULL: usize = 1_000;
/// This many changes at once are still told one by one.
const SINGLE: usize = 10;
/// How long a change may wait for dpkg to end.
pub(super) const FOR_DPKG: Duration = Duration::from_secs(120);

/// One change.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) group: String,
    pub(super) differs: Differs,
    pub(super) before: Option<Entry>,
    pub(super) now: Option<Seen>,
    pub(super) process: Option<Process>,
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

    /// Tells whether more would be too many; what is not taken is found again by the next look.
    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= FULL
    }

    /// Returns the change of a path that waits.
    pub(super) fn at(&mut self, path: &Path) -> Option<&mut Item> {
        self.items.get_mut(path)
    }

    /// Adds a change, or puts it in the place of an earlier one of the same path. When that was found stays, and who
    /// made it if the new one does not know.
    pub(super) fn add(&mut self, path: PathBuf, mut item: Item) {
        if let Some(earlier) = self.items.remove(&path) {
            item.since = earlier.since;
            item.at = earlier.at;
            item.process = item.process.or(earlier.process);
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

    /// Returns what is told: each change by itself, or a group's many as one.
    pub(super) fn detections(&self, pack: u64, users: &Users) -> Vec<Detection> {
        let mut groups: BTreeMap<&str, Vec<&(PathBuf, Item)>> = BTreeMap::new();
        for one in &self.items {
            groups.entry(&one.1.group).or_default().push(one);
        }
        let mut out = Vec::new();
        for (group, items) in groups {
            let Some(rule) = rule(group) else { continue };
            let subjects: Vec<(Timestamp, ConductSubject)> = match items.len() <= SINGLE {
                true => items.iter().map(|(path, item)| (item.at, single(path, item, users))).collect(),
                false => vec![many(&items)],
            };
            out.extend(subjects.into_iter().map(|(at, subject)| Detection {
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
        process: item.process.clone(),
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
            Differs::Content | Differs::Link { .. } | Differs::Replaced { .. } | Differs::Many { .. } => {
                content += 1
            }
        }
    }
    let examples = items.iter().take(MAX_EXAMPLES).map(|(path, _)| untrusted(path)).collect();
    let first = items.iter().map(|(_, item)| item.at).min().unwrap_or(Timestamp::UNIX_EPOCH);
    let makers: Vec<_> = items.iter().map(|(_, item)| &item.process).collect();
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
        process: makers.first().filter(|_| one_maker).and_then(|p| (*p).clone()),
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
mod tests {
    use super::*;

    fn item(group: &str, differs: Differs, since: Instant) -> Item {
        Item {
            group: group.to_owned(),
            differs,
            before: None,
            now: None,
            process: None,
            diff: None,
            unwatched: false,
            at: Timestamp::UNIX_EPOCH,
            since,
        }
    }

    fn batch(count: usize) -> Batch {
        let now = Instant::now();
        let one =
            |n| (PathBuf::from(format!("/etc/s/{}/u{n}", n % 2)), item("systemd", Differs::Content, now));
        Batch { items: (0..count).map(one).collect() }
    }

    #[test]
    fn a_few_changes_are_told_one_by_one_and_many_as_one() {
        let users = Users::default();

        assert_eq!(batch(SINGLE).detections(1, &users).len(), SINGLE);
        let told = batch(500).detections(1, &users);
        assert_eq!(told.len(), 1);
        let Subject::Conduct(subject) = &told[0].subject else { panic!("{told:?}") };
        assert_eq!(subject.path, "/etc/s".into());
        let Conduct::Integrity(change) = &subject.what else { panic!("{subject:?}") };
        let Differs::Many { content, examples, .. } = &change.differs else { panic!("{change:?}") };
        assert_eq!((*content, examples.len()), (500, MAX_EXAMPLES));
    }

    #[test]
    fn changes_wait_until_none_comes_and_not_for_ever() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        assert!(!pending.is_due(start));
        for second in 0..=20 {
            let at = start + Duration::from_secs(second);
            pending.add(format!("/{second}").into(), item("g", Differs::Added, at));
        }

        assert!(Pending::is_due(&pending, start + LONGEST));
        assert_eq!(pending.take().len(), 21);
        pending.add("/a".into(), item("g", Differs::Added, start));
        assert!(!pending.is_due(start + QUIET / 2));
        assert!(pending.is_due(start + QUIET));
    }

    #[test]
    fn a_second_change_of_a_path_keeps_when_the_first_was_and_who_made_it() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let maker = Process::unknown(7);
        let first =
            Item { process: Some(maker.clone()), unwatched: true, ..item("g", Differs::Added, start) };
        pending.add("/a".into(), first);
        pending.add("/a".into(), item("g", Differs::Removed, start + QUIET));

        let all = pending.take();

        assert_eq!((all.len(), all[0].1.since, &all[0].1.process), (1, start, &Some(maker)));
        assert_eq!((&all[0].1.differs, all[0].1.unwatched), (&Differs::Removed, true));
    }
}
