//! Signs that files are being encrypted: many renamed, overwritten or replaced, a note in many folders, a canary touched.
//! Pure: callers pass what happened, what was seen of the files, and the time.
//!
//! ```text
//! renamed to one strange extension   ─► counted by process and those from which it comes, for seconds
//! overwritten, renamed, or replaced  ─► looked at ─► encrypted ─► counted by folder, whoever did it, for an hour
//! ```
//! A name alone proves little, so only many by one hand count. What has become encrypted is strange by itself: it counts
//! whoever does it, however slowly.

use std::collections::{HashMap, VecDeque};

use khien_core::{
    Sha256, Timestamp, Untrusted,
    conduct::{Behaviour, Deed},
    time::SignedDuration,
};

use super::{
    actor::{Actors, Files, Kind, short},
    content,
    hand::Hand,
    names,
    notes::Notes,
    pairs::Pairs,
    telling::Telling,
    verdict::{Ask, Facts, Verdict},
    web::Deeds,
};
use crate::{activity::Change, scan::recent::Recent};
use planted::Planted;

mod planted;

/// So many files are a mass…
pub(super) const MASS: usize = 20;
/// …if they are of so many kinds, or none of them can be of its kind by accident…
pub(super) const KINDS: usize = 3;
/// …or if they are so many within a minute.
pub(super) const MASS_OF_ONE_KIND: usize = 100;
/// Renames are counted over this time.
const RENAMED_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// What was encrypted is counted over this time.
const SLOWLY: SignedDuration = SignedDuration::from_hours(1);
/// What was made so short a time ago is no document yet; signs and notes belong together within this time.
pub(super) const WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// The same note in so many folders is a ransom note.
pub(super) const NOTE_FOLDERS: usize = 5;
/// So many renames or encrypted files beside a note say that it is one, whatever it says.
pub(super) const SIGNS: usize = 3;
/// Files made lately.
const MAX_MADE: usize = 32_768;
/// Encrypted copies whose originals may be removed yet, and files that took the place of a document.
const MAX_TWINS: usize = 8_192;
/// The kind of documents that are known by their names only.
const OTHER: &str = "other";

/// What is known of all watched folders. Paths are kept in 8 bytes each where they are only known again.
#[derive(Debug)]
pub(super) struct Ransom {
    actors: Actors,
    pairs: Pairs,
    made: Recent<u64, Timestamp>,
    /// By the path without it: the strange extension of a new file.
    twins: Recent<u64, Vec<u8>>,
    /// Files that took the place of a document, and its kind.
    suspects: Recent<u64, &'static str>,
    folders: HashMap<Vec<u8>, Folder>,
    notes: Notes,
    noted: Option<Timestamp>,
    canaries: Planted,
    telling: Telling,
}

/// What was done in a watched folder.
#[derive(Debug, Default)]
struct Folder {
    encrypted: Files,
    /// The last few renames and encrypted files.
    signs: VecDeque<Timestamp>,
}

/// What follows from what happened.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What is told at once.
    pub(super) told: Option<Verdict>,
    /// What is to be seen of the file.
    pub(super) ask: Option<Ask>,
    /// Another file that is to be looked at: it may stand for the one that went.
    pub(super) also: Option<Untrusted>,
}

impl Ransom {
    /// Knows these canary files and what is in them.
    pub(super) fn new(canaries: HashMap<Untrusted, Sha256>) -> Self {
        Self {
            actors: Actors::default(),
            pairs: Pairs::default(),
            made: Recent::new(MAX_MADE),
            twins: Recent::new(MAX_TWINS),
            suspects: Recent::new(MAX_TWINS),
            folders: HashMap::new(),
            notes: Notes::default(),
            noted: None,
            canaries: Planted::new(canaries),
            telling: Telling::default(),
        }
    }

    /// Takes what happened to a file.
    pub(super) fn heard(&mut self, it: &Deeds<'_>, now: Timestamp) -> Heard {
        if self.canaries.holds(&it.activity.path) {
            return self.canary(it, now);
        }
        match &it.activity.change {
            Change::Created => Heard::asking(self.created(it)),
            Change::MovedIn { from } => self.moved(it, from.as_ref().map(Untrusted::raw), now),
            Change::Written => Heard::asking(self.written(it)),
            Change::Removed | Change::MovedOut => self.went(it, now),
            Change::Attributes => Heard::default(),
        }
    }

