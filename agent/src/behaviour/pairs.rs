//! New files and documents that go, by one hand: an encrypted copy is written under any name, the original is removed.
//! Pure. Which came first does not matter. What the new file holds is for others to see; it is looked at only because a
//! document went. Whose hand removed a document is not always known: then it may be that of whoever makes files in the
//! same folder.

use std::collections::VecDeque;

use khien_core::{Timestamp, Untrusted, time::SignedDuration};

use super::{
    actor::{Actor, short},
    lru::Lru,
    names,
    web::Deeds,
};
use crate::scan::recent::Recent;

/// Actors that are remembered.
const MAX_ACTORS: usize = 256;
/// New files and gone documents of one actor that are remembered: more than make a mass.
const MOST: usize = 32;
/// Those of one pair are no further apart.
const WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// Files whose other one is known.
const MAX_PAIRED: usize = 8_192;

/// What has no other one yet.
#[derive(Debug)]
pub(super) struct Pairs {
    sides: Lru<Actor, Sides>,
    paired: Recent<u64, ()>,
}

/// At most 256 actors with 32 paths on each side: 3 MB with paths of usual length.
#[derive(Debug, Default)]
struct Sides {
    came: VecDeque<One>,
    gone: VecDeque<One>,
}

#[derive(Debug, Clone)]
struct One {
    path: Untrusted,
    at: Timestamp,
    /// Of a document.
    kind: &'static str,
}

#[derive(Clone, Copy)]
enum Side {
    Came,
    Gone,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { sides: Lru::new(MAX_ACTORS), paired: Recent::new(MAX_PAIRED) }
    }
}

impl Pairs {
    /// Takes a new file; returns of what kind the document was for which it may stand.
    pub(super) fn came(&mut self, it: &Deeds<'_>) -> Option<&'static str> {
        Some(self.pair(it, Side::Came, "")?.kind)
    }

    /// Takes a document that went; returns the new file that may stand for it.
    pub(super) fn went(&mut self, it: &Deeds<'_>, kind: &'static str) -> Option<Untrusted> {
        Some(self.pair(it, Side::Gone, kind)?.path)
    }

    fn pair(&mut self, it: &Deeds<'_>, side: Side, kind: &'static str) -> Option<One> {
        let (keys, at) = (keys(it, side), it.activity.at);
        for actor in &keys {
            let other = self.sides.touch(actor.clone()).side(side.other());
            while let Some(one) = other.pop_back() {
                let known = self.paired.get(&short(one.path.raw())).is_some();
                if !known && at.duration_since(one.at) <= WITHIN {
                    self.paired.put(short(one.path.raw()), ());
                    return Some(one);
                }
            }
        }
        let one = One { path: it.activity.path.clone(), at, kind };
        for actor in keys {
            let own = self.sides.touch(actor).side(side);
            if own.len() >= MOST {
                own.pop_front();
            }
            own.push_back(one.clone());
        }
        None
    }

    /// Passes over a file from now on: it was moved on, or its other one is known.
    pub(super) fn settle(&mut self, path: &[u8]) {
        self.paired.put(short(path), ());
    }
}

/// Returns under whom one counts.
fn keys(it: &Deeds<'_>, side: Side) -> Vec<Actor> {
    let kin = Actor::kin(it);
    let anybody = kin.is_none() || matches!(side, Side::Came);
    let folder = anybody.then(|| Actor::Anybody(names::folder(it.path()).to_vec()));
    kin.into_iter().flatten().chain(folder).collect()
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Came => Self::Gone,
            Self::Gone => Self::Came,
        }
    }
}

impl Sides {
    fn side(&mut self, side: Side) -> &mut VecDeque<One> {
        match side {
            Side::Came => &mut self.came,
            Side::Gone => &mut self.gone,
        }
    }
}
