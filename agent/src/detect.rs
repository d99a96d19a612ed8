//! Takes what the sensors report to the spool. Says a thing once where a sensor would say it a thousand times.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{Timestamp, Untrusted, event::ScanOutcome, protocol::Report};
use tokio::sync::mpsc;

use crate::{
    scan::{clean::Clean, doubt::Doubt},
    spool::{Spool, SpoolError},
    story::Stories,
};

/// How many reports may wait on their way from the sensors to the spool.
pub(crate) const QUEUE: usize = 4_096;
/// The most reports in one append.
const GROUP: usize = 512;
/// For this long the same file that fails in the same way is not reported again.
const QUIET: Duration = Duration::from_secs(60);
/// More files than this are not remembered; what is not remembered is reported.
const MAX_QUIET: usize = 4_096;

/// Runs until the last sensor has let go of its end. What throws doubt on file times has every file scanned again.
///
/// # Errors
/// When the spool is gone. A spool that only cannot be written, because the disk is full, is an error in the log, and
/// the loss is reported when it can be written again.
pub(crate) async fn run(
    mut reports: mpsc::Receiver<Report>,
    spool: Spool,
    clean: Arc<Clean>,
    stories: Stories,
) -> Result<(), SpoolError> {
    let (mut heard, mut doubt) = (Heard::default(), Doubt::default());
    let mut lost: Option<(u64, Timestamp)> = None;
    let mut group = Vec::new();
    while reports.recv_many(&mut group, GROUP).await > 0 {
        let now = Timestamp::now();
        group.iter_mut().for_each(|report| stories.tell(report));
        let fresh: Vec<Report> = group.drain(..).filter(|r| heard.is_new(r, Instant::now())).collect();
        if doubt.is_thrown(&fresh, Instant::now()) {
            tracing::warn!(
                "something hides on this host: file times are not trusted, every file is scanned again"
            );
            clean.forget_all();
        }
        let count = fresh.len() as u64;
        match spool.append(fresh, now).await {
            Ok(()) => tell(&spool, &mut lost, now).await?,
            Err(SpoolError::Closed) => return Err(SpoolError::Closed),
            Err(error) => {
                tracing::error!(%error, count, "reports are lost");
                let (before, since) = lost.unwrap_or((0, now));
                lost = Some((before + count, since));
            }
        }
    }
    Ok(())
}

async fn tell(spool: &Spool, lost: &mut Option<(u64, Timestamp)>, now: Timestamp) -> Result<(), SpoolError> {
    let Some((count, since)) = *lost else { return Ok(()) };
    match spool.lose(count, since, now).await {
        Ok(()) => *lost = None,
        Err(SpoolError::Closed) => return Err(SpoolError::Closed),
        Err(error) => tracing::error!(%error, count, "the loss of reports could not be noted"),
    }
    Ok(())
}

/// What was said lately.
#[derive(Debug, Default)]
struct Heard(HashMap<(Untrusted, ScanOutcome), Instant>);

impl Heard {
    fn is_new(&mut self, report: &Report, now: Instant) -> bool {
        let Report::NotScanned { path, outcome, .. } = report else { return true };
        let key = (path.clone(), *outcome);
        let recent = |said: &Instant| now.duration_since(*said) < QUIET;
        if self.0.get(&key).is_some_and(recent) {
            return false;
        }
        if self.0.len() >= MAX_QUIET {
            self.0.retain(|_, said| recent(said));
        }
        if self.0.len() < MAX_QUIET {
            self.0.insert(key, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_scanned(path: &str, outcome: ScanOutcome) -> Report {
        Report::NotScanned { path: path.into(), outcome, at: Timestamp::UNIX_EPOCH, unseen: Vec::new() }
    }

    #[test]
    fn the_same_trouble_with_the_same_file_is_told_once_a_minute() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let big = not_scanned("/a", ScanOutcome::TooLarge);

        assert!(heard.is_new(&big, now));
        assert!(!heard.is_new(&big, now + QUIET / 2));
        assert!(heard.is_new(&not_scanned("/a", ScanOutcome::Timeout), now));
        assert!(heard.is_new(&not_scanned("/b", ScanOutcome::TooLarge), now));
        assert!(heard.is_new(&big, now + QUIET));
    }

    #[test]
    fn what_cannot_be_remembered_is_told() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        for n in 0..MAX_QUIET + 10 {
            assert!(heard.is_new(&not_scanned(&format!("/{n}"), ScanOutcome::Crashed), now));
        }

        assert!(heard.0.len() <= MAX_QUIET);
        assert!(heard.is_new(&not_scanned(&format!("/{}", MAX_QUIET + 5), ScanOutcome::Crashed), now));
    }
}
