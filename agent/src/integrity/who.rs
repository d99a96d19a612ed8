//! Who changed a file: the one who wrote it, and not the one who touched it last. Pure.

use khien_core::{conduct::Differs, event::Process};

use crate::activity::Change;

/// Who was heard of at a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Who {
    /// Who made, wrote, moved or removed it last.
    wrote: Option<Process>,
    /// Who changed its mode, owner, times or attributes last.
    touched: Option<Process>,
}

impl Who {
    /// Returns who did one thing.
    pub(super) fn of(change: &Change, process: Option<Process>) -> Self {
        match change {
            Change::Created
            | Change::Written
            | Change::MovedIn { .. }
            | Change::MovedOut
            | Change::Removed => Self { wrote: process, touched: None },
            Change::Attributes => Self { wrote: None, touched: process },
        }
    }

    /// Takes in what was heard later. Who is not known does not make others unknown.
    pub(super) fn and_then(&mut self, later: Self) {
        self.wrote = later.wrote.or(self.wrote.take());
        self.touched = later.touched.or(self.touched.take());
    }

    /// Returns who is to be named for a change: nobody rather than one who did something else.
    pub(super) fn did(&self, differs: &Differs) -> Option<&Process> {
        match differs {
            Differs::Rights | Differs::Unread => self.touched.as_ref().or(self.wrote.as_ref()),
            _ => self.wrote.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(acts: &[(Change, u32)]) -> Who {
        let mut who = Who::default();
        for (change, pid) in acts {
            who.and_then(Who::of(change, Some(Process::unknown(*pid))));
        }
        who
    }

    fn pid(who: &Who, differs: &Differs) -> Option<u32> {
        who.did(differs).map(|p| p.pid)
    }

    #[test]
    fn who_touches_a_file_later_takes_neither_blame_nor_merit_for_what_is_in_it() {
        let moved = Change::MovedIn { from: None };
        for writes in [Change::Created, Change::Written, moved, Change::Removed] {
            let who = heard(&[(writes.clone(), 7), (Change::Attributes, 8)]);

            assert_eq!(pid(&who, &Differs::Content), Some(7), "{writes:?}");
            assert_eq!(pid(&who, &Differs::Rights), Some(8), "{writes:?}");
        }
        assert_eq!(pid(&heard(&[(Change::Attributes, 8)]), &Differs::Content), None);
        assert_eq!(pid(&heard(&[(Change::Written, 7)]), &Differs::Rights), Some(7));
    }

    #[test]
    fn the_last_writer_that_is_known_is_named() {
        let mut who = heard(&[(Change::Written, 7), (Change::Written, 9)]);
        who.and_then(Who::of(&Change::Written, None));

        assert_eq!(pid(&who, &Differs::Added), Some(9));
    }
}
