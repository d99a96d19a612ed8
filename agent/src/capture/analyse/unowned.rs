//! What scans found and what waits to hear whose flow it is: a server takes its caller over late, and to find a process takes
//! a moment. Nothing that is scanned waits for it, and where nobody is, that is known sooner.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use khien_core::detection::{Detection, Subject};

use crate::sockets::{Named, Whose};

/// How long it waits.
const LONGEST: Duration = Duration::from_secs(1);
/// How often it is looked for.
pub(super) const BEAT: Duration = Duration::from_millis(5);
/// Findings that wait, of some kilobytes each; of more the oldest go without.
pub(super) const MOST: usize = 1_024;

/// A finding, and in which flow it is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) flow: u64,
    pub(super) detection: Detection,
}

/// A finding that goes out.
#[derive(Debug)]
pub(super) struct Leaves {
    pub(super) found: Found,
    /// Whether it would have waited if there were room.
    pub(super) is_early: bool,
}

/// What waits, the oldest first.
#[derive(Debug)]
pub(super) struct Unowned {
    named: Option<Named>,
    waiting: VecDeque<(Instant, Found)>,
    /// Nobody waits any more.
    is_over: bool,
}

impl Unowned {
    /// Begins with none; without anybody who knows owners none waits.
    pub(super) fn new(named: Option<Named>) -> Self {
        Self { named, waiting: VecDeque::new(), is_over: false }
    }

    /// Tells whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes a finding. Returns what goes out now: this one, where its owner is known or will not be, or the oldest one that
    /// waits, where there are too many.
    pub(super) fn put(&mut self, mut found: Found, now: Instant) -> Option<Leaves> {
        if self.is_settled(&mut found) {
            return Some(Leaves { found, is_early: false });
        }
        self.waiting.push_back((now + LONGEST, found));
        let oldest = if self.waiting.len() > MOST { self.waiting.pop_front() } else { None };
        oldest.map(|(_, found)| Leaves { found, is_early: true })
    }

    /// Returns those whose owner is known by now, or who have waited for long enough.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Found> {
        let mut due = Vec::new();
        for (until, mut found) in std::mem::take(&mut self.waiting) {
            match self.is_settled(&mut found) || now >= until {
                true => due.push(found),
                false => self.waiting.push_back((until, found)),
            }
        }
        due
    }

    /// Returns all that wait: whoever is not known by now stays so. From now on none waits.
    pub(super) fn end(&mut self) -> Vec<Found> {
        self.is_over = true;
        self.due(Instant::now())
    }

    /// Puts the process into a finding; `false` if it is not known yet and may be.
    fn is_settled(&self, found: &mut Found) -> bool {
        let (Some(named), Subject::Flow(subject)) = (&self.named, &mut found.detection.subject) else {
            return true;
        };
        let process = &mut subject.flow.process;
        if process.is_some() {
            return true;
        }
        match named.get(found.flow) {
            Some(Whose::Of { process: owner, .. }) => {
                *process = Some(Box::new((*owner).clone()));
                true
            }
            Some(Whose::Nobodys) => true,
            Some(Whose::Asked { .. }) | None => self.is_over,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use khien_core::event::Process;

    use super::*;
    use crate::capture::analyse::tests::made;

    #[test]
    fn a_finding_goes_when_its_owner_is_known_or_there_is_none_or_it_has_waited_for_long_enough() {
        let (named, now) = (Named::new(), Instant::now());
        let mut unowned = Unowned::new(Some(named.clone()));
        for flow in 1..=3 {
            assert!(unowned.put(found(flow), now).is_none(), "nothing is known yet");
        }
        assert!(unowned.due(now).is_empty());

        named.of(2, &Arc::new(Process::unknown(812)), true);
        named.nobodys(3);

        assert_eq!(told(unowned.due(now)), [(2, Some(812)), (3, None)]);
        assert!(unowned.due(now + LONGEST / 2).is_empty() && !unowned.is_empty());
        assert_eq!(told(unowned.due(now + LONGEST)), [(1, None)]);
        assert!(unowned.is_empty());
    }

    #[test]
    fn a_finding_whose_owner_is_known_does_not_wait() {
        let named = Named::new();
        named.of(1, &Arc::new(Process::unknown(812)), true);
        named.nobodys(2);
        let mut unowned = Unowned::new(Some(named));

        let leave: Vec<_> =
            [1, 2].into_iter().filter_map(|n| unowned.put(found(n), Instant::now())).collect();

        assert!(leave.iter().all(|leaves| !leaves.is_early));
        assert_eq!(told(leave.into_iter().map(|leaves| leaves.found).collect()), [(1, Some(812)), (2, None)]);
        assert!(Unowned::new(None).put(found(3), Instant::now()).is_some(), "nobody knows owners");
    }

    #[test]
    fn of_more_than_may_wait_the_oldest_goes_without_its_owner() {
        let mut unowned = Unowned::new(Some(Named::new()));
        let most = MOST as u64;
        (0..most).for_each(|flow| assert!(unowned.put(found(flow), Instant::now()).is_none()));

        let Some(Leaves { found, is_early: true }) = unowned.put(found(most), Instant::now()) else {
            panic!("all wait")
        };

        assert_eq!(told(vec![found]), [(0, None)]);
    }

    #[test]
    fn at_the_end_all_go_those_whose_owner_is_known_with_it_and_none_waits_any_more() {
        let named = Named::new();
        let mut unowned = Unowned::new(Some(named.clone()));
        (1..=2).for_each(|flow| assert!(unowned.put(found(flow), Instant::now()).is_none()));
        named.of(2, &Arc::new(Process::unknown(812)), true);

        assert_eq!(told(unowned.end()), [(1, None), (2, Some(812))]);
        assert!(matches!(unowned.put(found(3), Instant::now()), Some(Leaves { is_early: false, .. })));
    }

    fn found(flow: u64) -> Found {
        Found { flow, detection: made::detection() }
    }

    /// Returns of each the flow and the process.
    fn told(found: Vec<Found>) -> Vec<(u64, Option<u32>)> {
        let pid = |found: &Found| match &found.detection.subject {
            Subject::Flow(subject) => subject.flow.process.as_ref().map(|process| process.pid),
            _ => panic!("another subject"),
        };
        found.iter().map(|found| (found.flow, pid(found))).collect()
    }
}
