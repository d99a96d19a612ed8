//! Tells findings of one kind in one root together, so that a deployment is one alert and not a thousand. Pure.
//!
//! ```text
//! first finding      ─► told at once, under the file's own path
//! the next           ─► told every few seconds under the root: how many, which for instance
//! none for a minute  ─► forgotten
//! ```

use std::collections::{HashMap, HashSet};

use khien_core::{
    Timestamp, Untrusted,
    conduct::{Behaviour, behaviour::MAX_EXAMPLES},
    time::SignedDuration,
};

use super::verdict::{Finding, Verdict};

/// After so long without another one a group is closed.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// A group that grows is told again after this time.
pub(super) const AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// Paths of a group that are remembered; later ones may be counted twice.
const MAX_PATHS: usize = 4_096;

/// Findings by root and rule.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<(Untrusted, &'static str), Group>);

#[derive(Debug)]
struct Group {
    paths: HashSet<Untrusted>,
    examples: Vec<Untrusted>,
    count: u64,
    told: u64,
    told_at: Timestamp,
    last: Timestamp,
    latest: Finding,
}

impl Tally {
    /// Takes a finding; returns what is told at once.
    pub(super) fn add(&mut self, finding: Finding, now: Timestamp) -> Option<Verdict> {
        let key = (finding.root.clone(), finding.deed.rule());
        if let Some(group) = self.0.get_mut(&key).filter(|g| now.duration_since(g.last) < WINDOW) {
            group.take(finding, now);
            return None;
        }
        let first = Group {
            paths: HashSet::from([finding.path.clone()]),
            examples: vec![finding.path.clone()],
            count: 1,
            told: 1,
            told_at: now,
            last: now,
            latest: finding.clone(),
        };
        self.0.insert(key, first);
        let behaviour = Behaviour { deed: finding.deed, count: 1, examples: vec![finding.path.clone()] };
        let Finding { path, file, sha256, process, .. } = finding;
        Some(Verdict { path, behaviour, file, sha256, process })
    }

    /// Returns the groups that grew, and forgets those that are over.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Verdict> {
        let due = self.0.values_mut().filter(|g| g.count > g.told && now.duration_since(g.told_at) >= AGAIN);
        let told = due.map(|group| group.tell(now)).collect();
        self.0.retain(|_, g| g.count > g.told || now.duration_since(g.last) < WINDOW);
        told
    }
}

impl Group {
    fn take(&mut self, finding: Finding, now: Timestamp) {
        self.last = now;
        if self.paths.contains(&finding.path) {
            return;
        }
        if self.paths.len() < MAX_PATHS {
            self.paths.insert(finding.path.clone());
        }
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(finding.path.clone());
        }
        self.count += 1;
        self.latest = finding;
    }

    fn tell(&mut self, now: Timestamp) -> Verdict {
        self.told = self.count;
        self.told_at = now;
        let Finding { root, deed, process, .. } = self.latest.clone();
        let behaviour = Behaviour { deed, count: self.count, examples: self.examples.clone() };
        Verdict { path: root, behaviour, file: None, sha256: None, process }
    }
}

#[cfg(test)]
mod tests {
    use khien_core::conduct::Deed;

    use super::{super::sample::at, *};

    fn found(n: usize) -> Finding {
        let path = format!("/www/{n}.php").as_str().into();
        let deed = Deed::ScriptByServer;
        Finding { root: "/www".into(), path, deed, file: None, sha256: None, process: None }
    }

    #[test]
    fn a_storm_is_one_alert_of_the_first_file_and_one_of_the_root_that_grows() {
        let mut tally = Tally::default();

        let first = tally.add(found(0), at(0)).unwrap();
        let rest: Vec<_> = (0..500).filter_map(|n| tally.add(found(n), at(10))).collect();
        let (early, later) = (tally.due(at(100)), tally.due(at(5_100)));

        assert_eq!((first.path, first.behaviour.count), ("/www/0.php".into(), 1));
        assert_eq!((rest.len(), early.len(), later.len()), (0, 0, 1));
        assert_eq!((later[0].path.clone(), later[0].behaviour.count), ("/www".into(), 500));
        assert_eq!(later[0].behaviour.examples.len(), MAX_EXAMPLES);
        assert_eq!(tally.due(at(10_200)), []);
    }

    #[test]
    fn the_same_file_again_is_not_counted_and_after_a_minute_a_new_one_is_told_by_itself() {
        let mut tally = Tally::default();
        tally.add(found(0), at(0));
        tally.add(found(0), at(1_000));

        assert_eq!(tally.due(at(30_000)), []);
        assert_eq!(tally.add(found(1), at(70_000)).map(|v| v.path), Some("/www/1.php".into()));
    }
}