    fn created(&mut self, it: &Deeds<'_>) -> Option<Ask> {
        self.made.put(short(it.path()), it.activity.at);
        self.note_twin(it.path());
        asks_note(it).max(self.came(it))
    }

    /// Takes a new file, which may be the encrypted copy of a document that went.
    fn came(&mut self, it: &Deeds<'_>) -> Option<Ask> {
        if it.hand == Hand::Deploy || content::is_headless(&names::extension(it.path())) {
            return None;
        }
        let kind = self.pairs.came(it)?;
        Some(self.suspect(it.path(), kind))
    }

    fn suspect(&mut self, path: &[u8], kind: &'static str) -> Ask {
        self.suspects.put(short(path), kind);
        Ask::Suspect
    }

    fn moved(&mut self, it: &Deeds<'_>, from: Option<&[u8]>, now: Timestamp) -> Heard {
        let told = renamed(it.path(), from).and_then(|suffix| self.renamed(it, suffix, now));
        let ask = match was_document(it.path(), from) {
            Some(kind) if it.hand != Hand::Deploy => Some(self.suspect(it.path(), kind)),
            _ => {
                if let Some(from) = from.filter(|from| !content::is_document(&names::extension(from))) {
                    self.pairs.settle(from);
                }
                asks(it).max(self.came(it))
            }
        };
        Heard { told, ask, also: None }
    }

    fn written(&mut self, it: &Deeds<'_>) -> Option<Ask> {
        match self.suspects.get(&short(it.path())) {
            Some(_) if it.hand != Hand::Deploy => asks_note(it).max(Some(Ask::Suspect)),
            _ if self.was_made(it) => asks_note(it).max(asks_age(it)),
            _ => asks(it),
        }
    }

    /// Takes a file that is gone. The copy of a document that went is looked at.
    fn went(&mut self, it: &Deeds<'_>, now: Timestamp) -> Heard {
        let path = it.path();
        let extension = names::extension(path);
        if !content::is_document(&extension) {
            return Heard::default();
        }
        let twin = self.twins.get(&short(path)).cloned();
        let told = twin.as_ref().and_then(|suffix| self.renamed(it, suffix.to_ascii_lowercase(), now));
        if it.hand == Hand::Deploy || self.was_made(it) || names::in_cache(it.below()) {
            return Heard { told, ..Heard::default() };
        }
        let kind = content::kind(&extension).unwrap_or(OTHER);
        let stem = &path[..path.len() - extension.len() - 1];
        let instead = || Some(copy(stem, self.twins.get(&short(stem))?));
        let also = twin.map(|suffix| copy(path, &suffix)).or_else(instead);
        if let Some(also) = &also {
            self.pairs.settle(also.raw());
        }
        let also = also.or_else(|| self.pairs.went(it, kind));
        if let Some(also) = &also {
            self.suspect(also.raw(), kind);
        }
        Heard { told, ask: None, also }
    }

    fn was_made(&self, it: &Deeds<'_>) -> bool {
        let made = self.made.get(&short(it.path()));
        made.is_some_and(|made| it.activity.at.duration_since(*made) < WITHIN)
    }

    /// A copy `a.doc.locked` counts as a rename when `a.doc` goes.
    fn note_twin(&mut self, path: &[u8]) {
        let Some((_, suffix)) = names::split(names::name(path)) else { return };
        if content::is_strange(&suffix) {
            let (stem, suffix) = path.split_at(path.len() - suffix.len());
            self.twins.put(short(&stem[..stem.len() - 1]), suffix.to_vec());
        }
    }

    fn canary(&mut self, it: &Deeds<'_>, now: Timestamp) -> Heard {
        match it.activity.change {
            Change::Attributes => Heard::default(),
            // A deployment that removes what it does not know.
            Change::Removed | Change::MovedOut if it.hand == Hand::Deploy => {
                self.canaries.forget(&it.activity.path);
                Heard::default()
            }
            Change::Removed | Change::MovedOut => {
                Heard { told: self.canary_is(it, None, now), ..Heard::default() }
            }
            Change::Created | Change::Written | Change::MovedIn { .. } => Heard::asking(Some(Ask::Whole)),
        }
    }

