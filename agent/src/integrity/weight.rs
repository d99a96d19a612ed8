//! How much one change weighs against others that come with it: a bad one must not drown among harmless ones. Pure.

use khien_core::{
    Severity,
    conduct::{Differs, Kind},
    policy::Group,
};

use super::{place::State, store::Entry};

/// Kinds of change.
const REMOVED: u8 = 1;
const RIGHTS: u8 = 2;
const CONTENT: u8 = 3;
/// A file that was as its package said and is not any more.
const PACKAGED: u8 = 4;
/// A file that runs as its owner, that anybody may write to, or that root does not own any more.
const GRAVE: u8 = 8;
/// Permission bits that a person should see.
const OPEN: u32 = 0o6002;

/// The weight of a change: first how bad the policy says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Weight {
    severity: Option<Severity>,
    points: u8,
}

impl Weight {
    /// Weighs a change.
    pub(super) fn of(
        group: Option<&Group>,
        differs: &Differs,
        before: Option<&Entry>,
        now: Option<&State>,
    ) -> Self {
        let kind = match differs {
            Differs::Added => 0,
            Differs::Removed => REMOVED,
            Differs::Rights => RIGHTS,
            _ => CONTENT,
        };
        let packaged = if before.is_some_and(|entry| entry.packaged) { PACKAGED } else { 0 };
        let grave = if is_grave(before.map(|entry| &entry.state), now) { GRAVE } else { 0 };
        Self { severity: group.map(|g| g.severity_of(differs)), points: kind + packaged + grave }
    }

    /// Tells whether it is told by itself also in a storm: any change of a file that matters, but for plain new ones.
    pub(super) fn stands_alone(self) -> bool {
        self.severity >= Some(Severity::High) && self.points > 0
    }
}

fn is_grave(before: Option<&State>, now: Option<&State>) -> bool {
    let Some(now) = now.filter(|now| now.kind == Kind::File) else { return false };
    let had = before.map_or(0, |state| state.facts.mode);
    let lost_root = before.is_some_and(|state| state.facts.uid == 0) && now.facts.uid != 0;
    now.facts.mode & !had & OPEN != 0 || lost_root
}

#[cfg(test)]
mod tests {
    use khien_core::{Timestamp, conduct::Facts};

    use super::{super::place::Stamp, *};

    fn group(severity: &str) -> Group {
        let json = format!(r#"{{"name": "g", "paths": [], "severity": "{severity}"}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn state(mode: u32, uid: u32) -> State {
        State {
            kind: Kind::File,
            facts: Facts { sha256: None, mode, uid, gid: 0 },
            target: None,
            md5: None,
            modified: Timestamp::UNIX_EPOCH,
            stamp: Stamp { device: 1, inode: 1, changed: (0, 0), size: 0 },
        }
    }

    fn entry(packaged: bool) -> Entry {
        Entry { group: "g".to_owned(), state: state(0o644, 0), packaged }
    }

    #[test]
    fn what_opens_a_file_weighs_most_then_what_was_packaged_then_the_kind() {
        let group = group("high");
        let weigh = |differs, packaged, mode, uid| {
            Weight::of(Some(&group), &differs, Some(&entry(packaged)), Some(&state(mode, uid)))
        };

        let order = [
            weigh(Differs::Rights, true, 0o4755, 0),
            weigh(Differs::Rights, false, 0o666, 0),
            weigh(Differs::Content, true, 0o644, 0),
            weigh(Differs::Content, false, 0o644, 0),
            weigh(Differs::Rights, false, 0o600, 0),
            Weight::of(Some(&group), &Differs::Removed, Some(&entry(false)), None),
            Weight::of(Some(&group), &Differs::Added, None, Some(&state(0o644, 0))),
        ];

        assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
        assert!(weigh(Differs::Rights, false, 0o600, 33) > order[3], "no longer root's");
    }

    #[test]
    fn only_what_matters_stands_alone() {
        let weigh = |severity, differs, mode| {
            Weight::of(Some(&group(severity)), &differs, None, Some(&state(mode, 0))).stands_alone()
        };

        assert!(weigh("high", Differs::Content, 0o644) && weigh("critical", Differs::Removed, 0o644));
        assert!(weigh("high", Differs::Added, 0o4755));
        assert!(!weigh("high", Differs::Added, 0o644) && !weigh("medium", Differs::Content, 0o644));
        assert!(!Weight::of(None, &Differs::Content, None, None).stands_alone());
    }
}
