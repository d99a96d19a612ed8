//! Finds all that a policy names. Reads folders and inodes only, follows links once and says that they are links.
//!
//! Room is bounded, and nobody can take all of it: what is in the baseline stays, each pattern has a share that others
//! cannot fill, and what one match of a `*` leads to is bounded, since that is often a user's. Of what is too large to
//! be read at once another part is read each round.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::Bound,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use khien_core::{
    Timestamp,
    policy::{Pattern, Policy, fits},
};

use super::{place::Stamp, store::Entry};
use crate::watch::real::{Real, real};

/// More files, links and folders than this are kept an eye on only within the share of a pattern: some 20 MiB of memory,
/// and never more than twice that.
pub(super) const MAX_PLACES: usize = 50_000;
/// The most that are kept an eye on below one match of a `*`.
const MAX_BRANCH: usize = 10_000;
/// The most names of one folder that are looked at in one round.
const MAX_NAMES: usize = 20_000;
/// The most names of a folder that are counted, so that the next round begins behind this one's.
const MAX_COUNTED: usize = 1_000_000;
/// The most names that one pattern has looked at in one round.
const MAX_LOOKED: usize = 100_000;
/// The most places outside that are remembered for the coverage.
const MAX_OUTSIDE: usize = 100;
/// How deep below a named folder is looked.
const MAX_DEPTH: usize = 24;

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) policy: &'a Policy,
    /// What is known of the patterns that were looked through before.
    pub(super) known: &'a BTreeMap<String, Before>,
    /// What has its room already.
    pub(super) baseline: &'a BTreeMap<PathBuf, Entry>,
    /// Which part of a folder that is too large it is the turn of.
    pub(super) round: u64,
    /// Mounts that are left out: nothing on them is even asked for its inode.
    pub(super) left_out: &'a [PathBuf],
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// What a policy names on this host.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Each path with where it belongs.
    pub(super) places: BTreeMap<PathBuf, Place>,
    /// Folders that cannot be read.
    pub(super) unread: u64,
    /// Patterns that name more than was looked at.
    pub(super) cut: BTreeSet<String>,
    /// The groups of those that had no room.
    pub(super) groups: BTreeSet<String>,
    /// Mounts that are left out and on which something may be named.
    pub(super) far: BTreeSet<PathBuf>,
    /// Where links lead that were not followed.
    pub(super) outside: BTreeSet<PathBuf>,
    /// Whether it was called off.
    pub(super) stopped: bool,
    /// How much has room: the baseline, and what is new.
    total: usize,
}

/// Where a path belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The first group that names it.
    pub(super) group: String,
    /// How well the patterns that led to it were looked through before.
    pub(super) before: Before,
}

/// How well a pattern was looked through before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Before {
    /// Not at all: what is there is taken as it is.
    Never,
    /// Not to its end. A file that was not seen before is new if its inode changed since then.
    Partly(Timestamp),
    /// To its end: a file that was not there is new.
    Whole,
}

impl Before {
    /// Tells whether what was not seen before came after the pattern was looked through.
    pub(super) fn is_new(self, stamp: &Stamp) -> bool {
        match self {
            Self::Never => false,
            Self::Partly(since) => stamp.changed >= (since.as_second(), i64::from(since.subsec_nanosecond())),
            Self::Whole => true,
        }
    }
}

/// Tells how well a pattern was looked through before.
pub(super) fn before(known: &BTreeMap<String, Before>, pattern: &Pattern) -> Before {
    known.get(&pattern.to_string()).copied().unwrap_or(Before::Never)
}

/// Looks through all patterns.
pub(super) fn survey(ask: &Ask<'_>) -> Survey {
    let share = share(ask.policy);
    let mut out = Survey { total: ask.baseline.len(), ..Survey::default() };
    for group in &ask.policy.integrity {
        for pattern in &group.paths {
            let place = Place { group: group.name.to_string(), before: before(ask.known, pattern) };
            let room = share.saturating_sub(held(ask.baseline, pattern).take(share).count());
            let walk = Walk {
                ask,
                out: &mut out,
                pattern,
                place,
                room,
                tree: None,
                branch: MAX_BRANCH,
                left: MAX_LOOKED,
                cut: false,
                far: false,
            };
            let (cut, far) = walk.run();
            if cut || far {
                out.cut.insert(pattern.to_string());
            }
            if cut {
                out.groups.insert(group.name.to_string());
            }
        }
    }
    out
}

