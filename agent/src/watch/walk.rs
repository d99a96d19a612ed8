//! Walks a tree and names its files, without following links and without leaving for places that hold no files.

use std::{
    collections::HashSet,
    fs::{self, Metadata},
    io,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use khien_core::Timestamp;

use super::mounts;

/// What folders that wait to be read may take, in bytes: about a million of them with usual names. A tree that is wider is
/// not walked to its end, and that is told.
const MAX_WAITING: usize = 128 << 20;
/// What one of them takes beside its path.
const BESIDE: usize = 64;

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

/// What a walk met.
#[derive(Debug)]
pub(super) enum Met {
    /// A file or a link that is wanted.
    File(Found),
    /// Anything else. There may be millions of these and not one file: who keeps to a pace or a time needs to hear of them.
    Other,
}

/// Walks a tree: `skip` says which paths are left out, `met` takes each entry and says whether to go on.
pub(super) fn walk(
    root: &Path,
    pick: Pick,
    skip: impl Fn(&Path) -> bool,
    met: impl FnMut(Met) -> ControlFlow<()>,
) -> Walked {
    let (waiting, barren) = (vec![(root.to_owned(), pick)], mounts::barren());
    let mut walk = Walk { skip, met, barren, waiting, held: weight(root), walked: Walked::default() };
    while let Some((folder, pick)) = walk.waiting.pop() {
        walk.held -= weight(&folder);
        let goes_on = if (walk.skip)(&folder) { (walk.met)(Met::Other) } else { walk.folder(&folder, pick) };
        if goes_on.is_break() {
            walk.walked.cut = true;
            break;
        }
    }
    walk.walked
}

struct Walk<S, F> {
    skip: S,
    met: F,
    /// Places that hold no files.
    barren: HashSet<PathBuf>,
    waiting: Vec<(PathBuf, Pick)>,
    /// What these take, in bytes.
    held: usize,
    walked: Walked,
}

impl<S: Fn(&Path) -> bool, F: FnMut(Met) -> ControlFlow<()>> Walk<S, F> {
    /// A folder is read before its files are told of: who takes them may be slow, and an open folder keeps its file
    /// system from being unmounted.
    fn folder(&mut self, folder: &Path, pick: Pick) -> ControlFlow<()> {
        (self.met)(Met::Other)?;
        let mut open = match fs::read_dir(folder) {
            Ok(open) => Some(open),
            Err(e) => {
                self.unread(folder, &e);
                None
            }
        };
        while let Some(entries) = &mut open {
            let some: Vec<_> = entries.by_ref().take(HELD).map(|entry| self.look(entry)).collect();
            if some.len() < HELD {
                open = None;
            }
            for entry in some {
                match entry {
                    Ok(Some(entry)) => self.entry(entry, pick)?,
                    Ok(None) => (self.met)(Met::Other)?,
                    Err(e) => self.unread(folder, &e),
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Looks at what a name stands for. What is left out is not even looked at: a server that does not answer would
    /// hold the walk.
    fn look(&self, entry: io::Result<fs::DirEntry>) -> io::Result<Option<Found>> {
        let entry = entry?;
        let path = entry.path();
        if self.barren.contains(&path) || (self.skip)(&path) {
            return Ok(None);
        }
        Ok(Some(Found { path, meta: entry.metadata()? }))
    }

    fn entry(&mut self, entry: Found, pick: Pick) -> ControlFlow<()> {
        let meta = &entry.meta;
        if meta.is_dir() {
            let weight = weight(&entry.path);
            if self.held + weight > MAX_WAITING {
                self.walked.cut = true;
                return (self.met)(Met::Other);
            }
            self.held += weight;
            self.waiting.push((entry.path, pick_below(pick, &entry.meta)));
            return (self.met)(Met::Other);
        }
        let wanted = (meta.is_file() || meta.is_symlink()) && pick.takes(meta);
        (self.met)(if wanted { Met::File(entry) } else { Met::Other })
    }

    fn unread(&mut self, folder: &Path, error: &io::Error) {
        if !is_gone(error) {
            self.walked.unread += 1;
            self.walked.first_unread.get_or_insert_with(|| folder.to_owned());
        }
    }
}

fn weight(folder: &Path) -> usize {
    folder.as_os_str().len() + BESIDE
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

/// Returns when the inode last changed.
pub(super) fn changed(meta: &Metadata) -> Timestamp {
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
            |met| match met {
                Met::Other => ControlFlow::Continue(()),
                Met::File(_) => {
                    found += 1;
                    ControlFlow::Break(())
                }
            },
        );

        assert_eq!((found, walked.cut), (1, true));
    }

    #[test]
    fn a_tree_without_files_is_left_when_nobody_listens_any_more() {
        let tree = tempfile::tempdir().unwrap();
        (0..10).for_each(|n| fs::create_dir(tree.path().join(n.to_string())).unwrap());
        let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("0/socket")).unwrap();
        let entries = |most: u64| {
            let mut met = 0;
            let listens = |_| {
                met += 1;
                if met == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let walked = walk(tree.path(), Pick::All, |_| false, listens);
            (met, walked.cut)
        };

        assert_eq!(entries(5), (5, true));
        // The root, its ten folders, each of these again when it is read, and the socket.
        assert_eq!(entries(u64::MAX), (22, false));
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
            |met| {
                found += u64::from(matches!(met, Met::File(_)));
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
        walk(root, pick, skip, |met| {
            if let Met::File(entry) = met {
                let name = entry.path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                assert!(found.insert(name));
            }
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
