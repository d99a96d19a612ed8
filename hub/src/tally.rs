//! Counts what is under way for each of many: connections of an address or a key, requests of an agent.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

type Counts<K> = Arc<Mutex<HashMap<K, usize>>>;

/// Counts for each key; a key without anything under way takes no room.
pub(crate) struct Tally<K>(Counts<K>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq + Copy> Tally<K> {
    /// Counts one more for a key until the answer is dropped; nothing if there are as many as may be.
    pub(crate) fn take(&self, key: K, most: usize) -> Option<Taken<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&key).copied().unwrap_or(0);
        (count < most).then(|| {
            counts.insert(key, count + 1);
            Taken { counts: Arc::clone(&self.0), key }
        })
    }

    /// Returns how many are counted for a key.
    #[cfg(test)]
    pub(crate) fn of(&self, key: K) -> usize {
        self.0.lock().unwrap().get(&key).copied().unwrap_or(0)
    }
}

/// One that is counted.
pub(crate) struct Taken<K: Hash + Eq> {
    counts: Counts<K>,
    key: K,
}

impl<K: Hash + Eq> Drop for Taken<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = counts.get_mut(&self.key) else { return };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_room_and_gives_it_back() {
        let tally = Tally::default();
        let first = tally.take('a', 1);

        assert!(first.is_some());
        assert!(tally.take('a', 1).is_none());
        assert!(tally.take('b', 1).is_some());
        drop(first);
        assert!(tally.take('a', 1).is_some());
        assert!(tally.0.lock().unwrap().is_empty());
    }
}
