//! Walks a tree and names its files, without following links and without leaving for places that hold no files.

use std::{
    fs::{self, Metadata},
    io,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use khien_core::Timestamp;

use super::mounts;

/// Folders that wait to be read. A tree that is wider is not walked to its end, and that is told.
const MAX_WAITING: usize = 1_000_000;

/// Entries of one folder that are read at a time.
const HELD: usize = 4_096;

/// Which files are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// All.
    All,
    /// Those whose content, name or inode changed since. In a folder that changed itself, all: a tree that was moved
    /// there brings files that are older.
    ChangedSince(Timestamp),
}

/// What a walk could not see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Walked {
    /// Folders and names that could not be read.
    pub(super) unread: u64,
    /// The first of those folders.
    pub(super) first_unread: Option<PathBuf>,
    /// The tree was too wide, or nobody listened any more.
    pub(super) cut: bool,
}

/// A file or a symbolic link that a walk found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Of the link itself.
    pub(super) meta: Metadata,
}

/// Walks a tree: `skip` says which paths are left out, `found` takes each file and link and says whether to go on.
pub(super) fn walk(
    root: &Path,
    pick: Pick,
    skip: impl Fn(&Path) -> bool,
    found: impl FnMut(Found) -> ControlFlow<()>,
) -> Walked {
    let (waiting, barren) = (vec![(root.to_owned(), pick)], mounts::barren());
    let mut walk = Walk { skip, found, barren, waiting, walked: Walked::default() };
    while let Some((folder, pick)) = walk.waiting.pop() {
        if !(walk.skip)(&folder) && walk.folder(&folder, pick).is_break() {
            walk.walked.cut = true;
            break;
        }
    }
    walk.walked
}

struct Walk<S, F> {
    skip: S,
    found: F,
    /// Places that hold no files.
    barren: Vec<PathBuf>,
    waiting: Vec<(PathBuf, Pick)>,
    walked: Walked,
}

