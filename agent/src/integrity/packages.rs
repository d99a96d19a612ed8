//! What the package database says a file is: a change that makes it so is the package manager's work and no alert.
//!
//! Only dpkg's is read: text files with MD5 digests. rpm's cannot be read cheaply, so on such hosts every change is an
//! alert. Who is root can write to the database as well; a database that was written in an order in which dpkg does not
//! write vouches for nothing, the rest is for the team to judge. Nothing here starts a program.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use khien_core::{
    conduct::{Differs, Kind},
    policy::Policy,
};

use super::place::State;

/// The most bytes of one list; the largest packages have some tens of thousands of files.
const MAX_LIST: u64 = 16 << 20;
/// The largest database of conffiles that is read, in bytes.
const MAX_STATUS: u64 = 128 << 20;
/// The most files that are remembered.
const MAX_FILES: usize = 100_000;
/// By how much a time may be later than the end of dpkg's run, in seconds: it writes its status last.
const SLACK: i64 = 2;
/// How long after dpkg wrote its status a link to a packaged unit counts as its work, in seconds.
const AFTERWARDS: i64 = 120;

/// What the database says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is what a package says.
    Packaged,
    /// dpkg is at work: ask again.
    Wait,
    /// It knows nothing of it.
    Unknown,
}

/// The database as it was read last.
#[derive(Debug)]
pub(super) struct Packages {
    dir: PathBuf,
    /// When the status was written, when this was read.
    status: Option<(i64, i64)>,
    files: HashMap<Vec<u8>, Packaged>,
}

#[derive(Debug, Clone, Copy)]
struct Packaged {
    md5: [u8; 16],
    /// When the list that says so was written, in seconds.
    listed: i64,
}

impl Packages {
    /// Names the folder of the database; there may be none.
    pub(super) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), status: None, files: HashMap::new() }
    }

    /// Reads the database again if dpkg wrote to it.
    pub(super) fn refresh(&mut self, policy: &Policy) {
        let found = fs::metadata(self.dir.join("status")).ok().map(|m| (m.ctime(), m.ctime_nsec()));
        if found == self.status {
            return;
        }
        self.files.clear();
        self.status = found;
        let Some((written, _)) = found else { return };
        let wanted = Wanted::of(policy);
        self.read_lists(&wanted);
        self.read_conffiles(&wanted, written);
    }

    fn read_lists(&mut self, wanted: &Wanted<'_>) {
        let lists = fs::read_dir(self.dir.join("info")).into_iter().flatten().flatten();
        for list in
            lists.map(|entry| entry.path()).filter(|p| p.as_os_str().as_bytes().ends_with(b".md5sums"))
        {
            let (Ok(found), Ok(file)) = (fs::metadata(&list), File::open(&list)) else { continue };
            for line in BufReader::new(file.take(MAX_LIST)).split(b'\n').map_while(Result::ok) {
                // `d41d8cd98f00b204e9800998ecf8427e  usr/lib/x`
                let Some((digest, path)) = line.split_at_checked(32) else { continue };
                let path = [b"/", path.trim_ascii_start()].concat();
                self.note(wanted, path, digest, found.ctime());
            }
        }
    }

    fn read_conffiles(&mut self, wanted: &Wanted<'_>, written: i64) {
        let Ok(file) = File::open(self.dir.join("status")) else { return };
        for line in BufReader::new(file.take(MAX_STATUS)).split(b'\n').map_while(Result::ok) {
            // ` /etc/cron.d/x d41d8cd98f00b204e9800998ecf8427e`, perhaps with ` obsolete`
            let Some(entry) = line.strip_prefix(b" /") else { continue };
            let mut words = entry.split(|b| *b == b' ');
            if let (Some(path), Some(digest)) = (words.next(), words.next()) {
                self.note(wanted, [b"/", path].concat(), digest, written);
            }
        }
    }

    fn note(&mut self, wanted: &Wanted<'_>, path: Vec<u8>, digest: &[u8], listed: i64) {
        if self.files.len() >= MAX_FILES || !wanted.has(&path) {
            return;
        }
        let mut md5 = [0; 16];
        if data_encoding::HEXLOWER_PERMISSIVE.decode_mut(digest, &mut md5) == Ok(16) {
            self.files.insert(key(&path), Packaged { md5, listed });
        }
    }

    /// Tells whether a package says that this content is at this path.
    pub(super) fn vouches(&self, path: &[u8], state: &State) -> bool {
        state.kind == Kind::File && self.files.get(&key(path)).is_some_and(|p| Some(p.md5) == state.md5)
    }

    /// Tells what the database says of a change; `now` is nothing if the path is gone.
    pub(super) fn judge(
        &self,
        path: &Path,
        differs: &Differs,
        before: Option<(&State, bool)>,
        now: Option<&State>,
    ) -> Verdict {
        let Some((written, _)) = self.status else { return Verdict::Unknown };
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
            false if self.is_at_work() => Verdict::Wait,
            false => Verdict::Unknown,
        }
    }

    /// dpkg writes files, then the lists of what it wrote, then the status. Whatever is later is somebody else's.
    fn in_order(&self, name: &[u8], now: &State, written: i64) -> bool {
        let listed = self.files.get(&key(name)).map_or(i64::MAX, |p| p.listed);
        now.stamp.changed.0 <= written + SLACK && listed <= written + SLACK
    }

    /// A link to a packaged unit, made by the package's own script.
    fn is_enabled(&self, path: &Path, now: &State, written: i64) -> bool {
        now.kind == Kind::Link
            && (written - AFTERWARDS..=written + AFTERWARDS).contains(&now.stamp.changed.0)
            && path.canonicalize().is_ok_and(|real| {
                let listed = self.files.get(&key(real.as_os_str().as_bytes()));
                let digest = super::place::look(&real, super::place::Look { text: false, behind: false });
                let md5 = digest.ok().flatten().and_then(|seen| seen.state.md5);
                listed.is_some_and(|p| Some(p.md5) == md5)
            })
    }

    /// Tells whether somebody holds dpkg's lock.
    fn is_at_work(&self) -> bool {
        let Ok(locks) = fs::read_to_string("/proc/locks") else { return false };
        let held = |name: &str| {
            fs::metadata(self.dir.join(name))
                .is_ok_and(|m| locks.lines().any(|line| names_inode(line, m.ino())))
        };
        held("lock") || held("lock-frontend")
    }
}

