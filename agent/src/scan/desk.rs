//! The order in which changed files are scanned. Pure: callers pass the time.
//!
//! The first scan of a file comes at once. A file that keeps changing is scanned at once a few times more, then only
//! after a pause; after its last change there is always one more scan. The pause grows with the time that a scan takes,
//! and so with the size: a large log that is written to all day costs a twentieth of a processor at most.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use khien_core::{
    Untrusted,
    event::{FileEvent, Process},
};

/// Files on the desk. When it is full no more events are taken: they wait where they came from, and the kernel tells
/// when it had to drop some.
const MOST: usize = 16_384;
/// Scans of one file without a pause: created, written, renamed.
const BURST: u8 = 4;
/// The shortest pause of a file that keeps changing.
const PAUSE: Duration = Duration::from_millis(200);
/// A scan that took longer is followed by a pause even if it was the first.
const QUICK: Duration = Duration::from_millis(100);
/// The pause is at least so many times as long as the scan before it.
const REST: u32 = 19;
/// The longest pause: that of a log of a gigabyte or more. The next walk would come as soon.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Files that wait, are being scanned, or were a moment ago.
#[derive(Debug, Default)]
pub(super) struct Desk {
    files: HashMap<Untrusted, Entry>,
    ready: VecDeque<Untrusted>,
    pauses: BTreeSet<(Instant, Untrusted)>,
}

#[derive(Debug)]
struct Entry {
    stage: Stage,
    /// Who changed it last, where that is known.
    process: Option<Arc<Process>>,
    changed_again: bool,
    scans: u8,
    /// Whether its last scan took no time to speak of.
    quick: bool,
    /// When its last pause ends.
    until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ready,
    Scanning,
    Pausing,
}

impl Desk {
    /// Tells whether another event fits.
    pub(super) fn has_room(&self) -> bool {
        self.files.len() < MOST
    }

    /// Tells whether nothing waits for a scan, now or after a pause.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && !self.files.values().any(|f| f.changed_again || f.stage != Stage::Pausing)
    }

    /// Takes an event. A file that waits already is not put down twice.
    pub(super) fn take(&mut self, event: FileEvent) {
        let Some(entry) = self.files.get_mut(&event.path) else {
            let process = event.process;
            let (stage, scans) = (Stage::Ready, 0);
            let entry = Entry { stage, process, changed_again: false, scans, quick: true, until: None };
            self.ready.push_back(event.path.clone());
            self.files.insert(event.path, entry);
            return;
        };
        entry.process = event.process.or(entry.process.take());
        match entry.stage {
            Stage::Ready => {}
            Stage::Pausing if entry.scans < BURST && entry.quick => {
                entry.stage = Stage::Ready;
                self.ready.push_back(event.path);
            }
            Stage::Scanning | Stage::Pausing => entry.changed_again = true,
        }
    }

    /// Returns the next file to scan and who changed it last.
    pub(super) fn next(&mut self) -> Option<(Untrusted, Option<Arc<Process>>)> {
        let path = self.ready.pop_front()?;
        let entry = self.files.get_mut(&path)?;
        entry.stage = Stage::Scanning;
        entry.changed_again = false;
        entry.scans = entry.scans.saturating_add(1);
        Some((path, entry.process.clone()))
    }

    /// Takes note that a scan ended, how long it took, and whether the file changed under it.
    pub(super) fn done(&mut self, path: Untrusted, changed: bool, took: Duration, now: Instant) {
        let Some(entry) = self.files.get_mut(&path) else { return };
        entry.changed_again |= changed;
        let pause = PAUSE.max(took.saturating_mul(REST)).min(LONGEST);
        entry.quick = took <= QUICK;
        if entry.changed_again && entry.scans < BURST && entry.quick {
            entry.stage = Stage::Ready;
            self.ready.push_back(path);
            return;
        }
        entry.stage = Stage::Pausing;
        entry.until = Some(now + pause);
        self.pauses.insert((now + pause, path));
    }

    /// Returns when the next pause ends.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pauses.first().map(|(at, _)| *at)
    }

    /// Ends the pauses that are over: who changed meanwhile is ready, who did not is forgotten.
    pub(super) fn wake(&mut self, now: Instant) {
        while self.due().is_some_and(|at| at <= now) {
            let Some((at, path)) = self.pauses.pop_first() else { return };
            let Some(entry) = self.files.get_mut(&path) else { continue };
            if entry.stage != Stage::Pausing || entry.until != Some(at) {
                continue;
            }
            if entry.changed_again {
                entry.stage = Stage::Ready;
                entry.scans = BURST;
                self.ready.push_back(path);
            } else {
                self.files.remove(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use khien_core::Timestamp;

    use super::*;

    #[test]
    fn many_events_of_a_waiting_file_are_one_scan() {
        let mut desk = Desk::default();
        (0..5).for_each(|_| desk.take(changed("/a")));

        assert_eq!(desk.next().map(|n| n.0), Some("/a".into()));
        assert_eq!(desk.next(), None);
    }

    #[test]
    fn a_file_that_changes_while_it_is_scanned_is_scanned_again() {
        let mut desk = Desk::default();
        desk.take(changed("/a"));
        desk.next();
        desk.take(changed("/a"));

        desk.done("/a".into(), false, PAUSE / 200, Instant::now());

        assert!(desk.next().is_some());
    }

    #[test]
    fn a_hot_file_is_scanned_once_per_pause_and_once_more_at_the_end() {
        let (mut desk, mut now, mut scans) = (Desk::default(), Instant::now(), 0);
        for _ in 0..100 {
            desk.take(changed("/hot"));
            now += Duration::from_millis(10);
            desk.wake(now);
            scans += scan_all(&mut desk, now);
        }
        let before = scans;
        now += PAUSE * 2;
        desk.wake(now);
        scans += scan_all(&mut desk, now);
        desk.wake(now + PAUSE * 2);

        assert!(before <= usize::from(BURST) + 5, "{before} scans in a second");
        assert_eq!(scans, before + 1);
        assert!(desk.is_idle());
        assert!(desk.files.is_empty());
    }

    #[test]
    fn a_large_file_that_keeps_changing_rests_as_long_as_its_scans_cost() {
        let (mut desk, begun, took) = (Desk::default(), Instant::now(), Duration::from_millis(400));
        let (mut now, mut scans) = (begun, 0);
        while now < begun + Duration::from_secs(60) {
            desk.take(changed("/large.log"));
            desk.wake(now);
            if let Some((path, _)) = desk.next() {
                (now, scans) = (now + took, scans + 1);
                desk.done(path, true, took, now);
            }
            now += Duration::from_millis(100);
        }

        let share = f64::from(scans) * took.as_secs_f64() / 60.0;
        assert!(share <= 0.08, "{share} of a processor");
        assert!(scans >= 4, "{scans} scans a minute");
    }

    #[test]
    fn an_event_without_a_process_does_not_hide_who_wrote() {
        let mut desk = Desk::default();
        let writer = Some(Arc::new(Process::unknown(7)));
        desk.take(FileEvent { process: writer.clone(), ..changed("/a") });
        desk.take(changed("/a"));

        assert_eq!(desk.next(), Some(("/a".into(), writer)));
    }

    fn changed(path: &str) -> FileEvent {
        FileEvent { path: path.into(), at: Timestamp::UNIX_EPOCH, process: None }
    }

    fn scan_all(desk: &mut Desk, now: Instant) -> usize {
        let mut scans = 0;
        while let Some((path, _)) = desk.next() {
            scans += 1;
            desk.done(path, false, PAUSE / 200, now);
        }
        scans
    }
}
