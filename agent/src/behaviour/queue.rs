//! Files that are to be looked at, each once though many things happen to it, a moment after the first. Pure.
//!
//! Each process has a line of its own and they take turns, so that who makes a stir cannot hold up the look at what another one
//! does; when there is no room, the longest line gives way.

use std::collections::{HashMap, VecDeque};

use khien_core::{Timestamp, Untrusted, time::SignedDuration};

use super::{hand::Hand, verdict::Ask};
use crate::activity::{Activity, Change};

/// From what happened to the look: whoever made a file has written to it by then. With a tick of a quarter of a second and
/// the way to the hub it leaves most of the three seconds after the 20th file.
const SETTLE: SignedDuration = SignedDuration::from_millis(300);
/// Files that may wait; what comes when it is full is counted as missed.
pub(super) const MOST: usize = 8_192;
/// Further ones that may wait if they took the place of a document: noise must not crowd them out.
const SUSPECTS: usize = 1_024;
/// When more wait, files that are only asked about for their age are left out: there are very many of them.
const SPARE: usize = 1_024;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: Lines,
    suspects: Lines,
    waiting: HashMap<Untrusted, Waiting>,
}

/// The lines of processes, and whose turn it is. Each line in `turns` once.
#[derive(Debug, Default)]
struct Lines {
    of: HashMap<u32, VecDeque<(Timestamp, Untrusted)>>,
    turns: VecDeque<u32>,
    /// Whose line was found to be the longest.
    longest: u32,
}

/// A file that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What happened first, or what matters most of it.
    pub(super) activity: Activity,
    /// Whose hand that was.
    pub(super) hand: Hand,
    pub(super) ask: Ask,
}

impl Queue {
    /// Takes a file. Returns false if one was lost for want of room: this one, or another that gave way.
    pub(super) fn put(&mut self, file: Waiting, now: Timestamp) -> bool {
        if let Some(waiting) = self.waiting.get_mut(&file.activity.path) {
            waiting.more(file);
            return true;
        }
        if file.ask == Ask::Linked && self.waiting.len() >= SPARE {
            return true;
        }
        let pid = file.activity.process.as_ref().map_or(0, |process| process.pid);
        let (lines, most) = match file.ask {
            Ask::Suspect => (&mut self.suspects, MOST + SUSPECTS),
            Ask::Linked | Ask::Samples | Ask::Script | Ask::Whole | Ask::Sitemap => (&mut self.lines, MOST),
        };
        let is_full = self.waiting.len() >= most;
        let gone = if is_full { lines.give_way(pid) } else { None };
        if is_full && gone.is_none() {
            return false;
        }
        lines.push(pid, (now, file.activity.path.clone()));
        if let Some(gone) = &gone {
            self.waiting.remove(gone);
        }
        self.waiting.insert(file.activity.path.clone(), file);
        gone.is_none()
    }

    /// Returns the files that waited long enough, at most so many; those that took the place of a document come first.
    pub(super) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Waiting> {
        let mut due = Vec::new();
        for lines in [&mut self.suspects, &mut self.lines] {
            while due.len() < most
                && let Some(path) = lines.pop(now)
            {
                due.extend(self.waiting.remove(&path));
            }
        }
        due
    }
}

impl Lines {
    fn push(&mut self, pid: u32, one: (Timestamp, Untrusted)) {
        let line = self.of.entry(pid).or_insert_with(|| {
            self.turns.push_back(pid);
            VecDeque::new()
        });
        line.push_back(one);
        if line.len() > self.of.get(&self.longest).map_or(0, VecDeque::len) {
            self.longest = pid;
        }
    }

    /// Takes the newest file out of the longest line, if that is longer than the one of this process would be.
    fn give_way(&mut self, pid: u32) -> Option<Untrusted> {
        let own = self.of.get(&pid).map_or(0, VecDeque::len);
        let longest = self.of.get_mut(&self.longest).filter(|line| line.len() > own + 1)?;
        longest.pop_back().map(|(_, path)| path)
    }

    /// Takes the next file that waited long enough, of the next line in turn.
    fn pop(&mut self, now: Timestamp) -> Option<Untrusted> {
        for _ in 0..self.turns.len() {
            let pid = self.turns.pop_front()?;
            let Some(line) = self.of.get_mut(&pid) else { continue };
            let is_due = line.front().is_some_and(|(at, _)| now.duration_since(*at) >= SETTLE);
            let path = if is_due { line.pop_front().map(|(_, path)| path) } else { None };
            match line.is_empty() {
                true => drop(self.of.remove(&pid)),
                false => self.turns.push_back(pid),
            }
            if path.is_some() {
                return path;
            }
        }
        None
    }
}

