use std::{fs, os::unix::fs::PermissionsExt};

use khien_core::{
    conduct::{Conduct, Integrity},
    detection::{ConductSubject, Subject},
};
use khien_scan::users::Users;

use super::*;

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
    let occasion = Occasion { process: Some(maker.clone()), unwatched: false };

    assert!(!house.keeper.heard(&path, &occasion).unwrap(), "one file asks for no walk");

    let told = house.told();
    assert_eq!(told[0].process, Some(maker));
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
fn a_walk_that_is_called_off_tells_nothing_and_forgets_nothing() {
    let mut house = House::new();

    house.keeper.walk(false, &|| true).unwrap();

    assert_eq!(house.told(), []);
    assert_eq!(house.keeper.state().unwrap().files, 3);
}
