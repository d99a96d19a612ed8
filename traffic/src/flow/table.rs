//! Slots for flows, each in one or two lists by last use. No look-up costs more with more flows.

use std::ops::{Index as At, IndexMut as AtMut};

use super::{entry::Entry, index::Index, key::Key};

/// No slot.
const NONE: u32 = u32::MAX;
/// How many lists there are: one for each [`Class`](super::entry::Class), and those of [`TALKING`], [`ALONE`] and [`SEALED`].
pub(super) const LISTS: usize = 8;
/// The list of flows that hold memory beside their slot.
pub(super) const TALKING: usize = LISTS - 1;
/// The list of those of them of which one end alone was seen: anybody may have made them up.
pub(super) const ALONE: usize = LISTS - 2;
/// The list of those of them that are encrypted, as far as that can be told.
pub(super) const SEALED: usize = LISTS - 3;

/// All flows.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: Index,
    lists: [List; LISTS],
}

#[derive(Debug)]
struct Slot {
    entry: Option<Entry>,
    hash: u64,
    /// In the list of its class, and in that of flows that talk.
    links: [Link; 2],
    /// The list of its class.
    class: u8,
    /// The list of flows that talk in which it is.
    talking: Option<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    before: u32,
    behind: u32,
}

/// From the flow that was used longest ago to the one that was used last.
#[derive(Debug, Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
}

const UNLINKED: Link = Link { before: NONE, behind: NONE };
const EMPTY: List = List { oldest: NONE, newest: NONE };

impl Table {
    /// Makes an empty table.
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), index: Index::new(), lists: [EMPTY; LISTS] }
    }

    /// Finds a flow.
    pub(super) fn find(&self, key: &Key, hash: u64) -> Option<u32> {
        self.index.find(hash, |slot| self.get(slot).is_some_and(|entry| entry.key == *key))
    }

    /// Returns how many flows there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns a flow, if the slot holds one.
    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.entry.as_ref()
    }

    /// Adds a flow as the one that was used last.
    pub(super) fn insert(&mut self, entry: Entry, hash: u64) -> u32 {
        let class = entry.class() as u8;
        let new = Slot { entry: Some(entry), hash, links: [UNLINKED; 2], class, talking: None };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = new;
                slot
            }
            None => {
                self.slots.push(new);
                // The caller holds fewer flows than that; see `Limits::flows`.
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(hash, slot);
        self.link(slot, class.into());
        slot
    }

    /// Takes a flow out.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.slots.get_mut(slot as usize)?.entry.take()?;
        let (hash, class) = (self.slots[slot as usize].hash, self.slots[slot as usize].class);
        self.unlink(slot, class.into());
        self.set_talking(slot, None);
        self.index.remove(hash, slot);
        self.free.push(slot);
        Some(entry)
    }

    /// Makes a flow the one of its class that was used last.
    pub(super) fn touch(&mut self, slot: u32) {
        let Some(class) = self.get(slot).map(|entry| entry.class() as u8) else { return };
        let before = std::mem::replace(&mut self.slots[slot as usize].class, class);
        if before != class || self.lists[usize::from(class)].newest != slot {
            self.unlink(slot, before.into());
            self.link(slot, class.into());
        }
    }

    /// States in which list of flows that hold memory beside their slot it is; there, it is the one that was used last.
    pub(super) fn set_talking(&mut self, slot: u32, list: Option<usize>) {
        // There are few lists.
        let before = std::mem::replace(&mut self.slots[slot as usize].talking, list.map(|list| list as u8));
        let before = before.map(usize::from);
        if let Some(list) = list
            && before == Some(list)
            && self.lists[list].newest == slot
        {
            return;
        }
        if let Some(before) = before {
            self.unlink(slot, before);
        }
        if let Some(list) = list {
            self.link(slot, list);
        }
    }

    /// Returns the flow of a list that was used longest ago.
    pub(super) fn oldest(&self, list: usize) -> Option<u32> {
        Some(self.lists[list].oldest).filter(|slot| *slot != NONE)
    }

    fn link(&mut self, slot: u32, list: usize) {
        let place = usize::from(list >= SEALED);
        let newest = std::mem::replace(&mut self.lists[list].newest, slot);
        self.slots[slot as usize].links[place] = Link { before: newest, behind: NONE };
        match newest {
            NONE => self.lists[list].oldest = slot,
            newest => self.slots[newest as usize].links[place].behind = slot,
        }
    }

    fn unlink(&mut self, slot: u32, list: usize) {
        let place = usize::from(list >= SEALED);
        let Link { before, behind } = self.slots[slot as usize].links[place];
        match before {
            NONE => self.lists[list].oldest = behind,
            before => self.slots[before as usize].links[place].behind = behind,
        }
        match behind {
            NONE => self.lists[list].newest = before,
            behind => self.slots[behind as usize].links[place].before = before,
        }
    }
}

impl At<u32> for Table {
    type Output = Entry;

    fn index(&self, slot: u32) -> &Entry {
        self.get(slot).expect("the caller found it just now")
    }
}

impl AtMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Entry {
        self.slots[slot as usize].entry.as_mut().expect("the caller found it just now")
    }
}
