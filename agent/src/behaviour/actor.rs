//! Who does many things at once, and what of it is remembered. Pure.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use khien_core::{Timestamp, Untrusted, conduct::behaviour::MAX_EXAMPLES, time::SignedDuration};

use super::{lru::Lru, web::Deeds};

/// Actors that are remembered; the one that rested longest goes first.
pub(super) const MAX_ACTORS: usize = 512;
/// Different new extensions of one actor; more of them are no mass to one.
const MAX_SUFFIXES: usize = 8;
/// Files of one deed that are remembered, by 8 bytes each: 512 actors with all of this take some 50 MB, and to fill them
/// takes half a million renames within two minutes.
const MAX_FILES: usize = 128;
/// What is counted as done lately.
const LATELY: SignedDuration = SignedDuration::from_secs(60);
/// What goes on with shorter rests than this is one thing, however slow it is.
const ONE_THING: SignedDuration = SignedDuration::from_secs(60);
/// An actor that rested so long is forgotten.
const RESTED: SignedDuration = SignedDuration::from_secs(120);

/// Who: a process, all that come from one, or, where the kernel does not tell, anybody in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Actor {
    /// By when it was started, because ids are given again.
    Process(u32, Option<Timestamp>),
    From(u32),
    Anybody(Vec<u8>),
}

/// What each renamed.
#[derive(Debug)]
pub(super) struct Actors(Lru<Actor, Did>);

#[derive(Debug, Default)]
struct Did {
    last: Option<Timestamp>,
    renamed: HashMap<Vec<u8>, Files>,
}

/// Files to which one thing was done.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: VecDeque<File>,
    paths: HashSet<u64>,
    examples: Vec<Untrusted>,
    total: u64,
    last: Option<Timestamp>,
}

#[derive(Debug)]
struct File {
    at: Timestamp,
    path: u64,
    kind: Kind,
}

/// What a file was, and whether what it is now cannot be of that kind by any accident.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) sure: bool,
}

/// How many they are.
#[derive(Debug)]
pub(super) struct Many {
    /// Within the time asked for.
    pub(super) now: usize,
    /// Of these, the ones that cannot be of their kind by any accident.
    pub(super) sure: usize,
    /// Of these, the ones of the last minute.
    pub(super) lately: usize,
    /// Since it began.
    pub(super) total: u64,
    pub(super) kinds: usize,
    pub(super) examples: Vec<Untrusted>,
}

/// Stands for a path in 8 bytes. The key is drawn at the start, so nobody can make two paths look like one.
pub(super) fn short(path: &[u8]) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(path)
}

impl Actor {
    /// Returns under whom an activity counts: the process and all from which it comes but init, because a script may start
    /// a program, or a shell that starts one, for each file. A process that lived too briefly to be asked may be one of
    /// many of the same script: it counts with everybody in the folder.
    pub(super) fn of(it: &Deeds<'_>) -> Vec<Self> {
        let anybody = || Self::Anybody(it.root.to_vec());
        let Some(process) = it.activity.process.as_ref() else { return vec![anybody()] };
        let mut all = vec![Self::Process(process.pid, process.started)];
        if process.parent.is_none() {
            all.push(anybody());
        }
        let above = process.ancestors.iter().map(|above| above.pid);
        let from: BTreeSet<u32> = process.parent.into_iter().chain(above).filter(|pid| *pid > 1).collect();
        all.extend(from.into_iter().map(Self::From));
        all
    }

    /// Returns the process and the nearest two from which it comes: they do one thing together, such as to write a copy and
    /// to remove what was copied. None if that is not known.
    pub(super) fn kin(it: &Deeds<'_>) -> Option<Vec<Self>> {
        let process = it.activity.process.as_ref()?;
        let parent = process.parent?;
        let above = process.ancestors.get(1).map(|above| above.pid);
        // A script writes by itself and removes by a program that it starts.
        let all = [Some(process.pid), Some(parent), above].into_iter().flatten();
        Some(all.filter(|pid| *pid > 1).map(Self::From).collect())
    }
}

impl Default for Actors {
    fn default() -> Self {
        Self(Lru::new(MAX_ACTORS))
    }
}

impl Actors {
    /// Counts a file that got an extension, under everybody in the folder and under each who may have done it. Returns what
    /// the whole folder has come to, and whether one of them did enough.
    pub(super) fn renamed(
        &mut self,
        it: &Deeds<'_>,
        suffix: &[u8],
        within: SignedDuration,
        enough: usize,
    ) -> (Many, bool) {
        let everybody = Actor::Anybody(it.root.to_vec());
        let (path, at) = (&it.activity.path, it.activity.at);
        self.of(everybody.clone(), suffix, at).take(path, Kind::default(), at, within);
        let mut mass = false;
        for actor in Actor::of(it) {
            let files = self.of(actor, suffix, at);
            files.take(path, Kind::default(), at, within);
            mass |= files.now() >= enough;
        }
        (self.of(everybody, suffix, at).many(at), mass)
    }

    fn of(&mut self, actor: Actor, suffix: &[u8], at: Timestamp) -> &mut Files {
        let did = self.0.touch(actor);
        did.last = Some(at);
        if did.renamed.len() >= MAX_SUFFIXES && !did.renamed.contains_key(suffix) {
            did.renamed.clear();
        }
        did.renamed.entry(suffix.to_vec()).or_default()
    }

    /// Returns how many are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.0.len()
    }

    /// Forgets who rested.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|did| did.last.is_some_and(|last| now.duration_since(last) < RESTED));
    }
}

impl Files {
    /// Takes a file, and forgets those that are older than a time. The same file counts once.
    pub(super) fn take(&mut self, path: &Untrusted, kind: Kind, at: Timestamp, within: SignedDuration) {
        self.drop_before(at, within);
        self.last = Some(at);
        let id = short(path.raw());
        if self.paths.insert(id) {
            self.known.push_back(File { at, path: id, kind });
            self.total += 1;
            if self.examples.len() < MAX_EXAMPLES {
                self.examples.push(path.clone());
            }
        }
    }

    /// Returns how many were taken within the time.
    fn now(&self) -> usize {
        self.known.len()
    }

    /// Returns how many they are.
    pub(super) fn many(&self, at: Timestamp) -> Many {
        let kinds: BTreeSet<_> = self.known.iter().map(|file| file.kind.name).collect();
        Many {
            now: self.now(),
            sure: self.known.iter().filter(|file| file.kind.sure).count(),
            lately: self.since(at, LATELY),
            total: self.total,
            kinds: kinds.len(),
            examples: self.examples.clone(),
        }
    }

    /// Returns how many were taken within a time before a moment.
    fn since(&self, at: Timestamp, within: SignedDuration) -> usize {
        self.known.iter().rev().take_while(|file| at.duration_since(file.at) <= within).count()
    }

    fn drop_before(&mut self, at: Timestamp, within: SignedDuration) {
        let old = |file: &File| at.duration_since(file.at) > within;
        while self.known.len() >= MAX_FILES || self.known.front().is_some_and(old) {
            let Some(file) = self.known.pop_front() else { break };
            self.paths.remove(&file.path);
        }
        let has_rested = self.last.is_none_or(|last| at.duration_since(last) > ONE_THING);
        if self.known.is_empty() && has_rested {
            self.total = 0;
            self.examples.clear();
        }
    }
}
