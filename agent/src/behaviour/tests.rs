//! With real files: what is done to them is told to the part as the watch would tell it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use khien_core::{Untrusted, conduct::behaviour::rules, event::Process};
use tokio::time::timeout;

use super::{
    sample::{process, random},
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
        let tree = tempfile::tempdir().unwrap();
        let dir = tree.path().canonicalize().unwrap();
        fs::write(dir.join("index.php"), "<?php\n").unwrap();
        prepare(&dir);
        let mut activities = Activities::default();
        let heard = activities.listen();
        let (sender, reports) = mpsc::channel(64);
        let (stop, shutdown) = watch::channel(false);
        let meter = Arc::<Meter>::default();
        let links = Links { reports: sender, meter: Arc::clone(&meter), pack: Arc::default(), shutdown };
        tokio::spawn(run(heard, vec![dir.clone()], Canaries::default(), links));
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
        let process = Some(who.clone());
        self.activities.tell(&Activity { path, change, folder: false, at: Timestamp::now(), process });
    }

    async fn next(&mut self) -> (String, ConductSubject) {
        let told = timeout(PATIENCE, self.reports.recv()).await.expect("nothing was told").unwrap();
        let Report::Detection(found) = told else { panic!("{told:?}") };
        let Detection { rule, subject: Subject::Conduct(subject), .. } = *found else { panic!("{found:?}") };
        (rule.to_string(), subject)
    }
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
async fn a_folder_that_becomes_a_web_root_while_the_agent_runs_is_one() {
    let mut place = Place::start(|dir| {
        fs::remove_file(dir.join("index.php")).unwrap();
        fs::create_dir(dir.join("new")).unwrap();
    })
    .await;
    let who = process("/usr/bin/vim", "admin");
    place.write("new/index.html", b"<html>", Change::Created, &who);
    let begun = Instant::now();

    // The search for roots takes a tick or two; a script that comes in the meantime is not judged.
    let mut n = 0;
    let rule = loop {
        place.write(&format!("new/uploads/{n}.php"), b"<?php echo 1;\n", Change::Created, &who);
        n += 1;
        match timeout(TICK, place.reports.recv()).await {
            Ok(Some(Report::Detection(found))) => break found.rule.to_string(),
            other => assert!(begun.elapsed() < PATIENCE, "{other:?}"),
        }
    };

    assert_eq!(rule, rules::SCRIPT_IN_UPLOADS);
}

#[tokio::test]
async fn more_than_can_be_looked_at_is_said() {
    let mut place = Place::start(|_| ()).await;
    let who = process("/usr/bin/vim", "admin");
    let missing = queue::MOST * 2;

    for n in 0..missing {
        place.tell(&format!("{n}.txt"), Change::Written, &who);
    }

    let begun = Instant::now();
    let reduced = |meter: &Meter| {
        let mut coverage = meter.health(0).coverage.into_iter();
        coverage.any(|c| {
            c.sensor == Sensor::Behaviour && matches!(c.reason, Some(Reason::ActivitiesMissed { .. }))
        })
    };
    while !reduced(&place.meter) {
        assert!(begun.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
        assert!(place.reports.try_recv().is_err());
    }
}
