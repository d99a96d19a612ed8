//! Finds all that a policy names. Reads folders and inodes only, follows links once and says that they are links.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use khien_core::policy::{Pattern, Policy, fits};

/// More files, links and folders than this are not kept an eye on: some 20 MiB of memory.
pub(super) const MAX_PLACES: usize = 50_000;
/// The most names of one folder that are looked at.
const MAX_NAMES: usize = 20_000;
/// How deep below a named folder is looked.
const MAX_DEPTH: usize = 24;

/// What a policy names on this host.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Each path with where it belongs.
    pub(super) places: BTreeMap<PathBuf, Place>,
    /// Folders that cannot be read.
    pub(super) unread: u64,
    /// Whether there is more than is kept an eye on.
    pub(super) beyond: bool,
    /// Whether it was called off.
    pub(super) stopped: bool,
}

/// Where a path belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The first group that names it.
    pub(super) group: String,
    /// Whether a pattern that was looked through before led to it: then a file that was not there is new.
    pub(super) known: bool,
}

/// Looks through all patterns; `known` are those that were looked through before.
pub(super) fn survey(policy: &Policy, known: &BTreeSet<String>, stop: &dyn Fn() -> bool) -> Survey {
    let mut out = Survey::default();
    for group in &policy.integrity {
        for pattern in &group.paths {
            let place = Place { group: group.name.to_string(), known: known.contains(&pattern.to_string()) };
            Walk { out: &mut out, place, stop }.pattern(pattern);
        }
    }
    out
}

struct Walk<'a> {
    out: &'a mut Survey,
    place: Place,
    stop: &'a dyn Fn() -> bool,
}

impl Walk<'_> {
    fn pattern(mut self, pattern: &Pattern) {
        let parts: Vec<&str> = pattern.parts().collect();
        self.below(PathBuf::from("/"), &parts, pattern.is_deep());
    }

    fn below(&mut self, at: PathBuf, parts: &[&str], deep: bool) {
        let Some((part, rest)) = parts.split_first() else { return self.reached(&at, deep) };
        if !part.contains('*') {
            return self.step(at.join(part), rest, deep);
        }
        for name in self.names(&at) {
            if fits(part, name.as_os_str().as_bytes()) {
                self.step(at.join(name), rest, deep);
            }
        }
    }

    /// Goes on from a name; a link on the way is a place of its own, and the way goes on where it leads.
    fn step(&mut self, at: PathBuf, rest: &[&str], deep: bool) {
        let found = match fs::symlink_metadata(&at) {
            Ok(found) => found,
            Err(error) => {
                self.out.unread += u64::from(error.kind() == std::io::ErrorKind::PermissionDenied);
                return;
            }
        };
        if !found.is_symlink() {
            return self.below(at, rest, deep);
        }
        self.note(&at);
        if (!rest.is_empty() || deep)
            && let Ok(real) = at.canonicalize()
            && real.is_dir()
        {
            self.below(real, rest, deep);
        }
    }

    fn reached(&mut self, at: &Path, deep: bool) {
        match deep {
            true => self.everything(at, MAX_DEPTH),
            false => self.note(at),
        }
    }

    fn everything(&mut self, at: &Path, depth: usize) {
        self.note(at);
        let is_folder = fs::symlink_metadata(at).is_ok_and(|found| found.is_dir());
        if !is_folder {
            return;
        }
        if depth == 0 {
            self.out.beyond = true;
            return;
        }
        for name in self.names(at) {
            self.everything(&at.join(name), depth - 1);
        }
    }

    fn names(&mut self, folder: &Path) -> Vec<PathBuf> {
        if (self.stop)() {
            self.out.stopped = true;
            return Vec::new();
        }
        match fs::read_dir(folder) {
            Ok(entries) => {
                let mut names: Vec<PathBuf> =
                    entries.flatten().take(MAX_NAMES + 1).map(|e| e.file_name().into()).collect();
                self.out.beyond |= names.len() > MAX_NAMES;
                names.truncate(MAX_NAMES);
                names
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                self.out.unread += 1;
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    fn note(&mut self, at: &Path) {
        if let Some(place) = self.out.places.get_mut(at) {
            place.known |= self.place.known;
            return;
        }
        match self.out.places.len() < MAX_PLACES {
            true => drop(self.out.places.insert(at.to_owned(), self.place.clone())),
            false => self.out.beyond = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn policy(paths: &[String]) -> Policy {
        let paths: Vec<String> = paths.iter().map(|p| format!("\"{p}\"")).collect();
        let json = format!(
            r#"{{"integrity": [{{"name": "g", "severity": "low", "paths": [{}]}}]}}"#,
            paths.join(",")
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn all_that_is_named_is_found_and_links_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for folder in ["home/an/.ssh", "home/binh", "real/cron.d/below", "etc"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        for file in ["home/an/.ssh/authorized_keys", "home/binh/x", "real/cron.d/a", "real/cron.d/below/b"] {
            fs::write(dir.join(file), "x").unwrap();
        }
        symlink("../real/cron.d", dir.join("etc/cron.d")).unwrap();
        symlink("a", dir.join("real/cron.d/link")).unwrap();
        let d = dir.display();
        let paths = [
            format!("{d}/etc/cron.d/"),
            format!("{d}/home/*/.ssh/authorized_keys"),
            format!("{d}/home/*/none"),
        ];

        let found = survey(&policy(&paths), &[paths[0].clone()].into(), &|| false);

        let names: Vec<(String, bool)> = found
            .places
            .iter()
            .map(|(p, place)| (p.strip_prefix(&dir).unwrap().display().to_string(), place.known))
            .collect();
        let want = [
            ("etc/cron.d", true),
            ("home/an/.ssh/authorized_keys", false),
            ("real/cron.d", true),
            ("real/cron.d/a", true),
            ("real/cron.d/below", true),
            ("real/cron.d/below/b", true),
            ("real/cron.d/link", true),
        ];
        assert_eq!(names, want.map(|(p, known)| (p.to_owned(), known)));
        assert_eq!((found.unread, found.beyond, found.stopped), (0, false, false));
    }

    #[test]
    fn links_that_lead_in_circles_end() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir(dir.join("a")).unwrap();
        symlink("..", dir.join("a/up")).unwrap();

        let found = survey(&policy(&[format!("{}/", dir.display())]), &BTreeSet::new(), &|| false);

        assert_eq!(found.places.len(), 3);
    }
}
