//! What is not kept an eye on as it should, and how that is told. Pure.

use std::{
    collections::BTreeSet,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use khien_core::{Untrusted, reason::Reason};

use super::{SCOPE, survey::MAX_PLACES};
use crate::watch::mounts::Mount;

/// What is not kept an eye on as it should.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    /// Files and folders that cannot be read.
    pub(super) unread: u64,
    /// Groups that name more than has room.
    pub(super) groups: BTreeSet<String>,
    /// Changes that are left for the next look.
    pub(super) waiting: u64,
    /// Where links lead that are not followed.
    pub(super) outside: BTreeSet<PathBuf>,
    /// Whether the package manager cannot be asked.
    pub(super) unverified: bool,
    /// Mounts that are left out, and on which something is named. Each is told as a scope of its own.
    pub(super) mounts: Vec<Mount>,
}

impl Gaps {
    /// Returns what is to be said of each scope: of the first always something, of the others only if there is a reason.
    pub(super) fn told(&self) -> [(&'static str, Option<Reason>); 5] {
        [
            (SCOPE, (self.unread > 0).then_some(Reason::FilesUnread { count: self.unread })),
            ("limit", (!self.groups.is_empty()).then(|| self.beyond())),
            ("changes", (self.waiting > 0).then_some(Reason::ChangesWait { count: self.waiting })),
            ("links", self.outside.first().map(|folder| self.leads_out(folder))),
            ("packages", self.unverified.then_some(Reason::PackagesUnverified)),
        ]
    }

    fn beyond(&self) -> Reason {
        let groups = self.groups.iter().map(|name| Untrusted::from(name.as_str())).collect();
        Reason::FilesBeyondLimit { limit: MAX_PLACES as u64, groups }
    }

    fn leads_out(&self, folder: &Path) -> Reason {
        let folder = Untrusted::new(folder.as_os_str().as_bytes());
        Reason::LinkLeadsOut { folder, others: self.outside.len() as u64 - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(gaps: &Gaps) -> Vec<Reason> {
        gaps.told().into_iter().filter_map(|(_, reason)| reason).collect()
    }

    #[test]
    fn every_gap_is_told_beside_the_others_and_names_what_is_cut() {
        assert_eq!(reasons(&Gaps::default()), []);
        let gaps = Gaps {
            unread: 2,
            groups: ["portal".to_owned(), "ssh".to_owned()].into(),
            waiting: 3,
            outside: ["/a".into(), "/b".into()].into(),
            unverified: true,
            mounts: Vec::new(),
        };

        let told = reasons(&gaps);

        assert_eq!(told.len(), 5);
        assert!(told[1].words().en.ends_with("portal, ssh"), "{}", told[1].words().en);
        assert!(told[3].words().en.contains("/a") && told[3].words().en.contains('1'));
    }
}
