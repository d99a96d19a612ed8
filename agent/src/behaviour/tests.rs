//! With real files: what is done to them is told to the part as the watch would tell it.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use khien_core::{Untrusted, conduct::behaviour::rules, event::Process};
use tokio::time::timeout;

use super::{
    sample::{
        documents::{document, encrypted},
        process, random,
    },
    *,
};
use crate::activity::{Activities, Activity, Change};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A part at work on a folder.
struct Place {
    _tree: tempfile::TempDir,
    dir: PathBuf,
    activities: Activities,
    reports: mpsc::Receiver<Report>,
    meter: Arc<Meter>,
    _stop: watch::Sender<bool>,
}

impl Place {
    async fn start(prepare: impl FnOnce(&Path)) -> Self {
        Self::start_with(prepare, |_| HashMap::new()).await
    }

    async fn start_with(
        prepare: impl FnOnce(&Path),
        canaries: impl FnOnce(&Path) -> HashMap<Untrusted, khien_core::Sha256>,
    ) -> Self {
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path().canonicalize().unwrap();
        fs::write(dir.join("index.php"), "<?php\n").unwrap();
        prepare(&dir);
        let canaries = Canaries { known: canaries(&dir), touched: Vec::new() };
        let mut activities = Activities::default();
        let heard = activities.listen();
        let (links, reports, stop) = links();
        let meter = Arc::clone(&links.meter);
        tokio::spawn(run(heard, vec![dir.clone()], canaries, links));
        // The first thing that it does once it knows the web roots is to say what it sees.
        while meter.health(0).coverage.is_empty() {
            tokio::task::yield_now().await;
        }
        Self { _tree: tree, dir, activities, reports, meter, _stop: stop }
    }

    /// Writes a file and tells of it.
    fn write(&self, name: &str, content: &[u8], change: Change, who: &Process) {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        self.tell(name, change, who);
    }

    fn tell(&self, name: &str, change: Change, who: &Process) {
        let path = Untrusted::from(self.dir.join(name).to_str().unwrap());
        let process = Some(Arc::new(who.clone()));
        self.activities.tell(&Activity { path, change, folder: false, at: Timestamp::now(), process });
    }

    /// Lets scripts be put into a folder for uploads until one is told: a search for roots takes a tick or two, and what
    /// comes in the meantime is not judged. Returns the rule.
    async fn told_of_a_script(&mut self) -> String {
        let (who, begun, mut n) = (process("/usr/bin/vim", "admin"), Instant::now(), 0);
        loop {
            self.write(&format!("new/uploads/{n}.php"), b"<?php echo 1;\n", Change::Created, &who);
            n += 1;
            match timeout(TICK, self.reports.recv()).await {
                Ok(Some(Report::Detection(found))) => return found.rule.to_string(),
                other => assert!(begun.elapsed() < PATIENCE, "{other:?}"),
            }
        }
    }

    async fn next(&mut self) -> (String, ConductSubject) {
        let told = timeout(PATIENCE, self.reports.recv()).await.expect("nothing was told").unwrap();
        let Report::Detection(found) = told else { panic!("{told:?}") };
        let Detection { rule, subject: Subject::Conduct(subject), .. } = *found else { panic!("{found:?}") };
        (rule.to_string(), subject)
    }
}

fn links() -> (Links, mpsc::Receiver<Report>, watch::Sender<bool>) {
    let (reports, told) = mpsc::channel(64);
    let (stop, shutdown) = watch::channel(false);
    (Links { reports, meter: Arc::default(), pack: Arc::default(), shutdown }, told, stop)
}

#[tokio::test]
async fn a_script_in_uploads_is_told_with_what_it_takes_to_act() {
    let mut place = Place::start(|_| ()).await;
    let who = process("/usr/sbin/php-fpm8.2", "www-data");

    place.write("uploads/x.php", b"<?php echo 2;\n", Change::Created, &who);

    let (rule, subject) = place.next().await;
    assert_eq!(rule, rules::SCRIPT_IN_UPLOADS);
    assert_eq!(subject.path, place.dir.join("uploads/x.php").to_str().unwrap().into());
    assert_eq!(subject.sha256, Some(khien_core::Sha256::of(b"<?php echo 2;\n")));
    assert_eq!((subject.process, subject.file.map(|f| f.size)), (Some(who), Some(14)));
}

#[tokio::test]
async fn the_sitemap_is_known_from_before_the_start() {
    let list = |pages| "<url><loc>https://x/</loc></url>".repeat(pages).into_bytes();
    let mut place = Place::start(|dir| fs::write(dir.join("sitemap.xml"), list(20)).unwrap()).await;
    let who = process("/usr/bin/python3", "root");

    place.write("sitemap.xml", &list(900), Change::Written, &who);

    assert_eq!(place.next().await.0, rules::SITEMAP);
}

#[tokio::test]
async fn the_twentieth_overwritten_document_is_told_within_three_seconds() {
    let kinds = ["docx", "txt", "pdf", "csv"];
    let mut place = Place::start(|dir| {
        for n in 0..20 {
            fs::write(dir.join(format!("{n}.{}", kinds[n % 4])), "before").unwrap();
        }
    })
    .await;
    let (who, noise) = (process("/tmp/.x/enc", "www-data"), random(20_000));

    for n in 0..20 {
        place.write(&format!("{n}.{}", kinds[n % 4]), &noise, Change::Written, &who);
    }
    let last = Instant::now();

    let (rule, subject) = place.next().await;
    assert_eq!((rule.as_str(), subject.process), (rules::SCRAMBLED, Some(who)));
    assert!(last.elapsed() < Duration::from_secs(3), "{:?}", last.elapsed());
}

