//! Signs that files are being encrypted: many renamed or overwritten by one process, a note in many folders, a canary
//! touched. Pure: callers pass what happened, what was seen of the files, and the time.
//!
//! Counted by process and by its parent, because a script may start a program for each file; without a process, by folder.

use std::collections::{HashMap, HashSet};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    conduct::{Behaviour, Deed, behaviour::MAX_EXAMPLES},
    time::SignedDuration,
};

use super::{
    actor::{Actors, Many},
    content,
    hand::Hand,
    names,
    telling::Telling,
    verdict::{Ask, Facts, Verdict},
    web::Deeds,
};
use crate::{activity::Change, scan::recent::Recent};

/// So many files are a mass.
pub(super) const MASS: usize = 20;
/// Files that were overwritten are of so many kinds…
pub(super) const KINDS: usize = 3;
/// …unless they are so many.
pub(super) const MASS_OF_ONE_KIND: usize = 100;
/// Renames are counted over this time.
const RENAMED_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// Rewrites and notes are counted over this time.
const WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// The same note in so many folders is a ransom note.
pub(super) const NOTE_FOLDERS: usize = 5;
/// Files made lately: what is written to them is no rewrite.
const MAX_MADE: usize = 32_768;
/// Encrypted copies whose originals may be removed yet.
const MAX_TWINS: usize = 8_192;
/// Different notes that are counted at once.
const MAX_NOTES: usize = 256;
/// Folders of one note that are counted.
const MAX_FOLDERS: usize = 1_024;

/// What is known of all watched folders.
#[derive(Debug)]
pub(super) struct Ransom {
    actors: Actors,
    made: Recent<Untrusted, Timestamp>,
    /// By the path of the original: the strange extension of its copy.
    twins: Recent<Untrusted, Vec<u8>>,
    notes: HashMap<(Vec<u8>, Sha256), Note>,
    noted: Option<Timestamp>,
    canaries: HashMap<Untrusted, Sha256>,
    telling: Telling,
}

#[derive(Debug)]
struct Note {
    first: Timestamp,
    folders: HashSet<Vec<u8>>,
    examples: Vec<Untrusted>,
}

impl Ransom {
    /// Knows these canary files and what is in them.
    pub(super) fn new(canaries: HashMap<Untrusted, Sha256>) -> Self {
        Self {
            actors: Actors::default(),
            made: Recent::new(MAX_MADE),
            twins: Recent::new(MAX_TWINS),
            notes: HashMap::new(),
            noted: None,
            canaries,
            telling: Telling::default(),
        }
    }

    /// Takes what happened to a file. Returns what is told at once, and what is to be seen of the file.
    pub(super) fn heard(&mut self, it: &Deeds<'_>, now: Timestamp) -> (Option<Verdict>, Option<Ask>) {
        let path = &it.activity.path;
        if self.canaries.contains_key(path) {
            return self.canary(it, now);
        }
        match &it.activity.change {
            Change::Created => {
                self.made.put(path.clone(), it.activity.at);
                self.note_twin(path);
                (None, asks(it))
            }
            Change::MovedIn { from } => {
                let suffix = renamed(path.raw(), from.as_ref().map(Untrusted::raw));
                let told = suffix.and_then(|suffix| self.renamed(it, suffix, now));
                (told, asks(it))
            }
            Change::Written if self.was_made(path, it.activity.at) => (None, asks_note(it)),
            Change::Written => (None, asks(it)),
            Change::Removed | Change::MovedOut => {
                let told = self.twins.get(path).cloned().and_then(|suffix| self.renamed(it, suffix, now));
                (told, None)
            }
            Change::Attributes => (None, None),
        }
    }

    fn was_made(&self, path: &Untrusted, at: Timestamp) -> bool {
        self.made.get(path).is_some_and(|made| at.duration_since(*made) < WITHIN)
    }

    /// A copy `a.doc.locked` counts as a rename when `a.doc` goes.
    fn note_twin(&mut self, path: &Untrusted) {
        let Some(suffix) = renamed(path.raw(), None) else { return };
        let original = &path.raw()[..path.raw().len() - suffix.len() - 1];
        self.twins.put(Untrusted::new(original), suffix);
    }

    fn canary(&mut self, it: &Deeds<'_>, now: Timestamp) -> (Option<Verdict>, Option<Ask>) {
        match it.activity.change {
            Change::Attributes => (None, None),
            // A deployment that removes what it does not know.
            Change::Removed | Change::MovedOut if it.hand == Hand::Deploy => (None, None),
            Change::Removed | Change::MovedOut => (self.canary_touched(it, now), None),
            Change::Created | Change::Written | Change::MovedIn { .. } => (None, Some(Ask::Whole)),
        }
    }

    /// Tells of a canary that was touched while no agent ran.
    pub(super) fn was_touched(&mut self, path: Untrusted, now: Timestamp) -> Option<Verdict> {
        let behaviour = Behaviour { deed: Deed::Canary, count: 1, examples: vec![path.clone()] };
        self.telling.put(Verdict { path, behaviour, file: None, sha256: None, process: None }, now)
    }

