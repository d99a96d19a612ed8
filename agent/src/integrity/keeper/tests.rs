use std::{fs, os::unix::fs::PermissionsExt};

use khien_core::{
    conduct::{Conduct, Integrity},
    detection::{ConductSubject, Subject},
    event::Process,
};
use khien_scan::users::Users;

use super::*;
use crate::{activity::Change, watch::tests::alone};

/// A folder that is kept an eye on, and the agent's own.
struct House {
    _root: tempfile::TempDir,
    dir: PathBuf,
    keeper: Keeper,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let whole = root.path().canonicalize().unwrap();
        let dir = whole.join("etc");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("crontab"), "* * * * * root /bin/true\n").unwrap();
        fs::write(dir.join("site.key"), "hunter2").unwrap();
        let keeper = open(&dir, &policy(&dir));
        let mut house = Self { _root: root, dir, keeper };
        house.walk(false);
        house
    }

    /// The agent stops and another one starts.
    fn restarted(&mut self) {
        self.keeper = open(&self.dir, &policy(&self.dir));
        self.walk(true);
    }

    fn walk(&mut self, unwatched: bool) {
        self.keeper.walk(unwatched, &|| false).unwrap();
    }

    /// Tells what is due, and makes it the baseline.
    fn told(&mut self) -> Vec<ConductSubject> {
        let batch = self.keeper.due(true).unwrap();
        let told = batch.detections(1, &Users::default());
        self.keeper.settle(&batch).unwrap();
        let subject = |d: khien_core::detection::Detection| match d.subject {
            Subject::Conduct(subject) => subject,
            other => panic!("{other:?}"),
        };
        told.into_iter().map(subject).collect()
    }

    /// Walks and returns the one thing that is told.
    fn one(&mut self) -> (ConductSubject, Integrity) {
        self.walk(false);
        let mut told = self.told();
        assert_eq!(told.len(), 1, "{told:?}");
        let subject = told.remove(0);
        let Conduct::Integrity(change) = subject.what.clone() else { panic!("{subject:?}") };
        (subject, *change)
    }

    /// Walks until each file was read once, and returns what is told.
    fn told_in_a_round(&mut self) -> Vec<ConductSubject> {
        (0..READ_AGAIN).for_each(|_| self.walk(false));
        self.told()
    }

    fn silent(&mut self) {
        self.walk(false);
        assert_eq!(self.told(), []);
    }
}

fn policy(dir: &Path) -> Arc<Policy> {
    let json = format!(
        r#"{{"integrity": [{{"name": "cron", "severity": "high", "text": true, "paths": ["{}/"]}}]}}"#,
        dir.display()
    );
    Arc::new(serde_json::from_str(&json).unwrap())
}

fn open(dir: &Path, policy: &Arc<Policy>) -> Keeper {
    let home = dir.parent().unwrap();
    Keeper::open(&home.join("integrity.db"), &home.join("no-dpkg"), Arc::clone(policy)).unwrap().0
}

#[test]
fn the_first_look_tells_nothing_and_neither_does_what_stays() {
    let mut house = House::new();

    assert_eq!(house.told(), []);
    house.silent();
    assert_eq!(house.keeper.state().unwrap().files, 3);
}

#[test]
fn a_change_is_told_once_with_its_lines_and_both_digests() {
    let mut house = House::new();
    fs::write(house.dir.join("crontab"), "* * * * * root /bin/true\n* * * * * root /tmp/x\n").unwrap();

    let (subject, change) = house.one();

    assert_eq!(change.differs, Differs::Content);
    assert!(!change.unwatched && change.before.unwrap().sha256 != change.after.unwrap().sha256);
    assert_eq!(subject.diff, Some("+* * * * * root /tmp/x".into()));
    house.silent();
}

#[test]
fn a_change_made_while_no_agent_ran_is_told_at_the_start() {
    let mut house = House::new();
    fs::write(house.dir.join("new"), "x").unwrap();
    house.restarted();

    let told = house.told();

    assert_eq!(told.len(), 1);
    let Conduct::Integrity(change) = &told[0].what else { panic!("{told:?}") };
    assert_eq!((&change.differs, change.unwatched), (&Differs::Added, true));
    house.restarted();
    assert_eq!(house.told(), []);
}

#[test]
fn a_change_that_could_not_be_told_is_told_later_also_by_the_next_agent() {
    let mut house = House::new();
    fs::remove_file(house.dir.join("crontab")).unwrap();
    house.walk(false);
    let batch = house.keeper.due(true).unwrap();
    house.keeper.untold(batch);
    assert!(house.keeper.has_pending());
    // It dies here.
    house.restarted();

    let told = house.told();

    assert_eq!(told.len(), 1);
    assert_eq!(told[0].diff, Some("-* * * * * root /bin/true".into()));
}

#[test]
fn a_secret_is_never_shown_or_kept() {
    let mut house = House::new();
    fs::write(house.dir.join("site.key"), "hunter3").unwrap();

    let (subject, _) = house.one();

    assert_eq!(subject.diff, None);
    assert_eq!(house.keeper.store.text(&house.dir.join("site.key")).unwrap(), None);
}

