//! The two detectors behind one door: each hears of what concerns it, both share the looks at files. Pure.

use std::{collections::HashMap, os::unix::ffi::OsStrExt, path::PathBuf};

use khien_core::{Sha256, Timestamp, Untrusted};

use super::{
    hand::Hand,
    queue::{Queue, Waiting},
    ransom::{Heard, Ransom},
    roots::{Roots, holding, is_marker},
    verdict::{Ask, Facts, Verdict},
    web::{Deeds, Web},
};
use crate::activity::{Activity, Change};

/// Both detectors.
#[derive(Debug)]
pub(super) struct Judge {
    watched: Vec<PathBuf>,
    roots: Roots,
    web: Web,
    ransom: Ransom,
    queue: Queue,
    missed: u64,
    marker_came: bool,
}

/// A file that was looked at; without facts it was gone or unreadable.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) activity: Activity,
    pub(super) hand: Hand,
    pub(super) ask: Ask,
    pub(super) facts: Option<Facts>,
}

impl Judge {
    /// Judges what happens in the watched folders.
    pub(super) fn new(watched: Vec<PathBuf>, canaries: HashMap<Untrusted, Sha256>) -> Self {
        Self {
            watched,
            roots: Roots::default(),
            web: Web::default(),
            ransom: Ransom::new(canaries),
            queue: Queue::default(),
            missed: 0,
            marker_came: false,
        }
    }

    /// Knows the web roots and how many pages their sitemaps list.
    pub(super) fn knows(&mut self, roots: Roots, sitemaps: Vec<(u64, Untrusted)>) {
        self.roots = roots;
        sitemaps.into_iter().for_each(|(pages, path)| self.web.knows_sitemap(path, pages));
    }

    /// Returns the web roots.
    pub(super) fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Tells whether something came that makes its folder a web root, since the last call.
    pub(super) fn wants_search(&mut self) -> bool {
        std::mem::take(&mut self.marker_came)
    }

    /// Returns how many files were not looked at because too many waited, since the last call.
    pub(super) fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }

    /// Takes what happened, and by whose hand. Returns what is told at once.
    pub(super) fn heard(&mut self, activity: &Activity, hand: Hand, now: Timestamp) -> Vec<Verdict> {
        let path = activity.path.raw();
        let came = matches!(activity.change, Change::Created | Change::MovedIn { .. });
        self.marker_came |= came && is_marker(path) && self.roots.of(path).is_none();
        let Some(base) = holding(&self.watched, path) else { return Vec::new() };
        if activity.folder {
            return Vec::new();
        }
        let Heard { told, ask: mut asked, also } =
            self.ransom.heard(&Deeds::new(activity, base.as_os_str().as_bytes(), hand), now);
        let mut all: Vec<Verdict> = told.into_iter().collect();
        if let Some(root) = self.roots.of(path) {
            let (told, ask) = self.web.heard(&Deeds::new(activity, root, hand), now);
            all.extend(told);
            asked = asked.max(ask);
        }
        if let Some(path) = also {
            let activity = Activity { path, change: Change::Written, ..activity.clone() };
            self.look_at(Waiting { activity, hand, ask: Ask::Suspect }, now);
        }
        if let Some(ask) = asked {
            self.look_at(Waiting { activity: activity.clone(), hand, ask }, now);
        }
        all
    }

    fn look_at(&mut self, file: Waiting, now: Timestamp) {
        self.missed += u64::from(!self.queue.put(file, now));
    }

    /// Looks at all canaries, because what was done to them may not have been heard, or not under their names.
    pub(super) fn look_at_canaries(&mut self, now: Timestamp) {
        for path in self.ransom.canaries() {
            let activity = Activity { path, change: Change::Written, folder: false, at: now, process: None };
            self.look_at(Waiting { activity, hand: Hand::Unknown, ask: Ask::Whole }, now);
        }
    }

    /// Returns the files that are to be looked at now, at most so many.
    pub(super) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Waiting> {
        self.queue.due(now, most)
    }

    /// Takes what was seen of a file.
    pub(super) fn saw(&mut self, seen: &Seen, now: Timestamp) -> Vec<Verdict> {
        let Seen { activity, hand, ask, facts } = seen;
        let Some(facts) = facts else {
            return self.ransom.is_gone(&activity.path, now).into_iter().collect();
        };
        if facts.unsettled {
            self.look_at(Waiting { activity: activity.clone(), hand: *hand, ask: *ask }, now);
        }
        let path = activity.path.raw();
        let mut told = Vec::new();
        if let Some(base) = holding(&self.watched, path) {
            let it = Deeds::new(activity, base.as_os_str().as_bytes(), *hand);
            told.extend(self.ransom.saw(&it, facts, now));
        }
        // What is only looked at for its age was not asked for here.
        if let Some(root) = self.roots.of(path).filter(|_| *ask != Ask::Linked) {
            told.extend(self.web.saw(&Deeds::new(activity, root, *hand), facts, now));
        }
        told
    }

    /// Takes a canary that was touched while no agent ran.
    pub(super) fn was_touched(&mut self, canary: Untrusted, now: Timestamp) -> Option<Verdict> {
        self.ransom.was_touched(canary, now)
    }

    /// Returns what is due by now.
    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<Verdict> {
        let mut told = self.web.tick(now);
        told.extend(self.ransom.tick(now));
        told
    }
}