    fn canary_touched(&mut self, it: &Deeds<'_>, now: Timestamp) -> Option<Verdict> {
        let path = it.activity.path.clone();
        let behaviour = Behaviour { deed: Deed::Canary, count: 1, examples: vec![path.clone()] };
        self.tell(it, path, behaviour, now)
    }

    fn renamed(&mut self, it: &Deeds<'_>, suffix: Vec<u8>, now: Timestamp) -> Option<Verdict> {
        let at = it.activity.at;
        let take = |actors: &mut Actors, actor| {
            actors.renamed(actor, &suffix, at).take(&it.activity.path, at, RENAMED_WITHIN)
        };
        let most = self.actors.count(it, take, |many| many.now >= MASS)?;
        let deed = Deed::ManyRenamed { suffix: Untrusted::new(suffix) };
        let behaviour = Behaviour { deed, count: most.total, examples: most.examples };
        self.tell(it, Untrusted::new(it.root), behaviour, now)
    }

    /// Takes what was seen of a file that was asked for.
    pub(super) fn saw(&mut self, it: &Deeds<'_>, facts: &Facts, now: Timestamp) -> Option<Verdict> {
        let path = &it.activity.path;
        if let Some(planted) = self.canaries.get(path).copied() {
            return (facts.sha256 != Some(planted)).then(|| self.canary_touched(it, now)).flatten();
        }
        if names::is_note(path.raw()) && it.hand != Hand::Deploy {
            return self.note(it, facts, now);
        }
        if content::is_scrambled(path.raw(), &facts.samples) {
            return self.scrambled(it, now);
        }
        None
    }

    fn scrambled(&mut self, it: &Deeds<'_>, now: Timestamp) -> Option<Verdict> {
        let kind = content::kind(&names::extension(it.path()))?;
        let at = it.activity.at;
        let take = |actors: &mut Actors, actor| {
            actors.scrambled(actor, at).take_of_kind(&it.activity.path, kind, at, WITHIN)
        };
        let enough = |many: &Many| (many.now >= MASS && many.kinds >= KINDS) || many.now >= MASS_OF_ONE_KIND;
        let most = self.actors.count(it, take, enough)?;
        let note = self.noted.is_some_and(|noted| now.duration_since(noted) < WITHIN);
        let deed = Deed::ManyScrambled { kinds: most.kinds as u64, note };
        let behaviour = Behaviour { deed, count: most.total, examples: most.examples };
        self.tell(it, Untrusted::new(it.root), behaviour, now)
    }

    fn note(&mut self, it: &Deeds<'_>, facts: &Facts, now: Timestamp) -> Option<Verdict> {
        let (path, at) = (&it.activity.path, it.activity.at);
        let key = (names::name(path.raw()).to_ascii_lowercase(), facts.sha256?);
        self.notes.retain(|_, note| at.duration_since(note.first) < WITHIN);
        if self.notes.len() >= MAX_NOTES || facts.file.size == 0 {
            return None;
        }
        let fresh = || Note { first: at, folders: HashSet::new(), examples: Vec::new() };
        let note = self.notes.entry(key).or_insert_with(fresh);
        if note.folders.len() >= MAX_FOLDERS || !note.folders.insert(names::folder(path.raw()).to_vec()) {
            return None;
        }
        if note.examples.len() < MAX_EXAMPLES {
            note.examples.push(path.clone());
        }
        if note.folders.len() < NOTE_FOLDERS {
            return None;
        }
        self.noted = Some(now);
        let folders = note.folders.len() as u64;
        let behaviour =
            Behaviour { deed: Deed::Note { folders }, count: folders, examples: note.examples.clone() };
        self.tell(it, Untrusted::new(it.root), behaviour, now)
    }

    fn tell(
        &mut self,
        it: &Deeds<'_>,
        path: Untrusted,
        behaviour: Behaviour,
        now: Timestamp,
    ) -> Option<Verdict> {
        let process = it.activity.process.clone();
        self.telling.put(Verdict { path, behaviour, file: None, sha256: None, process }, now)
    }

    /// Returns what is due by now.
    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<Verdict> {
        self.actors.forget(now);
        self.telling.due(now)
    }
}

/// What is to be seen of a file that may have been overwritten. What a deployment brings is not looked at.
fn asks(it: &Deeds<'_>) -> Option<Ask> {
    let judged =
        content::kind(&names::extension(it.path())).is_some() && it.activity.change != Change::Created;
    match asks_note(it) {
        None if judged && it.hand != Hand::Deploy => Some(Ask::Samples),
        note => note,
    }
}

fn asks_note(it: &Deeds<'_>) -> Option<Ask> {
    (names::is_note(it.path()) && it.hand != Hand::Deploy).then_some(Ask::Whole)
}

/// Returns the strange extension to which a document was renamed.
fn renamed(to: &[u8], from: Option<&[u8]>) -> Option<Vec<u8>> {
    let (rest, suffix) = names::split(names::name(to))?;
    let before = match from {
        Some(from) => names::extension(from),
        // Its name before is not known: an extension after that of a document was appended.
        None => names::extension(rest),
    };
    (content::is_strange(&suffix) && content::is_document(&before)).then_some(suffix)
}

#[cfg(test)]
mod tests;
