//! What those who listen are told of, beside the folders that are watched.

use super::*;

#[test]
fn what_is_observed_outside_the_watched_folders_is_told_of_and_not_scanned() {
    for mut watched in Watched::each_with(|at| fs::write(at.join("out/passwd"), "old").unwrap()) {
        watched.observe(&["out/passwd", "out/later/keys"]);

        watched.sh("echo new >> out/passwd; rm out/passwd; mkdir out/later; echo other > out/other");
        let told = watched.told_of("out/passwd", Change::Removed);

        assert!(told.contains(&("out/passwd".to_owned(), Change::Written)), "{told:?}");
        assert!(told.iter().all(|(name, _)| name != "out/other"), "{told:?}");
        assert!(watched.events.try_recv().is_err(), "nothing is scanned");
    }
}

#[test]
fn a_folder_that_is_observed_is_told_of_with_all_below_it() {
    for mut watched in Watched::each_with(|at| fs::create_dir_all(at.join("out/cron.d/deep")).unwrap()) {
        watched.observe(&["out/cron.d"]);

        watched.sh("echo job > out/cron.d/deep/job");

        watched.told_of("out/cron.d/deep/job", Change::Written);
    }
}

#[test]
fn what_the_agent_does_itself_or_others_do_in_its_home_is_not_told() {
    let Some(mut watched) = Watched::with_fanotify(|_| {}) else { return };
    fs::write(watched.at().join("in/own"), "x").unwrap();
    watched.sh("echo x > in/home/spool; rm in/home/spool; echo x > in/last");

    let told = watched.hears_until("in/last");

    let names: BTreeSet<_> = told.iter().map(|activity| watched.name_of(&activity.path)).collect();
    assert_eq!(names, BTreeSet::from(["in/last".to_owned()]));
}

#[test]
fn lost_events_are_told_to_those_who_listen() {
    const FILES: usize = 20_000;
    let Some(mut watched) = Watched::with_fanotify(|_| {}) else { return };
    let observed = Arc::clone(&watched.observed);
    // A file outside holds the watch up, so the kernel's queue runs over.
    let held = observed.held();
    watched.sh(&format!("echo x > out/f; i=0; while [ $i -lt {FILES} ]; do : > in/$i; i=$((i+1)); done"));
    drop(held);

    let blind = std::iter::repeat_with(|| watched.notice()).find(|notice| matches!(notice, Notice::Blind(_)));

    assert!(blind.is_some());
}

#[test]
fn while_nobody_scans_the_watch_goes_on_and_every_file_is_found_afterwards() {
    const FILES: usize = 3_000;
    for mut watched in Watched::each() {
        watched.sh(&format!("i=0; while [ $i -lt {FILES} ]; do echo x > in/$i; i=$((i+1)); done"));

        // Nobody takes what is to be scanned, and all is told to those who listen.
        let (last, heard) = (watched.at().canonicalize().unwrap().join("in/2999"), &mut watched.heard);
        let until_last = async {
            loop {
                match heard.next().await.expect("the watch goes on") {
                    Notice::Happened(activity) if activity.path == walker::scope(&last) => return,
                    Notice::Happened(_) => {}
                    Notice::Blind(since) => panic!("blind since {since}"),
                }
            }
        };
        watched.runtime.block_on(async { timeout(SOON, until_last).await }).expect("the last one is told");

        let causes = watched.finds_all(&(0..FILES).map(|n| format!("in/{n}")).collect());
        let is_behind = |cause: &Reason| matches!(cause, Reason::ScansBehind { count: 1.. });
        assert!(causes.iter().any(is_behind), "{causes:?}");
    }
}

impl Watched {
    fn observe(&mut self, names: &[&str]) {
        let at = self.at().canonicalize().unwrap();
        self.observed.set("test", names.iter().map(|name| at.join(name)).collect());
        let covers = || names.iter().all(|name| self.observed.covers(&at.join(name))).then_some(());
        self.until("it is observed", covers);
        // The borders are set before the marks: another look around means that these stand too.
        self.sh("mkdir -p out/marker");
        self.observed.set("marker", vec![at.join("out/marker")]);
        self.until("the marks stand", || self.observed.covers(&at.join("out/marker")).then_some(()));
    }

    /// Returns what is told up to this.
    fn told_of(&mut self, name: &str, change: Change) -> Vec<(String, Change)> {
        let (mut told, last) = (Vec::new(), (name.to_owned(), change));
        while told.last() != Some(&last) {
            if let Notice::Happened(activity) = self.notice() {
                told.push((self.name_of(&activity.path), activity.change));
            }
        }
        told
    }

    fn name_of(&self, path: &khien_core::Untrusted) -> String {
        let at = self.at().canonicalize().unwrap();
        let path = path.to_string();
        path.strip_prefix(at.to_str().unwrap()).unwrap_or(&path).trim_start_matches('/').to_owned()
    }
}
