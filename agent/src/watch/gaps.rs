//! Says in the coverage what lies in a watched folder and is not looked at: folders that cannot be read, links to
//! folders outside.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use khien_core::{
    Untrusted,
    asset::{Coverage, Sensor, Sight},
    reason::Reason,
};

use super::{walk::Walked, walker::scope};
use crate::health::Meter;

/// Places that are named; of more only the number is told.
const NAMED: usize = 8;

/// The gaps of one kind.
pub(super) struct Gaps {
    meter: Arc<Meter>,
    said: Vec<Untrusted>,
}

impl Gaps {
    /// Begins with none.
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        Self { meter, said: Vec::new() }
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

    fn state(&mut self, now: BTreeMap<Untrusted, Reason>) {
        for gone in self.said.drain(..).filter(|place| !now.contains_key(place)) {
            self.meter.uncover(Sensor::File, &gone);
        }
        for (scope, reason) in now {
            self.said.push(scope.clone());
            let (backend, sight) = ("none".to_owned(), Sight::Reduced);
            let reason = Some(reason);
            self.meter.cover(Coverage { sensor: Sensor::File, scope, backend, sight, reason });
        }
    }
}
