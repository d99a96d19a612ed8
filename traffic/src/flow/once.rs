//! Remembers what was reported, so that one thing is reported once. Bounded: the oldest is forgotten first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

/// A bounded memory of keys.
#[derive(Debug)]
pub struct Once<K> {
    until: HashMap<K, Duration>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Hash + Eq + Clone> Once<K> {
    /// Remembers at most `limit` keys.
    pub fn new(limit: usize) -> Self {
        Self { until: HashMap::new(), order: VecDeque::new(), limit }
    }

    /// Tells whether a key is remembered still.
    pub fn has(&self, key: &K, now: Duration) -> bool {
        self.until.get(key).is_some_and(|until| *until > now)
    }

    /// Tells whether a key is new, and remembers it for `hold`.
    pub fn is_new(&mut self, key: K, now: Duration, hold: Duration) -> bool {
        if let Some(until) = self.until.get_mut(&key) {
            let is_over = *until <= now;
            if is_over {
                *until = now.saturating_add(hold);
            }
            return is_over;
        }
        if self.order.len() >= self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.until.remove(&oldest);
        }
        self.until.insert(key.clone(), now.saturating_add(hold));
        self.order.push_back(key);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(60);

    #[test]
    fn a_key_is_new_once_and_again_after_its_time() {
        let mut once = Once::new(8);

        assert!(!once.has(&"a", Duration::ZERO));
        assert!(once.is_new("a", Duration::ZERO, HOLD));
        assert!(!once.is_new("a", HOLD - Duration::from_nanos(1), HOLD));
        assert!(once.has(&"a", HOLD - Duration::from_nanos(1)) && !once.has(&"a", HOLD));
        assert!(once.is_new("a", HOLD, HOLD));
        assert!(!once.is_new("a", HOLD, HOLD));
    }

    #[test]
    fn the_oldest_is_forgotten_when_it_is_full() {
        let mut once = Once::new(2);
        for key in ["a", "b", "c"] {
            assert!(once.is_new(key, Duration::ZERO, HOLD));
        }

        assert!(once.is_new("a", Duration::ZERO, HOLD));
        assert!(!once.is_new("c", Duration::ZERO, HOLD));
        assert_eq!(once.until.len(), 2);
    }
}
