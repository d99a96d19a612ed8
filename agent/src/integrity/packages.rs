//! What the package database says a file is: a change that makes it so is the package manager's work and no alert.
//!
//! dpkg's are text files with MD5 digests, rpm's is an SQLite table; what of it cannot be read is no excuse for a change.
//! Who is root can write to the database as well; a database that was written in an order in which the package manager
//! does not write vouches for nothing, the rest is for the team to judge. Nothing here starts a program.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use khien_core::{
    Sha256,
    conduct::{Differs, Kind},
    policy::Policy,
};
use khien_scan::open::Opened;

use super::{locks, place::State};
use crate::watch::real::{Real, real};

mod rpm;

/// Where rpm may keep its database, and that of today in it; older kinds are not read.
const RPM: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
const RPM_DATABASE: &str = "rpmdb.sqlite";

/// The most bytes of one list; the largest packages have some tens of thousands of files.
const MAX_LIST: u64 = 16 << 20;
/// The largest database of conffiles that is read, in bytes.
const MAX_STATUS: u64 = 128 << 20;
/// The most files that are remembered.
const MAX_FILES: usize = 100_000;
/// By how much a time may be later than the end of the package manager's run, in seconds: it writes its database last.
const SLACK: i64 = 2;
/// How long after that a link to a packaged unit counts as its work, in seconds.
const AFTERWARDS: i64 = 120;

/// What the database says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is what a package says.
    Packaged,
    /// The package manager is at work: ask again.
    Wait,
    /// It knows nothing of it.
    Unknown,
}

/// The database as it was read last.
#[derive(Debug)]
pub(super) struct Packages {
    dir: PathBuf,
    /// Where rpm's may be.
    rpm: Vec<PathBuf>,
    /// Which one was read, and when it was written.
    read: Option<(Source, Written)>,
    /// Whether it could not be read.
    is_refused: bool,
    /// Whether the package manager was at work when that was last looked at.
    is_at_work: bool,
    /// Mounts that are left out: no link is followed there.
    pub(super) left_out: Vec<PathBuf>,
    files: HashMap<Vec<u8>, Packaged>,
}

/// Seconds and nanoseconds of an inode's change.
type Written = (i64, i64);

/// Whose database it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Dpkg,
    /// rpm's, at this place.
    Rpm(PathBuf),
}

#[derive(Debug, Clone, Copy)]
struct Packaged {
    digest: Digest,
    /// When the list that says so was written, in seconds.
    listed: i64,
}

#[derive(Debug, Clone, Copy)]
enum Digest {
    Md5([u8; 16]),
    Sha256(Sha256),
}

impl Packages {
    /// Names the folder of dpkg's database; there may be none.
    pub(super) fn at(dir: &Path) -> Self {
        // What is read in them is opened by a path without links.
        let real = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let rpm = RPM.map(|dir| real(Path::new(dir))).to_vec();
        Self {
            dir: real(dir),
            rpm,
            read: None,
            is_refused: false,
            is_at_work: false,
            left_out: Vec::new(),
            files: HashMap::new(),
        }
    }

    /// Tells whether packages are installed by a manager whose database cannot be asked.
    pub(super) fn are_unverified(&self) -> bool {
        self.is_refused || (self.read.is_none() && self.rpm.iter().any(|dir| dir.is_dir()))
    }

    /// Forgets what was read: another policy may want other files.
    pub(super) fn forget(&mut self) {
        self.read = None;
    }

    /// Looks whether the package manager is at work, and reads its database again if it wrote to it.
    pub(super) fn refresh(&mut self, policy: &Policy) {
        let found = self.find();
        self.is_at_work = self.holds_lock(found.as_ref());
        // rpm writes to its database many times before it ends, and it is large.
        let is_early = matches!(self.read, Some((Source::Rpm(_), _))) && self.is_at_work;
        if found == self.read || is_early {
            return;
        }
        self.files.clear();
        self.is_refused = false;
        let wanted = Wanted::of(policy);
        match &found {
            Some((Source::Dpkg, (written, _))) => {
                self.read_lists(&wanted);
                self.read_conffiles(&wanted, *written);
            }
            Some((Source::Rpm(db), (written, _))) => self.read_rpm(&wanted, db, *written),
            None => {}
        }
        self.read = found;
    }