#[test]
fn another_mode_is_told_and_another_time_is_not() {
    let mut house = House::new();
    let file = fs::File::options().write(true).open(house.dir.join("crontab")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    house.silent();
    file.set_permissions(fs::Permissions::from_mode(0o606)).unwrap();

    let (_, change) = house.one();

    assert_eq!((change.differs, change.after.unwrap().mode & 0o777), (Differs::Rights, 0o606));
}

#[test]
fn what_a_new_policy_names_is_taken_as_it_is_and_what_it_leaves_is_forgotten() {
    let mut house = House::new();
    let other = house.dir.parent().unwrap().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("x"), "x").unwrap();
    house.keeper.follow(policy(&other));
    house.silent();
    assert_eq!(house.keeper.state().unwrap().files, 2);
    fs::write(other.join("y"), "y").unwrap();

    assert_eq!(house.one().1.differs, Differs::Added);
    fs::write(house.dir.join("crontab"), "changed").unwrap();
    house.silent();
}

#[test]
fn what_is_heard_is_looked_at_at_once_and_who_made_it_is_told() {
    let mut house = House::new();
    let maker = Process { uid: Some(0), ..Process::unknown(7) };
    let path = house.dir.join("crontab");
    fs::write(&path, "changed\n").unwrap();
    let occasion = |change: Change, maker: &Process| Occasion {
        who: Who::of(&change, Some(maker.clone())),
        unwatched: false,
    };

    let asks = house.keeper.heard(&path, &occasion(Change::Written, &maker)).unwrap();
    assert!(!asks, "one file asks for no walk");
    house.keeper.heard(&path, &occasion(Change::Attributes, &Process::unknown(8))).unwrap();

    let told = house.told();
    assert_eq!(told[0].process, Some(maker), "not who touched it afterwards");
    fs::create_dir(house.dir.join("folder")).unwrap();
    assert!(house.keeper.heard(&house.dir.join("folder"), &Occasion::default()).unwrap());
}

#[test]
fn a_change_that_is_undone_before_it_is_told_is_told_all_the_same() {
    let mut house = House::new();
    let path = house.dir.join("crontab");
    let text = fs::read(&path).unwrap();
    fs::write(&path, "changed\n").unwrap();
    house.walk(false);
    fs::write(&path, text).unwrap();

    let (_, change) = house.one();

    assert_eq!(change.differs, Differs::Content);
    house.silent();
}

#[test]
fn five_hundred_changes_at_once_are_one_alert() {
    let mut house = House::new();
    for n in 0..500 {
        fs::write(house.dir.join(format!("unit{n}")), "x").unwrap();
    }

    let (subject, change) = house.one();

    assert!(matches!(change.differs, Differs::Many { added: 500, .. }), "{change:?}");
    assert_eq!(subject.path, khien_core::Untrusted::new(house.dir.as_os_str().as_bytes()));
    house.silent();
}

#[test]
fn a_bad_change_does_not_drown_in_a_storm() {
    let mut house = House::new();
    for n in 0..500 {
        fs::write(house.dir.join(format!("a{n}")), "x").unwrap();
    }
    fs::write(house.dir.join("crontab"), "* * * * * root /tmp/x\n").unwrap();
    house.walk(false);

    let told = house.told();

    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].path.raw().ends_with(b"/crontab") && told[0].diff.is_some(), "{told:?}");
}

