//! A bounded table: what was used longest ago makes room for what is new.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// A table of at most so many entries.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    entries: HashMap<K, (u64, V)>,
    /// By last use.
    order: BTreeMap<u64, K>,
    uses: u64,
    limit: usize,
    evicted: u64,
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    /// Makes an empty table.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), uses: 0, limit, evicted: 0 }
    }

    /// Returns what is there under a key, or puts something new there; either way it is the last to go now.
    pub(super) fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        self.uses += 1;
        let now = self.uses;
        if let Some((used, _)) = self.entries.get_mut(key) {
            self.order.remove(used);
            *used = now;
        } else if self.entries.len() >= self.limit
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
            self.evicted += 1;
        }
        self.order.insert(now, key.clone());
        &mut self.entries.entry(key.clone()).or_insert_with(|| (now, new())).1
    }

    /// Returns what is there, and leaves its turn as it is.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Returns the key that the next new one pushes out.
    pub(super) fn next_out(&self) -> Option<&K> {
        self.order.first_key_value().filter(|_| self.entries.len() >= self.limit).map(|(_, key)| key)
    }

    /// Tells whether something is there.
    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Takes something out.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.order.remove(&used);
        Some(value)
    }

    /// Returns all there is, the first to go first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.values().filter_map(|key| self.entries.get(key).map(|(_, value)| (key, value)))
    }

    /// Returns how many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns how many entries made room since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let mut table = Table::new(2);
        *table.entry(&'a', || 0) += 1;
        *table.entry(&'b', || 0) += 1;
        *table.entry(&'a', || 0) += 1;
        table.entry(&'c', || 7);

        assert!(table.contains(&'a') && !table.contains(&'b') && table.contains(&'c'));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(&'a', &2), (&'c', &7)]);
        assert_eq!((table.take_evicted(), table.take_evicted(), table.len()), (1, 0, 2));
        assert_eq!(table.remove(&'a'), Some(2));
        assert_eq!((table.order.len(), table.entries.len()), (1, 1));
    }
}
