//! The two detectors behind one door: each hears of what concerns it, both share the looks at files. Pure.

use std::{collections::HashMap, os::unix::ffi::OsStrExt, path::PathBuf};

use khien_core::{Sha256, Timestamp, Untrusted};

use super::{
    queue::{Queue, Waiting},
    ransom::Ransom,
    roots::{Roots, holding, is_marker},
    verdict::{Facts, Verdict},
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

    /// Takes what happened. Returns what is told at once.
    pub(super) fn heard(&mut self, activity: &Activity, now: Timestamp) -> Vec<Verdict> {
        let path = activity.path.raw();
        let came = matches!(activity.change, Change::Created | Change::MovedIn { .. });
        self.marker_came |= came && is_marker(path) && self.roots.of(path).is_none();
        let Some(base) = holding(&self.watched, path) else { return Vec::new() };
        if activity.folder {
            return Vec::new();
        }
        let (mut told, mut asked) =
            self.ransom.heard(&Deeds::new(activity, base.as_os_str().as_bytes()), now);
        let mut all: Vec<Verdict> = told.take().into_iter().collect();
        if let Some(root) = self.roots.of(path) {
            let (told, ask) = self.web.heard(&Deeds::new(activity, root.as_os_str().as_bytes()), now);
            all.extend(told);
            asked = asked.max(ask);
        }
        if asked.is_some_and(|ask| !self.queue.put(activity, ask, now)) {
            self.missed += 1;
        }
        all
    }

    /// Returns the files that are to be looked at now, at most so many.
    pub(super) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Waiting> {
        self.queue.due(now, most)
    }

    /// Takes what was seen of a file.
    pub(super) fn saw(&mut self, seen: &Seen, now: Timestamp) -> Vec<Verdict> {
        let Seen { activity, facts: Some(facts) } = seen else { return Vec::new() };
        let path = activity.path.raw();
        let mut told = Vec::new();
        if let Some(base) = holding(&self.watched, path) {
            told.extend(self.ransom.saw(&Deeds::new(activity, base.as_os_str().as_bytes()), facts, now));
        }
        if let Some(root) = self.roots.of(path) {
            told.extend(self.web.saw(&Deeds::new(activity, root.as_os_str().as_bytes()), facts, now));
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
