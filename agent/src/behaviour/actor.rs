//! Who does many things at once, and what of it is remembered. Pure.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use khien_core::{Timestamp, Untrusted, conduct::behaviour::MAX_EXAMPLES, time::SignedDuration};

use super::web::Deeds;

/// Actors that are remembered; the one that rested longest goes first.
const MAX_ACTORS: usize = 1_024;
/// Different new extensions of one actor; more of them are no mass to one.
const MAX_SUFFIXES: usize = 32;
/// Files of one actor that are remembered.
const MAX_FILES: usize = 512;
/// An actor that rested so long is forgotten.
const RESTED: SignedDuration = SignedDuration::from_secs(120);

/// Who: a process, all children of one, or, where the kernel does not tell, anybody in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Actor {
    Process(u32),
    ChildrenOf(u32),
    Anybody(Vec<u8>),
}

/// What each did.
#[derive(Debug, Default)]
pub(super) struct Actors(HashMap<Actor, Did>);

#[derive(Debug)]
struct Did {
    last: Timestamp,
    renamed: HashMap<Vec<u8>, Seen>,
    scrambled: Seen,
}

/// Files to which one thing was done.
#[derive(Debug, Default)]
pub(super) struct Seen {
    files: VecDeque<(Timestamp, Untrusted, &'static str)>,
    paths: HashSet<Untrusted>,
    total: u64,
}

/// How many they are.
#[derive(Debug)]
pub(super) struct Many {
    /// Within the time asked for.
    pub(super) now: usize,
    /// Since it began.
    pub(super) total: u64,
    pub(super) kinds: usize,
    pub(super) examples: Vec<Untrusted>,
}

impl Actor {
    /// Returns under whom an activity counts. Children of init have nothing in common. A process that lived too briefly
    /// to be asked may be one of many that one script started: it counts with everybody in the folder.
    pub(super) fn of(it: &Deeds<'_>) -> Vec<Self> {
        let process = it.activity.process.as_ref();
        match process.map(|process| (process.pid, process.parent)) {
            Some((pid, Some(parent @ 2..))) => vec![Self::Process(pid), Self::ChildrenOf(parent)],
            Some((pid, Some(_))) => vec![Self::Process(pid)],
            Some((pid, None)) => vec![Self::Process(pid), Self::Anybody(it.root.to_vec())],
            None => vec![Self::Anybody(it.root.to_vec())],
        }
    }
}

impl Actors {
    /// Lets `take` count a file, under everybody in the folder and under each who may have done it. Returns what the whole
    /// folder has come to, if one of them did enough.
    pub(super) fn count(
        &mut self,
        it: &Deeds<'_>,
        mut take: impl FnMut(&mut Self, Actor) -> Many,
        enough: impl Fn(&Many) -> bool,
    ) -> Option<Many> {
        let everybody = Actor::Anybody(it.root.to_vec());
        let all = take(self, everybody.clone());
        let mut mass = false;
        for actor in Actor::of(it) {
            mass |= if actor == everybody { enough(&all) } else { enough(&take(self, actor)) };
        }
        mass.then_some(all)
    }

    /// Returns the files that an actor renamed to an extension.
    pub(super) fn renamed(&mut self, actor: Actor, suffix: &[u8], at: Timestamp) -> &mut Seen {
        let did = self.did(actor, at);
        if did.renamed.len() >= MAX_SUFFIXES && !did.renamed.contains_key(suffix) {
            did.renamed.clear();
        }
        did.renamed.entry(suffix.to_vec()).or_default()
    }

    /// Returns the files that an actor overwrote.
    pub(super) fn scrambled(&mut self, actor: Actor, at: Timestamp) -> &mut Seen {
        &mut self.did(actor, at).scrambled
    }

    fn did(&mut self, actor: Actor, at: Timestamp) -> &mut Did {
        if self.0.len() >= MAX_ACTORS && !self.0.contains_key(&actor) {
            let rested = self.0.iter().min_by_key(|(_, did)| did.last).map(|(actor, _)| actor.clone());
            rested.map(|actor| self.0.remove(&actor));
        }
        let fresh = || Did { last: at, renamed: HashMap::new(), scrambled: Seen::default() };
        let did = self.0.entry(actor).or_insert_with(fresh);
        did.last = at;
        did
    }

    /// Returns how many are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.0.len()
    }

    /// Forgets who rested.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.0.retain(|_, did| now.duration_since(did.last) < RESTED);
    }
}

impl Seen {
    /// Takes a file.
    pub(super) fn take(&mut self, path: &Untrusted, at: Timestamp, within: SignedDuration) -> Many {
        self.take_of_kind(path, "", at, within)
    }

    /// Takes a file of a kind. The same file counts once.
    pub(super) fn take_of_kind(
        &mut self,
        path: &Untrusted,
        kind: &'static str,
        at: Timestamp,
        within: SignedDuration,
    ) -> Many {
        self.drop_before(at, within);
        if self.paths.insert(path.clone()) {
            self.files.push_back((at, path.clone(), kind));
            self.total += 1;
        }
        let kinds: BTreeSet<_> = self.files.iter().map(|(_, _, kind)| kind).collect();
        let examples = self.files.iter().take(MAX_EXAMPLES).map(|(_, path, _)| path.clone()).collect();
        Many { now: self.files.len(), total: self.total, kinds: kinds.len(), examples }
    }

    fn drop_before(&mut self, at: Timestamp, within: SignedDuration) {
        let old = |(when, ..): &(Timestamp, Untrusted, &str)| at.duration_since(*when) > within;
        while self.files.len() >= MAX_FILES || self.files.front().is_some_and(old) {
            let Some((_, path, _)) = self.files.pop_front() else { break };
            self.paths.remove(&path);
        }
        if self.files.is_empty() {
            self.total = 0;
        }
    }
}