/// Tells whether a path has room of its own, whatever others fill.
pub(super) fn has_share(policy: &Policy, baseline: &BTreeMap<PathBuf, Entry>, path: &Path) -> bool {
    let share = share(policy);
    let mut naming = policy.integrity.iter().flat_map(|g| &g.paths).filter(|p| names(p, path));
    naming.any(|pattern| held(baseline, pattern).take(share).count() < share)
}

/// How much of each pattern always has room.
fn share(policy: &Policy) -> usize {
    let patterns: usize = policy.integrity.iter().map(|g| g.paths.len()).sum();
    (MAX_PLACES / patterns.max(1)).max(1)
}

/// Returns what a pattern has in the baseline.
fn held<'a>(
    baseline: &'a BTreeMap<PathBuf, Entry>,
    pattern: &'a Pattern,
) -> impl Iterator<Item = &'a PathBuf> {
    below(baseline, Path::new(pattern.root())).filter(move |path| names(pattern, path))
}

fn below<'a>(baseline: &'a BTreeMap<PathBuf, Entry>, root: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
    let from = (Bound::Included(root), Bound::Unbounded);
    baseline.range::<Path, _>(from).map(|(path, _)| path).take_while(move |path| path.starts_with(root))
}

fn names(pattern: &Pattern, path: &Path) -> bool {
    pattern.names(path.as_os_str().as_bytes())
}

struct Walk<'a> {
    ask: &'a Ask<'a>,
    out: &'a mut Survey,
    pattern: &'a Pattern,
    place: Place,
    /// New places that have room whatever others fill.
    room: usize,
    /// The folder of the first `*`: below it links lead only where they stay in it.
    tree: Option<PathBuf>,
    /// New places that have room below this match of the first `*`.
    branch: usize,
    /// Names that may still be looked at.
    left: usize,
    /// Whether something had no room.
    cut: bool,
    /// Whether something lies on a mount that is left out.
    far: bool,
}