impl Waiting {
    /// A change of times does not hide who wrote, nor a later event without a process, nor a tool that was there first.
    fn more(&mut self, file: Self) {
        self.ask = self.ask.max(file.ask);
        let writes = file.activity.change != Change::Attributes;
        let only_attributes = self.activity.change == Change::Attributes && writes;
        let hides_behind_a_tool = self.hand.brings() && !file.hand.brings() && writes;
        if only_attributes || hides_behind_a_tool && file.activity.process.is_some() {
            (self.activity, self.hand) = (file.activity, file.hand);
        } else if self.activity.process.is_none() {
            (self.activity.process, self.hand) = (file.activity.process, file.hand);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::sample::{activity, at, process},
        *,
    };

    fn file(path: &str, change: Change, program: &str, ask: Ask) -> Waiting {
        let process = process(program, "a");
        let hand = super::super::hand::of(Some(&process), super::super::sample::systems);
        Waiting { activity: activity(path, change, Some(&process), 0), hand, ask }
    }

    #[test]
    fn a_file_to_which_much_happens_is_looked_at_once_and_the_oldest_first() {
        let mut queue = Queue::default();
        for (path, change) in [
            ("/a", Change::Created),
            ("/b", Change::Written),
            ("/a", Change::Written),
            ("/a", Change::Attributes),
        ] {
            assert!(queue.put(file(path, change, "/usr/bin/vim", Ask::Script), at(0)));
        }

        assert!(queue.due(at(100), 9).is_empty());
        let due = queue.due(at(300), 9);
        assert_eq!(
            due.iter().map(|w| w.activity.path.clone()).collect::<Vec<_>>(),
            ["/a".into(), "/b".into()]
        );
        assert_eq!(due[0].activity.change, Change::Created);
        assert!(queue.waiting.is_empty() && queue.lines.of.is_empty() && queue.lines.turns.is_empty());
    }

    #[test]
    fn who_writes_right_after_a_deployment_is_not_taken_for_it() {
        let mut queue = Queue::default();
        queue.put(file("/a", Change::Created, "/usr/bin/rsync", Ask::Script), at(0));
        queue.put(file("/a", Change::Attributes, "/usr/bin/vim", Ask::Script), at(1));
        assert_eq!(queue.waiting[&Untrusted::from("/a")].hand, Hand::Deploy);

        queue.put(file("/a", Change::Written, "/usr/bin/vim", Ask::Script), at(2));

        assert_eq!(queue.due(at(300), 9)[0].hand, Hand::Other);
    }

    #[test]
    fn the_queue_is_bounded_and_noise_does_not_crowd_out_what_took_a_documents_place() {
        let mut queue = Queue::default();
        let put = |queue: &mut Queue, n, ask| {
            queue.put(file(&format!("/{n}"), Change::Written, "/usr/bin/vim", ask), at(0))
        };
        assert!((0..MOST).all(|n| put(&mut queue, n, Ask::Samples)));

        assert!(!put(&mut queue, MOST, Ask::Samples));
        assert!(put(&mut queue, 7, Ask::Samples), "one that waits already needs no room");
        assert!((0..SUSPECTS).all(|n| put(&mut queue, MOST + n, Ask::Suspect)));
        assert!(!put(&mut queue, 2 * MOST, Ask::Suspect));
        assert_eq!(queue.due(at(300), 1)[0].ask, Ask::Suspect);
    }

    #[test]
    fn new_files_wait_to_be_asked_for_their_age_only_while_there_is_room_to_spare() {
        let mut queue = Queue::default();
        for n in 0..2 * SPARE {
            let whole =
                queue.put(file(&format!("/{n}"), Change::Written, "/usr/bin/make", Ask::Linked), at(0));
            assert!(whole);
        }

        assert_eq!(queue.waiting.len(), SPARE);
        assert!(queue.put(file("/a.docx", Change::Written, "/tmp/enc", Ask::Samples), at(0)));
    }

    #[test]
    fn noise_of_one_process_neither_holds_up_nor_crowds_out_what_another_one_does() {
        let mut queue = Queue::default();
        for n in 0..2 * MOST {
            queue.put(file(&format!("/noise/{n}"), Change::Written, "/usr/bin/yes", Ask::Samples), at(0));
        }

        let lost = (0..20).map(|n| file(&format!("/{n}.docx"), Change::Written, "/tmp/enc", Ask::Samples));
        let lost = lost.map(|file| queue.put(file, at(10))).filter(|whole| !whole).count();

        assert_eq!((lost, queue.waiting.len()), (20, MOST), "the longest line gave way, and that is counted");
        let due = queue.due(at(400), 40);
        assert_eq!(due.iter().filter(|file| file.activity.path.raw().ends_with(b".docx")).count(), 20);
    }
}