    fn find(&self) -> Option<(Source, Written)> {
        let written = |path: &Path| {
            let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
            Some((found.ctime(), found.ctime_nsec()))
        };
        let dpkg = written(&self.dir.join("status")).map(|at| (Source::Dpkg, at));
        dpkg.or_else(|| {
            let mut databases = self.rpm.iter().map(|dir| dir.join(RPM_DATABASE));
            databases.find_map(|db| written(&db).map(|at| (Source::Rpm(db), at)))
        })
    }

    fn read_rpm(&mut self, wanted: &Wanted<'_>, db: &Path, written: i64) {
        let mut note = |path, sha256| self.note(wanted, path, Digest::Sha256(sha256), written);
        if let Err(error) = rpm::read(db, &mut note) {
            tracing::warn!(%error, "the package database cannot be read");
            self.files.clear();
            self.is_refused = true;
        }
    }

    fn read_lists(&mut self, wanted: &Wanted<'_>) {
        let lists = fs::read_dir(self.dir.join("info")).into_iter().flatten().flatten();
        for list in
            lists.map(|entry| entry.path()).filter(|p| p.as_os_str().as_bytes().ends_with(b".md5sums"))
        {
            let Ok(Opened { file, inode }) = Opened::at(&list) else { continue };
            for line in BufReader::new(file.take(MAX_LIST)).split(b'\n').map_while(Result::ok) {
                // `d41d8cd98f00b204e9800998ecf8427e  usr/lib/x`
                let Some((digest, path)) = line.split_at_checked(32) else { continue };
                let path = [b"/", path.trim_ascii_start()].concat();
                if let Some(digest) = md5(digest) {
                    self.note(wanted, path, digest, inode.changed.0);
                }
            }
        }
    }

    fn read_conffiles(&mut self, wanted: &Wanted<'_>, written: i64) {
        let Ok(Opened { file, .. }) = Opened::at(&self.dir.join("status")) else { return };
        for line in BufReader::new(file.take(MAX_STATUS)).split(b'\n').map_while(Result::ok) {
            // ` /etc/cron.d/x d41d8cd98f00b204e9800998ecf8427e`, perhaps with ` obsolete`
            let Some(entry) = line.strip_prefix(b" /") else { continue };
            let mut words = entry.split(|b| *b == b' ');
            // In the place of a digest may stand a word, such as `newconffile`.
            if let (Some(path), Some(digest)) = (words.next(), words.next().and_then(md5)) {
                self.note(wanted, [b"/", path].concat(), digest, written);
            }
        }
    }

    fn note(&mut self, wanted: &Wanted<'_>, path: Vec<u8>, digest: Digest, listed: i64) {
        if self.files.len() < MAX_FILES && wanted.has(&path) {
            self.files.insert(key(&path), Packaged { digest, listed });
        }
    }

    /// Tells whether a package says that this content is at this path.
    pub(super) fn vouches(&self, path: &[u8], state: &State) -> bool {
        let packaged = self.files.get(&key(path)).filter(|_| state.kind == Kind::File);
        packaged.is_some_and(|packaged| match packaged.digest {
            Digest::Md5(md5) => state.md5 == Some(md5),
            Digest::Sha256(sha256) => state.facts.sha256 == Some(sha256),
        })
    }

    /// Tells what the database says of a change; `now` is nothing if the path is gone.
    pub(super) fn judge(
        &self,
        path: &Path,
        differs: &Differs,
        before: Option<(&State, bool)>,
        now: Option<&State>,
    ) -> Verdict {
        // Without a database a file that is gone has not gone with its package.
        let Some((_, (written, _))) = self.read.as_ref().filter(|_| !self.is_refused) else {
            return Verdict::Unknown;
        };
        let written = *written;
        let name = path.as_os_str().as_bytes();
        let fits = match (differs, now) {
            (Differs::Added | Differs::Content, Some(now)) if now.kind == Kind::File => {
                self.vouches(name, now) && is_modest(now) && self.in_order(name, now, written)
            }
            (Differs::Added | Differs::Link { .. }, Some(now)) => self.is_enabled(path, now, written),
            (Differs::Removed, _) => {
                let packaged = before.is_some_and(|(_, packaged)| packaged);
                packaged && !self.files.contains_key(&key(name))
            }
            _ => false,
        };
        match fits {
            true => Verdict::Packaged,
            false if self.is_at_work => Verdict::Wait,
            false => Verdict::Unknown,
        }
    }