    /// Returns where the canaries are.
    pub(super) fn canaries(&self) -> Vec<Untrusted> {
        self.canaries.paths()
    }

    /// Tells of a canary that was touched while no agent ran.
    pub(super) fn was_touched(&mut self, path: Untrusted, now: Timestamp) -> Option<Verdict> {
        let behaviour = Behaviour { deed: Deed::Canary, count: 1, examples: vec![path.clone()] };
        self.telling.put(Verdict { path, behaviour, file: None, sha256: None, process: None }, now)
    }

    /// Takes a file that was to be looked at and is not there, or cannot be read.
    pub(super) fn is_gone(&mut self, path: &Untrusted, now: Timestamp) -> Option<Verdict> {
        self.canaries.is_touched_anew(path, None).then(|| self.was_touched(path.clone(), now)).flatten()
    }

    fn canary_is(&mut self, it: &Deeds<'_>, content: Option<Sha256>, now: Timestamp) -> Option<Verdict> {
        if !self.canaries.is_touched_anew(&it.activity.path, content) {
            return None;
        }
        let path = it.activity.path.clone();
        let behaviour = Behaviour { deed: Deed::Canary, count: 1, examples: vec![path.clone()] };
        self.tell(it, path, behaviour, now)
    }

    fn renamed(&mut self, it: &Deeds<'_>, suffix: Vec<u8>, now: Timestamp) -> Option<Verdict> {
        self.folder(it).sign(it.activity.at);
        let (many, is_mass) = self.actors.renamed(it, &suffix, RENAMED_WITHIN, MASS);
        let deed = Deed::ManyRenamed { suffix: Untrusted::new(suffix) };
        let root = Untrusted::new(it.root);
        // What was told goes on being counted when it becomes slower: a host under attack is a busy one.
        if !is_mass && !self.telling.goes_on(&root, &deed) {
            return None;
        }
        let behaviour = Behaviour { deed, count: many.total, examples: many.examples };
        self.tell(it, root, behaviour, now)
    }

    /// Takes what was seen of a file that was asked for.
    pub(super) fn saw(&mut self, it: &Deeds<'_>, facts: &Facts, now: Timestamp) -> Option<Verdict> {
        if self.canaries.holds(&it.activity.path) {
            return self.canary_is(it, facts.sha256, now);
        }
        if it.hand == Hand::Deploy {
            return None;
        }
        let note = names::is_note(it.path()).then(|| self.note(it, facts, now)).flatten();
        note.or_else(|| self.encrypted(it, self.became(it, facts)?, now))
    }

    /// Returns of what kind a document was that is encrypted now.
    fn became(&self, it: &Deeds<'_>, facts: &Facts) -> Option<Kind> {
        let says = &facts.says;
        if let Some(name) = self.suspects.get(&short(it.path()))
            && (says.cipher || says.scrambled)
        {
            return Some(Kind { name, sure: true });
        }
        let extension = names::extension(it.path());
        if says.cipher && self.is_further_name(it, facts) {
            return Some(Kind { name: content::kind(&extension).unwrap_or(OTHER), sure: true });
        }
        let brought = match &it.activity.change {
            Change::Created => return None,
            // Whether there was one under this name before is not known.
            Change::MovedIn { from } => from.is_none(),
            _ => false,
        };
        let name = content::kind(&extension).filter(|_| says.scrambled && !self.was_made(it))?;
        Some(Kind { name, sure: content::has_beginning(&extension) && !brought })
    }

    /// Tells whether it was a file long before it got this name: a hard link, and who writes through it overwrites what is
    /// known by another name.
    fn is_further_name(&self, it: &Deeds<'_>, facts: &Facts) -> bool {
        let made = self.made.get(&short(it.path()));
        made.zip(facts.born.as_ref()).is_some_and(|(made, born)| made.duration_since(*born) > WITHIN)
    }

    fn encrypted(&mut self, it: &Deeds<'_>, kind: Kind, now: Timestamp) -> Option<Verdict> {
        let at = it.activity.at;
        let folder = self.folder(it);
        folder.sign(at);
        folder.encrypted.take(&it.activity.path, kind, at, SLOWLY);
        let many = folder.encrypted.many(at);
        let all = many.now >= MASS && (many.kinds >= KINDS || many.sure >= MASS);
        if !all && many.lately < MASS_OF_ONE_KIND {
            return None;
        }
        let note = self.noted.is_some_and(|noted| now.duration_since(noted) < WITHIN);
        let deed = Deed::ManyScrambled { kinds: many.kinds as u64, note };
        let behaviour = Behaviour { deed, count: many.total, examples: many.examples };
        self.tell(it, Untrusted::new(it.root), behaviour, now)
    }

