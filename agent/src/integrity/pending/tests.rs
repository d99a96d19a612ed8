use khien_core::{event::Process, policy::Group};

use super::{super::place::look, *};
use crate::activity::Change;

fn item(group: &str, differs: Differs, since: Instant) -> Item {
    Item {
        group: group.to_owned(),
        differs,
        before: None,
        now: None,
        who: Who::default(),
        weight: Weight::default(),
        diff: None,
        unwatched: false,
        at: Timestamp::UNIX_EPOCH,
        since,
    }
}

fn batch(count: usize) -> Batch {
    let now = Instant::now();
    let one = |n| (PathBuf::from(format!("/etc/s/{}/u{n}", n % 2)), item("systemd", Differs::Content, now));
    Batch { items: (0..count).map(one).collect() }
}

/// What such a change weighs in a group that matters.
fn weight(differs: &Differs) -> Weight {
    let group: Group =
        serde_json::from_str(r#"{"name": "systemd", "paths": [], "severity": "high"}"#).unwrap();
    Weight::of(Some(&group), differs, None, None)
}

fn subjects(batch: &Batch) -> Vec<(Untrusted, Differs)> {
    let subject = |detection: Detection| {
        let Subject::Conduct(subject) = detection.subject else { panic!("{detection:?}") };
        let Conduct::Integrity(change) = subject.what else { panic!("{:?}", subject.what) };
        (subject.path, change.differs)
    };
    batch.detections(1, &Users::default()).into_iter().map(subject).collect()
}

#[test]
fn a_few_changes_are_told_one_by_one_and_many_as_one() {
    assert_eq!(subjects(&batch(SINGLE)).len(), SINGLE);

    let told = subjects(&batch(500));

    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "/etc/s".into());
    let Differs::Many { content, examples, .. } = &told[0].1 else { panic!("{told:?}") };
    assert_eq!((*content, examples.len()), (500, MAX_EXAMPLES));
}

#[test]
fn in_a_storm_what_matters_is_told_by_itself() {
    let now = Instant::now();
    let mut storm = batch(1_000);
    for (name, differs) in [("z/content", Differs::Content), ("z/gone", Differs::Removed)] {
        let weight = weight(&differs);
        let one = Item { weight, ..item("systemd", differs, now) };
        storm.items.push((format!("/etc/s/{name}").into(), one));
    }

    let told = subjects(&storm);

    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], ("/etc/s/z/content".into(), Differs::Content));
    assert_eq!(told[1], ("/etc/s/z/gone".into(), Differs::Removed));
    assert!(matches!(told[2].1, Differs::Many { content: 1_000, removed: 0, .. }), "{told:?}");
}

#[test]
fn a_storm_of_what_matters_is_bounded_and_the_sum_counts_each_kind() {
    let now = Instant::now();
    let kinds = [Differs::Content, Differs::Rights, Differs::Removed, Differs::Added];
    let one = |n: usize| {
        let differs = kinds[n % 4].clone();
        let weight = weight(&differs);
        (PathBuf::from(format!("/etc/s/{n:04}")), Item { weight, ..item("systemd", differs, now) })
    };
    let storm = Batch { items: (0..400).map(one).collect() };

    let told = subjects(&storm);

    assert_eq!(told.len(), SINGLE_OF_MANY + 1);
    assert!(told[..SINGLE_OF_MANY].iter().all(|(_, differs)| *differs == Differs::Content));
    let Differs::Many { added, removed, content, rights, examples } = &told[SINGLE_OF_MANY].1 else {
        panic!("{told:?}")
    };
    assert_eq!((*added, *removed, *content, *rights), (100, 100, 60, 100));
    assert_eq!(examples[0], "/etc/s/0160".into(), "those that weigh most come first");
}

#[test]
fn where_no_more_can_wait_what_weighs_least_gives_way() {
    let (mut pending, start) = (Pending::default(), Instant::now());
    for n in 0..FULL {
        let path = PathBuf::from(format!("/{n}"));
        assert_eq!(pending.room(&path, Weight::default()), Room::Free);
        pending.add(path, item("g", Differs::Added, start));
    }
    let (other, heavy) = (Path::new("/other"), weight(&Differs::Content));

    assert_eq!(pending.room(other, Weight::default()), Room::None);
    assert_eq!(pending.room(Path::new("/7"), Weight::default()), Room::Free, "it waits already");
    assert_eq!(pending.room(other, heavy), Room::Made);
    pending.add(other.to_owned(), Item { weight: heavy, ..item("g", Differs::Content, start) });

    assert_eq!(pending.room(Path::new("/more"), Weight::default()), Room::None);
    let all = pending.take();
    assert!(all.len() == FULL && all.iter().any(|(path, _)| path == other));
}

#[test]
fn changes_wait_until_none_comes_and_not_for_ever() {
    let (mut pending, start) = (Pending::default(), Instant::now());
    assert!(!pending.is_due(start));
    for second in 0..=20 {
        let at = start + Duration::from_secs(second);
        pending.add(format!("/{second}").into(), item("g", Differs::Added, at));
    }

    assert!(Pending::is_due(&pending, start + LONGEST));
    assert_eq!(pending.take().len(), 21);
    pending.add("/a".into(), item("g", Differs::Added, start));
    assert!(!pending.is_due(start + QUIET / 2));
    assert!(pending.is_due(start + QUIET));
}

#[test]
fn a_second_change_of_a_path_keeps_when_the_first_was_and_who_made_it() {
    let (mut pending, start) = (Pending::default(), Instant::now());
    let wrote = Who::of(&Change::Written, Some(Process::unknown(7)));
    let touched = Who::of(&Change::Attributes, Some(Process::unknown(8)));
    let first = Item { who: wrote, unwatched: true, ..item("g", Differs::Added, start) };
    pending.add("/a".into(), first);
    pending.add("/a".into(), Item { who: touched, ..item("g", Differs::Content, start + QUIET) });

    let all = pending.take();

    assert_eq!((all.len(), all[0].1.since, &all[0].1.differs), (1, start, &Differs::Content));
    assert_eq!(all[0].1.who.did(&Differs::Content), Some(&Process::unknown(7)));
    assert!(all[0].1.unwatched);
}

#[test]
fn what_is_told_is_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("file");
    std::fs::write(&path, "x").unwrap();
    let how = super::super::place::Look { text: false, behind: None };
    let now = look(&path, how).unwrap();
    let one = Item { now, ..item("g", Differs::Added, Instant::now()) };

    let found = Batch { items: vec![(path, one)] }.detections(1, &Users::default());

    let Subject::Conduct(subject) = &found[0].subject else { panic!("{found:?}") };
    assert_eq!(subject.sha256, Some(khien_core::Sha256::of(b"x")));
}
