//! Files on a file system that stops answering: each is told, and the others do not wait for them.

use super::*;

#[path = "../../../../scan/src/tests/asleep.rs"]
mod asleep;

#[test]
fn a_file_that_is_never_opened_or_read_is_told_and_others_are_scanned() {
    let pool = Tested::with(Limits { time: Duration::from_secs(3), ..limits() });
    // Goes first: the runtime waits for its threads.
    let Some(asleep) = asleep::Asleep::mount() else { return };
    let (opens, reads) = (asleep.at("opens"), asleep.at("reads"));
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().canonicalize().unwrap().join("good");
    std::fs::write(&good, MARK).unwrap();

    let reports = pool.reports(&[&opens, &reads, &good]);

    let told: BTreeMap<_, _> = reports
        .iter()
        .map(|report| match report {
            Report::NotScanned { path, outcome, .. } => (path.to_string(), *outcome),
            Report::Detection(found) => match &found.subject {
                Subject::File(file) => (file.path.to_string(), ScanOutcome::Matched),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    let named = |path: &Path| path.to_str().unwrap().to_owned();
    let wanted = [
        (named(&opens), ScanOutcome::Unreadable),
        (named(&reads), ScanOutcome::Timeout),
        (named(&good), ScanOutcome::Matched),
    ];
    assert_eq!(told, wanted.into());
}
