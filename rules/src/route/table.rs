//! Finds in one pass over a file which groups of rules may match it.
//!
//! ```text
//! four bytes, folded ──► one bit of a map ──► slot by hash ──► whole string? ──► head and size? ──► group is on
//! ```
//! The map says no for nearly every place of a clean file. Nothing here decides that a rule matches.

use std::collections::BTreeMap;

use super::{
    literal::{Literal, SHORTEST},
    need::{Head, Need, Way},
};

/// The most groups there can be: one bit each.
pub(crate) const MAX_GROUPS: usize = 64;
/// Sets the bit in which upper and lower case differ, in four bytes at once. It melts other bytes too, which only
/// costs a comparison.
const FOLD: u32 = 0x2020_2020;
/// Bits of the map per string: few enough wrong yeses, small enough for the processor's cache.
const SPREAD: usize = 24;

/// One string to look for and what it switches on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) literal: Literal,
    /// A condition and the group that goes on when it holds.
    pub(crate) targets: Vec<(u32, u8)>,
}

/// What else must hold beside a string.
#[derive(Debug, Clone, PartialEq, PartialOrd, Eq, Ord)]
pub(crate) struct Condition {
    pub(crate) size: (u64, u64),
    pub(crate) head: Option<Head>,
}

/// All that is stored of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Parts {
    pub(crate) conditions: Vec<Condition>,
    /// Conditions that switch a group on without any string.
    pub(crate) bare: Vec<(u32, u8)>,
    pub(crate) entries: Vec<Entry>,
}

/// The table, ready for use.
pub(crate) struct Table {
    pub(crate) parts: Parts,
    shift: u32,
    map: Vec<u64>,
    /// Keys with their entries, in order; `starts` says where each hash begins.
    slots: Vec<Slot>,
    starts: Vec<u32>,
    /// The groups that a string can switch on in a file with this head, or in any.
    by_string: Vec<(Option<Head>, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    key: u32,
    entry: u32,
    key_at: u32,
}

/// What is remembered between the places of one file, kept for the next file.
#[derive(Default)]
pub(crate) struct Memory {
    /// The file in which an entry has done all it can.
    done: Vec<u32>,
    file: u32,
}

impl Condition {
    fn of(way: &Way) -> Self {
        Self { size: way.size, head: way.head.clone() }
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        let size = bytes.len() as u64;
        self.size.0 <= size && size <= self.size.1 && self.head.as_ref().is_none_or(|h| h.holds(bytes))
    }
}

impl Parts {
    /// Writes down what switches each group on.
    pub(crate) fn of(needs: &[(Need, u8)]) -> Self {
        let mut conditions: Vec<_> =
            needs.iter().flat_map(|(n, _)| n.ways.iter().map(Condition::of)).collect();
        conditions.sort();
        conditions.dedup();
        let mut bare = Vec::new();
        let mut entries: BTreeMap<Literal, Vec<(u32, u8)>> = BTreeMap::new();
        for (way, group) in needs.iter().flat_map(|(need, group)| need.ways.iter().map(move |w| (w, *group)))
        {
            let at = conditions.binary_search(&Condition::of(way)).unwrap_or_default();
            let target = (u32::try_from(at).unwrap_or_default(), group);
            match &way.strings {
                None => bare.push(target),
                Some(strings) => {
                    strings.iter().for_each(|s| entries.entry(s.clone()).or_default().push(target))
                }
            }
        }
        bare.sort_unstable();
        bare.dedup();
        let tidy = |mut targets: Vec<_>| {
            targets.sort_unstable();
            targets.dedup();
            targets
        };
        let entries = entries.into_iter().map(|(literal, t)| Entry { literal, targets: tidy(t) }).collect();
        Self { conditions, bare, entries }
    }
}

impl Table {
    pub(crate) fn new(parts: Parts) -> Self {
        let bits = (parts.entries.len().max(64) * SPREAD).next_power_of_two().clamp(1 << 12, 1 << 21);
        let shift = 32 - bits.trailing_zeros();
        let mut slots: Vec<_> =
            parts.entries.iter().enumerate().map(|(at, e)| slot(at, &e.literal, shift)).collect();
        slots.sort_unstable_by_key(|s| (s.hash, s.key, s.entry));
        let mut map = vec![0; bits / 64];
        for slot in &slots {
            map[slot.hash as usize / 64] |= 1_u64 << (slot.hash % 64);
        }
        let starts = starts(&slots, &map);
        let by_string = by_string(&parts);
        Self { parts, shift, map, slots, starts, by_string }
    }

