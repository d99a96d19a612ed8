//! Questions that are asked again: a connection is accepted late, a socket closes and opens, and there was no time to look who
//! has it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::Question;

/// When it is asked again, each time counted from the last: most connections are accepted by the first, lists that were read
/// before are read anew by the second, and a busy host, or a walk over open files that has to wait, needs the others.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(25), Duration::from_millis(225), Duration::from_secs(1), Duration::from_secs(3)];
/// Flows that wait to be asked for again; of more the newest are not.
const MOST: usize = 4_096;

/// What is known of the socket of a flow of which nobody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hope {
    /// There is one, or one that waits for it: somebody has it, or takes it over.
    There,
    /// There is none, though an end is here; a list may be older than it.
    None,
    /// No end is here; its address may be that of a container that was just started.
    OfOthers,
    /// It is closed, and nobody has it any more.
    Over,
}

impl Hope {
    /// Returns how often it is asked again.
    fn most(self) -> usize {
        match self {
            Self::There => PAUSES.len(),
            Self::None => 2,
            Self::OfOthers => 1,
            Self::Over => 0,
        }
    }
}

/// What waits, by when it is due.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Under a number of its own, since many are due at the same moment.
    waiting: BTreeMap<(Instant, u64), (Question, usize)>,
    number: u64,
}

impl Again {
    /// Has a question asked again that was asked so often before, not before `earliest` either; `false` if it was asked for
    /// the last time.
    pub(super) fn put(
        &mut self,
        question: Question,
        tries: usize,
        (now, earliest): (Instant, Instant),
        hope: Hope,
    ) -> bool {
        let is_left = tries < hope.most() && self.waiting.len() < MOST;
        let Some(pause) = PAUSES.get(tries).filter(|_| is_left) else { return false };
        self.number += 1;
        self.waiting.insert(((now + *pause).max(earliest), self.number), (question, tries + 1));
        true
    }

    /// Takes those that are due, each with how often it was asked before.
    pub(super) fn due(&mut self, now: Instant, most: usize) -> Vec<(Question, usize)> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= now)
        {
            due.push(first.remove());
        }
        due
    }

    /// Returns how long nothing is due; nothing if nothing waits.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.waiting.first_key_value().map(|((at, _), _)| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use khien_core::Timestamp;

    use super::*;
    use crate::sockets::Socket;

    fn question(flow: u64) -> Question {
        let [local, remote] = ["192.0.2.1:5000", "198.51.100.2:443"].map(|end| end.parse().unwrap());
        let socket = Socket { is_tcp: true, local, remote };
        Question { flow, sockets: [socket; 2], at: Timestamp::UNIX_EPOCH }
    }

    fn flows(due: Vec<(Question, usize)>) -> Vec<(u64, usize)> {
        due.into_iter().map(|(question, tries)| (question.flow, tries)).collect()
    }

    #[test]
    fn what_is_here_is_asked_for_again_later_and_later_and_then_no_more() {
        let (mut again, begin) = (Again::default(), Instant::now());
        let (mut now, mut tries) = (begin, 0);

        while again.put(question(1), tries, (now, now), Hope::There) {
            now += again.wait(now).unwrap();
            assert_eq!(flows(again.due(now, 9)), [(1, tries + 1)]);
            tries += 1;
        }

        assert_eq!((tries, now - begin), (4, Duration::from_millis(4_250)));
        for (hope, times) in [(Hope::None, 2), (Hope::OfOthers, 1), (Hope::Over, 0)] {
            let put = (0..4).take_while(|tries| again.put(question(2), *tries, (now, now), hope)).count();
            assert_eq!((put, again.due(now + PAUSES[1], 9).len()), (times, times), "{hope:?}");
        }
        assert_eq!(again.wait(now), None);
    }

    #[test]
    fn what_waits_for_a_walk_is_not_asked_for_before_it() {
        let (mut again, now) = (Again::default(), Instant::now());
        let walk = now + Duration::from_secs(2);
        again.put(question(1), 0, (now, walk), Hope::There);
        again.put(question(2), 0, (now, now), Hope::There);

        assert_eq!(flows(again.due(now + PAUSES[0], 9)), [(2, 1)]);
        assert_eq!(flows(again.due(walk, 9)), [(1, 1)]);
    }

    #[test]
    fn those_of_one_moment_are_all_kept_up_to_a_bound_and_taken_in_turn() {
        let (mut again, now) = (Again::default(), Instant::now());
        let all = MOST as u64;
        assert!((0..all).all(|flow| again.put(question(flow), 0, (now, now), Hope::There)));
        assert!(!again.put(question(all), 0, (now, now), Hope::There), "there is no room for more");

        let due = flows(again.due(now + PAUSES[0], 2));

        assert_eq!(due, [(0, 1), (1, 1)]);
    }
}
