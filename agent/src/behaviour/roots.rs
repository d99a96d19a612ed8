//! Which folders are web roots: by their names, or by what lies in them. Looks, changes nothing.

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use khien_core::Untrusted;

use super::names;

/// Folders deeper below a watched one are not searched.
const DEPTH: usize = 2;
/// Folders that are searched.
const MAX_FOLDERS: usize = 2_000;
/// Web roots that are known.
const MAX_ROOTS: usize = 256;
/// Entries of a root that are looked through for sitemaps.
const MAX_ENTRIES: usize = 10_000;
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
pub(super) struct Roots(Vec<PathBuf>);

impl Roots {
    /// Finds them.
    pub(super) fn find(watched: &[PathBuf]) -> Self {
        let (mut roots, mut left) = (Vec::new(), MAX_FOLDERS);
        for folder in watched {
            let before = roots.len();
            search(folder, DEPTH, &mut left, &mut roots);
            if roots.len() == before && is_named_so(folder) {
                roots.push(folder.clone());
            }
        }
        roots.truncate(MAX_ROOTS);
        Self(roots)
    }

    /// Returns the root in which a path lies.
    pub(super) fn of(&self, path: &[u8]) -> Option<&Path> {
        holding(&self.0, path)
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the sitemaps that lie in the roots themselves.
    pub(super) fn sitemaps(&self) -> Vec<Untrusted> {
        let entries = self
            .0
            .iter()
            .flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten().take(MAX_ENTRIES));
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

/// A root within another one is not looked for: its alerts belong to the outer one.
fn search(folder: &Path, depth: usize, left: &mut usize, roots: &mut Vec<PathBuf>) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    if MARKERS.iter().any(|marker| folder.join(marker).symlink_metadata().is_ok()) {
        return roots.push(folder.to_owned());
    }
    if depth == 0 {
        return;
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FOLDERS);
    for entry in entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())) {
        search(&entry.path(), depth - 1, left, roots);
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

        let of = |path: &str| roots.of(dir.join(path).as_os_str().as_bytes()).map(Path::to_owned);
        assert_eq!(of("www/a/public/deep/x.php"), Some(dir.join("www/a/public")));
        assert_eq!(of("www/b/x.php"), Some(dir.join("www/b")));
        assert_eq!(of("html/x.php"), Some(dir.join("html")));
        assert_eq!(of("data/x.php"), None);
        assert_eq!(of("www/bb/x.php"), None);
        assert_eq!(roots.count(), 3);
    }
}