impl Walk<'_> {
    /// Looks through the pattern; says whether something had no room, and whether something was left out.
    fn run(mut self) -> (bool, bool) {
        let parts: Vec<&str> = self.pattern.parts().collect();
        self.below(PathBuf::from("/"), &parts);
        (self.cut, self.far)
    }

    fn below(&mut self, at: PathBuf, parts: &[&str]) {
        let Some((part, rest)) = parts.split_first() else { return self.reached(&at) };
        if !part.contains('*') {
            return self.step(at.join(part), rest);
        }
        let is_first = self.tree.is_none();
        if is_first {
            // Links on the way here were followed.
            self.tree = Some(at.clone());
        }
        for name in self.names(&at) {
            if fits(part, name.as_os_str().as_bytes()) {
                let at = at.join(name);
                if is_first {
                    let held = below(self.ask.baseline, &at).take(MAX_BRANCH).count();
                    self.branch = MAX_BRANCH - held;
                }
                self.step(at, rest);
            }
        }
    }

    /// Goes on from a name; a link on the way is a place of its own, and the way goes on where it leads.
    fn step(&mut self, at: PathBuf, rest: &[&str]) {
        if self.is_far(&at) {
            return;
        }
        let found = match fs::symlink_metadata(&at) {
            Ok(found) => found,
            Err(error) => {
                self.out.unread += u64::from(error.kind() == io::ErrorKind::PermissionDenied);
                return;
            }
        };
        if !found.is_symlink() {
            // Nothing lies below a file.
            if rest.is_empty() || found.is_dir() {
                self.below(at, rest);
            }
            return;
        }
        self.note(&at);
        if !rest.is_empty() || self.pattern.is_deep() {
            self.follow(&at, rest);
        }
    }

    fn follow(&mut self, link: &Path, rest: &[&str]) {
        match real(link, self.ask.left_out) {
            Ok(Real::LeftOut(mount)) => self.leave_out(mount),
            Ok(Real::At(real)) if real.is_dir() => {
                match self.tree.as_ref().is_none_or(|tree| real.starts_with(tree)) {
                    true => self.below(real, rest),
                    false => self.leads_out(real),
                }
            }
            Ok(Real::At(_)) | Err(_) => {}
        }
    }

    /// Tells whether a path lies on a mount that is left out, and notes that.
    fn is_far(&mut self, at: &Path) -> bool {
        let mount = self.ask.left_out.iter().find(|mount| at.starts_with(mount)).cloned();
        let Some(mount) = mount else { return false };
        self.leave_out(mount);
        true
    }

    fn leave_out(&mut self, mount: PathBuf) {
        self.far = true;
        self.out.far.insert(mount);
    }

    /// A link below a `*` may be anybody's, and lead anywhere.
    fn leads_out(&mut self, real: PathBuf) {
        let is_named = self.ask.policy.group_at(real.as_os_str().as_bytes()).is_some();
        if !is_named && self.out.outside.len() < MAX_OUTSIDE {
            self.out.outside.insert(real);
        }
    }

    fn reached(&mut self, at: &Path) {
        match self.pattern.is_deep() {
            true => self.everything(at, MAX_DEPTH),
            false => self.note(at),
        }
    }

    fn everything(&mut self, at: &Path, depth: usize) {
        if self.is_far(at) {
            return;
        }
        self.note(at);
        let is_folder = fs::symlink_metadata(at).is_ok_and(|found| found.is_dir());
        if !is_folder {
            return;
        }
        if depth == 0 {
            self.cut = true;
            return;
        }
        for name in self.names(at) {
            self.everything(&at.join(name), depth - 1);
        }
    }

    /// Returns the names in a folder, or those whose turn it is; each round begins with another one.
    fn names(&mut self, folder: &Path) -> Vec<PathBuf> {
        if (self.ask.stop)() {
            self.out.stopped = true;
            return Vec::new();
        }
        let most = MAX_NAMES.min(self.left);
        if most == 0 {
            self.cut = true;
            return Vec::new();
        }
        let (mut names, is_all) = match part(folder, most, self.ask.round) {
            Ok(found) => found,
            Err(error) => {
                self.out.unread += u64::from(error.kind() == io::ErrorKind::PermissionDenied);
                return Vec::new();
            }
        };
        self.cut |= !is_all;
        self.left -= names.len();
        let turn = usize::try_from(self.ask.round).unwrap_or(0) % names.len().max(1);
        names.rotate_left(turn);
        names
    }

    fn note(&mut self, at: &Path) {
        if let Some(place) = self.out.places.get_mut(at) {
            place.before = place.before.max(self.place.before);
            return;
        }
        if !self.ask.baseline.contains_key(at) && !self.takes_room(at) {
            self.cut = true;
            return;
        }
        self.out.places.insert(at.to_owned(), self.place.clone());
    }

    /// Takes room for a new place: of what all share while there is some, else of the pattern's own.
    fn takes_room(&mut self, at: &Path) -> bool {
        let is_own = self.room > 0 && names(self.pattern, at);
        if self.branch == 0 || (self.out.total >= MAX_PLACES && !is_own) {
            return false;
        }
        self.branch -= usize::from(self.tree.is_some());
        self.room -= usize::from(is_own);
        self.out.total += 1;
        true
    }
}

/// Returns the names in a folder and whether these are all: of a larger one the part whose turn it is.
fn part(folder: &Path, most: usize, round: u64) -> io::Result<(Vec<PathBuf>, bool)> {
    let name = |entry: fs::DirEntry| PathBuf::from(entry.file_name());
    let mut entries = fs::read_dir(folder)?.flatten();
    let names: Vec<PathBuf> = entries.by_ref().take(most).map(name).collect();
    let more = entries.take(MAX_COUNTED).count();
    let parts = (names.len() + more).div_ceil(most).max(1);
    match usize::try_from(round).unwrap_or(0) % parts {
        0 => Ok((names, more == 0)),
        turn => {
            let rest = fs::read_dir(folder)?.flatten().skip(turn * most);
            Ok((rest.take(most).map(name).collect(), false))
        }
    }
}

#[cfg(test)]
mod tests;
