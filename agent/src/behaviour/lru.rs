//! A memory of bounded size from which goes what rested longest. Pure.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Keys by when they were touched last, and what is known of them.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    known: HashMap<K, (u64, V)>,
    /// Each touch; only the last one of a key counts.
    order: VecDeque<(u64, K)>,
    turn: u64,
    most: usize,
}

impl<K: Hash + Eq + Clone, V: Default> Lru<K, V> {
    /// Remembers at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { known: HashMap::new(), order: VecDeque::new(), turn: 0, most }
    }

    /// Returns what is known of a key, touched now. A new one takes the place of the one that rested longest.
    pub(super) fn touch(&mut self, key: K) -> &mut V {
        self.turn += 1;
        if self.known.len() >= self.most && !self.known.contains_key(&key) {
            self.drop_oldest();
        }
        self.order.push_back((self.turn, key.clone()));
        if self.order.len() > 4 * self.most {
            let known = &self.known;
            self.order.retain(|(turn, key)| known.get(key).is_some_and(|(last, _)| last == turn));
            self.order.push_back((self.turn, key.clone()));
        }
        let (last, value) = self.known.entry(key).or_default();
        *last = self.turn;
        value
    }

    /// Forgets what does not fit.
    pub(super) fn retain(&mut self, fits: impl Fn(&V) -> bool) {
        self.known.retain(|_, (_, value)| fits(value));
    }

    fn drop_oldest(&mut self) {
        while let Some((turn, key)) = self.order.pop_front() {
            if self.known.get(&key).is_some_and(|(last, _)| *last == turn) {
                self.known.remove(&key);
                return;
            }
        }
    }

    /// Returns how many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rested_longest_goes_and_the_memory_of_touches_is_bounded() {
        let mut lru = Lru::new(2);
        *lru.touch("a") = 1;
        *lru.touch("b") = 2;
        for _ in 0..1_000 {
            assert_eq!(*lru.touch("a"), 1);
        }

        *lru.touch("c") = 3;

        assert_eq!((*lru.touch("a"), *lru.touch("c"), lru.len()), (1, 3, 2));
        assert!(lru.order.len() <= 9, "{}", lru.order.len());
        assert_eq!(*lru.touch("b"), 0, "it was forgotten");
    }
}
