//! Which folders are web roots: by their names, or by what lies in them. Looks, changes nothing.
//!
//! Every watched folder has a share of its own of what may be searched, and in it every folder: one with a million folders
//! takes nothing from its neighbours. What was not searched is said.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use khien_core::Untrusted;

use super::names;

/// Folders deeper below a watched one are not searched.
const DEPTH: usize = 2;
/// Folders that are searched in a watched one…
pub(super) const MAX_FOLDERS: usize = 4_000;
/// …and in all of them.
const MAX_ALL_FOLDERS: usize = 16_000;
/// Web roots that are known.
const MAX_ROOTS: usize = 4_096;
/// Entries of a folder that are looked through for folders, and of a root for sitemaps.
const MAX_ENTRIES: usize = 20_000;
/// What lies in a web root.
const MARKERS: [&str; 13] = [
    "index.php",
    "index.html",
    "index.htm",
    "index.jsp",
    "index.aspx",
    "default.aspx",
    "web.config",
    ".htaccess",
    "WEB-INF",
    "wp-config.php",
    "configuration.php",
    "artisan",
    "sitemap.xml",
];
/// What web roots are called.
const NAMES: [&str; 14] = [
    "www",
    "html",
    "htdocs",
    "public_html",
    "httpdocs",
    "wwwroot",
    "webroot",
    "public",
    "web",
    "webapps",
    "http",
    "site",
    "sites",
    "portal",
];

/// The web roots in the watched folders.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Roots {
    known: HashSet<Vec<u8>>,
    /// The length of the longest path among them.
    longest: usize,
    /// Whether there are folders that were not searched.
    cut: bool,
}

impl Roots {
    /// Finds them.
    pub(super) fn find(watched: &[PathBuf]) -> Self {
        let share = |all: usize| (all / watched.len().max(1)).max(1);
        let mut roots = Self::default();
        for folder in watched {
            let mut search = Search { left: MAX_FOLDERS.min(share(MAX_ALL_FOLDERS)), ..Search::default() };
            search.run(folder);
            if search.found.is_empty() && is_named_so(folder) {
                search.found.push(folder.clone());
            }
            roots.cut |= search.cut || search.found.len() > share(MAX_ROOTS);
            let found = search.found.into_iter().take(share(MAX_ROOTS));
            roots.known.extend(found.map(|root| root.into_os_string().as_bytes().to_vec()));
        }
        roots.longest = roots.known.iter().map(Vec::len).max().unwrap_or(0);
        roots
    }

    /// Returns the root in which a path lies.
    pub(super) fn of<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = &path[..path.len().min(self.longest + 1)];
        while let Some(end) = rest.iter().rposition(|b| *b == b'/') {
            rest = &rest[..end];
            if self.known.contains(rest) {
                return Some(rest);
            }
        }
        None
    }

    /// Returns those that are not among others.
    pub(super) fn but(&self, others: &Self) -> Self {
        Self { known: self.known.difference(&others.known).cloned().collect(), ..*self }
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// Tells whether there may be more of them than are known.
    pub(super) fn are_cut(&self) -> bool {
        self.cut
    }

    /// Returns the sitemaps that lie in the roots themselves.
    pub(super) fn sitemaps(&self) -> Vec<Untrusted> {
        let entries = self.known.iter().flat_map(|root| {
            let root = Path::new(OsStr::from_bytes(root));
            fs::read_dir(root).into_iter().flatten().flatten().take(MAX_ENTRIES)
        });
        let found = entries.filter(|e| names::is_sitemap(e.file_name().as_bytes()));
        found.map(|e| Untrusted::new(e.path().as_os_str().as_bytes())).collect()
    }
}

/// Returns the innermost of some folders in which a path lies.
pub(super) fn holding<'a>(folders: &'a [PathBuf], path: &[u8]) -> Option<&'a Path> {
    let below = |folder: &&PathBuf| {
        let rest = path.strip_prefix(folder.as_os_str().as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"/"))
    };
    folders.iter().filter(below).max_by_key(|folder| folder.as_os_str().len()).map(PathBuf::as_path)
}

