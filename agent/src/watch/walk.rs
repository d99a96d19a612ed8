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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Walked {
    /// Folders that could not be read.
    pub(super) unread: u64,
    /// The tree was too wide, or nobody listened any more.
    pub(super) cut: bool,
}

/// Walks a tree: `skip` says which paths are left out, `found` takes each file and says whether to go on.
pub(super) fn walk(
    root: &Path,
    pick: Pick,
    skip: impl Fn(&Path) -> bool,
    mut found: impl FnMut(PathBuf) -> ControlFlow<()>,
) -> Walked {
    let mut walked = Walked::default();
    let barren = mounts::barren();
    let mut waiting = vec![(root.to_owned(), pick)];
    while let Some((folder, pick)) = waiting.pop() {
        if skip(&folder) {
            continue;
        }
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) => {
                walked.unread += u64::from(!is_gone(&e));
                continue;
            }
        };
        for entry in entries {
            let (path, meta) = match entry.and_then(|e| Ok((e.path(), e.metadata()?))) {
                Ok(it) => it,
                Err(e) => {
                    walked.unread += u64::from(!is_gone(&e));
                    continue;
                }
            };
            if meta.is_dir() && !barren.contains(&path) && waiting.len() < MAX_WAITING {
                waiting.push((path, pick_below(pick, &meta)));
            } else if meta.is_dir() {
                walked.cut |= waiting.len() >= MAX_WAITING && !barren.contains(&path);
            } else if meta.is_file() && pick.takes(&meta) && !skip(&path) && found(path).is_break() {
                walked.cut = true;
                return walked;
            }
        }
    }
    walked
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
mod tests {
    use std::{collections::BTreeSet, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn every_file_is_named_once_and_links_are_not_followed() {
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

        assert_eq!(found, ["a/b/low", "a/mid", "top"].map(String::from).into());
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

    fn names(root: &Path, pick: Pick, skip: impl Fn(&Path) -> bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        walk(root, pick, skip, |path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
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