#[test]
fn changes_beyond_what_can_wait_are_told_by_the_next_walks_and_that_is_said() {
    let mut house = House::new();
    (0..1_500).for_each(|n| fs::write(house.dir.join(format!("a{n}")), "x").unwrap());
    let counted = |told: Vec<ConductSubject>| -> u64 {
        let added = |subject: ConductSubject| match subject.what {
            Conduct::Integrity(change) => match change.differs {
                Differs::Many { added, .. } => added,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        told.into_iter().map(added).sum()
    };

    house.walk(false);
    assert_eq!(house.keeper.gaps().waiting, 500);
    let first = counted(house.told());
    house.walk(false);
    assert_eq!(house.keeper.gaps().waiting, 0);

    assert_eq!(first + counted(house.told()), 1_500);
    house.silent();
}

#[test]
fn what_changed_while_no_more_could_wait_has_its_turn_first() {
    let mut house = House::new();
    (0..1_050).for_each(|n| fs::write(house.dir.join(format!("a{n:04}")), "x").unwrap());
    house.walk(false);
    house.told();
    house.walk(false);
    house.told();
    let change = |house: &House| {
        (0..1_050).for_each(|n| {
            let file = house.dir.join(format!("a{n:04}"));
            fs::write(&file, [fs::read(&file).unwrap(), b"x".to_vec()].concat()).unwrap();
        });
    };

    change(&house);
    house.walk(false);
    house.told();
    change(&house);
    house.walk(false);

    let waiting = house.keeper.due(true).unwrap();
    assert!(waiting.items.iter().any(|(path, _)| path.ends_with("a1049")), "the last are not always last");
}

#[test]
fn what_is_in_the_baseline_is_compared_also_if_a_walk_did_not_come_by() {
    let mut house = House::new();
    let path = house.dir.join("crontab");
    fs::write(&path, "changed\n").unwrap();
    let mut found = Survey::default();
    found.cut.insert("/elsewhere/".to_owned());

    house.keeper.again(&path, &found, &Occasion::default()).unwrap();

    assert_eq!(house.told().len(), 1);
}

#[test]
fn of_a_pattern_that_was_cut_only_what_changed_since_is_new() {
    let house = House::new();
    let pattern = format!("{}/", house.dir.display());
    let (cut, looked) = ([pattern.clone()].into(), house.keeper.looked.unwrap());
    let at = |second| Timestamp::new(second, 0).unwrap();

    let after = house.keeper.known_after(&cut, at(7));
    assert_eq!(after[&pattern], Before::Partly(looked), "it was whole until then");
    assert_eq!(house.keeper.known_after(&BTreeSet::new(), at(7))[&pattern], Before::Whole);

    let stamp = |second| place::Stamp { device: 1, inode: 1, changed: (second, 0), size: 0 };
    let partly = Before::Partly(at(100));
    assert!(partly.is_new(&stamp(100)) && !partly.is_new(&stamp(99)));
    assert!(Before::Whole.is_new(&stamp(0)) && !Before::Never.is_new(&stamp(200)));
}

#[test]
fn a_file_that_can_no_longer_be_read_is_told() {
    let mut house = House::new();
    let file = fs::File::options().write(true).open(house.dir.join("crontab")).unwrap();
    file.set_len(place::MAX_HASHED + 1).unwrap();

    let (_, change) = house.one();

    assert_eq!(change.differs, Differs::Unread);
    assert!(change.before.unwrap().sha256.is_some() && change.after.unwrap().sha256.is_none());
    house.silent();
}

#[test]
fn a_link_whose_target_is_looked_at_by_itself_from_now_on_is_no_change() {
    let mut house = House::new();
    let other = house.dir.parent().unwrap().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("x"), "x").unwrap();
    std::os::unix::fs::symlink(other.join("x"), house.dir.join("link")).unwrap();
    assert_eq!(house.one().1.differs, Differs::Added);

    let mut both = Policy::clone(&policy(&house.dir));
    both.integrity[0].paths.extend(policy(&other).integrity[0].paths.clone());
    house.keeper.follow(Arc::new(both));
    // Every file is read once in so many walks.
    (0..READ_AGAIN).for_each(|_| house.silent());

    fs::remove_file(house.dir.join("link")).unwrap();
    assert_eq!(house.one().1.differs, Differs::Removed);
}

#[test]
fn a_walk_that_is_called_off_tells_nothing_and_forgets_nothing() {
    let mut house = House::new();

    house.keeper.walk(false, &|| true).unwrap();

    assert_eq!(house.told(), []);
    assert_eq!(house.keeper.state().unwrap().files, 3);
}

#[test]
fn what_lies_on_a_mount_from_the_network_is_left_out_and_told_and_nobody_waits_for_it() {
    if !rustix::process::geteuid().is_root() {
        println!("cannot run here: what_lies_on_a_mount_from_the_network: mounting needs root");
        return;
    }
    alone::with_own_mounts(|| {
        let mut house = House::new();
        let (far, away) = (house.dir.join("far"), house.dir.with_file_name("away"));
        for folder in [&far, &away] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("old"), "x").unwrap();
        }
        std::os::unix::fs::symlink("../away/old", house.dir.join("link")).unwrap();
        std::os::unix::fs::symlink("../away", house.dir.join("tree")).unwrap();
        house.walk(false);
        house.told();
        let mut silent = [&far, &away].map(|at| alone::Silent::mount(at));
        fs::write(house.dir.join("crontab"), "other").unwrap();

        let told = house.told_in_a_round();

        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].path.to_string().ends_with("/crontab"), "{told:?}");
        let mounts: Vec<_> = house.keeper.gaps().mounts.iter().map(|m| (&m.point, m.kind.as_str())).collect();
        assert_eq!(mounts, [(&far, "fuse.sshfs"), (&away, "fuse.sshfs")]);
        assert!(!house.keeper.heard(&far.join("old"), &Occasion::default()).unwrap());
        assert!(silent.iter().all(alone::Silent::is_silent), "somebody waited for it");

        silent.iter_mut().for_each(alone::Silent::unmount);
        assert_eq!(house.told_in_a_round(), []);
        assert!(house.keeper.gaps().mounts.is_empty());
        fs::write(away.join("old"), "y").unwrap();
        let told = house.told_in_a_round();
        assert_eq!(told.len(), 1, "what was known of it is known still: {told:?}");
        assert!(told[0].path.to_string().ends_with("/link"), "{told:?}");
    });
}
