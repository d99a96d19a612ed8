//! Findings that count only if they stand alone: they wait until it is clear that no deployment goes on around them. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use khien_core::{Timestamp, Untrusted, time::SignedDuration};

use super::verdict::{Finding, Verdict};

/// How long a finding waits, and how far around it is looked.
pub(super) const SETTLE: SignedDuration = SignedDuration::from_secs(10);
/// When more scripts of the root change at about the same time, it is a deployment.
pub(super) const ALONE: usize = 3;
/// Findings that may wait. More of them are a deployment.
const MAX_WAITING: usize = 1_024;
/// Changes of one root that are remembered.
const MAX_CHANGES: usize = 256;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Settle {
    waiting: VecDeque<(Timestamp, Finding)>,
    changes: HashMap<Untrusted, VecDeque<(Timestamp, Untrusted)>>,
    later: Vec<Verdict>,
}

impl Settle {
    /// Notes that a script of a root changed.
    pub(super) fn changed(&mut self, root: &Untrusted, path: &Untrusted, at: Timestamp) {
        let changes = self.changes.entry(root.clone()).or_default();
        changes.push_back((at, path.clone()));
        while changes.len() > MAX_CHANGES
            || changes.front().is_some_and(|(old, _)| at.duration_since(*old) > SETTLE * 4)
        {
            changes.pop_front();
        }
    }

    /// Lets a finding wait.
    pub(super) fn wait(&mut self, finding: Finding, now: Timestamp) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((now, finding));
        }
    }

    /// Keeps something that is told with the next tick.
    pub(super) fn told_later(&mut self, verdict: Verdict) {
        self.later.push(verdict);
    }

    /// Returns the findings that waited and stand alone, and what was to be told later.
    pub(super) fn due(&mut self, now: Timestamp) -> (Vec<Finding>, Vec<Verdict>) {
        let mut alone = Vec::new();
        while self.waiting.front().is_some_and(|(at, _)| now.duration_since(*at) >= SETTLE) {
            let Some((at, finding)) = self.waiting.pop_front() else { break };
            if self.around(&finding.root, at) <= ALONE {
                alone.push(finding);
            }
        }
        (alone, std::mem::take(&mut self.later))
    }

    fn around(&self, root: &Untrusted, at: Timestamp) -> usize {
        let changes = self.changes.get(root).into_iter().flatten();
        let near = changes.filter(|(other, _)| other.duration_since(at).abs() <= SETTLE);
        near.map(|(_, path)| path).collect::<HashSet<_>>().len()
    }
}
