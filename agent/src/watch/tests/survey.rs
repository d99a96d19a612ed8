//! The walk over everything: the first one, one for each pack, and what it finds that no event told of.

use std::{fs::FileTimes, sync::atomic::Ordering, time::SystemTime};

use khien_core::{Sha256, event::ScanOutcome};

use super::*;
use crate::{
    scan::{
        clean::Content,
        files::{Ended, Looked},
    },
    watch::conformance::acts::Mapped,
};

#[test]
fn what_was_there_before_the_first_start_is_looked_at_once_a_pack_is_loaded() {
    let before = |at: &Path| {
        fs::create_dir_all(at.join("in/a/b")).unwrap();
        ["in/old", "in/a/b/older", "in/home/own"].iter().for_each(|f| fs::write(at.join(f), "x").unwrap());
    };
    for mut watched in Watched::each_with(before) {
        assert_eq!(watched.progress(), None, "without rules there is nothing to look for");

        watched.load(1);

        assert_eq!(watched.looks_at(2), names(["in/a/b/older", "in/old"]));
        let walk = watched.walked(1);
        assert_eq!((walk.looked, walk.of, walk.unread), (2, 2, 0));
        assert!(walk.since <= walk.ended.unwrap());
    }
}

#[test]
fn a_walk_that_the_agents_end_cut_off_is_begun_again_by_the_next_start() {
    for backend in backends() {
        let mut watched = Watched::start(backend, None, |at| {
            (0..5).for_each(|n| fs::write(at.join(format!("in/{n}")), "x").unwrap());
        });
        watched.load(1);
        let looked_at = watched.looks_at(1);
        let at = watched.stop();

        let mut watched = Watched::again(backend, at, Some(Timestamp::now()));
        watched.load(1);

        assert!(watched.looks_at(5).is_superset(&looked_at));
    }
}

#[test]
fn a_new_pack_looks_again_at_what_is_there_and_the_same_pack_does_not() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("in/old"), "x").unwrap()) {
        watched.load(1);
        assert_eq!(watched.looks_at(1), names(["in/old"]));
        assert_eq!(watched.walked(1).scanned, 1);
        // Walks follow each other here; the next finds nothing new.
        watched.until("a walk without a scan", || watched.progress().filter(|w| w.scanned == 0));

        watched.load(2);

        assert_eq!(watched.looks_at(1), names(["in/old"]));
        assert_eq!(watched.walked(2).pack, 2);
    }
}

#[test]
fn when_file_times_are_doubted_everything_is_looked_at_again() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("in/old"), "x").unwrap()) {
        watched.load(1);
        watched.looks_at(1);
        watched.until("a walk without a scan", || watched.progress().filter(|w| w.scanned == 0));

        watched.clean.forget_all();

        assert_eq!(watched.looks_at(1), names(["in/old"]));
    }
}

#[test]
fn a_change_that_no_event_told_of_is_found_even_with_its_time_set_back() {
    for mut watched in Watched::each_with(two_names) {
        watched.load(1);
        assert_eq!(watched.looks_at(1), names(["in/kit"]));
        let path = watched.at().join("out/kit");
        let old = fs::metadata(&path).unwrap().modified().unwrap();

        // By this process itself, under a name outside: neither back end tells of it.
        fs::write(&path, "y").unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_times(FileTimes::new().set_modified(old)).unwrap();
        drop(file);

        assert_eq!(watched.looks_at(1), names(["in/kit"]));
    }
}

#[test]
fn a_change_that_no_event_told_of_is_told_to_those_who_listen_once() {
    for mut watched in Watched::each_with(two_names) {
        watched.load(1);
        assert_eq!(watched.looks_at(1), names(["in/kit"]));
        watched.until("a walk without a scan", || watched.progress().filter(|w| w.scanned == 0));
        assert!(watched.heard.queue.try_recv().is_err(), "the first walk tells nothing");

        // By this process itself, under a name outside: neither back end tells of it.
        fs::write(watched.at().join("out/kit"), "y").unwrap();

        assert_eq!(watched.looks_at(1), names(["in/kit"]));
        let Notice::Happened(told) = watched.notice() else { panic!("not all was told") };
        let path = walker::scope(&watched.at().canonicalize().unwrap().join("in/kit"));
        assert_eq!((&told.path, &told.change, &told.process), (&path, &Change::Written, &None));
        let later = || watched.progress().filter(|w| w.since > told.at && w.ended.is_some());
        watched.until("another walk ends", later);
        assert!(watched.heard.queue.try_recv().is_err(), "it is told once");
    }
}