    /// dpkg writes files, then the lists of what it wrote, then the status; rpm files, then its database. Whatever is
    /// later is somebody else's.
    fn in_order(&self, name: &[u8], now: &State, written: i64) -> bool {
        let listed = self.files.get(&key(name)).map_or(i64::MAX, |p| p.listed);
        now.stamp.changed.0 <= written + SLACK && listed <= written + SLACK
    }

    /// A link to a packaged unit, made by the package's own script.
    fn is_enabled(&self, path: &Path, now: &State, written: i64) -> bool {
        let is_in_time = (written - AFTERWARDS..=written + AFTERWARDS).contains(&now.stamp.changed.0);
        if now.kind != Kind::Link || !is_in_time {
            return false;
        }
        let Ok(Real::At(real)) = real(path, &self.left_out) else { return false };
        let seen = super::place::look(&real, super::place::Look { text: false, behind: None });
        seen.ok().flatten().is_some_and(|s| self.vouches(real.as_os_str().as_bytes(), &s.state))
    }

    /// Tells whether somebody holds the package manager's lock.
    fn holds_lock(&self, found: Option<&(Source, Written)>) -> bool {
        match found {
            Some((Source::Rpm(db), _)) => locks::is_held(&db.with_file_name(".rpm.lock")),
            _ => ["lock", "lock-frontend"].iter().any(|name| locks::is_held(&self.dir.join(name))),
        }
    }
}

fn md5(digest: &[u8]) -> Option<Digest> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digest).ok()?;
    Some(Digest::Md5(bytes.try_into().ok()?))
}

/// A packaged file that anybody may write to, or that runs as its owner, is looked at by a person.
fn is_modest(now: &State) -> bool {
    now.facts.mode & 0o6002 == 0 && now.facts.uid == 0
}

/// On most hosts `/lib` leads to `/usr/lib`, and packages say either.
fn key(path: &[u8]) -> Vec<u8> {
    let short = path.strip_prefix(b"/usr").filter(|rest| is_merged(rest));
    short.unwrap_or(path).to_vec()
}

fn is_merged(rest: &[u8]) -> bool {
    [&b"/lib"[..], b"/bin/", b"/sbin/"].iter().any(|dir| rest.starts_with(dir))
}

/// What of the database is worth remembering: of some hundred thousand names a few hundred.
struct Wanted<'a> {
    policy: &'a Policy,
    /// With which the names begin.
    prefixes: Vec<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(policy: &'a Policy) -> Self {
        let mut prefixes: Vec<&str> =
            policy.integrity.iter().flat_map(|g| &g.paths).map(khien_core::policy::Pattern::prefix).collect();
        prefixes.sort_unstable();
        // One that begins with another one says nothing more.
        prefixes.dedup_by(|later, earlier| later.starts_with(&**earlier));
        Self { policy, prefixes }
    }

    fn has(&self, path: &[u8]) -> bool {
        self.names(path)
            || (is_merged(path) && self.names(&[b"/usr", path].concat()))
            || path.strip_prefix(b"/usr").is_some_and(|short| is_merged(short) && self.names(short))
    }

    fn names(&self, path: &[u8]) -> bool {
        // The one that it could begin with is the last that is not after it.
        let after = self.prefixes.partition_point(|prefix| prefix.as_bytes() <= path);
        let begins = after.checked_sub(1).is_some_and(|at| path.starts_with(self.prefixes[at].as_bytes()));
        begins && self.policy.group_at(path).is_some()
    }
}

#[cfg(test)]
mod tests;