    fn folder(&mut self, it: &Deeds<'_>) -> &mut Folder {
        self.folders.entry(it.root.to_vec()).or_default()
    }

    /// The same file in many folders may be a program's; it is a note if it demands a ransom or files go with it.
    fn note(&mut self, it: &Deeds<'_>, facts: &Facts, now: Timestamp) -> Option<Verdict> {
        let at = it.activity.at;
        let sha256 = facts.sha256.filter(|_| facts.file.size > 0)?;
        let (folders, examples) = self.notes.take(&it.activity.path, sha256, at)?;
        if folders < NOTE_FOLDERS {
            return None;
        }
        self.noted = Some(now);
        if !facts.says.demands && self.folder(it).signs_at(at) < SIGNS {
            return None;
        }
        let folders = folders as u64;
        let behaviour = Behaviour { deed: Deed::Note { folders }, count: folders, examples };
        self.tell(it, Untrusted::new(it.root), behaviour, now)
    }

    fn tell(
        &mut self,
        it: &Deeds<'_>,
        path: Untrusted,
        behaviour: Behaviour,
        now: Timestamp,
    ) -> Option<Verdict> {
        let process = it.activity.process.as_deref().cloned();
        self.telling.put(Verdict { path, behaviour, file: None, sha256: None, process }, now)
    }

    /// Returns what is due by now.
    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<Verdict> {
        self.actors.forget(now);
        self.telling.due(now)
    }
}

impl Heard {
    fn asking(ask: Option<Ask>) -> Self {
        Self { ask, ..Self::default() }
    }
}

impl Folder {
    fn sign(&mut self, at: Timestamp) {
        self.signs.push_back(at);
        if self.signs.len() > SIGNS {
            self.signs.pop_front();
        }
    }

    fn signs_at(&self, at: Timestamp) -> usize {
        self.signs.iter().filter(|sign| at.duration_since(**sign).abs() < WITHIN).count()
    }
}

/// What is to be seen of a file that may have been overwritten. What a deployment brings is not looked at.
fn asks(it: &Deeds<'_>) -> Option<Ask> {
    let judged = content::kind(&names::extension(it.path())).is_some();
    match asks_note(it) {
        None if judged && it.hand != Hand::Deploy => Some(Ask::Samples),
        note => note,
    }
}

/// Who writes to a new name may write to an older file.
fn asks_age(it: &Deeds<'_>) -> Option<Ask> {
    (it.hand != Hand::Deploy && !names::in_cache(it.below())).then_some(Ask::Linked)
}

fn asks_note(it: &Deeds<'_>) -> Option<Ask> {
    (names::is_note(it.path()) && it.hand != Hand::Deploy).then_some(Ask::Whole)
}

/// Returns the strange extension to which a document was renamed.
fn renamed(to: &[u8], from: Option<&[u8]>) -> Option<Vec<u8>> {
    let (_, suffix) = names::split(names::name(to))?;
    (content::is_strange(&suffix) && content::is_document(&before(to, from))).then_some(suffix)
}

/// Returns of what kind the document was that got a name of none.
fn was_document(to: &[u8], from: Option<&[u8]>) -> Option<&'static str> {
    let now = names::extension(to);
    let before = before(to, from);
    let was = content::is_document(&before) && !content::is_document(&now);
    (was && !content::is_headless(&now) && !content::is_rotated(&before, &now))
        .then(|| content::kind(&before).unwrap_or(OTHER))
}

/// Returns the extension that a file had. Where its name before is not known, one after that of a document was appended.
fn before(to: &[u8], from: Option<&[u8]>) -> Vec<u8> {
    match from {
        Some(from) => names::extension(from),
        None => names::split(names::name(to)).map(|(rest, _)| names::extension(rest)).unwrap_or_default(),
    }
}

fn copy(stem: &[u8], suffix: &[u8]) -> Untrusted {
    Untrusted::new([stem, b".", suffix].concat())
}

#[cfg(test)]
mod tests;
