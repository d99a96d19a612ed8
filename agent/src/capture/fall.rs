//! What becomes of the thread that looks when a packet makes it fail: it begins anew, and rests if it fails again and again.
//! It never takes the agent with it: whoever found such a packet must not be able to switch the agent off.

use std::{
    any::Any,
    collections::VecDeque,
    time::{Duration, Instant},
};

use khien_core::{
    Untrusted,
    reason::{MAX_TEXT, Reason},
};

/// So many failures within a minute, and it rests: beginning anew has a cost, and what was learnt of flows is gone each time.
const MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);
/// How long it rests. Meanwhile the kernel counts what it drops.
const REST: Duration = Duration::from_secs(60);
/// Under what it is stated that nobody looks: it is about all interfaces.
pub(super) const SCOPE: &str = "traffic";

/// The failures of the last minute.
#[derive(Debug, Default)]
pub(super) struct Falls(VecDeque<Instant>);

/// One failure, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fall {
    /// Whether it is not the first one lately: what is kept may be what it fails over.
    pub(super) is_again: bool,
    /// How long nobody looks.
    pub(super) rest: Duration,
}

impl Falls {
    /// Adds one and returns what follows from it.
    pub(super) fn add(&mut self, now: Instant) -> Fall {
        self.0.retain(|at| now.saturating_duration_since(*at) < WITHIN);
        self.0.push_back(now);
        let rest = if self.0.len() >= MOST { REST } else { Duration::ZERO };
        if !rest.is_zero() {
            self.0.drain(..self.0.len() - 1);
        }
        Fall { is_again: self.0.len() > 1 || !rest.is_zero(), rest }
    }
}

/// Says what it failed over, by the words of its panic.
pub(super) fn reason(panicked: &(dyn Any + Send), rest: Duration) -> Reason {
    let words = panicked.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panicked.downcast_ref::<String>().map(String::as_str)).unwrap_or("–");
    Reason::LookingFailed { text: Untrusted::cut(words.as_bytes(), MAX_TEXT), seconds: rest.as_secs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_only_when_it_fails_again_and_again_within_a_minute() {
        let (mut falls, start) = (Falls::default(), Instant::now());
        let fall = |is_again, rest| Fall { is_again, rest };
        let mut at = |second| falls.add(start + Duration::from_secs(second));

        assert_eq!(at(0), fall(false, Duration::ZERO));
        assert_eq!(at(59), fall(true, Duration::ZERO));
        assert_eq!(at(61), fall(true, Duration::ZERO), "the first is over a minute ago");
        assert_eq!(at(62), fall(true, REST));
        assert_eq!(at(62 + 60), fall(false, Duration::ZERO));
        assert_eq!((0..9).filter(|_| at(200).rest == REST).count(), 4, "and no list of them grows");
    }

    #[test]
    fn the_words_of_a_panic_are_told_and_cut() {
        let told = |panicked: Box<dyn Any + Send>| reason(&*panicked, REST);
        let of = |text: &str| Reason::LookingFailed { text: text.into(), seconds: 60 };

        assert_eq!(told(Box::new("index out of bounds")), of("index out of bounds"));
        assert_eq!(told(Box::new("x".repeat(5_000))), of(&"x".repeat(MAX_TEXT)));
        assert_eq!(told(Box::new(7)), of("–"));
    }
}