/// Tells whether a name says that its folder is a web root.
pub(super) fn is_marker(path: &[u8]) -> bool {
    MARKERS.iter().any(|marker| marker.as_bytes() == names::name(path))
}

/// A search in one watched folder, level by level.
#[derive(Debug, Default)]
struct Search {
    found: Vec<PathBuf>,
    /// Folders that may yet be looked at.
    left: usize,
    cut: bool,
}

impl Search {
    /// A root within another one is not looked for: its alerts belong to the outer one.
    fn run(&mut self, folder: &Path) {
        let mut level = self.unmarked(vec![folder.to_owned()]);
        for _ in 0..DEPTH {
            let (count, mut next) = (level.len(), Vec::new());
            for (number, folder) in level.into_iter().enumerate() {
                // What others do not need is for those that come later.
                let share = (self.left - next.len()) / (count - number);
                next.extend(self.folders(&folder, share));
            }
            level = self.unmarked(next);
        }
    }

    /// Keeps those that are roots; returns the others.
    fn unmarked(&mut self, folders: Vec<PathBuf>) -> Vec<PathBuf> {
        self.left = self.left.saturating_sub(folders.len());
        let marked = |folder: &PathBuf| MARKERS.iter().any(|m| folder.join(m).symlink_metadata().is_ok());
        let (found, others) = folders.into_iter().partition(marked);
        self.found.extend::<Vec<PathBuf>>(found);
        others
    }

    fn folders(&mut self, folder: &Path, most: usize) -> Vec<PathBuf> {
        let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.by_ref().take(MAX_ENTRIES);
        let mut folders = folders.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        let found = folders.by_ref().take(most).map(|e| e.path()).collect();
        self.cut |= folders.next().is_some() || entries.next().is_some();
        found
    }
}

fn is_named_so(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| NAMES.iter().any(|n| name.eq_ignore_ascii_case(n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_found_by_what_lies_in_them_or_by_name() {
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path();
        for folder in ["www/a/public/deep", "www/b", "html", "data"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        for file in
            ["www/a/public/index.php", "www/a/public/deep/index.html", "www/b/index.html", "data/x.txt"]
        {
            fs::write(dir.join(file), "x").unwrap();
        }

        let roots = Roots::find(&[dir.join("www"), dir.join("html"), dir.join("data")]);

        let of = |path: &str| {
            let path = dir.join(path).into_os_string().into_encoded_bytes();
            roots.of(&path).map(|root| Path::new(OsStr::from_bytes(root)).to_owned())
        };
        assert_eq!(of("www/a/public/deep/x.php"), Some(dir.join("www/a/public")));
        assert_eq!(of("www/b/x.php"), Some(dir.join("www/b")));
        assert_eq!(of("html/x.php"), Some(dir.join("html")));
        assert_eq!(of("data/x.php"), None);
        assert_eq!(of("www/bb/x.php"), None);
        assert_eq!((roots.count(), roots.are_cut()), (3, false));
    }

    #[test]
    fn a_folder_with_very_many_folders_takes_nothing_from_its_neighbours_and_that_is_said() {
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path();
        for n in 0..=MAX_FOLDERS {
            fs::create_dir_all(dir.join(format!("first/huge/{n}"))).unwrap();
        }
        for site in ["first/site/public", "second/site"] {
            fs::create_dir_all(dir.join(site)).unwrap();
            fs::write(dir.join(site).join("index.php"), "x").unwrap();
        }

        let roots = Roots::find(&[dir.join("first"), dir.join("second")]);

        let is_root = |path: &str| roots.of(dir.join(path).join("x.php").as_os_str().as_bytes()).is_some();
        assert!(is_root("first/site/public"));
        assert!(is_root("second/site"));
        assert!(roots.are_cut());
    }
}