impl<S: Fn(&Path) -> bool, F: FnMut(Found) -> ControlFlow<()>> Walk<S, F> {
    /// A folder is read before its files are told of: who takes them may be slow, and an open folder keeps its file
    /// system from being unmounted.
    fn folder(&mut self, folder: &Path, pick: Pick) -> ControlFlow<()> {
        let mut open = match fs::read_dir(folder) {
            Ok(open) => Some(open),
            Err(e) => {
                self.unread(folder, &e);
                None
            }
        };
        while let Some(entries) = &mut open {
            let some: Vec<io::Result<Found>> = entries.by_ref().take(HELD).map(look).collect();
            if some.len() < HELD {
                open = None;
            }
            for entry in some {
                match entry {
                    Ok(entry) => self.entry(entry, pick)?,
                    Err(e) => self.unread(folder, &e),
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn entry(&mut self, entry: Found, pick: Pick) -> ControlFlow<()> {
        let meta = &entry.meta;
        if meta.is_dir() {
            if self.barren.contains(&entry.path) {
                return ControlFlow::Continue(());
            }
            if self.waiting.len() >= MAX_WAITING {
                self.walked.cut = true;
                return ControlFlow::Continue(());
            }
            self.waiting.push((entry.path, pick_below(pick, &entry.meta)));
            return ControlFlow::Continue(());
        }
        let wanted = (meta.is_file() || meta.is_symlink()) && pick.takes(meta) && !(self.skip)(&entry.path);
        if wanted { (self.found)(entry) } else { ControlFlow::Continue(()) }
    }

    fn unread(&mut self, folder: &Path, error: &io::Error) {
        if !is_gone(error) {
            self.walked.unread += 1;
            self.walked.first_unread.get_or_insert_with(|| folder.to_owned());
        }
    }
}

fn look(entry: io::Result<fs::DirEntry>) -> io::Result<Found> {
    let entry = entry?;
    Ok(Found { path: entry.path(), meta: entry.metadata()? })
}

/// Tells whether an error means that there is nothing to read any more, rather than that it cannot be read.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Pick {
    fn takes(self, meta: &Metadata) -> bool {
        match self {
            Self::All => true,
            Self::ChangedSince(since) => changed(meta) >= since,
        }
    }
}

fn pick_below(pick: Pick, folder: &Metadata) -> Pick {
    if pick.takes(folder) { Pick::All } else { pick }
}

fn changed(meta: &Metadata) -> Timestamp {
    let nanos = i32::try_from(meta.ctime_nsec()).unwrap_or(0);
    Timestamp::new(meta.ctime(), nanos).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeSet, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn every_file_and_link_is_named_once_and_links_are_not_followed() {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::create_dir(at("home")).unwrap();
        for name in ["top", "a/mid", "a/b/low", "home/own"] {
            fs::write(at(name), "x").unwrap();
        }
        symlink("/etc", at("a/away")).unwrap();
        symlink(at("top"), at("a/link")).unwrap();

        let found = names(tree.path(), Pick::All, |p| p == at("home"));

        let wanted = ["a/away", "a/b/low", "a/link", "a/mid", "top"];
        assert_eq!(found, wanted.map(String::from).into());
    }

    #[test]
    fn only_what_changed_is_named_and_all_of_a_folder_that_was_moved_in() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(outside.path().join("kit")).unwrap();
        fs::write(outside.path().join("kit/shell"), "x").unwrap();
        fs::create_dir(tree.path().join("calm")).unwrap();
        fs::write(tree.path().join("calm/old"), "x").unwrap();
        let since = after_the_clock_moved(tree.path());
        fs::rename(outside.path().join("kit"), tree.path().join("kit")).unwrap();
        fs::write(tree.path().join("new"), "x").unwrap();

        let found = names(tree.path(), Pick::ChangedSince(since), |_| false);

        assert_eq!(found, ["kit/shell", "new"].map(String::from).into());
    }

    #[test]
    fn a_walk_stops_when_nobody_listens() {
        let tree = tempfile::tempdir().unwrap();
        (0..10).for_each(|n| fs::write(tree.path().join(n.to_string()), "x").unwrap());
        let mut found = 0;

        let walked = walk(
            tree.path(),
            Pick::All,
            |_| false,
            |_| {
                found += 1;
                ControlFlow::Break(())
            },
        );

        assert_eq!((found, walked.cut), (1, true));
    }

    #[test]
    fn folders_that_cannot_be_read_are_counted_and_the_first_is_named() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("kept")).unwrap();
        fs::write(tree.path().join("kept/file"), "x").unwrap();
        let deep = make_overlong(tree.path());

        let mut found = 0;
        let walked = walk(
            tree.path(),
            Pick::All,
            |_| false,
            |_| {
                found += 1;
                ControlFlow::Continue(())
            },
        );

        assert_eq!((found, walked.unread, walked.cut), (1, 1, false));
        assert!(walked.first_unread.is_some_and(|folder| folder.starts_with(&deep)));
    }

    /// Makes folders in folders, deeper than any path may be long, and returns the first.
    pub(in crate::watch) fn make_overlong(tree: &Path) -> PathBuf {
        use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
        let name = "n".repeat(250);
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut folder = openat(CWD, tree, flags, Mode::empty()).unwrap();
        for _ in 0..20 {
            mkdirat(&folder, &name, Mode::RWXU).unwrap();
            folder = openat(&folder, &name, flags, Mode::empty()).unwrap();
        }
        tree.join(name)
    }

    fn names(root: &Path, pick: Pick, skip: impl Fn(&Path) -> bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        walk(root, pick, skip, |entry| {
            let name = entry.path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            assert!(found.insert(name));
            ControlFlow::Continue(())
        });
        found
    }

    /// File times move in ticks of some milliseconds: makes files until one is newer than all that was made before.
    fn after_the_clock_moved(tree: &Path) -> Timestamp {
        let probe = tree.join("probe");
        let stamp = || {
            fs::write(&probe, "x").unwrap();
            changed(&fs::metadata(&probe).unwrap())
        };
        let first = stamp();
        let later = std::iter::repeat_with(stamp).find(|now| *now > first).unwrap();
        fs::remove_file(&probe).unwrap();
        later
    }
}