#[tokio::test]
async fn documents_that_are_encrypted_behind_their_heads_are_told_within_three_seconds() {
    let mut place = Place::start(|_| ()).await;
    let who = process("/tmp/.x/enc", "www-data");
    let kinds = ["docx", "pdf", "jpg", "doc", "png"]
        .map(|kind| (kind, encrypted(document(kind, 300_000), std::iter::once(16_384..usize::MAX))));

    for n in 0..20 {
        let (kind, content) = &kinds[n % kinds.len()];
        place.write(&format!("{n}.{kind}"), content, Change::Written, &who);
    }
    let last = Instant::now();

    let (rule, subject) = place.next().await;
    assert_eq!((rule.as_str(), subject.process), (rules::SCRAMBLED, Some(who)));
    assert!(last.elapsed() < Duration::from_secs(3), "{:?}", last.elapsed());
}

#[tokio::test]
async fn a_canary_that_was_changed_under_another_name_is_told_with_the_next_look() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().canonicalize().unwrap();
    let canary = dir.join("!0-khien-canary.txt");
    fs::write(&canary, "planted").unwrap();
    fs::hard_link(&canary, dir.join("x")).unwrap();
    let known =
        HashMap::from([(Untrusted::from(canary.to_str().unwrap()), khien_core::Sha256::of(b"planted"))]);
    let heard = Activities::default().listen();
    let (mut links, mut reports, _stop) = links();
    let mut part = Part::new(vec![dir.clone()], Canaries { known, touched: Vec::new() }, &mut links).await;

    fs::write(dir.join("x"), "encrypted").unwrap();
    let begun = Instant::now();
    let told = loop {
        part.tick(&heard, &links).await;
        while let Some(seen) = part.looks.try_join_next() {
            part.saw(seen, &links).await;
        }
        if let Ok(told) = reports.try_recv() {
            break told;
        }
        assert!(begun.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    };

    let Report::Detection(found) = told else { panic!("{told:?}") };
    assert_eq!(found.rule.to_string(), rules::CANARY);
}

#[tokio::test]
async fn a_folder_that_becomes_a_web_root_while_the_agent_runs_is_one() {
    let mut place = Place::start(|dir| {
        fs::remove_file(dir.join("index.php")).unwrap();
        fs::create_dir(dir.join("new")).unwrap();
    })
    .await;
    let who = process("/usr/bin/vim", "admin");
    place.write("new/index.html", b"<html>", Change::Created, &who);

    assert_eq!(place.told_of_a_script().await, rules::SCRIPT_IN_UPLOADS);
}

/// Waits until the coverage says less than all, for a reason.
async fn reduced(place: &mut Place, because: impl Fn(&Reason) -> bool) {
    let begun = Instant::now();
    loop {
        let mut coverage = place.meter.health(0).coverage.into_iter();
        if coverage.any(|c| {
            c.sensor == Sensor::Behaviour
                && c.sight == Sight::Reduced
                && c.reason.as_ref().is_some_and(&because)
        }) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE);
        assert!(place.reports.try_recv().is_err());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn events_that_were_lost_on_the_way_are_said_and_the_web_roots_are_searched_again() {
    let mut place = Place::start(|dir| {
        fs::remove_file(dir.join("index.php")).unwrap();
        fs::create_dir_all(dir.join("new/uploads")).unwrap();
    })
    .await;
    // Nobody hears that it becomes a web root.
    fs::write(place.dir.join("new/index.php"), "<?php").unwrap();

    place.activities.blind(Timestamp::now());

    reduced(&mut place, |reason| *reason == Reason::ActivitiesLost).await;
    assert_eq!(place.told_of_a_script().await, rules::SCRIPT_IN_UPLOADS);
}

#[tokio::test]
async fn a_canary_that_was_changed_unheard_is_told_after_events_were_lost() {
    let mut place = Place::start_with(
        |_| (),
        |dir| {
            let path = dir.join("!0-khien-canary.txt");
            fs::write(&path, "encrypted").unwrap();
            HashMap::from([(Untrusted::from(path.to_str().unwrap()), khien_core::Sha256::of(b"planted"))])
        },
    )
    .await;

    place.activities.blind(Timestamp::now());

    assert_eq!(place.next().await.0, rules::CANARY);
}

#[tokio::test]
async fn a_configuration_too_large_to_be_read_is_told() {
    let mut place = Place::start(|_| ()).await;
    let who = process("/usr/bin/vim", "admin");

    place.write(".htaccess", &vec![b'#'; (1 << 20) + 1], Change::Written, &who);

    let (rule, subject) = place.next().await;
    assert_eq!((rule.as_str(), subject.sha256), (rules::SERVER_CONFIG_UNREAD, None));
}

#[tokio::test]
async fn more_than_can_be_looked_at_is_said() {
    let mut place = Place::start(|_| ()).await;
    let who = process("/usr/bin/vim", "admin");
    let missing = queue::MOST * 2;

    for n in 0..missing {
        place.tell(&format!("{n}.txt"), Change::Written, &who);
    }

    reduced(&mut place, |reason| matches!(reason, Reason::ActivitiesMissed { .. })).await;
}
