//! The walk over everything: the first one, one for each pack, and what it finds that no event told of.

use std::{fs::FileTimes, sync::atomic::Ordering, time::SystemTime};

use super::*;

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
    fn load(&self, pack: u64) {
        self.pack.store(pack, Ordering::Relaxed);
    }

    fn progress(&self) -> Option<khien_core::asset::WalkProgress> {
        self.meter.health(0).walk
    }

    /// Finds so many files clean that a walk names.
    fn looks_at(&mut self, files: usize) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        while seen.len() < files {
            let next = async { timeout(SOON, self.calm.recv()).await };
            let calm = self.runtime.block_on(next).expect("a walk goes on").expect("the watch goes on");
            let path = PathBuf::from(OsStr::from_bytes(calm.event.path.raw()));
            let stamp = Stamp::from(&fs::metadata(path).unwrap());
            self.clean.keep(&stamp, self.pack.load(Ordering::Relaxed), SystemTime::now());
            seen.insert(self.name(&calm.event));
        }
        seen
    }

    /// Waits for the end of a walk with this pack.
    fn walked(&mut self, pack: u64) -> khien_core::asset::WalkProgress {
        self.until("the walk ends", || self.progress().filter(|w| w.ended.is_some() && w.pack == pack))
    }
}