    /// Returns the groups that may have a rule that matches, one bit each.
    pub(crate) fn groups(&self, bytes: &[u8], memory: &mut Memory) -> u64 {
        let mut on = 0;
        for (condition, group) in &self.parts.bare {
            if on & bit(*group) == 0 && self.holds(*condition, bytes) {
                on |= bit(*group);
            }
        }
        let possible = self.possible(bytes);
        if possible & !on == 0 {
            return on;
        }
        memory.begin(self.parts.entries.len());
        for (at, four) in bytes.windows(SHORTEST).enumerate() {
            let four: [u8; SHORTEST] = [four[0], four[1], four[2], four[3]];
            let key = u32::from_le_bytes(four) | FOLD;
            let hash = hash(key, self.shift);
            if (self.map[hash as usize / 64] >> (hash % 64)) & 1 != 0 {
                on |= self.at(bytes, at, key, hash, memory, on);
                if possible & !on == 0 {
                    break;
                }
            }
        }
        on
    }

    /// Returns the groups that a string could switch on in a file that begins like this one.
    fn possible(&self, bytes: &[u8]) -> u64 {
        let fits = |head: &Option<Head>| head.as_ref().is_none_or(|h| h.holds(bytes));
        self.by_string.iter().filter(|(head, _)| fits(head)).fold(0, |all, (_, groups)| all | groups)
    }

    /// Looks at the strings whose rarest four bytes may be at a place.
    #[cold]
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "the state of the loop it is called from")]
    fn at(&self, bytes: &[u8], at: usize, key: u32, hash: u32, memory: &mut Memory, on: u64) -> u64 {
        let mut found = 0;
        let word = hash as usize / 64;
        let below = self.map[word] & ((1_u64 << (hash % 64)) - 1);
        let first = self.starts.get(word).copied().unwrap_or_default();
        let skipped = below.count_ones();
        let slots = self.slots_of(first, skipped, hash);
        for slot in slots.iter().filter(|s| s.key == key) {
            let (Some(start), Some(entry)) =
                (at.checked_sub(slot.key_at as usize), self.parts.entries.get(slot.entry as usize))
            else {
                continue;
            };
            if memory.is_done(slot.entry) || !entry.literal.is_at(bytes, start) {
                continue;
            }
            memory.finish(slot.entry);
            for (condition, group) in &entry.targets {
                if (on | found) & bit(*group) == 0 && self.holds(*condition, bytes) {
                    found |= bit(*group);
                }
            }
        }
        found
    }

    /// Returns the slots of one hash, which stand behind those of the smaller hashes of the same word.
    fn slots_of(&self, first: u32, skipped: u32, hash: u32) -> &[Slot] {
        let rest = self.slots.get(first as usize..).unwrap_or_default();
        let start =
            if skipped == 0 { 0 } else { rest.iter().position(|s| s.hash >= hash).unwrap_or(rest.len()) };
        let rest = &rest[start..];
        let length = rest.iter().position(|s| s.hash != hash).unwrap_or(rest.len());
        &rest[..length]
    }

    fn holds(&self, condition: u32, bytes: &[u8]) -> bool {
        self.parts.conditions.get(condition as usize).is_none_or(|c| c.holds(bytes))
    }
}

impl Memory {
    fn begin(&mut self, entries: usize) {
        self.file = self.file.wrapping_add(1);
        if self.done.len() != entries || self.file == 0 {
            self.done = vec![0; entries];
            self.file = 1;
        }
    }

    fn is_done(&self, entry: u32) -> bool {
        self.done.get(entry as usize) == Some(&self.file)
    }

    fn finish(&mut self, entry: u32) {
        if let Some(done) = self.done.get_mut(entry as usize) {
            *done = self.file;
        }
    }
}

/// Tells by the heads that conditions ask for which groups the strings switch on.
fn by_string(parts: &Parts) -> Vec<(Option<Head>, u64)> {
    let mut all: BTreeMap<Option<&Head>, u64> = BTreeMap::new();
    for (condition, group) in parts.entries.iter().flat_map(|e| &e.targets) {
        let condition = parts.conditions.get(*condition as usize);
        *all.entry(condition.and_then(|c| c.head.as_ref())).or_default() |= bit(*group);
    }
    all.into_iter().map(|(head, groups)| (head.cloned(), groups)).collect()
}

fn bit(group: u8) -> u64 {
    1 << (group % 64)
}

fn hash(key: u32, shift: u32) -> u32 {
    key.wrapping_mul(0x9e37_79b1) >> shift
}

fn slot(at: usize, literal: &Literal, shift: u32) -> Slot {
    let key_at = usize::from(literal.key_at);
    let four = literal.bytes.get(key_at..key_at + SHORTEST).unwrap_or(&[0; SHORTEST]);
    let key = u32::from_le_bytes([four[0], four[1], four[2], four[3]]) | FOLD;
    let entry = u32::try_from(at).unwrap_or(u32::MAX);
    Slot { hash: hash(key, shift), key, entry, key_at: u32::from(literal.key_at) }
}

/// Returns for each word of the map the place of its first slot.
fn starts(slots: &[Slot], map: &[u64]) -> Vec<u32> {
    let mut starts = Vec::with_capacity(map.len());
    let mut at = 0;
    for word in 0..map.len() {
        while slots.get(at).is_some_and(|s| (s.hash as usize / 64) < word) {
            at += 1;
        }
        starts.push(u32::try_from(at).unwrap_or(u32::MAX));
    }
    starts
}
