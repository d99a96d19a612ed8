//! Files that are written to and stay open: when to tell of them. Pure: callers pass the time.
//!
//! A file is told of when nothing was written for [`QUIET`], and while writing goes on every [`EVERY`]. One that goes on
//! and on, such as a log, is told of less and less: after [`OFTEN`] times the pauses double from [`EVERY`] up to
//! [`LONGEST`], and begin anew when nothing was written for [`FORGET`]. How much its scans may cost is bounded where
//! they are made: the pause after a scan is a multiple of the time that it took.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::event::Process;

/// Nothing more was written for so long: the writer may have done what it came for.
const QUIET: Duration = Duration::from_millis(300);
/// While it is written to without a rest.
const EVERY: Duration = Duration::from_secs(2);
/// So many times a file is told of without a further pause.
const OFTEN: u32 = 5;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// After so long without a write a file is a new one.
const FORGET: Duration = Duration::from_secs(120);
/// Files remembered. With more, the one whose time comes next is told of at once.
const MOST: usize = 4_096;

/// The files that are being written to, and those that were a moment ago.
#[derive(Debug, Default)]
pub(super) struct Writing {
    files: HashMap<PathBuf, Written>,
    /// When to look at each file again: one entry for each.
    due: BTreeSet<(Instant, PathBuf)>,
}

/// A file to tell of and who wrote to it last.
pub(super) type Told = (PathBuf, Option<Arc<Process>>);

#[derive(Debug)]
struct Written {
    process: Option<Arc<Process>>,
    /// The first write that was not told of.
    first: Option<Instant>,
    last: Instant,
    told: Option<Instant>,
    times: u32,
    look: Instant,
}

impl Written {
    /// When it is to be told of, or forgotten.
    fn next(&self) -> Instant {
        let Some(first) = self.first else { return self.last + FORGET };
        let due = (self.last + QUIET).min(first + EVERY);
        match self.told {
            Some(told) => due.max(told + pause(self.times)),
            None => due,
        }
    }
}

fn pause(times: u32) -> Duration {
    match times.checked_sub(OFTEN) {
        None => Duration::ZERO,
        Some(more) => LONGEST.min(EVERY.saturating_mul(2u32.saturating_pow(more))),
    }
}

impl Writing {
    /// Notes a write. Returns another file that must be told of now, to make room.
    pub(super) fn wrote(&mut self, path: &Path, process: Option<Arc<Process>>, now: Instant) -> Option<Told> {
        if let Some(file) = self.files.get_mut(path) {
            file.process = process.or(file.process.take());
            file.last = now;
            if file.first.is_none() {
                file.first = Some(now);
                self.look_again(path);
            }
            return None;
        }
        let displaced = if self.files.len() >= MOST { self.displace() } else { None };
        let (path, look) = (path.to_owned(), now + QUIET);
        self.due.insert((look, path.clone()));
        let file = Written { process, first: Some(now), last: now, told: None, times: 0, look };
        self.files.insert(path, file);
        displaced
    }

    /// Takes note that a file is told of anyway, because its writer closed it.
    pub(super) fn closed(&mut self, path: &Path) {
        if let Some(file) = self.files.get_mut(path)
            && file.first.take().is_some()
        {
            self.look_again(path);
        }
    }

    /// Returns the files to tell of now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, path)) = self.due.pop_first() else { break };
            let Some(file) = self.files.get_mut(&path) else { continue };
            if file.next() > now {
                // It was written to meanwhile.
            } else if file.first.take().is_some() {
                file.told = Some(now);
                file.times = file.times.saturating_add(1);
                told.push((path.clone(), file.process.clone()));
            } else {
                self.files.remove(&path);
                continue;
            }
            file.look = file.next();
            self.due.insert((file.look, path));
        }
        told
    }

    /// Returns when to ask again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn look_again(&mut self, path: &Path) {
        let Some(file) = self.files.get_mut(path) else { return };
        let Some((_, path)) = self.due.take(&(file.look, path.to_owned())) else { return };
        file.look = file.next();
        self.due.insert((file.look, path));
    }

    fn displace(&mut self) -> Option<Told> {
        let (_, path) = self.due.pop_first()?;
        let file = self.files.remove(&path)?;
        file.first.map(|_| (path, file.process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    #[test]
    fn a_writer_that_stops_is_told_of_once_it_is_quiet() {
        let (mut writing, begun) = (Writing::default(), Instant::now());
        writing.wrote(Path::new("/a"), None, begun);
        writing.wrote(Path::new("/a"), None, begun + TICK);

        assert_eq!(writing.due(begun + QUIET), []);
        assert_eq!(writing.due(begun + TICK + QUIET), [("/a".into(), None)]);
        assert_eq!(writing.due(begun + FORGET / 2), []);
    }

    #[test]
    fn a_writer_that_never_stops_is_told_of_while_it_writes() {
        let told = told_while_writing(TICK, EVERY * 2 + TICK * 2);

        assert_eq!(told, [EVERY, EVERY * 2 + TICK]);
    }

    #[test]
    fn a_log_that_is_written_to_all_day_is_told_of_less_and_less() {
        let hour = Duration::from_secs(3_600);

        let busy = told_while_writing(TICK, hour).len();
        let slow = told_while_writing(Duration::from_secs(1), hour).len();

        assert!((50..80).contains(&busy), "{busy} times an hour");
        assert!((50..80).contains(&slow), "{slow} times an hour");
    }

    #[test]
    fn a_file_that_is_closed_is_not_told_of_twice() {
        let (mut writing, now) = (Writing::default(), Instant::now());
        writing.wrote(Path::new("/a"), None, now);

        writing.closed(Path::new("/a"));

        assert_eq!(writing.due(now + EVERY), []);
    }

    #[test]
    fn what_rests_is_forgotten() {
        let (mut writing, now) = (Writing::default(), Instant::now());
        writing.wrote(Path::new("/a"), None, now);
        writing.due(now + QUIET);

        writing.due(now + QUIET + FORGET);

        assert!(writing.files.is_empty() && writing.due.is_empty());
    }

    #[test]
    fn a_full_memory_tells_at_once_and_loses_nothing() {
        let (mut writing, now) = (Writing::default(), Instant::now());
        let files = MOST + 100;

        let at_once = (0..files).filter_map(|n| writing.wrote(Path::new(&n.to_string()), None, now)).count();
        let later = writing.due(now + EVERY).len();

        assert_eq!((at_once, later), (100, MOST));
    }

    /// Writes at each step for so long, and returns when it was told of.
    fn told_while_writing(step: Duration, long: Duration) -> Vec<Duration> {
        let (mut writing, mut told, mut after) = (Writing::default(), Vec::new(), Duration::ZERO);
        let (begun, mut wrote) = (Instant::now(), Duration::ZERO);
        while after <= long {
            if after >= wrote {
                writing.wrote(Path::new("/log"), None, begun + after);
                wrote += step;
            }
            told.extend(writing.due(begun + after).iter().map(|_| after));
            after += TICK;
        }
        told
    }
}
