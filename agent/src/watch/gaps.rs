//! Says in the coverage what lies in a watched folder and is not looked at: folders that cannot be read, links to
//! folders outside, mounts that are left out. Of the latter the integrity watch says so too.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use khien_core::{
    Untrusted,
    asset::{Coverage, Sensor, Sight},
    reason::{Reason, quoted},
};

use super::{mounts::Mount, walk::Walked, walker::scope};
use crate::health::Meter;

/// Places that are named; of more only the number is told.
const NAMED: usize = 8;

/// The gaps of one kind.
pub(crate) struct Gaps {
    sensor: Sensor,
    meter: Arc<Meter>,
    said: Vec<Untrusted>,
}

impl Gaps {
    /// Begins with none in the watch of files.
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        Self::of(Sensor::File, meter)
    }

    /// Begins with none.
    pub(crate) fn of(sensor: Sensor, meter: Arc<Meter>) -> Self {
        Self { sensor, meter, said: Vec::new() }
    }

    /// States which folders walks over everything could not read.
    pub(super) fn unread(&mut self, walks: &[Walked]) {
        let of = |walked: &Walked| {
            let first = walked.first_unread.as_deref()?;
            Some((scope(first), Reason::FoldersUnread { count: walked.unread }))
        };
        self.state(walks.iter().filter_map(of).take(NAMED).collect());
    }

    /// States which links lead to folders outside.
    pub(super) fn links(&mut self, links: &[(PathBuf, PathBuf)]) {
        let others = links.len().saturating_sub(NAMED) as u64;
        let of = |(link, folder): &(PathBuf, PathBuf)| {
            (scope(link), Reason::LinkLeadsOut { folder: scope(folder), others })
        };
        self.state(links.iter().take(NAMED).map(of).collect());
    }

    /// States which mounts are left out.
    pub(crate) fn mounts(&mut self, mounts: &[&Mount]) {
        let others = mounts.len().saturating_sub(NAMED) as u64;
        let of = |mount: &&Mount| {
            (scope(&mount.point), Reason::NetworkMount { kind: quoted(&mount.kind), others })
        };
        self.state(mounts.iter().take(NAMED).map(of).collect());
    }

    fn state(&mut self, now: BTreeMap<Untrusted, Reason>) {
        for gone in self.said.drain(..).filter(|place| !now.contains_key(place)) {
            self.meter.uncover(self.sensor, &gone);
        }
        for (scope, reason) in now {
            self.said.push(scope.clone());
            let (backend, sight) = ("none".to_owned(), Sight::Reduced);
            let reason = Some(reason);
            self.meter.cover(Coverage { sensor: self.sensor, scope, backend, sight, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_is_left_out_is_said_by_the_watch_that_leaves_it_out_until_it_is_gone() {
        let meter = Arc::new(Meter::default());
        let said = || meter.health(0).coverage.into_iter().map(|c| (c.sensor, c.scope)).collect::<Vec<_>>();
        let mount = Mount { id: 1, point: "/srv/far".into(), kind: "nfs4".to_owned() };
        let [mut files, mut integrity] =
            [Sensor::File, Sensor::Integrity].map(|sensor| Gaps::of(sensor, Arc::clone(&meter)));

        integrity.mounts(&[&mount]);
        files.mounts(&[]);
        assert_eq!(said(), [(Sensor::Integrity, "/srv/far".into())]);

        integrity.mounts(&[]);
        assert_eq!(said(), []);
    }
}
