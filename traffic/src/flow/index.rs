//! Where flows lie, by their hash: open addressing in eight bytes a place, so that a look-up costs about one line of cache.

/// The fewest places that are made.
const LEAST: usize = 64;
/// Marks a place that is free.
const FREE: u32 = u32::MAX;

/// Finds a slot by a hash. Many may have the same hash; the caller says which is meant.
#[derive(Debug)]
pub(super) struct Index {
    /// The lower half of the hash, and the slot.
    places: Vec<(u32, u32)>,
    used: usize,
}

impl Index {
    /// Makes an empty one.
    pub(super) fn new() -> Self {
        Self { places: vec![(0, FREE); LEAST], used: 0 }
    }

    /// Returns the slot with this hash that is meant.
    pub(super) fn find(&self, hash: u64, is_meant: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = hash as u32;
        let mut at = self.home(tag);
        loop {
            match self.places[at] {
                (_, FREE) => return None,
                (t, slot) if t == tag && is_meant(slot) => return Some(slot),
                _ => at = self.next(at),
            }
        }
    }

    /// Adds a slot.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.used + 1) * 8 > self.places.len() * 7 {
            self.grow();
        }
        self.used += 1;
        self.put(hash as u32, slot);
    }

    /// Removes a slot, and closes the gap.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let mut at = self.home(hash as u32);
        while self.places[at].1 != slot {
            if self.places[at].1 == FREE {
                return;
            }
            at = self.next(at);
        }
        self.used -= 1;
        let mut behind = self.next(at);
        while self.places[behind].1 != FREE {
            if self.distance(behind) >= (behind.wrapping_sub(at)) & self.mask() {
                self.places[at] = self.places[behind];
                at = behind;
            }
            behind = self.next(behind);
        }
        self.places[at] = (0, FREE);
    }

    fn put(&mut self, tag: u32, slot: u32) {
        let mut at = self.home(tag);
        while self.places[at].1 != FREE {
            at = self.next(at);
        }
        self.places[at] = (tag, slot);
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.places);
        self.places = vec![(0, FREE); old.len() * 2];
        for (tag, slot) in old.into_iter().filter(|(_, slot)| *slot != FREE) {
            self.put(tag, slot);
        }
    }

    /// How far an entry lies behind its home.
    fn distance(&self, at: usize) -> usize {
        at.wrapping_sub(self.home(self.places[at].0)) & self.mask()
    }

    fn home(&self, tag: u32) -> usize {
        tag as usize & self.mask()
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.mask()
    }

    /// The number of places is a power of two.
    fn mask(&self) -> usize {
        self.places.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((any::<bool>(), 0u64..90), 0..800)) {
            let mut index = Index::new();
            let mut map: HashMap<u64, u32> = HashMap::new();
            let mut slots = 0u32;
            // Few hashes, so that they fall on each other and wrap around the end.
            let hash = |key: u64| key % 30 + 50;
            for (is_new, key) in steps {
                if is_new && !map.contains_key(&key) {
                    index.insert(hash(key), slots);
                    map.insert(key, slots);
                    slots += 1;
                } else if let Some(slot) = map.remove(&key) {
                    index.remove(hash(key), slot);
                }
                prop_assert_eq!(index.used, map.len());
                for (key, slot) in &map {
                    prop_assert_eq!(index.find(hash(*key), |s| s == *slot), Some(*slot));
                }
                prop_assert_eq!(index.find(hash(key), |s| s == u32::MAX - 1), None);
            }
        }
    }
}