/// `1: POSIX  ADVISORY  WRITE 812 08:01:1311 0 EOF`
fn names_inode(line: &str, inode: u64) -> bool {
    let place = line.split_whitespace().find(|word| word.matches(':').count() == 2);
    place.and_then(|p| p.rsplit(':').next()).is_some_and(|number| number == inode.to_string())
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
mod tests {
    use super::{
        super::place::{Look, look},
        *,
    };

    /// A database that knows one unit, and where the unit lies.
    struct Host {
        _root: tempfile::TempDir,
        unit: PathBuf,
        packages: Packages,
        policy: Policy,
    }

    impl Host {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let dir = root.path().canonicalize().unwrap();
            let unit = dir.join("x.service");
            fs::create_dir_all(dir.join("dpkg/info")).unwrap();
            fs::write(&unit, "packaged").unwrap();
            let json = format!(
                r#"{{"integrity": [{{"name": "g", "severity": "low", "paths": ["{}/"]}}]}}"#,
                dir.display()
            );
            let host = Self {
                packages: Packages::at(&dir.join("dpkg")),
                policy: serde_json::from_str(&json).unwrap(),
                unit,
                _root: root,
            };
            host.list(&host.state());
            fs::write(host.packages.dir.join("status"), "Package: x\n").unwrap();
            host
        }

        fn list(&self, state: &State) {
            let digest = data_encoding::HEXLOWER.encode(&state.md5.unwrap());
            let line = format!("{digest}  {}\n", self.unit.strip_prefix("/").unwrap().display());
            fs::write(self.packages.dir.join("info/x.md5sums"), line).unwrap();
        }

        fn state(&self) -> State {
            let mut state = look(&self.unit, Look { text: false, behind: false }).unwrap().unwrap().state;
            // The tests may run as anybody.
            state.facts.uid = 0;
            state
        }

        fn verdict(&mut self, differs: &Differs, now: Option<&State>) -> Verdict {
            self.packages.refresh(&self.policy);
            let before = self.state();
            self.packages.judge(&self.unit, differs, Some((&before, true)), now)
        }
    }

    #[test]
    fn a_file_that_is_as_its_package_says_is_the_package_managers_work() {
        let mut host = Host::new();
        let state = host.state();

        assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Packaged);
        assert_eq!(host.verdict(&Differs::Added, Some(&state)), Verdict::Packaged);
        assert_eq!(host.verdict(&Differs::Rights, Some(&state)), Verdict::Unknown);
    }

    #[test]
    fn another_content_is_not() {
        let mut host = Host::new();
        fs::write(&host.unit, "tampered").unwrap();
        let state = host.state();

        assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
    }

    #[test]
    fn a_database_that_was_written_in_another_order_than_dpkgs_vouches_for_nothing() {
        let mut host = Host::new();
        let mut late = host.state();
        late.stamp.changed.0 += SLACK + 1;

        assert_eq!(host.verdict(&Differs::Content, Some(&late)), Verdict::Unknown);
    }

    #[test]
    fn a_packaged_file_that_runs_as_its_owner_is_told() {
        let mut host = Host::new();
        let mut state = host.state();
        state.facts.mode |= 0o4000;

        assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
    }

    #[test]
    fn a_packaged_file_that_goes_with_its_package_is_quiet_and_alone_is_told() {
        let mut host = Host::new();
        assert_eq!(host.verdict(&Differs::Removed, None), Verdict::Unknown);

        fs::remove_file(host.packages.dir.join("info/x.md5sums")).unwrap();
        host.packages.status = None;

        assert_eq!(host.verdict(&Differs::Removed, None), Verdict::Packaged);
    }

    #[test]
    fn conffiles_are_read_too_and_without_a_database_nothing_is_known() {
        let mut host = Host::new();
        let state = host.state();
        let digest = data_encoding::HEXLOWER.encode(&state.md5.unwrap());
        fs::remove_file(host.packages.dir.join("info/x.md5sums")).unwrap();
        let text = format!("Package: x\nConffiles:\n {} {digest}\n", host.unit.display());
        fs::write(host.packages.dir.join("status"), text).unwrap();
        assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Packaged);

        host.packages = Packages::at(Path::new("/nonexistent"));
        assert_eq!(host.verdict(&Differs::Content, Some(&state)), Verdict::Unknown);
    }

    #[test]
    fn a_lock_is_found_by_its_inode_and_merged_folders_are_one() {
        assert!(names_inode("1: POSIX  ADVISORY  WRITE 812 08:01:1311 0 EOF", 1311));
        assert!(!names_inode("1: POSIX  ADVISORY  WRITE 1311 08:01:13 0 EOF", 1311));
        assert_eq!(key(b"/usr/lib/systemd/system/x"), key(b"/lib/systemd/system/x"));
        assert_ne!(key(b"/usr/local/lib/x"), key(b"/lib/x"));
    }
}
