use std::os::unix::fs::symlink;

use super::{
    super::place::{Look, look},
    *,
};

/// A folder to look through.
struct Tree {
    _root: tempfile::TempDir,
    dir: PathBuf,
    known: BTreeMap<String, Before>,
    baseline: BTreeMap<PathBuf, Entry>,
}

impl Tree {
    fn new(folders: &[&str], files: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().canonicalize().unwrap();
        folders.iter().for_each(|folder| fs::create_dir_all(dir.join(folder)).unwrap());
        files.iter().for_each(|file| fs::write(dir.join(file), "x").unwrap());
        Self { _root: root, dir, known: BTreeMap::new(), baseline: BTreeMap::new() }
    }

    fn pattern(&self, below: &str) -> String {
        format!("{}/{below}", self.dir.display())
    }

    fn policy(&self, groups: &[(&str, &[&str])]) -> Policy {
        let group = |(name, paths): &(&str, &[&str])| {
            let paths: Vec<String> = paths.iter().map(|p| self.pattern(p)).collect();
            serde_json::json!({ "name": name, "severity": "low", "paths": paths })
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        serde_json::from_value(serde_json::json!({ "integrity": groups })).unwrap()
    }

    fn survey(&self, policy: &Policy, round: u64) -> Survey {
        let Self { known, baseline, .. } = self;
        survey(&Ask { policy, known, baseline, round, left_out: &[], stop: &|| false })
    }

    /// Takes so many paths into the baseline that are not there any more.
    fn hold(&mut self, below: &str, count: usize) {
        let state = look(&self.dir, Look { text: false, behind: None }).unwrap().unwrap().state;
        let entry = Entry { group: "g".to_owned(), state, packaged: false };
        let path = |n| self.dir.join(below).join(format!("{n:06}"));
        self.baseline.extend((0..count).map(|n| (path(n), entry.clone())));
    }
}

fn shown<'a>(found: &'a Survey, dir: &Path) -> Vec<&'a str> {
    found.places.keys().map(|p| p.strip_prefix(dir).unwrap().to_str().unwrap()).collect()
}

#[test]
fn all_that_is_named_is_found_and_links_are_told() {
    let mut tree = Tree::new(
        &["home/an/.ssh", "home/binh", "real/cron.d/below", "etc"],
        &["home/an/.ssh/authorized_keys", "home/binh/x", "real/cron.d/a", "real/cron.d/below/b"],
    );
    symlink("../real/cron.d", tree.dir.join("etc/cron.d")).unwrap();
    symlink("a", tree.dir.join("real/cron.d/link")).unwrap();
    let policy = tree.policy(&[("g", &["etc/cron.d/", "home/*/.ssh/authorized_keys", "home/*/none"])]);
    tree.known.insert(tree.pattern("etc/cron.d/"), Before::Whole);

    let found = tree.survey(&policy, 0);

    let names: Vec<(&str, Before)> =
        shown(&found, &tree.dir).into_iter().zip(found.places.values().map(|p| p.before)).collect();
    let want = [
        ("etc/cron.d", Before::Whole),
        ("home/an/.ssh/authorized_keys", Before::Never),
        ("real/cron.d", Before::Whole),
        ("real/cron.d/a", Before::Whole),
        ("real/cron.d/below", Before::Whole),
        ("real/cron.d/below/b", Before::Whole),
        ("real/cron.d/link", Before::Whole),
    ];
    assert_eq!(names, want);
    assert!(found.unread == 0 && !found.stopped && found.cut.is_empty() && found.outside.is_empty());
}

#[test]
fn links_that_lead_in_circles_end() {
    let tree = Tree::new(&["a"], &[]);
    symlink("..", tree.dir.join("a/up")).unwrap();

    let found = tree.survey(&tree.policy(&[("g", &[""])]), 0);

    assert_eq!(found.places.len(), 3);
}

#[test]
fn a_link_below_a_star_is_not_followed_out_of_the_tree_and_that_is_told() {
    let tree = Tree::new(
        &["home/an/real", "home/binh", "home/chi", "outside/conf", "named/conf"],
        &["home/an/real/a", "outside/conf/b", "named/conf/c"],
    );
    for (link, target) in [
        ("home/an/conf", "real"),
        ("home/binh/conf", "../../outside/conf"),
        ("home/chi/conf", "../../named/conf"),
    ] {
        symlink(target, tree.dir.join(link)).unwrap();
    }

    let found = tree.survey(&tree.policy(&[("g", &["home/*/conf/", "named/*"])]), 0);

    let want =
        ["home/an/conf", "home/an/real", "home/an/real/a", "home/binh/conf", "home/chi/conf", "named/conf"];
    assert_eq!(shown(&found, &tree.dir), want);
    assert_eq!(found.outside, [tree.dir.join("outside/conf")].into());
}

#[test]
fn who_fills_one_folder_pushes_nobody_else_out() {
    let mut tree = Tree::new(&["full", "calm"], &["full/new", "calm/new"]);
    tree.hold("full", MAX_PLACES);
    let policy = tree.policy(&[("full", &["full/"]), ("calm", &["calm/"])]);

    let found = tree.survey(&policy, 0);

    assert!(found.places.contains_key(&tree.dir.join("calm/new")));
    assert!(!found.places.contains_key(&tree.dir.join("full/new")), "no room, and none of its own");
    assert_eq!(found.groups, ["full".to_owned()].into());
    assert_eq!(found.cut, [tree.pattern("full/")].into());
    assert!(has_share(&policy, &tree.baseline, &tree.dir.join("calm/other")));
    assert!(!has_share(&policy, &tree.baseline, &tree.dir.join("full/other")));
}

#[test]
fn one_match_of_a_star_takes_no_more_than_its_part() {
    let mut tree = Tree::new(&["home/an", "home/evil"], &["home/an/keys", "home/evil/keys"]);
    tree.hold("home/evil", MAX_BRANCH);

    let found = tree.survey(&tree.policy(&[("ssh", &["home/*/keys*"])]), 0);

    assert!(found.places.contains_key(&tree.dir.join("home/an/keys")));
    assert!(!found.places.contains_key(&tree.dir.join("home/evil/keys")));
    assert_eq!(found.groups, ["ssh".to_owned()].into());
}

#[test]
fn of_a_folder_that_is_too_large_every_part_has_its_turn() {
    let tree = Tree::new(&["many"], &[]);
    (0..10).for_each(|n| fs::write(tree.dir.join(format!("many/{n}")), "x").unwrap());
    let mut seen = BTreeSet::new();

    for round in 0..3 {
        let (names, is_all) = part(&tree.dir.join("many"), 4, round).unwrap();
        assert!(!is_all && !names.is_empty() && names.len() <= 4, "{names:?}");
        seen.extend(names);
    }

    assert_eq!(seen.len(), 10);
    assert!(part(&tree.dir.join("many"), 10, 5).unwrap().1);
}