/// In a memory file system a write through a mapping that was read from before leaves size, times and inode as they are.
#[test]
fn a_change_that_leaves_size_times_and_inode_as_they_are_is_read_in_its_turn_and_told() {
    for backend in backends() {
        let Some(tree) = in_memory() else { return };
        let (path, walks) = (tree.path().canonicalize().unwrap().join("in/f"), 4);
        let clean = Clean::new(Duration::ZERO, 1_000, walks);
        let mut watched = Watched::with_clean(backend, tree, None, clean);
        watched.load(1);
        // What was made just before the start may be news to the first walks.
        (0..3).for_each(|_| assert_eq!(watched.looks_at(1), names(["in/f"])));
        while watched.heard.queue.try_recv().is_ok() {}
        let (mapped, before) = (Mapped::read_from(&path), Stamp::from(&fs::metadata(&path).unwrap()));

        // By this process itself, of whose acts neither back end tells.
        mapped.write();

        if before != Stamp::from(&fs::metadata(&path).unwrap()) {
            return println!(
                "cannot run here: a_change_that_leaves_size_times_and_inode: it gives the file a time"
            );
        }
        // Its turn may have come just before.
        let told = (0..3).find_map(|_| {
            assert_eq!(watched.looks_at(1), names(["in/f"]));
            watched.heard.queue.try_recv().ok()
        });
        let told = told.expect("it is told");
        assert_eq!((told.path, told.change), (walker::scope(&path), Change::Written));
        let again = watched.walked(1).again.unwrap();
        assert_eq!(again.walks, walks);
    }
}

/// A tree in memory with a file of a page in its watched folder.
fn in_memory() -> Option<tempfile::TempDir> {
    let Ok(tree) = tempfile::tempdir_in("/dev/shm") else {
        println!("cannot run here: a_change_that_leaves_size_times_and_inode: there is no /dev/shm");
        return None;
    };
    fs::create_dir_all(tree.path().join("in/home")).unwrap();
    fs::write(tree.path().join("in/f"), vec![0; 4_096]).unwrap();
    Some(tree)
}

#[test]
fn a_mapped_file_is_looked_at_while_a_walk_waits_for_its_scans() {
    let holders = std::sync::Mutex::new(Vec::new());
    let before = |at: &Path| {
        fs::write(at.join("in/f"), vec![0; 4_096]).unwrap();
        holders.lock().unwrap().push(mapped::tests::holder(&at.join("in")));
    };
    for mut watched in Watched::each_with(before) {
        // Nobody takes what the walk names.
        watched.load(1);

        watched.sees("in/f");
    }
    for mut holder in holders.into_inner().unwrap() {
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
}

#[test]
fn a_link_to_a_file_outside_is_looked_at_again_when_that_file_changes() {
    let link = |at: &Path| {
        fs::write(at.join("out/file"), "x").unwrap();
        std::os::unix::fs::symlink(at.join("out/file"), at.join("in/link")).unwrap();
    };
    for mut watched in Watched::each_with(link) {
        watched.load(1);
        assert_eq!(watched.looks_at(1), names(["in/link"]));

        fs::write(watched.at().join("out/file"), "changed").unwrap();

        assert_eq!(watched.looks_at(1), names(["in/link"]));
    }
}

#[test]
fn folders_that_cannot_be_read_are_counted_and_said() {
    let overlong = |at: &Path| drop(walk::tests::make_overlong(&at.join("in")));
    for mut watched in Watched::each_with(overlong) {
        watched.load(1);

        let walk = watched.walked(1);

        assert_eq!(walk.unread, 1);
        let said = || {
            let coverage = watched.meter.health(0).coverage;
            coverage.into_iter().find(|c| c.reason == Some(Reason::FoldersUnread { count: 1 }))
        };
        assert_eq!(watched.until("it is said", said).sight, Sight::Reduced);
    }
}

fn two_names(at: &Path) {
    fs::write(at.join("out/kit"), "x").unwrap();
    fs::hard_link(at.join("out/kit"), at.join("in/kit")).unwrap();
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(String::from).into()
}

impl Watched {
    pub(super) fn load(&self, pack: u64) {
        self.pack.store(pack, Ordering::Relaxed);
    }

    fn progress(&self) -> Option<khien_core::asset::WalkProgress> {
        self.meter.health(0).walk
    }

    /// Finds so many files clean that a walk names.
    pub(super) fn looks_at(&mut self, files: usize) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        while seen.len() < files {
            let next = async { timeout(SOON, self.calm.recv()).await };
            let calm = self.runtime.block_on(next).expect("a walk goes on").expect("the watch goes on");
            let path = PathBuf::from(OsStr::from_bytes(calm.event.path.raw()));
            let stamp = Stamp::from(&fs::metadata(&path).unwrap());
            let content = Content::from(Sha256::of(&fs::read(path).unwrap()));
            self.clean.keep(&stamp, self.pack.load(Ordering::Relaxed), content, SystemTime::now());
            seen.insert(self.name(&calm.event));
            let looked = Looked::Scanned(ScanOutcome::Clean);
            // The walk may have ended.
            let _ = calm.done.send(Ended { looked, took: Duration::ZERO, content: Some(content) });
        }
        seen
    }

    /// Waits for the end of a walk with this pack.
    pub(super) fn walked(&mut self, pack: u64) -> khien_core::asset::WalkProgress {
        self.until("the walk ends", || self.progress().filter(|w| w.ended.is_some() && w.pack == pack))
    }
}
